/** Defaults of the router, each with its reason; a number appears here and nowhere else. */

export interface RouterOptions {
  /** Attempts of one request, the first included: two more than one outlive a rolling restart of two instances. */
  readonly maxAttempts: number;
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
}

export const ROUTER_DEFAULTS: RouterOptions = {
  maxAttempts: 3,
  replayBytes: 64 * 1024,
  maxWaiting: 1024,
  catalogueWaitMs: 5_000,
  maxServices: 1024,
  idleServiceMs: 600_000,
  idleUnknownMs: 60_000,
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
