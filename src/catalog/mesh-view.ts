/** What the status of a resource depends on. */

import type { BackendTrafficPolicy } from './backend-traffic-policy.ts';
import type { AppProtocol, Endpoint } from './endpoint.ts';
import type { Exports } from './export.ts';
import type { Route } from './route.ts';

/** The ports of a service, with what is spoken there. */
export type ServicePorts = ReadonlyMap<number, AppProtocol>;

export interface MeshView {
  /** undefined: nobody serves it, healthy or not. */
  ports(service: string): ServicePorts | undefined;
  /** Every route that is attached to a service, of whatever namespace. */
  routes(service: string): readonly Route[];
  /** The policy that holds for a service. */
  policy(service: string): BackendTrafficPolicy | undefined;
  /** Is there a resource of this key? */
  has(key: string): boolean;
  readonly exports: Exports;
}

/** Instances that disagree are a mistake; the first decides, as in the router. */
export function portsOf(endpoints: readonly Endpoint[]): ServicePorts | undefined {
  if (endpoints.length === 0) return undefined;
  const ports = new Map<number, AppProtocol>();
  for (const { port, protocol } of endpoints) if (!ports.has(port)) ports.set(port, protocol);
  return ports;
}

export function listPorts(ports: ServicePorts): string {
  return [...ports.keys()]
    .sort((a, b) => a - b)
    .slice(0, 8)
    .join(', ');
}
