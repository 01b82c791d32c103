/** Requests with one and the same time limit, the oldest first: one timer for all of them, and none per request. */

import type { Clock } from '../core/clock.ts';

/** A link of the queue itself, so that waiting costs no memory. The fields are written by the queue. */
export interface Expiring {
  /** Monotonic time of its end; 0 while it does not wait. */
  dueMs: number;
  earlier: Expiring | undefined;
  later: Expiring | undefined;
  expire(): void;
}

export class TimeoutQueue {
  readonly limitMs: number;
  readonly #clock: Clock;
  #first: Expiring | undefined;
  #last: Expiring | undefined;
  #isArmed = false;

  constructor(clock: Clock, limitMs: number) {
    this.#clock = clock;
    this.limitMs = limitMs;
  }

  /** `item`, which does not wait yet, has its time from `nowMs` on. */
  add(item: Expiring, nowMs: number): void {
    item.dueMs = nowMs + this.limitMs;
    item.earlier = this.#last;
    if (this.#last === undefined) this.#first = item;
    else this.#last.later = item;
    this.#last = item;
    if (!this.#isArmed) this.#arm(this.limitMs);
  }

  /** `item` waits no longer. One that does not is left as it is. */
  delete(item: Expiring): void {
    if (item.dueMs === 0) return;
    item.dueMs = 0;
    const { earlier, later } = item;
    if (earlier === undefined) this.#first = later;
    else earlier.later = later;
    if (later === undefined) this.#last = earlier;
    else later.earlier = earlier;
    item.earlier = undefined;
    item.later = undefined;
  }

  #arm(delayMs: number): void {
    this.#isArmed = true;
    this.#clock.setTimer(delayMs, this.#fire);
  }

  /**
   * The timer is set again for the oldest that is left, which is once per period and not per request; not before all that is
   * due has ended, for what begins meanwhile has more time than those who wait.
   */
  readonly #fire = (): void => {
    const nowMs = this.#clock.monotonicMs();
    try {
      for (let item = this.#first; item !== undefined && item.dueMs <= nowMs; item = this.#first) {
        this.delete(item);
        item.expire();
      }
    } finally {
      this.#isArmed = false;
      if (this.#first !== undefined) this.#arm(this.#first.dueMs - nowMs);
    }
  };
}
