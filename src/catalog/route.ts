/** A route of any kind, and its parser by kind. */

import { GRPC_ROUTE, type GrpcRoute, parseGrpcRoute } from './grpc-route.ts';
import { HTTP_ROUTE, type HttpRoute, parseHttpRoute } from './http-route.ts';
import type { Parsed } from './issue.ts';
import { toRouteMeta } from './meta.ts';
import type { RegularExpressions } from './regular-expression.ts';
import type { Manifest } from './resource.ts';
import { parseTcpRoute, TCP_ROUTE, type TcpRoute } from './tcp-route.ts';

export type Route = HttpRoute | GrpcRoute | TcpRoute;

type RouteParser = (manifest: Manifest, expressions: RegularExpressions) => Parsed<Route>;

export const ROUTE_PARSERS = {
  [GRPC_ROUTE]: parseGrpcRoute,
  [HTTP_ROUTE]: parseHttpRoute,
  [TCP_ROUTE]: parseTcpRoute,
} as const satisfies Readonly<Record<string, RouteParser>>;

export type RouteKind = keyof typeof ROUTE_PARSERS;

/** The more particular before the less: of several kinds on one service and port only the first is used. */
export const ROUTE_KINDS: readonly RouteKind[] = [GRPC_ROUTE, HTTP_ROUTE, TCP_ROUTE];

export function isRouteKind(kind: string): kind is RouteKind {
  return Object.hasOwn(ROUTE_PARSERS, kind);
}

/**
 * A route that fails every request to `services`: what stands for one that cannot be read, because nobody knows what that
 * would have done with them.
 */
export function createBlockade(kind: RouteKind, manifest: Manifest, services: readonly string[]): Route {
  const parentRefs = services.map((service) => {
    const [name = '', namespace = ''] = service.split('.');
    return { group: '', kind: 'Service', namespace, name };
  });
  const meta = { ...toRouteMeta(manifest), parentRefs, hostnames: [] };
  const nowhere = { filters: [], backendRefs: [] };
  switch (kind) {
    case HTTP_ROUTE: {
      const everything = { path: { type: 'PathPrefix' as const, value: '/' }, headers: [], queryParams: [] };
      return { ...meta, kind, rules: [{ ...nowhere, matches: [everything], timeouts: {} }] };
    }
    case GRPC_ROUTE:
      return { ...meta, kind, rules: [{ ...nowhere, matches: [{ headers: [] }] }] };
    case TCP_ROUTE:
      return { ...meta, kind, rules: [{ backendRefs: [] }] };
  }
}
