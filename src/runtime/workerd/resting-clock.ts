/**
 * A `Clock` that can rest: an object whose timers are set is never put to sleep, so all timers of the hub wait here behind one of
 * the runtime's, which is taken away while nothing happens. Time goes on meanwhile: what was due is late, as in a process that was stopped.
 */

import type { Clock, Timer } from '../../core/clock.ts';

interface Entry {
  readonly dueMs: number;
  /** Of two that are due at once, the one that was set first runs first. */
  readonly order: number;
  /** undefined: cancelled, or it has run. */
  run: (() => void) | undefined;
}

/** Cancelled timers are swept when they are more than those that wait, and more than this. */
const SWEEP_ABOVE = 256;

export class RestingClock implements Clock {
  readonly #inner: Clock;
  /** A binary heap by time. */
  #heap: Entry[] = [];
  #cancelled = 0;
  #orders = 0;
  #armed: { readonly timer: Timer; readonly dueMs: number } | undefined;
  #isResting = false;
  #isFiring = false;

  constructor(inner: Clock) {
    this.#inner = inner;
  }

  /** When the next timer is due, on the monotonic clock; undefined: none is set. */
  get nextMs(): number | undefined {
    this.#dropCancelled();
    return this.#heap[0]?.dueMs;
  }

  epochMs(): number {
    return this.#inner.epochMs();
  }

  monotonicMs(): number {
    return this.#inner.monotonicMs();
  }

  endOfTick(run: () => void): void {
    this.#inner.endOfTick(run);
  }

  setTimer(delayMs: number, run: () => void): Timer {
    const dueMs = this.monotonicMs() + Math.max(0, delayMs);
    const entry: Entry = { dueMs, order: this.#orders++, run };
    this.#push(entry);
    this.#arm();
    return {
      cancel: () => {
        if (entry.run === undefined) return;
        entry.run = undefined;
        if (++this.#cancelled > Math.max(SWEEP_ABOVE, this.#heap.length / 2)) this.#sweep();
      },
    };
  }

  /** No timer runs before `resume`. */
  rest(): void {
    this.#isResting = true;
    this.#disarm();
  }

  resume(): void {
    if (!this.#isResting) return;
    this.#isResting = false;
    this.#arm();
  }

  #arm(): void {
    if (this.#isResting || this.#isFiring) return;
    const dueMs = this.nextMs;
    if (dueMs === undefined || dueMs === this.#armed?.dueMs) return;
    this.#disarm();
    this.#armed = { dueMs, timer: this.#inner.setTimer(dueMs - this.monotonicMs(), () => this.#fire()) };
  }

  #disarm(): void {
    this.#armed?.timer.cancel();
    this.#armed = undefined;
  }

  #fire(): void {
    this.#armed = undefined;
    this.#isFiring = true;
    const nowMs = this.monotonicMs();
    try {
      // One that sets itself anew for now waits for the next turn.
      const last = this.#orders;
      for (
        let next = this.#first();
        next !== undefined && next.dueMs <= nowMs && next.order < last;
        next = this.#first()
      ) {
        this.#pop();
        const { run } = next;
        next.run = undefined;
        run?.();
        if (this.#isResting) break;
      }
    } finally {
      this.#isFiring = false;
      this.#arm();
    }
  }

  #first(): Entry | undefined {
    this.#dropCancelled();
    return this.#heap[0];
  }

  #dropCancelled(): void {
    while (this.#heap[0] !== undefined && this.#heap[0].run === undefined) {
      this.#pop();
      this.#cancelled--;
    }
  }

  #sweep(): void {
    const waiting = this.#heap.filter(({ run }) => run !== undefined);
    this.#heap = [];
    this.#cancelled = 0;
    for (const entry of waiting) this.#push(entry);
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as Entry;
      if (isBefore(above, entry)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Entry, heap[child] as Entry)) child++;
      if (isBefore(last, heap[child] as Entry)) break;
      heap[at] = heap[child] as Entry;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}
