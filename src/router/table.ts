/**
 * Route table: what holds for the requests of one member, compiled when a service is first called and kept while the routes
 * of that service stay as they are.
 */

import type { Exports } from '../catalog/export.ts';
import type { Extension } from '../catalog/extension.ts';
import { attachedPorts, chooseRoutes, parentsOf } from '../catalog/reference.ts';
import type { RegularExpressions } from '../catalog/regular-expression.ts';
import { manifestKey } from '../catalog/resource.ts';
import type { Route } from '../catalog/route.ts';
import { backendReferences, extensionReferences } from '../catalog/route-reference.ts';
import type { Destination } from './destination.ts';
import type { FindExtension } from './filters/index.ts';
import { PortRoutes } from './port-routes.ts';

/** What a table is made from. */
export interface RouteSet {
  readonly routes: readonly Route[];
  /** What ExtensionRefs may refer to, by `Kind/namespace/name`; the same object while none of it changes. */
  readonly extensions: ReadonlyMap<string, Extension>;
  /** What other namespaces let routes refer to; the same object while none of it changes. */
  readonly exports: Exports;
  /** What reads the patterns of matches. */
  readonly expressions: RegularExpressions;
  /** Namespace of the member whose requests are routed. */
  readonly namespace: string;
}

/** The routes that hold for this member; another table once they have changed. */
export interface RouteSource {
  readonly table: RouteTable;
}

export class RouteTable {
  readonly #services: ReadonlyMap<string, ServiceRoutes>;

  /** @param before its table so far: where nothing has changed, the shares of backends go on as they were */
  constructor(set: RouteSet, before?: RouteTable) {
    const byService = new Map<string, Route[]>();
    for (const route of set.routes) {
      for (const service of parentsOf(route)) {
        byService.set(service, [...(byService.get(service) ?? []), route]);
      }
    }
    this.#services = new Map(
      [...byService].map(([service, routes]) => {
        const known = before === undefined ? undefined : before.#services.get(service);
        const own = { ...set, routes };
        return [service, known?.isOf(own) === true ? known : new ServiceRoutes(service, own)];
      }),
    );
  }

  /** What holds for requests to `destination`; undefined: no route is attached, so that they go to the service itself. */
  find({ service, port }: Destination): PortRoutes | undefined {
    return this.#services.get(service)?.at(port);
  }

  /** Every route that is attached to the service, on whichever port and for whomever. */
  attached(service: string): readonly Route[] {
    return this.#services.get(service)?.routes ?? [];
  }
}

class ServiceRoutes {
  readonly #service: string;
  readonly #set: RouteSet;
  readonly #usesExtensions: boolean;
  readonly #crossesNamespaces: boolean;
  /** Ports that some route names; all others are alike. */
  readonly #named: ReadonlySet<number>;
  readonly #compiled = new Map<number | undefined, PortRoutes | undefined>();

  constructor(service: string, set: RouteSet) {
    this.#service = service;
    this.#set = set;
    this.#usesExtensions = set.routes.some((route) => extensionReferences(route).length > 0);
    this.#crossesNamespaces = set.routes.some(crossesNamespaces);
    this.#named = new Set(set.routes.flatMap((route) => [...(attachedPorts(route, service) ?? [])]));
  }

  get routes(): readonly Route[] {
    return this.#set.routes;
  }

  isOf({ routes, extensions, exports, namespace }: RouteSet): boolean {
    const own = this.#set;
    return (
      namespace === own.namespace &&
      (extensions === own.extensions || !this.#usesExtensions) &&
      (exports === own.exports || !this.#crossesNamespaces) &&
      routes.length === own.routes.length &&
      routes.every((route, i) => route === own.routes[i])
    );
  }

  at(port: number): PortRoutes | undefined {
    const key = this.#named.has(port) ? port : undefined;
    const known = this.#compiled.get(key);
    if (known !== undefined || this.#compiled.has(key)) return known;
    const { extensions, exports, expressions, namespace } = this.#set;
    const routes = chooseRoutes(this.#set.routes, this.#service, key, namespace);
    const find: FindExtension = (kind, space, name) => extensions.get(manifestKey(kind, space, name));
    const compiled = routes.length === 0 ? undefined : new PortRoutes(routes, { find, exports }, expressions);
    this.#compiled.set(key, compiled);
    return compiled;
  }
}

function crossesNamespaces(route: Route): boolean {
  return backendReferences(route).some(({ ref: { namespace } }) => (namespace ?? route.namespace) !== route.namespace);
}
