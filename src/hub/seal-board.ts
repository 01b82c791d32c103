/** Seal board: the seal in force with its index, and how it came about, so that each member is told only what is new to it. */

import type { SealEntry, SealIndex } from '../catalog/seal-index.ts';

/** Steps that are remembered; who is further behind is told the whole. */
const MAX_STEPS = 64;

export interface SealNews {
  readonly head: string;
  /** `entries` is the whole index. */
  readonly full: boolean;
  readonly entries: readonly SealEntry[];
}

export class SealBoard {
  #head = '';
  #index: SealIndex | undefined;
  #step = 0;
  /** What each of the last steps has changed. */
  #steps: (readonly SealEntry[])[] = [];

  /** Number of the newest step; 0 before the first. */
  get step(): number {
    return this.#step;
  }

  set(head: string, index: SealIndex): void {
    const changed = this.#index === undefined ? [] : index.since(this.#index);
    this.#head = head;
    this.#index = index;
    this.#step++;
    this.#steps = [...this.#steps, changed].slice(-MAX_STEPS);
  }

  /** What who was told step `told` does not know; 0: nothing was told. */
  since(told: number): SealNews | undefined {
    const index = this.#index;
    if (index === undefined || told === this.#step) return undefined;
    const head = this.#head;
    const missed = this.#step - told;
    if (told === 0 || missed > this.#steps.length) return { head, full: true, entries: [...index.topics] };
    const entries = new Map(this.#steps.slice(-missed).flat());
    return { head, full: false, entries: [...entries] };
  }
}
