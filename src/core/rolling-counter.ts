/** Counts of the last so many milliseconds, in fixed memory: the window moves in steps, tenths when nobody says. */

const BUCKETS = 10;

export class RollingCounter {
  readonly #bucketMs: number;
  readonly #counts: Uint32Array;
  /** Number of the newest bucket since the start of the clock. */
  #newest = 0;
  #total = 0;

  constructor(windowMs: number, buckets: number = BUCKETS) {
    this.#bucketMs = windowMs / buckets;
    this.#counts = new Uint32Array(buckets);
  }

  add(nowMs: number): void {
    this.#moveTo(nowMs);
    const at = this.#newest % this.#counts.length;
    this.#counts[at] = (this.#counts[at] as number) + 1;
    this.#total++;
  }

  totalAt(nowMs: number): number {
    this.#moveTo(nowMs);
    return this.#total;
  }

  /** Of the last `withinMs`, in steps that have begun. */
  totalWithin(nowMs: number, withinMs: number): number {
    this.#moveTo(nowMs);
    const { length } = this.#counts;
    const steps = Math.min(length, Math.max(1, Math.ceil(withinMs / this.#bucketMs)));
    let total = 0;
    for (let i = 0; i < steps; i++) total += this.#counts[(this.#newest + length - i) % length] as number;
    return total;
  }

  #moveTo(nowMs: number): void {
    const bucket = Math.floor(nowMs / this.#bucketMs);
    if (bucket <= this.#newest) return;
    const { length } = this.#counts;
    const steps = Math.min(bucket - this.#newest, length);
    for (let i = 1; i <= steps; i++) {
      const at = (bucket - steps + i) % length;
      this.#total -= this.#counts[at] as number;
      this.#counts[at] = 0;
    }
    this.#newest = bucket;
  }
}
