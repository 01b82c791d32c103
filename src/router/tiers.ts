/** Tiers: a backend's endpoints by distance, nearest first, with the share of the requests that each distance gets now. */

import type { Endpoint } from '../catalog/endpoint.ts';
import { type EndpointLoad, INITIAL_LATENCY_MS } from './endpoint-load.ts';
import type { DoubtfulLocalityFact } from './events.ts';
import { type Locality, measureDistance, orderByRtt, shareByDistance, shareOfSpill } from './locality.ts';

/** Endpoints at one distance, and which share of the requests is theirs. */
export interface Tier {
  readonly warm: readonly EndpointLoad[];
  /** Those that warm up. */
  readonly cold: readonly EndpointLoad[];
  readonly share: number;
}

export interface Weighed {
  readonly tiers: readonly Tier[];
  /** Monotonic time at which they are something else. */
  readonly validUntilMs: number;
  /** Some requests go further away because those who are near are slow. */
  readonly isSpilling: boolean;
}

export type Doubt = Omit<DoubtfulLocalityFact, 'service'>;

export type FindRtt = (endpoint: Endpoint) => number | undefined;

/** While an endpoint warms up the tiers are weighed anew so often. */
const WARM_UP_STEP_MS = 200;
/** So often it is looked whether those who are near are slow. */
const SPILL_STEP_MS = 500;
/** So often how far other regions are. */
const RTT_STEP_MS = 5_000;
/** A round trip that nobody has measured. */
const UNKNOWN_RTT_MS = 70;
/** How long an endpoint takes that is seldom asked is known for so long, and forgotten in this time. */
const KNOWN_MS = 10_000;
const FORGOTTEN_MS = 60_000;
/** So much further than one elsewhere, and a label is doubtful. */
const DOUBT_RATIO = 3;
const DOUBT_MS = 10;

export class Distances {
  readonly #here: Locality;
  /** The own zone, and the rest of the own region. */
  #near: readonly (readonly EndpointLoad[])[] = [];
  #regions: readonly (readonly EndpointLoad[])[] = [];
  #doubted = new Set<string>();

  constructor(here: Locality) {
    this.#here = here;
  }

