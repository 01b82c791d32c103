/**
 * The ciphers of the next record in each direction, made when one has left and nobody waits: to make one takes as long as to seal a small record. Where each
 * request is a record of its own, as at one connection, that was a tenth of its time. Sessions that are at rest hold none, nor do those on which little is said:
 * a pair takes 3 KB, and ten thousand members of a hub would keep one each for what they say twice a minute.
 */

import type { RecordReceiver } from './record-receiver.ts';
import type { RecordSender } from './record-sender.ts';

/** Fewer records than this between two sweeps are little. */
const BUSY_RECORDS = 8;

export class CiphersAhead {
  readonly #sender: RecordSender;
  readonly #receiver: RecordReceiver;
  /** Sequence of the record to be sealed when it was swept last. */
  #swept = 0;

  constructor(sender: RecordSender, receiver: RecordReceiver) {
    this.#sender = sender;
    this.#receiver = receiver;
  }

  prepare(): void {
    if (this.#sender.nextSequence - this.#swept < BUSY_RECORDS) return;
    this.#sender.prepare(true);
    this.#receiver.prepare(true);
  }

  /** Called now and then: where nothing was sent since, what was made is let go. */
  sweep(): void {
    if (this.#swept === this.#sender.nextSequence) {
      this.#sender.prepare(false);
      this.#receiver.prepare(false);
    }
    this.#swept = this.#sender.nextSequence;
  }
}
