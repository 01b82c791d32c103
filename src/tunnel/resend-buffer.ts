/** Sealed records that the peer has not acknowledged: a new link resends them byte for byte, never sealed again. */

import type { Bytes } from '../core/bytes.ts';

interface Sent {
  readonly message: Bytes;
  readonly sentMs: number | undefined;
}

export class ResendBuffer {
  readonly #onAcknowledged: (message: Bytes) => void;
  readonly #records: (Sent | undefined)[] = [];
  #head = 0;
  #first = 0;
  #bytes = 0;

  /** @param onAcknowledged a message that is not kept any more */
  constructor(onAcknowledged: (message: Bytes) => void = () => undefined) {
    this.#onAcknowledged = onAcknowledged;
  }

  /** Sequence of the oldest record kept; equal to the next to be sent when all are acknowledged. */
  get firstSequence(): number {
    return this.#first;
  }

  get nextSequence(): number {
    return this.#first + this.#records.length - this.#head;
  }

  /** Bytes kept, headers included. */
  get bytes(): number {
    return this.#bytes;
  }

  /** When the oldest record was sent whose ACK is awaited, in milliseconds. */
  get oldestSentMs(): number | undefined {
    for (let i = this.#head; i < this.#records.length; i++) {
      const sentMs = this.#records[i]?.sentMs;
      if (sentMs !== undefined) return sentMs;
    }
    return undefined;
  }

  /** Keeps the message of sequence `nextSequence`; `sentMs` is undefined when its ACK will tell nothing of the round trip. */
  push(message: Bytes, sentMs: number | undefined): void {
    this.#records.push({ message, sentMs });
    this.#bytes += message.length;
  }

  /**
   * Drops everything below `nextExpected`; returns when the newest of the dropped that measures a round trip was sent,
   * in milliseconds, or undefined when there is none. Acknowledging what was never sent is the caller's error to find.
   */
  acknowledge(nextExpected: number): number | undefined {
    let sentMs: number | undefined;
    while (this.#first < nextExpected && this.#head < this.#records.length) {
      const record = this.#records[this.#head] as Sent;
      this.#records[this.#head++] = undefined;
      this.#first++;
      this.#bytes -= record.message.length;
      this.#onAcknowledged(record.message);
      sentMs = record.sentMs ?? sentMs;
    }
    if (this.#head > 64 && this.#head * 2 > this.#records.length) {
      this.#records.splice(0, this.#head); // amortised: the array never holds more than twice what is kept
      this.#head = 0;
    }
    return sentMs;
  }

  /** What a new link must carry first, oldest first. */
  *unacknowledged(): IterableIterator<Bytes> {
    for (let i = this.#head; i < this.#records.length; i++) yield (this.#records[i] as Sent).message;
  }
}
