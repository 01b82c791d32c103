/** Routes for tests, parsed as a hub would: what is no valid route fails the test that made it. */
import { type HttpRoute, parseHttpRoute } from '../../src/catalog/http-route.ts';
import { valueOrThrow } from '../../src/catalog/issue.ts';
import type { Manifest } from '../../src/catalog/resource.ts';
import { RouteTable } from '../../src/router/table.ts';

interface Meta {
  readonly name?: string;
  readonly namespace?: string;
  readonly creationTimestamp?: string;
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

export function httpRoute(spec: unknown, meta: Meta = {}): HttpRoute {
  return valueOrThrow(parseHttpRoute(manifest('HTTPRoute', spec, meta)), 'route');
}

/** What holds for a member of the namespace `default`. */
export function tableOf(...routes: readonly HttpRoute[]): RouteTable {
  return new RouteTable(routes, 'default');
}
