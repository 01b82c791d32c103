/** What one peer may make this member do in a minute: consider offers, and dial in rounds of punching. */

import type { Clock } from '../../core/clock.ts';
import type { DirectLimits } from './options.ts';

const MINUTE_MS = 60_000;

export class PeerBudget {
  readonly #clock: Clock;
  readonly #limits: Pick<DirectLimits, 'offersPerMinute' | 'roundsPerMinute'>;
  readonly #offersMs: number[] = [];
  readonly #roundsMs: number[] = [];

  constructor(clock: Clock, limits: Pick<DirectLimits, 'offersPerMinute' | 'roundsPerMinute'>) {
    this.#clock = clock;
    this.#limits = limits;
  }

  takeOffer(): boolean {
    return this.#take(this.#offersMs, this.#limits.offersPerMinute);
  }

  takeRound(): boolean {
    return this.#take(this.#roundsMs, this.#limits.roundsPerMinute);
  }

  #take(timesMs: number[], max: number): boolean {
    const nowMs = this.#clock.monotonicMs();
    while (timesMs[0] !== undefined && nowMs - timesMs[0] >= MINUTE_MS) timesMs.shift();
    if (timesMs.length >= max) return false;
    timesMs.push(nowMs);
    return true;
  }
}
