/** Rates: a token bucket for each key, of so many keys as are kept; the one that was quiet longest makes room. */

import { TokenBucket } from './token-bucket.ts';

/** How often each of several may do something. */
export interface RateLimits {
  /** Of one, in the long run. */
  readonly perSecond: number;
  /** Of one that was quiet, at once. */
  readonly burst: number;
  /** Of how many it is kept; the one that was quiet longest begins anew. */
  readonly maxKeys: number;
}

export class Rates {
  readonly #limits: RateLimits;
  /** The one used last stands last. */
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(limits: RateLimits) {
    this.#limits = limits;
  }

  /** Takes one token of `key`, or none and returns false. */
  take(key: string, nowMs: number): boolean {
    return this.bucket(key, nowMs).take(nowMs);
  }

  /** Takes one token of `key`, also of those to come within `maxWaitMs`. @returns the milliseconds until it is there, `maxWaitMs` at most */
  spend(key: string, nowMs: number, maxWaitMs: number): number {
    const bucket = this.bucket(key, nowMs);
    const waitMs = bucket.spend(nowMs);
    if (waitMs <= maxWaitMs) return waitMs;
    bucket.spend(nowMs, -1);
    return maxWaitMs;
  }

  /** Whether `key` has taken a token that has not come back. */
  isUsed(key: string, nowMs: number): boolean {
    return this.#buckets.get(key)?.isFull(nowMs) === false;
  }

  /** That of `key`. */
  bucket(key: string, nowMs: number): TokenBucket {
    const { perSecond, burst, maxKeys } = this.#limits;
    const bucket = this.#buckets.get(key) ?? new TokenBucket(perSecond, burst, nowMs);
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > maxKeys) {
      const oldest = this.#buckets.keys().next().value;
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    return bucket;
  }
}
