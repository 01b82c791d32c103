/** Routing: the routes of the catalogue, read and compiled; a change that cannot be read leaves what was good. */

import { createBlockade, HTTP_ROUTE, type HttpRoute, parseHttpRoute } from '../catalog/http-route.ts';
import { subjectsOf } from '../catalog/reference.ts';
import { type Manifest, resourceKey } from '../catalog/resource.ts';
import type { Snapshot } from '../catalog/snapshot.ts';
import type { Logger } from '../core/log.ts';
import { RouteTable } from '../router/table.ts';
import type { RouteSource } from '../router/upstream.ts';

export interface RoutingOptions {
  readonly log: Logger;
  /** Namespace of the own identity: routes there for services of others hold for this member. */
  readonly namespace: () => string;
}

interface ReadRoute {
  readonly manifest: Manifest;
  readonly route: HttpRoute;
}

export class Routing implements RouteSource {
  readonly #options: RoutingOptions;
  #manifests: readonly Manifest[] = [];
  #read: ReadonlyMap<string, ReadRoute> = new Map();
  #table = new RouteTable([], '');

  constructor(options: RoutingOptions) {
    this.#options = options;
  }

  get table(): RouteTable {
    return this.#table;
  }

  onSnapshot(snapshot: Snapshot): void {
    const manifests = snapshot.manifests(HTTP_ROUTE);
    if (manifests === this.#manifests || manifests.length + this.#manifests.length === 0) return;
    this.#manifests = manifests;
    this.#read = new Map(manifests.map((manifest) => [resourceKey(manifest), this.#readRoute(manifest)]));
    const routes = [...this.#read.values()].map(({ route }) => route);
    this.#table = new RouteTable(routes, this.#options.namespace(), this.#table);
    this.#options.log.log('info', 'routes-changed', { revision: snapshot.revision, routes: [...this.#read.keys()] });
  }

  #readRoute(manifest: Manifest): ReadRoute {
    const before = this.#read.get(resourceKey(manifest));
    if (before?.manifest === manifest) return before;
    const parsed = parseHttpRoute(manifest);
    if ('value' in parsed) return { manifest, route: parsed.value };
    this.#options.log.log('error', 'route-unreadable', { route: resourceKey(manifest), issues: parsed.issues });
    return { manifest, route: before?.route ?? createBlockade(manifest, subjectsOf(manifest) ?? []) };
  }
}
