/**
 * Liveness of one link, judged on received bytes only (nats-server#3682): any byte is a sign of life, and a peer is
 * dead only when a probe that left our socket stayed unanswered. A pure machine: time comes in, a verdict goes out.
 */

export interface HeartbeatOptions {
  readonly pingAfterMs: number;
  readonly deadAfterMs: number;
  readonly sendStallMs: number;
}

export type HeartbeatVerdict = 'alive' | 'ping' | 'dead' | 'stalled';

/** A tick that comes this late was our own pause, not the peer's: nothing could arrive meanwhile. */
const OWN_STALL_MS = 3_000;

export class Heartbeat {
  readonly #options: HeartbeatOptions;
  #receivedMs: number;
  #progressMs: number;
  #tickMs: number;
  #pingMs: number | undefined;
  #pingDrained = false;
  #rttMs = 0;
  #maxRttMs = 0;

  constructor(options: HeartbeatOptions, nowMs: number) {
    this.#options = options;
    this.#receivedMs = nowMs;
    this.#progressMs = nowMs;
    this.#tickMs = nowMs;
  }

  /** Last measured round trip, in milliseconds; 0 before the first. */
  get rttMs(): number {
    return this.#rttMs;
  }

  /** How often `check` should be called. */
  get periodMs(): number {
    return Math.min(1_000, this.#options.pingAfterMs / 4);
  }

  onReceived(nowMs: number): void {
    this.#receivedMs = nowMs;
  }

  /** The socket took bytes; `empty` when nothing of ours is waiting any more. */
  onSent(nowMs: number, empty: boolean): void {
    this.#progressMs = nowMs;
    if (empty) this.#pingDrained = true;
  }

  onPing(nowMs: number): void {
    this.#pingMs = nowMs;
    this.#pingDrained = false;
  }

  onPong(nowMs: number): void {
    if (this.#pingMs === undefined) return;
    this.#rttMs = nowMs - this.#pingMs;
    this.#maxRttMs = Math.max(this.#maxRttMs * 0.9, this.#rttMs);
    this.#pingMs = undefined;
  }

  /** `outstandingBytes`: what waits for the network now. */
  check(nowMs: number, outstandingBytes: number): HeartbeatVerdict {
    const late = nowMs - this.#tickMs - this.periodMs;
    this.#tickMs = nowMs;
    if (late > OWN_STALL_MS) {
      this.#receivedMs = Math.min(nowMs, this.#receivedMs + late);
      this.#progressMs = Math.min(nowMs, this.#progressMs + late);
      if (this.#pingMs !== undefined) this.#pingMs += late;
    }
    if (outstandingBytes === 0) {
      this.#progressMs = nowMs;
      this.#pingDrained = true;
    } else if (nowMs - this.#progressMs >= this.#options.sendStallMs) {
      return 'stalled';
    }
    const silentMs = nowMs - this.#receivedMs;
    if (this.#pingMs === undefined || this.#pingMs <= this.#receivedMs) {
      return silentMs >= this.#options.pingAfterMs ? 'ping' : 'alive';
    }
    const patienceMs = Math.max(this.#options.deadAfterMs, 4 * this.#maxRttMs);
    return this.#pingDrained && nowMs - this.#pingMs >= patienceMs ? 'dead' : 'alive';
  }
}
