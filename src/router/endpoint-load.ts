/** One endpoint as a balancer sees it: what is under way there, how fast it answers, and whether it is left alone for now. */

import type { Endpoint } from '../catalog/endpoint.ts';
import { PeakEwma } from '../core/ewma.ts';
import { type Listed, LiveList } from '../core/live-list.ts';
import { Outlier } from './outlier.ts';
import type { Tally } from './success-rate.ts';

/** Assumed before the first answer where no peer has answered yet (Linkerd's `default_rtt`). */
export const INITIAL_LATENCY_MS = 30;
/** Time after which an old observation weighs 1/e (Linkerd's `decay`). */
const DECAY_MS = 10_000;
/**
 * An endpoint that fails at once must not look like the fastest of all (linkerd2-proxy#4537): for so long after a failure it
 * counts as one that takes as long. It ends at once, because a penalty that decays keeps away for a minute who failed once.
 */
const PENALTY_MS = 5_000;
/** Share of an equal endpoint's requests at the start of a warm-up (Envoy's `min_weight_percent`). */
const COLD = 0.1;

/** A request of which no answer has come yet. */
export interface Awaiting extends Listed {
  /** The endpoint has fallen silent: goes elsewhere, if that is allowed and there is somebody. */
  move(): void;
  /** The endpoint is gone, as far as anybody can know: waits no longer, if all of the request was sent. */
  giveUp(): void;
}

export class EndpointLoad {
  /** Replaced when the catalogue changes weight, labels or health; instance and port stay. */
  endpoint: Endpoint;
  /** Requests and connections under way. */
  pending = 0;
  readonly awaiting = new LiveList<Awaiting>();
  readonly outlier = new Outlier();
  /** Attempts of the present interval. */
  tally: Tally = { succeeded: 0, failed: 0 };
  /** Monotonic time of its last answer. */
  answeredMs = Number.NEGATIVE_INFINITY;
  /** Monotonic time until which it has asked to be left alone (Retry-After). */
  busyUntilMs = 0;
  readonly #latency: PeakEwma;
  #penaltyUntilMs = Number.NEGATIVE_INFINITY;
  #warmingFromMs = 0;
  #warmMs = 0;

  /** @param latencyMs assumed until it answers: what its peers take, so that it is neither flooded nor avoided */
  constructor(endpoint: Endpoint, nowMs: number, latencyMs = INITIAL_LATENCY_MS) {
    this.endpoint = endpoint;
    this.#latency = new PeakEwma(latencyMs, DECAY_MS, nowMs);
  }

  /** Mean time to an answer, in milliseconds. */
  get latencyMs(): number {
    return this.#latency.value;
  }

  /** The same; it fades while nothing is answered. */
  latencyAt(nowMs: number): number {
    return this.#latency.valueAt(nowMs);
  }

  /** An answer began `latencyMs` after its request. */
  succeed(latencyMs: number, nowMs: number): void {
    this.#latency.observe(latencyMs, nowMs);
    this.answeredMs = nowMs;
  }

  /** Nothing had come of an answer after `elapsedMs`. */
  outlast(elapsedMs: number, nowMs: number): void {
    if (elapsedMs > this.#latency.value) this.#latency.observe(elapsedMs, nowMs);
  }

  /** It gave no answer, or one that says it is in trouble, after `elapsedMs`. */
  fail(elapsedMs: number, nowMs: number): void {
    this.outlast(elapsedMs, nowMs);
    this.#penaltyUntilMs = nowMs + PENALTY_MS;
  }

  isPenalised(nowMs: number): boolean {
    return nowMs < this.#penaltyUntilMs;
  }

  /** Its failures are past. */
  forgive(): void {
    this.#penaltyUntilMs = Number.NEGATIVE_INFINITY;
  }

  /** It is new, or back: its share grows to the full one within `durationMs`. */
  startWarmUp(nowMs: number, durationMs: number): void {
    this.#warmingFromMs = nowMs;
    this.#warmMs = nowMs + durationMs;
  }

  /** The share of an equal endpoint's requests that it gets, 0.1 to 1. */
  warmth(nowMs: number): number {
    if (nowMs >= this.#warmMs) return 1;
    const part = (nowMs - this.#warmingFromMs) / (this.#warmMs - this.#warmingFromMs);
    return COLD + (1 - COLD) * Math.max(0, part);
  }

  /** Expected wait of one more request, in milliseconds; an endpoint of twice the weight bears twice the load. */
  cost(nowMs: number): number {
    const latencyMs = this.isPenalised(nowMs) ? PENALTY_MS : this.latencyAt(nowMs);
    return (latencyMs * (this.pending + 1)) / this.endpoint.weight;
  }
}
