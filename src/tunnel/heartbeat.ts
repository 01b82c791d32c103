/**
 * Liveness of one link, judged on received bytes only (nats-server#3682): any byte is a sign of life, and a peer is
 * dead only when a probe that left our socket stayed unanswered. A pure machine: time comes in, a verdict goes out.
 */

import type { TunnelOptions } from './options.ts';
import { measureOwnStall } from './own-stall.ts';

export type HeartbeatOptions = Pick<
  TunnelOptions,
  'pingAfterMs' | 'idlePingAfterMs' | 'answerAfterMs' | 'silentAfterMs' | 'deadAfterMs' | 'sendStallMs'
>;

/**
 * `ping`: send one. `silent`, once in each silence: an answer is overdue, so another link should be made, but this one may
 * yet speak. `dead`, `stalled`: end it.
 */
export type HeartbeatVerdict = 'alive' | 'ping' | 'silent' | 'dead' | 'stalled';

/** While a PING is out it is looked this often, so that a pause of this process is not taken for the peer's. */
const LOOK_MS = 250;
/** Round trip before one was measured, and the weights of a new one in its mean and its deviation (RFC 6298 §2). */
const FIRST_RTT_MS = 1_000;
const MEAN_WEIGHT = 1 / 8;
const DEVIATION_WEIGHT = 1 / 4;
const DEVIATIONS = 4;

export class Heartbeat {
  readonly #options: HeartbeatOptions;
  #receivedMs: number;
  /** First message since the last sign of life that the peer should answer. */
  #askedMs: number | undefined;
  /** The socket took bytes, or had none. */
  #progressMs: number;
  /** When `check` is due. */
  #dueMs: number;
  #ping: { readonly number: number; sentMs: number; isOut: boolean } | undefined;
  #pings = 0;
  #isSilent = false;
  #isIdle = false;
  #rttMs = 0;
  #meanRttMs = FIRST_RTT_MS;
  #deviationMs = FIRST_RTT_MS / 2;

  constructor(options: HeartbeatOptions, nowMs: number) {
    this.#options = options;
    this.#receivedMs = nowMs;
    this.#progressMs = nowMs;
    this.#dueMs = nowMs + options.pingAfterMs;
  }

  /** Last measured round trip, in milliseconds; 0 before the first. */
  get rttMs(): number {
    return this.#rttMs;
  }

  /** An answer is overdue. */
  get isSilent(): boolean {
    return this.#isSilent;
  }

  /** Whether something was sent, since the peer was heard, that it should answer. */
  get isAsking(): boolean {
    return this.#askedMs !== undefined;
  }

  /** A PING is out. */
  get isPinging(): boolean {
    return this.#ping !== undefined;
  }

  /** When `check` should be called; earlier after `onAsked`, `onBusy` and `onPing`. */
  get dueMs(): number {
    return this.#dueMs;
  }

  onReceived(nowMs: number): void {
    this.#receivedMs = nowMs;
    this.#askedMs = undefined;
    this.#isSilent = false;
  }

  /** A record was sent: the peer acknowledges most of them. */
  onAsked(nowMs: number): void {
    this.#askedMs ??= nowMs;
    this.#dueMs = Math.min(this.#dueMs, this.#askedMs + this.#answerMs);
  }

