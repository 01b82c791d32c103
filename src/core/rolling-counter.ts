/** Counts of the last so many milliseconds, in fixed memory: the window moves in tenths. */

const BUCKETS = 10;

export class RollingCounter {
  readonly #bucketMs: number;
  readonly #counts = new Uint32Array(BUCKETS);
  /** Number of the newest bucket since the start of the clock. */
  #newest = 0;
  #total = 0;

  constructor(windowMs: number) {
    this.#bucketMs = windowMs / BUCKETS;
  }

  add(nowMs: number): void {
    this.#moveTo(nowMs);
    const at = this.#newest % BUCKETS;
    this.#counts[at] = (this.#counts[at] as number) + 1;
    this.#total++;
  }

  totalAt(nowMs: number): number {
    this.#moveTo(nowMs);
    return this.#total;
  }

  #moveTo(nowMs: number): void {
    const bucket = Math.floor(nowMs / this.#bucketMs);
    if (bucket <= this.#newest) return;
    const steps = Math.min(bucket - this.#newest, BUCKETS);
    for (let i = 1; i <= steps; i++) {
      const at = (bucket - steps + i) % BUCKETS;
      this.#total -= this.#counts[at] as number;
      this.#counts[at] = 0;
    }
    this.#newest = bucket;
  }
}
