/** Routing: the routes of the catalogue with what they refer to, read and compiled; a change that cannot be read leaves what was good. */

import {
  DIRECT_RESPONSE,
  type Extension,
  FAULT_INJECTION,
  parseDirectResponse,
  parseFaultInjection,
} from '../catalog/extension.ts';
import { createBlockade, HTTP_ROUTE, type HttpRoute, parseHttpRoute } from '../catalog/http-route.ts';
import { subjectsOf } from '../catalog/reference.ts';
import type { Snapshot } from '../catalog/snapshot.ts';
import type { Logger } from '../core/log.ts';
import { type RouteSource, RouteTable } from '../router/table.ts';
import { ResourceReader } from './resource-reader.ts';

export interface RoutingOptions {
  readonly log: Logger;
  /** Namespace of the own identity: routes there for services of others hold for this member. */
  readonly namespace: () => string;
}

export class Routing implements RouteSource {
  readonly #options: RoutingOptions;
  readonly #routes: ResourceReader<HttpRoute>;
  readonly #extensionReaders: readonly ResourceReader<Extension>[];
  #extensions: ReadonlyMap<string, Extension> = new Map();
  #table: RouteTable;

  constructor(options: RoutingOptions) {
    const { log } = options;
    this.#options = options;
    this.#routes = new ResourceReader({
      kind: HTTP_ROUTE,
      parse: parseHttpRoute,
      substitute: (manifest) => createBlockade(manifest, subjectsOf(manifest) ?? []),
      log,
    });
    this.#extensionReaders = [
      new ResourceReader<Extension>({ kind: DIRECT_RESPONSE, parse: parseDirectResponse, log }),
      new ResourceReader<Extension>({ kind: FAULT_INJECTION, parse: parseFaultInjection, log }),
    ];
    this.#table = new RouteTable({ routes: [], extensions: this.#extensions, namespace: '' });
  }

  get table(): RouteTable {
    return this.#table;
  }

  onSnapshot(snapshot: Snapshot): void {
    const haveRoutesChanged = this.#routes.read(snapshot);
    const changed = this.#extensionReaders.filter((reader) => reader.read(snapshot));
    if (!haveRoutesChanged && changed.length === 0) return;
    if (changed.length > 0) this.#extensions = new Map(this.#extensionReaders.flatMap(({ values }) => [...values]));
    const { log, namespace } = this.#options;
    const { values } = this.#routes;
    const set = { routes: [...values.values()], extensions: this.#extensions, namespace: namespace() };
    this.#table = new RouteTable(set, this.#table);
    log.log('info', 'routes-changed', { revision: snapshot.revision, routes: [...values.keys()] });
  }
}
