/** Why a rule takes a request and the others do not: every route of the service, and every match in the order of precedence. */

import type { GrpcMatch } from '../catalog/grpc-route.ts';
import { GRPC_ROUTE } from '../catalog/grpc-route.ts';
import type { HttpMatch, ValueMatch } from '../catalog/http-match.ts';
import { HTTP_ROUTE } from '../catalog/http-route.ts';
import type { RouteMeta } from '../catalog/meta.ts';
import { attachedPorts, toServiceKey } from '../catalog/reference.ts';
import { manifestKey } from '../catalog/resource.ts';
import type { Route, RouteKind } from '../catalog/route.ts';
import { namespaceOf } from '../catalog/service.ts';
import type { RequestHead } from '../http/head.ts';
import { isGrpc } from '../http/reply.ts';
import type { Destination } from './destination.ts';
import type { ExplainedMatch, ExplainedRoute } from './explanation.ts';
import { findGrpcMismatch } from './grpc-index.ts';
import { findMismatch, RequestView } from './match.ts';
import type { PortRoutes } from './port-routes.ts';
import { type Candidate, whyFirst } from './precedence.ts';

/** @param used what holds for this service and port; undefined: nothing */
export function explainRoutes(
  attached: readonly Route[],
  used: PortRoutes | undefined,
  destination: Destination,
  namespace: string,
): readonly ExplainedRoute[] {
  const holding = new Set<RouteMeta>(used?.ordered().map(({ route }) => route));
  return attached.map((route) => ({
    route: manifestKey(route.kind, route.namespace, route.name),
    parentRef: toParentRef(route, destination),
    unused: holding.has(route) ? undefined : whyUnused(route, used?.kind, holding, destination, namespace),
  }));
}

function toParentRef(route: Route, { service, port }: Destination): string {
  const refs = route.parentRefs.filter((ref) => toServiceKey(ref, route.namespace) === service);
  const ref = refs.find((each) => each.port === port) ?? refs.find((each) => each.port === undefined) ?? refs[0];
  const section = ref?.sectionName === undefined ? '' : ` section ${ref.sectionName}`;
  return `Service ${service}${ref?.port === undefined ? '' : ` port ${ref.port}`}${section}`;
}

function whyUnused(
  route: Route,
  kind: RouteKind | undefined,
  holding: ReadonlySet<RouteMeta>,
  { service, port }: Destination,
  caller: string,
): string {
  const ports = attachedPorts(route, service);
  if (ports !== undefined && !ports.has(port)) {
    return ports.size === 0 ? 'it names a section, and ports have no names' : `it is for port ${[...ports].join(', ')}`;
  }
  const producer = namespaceOf(service);
  if (route.namespace !== producer && route.namespace !== caller) {
    return `it is for callers of namespace "${route.namespace}"`;
  }
  const isReplaced = [...holding].some((each) => each.namespace !== producer);
  if (route.namespace === producer && isReplaced)
    return `routes of namespace "${caller}" take its place for callers there`;
  return `a ${kind} on the same port takes its place`;
}

/** @param chosen the one that the router has found */
export function explainMatches(
  routes: PortRoutes,
  head: RequestHead,
  chosen: Candidate | undefined,
): readonly ExplainedMatch[] {
  const view = new RequestView(head);
  return routes.ordered().map((candidate) => {
    const isChosen = candidate === chosen;
    return {
      rule: candidate.rule.id,
      matchIndex: candidate.matchIndex,
      match: describeMatch(routes.kind, candidate.match),
      isChosen,
      lost: isChosen ? undefined : whyLost(routes, candidate, chosen, head, view),
    };
  });
}

function whyLost(
  { kind, expressions }: PortRoutes,
  candidate: Candidate,
  chosen: Candidate | undefined,
  head: RequestHead,
  view: RequestView,
): string {
  if (kind === GRPC_ROUTE && !isGrpc(head)) return 'the request is no gRPC call';
  if (kind !== GRPC_ROUTE && kind !== HTTP_ROUTE) return 'it takes connections, not requests';
  const mismatch =
    kind === GRPC_ROUTE
      ? findGrpcMismatch(candidate.match as GrpcMatch, view, expressions)
      : findMismatch(candidate.match as HttpMatch, view, expressions);
  if (mismatch !== undefined) return mismatch;
  return chosen === undefined ? '' : `it holds too, but the chosen one ${whyFirst(kind, chosen, candidate)}`;
}

function describeMatch(kind: string, match: unknown): string {
  if (kind === GRPC_ROUTE) {
    const { method, headers } = match as GrpcMatch;
    const call = method === undefined ? 'every call' : `${method.service ?? '*'}/${method.method ?? '*'}`;
    return [call, ...headers.map((each) => describeValue('header', each))].join(', ');
  }
  if (kind !== HTTP_ROUTE) return 'every connection';
  const { path, method, headers, queryParams } = match as HttpMatch;
  return [
    `${path.type} ${path.value}`,
    ...(method === undefined ? [] : [`method ${method}`]),
    ...headers.map((each) => describeValue('header', each)),
    ...queryParams.map((each) => describeValue('query', each)),
  ].join(', ');
}

function describeValue(what: string, { name, type, value }: ValueMatch): string {
  return `${what} ${name} ${type === 'RegularExpression' ? '~' : '='} ${value}`;
}
