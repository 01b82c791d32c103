/**
 * Near endpoints first: how far an endpoint is, and which share of the requests each distance gets. All stay near while
 * enough of the near ones work and answer in time; what they cannot bear goes on to the next distance, gradually (Envoy's
 * priority levels). Labels say what is near; between other regions the round trips do that were measured. Pure.
 */

/** Where something runs; empty when unknown. */
export interface Locality {
  readonly region: string;
  readonly zone: string;
}

/** 0 the same zone, 1 the same region, 2 elsewhere or unknown. */
export type Distance = 0 | 1 | 2;

/** Envoy's overprovisioning factor: a distance of which 72 % work still bears everything. */
const OVERPROVISION = 1.4;

/** Who does not know where he is calls nothing far. */
export function measureDistance(here: Locality, there: Locality): Distance {
  if (here.region === '') return 0;
  if (here.region !== there.region) return 2;
  return here.zone === '' || here.zone === there.zone ? 0 : 1;
}

/** Endpoints at one distance: how many are known, and how many of them can be chosen; one that warms up counts in part. */
export interface Capacity {
  readonly known: number;
  readonly usable: number;
}

/** Shares that sum up to 1, nearest first; all 0 when nothing is usable. */
export function shareByDistance(capacities: readonly Capacity[]): number[] {
  let left = 1;
  const shares = capacities.map(({ known, usable }) => {
    const share = usable === 0 ? 0 : Math.min(left, (OVERPROVISION * usable) / known);
    left -= share;
    return share;
  });
  const sum = 1 - left;
  return sum === 0 ? shares : shares.map((share) => share / sum);
}

/** Regions about as near as the nearest are one: a round trip varies by as much. */
const ALIKE_RATIO = 1.3;
const ALIKE_MS = 5;

/** Other regions by their round trips, nearest first; those that nobody has measured are asked together with the nearest, which measures them. */
export function orderByRtt<T extends { readonly rttMs: number | undefined }>(regions: readonly T[]): T[][] {
  const measured = regions.filter(({ rttMs }) => rttMs !== undefined);
  const groups: T[][] = [];
  let limitMs = Number.NEGATIVE_INFINITY;
  for (const region of measured.sort((a, b) => (a.rttMs ?? 0) - (b.rttMs ?? 0))) {
    const rttMs = region.rttMs ?? 0;
    if (rttMs <= limitMs) {
      groups.at(-1)?.push(region);
      continue;
    }
    groups.push([region]);
    limitMs = rttMs * ALIKE_RATIO + ALIKE_MS;
  }
  const unknown = regions.filter(({ rttMs }) => rttMs === undefined);
  if (unknown.length === 0) return groups;
  return [[...(groups[0] ?? []), ...unknown], ...groups.slice(1)];
}

/** Requests stay near until that takes so many times as long as far away: what is far costs something, and is not as well known. */
const SPILL_RATIO = 2;
/** While nobody knows how long it takes there, so many requests find out. */
const EXPLORING_SHARE = 0.02;

/** Share of a distance's requests that goes to the next one, because even the quickest here takes longer than all of the way there. */
export function shareOfSpill(nearMs: number, farMs: number, isFarKnown: boolean): number {
  const share = Math.max(0, 1 - (SPILL_RATIO * farMs) / nearMs);
  return isFarKnown ? share : Math.min(share, EXPLORING_SHARE);
}
