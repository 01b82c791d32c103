/** One deadline of one connection, moved at every step of a request without touching a timer. */

import type { Clock, Timer } from '../core/clock.ts';

export class ConnectionDeadline {
  readonly #clock: Clock;
  readonly #onExpire: () => void;
  #dueMs = Number.POSITIVE_INFINITY;
  #timer: Timer | undefined;
  #timerMs = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, onExpire: () => void) {
    this.#clock = clock;
    this.#onExpire = onExpire;
  }

  /** Replaces the deadline. A timer that comes too early is set again then, which is once per period and not per request. */
  set(delayMs: number): void {
    this.#dueMs = this.#clock.monotonicMs() + delayMs;
    if (this.#dueMs < this.#timerMs) this.#arm(delayMs);
  }

  clear(): void {
    this.#dueMs = Number.POSITIVE_INFINITY;
  }

  /** No deadline any more, and no timer left behind. */
  stop(): void {
    this.clear();
    this.#timer?.cancel();
    this.#timerMs = Number.POSITIVE_INFINITY;
  }

  #arm(delayMs: number): void {
    this.#timer?.cancel();
    this.#timerMs = this.#dueMs;
    this.#timer = this.#clock.setTimer(delayMs, this.#fire);
  }

  readonly #fire = (): void => {
    this.#timerMs = Number.POSITIVE_INFINITY;
    if (this.#dueMs === Number.POSITIVE_INFINITY) return;
    const leftMs = this.#dueMs - this.#clock.monotonicMs();
    if (leftMs > 0) {
      this.#arm(leftMs);
      return;
    }
    this.clear();
    this.#onExpire();
  };
}
