/** What a backend knows of its endpoints, for those who look into it. */

import type { EndpointLoad } from './endpoint-load.ts';

/**
 * `unhealthy`: by its own word. `ejected`: left alone after failures, `probed` at this moment. `resting`: it has asked for that.
 * `failing`: it has failed within the last seconds, and gets little. `warming`: new or back. `usable`: all else.
 */
export type EndpointState = 'unhealthy' | 'ejected' | 'probed' | 'resting' | 'failing' | 'warming' | 'usable';

export interface EndpointStatus {
  readonly instance: string;
  readonly region: string;
  readonly zone: string;
  readonly weight: number;
  readonly state: EndpointState;
  /** Requests and connections under way. */
  readonly pending: number;
  /** Mean time to an answer, as it is judged now. */
  readonly latencyMs: number;
  /** Part of the requests that its distance gets, 0 to 1; those at one distance share it. */
  readonly share: number;
}

export interface BackendStatus {
  /** `name.namespace` */
  readonly service: string;
  readonly port: number;
  /** Ejections are not looked at, because too few would be left. */
  readonly isPanicking: boolean;
  /** Instances further away help those who are near. */
  readonly isSpilling: boolean;
  readonly endpoints: readonly EndpointStatus[];
}

export function describeEndpoint(load: EndpointLoad, share: number, nowMs: number): EndpointStatus {
  const { instance, region, zone, weight } = load.endpoint;
  const latencyMs = load.latencyAt(nowMs);
  return { instance, region, zone, weight, state: stateOf(load, nowMs), pending: load.pending, latencyMs, share };
}

function stateOf(load: EndpointLoad, nowMs: number): EndpointState {
  const { endpoint, outlier } = load;
  if (!endpoint.healthy) return 'unhealthy';
  if (outlier.isEjected) return outlier.isProbing ? 'probed' : 'ejected';
  if (load.busyUntilMs > nowMs) return 'resting';
  if (load.isPenalised(nowMs)) return 'failing';
  return load.warmth(nowMs) < 1 ? 'warming' : 'usable';
}
