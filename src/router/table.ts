/**
 * Route table: what holds for the requests of one member, compiled when a service is first called and kept while the routes
 * of that service stay as they are.
 */

import type { HttpRoute } from '../catalog/http-route.ts';
import { attachedPorts, chooseRoutes, toServiceKey } from '../catalog/reference.ts';
import type { RequestHead } from '../http/head.ts';
import type { Destination } from './destination.ts';
import { RequestView } from './match.ts';
import { PathIndex } from './path-index.ts';
import type { Candidate } from './precedence.ts';
import { compileRule, type Rule } from './rule.ts';

export interface RoutedRule extends Candidate {
  readonly rule: Rule;
}

/** The rules of one service and port. A request that none of them takes is answered with 404. */
export class PortRoutes {
  readonly #index: PathIndex<RoutedRule>;

  constructor(routes: readonly HttpRoute[]) {
    this.#index = new PathIndex(routes.flatMap(toCandidates));
  }

  match(head: RequestHead): RoutedRule | undefined {
    return this.#index.find(new RequestView(head));
  }
}

function toCandidates(route: HttpRoute): RoutedRule[] {
  return route.rules.flatMap((source, ruleIndex) => {
    const rule = compileRule(route, source, ruleIndex);
    return source.matches.map((match, matchIndex) => ({ route, rule, ruleIndex, matchIndex, match }));
  });
}

export class RouteTable {
  readonly #services: ReadonlyMap<string, ServiceRoutes>;

  /**
   * @param namespace of the member whose requests are routed
   * @param before its table so far: where nothing has changed, the shares of backends go on as they were
   */
  constructor(routes: readonly HttpRoute[], namespace: string, before?: RouteTable) {
    const byService = new Map<string, HttpRoute[]>();
    for (const route of routes) {
      for (const service of new Set(route.parentRefs.flatMap((ref) => toServiceKey(ref, route.namespace) ?? []))) {
        byService.set(service, [...(byService.get(service) ?? []), route]);
      }
    }
    this.#services = new Map(
      [...byService].map(([service, list]) => {
        const known = before === undefined ? undefined : before.#services.get(service);
        return [service, known?.isOf(list, namespace) === true ? known : new ServiceRoutes(service, list, namespace)];
      }),
    );
  }

  /** What holds for requests to `destination`; undefined: no route is attached, so that they go to the service itself. */
  find({ service, port }: Destination): PortRoutes | undefined {
    return this.#services.get(service)?.at(port);
  }
}

class ServiceRoutes {
  readonly #service: string;
  readonly #routes: readonly HttpRoute[];
  readonly #namespace: string;
  /** Ports that some route names; all others are alike. */
  readonly #named: ReadonlySet<number>;
  readonly #compiled = new Map<number | undefined, PortRoutes | undefined>();

  constructor(service: string, routes: readonly HttpRoute[], namespace: string) {
    this.#service = service;
    this.#routes = routes;
    this.#namespace = namespace;
    this.#named = new Set(routes.flatMap((route) => [...(attachedPorts(route, service) ?? [])]));
  }

  isOf(routes: readonly HttpRoute[], namespace: string): boolean {
    return (
      namespace === this.#namespace &&
      routes.length === this.#routes.length &&
      routes.every((route, i) => route === this.#routes[i])
    );
  }

  at(port: number): PortRoutes | undefined {
    const key = this.#named.has(port) ? port : undefined;
    const known = this.#compiled.get(key);
    if (known !== undefined || this.#compiled.has(key)) return known;
    const routes = chooseRoutes(this.#routes, this.#service, key, this.#namespace);
    const compiled = routes.length === 0 ? undefined : new PortRoutes(routes);
    this.#compiled.set(key, compiled);
    return compiled;
  }
}
