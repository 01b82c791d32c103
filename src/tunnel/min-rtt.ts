/** Round trip of a session: the smallest sample of the last 10 s, because an ACK may wait for company. */

const MEMORY_MS = 10_000;
/** A round trip of nothing would make windows divide by zero. */
const FLOOR_MS = 0.05;

export class MinRtt {
  #valueMs = 0;
  #atMs = 0;

  /** Milliseconds; 0 before the first sample. */
  get valueMs(): number {
    return this.#valueMs;
  }

  /** @returns the smallest, with this one */
  observe(sampleMs: number, nowMs: number): number {
    if (this.#valueMs === 0 || sampleMs < this.#valueMs || nowMs - this.#atMs > MEMORY_MS) {
      this.#valueMs = Math.max(sampleMs, FLOOR_MS);
      this.#atMs = nowMs;
    }
    return this.#valueMs;
  }
}
