/** `Clock` whose time moves only when told: timers and end-of-tick work run in one order, the same on every run. */

import type { Clock, Timer } from '../core/clock.ts';

export interface VirtualClockOptions {
  /** Wall time at the start, in milliseconds since 1970. @default 1_700_000_000_000 */
  readonly epochMs?: number;
  /** Events after which a run at one instant is taken for a loop. @default 1_000_000 */
  readonly maxEvents?: number;
  /** The clock of the runtime, whose ends of tick cost a fifth of a message to oneself. @default such messages */
  readonly host?: Pick<Clock, 'endOfTick'> | undefined;
}

export class VirtualClock implements Clock {
  readonly #maxEvents: number;
  readonly #nextTask: (run: () => void) => void;
  readonly #timers = new TimerHeap();
  #epochOffsetMs: number;
  #nowMs = 0;
  #order = 0;
  #tick: (() => void)[] = [];
  /** Real work in flight (`track`): while there is any, time stands still in `advanceAsync`. */
  #tracked = 0;
  /** Some has ended, and what it sets off may not have happened yet. */
  #hasWorkBehind = false;

  constructor(options: VirtualClockOptions = {}) {
    this.#epochOffsetMs = options.epochMs ?? 1_700_000_000_000;
    this.#maxEvents = options.maxEvents ?? 1_000_000;
    const { host } = options;
    this.#nextTask = host === undefined ? runInNextTask : (run) => host.endOfTick(run);
  }

  epochMs(): number {
    return Math.floor(this.#epochOffsetMs + this.#nowMs);
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  endOfTick(run: () => void): void {
    this.#tick.push(run);
  }

  setTimer(delayMs: number, run: () => void): Timer {
    if (Number.isNaN(delayMs)) throw new RangeError('Cannot set timer: delay is not a number');
    const timer = new VirtualTimer(this.#nowMs + Math.max(delayMs, 0), this.#order++, run);
    this.#timers.add(timer);
    return timer;
  }

  /** Timers that were set and neither fired nor were cancelled. */
  get pendingTimers(): number {
    return this.#timers.live;
  }

  /** Moves the wall clock alone, as an administrator or NTP would. */
  shiftEpoch(byMs: number): void {
    this.#epochOffsetMs += byMs;
  }

  /** Runs all that is due at this instant; time does not move. Promises are not waited for: see `settle`. */
  runUntilIdle(): void {
    for (let events = 0; this.#step(this.#nowMs); events++) this.#guard(events);
  }

  /** Moves time by `ms`, running what falls due in order. Promises are not waited for: see `advanceAsync`. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (let events = 0; this.#step(untilMs); events++) this.#guard(events);
    this.#nowMs = untilMs;
  }

  /**
   * Counts real asynchronous work (WebCrypto runs on other threads), so that `settle` and `advanceAsync` wait for it
   * instead of letting virtual deadlines pass meanwhile.
   */
  async track<T>(work: Promise<T>): Promise<T> {
    this.#tracked++;
    try {
      return await work;
    } finally {
      this.#tracked--;
      this.#hasWorkBehind = true;
    }
  }

  /** Like `runUntilIdle`, with promises and tracked work settled too. */
  async settle(): Promise<void> {
    await this.#quiet(this.#nowMs);
  }

  /** Like `advance`, with promises and tracked work settled after every event. */
  async advanceAsync(ms: number): Promise<void> {
    await this.advanceUntil(() => false, ms);
  }

  /** Moves time event by event until `done`, at most by `limitMs`; returns whether it came about. */
  async advanceUntil(done: () => boolean, limitMs: number): Promise<boolean> {
    const untilMs = this.#nowMs + limitMs;
    for (let events = 0; ; events++) {
      this.#guard(events);
      await this.#quiet(this.#nowMs);
      if (done()) return true;
      const next = this.#timers.peek();
      if (next === undefined || next.dueMs > untilMs) break;
      if (next.dueMs > this.#nowMs) events = 0;
      this.#step(untilMs);
    }
    this.#nowMs = untilMs;
    return false;
  }

  /** Runs one event due by `untilMs`; false when there is none. */
  #step(untilMs: number): boolean {
    if (this.#tick.length > 0) {
      const batch = this.#tick;
      this.#tick = [];
      for (const run of batch) run();
      return true;
    }
    const timer = this.#timers.peek();
    if (timer === undefined || timer.dueMs > untilMs) return false;
    this.#timers.removeFirst();
    this.#nowMs = Math.max(this.#nowMs, timer.dueMs);
    timer.fire();
    return true;
  }

  /** Without a promise for each task: test runners watch every one of them, which takes longer than all else. */
  #quiet(nowMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let events = 0;
      let still = 0;
      const look = (): void => {
        try {
          this.#guard(events++);
          // Nothing happens beside real work, nor in the task in which some ends: what came first would depend on how long it takes.
          const isBusy = this.#tracked > 0 || this.#hasWorkBehind;
          this.#hasWorkBehind = false;
          still = isBusy || this.#step(nowMs) ? 0 : still + 1;
        } catch (thrown) {
          reject(thrown);
          return;
        }
        if (still < 2) this.#nextTask(look);
        else resolve();
      };
      this.#nextTask(look);
    });
  }

  #guard(events: number): void {
    if (events > this.#maxEvents) throw new Error(`Cannot run clock: ${events} events without coming to rest`);
  }
}

/** Calls `run` in the runtime's next task, when every promise that could settle by itself has settled. */
export function runInNextTask(run: () => void): void {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    run();
  };
  port2.postMessage(undefined);
}

class VirtualTimer implements Timer {
  readonly dueMs: number;
  readonly order: number;
  run: (() => void) | undefined;

  constructor(dueMs: number, order: number, run: () => void) {
    this.dueMs = dueMs;
    this.order = order;
    this.run = run;
  }

  cancel(): void {
    this.run = undefined;
  }

  fire(): void {
    const run = this.run;
    this.run = undefined;
    run?.();
  }
}

/** Binary heap by due time, then by the order in which the timers were set. */
class TimerHeap {
  #items: VirtualTimer[] = [];

  get live(): number {
    let count = 0;
    for (const timer of this.#items) if (timer.run !== undefined) count++;
    return count;
  }

  add(timer: VirtualTimer): void {
    const items = this.#items;
    let at = items.push(timer) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const other = items[parent] as VirtualTimer;
      if (!isBefore(timer, other)) break;
      items[at] = other;
      at = parent;
    }
    items[at] = timer;
  }

  /** The first timer that was not cancelled. */
  peek(): VirtualTimer | undefined {
    while (this.#items.length > 0 && this.#items[0]?.run === undefined) this.removeFirst();
    return this.#items[0];
  }

  removeFirst(): void {
    const items = this.#items;
    const last = items.pop();
    if (last === undefined || items.length === 0) return;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && isBefore(items[child + 1] as VirtualTimer, items[child] as VirtualTimer)) child++;
      const other = items[child] as VirtualTimer;
      if (!isBefore(other, last)) break;
      items[at] = other;
      at = child;
    }
    items[at] = last;
  }
}

function isBefore(a: VirtualTimer, b: VirtualTimer): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}