  /** A stream may wait for this link from now on. */
  onBusy(nowMs: number): void {
    if (!this.#isIdle) return;
    this.#isIdle = false;
    this.#dueMs = Math.min(this.#dueMs, this.#nextMs(nowMs));
  }

  /** The socket took bytes; `isEmpty` when nothing of ours is waiting any more. */
  onSent(nowMs: number, isEmpty: boolean): void {
    this.#progressMs = nowMs;
    if (isEmpty && this.#ping !== undefined) this.#ping.isOut = true;
  }

  /** A PING is sent now, with this number; there is never more than one. */
  onPing(nowMs: number): number {
    this.#ping = { number: ++this.#pings, sentMs: nowMs, isOut: false };
    this.#dueMs = Math.min(this.#dueMs, nowMs + LOOK_MS);
    return this.#pings;
  }

  /** False when it answers another PING than the one that is out. */
  onPong(nowMs: number, number: number): boolean {
    if (number !== this.#ping?.number) return false;
    this.#noteRtt(nowMs - this.#ping.sentMs);
    this.#ping = undefined;
    return true;
  }

  /** `outstandingBytes`: what waits for the network now. `isIdle`: no stream may wait for this link. */
  check(nowMs: number, outstandingBytes: number, isIdle: boolean): HeartbeatVerdict {
    const stallMs = measureOwnStall(nowMs, this.#dueMs);
    if (outstandingBytes === 0) this.onSent(nowMs, true);
    if (stallMs > 0) this.#excuse(stallMs, nowMs);
    this.#isIdle = isIdle;
    const verdict = stallMs > 0 ? 'alive' : this.#judge(nowMs);
    this.#dueMs = stallMs > 0 ? nowMs + LOOK_MS : this.#nextMs(nowMs);
    return verdict;
  }

  #judge(nowMs: number): HeartbeatVerdict {
    const { pingAfterMs, silentAfterMs, deadAfterMs, sendStallMs } = this.#options;
    const ping = this.#ping;
    if (ping === undefined) {
      const isOverdue = this.#askedMs !== undefined && nowMs - this.#askedMs >= this.#answerMs;
      return isOverdue || nowMs - this.#receivedMs >= this.#pingAfterMs ? 'ping' : 'alive';
    }
    // Before an idle link was probed nobody had asked for long: a peer has as much time to answer as on any other.
    const quietMs = Math.min(nowMs - this.#receivedMs, nowMs - ping.sentMs + pingAfterMs);
    if (quietMs >= sendStallMs) return nowMs - this.#progressMs >= sendStallMs ? 'stalled' : 'dead';
    // Bytes that came while the PONG did not show how long our queue in the network is.
    const queueMs = this.#receivedMs - ping.sentMs;
    const waitedMs = nowMs - Math.max(ping.sentMs, this.#receivedMs);
    if (waitedMs < Math.max(silentAfterMs, this.#slowRttMs, 2 * queueMs)) return 'alive';
    if (ping.isOut && quietMs >= deadAfterMs) return 'dead';
    if (this.#isSilent) return 'alive';
    this.#isSilent = true;
    return 'silent';
  }

  get #pingAfterMs(): number {
    return this.#isIdle ? this.#options.idlePingAfterMs : this.#options.pingAfterMs;
  }

  get #answerMs(): number {
    return this.#options.answerAfterMs + 2 * (this.#rttMs === 0 ? 0 : this.#meanRttMs);
  }

  /** A round trip that is slow, and yet one. */
  get #slowRttMs(): number {
    return this.#meanRttMs + Math.max(this.#meanRttMs, DEVIATIONS * this.#deviationMs);
  }

  #nextMs(nowMs: number): number {
    if (this.#ping !== undefined) return nowMs + LOOK_MS;
    const idleMs = this.#receivedMs + this.#pingAfterMs;
    const dueMs = this.#askedMs === undefined ? idleMs : Math.min(idleMs, this.#askedMs + this.#answerMs);
    return Math.max(dueMs, nowMs + 1);
  }

  /** This process stood still for `stallMs`: nothing could be received, and what came meanwhile was not read yet. */
  #excuse(stallMs: number, nowMs: number): void {
    this.#receivedMs = Math.min(nowMs, this.#receivedMs + stallMs);
    this.#progressMs = Math.min(nowMs, this.#progressMs + stallMs);
    if (this.#askedMs !== undefined) this.#askedMs = Math.min(nowMs, this.#askedMs + stallMs);
    if (this.#ping !== undefined) this.#ping.sentMs = Math.min(nowMs, this.#ping.sentMs + stallMs);
  }

  #noteRtt(rttMs: number): void {
    const isFirst = this.#rttMs === 0;
    const offMs = Math.abs(rttMs - this.#meanRttMs);
    this.#deviationMs = isFirst ? rttMs / 2 : this.#deviationMs + DEVIATION_WEIGHT * (offMs - this.#deviationMs);
    this.#meanRttMs = isFirst ? rttMs : this.#meanRttMs + MEAN_WEIGHT * (rttMs - this.#meanRttMs);
    this.#rttMs = rttMs;
  }
}
