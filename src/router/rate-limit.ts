/**
 * `RateLimiter`: how many requests a callee takes, in all and from each caller by its proven identity. The generic cell rate
 * algorithm (ITU-T I.371): one number per caller, the time at which its bucket would be full again. Pure.
 */

/** So many requests per interval, evenly, and `burst` of them at once. */
export interface Rate {
  /** 1 or more. */
  readonly requests: number;
  /** In milliseconds. @default 1000 */
  readonly intervalMs?: number | undefined;
  /** Requests at once by a caller that was quiet. @default as many as `requests` */
  readonly burst?: number | undefined;
}

export interface RateLimitPolicy {
  /** Of all callers together. @default any number */
  readonly total?: Rate | undefined;
  /** Of each caller. @default any number */
  readonly perCaller?: Rate | undefined;
  /** Of particular callers, by SPIFFE id; each of them instead of `perCaller`. */
  readonly overrides?: ReadonlyMap<string, Rate> | undefined;
}

/** Callers of whom is known when they called; one that is forgotten begins with a full bucket. */
export const MAX_CALLERS = 10_000;

export class RateLimiter {
  readonly #total: Bucket | undefined;
  readonly #perCaller: Bucket | undefined;
  readonly #overrides: ReadonlyMap<string, Bucket>;
  /** When the total has all its tokens again. */
  #totalFullMs = Number.NEGATIVE_INFINITY;
  /** The same for each caller; the one that called last stands last. */
  readonly #fullMs = new Map<string, number>();
  readonly #maxCallers: number;

  /** @throws RangeError on a rate that is none */
  constructor({ total, perCaller, overrides = new Map() }: RateLimitPolicy, maxCallers = MAX_CALLERS) {
    this.#total = total && toBucket(total);
    this.#perCaller = perCaller && toBucket(perCaller);
    this.#overrides = new Map([...overrides].map(([caller, rate]) => [caller, toBucket(rate)]));
    this.#maxCallers = maxCallers;
  }

  /** Callers that are remembered. */
  get callers(): number {
    return this.#fullMs.size;
  }

  /** Takes a token for a request of `caller`. @returns 0, or the milliseconds after which there will be one; nothing is taken then */
  take(caller: string, nowMs: number): number {
    const own = this.#overrides.get(caller) ?? this.#perCaller;
    const total = this.#total;
    let ownFullMs = nowMs;
    let totalFullMs = nowMs;
    let waitMs = 0;
    if (own !== undefined) {
      ownFullMs = Math.max(nowMs, this.#fullMs.get(caller) ?? nowMs) + own.gapMs;
      waitMs = ownFullMs - nowMs - own.depthMs;
    }
    if (total !== undefined) {
      totalFullMs = Math.max(nowMs, this.#totalFullMs) + total.gapMs;
      waitMs = Math.max(waitMs, totalFullMs - nowMs - total.depthMs);
    }
    // Sums of fractions: a millionth of a millisecond is none.
    if (waitMs > 1e-6) return waitMs;
    this.#totalFullMs = totalFullMs;
    if (own !== undefined) this.#remember(caller, ownFullMs, nowMs);
    return 0;
  }

  #remember(caller: string, fullMs: number, nowMs: number): void {
    this.#fullMs.delete(caller);
    this.#fullMs.set(caller, fullMs);
    if (this.#fullMs.size <= this.#maxCallers) return;
    // Those whose buckets are full again are forgotten without a difference; failing that, the one that was quiet longest.
    let forgotten = 0;
    for (const [other, otherFullMs] of this.#fullMs) {
      if (forgotten > 0 && otherFullMs > nowMs) return;
      this.#fullMs.delete(other);
      forgotten++;
    }
  }
}

interface Bucket {
  /** Between two requests at the steady rate. */
  readonly gapMs: number;
  /** The whole bucket as time. */
  readonly depthMs: number;
}

function toBucket({ requests, intervalMs = 1000, burst = requests }: Rate): Bucket {
  for (const value of [requests, intervalMs, burst]) {
    if (!(value > 0) || !Number.isFinite(value)) throw new RangeError('Cannot limit rate: a number is not positive');
  }
  const gapMs = intervalMs / requests;
  return { gapMs, depthMs: gapMs * Math.max(1, burst) };
}
