/**
 * Retry budget: what may be tried again, in proportion to what is asked (GEP-3388). While everything fails, a service gets
 * that much more load than without retries, and no more.
 */

import { RollingCounter } from '../core/rolling-counter.ts';

export interface RetryBudgetLimits {
  /** Retries for each hundred requests. */
  readonly retryBudgetPercent: number;
  /** The time over which both are counted. */
  readonly retryBudgetIntervalMs: number;
  /** Retries per second that are always allowed: with few requests a hundredth part of them would be none. */
  readonly minRetriesPerSecond: number;
}

export class RetryBudget {
  #limits: RetryBudgetLimits;
  #requests: RollingCounter;
  #retries: RollingCounter;

  constructor(limits: RetryBudgetLimits) {
    this.#limits = limits;
    this.#requests = new RollingCounter(limits.retryBudgetIntervalMs);
    this.#retries = new RollingCounter(limits.retryBudgetIntervalMs);
  }

  /** Other limits from now on; another interval begins to count anew. */
  set limits(limits: RetryBudgetLimits) {
    if (limits.retryBudgetIntervalMs !== this.#limits.retryBudgetIntervalMs) {
      this.#requests = new RollingCounter(limits.retryBudgetIntervalMs);
      this.#retries = new RollingCounter(limits.retryBudgetIntervalMs);
    }
    this.#limits = limits;
  }

  /** A request begins. */
  note(nowMs: number): void {
    this.#requests.add(nowMs);
  }

  /** Takes one retry, or false: there are too many already. */
  take(nowMs: number): boolean {
    const { retryBudgetPercent, retryBudgetIntervalMs, minRetriesPerSecond } = this.#limits;
    const floor = (minRetriesPerSecond * retryBudgetIntervalMs) / 1000;
    const share = (this.#requests.totalAt(nowMs) * retryBudgetPercent) / 100;
    if (this.#retries.totalAt(nowMs) + 1 > Math.max(floor, share)) return false;
    this.#retries.add(nowMs);
    return true;
  }
}
