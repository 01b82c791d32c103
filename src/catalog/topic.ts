/**
 * Topics: the smallest sets of manifests that a member is told whole. A manifest is of interest to a member exactly if one of its
 * topics is, so that whoever knows what a topic holds knows whether something of it was kept from him.
 */

import { BACKEND_TRAFFIC_POLICY } from './backend-traffic-policy.ts';
import { ANY_NAMESPACE, EXPORT } from './export.ts';
import { EXTENSIONS, type Interest } from './interest.ts';
import { consumersOf, subjectsOf } from './reference.ts';
import type { Manifest } from './resource.ts';
import { namespaceOf } from './service.ts';

/** Topics of a member's interest. */
export interface InterestTopics {
  /** What decides who may call it. */
  readonly policies: ReadonlySet<string>;
  /** What decides where its own calls go, and how its services are called. */
  readonly routes: ReadonlySet<string>;
}

export function topicsOf(manifest: Manifest): readonly string[] {
  const { kind, metadata } = manifest;
  const { namespace } = metadata;
  if (EXTENSIONS.has(kind)) return [`x/${namespace}`];
  if (kind === EXPORT) return [...new Set(consumersOf(manifest).map((consumer) => `e/${consumer}`))];
  const subjects = subjectsOf(manifest);
  if (subjects === undefined) return [`p/${namespace}`];
  const topics = subjects.map((service) => `s/${namespace}/${service}`);
  return kind === BACKEND_TRAFFIC_POLICY ? [...topics, ...subjects.map((service) => `b/${service}`)] : topics;
}

export function topicsOfInterest(interest: Interest): InterestTopics {
  const { policyNamespaces, routeNamespaces, services, served, namespace } = interest;
  const policies = new Set([...policyNamespaces].map((each) => `p/${each}`));
  const routes = new Set([`e/${ANY_NAMESPACE}`]);
  for (const each of routeNamespaces) routes.add(`x/${each}`).add(`e/${each}`);
  for (const service of services) {
    routes.add(`s/${namespaceOf(service)}/${service}`);
    if (namespace !== undefined) routes.add(`s/${namespace}/${service}`);
  }
  for (const service of served) routes.add(`b/${service}`);
  return { policies, routes };
}
