/** `Clock` on Node's timers: unref'ed timers that never fire early, one `setImmediate` for all end-of-tick work. */

import { clearTimeout, setImmediate, setTimeout } from 'node:timers';
import type { Clock, Timer } from '../../core/clock.ts';

/** Longer delays overflow the runtime's 32-bit timer, which would then fire at once. */
const MAX_DELAY_MS = 0x7fff_ffff;

export class NodeClock implements Clock {
  #queue: (() => void)[] = [];
  /** The array that the last flush emptied, kept for the next one. */
  #spare: (() => void)[] = [];
  #scheduled = false;

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
      setImmediate(this.#flush);
    }
  }

  setTimer(delayMs: number, run: () => void): Timer {
    return new NodeTimer(delayMs, run);
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

class NodeTimer implements Timer {
  readonly #run: () => void;
  readonly #dueMs: number;
  #handle: ReturnType<typeof setTimeout> | undefined;

  constructor(delayMs: number, run: () => void) {
    this.#run = run;
    this.#dueMs = performance.now() + Math.max(delayMs, 0);
    this.#arm(delayMs);
  }

  cancel(): void {
    clearTimeout(this.#handle);
    this.#handle = undefined;
  }

  #arm(delayMs: number): void {
    this.#handle = setTimeout(this.#fire, Math.min(Math.max(Math.ceil(delayMs), 0), MAX_DELAY_MS)).unref();
  }

  /** The loop's own time is cached and rounded: a timer may come up to a millisecond early, or at the 24-day limit. */
  readonly #fire = (): void => {
    if (this.#handle === undefined) return;
    const leftMs = this.#dueMs - performance.now();
    if (leftMs > 0) {
      this.#arm(leftMs);
      return;
    }
    this.#handle = undefined;
    this.#run();
  };
}
