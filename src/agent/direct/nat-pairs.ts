/** Which kind of round has opened a way between two NATs, for as many pairs as are kept. */

import type { Vantage } from './candidates.ts';

export class NatPairs {
  readonly #max: number;
  /** Whether SYNs had to cross; the pair that was noted last stands last. */
  readonly #pairs = new Map<string, boolean>();

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#pairs.size;
  }

  note(vantage: Vantage, isCrossed: boolean): void {
    const key = toKey(vantage);
    this.#pairs.delete(key);
    this.#pairs.set(key, isCrossed);
    const oldest = this.#pairs.keys().next().value;
    if (this.#pairs.size > this.#max && oldest !== undefined) this.#pairs.delete(oldest);
  }

  crosses(vantage: Vantage): boolean {
    return this.#pairs.get(toKey(vantage)) ?? false;
  }
}

function toKey({ own, peer }: Vantage): string {
  return `${own} ${peer}`;
}
