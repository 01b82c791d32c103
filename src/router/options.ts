/** Defaults of the router, each with its reason; a number appears here and nowhere else. */

/** How requests are tried again, and whom they avoid: whole numbers from 1. */
export interface RouterOptions {
  /** Attempts of one request, the first included: two more than one outlive a rolling restart of two instances. */
  readonly maxAttempts: number;
  /**
   * How long one waits for an answer to begin where neither its caller nor a route gives another time: from the end of the request
   * to the head of the answer. Not for calls of gRPC, event streams and upgrades; nor is a body ever cut. As Envoy's route timeout.
   */
  readonly requestTimeoutMs: number;
  /** Retries of what an application may have seen, for each hundred requests to a service. As Linkerd, Envoy and GEP-3388 have it. */
  readonly retryBudgetPercent: number;
  /** The time over which both are counted. */
  readonly retryBudgetIntervalMs: number;
  /** Such retries per second that are always allowed. */
  readonly minRetriesPerSecond: number;
  /** Copies of requests on their way at once. */
  readonly maxMirrored: number;
  /** How long one may take: nobody waits for it, so that nobody ends it. */
  readonly mirrorTimeoutMs: number;
  /** Bytes of a request body kept so that it can be sent again; a longer body is sent once. As Linkerd has it. */
  readonly replayBytes: number;
  /** Requests that wait at once until the catalogue has told of their service. */
  readonly maxWaiting: number;
  /** How long one waits for that: a hub answers in a round trip, and one that is away is seldom back sooner. */
  readonly catalogueWaitMs: number;
  /** Services in use at once; as many as one member may watch. */
  readonly maxServices: number;
  /** A service nobody has called for so long is forgotten, and no longer watched. */
  readonly idleServiceMs: number;
  /** The same for names that nobody serves: typing errors must not fill the table. */
  readonly idleUnknownMs: number;
  /** Requests under way to one service at once; more are refused. As Envoy's circuit breaker has it. */
  readonly maxPendingRequests: number;
  /** The same of raw connections. */
  readonly maxConnections: number;
  /** Gateway errors and broken connections in a row after which an endpoint is left alone. As Envoy's `consecutive_5xx`. */
  readonly outlierFailures: number;
  /** How often the endpoints' rates of success are compared. */
  readonly outlierIntervalMs: number;
  /** Time until an endpoint that was left alone is probed by a request; it doubles when that fails. As Linkerd's penalties. */
  readonly outlierProbeMs: number;
  /** The longest. */
  readonly maxOutlierProbeMs: number;
  /** Of a service's healthy endpoints, at most so many are left alone at once; one of two always, the last one never. */
  readonly maxEjectedPercent: number;
  /** With fewer usable endpoints than this part of all that are known, all healthy ones are used. As Envoy's panic threshold. */
  readonly panicPercent: number;
  /** Time in which the share of an endpoint that is new or back grows to the full one. */
  readonly warmUpMs: number;
  /** Longest Retry-After that is honoured. As Linkerd's. */
  readonly maxRestMs: number;
}

export const ROUTER_DEFAULTS: RouterOptions = {
  maxAttempts: 3,
  requestTimeoutMs: 15_000,
  retryBudgetPercent: 20,
  retryBudgetIntervalMs: 10_000,
  minRetriesPerSecond: 10,
  maxMirrored: 128,
  mirrorTimeoutMs: 15_000,
  replayBytes: 64 * 1024,
  maxWaiting: 1024,
  catalogueWaitMs: 5_000,
  maxServices: 1024,
  idleServiceMs: 600_000,
  idleUnknownMs: 60_000,
  maxPendingRequests: 1024,
  maxConnections: 1024,
  outlierFailures: 5,
  outlierIntervalMs: 10_000,
  outlierProbeMs: 1_000,
  maxOutlierProbeMs: 60_000,
  maxEjectedPercent: 50,
  panicPercent: 50,
  warmUpMs: 10_000,
  maxRestMs: 300_000,
};

/** @throws RangeError on a value that is no positive integer */
export function resolveRouterOptions(options: Partial<RouterOptions> = {}): RouterOptions {
  const resolved: RouterOptions = { ...ROUTER_DEFAULTS, ...options };
  for (const [name, value] of Object.entries(resolved)) {
    if (!Object.hasOwn(ROUTER_DEFAULTS, name)) throw new RangeError(`Cannot use router option "${name}": unknown name`);
    if (!Number.isSafeInteger(value) || value <= 0) {
      throw new RangeError(`Cannot use router option "${name}": not a positive integer`);
    }
  }
  return resolved;
}
