/** Shares: how many of something each key holds at once, so that nobody alone has them all. */

export class Shares {
  readonly #max: number;
  readonly #counts = new Map<string, number>();

  constructor(max: number) {
    this.#max = max;
  }

  has(key: string): boolean {
    return (this.#counts.get(key) ?? 0) < this.#max;
  }

  /** Takes one for `key`, whether or not it has its share already. Call what it returns once, to give it back. */
  take(key: string): () => void {
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    return () => {
      const left = (this.#counts.get(key) ?? 1) - 1;
      if (left > 0) this.#counts.set(key, left);
      else this.#counts.delete(key);
    };
  }
}
