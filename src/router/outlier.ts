/**
 * `Outlier`: whether one endpoint is left alone because it failed, and when it is tried again — half open, by a single
 * real request, whose outcome decides (Linkerd's circuit breaker; Envoy's outlier detection readmits by time alone). Pure.
 */

import { jitter, type Random } from '../core/random.ts';
import type { RouterOptions } from './options.ts';

const PROBE_SPREAD = 0.1;

export class Outlier {
  /** Failures since the last success. */
  #failures = 0;
  /** Ejections without a success that was more than a probe between them. */
  #ejections = 0;
  /** Monotonic time at which the next request may probe it; undefined while it is not ejected. */
  #probeMs: number | undefined;
  #isProbing = false;

  get isEjected(): boolean {
    return this.#probeMs !== undefined;
  }

  /** A request finds out at this moment. */
  get isProbing(): boolean {
    return this.#isProbing;
  }

  /** May one request find out whether it works again? */
  isProbeDue(nowMs: number): boolean {
    return this.#probeMs !== undefined && !this.#isProbing && nowMs >= this.#probeMs;
  }

  /** The next request to it is the probe. */
  startProbe(): void {
    this.#isProbing = true;
  }

  /** The probe has ended and told nothing: another one may be sent. */
  cancelProbe(): void {
    this.#isProbing = false;
  }

  /** A request was answered well. @returns whether that ends an ejection */
  succeed(): boolean {
    this.#failures = 0;
    if (this.#probeMs === undefined) {
      this.#ejections = 0;
      return false;
    }
    // What was under way before the ejection proves nothing about now.
    if (!this.#isProbing) return false;
    this.#isProbing = false;
    this.#probeMs = undefined;
    return true;
  }

  /** A request failed. @returns whether it has now failed often enough to be ejected */
  fail(nowMs: number, random: Random, limits: RouterOptions): boolean {
    if (this.#probeMs === undefined) return ++this.#failures >= limits.outlierFailures;
    if (this.#isProbing) {
      this.#isProbing = false;
      this.eject(nowMs, random, limits);
    }
    return false;
  }

  /** Leaves it alone, each time in a row for twice as long. */
  eject(nowMs: number, random: Random, { outlierProbeMs, maxOutlierProbeMs }: RouterOptions): void {
    const waitMs = Math.min(outlierProbeMs * 2 ** Math.min(this.#ejections, 30), maxOutlierProbeMs);
    this.#ejections++;
    this.#failures = 0;
    this.#probeMs = nowMs + jitter(random, waitMs, PROBE_SPREAD);
  }
}
