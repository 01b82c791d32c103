/**
 * Notices records that went astray. A path is ordered, so a record that is missing behind one that came, or that is never
 * acknowledged, was altered or swallowed on the way; without this both ends would wait for it for ever.
 */

import type { Clock, Timer } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import { protocolError } from './codes.ts';

export interface DeliveryWatchOptions {
  readonly clock: Clock;
  /** Time for the missing record to come, once a later one is there, in milliseconds. */
  readonly gapMs: number;
  /** Wait for an ACK after which the peer is asked to say something, and then again. */
  readonly probeMs: number;
  /** Wait for an ACK that ends the session. */
  readonly lostMs: number;
  /** When the oldest record was sent that the peer should have acknowledged, or undefined. */
  readonly oldestSentMs: () => number | undefined;
  /** Sends a record: where one is missing, the peer sees the gap by it. */
  readonly onProbe: () => void;
  readonly onLost: (error: SkeinError) => void;
}

export class DeliveryWatch {
  readonly #options: DeliveryWatchOptions;
  #gap: Timer | undefined;
  #ack: Timer | undefined;

  constructor(options: DeliveryWatchOptions) {
    this.#options = options;
  }

  /** A record came, and the one before it has not. */
  noteGap(): void {
    const { clock, gapMs, onLost } = this.#options;
    this.#gap ??= clock.setTimer(gapMs, () =>
      onLost(protocolError('Cannot read record: the one before it is missing')),
    );
  }

  /** Every record that came has its predecessor. */
  noteOrder(): void {
    this.#gap?.cancel();
    this.#gap = undefined;
  }

  /** A record that the peer should acknowledge was sent. */
  noteSent(): void {
    const { clock, probeMs } = this.#options;
    this.#ack ??= clock.setTimer(probeMs, () => this.#check());
  }

  cancel(): void {
    this.noteOrder();
    this.#ack?.cancel();
    this.#ack = undefined;
  }

  #check(): void {
    const { clock, probeMs, lostMs, oldestSentMs, onProbe, onLost } = this.#options;
    this.#ack = undefined;
    const sentMs = oldestSentMs();
    if (sentMs === undefined) return;
    const ageMs = clock.monotonicMs() - sentMs;
    if (ageMs >= lostMs) {
      onLost(new SkeinError('SKEIN_SESSION_LOST', 'Cannot use session: the peer acknowledges nothing'));
      return;
    }
    if (ageMs >= probeMs) onProbe();
    this.noteSent();
  }
}