  update(loads: readonly EndpointLoad[]): void {
    const near: EndpointLoad[][] = [[], []];
    const regions = new Map<string, EndpointLoad[]>();
    for (const load of loads) {
      const { endpoint } = load;
      const distance = measureDistance(this.#here, endpoint);
      const known = distance === 2 ? regions.get(endpoint.region) : near[distance];
      if (known === undefined) regions.set(endpoint.region, [load]);
      else known.push(load);
    }
    this.#near = near;
    this.#regions = [...regions.values()];
    const here = new Set(loads.map(({ endpoint }) => endpoint.instance));
    this.#doubted = new Set([...this.#doubted].filter((instance) => here.has(instance)));
  }

  get size(): number {
    return [...this.#near, ...this.#regions].reduce((sum, { length }) => sum + length, 0);
  }

  /** @param isUsed whether an endpoint that claims to be healthy is asked */
  weigh(isUsed: (load: EndpointLoad) => boolean, nowMs: number, findRtt: FindRtt): Weighed {
    let validUntilMs = Number.POSITIVE_INFINITY;
    const groups = this.#order(findRtt).map((loads) => {
      const warm: EndpointLoad[] = [];
      const cold: EndpointLoad[] = [];
      let usable = 0;
      for (const load of loads) {
        if (!load.endpoint.healthy || !isUsed(load)) continue;
        if (load.busyUntilMs > nowMs) {
          validUntilMs = Math.min(validUntilMs, load.busyUntilMs);
          continue;
        }
        const warmth = load.warmth(nowMs);
        if (warmth < 1) validUntilMs = Math.min(validUntilMs, nowMs + WARM_UP_STEP_MS);
        (warmth < 1 ? cold : warm).push(load);
        usable += warmth;
      }
      return { warm, cold, known: loads.length, usable };
    });
    const shares = shareByDistance(groups);
    const spilt = this.#spill(groups, shares, nowMs, findRtt);
    if (spilt !== undefined) validUntilMs = Math.min(validUntilMs, nowMs + SPILL_STEP_MS);
    if (this.#regions.length > 1) validUntilMs = Math.min(validUntilMs, nowMs + RTT_STEP_MS);
    const tiers = groups.flatMap(({ warm, cold }, index) => {
      const share = shares[index] ?? 0;
      return share > 0 ? [{ warm, cold, share }] : [];
    });
    return { tiers, validUntilMs, isSpilling: spilt === true };
  }

  /** An endpoint that is further away than its labels say, of which that was not told before. */
  findDoubt(findRtt: FindRtt): Doubt | undefined {
    if (this.#regions.length === 0) return undefined;
    const elsewhereRttMs = leastRtt(this.#regions.flat(), findRtt);
    if (elsewhereRttMs === undefined) return undefined;
    for (const { endpoint } of this.#near.flat()) {
      const rttMs = findRtt(endpoint);
      if (rttMs === undefined || rttMs < elsewhereRttMs * DOUBT_RATIO + DOUBT_MS) continue;
      if (this.#doubted.has(endpoint.instance)) continue;
      this.#doubted.add(endpoint.instance);
      return { endpoint, rttMs, elsewhereRttMs };
    }
    return undefined;
  }

  #order(findRtt: FindRtt): (readonly EndpointLoad[])[] {
    if (this.#regions.length <= 1) return [...this.#near, ...this.#regions];
    const regions = this.#regions.map((loads) => ({ loads, rttMs: leastRtt(loads, findRtt) }));
    return [...this.#near, ...orderByRtt(regions).map((group) => group.flatMap(({ loads }) => loads))];
  }

  /** Takes from the nearest that are asked what goes to the next. @returns whether that is anything; undefined where there is no next */
  #spill(groups: readonly Group[], shares: number[], nowMs: number, findRtt: FindRtt): boolean | undefined {
    const first = shares.findIndex((share) => share > 0);
    const next = groups.findIndex(({ usable }, index) => index > first && usable > 0);
    const [near, far] = [groups[first], groups[next]];
    if (near === undefined || far === undefined || first < 0) return undefined;
    const nearMs = Math.min(...all(near).map((load) => load.latencyAt(nowMs)));
    const farMs = Math.min(...all(far).map((load) => expectMs(load, nowMs, findRtt)));
    const isFarKnown = all(far).some(({ answeredMs }) => nowMs - answeredMs < KNOWN_MS);
    const spilt = (shares[first] ?? 0) * shareOfSpill(nearMs, farMs, isFarKnown);
    shares[first] = (shares[first] ?? 0) - spilt;
    shares[next] = (shares[next] ?? 0) + spilt;
    return spilt > 0;
  }
}

interface Group {
  readonly warm: readonly EndpointLoad[];
  readonly cold: readonly EndpointLoad[];
  readonly usable: number;
}

function all({ warm, cold }: Group): readonly EndpointLoad[] {
  return cold.length === 0 ? warm : [...warm, ...cold];
}

/** How long an endpoint takes that is seldom asked: as long as the last time, and as that is forgotten, as any other so far away. */
function expectMs({ answeredMs, endpoint, latencyMs }: EndpointLoad, nowMs: number, findRtt: FindRtt): number {
  const assumedMs = INITIAL_LATENCY_MS + (findRtt(endpoint) ?? UNKNOWN_RTT_MS);
  return assumedMs + (latencyMs - assumedMs) * Math.exp(-(nowMs - answeredMs) / FORGOTTEN_MS);
}

function leastRtt(loads: readonly EndpointLoad[], findRtt: FindRtt): number | undefined {
  let leastMs: number | undefined;
  for (const { endpoint } of loads) {
    const rttMs = findRtt(endpoint);
    if (rttMs !== undefined && (leastMs === undefined || rttMs < leastMs)) leastMs = rttMs;
  }
  return leastMs;
}
