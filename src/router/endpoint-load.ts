/** One endpoint as a balancer sees it: what is under way there, and how fast it answers. */

import type { Endpoint } from '../catalog/endpoint.ts';
import { PeakEwma } from '../core/ewma.ts';

/** Assumed before the first answer, so that a new endpoint is neither flooded nor avoided (Linkerd's `default_rtt`). */
const INITIAL_MS = 30;
/** Time after which an old observation weighs 1/e (Linkerd's `decay`). */
const DECAY_MS = 10_000;
/** What a failed attempt counts as: an endpoint that fails at once must not look like the fastest of all. */
const FAILURE_MS = 1_000;

export class EndpointLoad {
  /** Replaced when the catalogue changes weight, labels or health; instance and port stay. */
  endpoint: Endpoint;
  /** Requests and connections under way. */
  pending = 0;
  readonly #latency: PeakEwma;

  constructor(endpoint: Endpoint, nowMs: number) {
    this.endpoint = endpoint;
    this.#latency = new PeakEwma(INITIAL_MS, DECAY_MS, nowMs);
  }

  /** An answer began `latencyMs` after its request. */
  succeed(latencyMs: number, nowMs: number): void {
    this.#latency.observe(latencyMs, nowMs);
  }

  fail(elapsedMs: number, nowMs: number): void {
    this.#latency.observe(Math.max(elapsedMs, FAILURE_MS), nowMs);
  }

  /** Expected wait of one more request, in milliseconds; an endpoint of twice the weight bears twice the load. */
  cost(nowMs: number): number {
    return (this.#latency.valueAt(nowMs) * (this.pending + 1)) / this.endpoint.weight;
  }
}
