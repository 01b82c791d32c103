/**
 * Notices that records do not get through. A path is ordered, so one that is missing behind one that came was altered or
 * swallowed on the way; and a peer that is there answers within a round trip or two.
 */

import type { Clock, Timer } from '../core/clock.ts';
import { measureOwnStall } from './own-stall.ts';

export interface DeliveryWatchOptions {
  readonly clock: Clock;
  /** Time for the missing record to come, once a later one is there, in milliseconds. */
  readonly gapMs: number;
  /** Silence that is no reason to worry yet, in milliseconds. */
  patienceMs(): number;
  /** When the oldest record was sent that the peer should have acknowledged, or undefined. */
  oldestSentMs(): number | undefined;
  /** How many records the peer has acknowledged. */
  acknowledged(): number;
  /** When the peer was last heard. */
  heardMs(): number;
  /** Time without any new ACK after which a record counts as swallowed, whatever else the peer says. */
  readonly lostMs: number;
  /** A record that came waited in vain for the one before it. */
  onGap(): void;
  /** A record that was sent waited in vain for its ACK. */
  onLost(): void;
  /** The peer owes an answer and has said nothing for `silentMs`; told again and again. */
  onSilence(silentMs: number): void;
}

/** While the peer is silent it is looked this often: for an answer on another path, and for pauses of this process. */
const LOOK_MS = 250;

export class DeliveryWatch {
  readonly #options: DeliveryWatchOptions;
  #gap: Timer | undefined;
  #silence: Timer | undefined;
  /** When the timer of silence should fire. */
  #dueMs = 0;
  /** Last sign of life, or the record that waits for one; and how much of the time since then this process stood still. */
  #sinceMs = 0;
  #excusedMs = 0;
  /** What was acknowledged when it was looked last, and since when that is so. */
  #acknowledged = 0;
  #progressMs = 0;

  constructor(options: DeliveryWatchOptions) {
    this.#options = options;
  }

  /** A record came, and the one before it has not. */
  noteGap(): void {
    const { clock, gapMs } = this.#options;
    this.#gap ??= clock.setTimer(gapMs, () => {
      this.#gap = undefined;
      this.#options.onGap();
    });
  }

  /** Every record that came has its predecessor. */
  noteOrder(): void {
    this.#gap?.cancel();
    this.#gap = undefined;
  }

  /** A record that the peer should acknowledge was sent. */
  noteSent(): void {
    if (this.#silence === undefined) this.#lookAfter(this.#options.patienceMs());
  }

  cancel(): void {
    this.noteOrder();
    this.#silence?.cancel();
    this.#silence = undefined;
  }

  #lookAfter(ms: number): void {
    const { clock } = this.#options;
    this.#dueMs = clock.monotonicMs() + ms;
    this.#silence = clock.setTimer(ms, () => this.#look());
  }

  #look(): void {
    const options = this.#options;
    const { clock } = options;
    this.#silence = undefined;
    const sentMs = options.oldestSentMs();
    if (sentMs === undefined) return;
    const nowMs = clock.monotonicMs();
    const stallMs = measureOwnStall(nowMs, this.#dueMs);
    const sinceMs = Math.max(sentMs, options.heardMs());
    this.#excusedMs = stallMs + (sinceMs === this.#sinceMs ? this.#excusedMs : 0);
    this.#sinceMs = sinceMs;
    const silentMs = nowMs - sinceMs - this.#excusedMs;
    const patience = options.patienceMs();
    // Times are sums of fractions: what is left may be too little for the clock to move.
    this.#lookAfter(silentMs < patience && stallMs === 0 ? Math.max(1, patience - silentMs) : LOOK_MS);
    const unacknowledgedMs = this.#measureProgress(sentMs, nowMs, stallMs);
    if (stallMs > 0) return;
    if (unacknowledgedMs >= options.lostMs) options.onLost();
    else if (silentMs >= patience) options.onSilence(silentMs);
  }

  /** How long no ACK has come for the records that wait: those behind it may be as old as a slow network makes them. */
  #measureProgress(oldestSentMs: number, nowMs: number, stallMs: number): number {
    const acknowledged = this.#options.acknowledged();
    if (acknowledged !== this.#acknowledged) this.#progressMs = nowMs;
    else this.#progressMs += stallMs;
    this.#acknowledged = acknowledged;
    this.#progressMs = Math.min(nowMs, Math.max(this.#progressMs, oldestSentMs));
    return nowMs - this.#progressMs;
  }
}
