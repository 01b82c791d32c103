/** Interest: which part of the catalogue one sidecar needs — the services it calls, and the rules of those it serves. */

import { isEndpoint, type Resource } from './resource.ts';
import { MESH_NAMESPACE, namespaceOf } from './service.ts';

export interface Interest {
  /** Services whose endpoints it is told. */
  readonly services: ReadonlySet<string>;
  /** Namespaces of the services it serves, and `mesh`: their AuthorizationPolicies are enforced by it. */
  readonly policyNamespaces: ReadonlySet<string>;
  /** Namespaces of what it calls or serves: routes and traffic policies there may concern it. */
  readonly routeNamespaces: ReadonlySet<string>;
}

export function createInterest(watched: Iterable<string>, served: Iterable<string>): Interest {
  const services = new Set(watched);
  const policyNamespaces = new Set([MESH_NAMESPACE]);
  for (const service of served) policyNamespaces.add(namespaceOf(service));
  const routeNamespaces = new Set(policyNamespaces);
  for (const service of services) routeNamespaces.add(namespaceOf(service));
  return { services, policyNamespaces, routeNamespaces };
}

export function isOfInterest(interest: Interest, resource: Resource): boolean {
  if (isEndpoint(resource)) return interest.services.has(resource.service);
  const { namespace } = resource.metadata;
  const namespaces = resource.kind === 'AuthorizationPolicy' ? interest.policyNamespaces : interest.routeNamespaces;
  return namespaces.has(namespace);
}
