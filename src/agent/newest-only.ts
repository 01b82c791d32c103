/** Newest only: of what somebody tells again and again the newest is looked at, one after the other and only so often. The rest is dropped. */

import { type Clock, wait } from '../core/clock.ts';
import { TokenBucket } from '../core/token-bucket.ts';

export interface NewestOnlyOptions<T> {
  readonly clock: Clock;
  /** What is looked at in the long run, and at once. */
  readonly perSecond: number;
  readonly burst: number;
  /** Never rejects. */
  readonly look: (value: T) => Promise<void>;
}

export class NewestOnly<T> {
  readonly #options: NewestOnlyOptions<T>;
  readonly #tokens: TokenBucket;
  readonly #end = new AbortController();
  #next: { readonly value: T } | undefined;
  #working: Promise<void> | undefined;

  constructor(options: NewestOnlyOptions<T>) {
    const { clock, perSecond, burst } = options;
    this.#options = options;
    this.#tokens = new TokenBucket(perSecond, burst, clock.monotonicMs());
  }

  offer(value: T): void {
    this.#next = { value };
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  /** Resolves when all that was offered has been looked at, or dropped. */
  async settled(): Promise<void> {
    while (this.#working !== undefined) await this.#working;
  }

  /** Looks at nothing more. */
  close(): void {
    this.#end.abort();
  }

  async #work(): Promise<void> {
    const { clock, look } = this.#options;
    const { signal } = this.#end;
    while (this.#next !== undefined && !signal.aborted) {
      const waitMs = this.#tokens.spend(clock.monotonicMs());
      if (waitMs > 0) await wait(clock, waitMs, signal).catch(() => undefined); // it was closed
      if (signal.aborted) return;
      const { value } = this.#next;
      this.#next = undefined;
      await look(value);
    }
  }
}
