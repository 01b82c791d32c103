/** Sealed records that the peer has not acknowledged: a new link resends them byte for byte, never sealed again. */

import type { Bytes } from '../core/bytes.ts';

interface Sent {
  readonly message: Bytes;
  readonly sentMs: number | undefined;
  /** It was sent more than once. */
  readonly isShared: boolean;
}

export class ResendBuffer {
  readonly #onAcknowledged: (message: Bytes) => void;
  readonly #records: (Sent | undefined)[] = [];
  #head = 0;
  #first = 0;
  #bytes = 0;

  /** @param onAcknowledged a message that nobody reads any more */
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
    this.#records.push({ message, sentMs, isShared: false });
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
      if (!record.isShared) this.#onAcknowledged(record.message);
      sentMs = record.sentMs ?? sentMs;
    }
    if (this.#head > 64 && this.#head * 2 > this.#records.length) {
      this.#records.splice(0, this.#head); // amortised: the array never holds more than twice what is kept
      this.#head = 0;
    }
    return sentMs;
  }

  /** The message of a sequence that is kept. */
  at(sequence: number): Bytes {
    return (this.#records[this.#head + sequence - this.#first] as Sent).message;
  }

  /**
   * All that is kept is sent again, from `nowMs` on. The first copies may still wait in the queue of a link, so that their
   * buffers are never used for anything else.
   */
  keepOut(nowMs: number): void {
    for (let i = this.#head; i < this.#records.length; i++) {
      const { message, sentMs } = this.#records[i] as Sent;
      this.#records[i] = { message, sentMs: sentMs === undefined ? undefined : nowMs, isShared: true };
    }
  }

  /** Lets go of room that records have left behind, if none is kept. */
  trim(): void {
    if (this.#bytes === 0) this.clear();
  }

  clear(): void {
    this.#first = this.nextSequence;
    this.#records.length = 0;
    this.#head = 0;
    this.#bytes = 0;
  }
}
