/**
 * Notices that records do not get through. A path is ordered, so one that is missing behind one that came was altered or
 * swallowed on the way; and a peer that is there answers within a round trip or two.
 */

import type { Clock, Timer } from '../core/clock.ts';

export interface DeliveryWatchOptions {
  readonly clock: Clock;
  /** Time for the missing record to come, once a later one is there, in milliseconds. */
  readonly gapMs: number;
  /** Silence that is no reason to worry yet, in milliseconds. */
  readonly patienceMs: () => number;
  /** When the oldest record was sent that the peer should have acknowledged, or undefined. */
  readonly oldestSentMs: () => number | undefined;
  /** When the peer was last heard. */
  readonly heardMs: () => number;
  /** Wait for one ACK after which the record counts as swallowed, whatever else the peer says. */
  readonly lostMs: number;
  /** A record that came waited in vain for the one before it. */
  readonly onGap: () => void;
  /** A record that was sent waited in vain for its ACK. */
  readonly onLost: () => void;
  /** The peer owes an answer and has said nothing for `silentMs`; told again and again. */
  readonly onSilence: (silentMs: number, patienceMs: number) => void;
}

/** A timer that is so late was held up by this process: what the peer said meanwhile has not been read yet. */
const OWN_STALL_MS = 200;

export class DeliveryWatch {
  readonly #options: DeliveryWatchOptions;
  #gap: Timer | undefined;
  #silence: Timer | undefined;
  /** When the timer of silence should fire. */
  #dueMs = 0;

  constructor(options: DeliveryWatchOptions) {
    this.#options = options;
  }

  /** A record came, and the one before it has not. */
  noteGap(): void {
    const { clock, gapMs, onGap } = this.#options;
    this.#gap ??= clock.setTimer(gapMs, () => {
      this.#gap = undefined;
      onGap();
    });
  }

  /** Every record that came has its predecessor. */
  noteOrder(): void {
    this.#gap?.cancel();
    this.#gap = undefined;
  }

  /** A record that the peer should acknowledge was sent. */
  noteSent(): void {
    if (this.#silence !== undefined) return;
    const { clock, patienceMs } = this.#options;
    const afterMs = patienceMs();
    this.#dueMs = clock.monotonicMs() + afterMs;
    this.#silence = clock.setTimer(afterMs, () => this.#check());
  }

  cancel(): void {
    this.noteOrder();
    this.#silence?.cancel();
    this.#silence = undefined;
  }

  #check(): void {
    const { clock, patienceMs, oldestSentMs, heardMs, lostMs, onSilence, onLost } = this.#options;
    this.#silence = undefined;
    const sentMs = oldestSentMs();
    if (sentMs === undefined) return;
    const nowMs = clock.monotonicMs();
    const isOwnStall = nowMs - this.#dueMs > OWN_STALL_MS;
    const patience = patienceMs();
    this.noteSent();
    const silentMs = nowMs - Math.max(sentMs, heardMs());
    if (isOwnStall) return;
    if (nowMs - sentMs >= lostMs) onLost();
    else if (silentMs >= patience) onSilence(silentMs, patience);
  }
}
