/** Which record comes next: duplicates are dropped and counted, what runs ahead is kept within a budget (RFC 9000 has no bound here; we do). */

import type { Bytes } from '../core/bytes.ts';
import { toKept } from './circuit.ts';

export type ReplayVerdict = 'next' | 'duplicate' | 'ahead';

export class ReplayWindow {
  readonly #budgetBytes: number;
  readonly #ahead = new Map<number, Bytes>();
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

  /** Judges a record by its number. An early one is kept if the budget allows, and dropped otherwise: the sender has it still. */
  judge(sequence: number, message: Bytes): ReplayVerdict {
    if (sequence === this.#next) return 'next';
    if (sequence < this.#next || this.#ahead.has(sequence)) return 'duplicate';
    if (this.#aheadBytes + message.length <= this.#budgetBytes) {
      this.#ahead.set(sequence, toKept(message));
      this.#aheadBytes += message.length;
    }
    return 'ahead';
  }

  /** The record `next` was opened; returns the following one if it came early. */
  advance(): Bytes | undefined {
    this.#next++;
    const message = this.#ahead.get(this.#next);
    if (message !== undefined) {
      this.#ahead.delete(this.#next);
      this.#aheadBytes -= message.length;
    }
    return message;
  }
}
