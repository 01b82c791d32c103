/**
 * `RateLimiter`: how many requests a callee takes, in all and from each caller by its proven identity. The generic cell rate
 * algorithm (ITU-T I.371): one number per caller, the time at which its bucket would be full again. Pure.
 */

import { matchesSpiffePattern, type SpiffePattern, tryParseSpiffePattern } from '../catalog/spiffe-pattern.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';

/** So many requests per interval, evenly, and `burst` of them at once. */
export interface Rate {
  /** 1 or more. */
  readonly requests: number;
  /** In milliseconds. @default 1000 */
  readonly intervalMs?: number | undefined;
  /** Requests at once by a caller that was quiet. @default as many as `requests` */
  readonly burst?: number | undefined;
}

/** A rate of particular callers. */
export interface RateOverride {
  /** SPIFFE ids or patterns of them, as in an AuthorizationPolicy. */
  readonly ids: readonly string[];
  /** Of each of them. */
  readonly rate: Rate;
}

/** How often an instance of a service may be called. */
export interface RateLimitPolicy {
  /** Of all callers together. @default any number */
  readonly total?: Rate | undefined;
  /** Of each caller. @default any number */
  readonly perCaller?: Rate | undefined;
  /** Each of the callers named has this rate instead of `perCaller`; the first that fits counts. */
  readonly overrides?: readonly RateOverride[] | undefined;
}

/** Callers of whom is known when they called; one that is forgotten begins with a full bucket. */
export const MAX_CALLERS = 10_000;

export class RateLimiter {
  readonly #total: Bucket | undefined;
  readonly #perCaller: Bucket | undefined;
  readonly #overrides: readonly { readonly patterns: readonly SpiffePattern[]; readonly bucket: Bucket }[];
  readonly #maxCallers: number;
  /** When the total has all its tokens again. */
  #totalFullMs = Number.NEGATIVE_INFINITY;
  /** By SPIFFE id; the one that called last stands last. */
  readonly #callers = new Map<string, Caller>();

  /** @throws RangeError on a rate or a pattern that is none */
  constructor({ total, perCaller, overrides = [] }: RateLimitPolicy, maxCallers = MAX_CALLERS) {
    this.#total = total && toBucket(total);
    this.#perCaller = perCaller && toBucket(perCaller);
    this.#overrides = overrides.map(({ ids, rate }) => ({ patterns: ids.map(toPattern), bucket: toBucket(rate) }));
    this.#maxCallers = maxCallers;
  }

  /** Callers that are remembered. */
  get size(): number {
    return this.#callers.size;
  }

  /** Takes a token for a request of `id`. @returns 0, or the milliseconds after which there will be one; nothing is taken then */
  take(id: SpiffeId, nowMs: number): number {
    const total = this.#total;
    const caller = this.#callers.get(id.uri) ?? { bucket: this.#bucketOf(id), fullMs: nowMs };
    const own = caller.bucket;
    let ownFullMs = nowMs;
    let totalFullMs = nowMs;
    let waitMs = 0;
    if (own !== undefined) {
      ownFullMs = Math.max(nowMs, caller.fullMs) + own.gapMs;
      waitMs = ownFullMs - nowMs - own.depthMs;
    }
    if (total !== undefined) {
      totalFullMs = Math.max(nowMs, this.#totalFullMs) + total.gapMs;
      waitMs = Math.max(waitMs, totalFullMs - nowMs - total.depthMs);
    }
    // Sums of fractions: a millionth of a millisecond is none.
    if (waitMs > 1e-6) return waitMs;
    this.#totalFullMs = totalFullMs;
    if (own !== undefined) {
      caller.fullMs = ownFullMs;
      this.#remember(id.uri, caller, nowMs);
    }
    return 0;
  }

  #bucketOf(id: SpiffeId): Bucket | undefined {
    const override = this.#overrides.find(({ patterns }) => patterns.some((each) => matchesSpiffePattern(each, id)));
    return override?.bucket ?? this.#perCaller;
  }

  #remember(uri: string, caller: Caller, nowMs: number): void {
    this.#callers.delete(uri);
    this.#callers.set(uri, caller);
    if (this.#callers.size <= this.#maxCallers) return;
    // Those whose buckets are full again are forgotten without a difference; failing that, the one that was quiet longest.
    let forgotten = 0;
    for (const [other, { fullMs }] of this.#callers) {
      if (forgotten > 0 && fullMs > nowMs) return;
      this.#callers.delete(other);
      forgotten++;
    }
  }
}

interface Caller {
  /** undefined: any number. */
  readonly bucket: Bucket | undefined;
  /** When it has all its tokens again. */
  fullMs: number;
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

function toPattern(text: string): SpiffePattern {
  const pattern = tryParseSpiffePattern(text);
  if (pattern === undefined) throw new RangeError(`Cannot limit rate: "${text}" is not a SPIFFE id pattern`);
  return pattern;
}
