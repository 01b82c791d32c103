/** Sweep: what the store needs to remember no more is removed from it at the start, and now and then. */

import { type Clock, setPeriodic, type Timer } from '../core/clock.ts';
import { toSkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';

/** Each of them can be done again at any time. @throws SkeinError SKEIN_STORE */
export type SweepTask = () => Promise<void>;

const EVERY_MS = 3_600_000;

export class Sweep {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #tasks: readonly SweepTask[];
  #timer: Timer | undefined;

  constructor(clock: Clock, log: Logger, tasks: readonly SweepTask[]) {
    this.#clock = clock;
    this.#log = log;
    this.#tasks = tasks;
  }

  /** @throws SkeinError SKEIN_STORE */
  async start(): Promise<void> {
    await this.#run();
    this.#timer = setPeriodic(this.#clock, EVERY_MS, () => {
      this.#run().catch((thrown) => {
        this.#log.log('warn', 'store-not-swept', { error: toSkeinError(thrown).message });
      });
    });
  }

  close(): void {
    this.#timer?.cancel();
  }

  async #run(): Promise<void> {
    for (const task of this.#tasks) await task();
  }
}
