/** Which record comes next: duplicates are dropped, and what runs ahead is kept within a budget (RFC 9000 has no bound here; we do). */

import type { Bytes } from '../core/bytes.ts';

/** An opened record that came early. */
export interface Early {
  readonly epoch: number;
  readonly plaintext: Bytes;
  /** Of the message it came in. */
  readonly bytes: number;
}

export class ReplayWindow {
  readonly #budgetBytes: number;
  /** Undefined while none has come early, which is as good as always. */
  #ahead: Map<number, Early> | undefined;
  #aheadBytes = 0;
  #next = 0;

  constructor(budgetBytes: number) {
    this.#budgetBytes = budgetBytes;
  }

  /** Sequence of the next record expected: what an ACK says. */
  get next(): number {
    return this.#next;
  }

  get aheadBytes(): number {
    return this.#aheadBytes;
  }

  /** Whether it came before. */
  has(sequence: number): boolean {
    return sequence < this.#next || this.#ahead?.has(sequence) === true;
  }

  /** Keeps an authentic record for its turn if the budget allows; it is dropped otherwise: the sender has it still. */
  keep(sequence: number, early: Early): void {
    if (this.#aheadBytes + early.bytes > this.#budgetBytes) return;
    const { plaintext } = early;
    // A small one may be a view of much more than its budget says.
    const kept = plaintext.length * 4 < plaintext.buffer.byteLength ? plaintext.slice() : plaintext;
    this.#ahead ??= new Map();
    this.#ahead.set(sequence, { ...early, plaintext: kept });
    this.#aheadBytes += early.bytes;
  }

  /** The record `next` was dealt with; returns the following one if it came early. */
  advance(): Early | undefined {
    this.#next++;
    if (this.#ahead === undefined) return undefined;
    const early = this.#ahead.get(this.#next);
    if (early !== undefined) {
      this.#ahead.delete(this.#next);
      this.#aheadBytes -= early.bytes;
    }
    if (this.#ahead.size === 0) this.#ahead = undefined;
    return early;
  }
}
