/**
 * Power of two choices: of two endpoints drawn at random the one with the smaller peak-EWMA latency × pending.
 * (Mitzenmacher 2001; the load metric is Finagle's and Linkerd's.) It avoids slow ones without herding to the fastest.
 */

import type { Random } from '../../core/random.ts';
import type { EndpointLoad } from '../endpoint-load.ts';

/** @returns undefined when there is nothing to choose from */
export function chooseP2cEwma(loads: readonly EndpointLoad[], random: Random, nowMs: number): EndpointLoad | undefined {
  const count = loads.length;
  if (count <= 1) return loads[0];
  const first = Math.floor(random.ratio() * count);
  // Uniform among the others, so that no draw is lost on comparing an endpoint with itself.
  const second = (first + 1 + Math.floor(random.ratio() * (count - 1))) % count;
  const a = loads[first] as EndpointLoad;
  const b = loads[second] as EndpointLoad;
  return b.cost(nowMs) < a.cost(nowMs) ? b : a;
}
