/** Status of a route at each of its parents: whether it holds there, and whether all that it refers to can be followed. */

import { accepted, type Condition, type ConditionReason, refused, type Subject } from './condition.ts';
import { EXTENSION_GROUP, MIDDLEWARE } from './extension.ts';
import { listPorts, type MeshView, type ServicePorts } from './mesh-view.ts';
import type { ParentRef } from './meta.ts';
import { describeRef, isAttached, isPermitted, parentsOf, toServiceKey } from './reference.ts';
import { manifestKey } from './resource.ts';
import { ROUTE_KINDS, type Route } from './route.ts';
import { backendReferences, extensionReferences, type RouteReference } from './route-reference.ts';
import { namespaceOf } from './service.ts';
import { TCP_ROUTE } from './tcp-route.ts';

/** One for each parent that is a service; others are not for a mesh to judge. */
export function assessRoute(route: Route, view: MeshView): readonly Subject[] {
  const references = assessReferences(route, view);
  return route.parentRefs.flatMap((ref) => {
    const service = toServiceKey(ref, route.namespace);
    if (service === undefined) return [];
    return [{ ref, conditions: [assessParent(route, ref, service, view), references] }];
  });
}

/** Everything whose change may change the status of a route: services, extensions, exports of a namespace. */
export function dependenciesOf(route: Route): readonly string[] {
  const backends = backendReferences(route).flatMap(({ ref }) => toServiceKey(ref, route.namespace) ?? []);
  const extensions = extensionReferences(route).map(({ ref }) => manifestKey(ref.kind, route.namespace, ref.name));
  const exports = backends.map((service) => toExportsKey(namespaceOf(service)));
  return [...parentsOf(route), ...backends, ...extensions, ...exports];
}

/** Stands for all exports of a namespace. */
export function toExportsKey(namespace: string): string {
  return `Export/${namespace}`;
}

function assessParent(route: Route, ref: ParentRef, service: string, view: MeshView): Condition {
  const ports = view.ports(service);
  if (ports === undefined) return refused('NoMatchingParent', `nobody serves ${service}`);
  if (ref.sectionName !== undefined) {
    return refused(
      'NoMatchingParent',
      `ports of ${service} have numbers and no names: give port instead of sectionName`,
    );
  }
  if (ref.port !== undefined && !ports.has(ref.port)) {
    return refused('NoMatchingParent', `nobody serves port ${ref.port} of ${service}; there is ${listPorts(ports)}`);
  }
  const meant = [...ports.keys()].filter((port) => ref.port === undefined || ref.port === port);
  const fitting = meant.filter((port) => fits(route, ports, port));
  if (fitting.length === 0) {
    const [taken, sent] = route.kind === TCP_ROUTE ? ['requests', 'connections'] : ['connections', 'requests'];
    const state = `${service} takes ${taken} at ${meant.join(', ')}, a ${route.kind} is for ${sent}`;
    return refused('NotAllowedByListeners', `${state}: what is called there fails`);
  }
  const stronger = fitting.map((port) => strongerAt(route, service, port, view));
  if (stronger.every((kind) => kind !== undefined)) {
    return refused('Conflicted', `a ${stronger[0]} holds for ${service} at ${fitting.join(', ')}, and one kind only`);
  }
  const isProducer = namespaceOf(service) === route.namespace;
  return accepted(
    isProducer
      ? `holds for every caller of ${service}`
      : `holds for callers of ${service} in namespace ${route.namespace}`,
  );
}

function fits(route: Route, ports: ServicePorts, port: number): boolean {
  return (ports.get(port) === 'tcp') === (route.kind === TCP_ROUTE);
}

/** A more particular kind that holds at a port, among the routes that this one would be merged with. */
function strongerAt(route: Route, service: string, port: number, view: MeshView): string | undefined {
  const stronger = ROUTE_KINDS.slice(0, ROUTE_KINDS.indexOf(route.kind));
  return stronger.find((kind) =>
    view
      .routes(service)
      .some((other) => other.kind === kind && other.namespace === route.namespace && isAttached(other, service, port)),
  );
}

interface Fault {
  readonly reason: ConditionReason;
  readonly message: string;
}

/** The first of these reasons is the one of the condition; the message has all faults. */
const RANKS: readonly ConditionReason[] = ['InvalidKind', 'RefNotPermitted', 'BackendNotFound', 'UnsupportedProtocol'];

function assessReferences(route: Route, view: MeshView): Condition {
  const faults = [
    ...backendReferences(route).flatMap((reference) => assessBackend(route, reference, view) ?? []),
    ...extensionReferences(route).flatMap(({ path, ref: { group, kind, name } }): Fault[] => {
      if (group !== EXTENSION_GROUP) return [{ reason: 'InvalidKind', message: `${path}: no ${kind}.${group} here` }];
      // Code of a member: nobody else knows whether it is there.
      if (kind === MIDDLEWARE || view.has(manifestKey(kind, route.namespace, name))) return [];
      return [{ reason: 'BackendNotFound', message: `${path}: there is no ${kind}/${name} in ${route.namespace}` }];
    }),
  ].sort((a, b) => RANKS.indexOf(a.reason) - RANKS.indexOf(b.reason));
  const [first] = faults;
  if (first === undefined) {
    return { type: 'ResolvedRefs', status: 'True', reason: 'ResolvedRefs', message: 'all references can be followed' };
  }
  const message = faults.map((fault) => fault.message).join('; ');
  return { type: 'ResolvedRefs', status: 'False', reason: first.reason, message };
}

/** Whether somebody serves what may not be referred to is not told. */
function assessBackend(route: Route, { path, ref }: RouteReference, view: MeshView): Fault | undefined {
  const service = toServiceKey(ref, route.namespace);
  if (service === undefined) {
    return { reason: 'InvalidKind', message: `${path}: ${describeRef(ref)} is no service of a mesh` };
  }
  if (!isPermitted(route, service, view.exports)) {
    const state = `no Export of ${namespaceOf(service)} lets a ${route.kind} of ${route.namespace} refer to ${service}`;
    return { reason: 'RefNotPermitted', message: `${path}: ${state}` };
  }
  const ports = view.ports(service);
  if (ports === undefined) return { reason: 'BackendNotFound', message: `${path}: nobody serves ${service}` };
  if (ref.port === undefined || !ports.has(ref.port)) {
    const state = `nobody serves port ${ref.port} of ${service}; there is ${listPorts(ports)}`;
    return { reason: 'BackendNotFound', message: `${path}: ${state}` };
  }
  if (fits(route, ports, ref.port)) return undefined;
  const taken = route.kind === TCP_ROUTE ? 'requests' : 'connections';
  return { reason: 'UnsupportedProtocol', message: `${path}: ${service} takes ${taken} at ${ref.port}` };
}
