/** `Clock` over the timers of a runtime: one task for all end-of-tick work, and timers that never fire early. */

import type { Clock, Timer } from '../../core/clock.ts';

/** What a runtime has of timers. */
export interface RuntimeTimers<Handle> {
  /** Runs once what has come in by now is handled. */
  readonly defer: (run: () => void) => void;
  /** Must not hold the process open. */
  readonly set: (run: () => void, delayMs: number) => Handle;
  readonly clear: (handle: Handle) => void;
}

/** Longer delays overflow the 32-bit timer of every runtime, which would then fire at once. */
const MAX_DELAY_MS = 0x7fff_ffff;

export class TimerClock<Handle> implements Clock {
  readonly #timers: RuntimeTimers<Handle>;
  #queue: (() => void)[] = [];
  /** The array that the last flush emptied, kept for the next one. */
  #spare: (() => void)[] = [];
  #scheduled = false;

  constructor(timers: RuntimeTimers<Handle>) {
    this.#timers = timers;
  }

  epochMs(): number {
    return Date.now();
  }

  monotonicMs(): number {
    return performance.now();
  }

  endOfTick(run: () => void): void {
    this.#queue.push(run);
    if (!this.#scheduled) {
      this.#scheduled = true;
      this.#timers.defer(this.#flush);
    }
  }

  setTimer(delayMs: number, run: () => void): Timer {
    return new ExactTimer(this.#timers, delayMs, run);
  }

  /** Work added meanwhile waits for the next turn of the loop, so that sockets are served in between. */
  readonly #flush = (): void => {
    const batch = this.#queue;
    this.#queue = this.#spare;
    this.#scheduled = false;
    let next = 0;
    try {
      while (next < batch.length) (batch[next++] as () => void)();
    } finally {
      // One caller's failure must not swallow the work of the others.
      for (; next < batch.length; next++) this.endOfTick(batch[next] as () => void);
      batch.length = 0;
      this.#spare = batch;
    }
  };
}

class ExactTimer<Handle> implements Timer {
  readonly #timers: RuntimeTimers<Handle>;
  #run: () => void;
  readonly #dueMs: number;
  #handle: Handle | undefined;

  constructor(timers: RuntimeTimers<Handle>, delayMs: number, run: () => void) {
    this.#timers = timers;
    this.#run = run;
    this.#dueMs = performance.now() + Math.max(delayMs, 0);
    this.#arm(delayMs);
  }

  cancel(): void {
    if (this.#handle !== undefined) this.#timers.clear(this.#handle);
    this.#handle = undefined;
    // Owners keep timers that are over: what those would have done needs nothing any more.
    this.#run = nothing;
  }

  #arm(delayMs: number): void {
    this.#handle = this.#timers.set(this.#fire, Math.min(Math.max(Math.ceil(delayMs), 0), MAX_DELAY_MS));
  }

  /** A runtime's own time is cached and rounded: a timer may come up to a millisecond early, or at the 24-day limit. */
  readonly #fire = (): void => {
    if (this.#handle === undefined) return;
    const leftMs = this.#dueMs - performance.now();
    if (leftMs > 0) {
      this.#arm(leftMs);
      return;
    }
    this.#handle = undefined;
    const run = this.#run;
    this.#run = nothing;
    run();
  };
}

function nothing(): void {}
