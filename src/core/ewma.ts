/** Time-decayed mean with peak sensitivity: a slow answer raises it at once, quick ones lower it over `decayMs`. */

export class PeakEwma {
  readonly #decayMs: number;
  #value: number;
  #atMs: number;

  /** `initial` is assumed until the first observation, in the unit of the observations. */
  constructor(initial: number, decayMs: number, nowMs: number) {
    this.#value = initial;
    this.#decayMs = decayMs;
    this.#atMs = nowMs;
  }

  observe(sample: number, nowMs: number): void {
    if (sample >= this.#value) {
      this.#value = sample;
    } else {
      const weight = Math.exp(-Math.max(0, nowMs - this.#atMs) / this.#decayMs);
      this.#value = this.#value * weight + sample * (1 - weight);
    }
    this.#atMs = nowMs;
  }

  get value(): number {
    return this.#value;
  }

  /** The mean as it stands now: it falls towards 0 while nothing is observed, so that what was slow once is tried again. */
  valueAt(nowMs: number): number {
    return this.#value * Math.exp(-Math.max(0, nowMs - this.#atMs) / this.#decayMs);
  }
}
