/** The clock of another machine: as fast as this one, and set otherwise. */

import type { Clock, Timer } from '../../src/core/clock.ts';

export class WrongClock implements Clock {
  /** By how much its wall time is ahead, in milliseconds; may change. */
  aheadMs: number;
  readonly #clock: Clock;

  constructor(clock: Clock, aheadMs = 0) {
    this.#clock = clock;
    this.aheadMs = aheadMs;
  }

  epochMs(): number {
    return this.#clock.epochMs() + this.aheadMs;
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs();
  }

  endOfTick(run: () => void): void {
    this.#clock.endOfTick(run);
  }

  setTimer(delayMs: number, run: () => void): Timer {
    return this.#clock.setTimer(delayMs, run);
  }
}
