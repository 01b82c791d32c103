/** Routes for tests, parsed as a hub would: what is no valid route fails the test that made it. */
import { type BackendTrafficPolicy, parseBackendTrafficPolicy } from '../../src/catalog/backend-traffic-policy.ts';
import { type Export, NO_EXPORTS, parseExport } from '../../src/catalog/export.ts';
import { parseDirectResponse, parseFaultInjection } from '../../src/catalog/extension.ts';
import { parseGrpcRoute } from '../../src/catalog/grpc-route.ts';
import { type HttpRoute, parseHttpRoute } from '../../src/catalog/http-route.ts';
import { valueOrThrow } from '../../src/catalog/issue.ts';
import { RE2 } from '../../src/catalog/re2.ts';
import { type Manifest, resourceKey } from '../../src/catalog/resource.ts';
import type { Route } from '../../src/catalog/route.ts';
import { parseTcpRoute } from '../../src/catalog/tcp-route.ts';
import { type RouteSet, RouteTable } from '../../src/router/table.ts';

interface Meta {
  readonly name?: string;
  readonly namespace?: string;
  readonly creationTimestamp?: string;
  readonly generation?: number;
}

/** A manifest of any kind; one that names no parents is attached to the service `api` of its namespace. */
export function manifest(
  kind: string,
  spec: unknown,
  { name = 'r', namespace = 'default', ...more }: Meta = {},
): Manifest {
  const parents = { parentRefs: [{ group: '', kind: 'Service', name: 'api' }] };
  return { kind, metadata: { name, namespace, ...more }, spec: { ...parents, ...(spec as object) } };
}

export function grpcRoute(spec: unknown, meta: Meta = {}): Route {
  return valueOrThrow(parseGrpcRoute(manifest('GRPCRoute', spec, meta), RE2), 'route');
}

export function tcpRoute(spec: unknown, meta: Meta = {}): Route {
  return valueOrThrow(parseTcpRoute(manifest('TCPRoute', spec, meta)), 'route');
}

export function httpRoute(spec: unknown, meta: Meta = {}): HttpRoute {
  return valueOrThrow(parseHttpRoute(manifest('HTTPRoute', spec, meta), RE2), 'route');
}

/** For the service `api` of namespace `default`, unless it names others. */
export function trafficPolicy(spec: object, meta: Meta = {}): BackendTrafficPolicy {
  const { name = 'p', namespace = 'default', ...more } = meta;
  const metadata = { name, namespace, ...more };
  const whole = { targetRefs: [{ name: 'api' }], ...spec };
  return valueOrThrow(parseBackendTrafficPolicy({ kind: 'BackendTrafficPolicy', metadata, spec: whole }), 'policy');
}

/** An Export of namespace `namespace` to `from`. */
export function exportOf(namespace: string, from: string, ...services: readonly string[]): Export {
  const spec = { from: [{ namespace: from }], to: services.map((name) => ({ name })) };
  return valueOrThrow(parseExport({ kind: 'Export', metadata: { name: 'e', namespace }, spec }), 'export');
}

const NO_EXTENSIONS: RouteSet['extensions'] = new Map();

/** What holds for a member of `namespace`. */
export function routeSet(namespace: string, ...routes: readonly Route[]): RouteSet {
  return { routes, extensions: NO_EXTENSIONS, exports: NO_EXPORTS, expressions: RE2, namespace };
}

/** What holds for a member of the namespace `default`. */
export function tableOf(...routes: readonly Route[]): RouteTable {
  return new RouteTable(routeSet('default', ...routes));
}

/** The same, where routes may refer to `extensions`, manifests of namespace `default`. */
export function tableWith(extensions: readonly Manifest[], ...routes: readonly Route[]): RouteTable {
  const parsed = extensions.map((each) => {
    const parse = each.kind === 'DirectResponse' ? parseDirectResponse : parseFaultInjection;
    return [resourceKey(each), valueOrThrow(parse(each), each.kind)] as const;
  });
  return new RouteTable({
    routes,
    extensions: new Map(parsed),
    exports: NO_EXPORTS,
    expressions: RE2,
    namespace: 'default',
  });
}
