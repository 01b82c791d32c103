/** What all sessions of a process hold for readers that have not read it, together. */

import { WindowBudget } from './window-budget.ts';

/** Part of the budget above which windows grow no more, and readers that sleep get less time (ratio). */
const TIGHT_AT = 0.75;

export class UnreadBudget {
  readonly limitBytes: number;
  /** What streams' windows have grown by: what comes there at once when many readers that were quick fall asleep. */
  readonly growth: WindowBudget;
  #bytes = 0;

  /** @param limitBytes of all sessions of the process */
  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
    this.growth = new WindowBudget(limitBytes);
  }

  get bytes(): number {
    return this.#bytes;
  }

  get isTight(): boolean {
    return this.#bytes > TIGHT_AT * this.limitBytes;
  }

  /** Bytes that arrived, or less than none: that were read, or given up. */
  add(bytes: number): void {
    this.#bytes += bytes;
  }
}
