/** When virtual time passes: while somebody waits for something of the mesh, or has told it to, and never by itself. */

import type { VirtualClock } from './virtual-clock.ts';

interface Waiter {
  /** Until when time passes for it. */
  untilMs: number;
  /** Time that passes because it was told to is nobody's patience. */
  readonly isAdvance: boolean;
  readonly onTime: () => void;
}

/** Deno gives chains of promises few turns where few timers fire: what needs no more time may need more of those. */
const LAST_TURNS = 64;

export class Pace {
  readonly #clock: VirtualClock;
  readonly #patienceMs: number;
  readonly #waiters = new Set<Waiter>();
  /** What is looked at after each event. */
  readonly #conditions = new Set<() => void>();
  #isRunning = false;
  #hasChanged = false;

  /** @param patienceMs how much time passes for one thing that is waited for */
  constructor(clock: VirtualClock, patienceMs: number) {
    this.#clock = clock;
    this.#patienceMs = patienceMs;
  }

  /** Moves time by `ms`, and no further for itself. */
  advance(ms: number): Promise<void> {
    // Before the new one is among them.
    for (const waiter of this.#waiters) if (!waiter.isAdvance) waiter.untilMs += ms;
    return new Promise((resolve) => this.#wait(this.#clock.monotonicMs() + ms, true, resolve));
  }

  /** Lets time pass until `work` has ended. @throws Error when it has not in `limitMs`, and what `work` throws */
  run<T>(work: Promise<T>, limitMs: number = this.#patienceMs): Promise<T> {
    return new Promise((resolve, reject) => {
      const give = (): void =>
        reject(new Error(`Cannot wait any longer: not done after ${limitMs / 1000} virtual seconds`));
      const end = this.#wait(this.#clock.monotonicMs() + limitMs, false, give);
      work.then(resolve, reject).finally(end);
    });
  }

  /** Lets time pass until `isDone`. @throws Error when it is not in time */
  until(isDone: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      if (isDone()) return resolve();
      const give = (): void => {
        this.#conditions.delete(check);
        reject(
          new Error(`Cannot wait any longer: it did not come about in ${this.#patienceMs / 1000} virtual seconds`),
        );
      };
      const end = this.#wait(this.#clock.monotonicMs() + this.#patienceMs, false, give);
      const check = (): void => {
        try {
          if (!isDone()) return;
          resolve();
        } catch (thrown) {
          reject(thrown);
        }
        this.#conditions.delete(check);
        end();
      };
      this.#conditions.add(check);
    });
  }

  /** The same for what may never end: after a while time no longer passes for it, and that is all. */
  runAWhile<T>(work: Promise<T>): Promise<T> {
    const end = this.#wait(this.#clock.monotonicMs() + this.#patienceMs, false, () => undefined);
    return work.finally(end);
  }

  #wait(untilMs: number, isAdvance: boolean, onTime: () => void): () => void {
    const waiter: Waiter = { untilMs, isAdvance, onTime };
    this.#waiters.add(waiter);
    this.#hasChanged = true;
    if (!this.#isRunning) void this.#run();
    return () => {
      if (this.#waiters.delete(waiter)) this.#hasChanged = true;
    };
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#waiters.size > 0) {
      this.#hasChanged = false;
      const untilMs = Math.min(...[...this.#waiters].map((waiter) => waiter.untilMs));
      const leftMs = Math.max(0, untilMs - this.#clock.monotonicMs());
      // It comes to rest first: whoever has got what it waited for goes on before time does.
      if (await this.#clock.advanceUntil(() => this.#look(), leftMs)) continue;
      await this.#endWaits();
    }
    this.#isRunning = false;
  }

  #look(): boolean {
    for (const check of this.#conditions) check();
    return this.#hasChanged;
  }

  async #endWaits(): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    const due = [...this.#waiters].filter(({ untilMs }) => untilMs <= nowMs);
    const isPatienceOver = due.some(({ isAdvance }) => !isAdvance);
    for (let turn = 0; isPatienceOver && turn < LAST_TURNS && !this.#hasChanged; turn++) await this.#clock.settle();
    for (const waiter of due) if (this.#waiters.delete(waiter)) waiter.onTime();
  }
}
