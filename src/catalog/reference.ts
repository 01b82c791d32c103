/** References resolved: which services a route is attached to, and which of the attached routes hold for a caller. */

import { BACKEND_TRAFFIC_POLICY } from './backend-traffic-policy.ts';
import type { Exports } from './export.ts';
import type { ParentRef, RouteMeta } from './meta.ts';
import type { Manifest } from './resource.ts';
import { isRouteKind, ROUTE_KINDS } from './route.ts';
import { namespaceOf, tryParseServiceName } from './service.ts';

/** A route of any kind, as far as its attachment goes. */
export interface AttachedRoute extends RouteMeta {
  readonly parentRefs: readonly ParentRef[];
}

interface ObjectRef {
  readonly group: string;
  readonly kind: string;
  readonly namespace?: string | undefined;
  readonly name: string;
}

/** `name.namespace` of the service that a reference of an object in `namespace` means; undefined when it is no service. */
export function toServiceKey(ref: ObjectRef, namespace: string): string | undefined {
  if (ref.group !== '' || ref.kind !== 'Service') return undefined;
  return tryParseServiceName(`${ref.name}.${ref.namespace ?? namespace}`)?.key;
}

/** A reference in words: `Service "api"`, `Gateway.gateway.networking.k8s.io "edge"`. */
export function describeRef({ group, kind, name }: ObjectRef): string {
  return `${group === '' ? kind : `${kind}.${group}`} "${name}"`;
}

/** Services that a route is attached to, each once. */
export function parentsOf(route: AttachedRoute): readonly string[] {
  return [...new Set(route.parentRefs.flatMap((ref) => toServiceKey(ref, route.namespace) ?? []))];
}

/** Ports of `service` that a route is attached to; undefined for all of them, empty when it is not attached. */
export function attachedPorts(route: AttachedRoute, service: string): ReadonlySet<number> | undefined {
  const ports = new Set<number>();
  for (const ref of route.parentRefs) {
    // Ports have numbers here and no names: a section cannot be found.
    if (toServiceKey(ref, route.namespace) !== service || ref.sectionName !== undefined) continue;
    if (ref.port === undefined) return undefined;
    ports.add(ref.port);
  }
  return ports;
}

/** Is a route attached to this port of `service`? @param port undefined: one that no route names */
export function isAttached(route: AttachedRoute, service: string, port: number | undefined): boolean {
  const ports = attachedPorts(route, service);
  return ports === undefined || (port !== undefined && ports.has(port));
}

/**
 * Of the routes attached to a service and port those that hold for callers in `callerNamespace`. Routes of the service's own
 * namespace hold for everybody (producer); those of another namespace for callers there, and replace the others for them
 * (consumer): the two are never merged (GEP-1294).
 */
export function chooseRoutes<T extends AttachedRoute>(
  routes: readonly T[],
  service: string,
  port: number | undefined,
  callerNamespace: string,
): readonly T[] {
  const producerNamespace = namespaceOf(service);
  const attached = routes.filter((route) => isAttached(route, service, port));
  const consumer = attached.filter(({ namespace }) => namespace !== producerNamespace && namespace === callerNamespace);
  if (consumer.length > 0) return ofOneKind(consumer);
  return ofOneKind(attached.filter(({ namespace }) => namespace === producerNamespace));
}

/** Routes of one kind hold for a port: the most particular that there is (Gateway API, routes of different kinds on one Service). */
function ofOneKind<T extends AttachedRoute>(routes: readonly T[]): readonly T[] {
  const kind = ROUTE_KINDS.find((each) => routes.some((route) => route.kind === each));
  return routes.filter((route) => route.kind === kind);
}

/** May a route send requests to `service`? To whom it is attached it may anyway: there they were going. */
export function isPermitted(route: AttachedRoute, service: string, exports: Exports): boolean {
  return (
    exports.permits(route.kind, route.namespace, service) ||
    route.parentRefs.some((ref) => toServiceKey(ref, route.namespace) === service)
  );
}

const subjects = new WeakMap<Manifest, readonly string[]>();

/**
 * Services that a route is attached to, or a BackendTrafficPolicy is for, read without a look at the rest of it; undefined for
 * kinds that are neither.
 */
export function subjectsOf(manifest: Manifest): readonly string[] | undefined {
  const isPolicy = manifest.kind === BACKEND_TRAFFIC_POLICY;
  if (!isPolicy && !isRouteKind(manifest.kind)) return undefined;
  const known = subjects.get(manifest);
  if (known !== undefined) return known;
  const { namespace } = manifest.metadata;
  const { parentRefs, targetRefs } = asRecord(manifest.spec);
  const refs = isPolicy ? toRecords(targetRefs).map(toServiceRef) : toRecords(parentRefs);
  const found = [...new Set(refs.flatMap((ref) => toSubject(ref, namespace) ?? []))];
  subjects.set(manifest, found);
  return found;
}

/** Only a service of the policy's own namespace can be its target, and the words for that may be left out. */
function toServiceRef({ group = '', kind = 'Service', name }: Readonly<Record<string, unknown>>) {
  return { group, kind, name };
}

/** Namespaces whose routes an Export allows, read like `subjectsOf`; `*` for all. */
export function consumersOf({ spec }: Manifest): readonly string[] {
  return toRecords(asRecord(spec).from).flatMap(({ namespace }) => (typeof namespace === 'string' ? [namespace] : []));
}

function toSubject(ref: Readonly<Record<string, unknown>>, namespace: string): string | undefined {
  const { group, kind, name } = ref;
  if (group !== '' || kind !== 'Service' || typeof name !== 'string') return undefined;
  return toServiceKey(
    { group, kind, name, namespace: typeof ref.namespace === 'string' ? ref.namespace : undefined },
    namespace,
  );
}

function toRecords(value: unknown): Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value.map(asRecord) : [];
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
