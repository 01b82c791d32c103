/** `Liveness` of one link: its heartbeat and its pacer, with the timer they need. One PING serves both. */

import type { Clock, Timer } from '../core/clock.ts';
import type { Random } from '../core/random.ts';
import { Heartbeat, type HeartbeatOptions } from './heartbeat.ts';
import { Pacer } from './pacer.ts';

/** Part of the time before PING that is left to chance. */
const PING_SPREAD = 0.2;
/** Of a link that is idle one end asks, and the other only where that has not. */
const ACCEPTOR_WAITS = 1.1;

export interface LivenessOptions {
  readonly role: 'dialler' | 'acceptor';
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: HeartbeatOptions;
  /** No stream may wait for this link. */
  readonly isIdle: () => boolean;
  /** What waits for the network now. */
  readonly outstandingBytes: () => number;
  /** PING with that number goes out. */
  readonly sendPing: (number: number) => void;
  /** Asks an end that nothing is awaited of in another way, which does not wake it; false: it has none. */
  readonly sendIdlePing: () => boolean;
  /** Once in each silence. */
  readonly onSilent: () => void;
  /** Nothing has come for too long; `stalled`: and the socket has taken nothing. */
  readonly onDead: (verdict: 'dead' | 'stalled') => void;
}

export class Liveness {
  readonly #options: LivenessOptions;
  readonly #clock: Clock;
  readonly #heartbeat: Heartbeat;
  readonly #pacer = new Pacer();
  #timer: Timer;
  #timerMs = 0;
  /** Number of the PING that went out as `sendIdlePing`, while it is out. */
  #idlePing: number | undefined;

  constructor(options: LivenessOptions) {
    this.#options = options;
    this.#clock = options.clock;
    const nowMs = this.#clock.monotonicMs();
    this.#heartbeat = new Heartbeat(toHeartbeatOptions(options), nowMs);
    this.#timer = this.#setTimer(nowMs);
  }

  /** Last measured round trip, in milliseconds; 0 before the first. */
  get rttMs(): number {
    return this.#heartbeat.rttMs;
  }

  /** Nothing is heard of the other end, although it owes an answer. */
  get isSilent(): boolean {
    return this.#heartbeat.isSilent;
  }

  /** As much is on its way as should be. */
  get isFull(): boolean {
    return this.#pacer.isFull;
  }

  /** `bytes` are on their way. */
  onSent(bytes: number): void {
    this.#pacer.onSent(bytes);
  }

  /** They were a record: the other end acknowledges most of them. */
  onRecordSent(): void {
    if (!this.#heartbeat.isAsking) {
      const nowMs = this.#clock.monotonicMs();
      this.#heartbeat.onAsked(nowMs);
      this.#rearm(nowMs);
    }
    if (this.#pacer.isMarkDue) this.ping();
  }

  /** A stream may wait for this link from now on. */
  onBusy(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#heartbeat.onBusy(nowMs);
    this.#rearm(nowMs);
  }

  /** The socket took bytes. */
  onProgress(): void {
    this.#heartbeat.onSent(this.#clock.monotonicMs(), this.#options.outstandingBytes() === 0);
  }

  onReceived(): void {
    this.#heartbeat.onReceived(this.#clock.monotonicMs());
  }

  /** @param arrivedMs when its PING arrived, by the clock of the other end, modulo 2^32 */
  onPong(number: number, arrivedMs: number): void {
    const nowMs = this.#clock.monotonicMs();
    if (!this.#heartbeat.onPong(nowMs, number)) return;
    this.#pacer.onArrived(nowMs, arrivedMs);
    if (this.#pacer.isMarkDue) this.ping();
  }

  /** The host of the other end has answered. */
  onIdlePong(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#heartbeat.onReceived(nowMs);
    if (this.#idlePing !== undefined) this.#heartbeat.onPong(nowMs, this.#idlePing);
    this.#idlePing = undefined;
  }

  ping(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#idlePing = undefined;
    this.#options.sendPing(this.#heartbeat.onPing(nowMs));
    this.#pacer.onMark(nowMs);
    this.#rearm(nowMs);
  }

  #pingIdle(): void {
    if (this.#heartbeat.isAsking || !this.#options.sendIdlePing()) return this.ping();
    const nowMs = this.#clock.monotonicMs();
    this.#idlePing = this.#heartbeat.onPing(nowMs);
    this.#rearm(nowMs);
  }

  /** There is reason to doubt that the other end is there. */
  doubt(): void {
    if (!this.#heartbeat.isPinging) this.ping();
  }

  cancel(): void {
    this.#timer.cancel();
  }

  #check(): void {
    const { outstandingBytes, isIdle, onSilent, onDead } = this.#options;
    const nowMs = this.#clock.monotonicMs();
    const verdict = this.#heartbeat.check(nowMs, outstandingBytes(), isIdle());
    if (verdict === 'dead' || verdict === 'stalled') return onDead(verdict);
    this.#timer = this.#setTimer(nowMs);
    if (verdict === 'ping') this.#pingIdle();
    else if (verdict === 'silent') onSilent();
  }

  /** Brings the timer forward, if need be. */
  #rearm(nowMs: number): void {
    if (this.#heartbeat.dueMs >= this.#timerMs) return;
    this.#timer.cancel();
    this.#timer = this.#setTimer(nowMs);
  }

  #setTimer(nowMs: number): Timer {
    this.#timerMs = this.#heartbeat.dueMs;
    return this.#clock.setTimer(this.#timerMs - nowMs, () => this.#check());
  }
}

function toHeartbeatOptions({ role, random, limits }: LivenessOptions): HeartbeatOptions {
  const { pingAfterMs, idlePingAfterMs, answerAfterMs, silentAfterMs, deadAfterMs, sendStallMs } = limits;
  const chance = 1 - PING_SPREAD * random.ratio();
  return {
    pingAfterMs: pingAfterMs * chance,
    idlePingAfterMs: idlePingAfterMs * (role === 'dialler' ? chance : ACCEPTOR_WAITS),
    ...{ answerAfterMs, silentAfterMs, deadAfterMs, sendStallMs },
  };
}
