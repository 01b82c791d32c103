/** What was found out about tokens, by their hashes, for a while: bounded in entries and in what they hold, the oldest use first out. */

interface Kept<T> {
  readonly value: T;
  readonly size: number;
  readonly untilMs: number;
}

export interface TokenCacheLimits {
  readonly maxEntries: number;
  /** Of the sizes that `set` is told. */
  readonly maxSize: number;
}

export class TokenCache<T> {
  readonly #limits: TokenCacheLimits;
  /** The one used last is the last. */
  readonly #kept = new Map<string, Kept<T>>();
  #size = 0;

  constructor(limits: TokenCacheLimits) {
    this.#limits = limits;
  }

  get entries(): number {
    return this.#kept.size;
  }

  get(key: string, nowMs: number): T | undefined {
    const kept = this.#kept.get(key);
    if (kept === undefined) return undefined;
    this.#kept.delete(key);
    if (nowMs >= kept.untilMs) {
      this.#size -= kept.size;
      return undefined;
    }
    this.#kept.set(key, kept);
    return kept.value;
  }

  set(key: string, value: T, size: number, untilMs: number): void {
    this.#size += size - (this.#kept.get(key)?.size ?? 0);
    this.#kept.delete(key);
    this.#kept.set(key, { value, size, untilMs });
    for (const [oldest, { size: freed }] of this.#kept) {
      if (this.#kept.size <= this.#limits.maxEntries && this.#size <= this.#limits.maxSize) break;
      this.#kept.delete(oldest);
      this.#size -= freed;
    }
  }
}
