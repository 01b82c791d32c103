/**
 * Smooth weighted round robin (nginx): the shares come out exactly over any run of as many choices as the weights add up to,
 * and as evenly as they can in between.
 */

export interface Weighted {
  /** 0: never chosen. */
  readonly weight: number;
}

export class WeightedChoice<T extends Weighted> {
  readonly all: readonly T[];
  readonly #items: readonly T[];
  readonly #total: number;
  /** How much each is owed; changes with every choice. */
  readonly #owed: number[];

  constructor(items: readonly T[]) {
    this.all = items;
    this.#items = items.filter(({ weight }) => weight > 0);
    this.#total = this.#items.reduce((sum, { weight }) => sum + weight, 0);
    this.#owed = this.#items.map(() => 0);
  }

  /** Sum of the weights. */
  get total(): number {
    return this.#total;
  }

  /** @returns undefined when nothing has a weight */
  next(): T | undefined {
    if (this.#items.length <= 1) return this.#items[0];
    const best = this.#best();
    for (let i = 0; i < this.#items.length; i++) {
      this.#owed[i] = (this.#owed[i] as number) + (this.#items[i] as T).weight;
    }
    this.#owed[best] = (this.#owed[best] as number) - this.#total;
    return this.#items[best];
  }

  /** What `next` would give. */
  peek(): T | undefined {
    return this.#items[this.#best()];
  }

  #best(): number {
    let best = 0;
    let most = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < this.#items.length; i++) {
      const owed = (this.#owed[i] as number) + (this.#items[i] as T).weight;
      if (owed <= most) continue;
      most = owed;
      best = i;
    }
    return best;
  }
}
