/** Interest: which part of the catalogue one sidecar needs: the services it calls with their routes, and the rules of those it serves. */

import { subjectsOf } from './reference.ts';
import { isEndpoint, type Resource } from './resource.ts';
import { MESH_NAMESPACE, namespaceOf } from './service.ts';

export interface Interest {
  /** Services whose endpoints and routes it is told. */
  readonly services: ReadonlySet<string>;
  /** Namespaces of the services it serves, and `mesh`: their AuthorizationPolicies are enforced by it. */
  readonly policyNamespaces: ReadonlySet<string>;
  /** Namespace of its identity: routes there for services elsewhere are for it, and for nobody in another namespace. */
  readonly namespace: string | undefined;
}

export function createInterest(
  watched: Iterable<string>,
  served: Iterable<string>,
  namespace: string | undefined,
): Interest {
  const policyNamespaces = new Set([MESH_NAMESPACE]);
  for (const service of served) policyNamespaces.add(namespaceOf(service));
  return { services: new Set(watched), policyNamespaces, namespace };
}

export function isOfInterest(interest: Interest, resource: Resource): boolean {
  if (isEndpoint(resource)) return interest.services.has(resource.service);
  const { namespace } = resource.metadata;
  const subjects = subjectsOf(resource);
  if (subjects === undefined) return interest.policyNamespaces.has(namespace);
  return subjects.some(
    (service) =>
      interest.services.has(service) && (namespaceOf(service) === namespace || namespace === interest.namespace),
  );
}
