/** Full-jitter exponential backoff: `random(0, min(cap, base × 2^n))`, the first attempt at once. */

import type { Random } from './random.ts';

export interface BackoffOptions {
  /** Ceiling of the first wait, in milliseconds. @default 250 */
  readonly baseMs?: number;
  /** Ceiling of every wait, in milliseconds. @default 20_000 */
  readonly capMs?: number;
}

export class Backoff {
  readonly #random: Random;
  readonly #baseMs: number;
  readonly #capMs: number;
  #attempts = 0;

  constructor(random: Random, options: BackoffOptions = {}) {
    this.#random = random;
    this.#baseMs = options.baseMs ?? 250;
    this.#capMs = options.capMs ?? 20_000;
  }

  get attempts(): number {
    return this.#attempts;
  }

  /** Milliseconds to wait before the next attempt; 0 for the first. `limitMs`: a lower ceiling, but never below that of the second attempt. */
  nextMs(limitMs: number = this.#capMs): number {
    const n = this.#attempts++;
    if (n === 0) return 0;
    const ceilingMs = Math.min(this.#baseMs * 2 ** Math.min(n, 30), Math.max(limitMs, 2 * this.#baseMs));
    return this.#random.ratio() * Math.min(this.#capMs, ceilingMs);
  }

  reset(): void {
    this.#attempts = 0;
  }

  /** What was wanted came about, but not for long: later waits begin again at `attempts`, so that one bad hour does not make the next minute slow. */
  ease(attempts: number): void {
    this.#attempts = Math.min(this.#attempts, attempts);
  }
}
