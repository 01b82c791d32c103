/** Interest: which part of the catalogue one sidecar needs: the services it calls with their routes, and the rules of those it serves. */

import { BACKEND_TRAFFIC_POLICY } from './backend-traffic-policy.ts';
import { ANY_NAMESPACE, EXPORT } from './export.ts';
import { DIRECT_RESPONSE, FAULT_INJECTION } from './extension.ts';
import { consumersOf, subjectsOf } from './reference.ts';
import { isEndpoint, type Resource } from './resource.ts';
import { MESH_NAMESPACE, namespaceOf } from './service.ts';

export interface Interest {
  /** Services whose endpoints and routes it is told. */
  readonly services: ReadonlySet<string>;
  /** Services it serves: of what is said of them it enforces its part. */
  readonly served: ReadonlySet<string>;
  /** Namespaces of the services it serves, and `mesh`: their AuthorizationPolicies are enforced by it. */
  readonly policyNamespaces: ReadonlySet<string>;
  /** Namespaces of the services it calls, and its own: a route there may refer to whatever else is there. */
  readonly routeNamespaces: ReadonlySet<string>;
  /** Namespace of its identity: routes there for services elsewhere are for it, and for nobody in another namespace. */
  readonly namespace: string | undefined;
}

export const EXTENSIONS: ReadonlySet<string> = new Set([DIRECT_RESPONSE, FAULT_INJECTION]);

export function createInterest(
  watched: Iterable<string>,
  served: Iterable<string>,
  namespace: string | undefined,
): Interest {
  const policyNamespaces = new Set([MESH_NAMESPACE]);
  const own = new Set(served);
  for (const service of own) policyNamespaces.add(namespaceOf(service));
  const services = new Set(watched);
  const routeNamespaces = new Set(namespace === undefined ? [] : [namespace]);
  for (const service of services) routeNamespaces.add(namespaceOf(service));
  return { services, served: own, policyNamespaces, routeNamespaces, namespace };
}

export function isOfInterest(interest: Interest, resource: Resource): boolean {
  if (isEndpoint(resource)) return interest.services.has(resource.service);
  const { namespace } = resource.metadata;
  if (EXTENSIONS.has(resource.kind)) return interest.routeNamespaces.has(namespace);
  // Routes that matter here are in these namespaces: so do exports to them.
  if (resource.kind === EXPORT) {
    return consumersOf(resource).some((each) => each === ANY_NAMESPACE || interest.routeNamespaces.has(each));
  }
  const subjects = subjectsOf(resource);
  if (subjects === undefined) return interest.policyNamespaces.has(namespace);
  if (resource.kind === BACKEND_TRAFFIC_POLICY && subjects.some((service) => interest.served.has(service))) return true;
  return subjects.some(
    (service) =>
      interest.services.has(service) && (namespaceOf(service) === namespace || namespace === interest.namespace),
  );
}
