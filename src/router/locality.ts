/**
 * Near endpoints first: how far an endpoint is, and which share of the requests each distance gets. All stay near while
 * enough of the near ones work; what they cannot bear goes on to the next distance, gradually (Envoy's priority levels). Pure.
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
