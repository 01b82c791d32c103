/** What time it is at the hubs, as far as they have shown: for the message of a refusal, and for nothing that decides. */

import type { Clock } from '../core/clock.ts';

export class HubTime {
  readonly #clock: Clock;
  #seen: { readonly epochMs: number; readonly monotonicMs: number } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A hub has just said that it is `epochMs`, in whole seconds. */
  note(epochMs: number): void {
    this.#seen = { epochMs, monotonicMs: this.#clock.monotonicMs() };
  }

  /** By how much its clock is ahead of this one, in milliseconds; also after this one was set. Undefined before it was seen. */
  get aheadMs(): number | undefined {
    if (this.#seen === undefined) return undefined;
    const { epochMs, monotonicMs } = this.#seen;
    return epochMs + this.#clock.monotonicMs() - monotonicMs - this.#clock.epochMs();
  }
}
