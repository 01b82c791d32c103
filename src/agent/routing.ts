/** Routing: the routes of the catalogue with what they refer to, read and compiled; a change that cannot be read leaves what was good. */

import {
  BACKEND_TRAFFIC_POLICY,
  type BackendTrafficPolicy,
  choosePolicies,
  parseBackendTrafficPolicy,
} from '../catalog/backend-traffic-policy.ts';
import { EXPORT, type Export, Exports, NO_EXPORTS, parseExport } from '../catalog/export.ts';
import {
  DIRECT_RESPONSE,
  type Extension,
  FAULT_INJECTION,
  parseDirectResponse,
  parseFaultInjection,
} from '../catalog/extension.ts';
import { subjectsOf } from '../catalog/reference.ts';
import type { RegularExpressions } from '../catalog/regular-expression.ts';
import { createBlockade, ROUTE_KINDS, ROUTE_PARSERS, type Route } from '../catalog/route.ts';
import type { Snapshot } from '../catalog/snapshot.ts';
import type { Logger } from '../core/log.ts';
import { type RouteSource, RouteTable } from '../router/table.ts';
import { ResourceReader } from './resource-reader.ts';

export interface RoutingOptions {
  readonly log: Logger;
  /** Namespace of the own identity: routes there for services of others hold for this member. */
  readonly namespace: () => string;
  /** What reads the patterns of routes. */
  readonly expressions: RegularExpressions;
}

export class Routing implements RouteSource {
  readonly #options: RoutingOptions;
  readonly #routeReaders: readonly ResourceReader<Route>[];
  readonly #extensionReaders: readonly ResourceReader<Extension>[];
  readonly #exportReader: ResourceReader<Export>;
  readonly #policyReader: ResourceReader<BackendTrafficPolicy>;
  #extensions: ReadonlyMap<string, Extension> = new Map();
  #exports = NO_EXPORTS;
  #policies: ReadonlyMap<string, BackendTrafficPolicy> = new Map();
  #table: RouteTable;

  constructor(options: RoutingOptions) {
    const { log, expressions } = options;
    this.#options = options;
    this.#routeReaders = ROUTE_KINDS.map(
      (kind) =>
        new ResourceReader<Route>({
          kind,
          parse: (manifest) => ROUTE_PARSERS[kind](manifest, expressions),
          substitute: (manifest) => createBlockade(kind, manifest, subjectsOf(manifest) ?? []),
          log,
        }),
    );
    this.#extensionReaders = [
      new ResourceReader<Extension>({ kind: DIRECT_RESPONSE, parse: parseDirectResponse, log }),
      new ResourceReader<Extension>({ kind: FAULT_INJECTION, parse: parseFaultInjection, log }),
    ];
    this.#exportReader = new ResourceReader<Export>({ kind: EXPORT, parse: parseExport, log });
    this.#policyReader = new ResourceReader<BackendTrafficPolicy>({
      ...{ kind: BACKEND_TRAFFIC_POLICY, parse: parseBackendTrafficPolicy, log },
    });
    this.#table = new RouteTable({
      ...{ routes: [], extensions: this.#extensions, exports: NO_EXPORTS, namespace: '', expressions },
    });
  }

  get table(): RouteTable {
    return this.#table;
  }

  /** What holds for requests to a service; the same object until it changes. */
  policy(service: string): BackendTrafficPolicy | undefined {
    return this.#policies.get(service);
  }

  onSnapshot(snapshot: Snapshot): void {
    if (this.#policyReader.read(snapshot)) this.#policies = choosePolicies(this.#policyReader.values.values());
    this.#onRoutes(snapshot);
  }

  #onRoutes(snapshot: Snapshot): void {
    const changedRoutes = this.#routeReaders.filter((reader) => reader.read(snapshot));
    const changed = this.#extensionReaders.filter((reader) => reader.read(snapshot));
    const areOtherExports = this.#exportReader.read(snapshot);
    if (changedRoutes.length + changed.length === 0 && !areOtherExports) return;
    if (areOtherExports) this.#exports = new Exports(this.#exportReader.values.values());
    if (changed.length > 0) this.#extensions = new Map(this.#extensionReaders.flatMap(({ values }) => [...values]));
    const { log, namespace, expressions } = this.#options;
    const routes = new Map(this.#routeReaders.flatMap(({ values }) => [...values]));
    const set = {
      ...{ routes: [...routes.values()], extensions: this.#extensions, exports: this.#exports },
      ...{ namespace: namespace(), expressions },
    };
    this.#table = new RouteTable(set, this.#table);
    log.log('info', 'routes-changed', { revision: snapshot.revision, routes: [...routes.keys()] });
  }
}
