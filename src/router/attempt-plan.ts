/** How a request is tried: once per rule, for all of its requests. */

import type { Filter } from './filters/filter.ts';
import type { RouterOptions } from './options.ts';
import type { RetryPolicy } from './retry.ts';

export interface AttemptPlan {
  readonly retry: RetryPolicy;
  /** Time of one attempt, from its beginning to the end of its answer; 0: any. */
  readonly timeoutMs: number;
  /** What stands before the endpoint. */
  readonly filters: readonly Filter[];
}

/** The plan of requests that no route says anything about. */
export function toDefaultPlan({ maxAttempts }: RouterOptions): AttemptPlan {
  const retry = { retries: maxAttempts - 1, codes: NO_CODES, backoffMs: 0, isAsked: false };
  return { retry, timeoutMs: 0, filters: [] };
}

const NO_CODES: ReadonlySet<number> = new Set();
