/** When virtual time passes: while somebody waits for something of the mesh, or has told it to, and never by itself. */

import type { VirtualClock } from './virtual-clock.ts';

interface Waiter {
  /** Until when time passes for it. */
  untilMs: number;
  /** Time that passes because it was told to is nobody's patience. */
  readonly isAdvance: boolean;
  readonly onTime?: () => void;
  readonly onFailure?: (thrown: unknown) => void;
}

/** Deno gives chains of promises few turns where few timers fire: what needs no more time may need more of those. */
const LAST_TURNS = 64;

export class Pace {
  readonly #clock: VirtualClock;
  readonly #patienceMs: number;
  readonly #waiters = new Set<Waiter>();
  /** What is looked at after each event. */
  readonly #looks = new Set<() => void>();
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
    return new Promise((resolve, reject) => {
      this.#wait({ untilMs: this.#nowMs + ms, isAdvance: true, onTime: resolve, onFailure: reject });
    });
  }

  /** Lets time pass until `work` has ended. @throws Error when it has not in `limitMs`, and what `work` throws */
  run<T>(work: Promise<T>, limitMs: number = this.#patienceMs): Promise<T> {
    return new Promise((resolve, reject) => {
      const onTime = (): void =>
        reject(new Error(`Cannot wait any longer: it has not come about in ${limitMs / 1000} virtual seconds`));
      const end = this.#wait({ untilMs: this.#nowMs + limitMs, isAdvance: false, onTime, onFailure: reject });
      work.then(resolve, reject).finally(end);
    });
  }

  /** Lets time pass until `isDone`, which is asked after each event. @throws Error when it is not in `limitMs`, and what `isDone` throws */
  until(isDone: () => boolean, limitMs: number = this.#patienceMs): Promise<void> {
    const work = new Promise<void>((resolve, reject) => {
      const look = (): void => {
        try {
          if (!isDone()) return;
          resolve();
        } catch (thrown) {
          reject(thrown);
        }
        this.#looks.delete(look);
        // No event comes between this one and whoever has waited for it.
        this.#hasChanged = true;
      };
      this.#looks.add(look);
      look();
    });
    return this.run(work, limitMs);
  }

  /** The same for what may never end: after a while time no longer passes for it, and that is all. */
  runAWhile<T>(work: Promise<T>): Promise<T> {
    const end = this.#wait({ untilMs: this.#nowMs + this.#patienceMs, isAdvance: false });
    return work.finally(end);
  }

  get #nowMs(): number {
    return this.#clock.monotonicMs();
  }

  #wait(waiter: Waiter): () => void {
    this.#waiters.add(waiter);
    this.#hasChanged = true;
    if (!this.#isRunning) void this.#run();
    return () => {
      if (this.#waiters.delete(waiter)) this.#hasChanged = true;
    };
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    try {
      while (this.#waiters.size > 0) {
        this.#hasChanged = false;
        const untilMs = Math.min(...[...this.#waiters].map((waiter) => waiter.untilMs));
        // It comes to rest first: whoever has got what it waited for goes on before time does.
        if (await this.#clock.advanceUntil(this.#look, Math.max(0, untilMs - this.#nowMs))) continue;
        await this.#endWaits();
      }
    } catch (thrown) {
      // Something of the mesh has thrown where nobody catches: who waits would wait for ever.
      for (const { onFailure } of this.#waiters) onFailure?.(thrown);
      this.#waiters.clear();
    } finally {
      this.#isRunning = false;
    }
  }

  readonly #look = (): boolean => {
    for (const look of this.#looks) look();
    return this.#hasChanged;
  };

  async #endWaits(): Promise<void> {
    const nowMs = this.#nowMs;
    const due = [...this.#waiters].filter(({ untilMs }) => untilMs <= nowMs);
    const isPatienceOver = due.some(({ isAdvance }) => !isAdvance);
    for (let turn = 0; isPatienceOver && turn < LAST_TURNS && !this.#hasChanged; turn++) await this.#clock.settle();
    for (const waiter of due) if (this.#waiters.delete(waiter)) waiter.onTime?.();
  }
}
