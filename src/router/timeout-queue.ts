/** Requests with one and the same time limit, the oldest first: one timer for all of them, and none per request. */

import type { Clock } from '../core/clock.ts';

export interface Expiring {
  /** Monotonic time of its end; written here. */
  dueMs: number;
  expire(): void;
}

export class TimeoutQueue {
  readonly #clock: Clock;
  readonly #limitMs: number;
  /** In the order in which they end. */
  readonly #waiting = new Set<Expiring>();
  #isArmed = false;

  constructor(clock: Clock, limitMs: number) {
    this.#clock = clock;
    this.#limitMs = limitMs;
  }

  get limitMs(): number {
    return this.#limitMs;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** From now on `item` has its time; one that waits already begins anew. */
  add(item: Expiring): void {
    item.dueMs = this.#clock.monotonicMs() + this.#limitMs;
    this.#waiting.delete(item);
    this.#waiting.add(item);
    if (!this.#isArmed) this.#arm(this.#limitMs);
  }

  delete(item: Expiring): void {
    this.#waiting.delete(item);
  }

  #arm(delayMs: number): void {
    this.#isArmed = true;
    this.#clock.setTimer(delayMs, this.#fire);
  }

  /** The timer is set again for the oldest that is left, which is once per period and not per request. */
  readonly #fire = (): void => {
    this.#isArmed = false;
    const nowMs = this.#clock.monotonicMs();
    for (const item of this.#waiting) {
      if (item.dueMs > nowMs) {
        if (!this.#isArmed) this.#arm(item.dueMs - nowMs);
        return;
      }
      this.#waiting.delete(item);
      item.expire();
    }
  };
}
