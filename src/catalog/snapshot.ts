/** Snapshot: an immutable catalogue with its indexes; a change makes a new one that shares what did not change. */

import { LayeredMap } from '../core/layered-map.ts';
import { hashResource, isSameHash, type ResourceHash, SetDigest, type Sha256 } from './digest.ts';
import type { Endpoint } from './endpoint.ts';
import { isEndpoint, type Manifest, type Resource, resourceKey } from './resource.ts';
import { namespaceOf, type Service } from './service.ts';

export interface Change {
  readonly upserts: readonly Resource[];
  /** Keys; those that are not there are ignored. */
  readonly removals: readonly string[];
}

/** A resource with its hash, which is made once and shared by all catalogues that hold it. */
export interface Entry {
  readonly resource: Resource;
  readonly hash: ResourceHash;
}

const NO_ENDPOINTS: readonly Endpoint[] = [];
const NO_MANIFESTS: readonly Manifest[] = [];

export class Snapshot {
  /** Number of the hub's start that made it; 0 for the empty snapshot before the first push. */
  readonly epoch: number;
  /** Grows with each change within an epoch. */
  readonly revision: number;
  /** 32 hexadecimal digits: equal digests mean equal contents. */
  readonly digest: string;
  readonly #set: SetDigest;
  readonly #entries: LayeredMap<Entry>;
  readonly #services: LayeredMap<Service>;
  readonly #manifests: ReadonlyMap<string, readonly Manifest[]>;

  private constructor(
    version: { readonly epoch: number; readonly revision: number },
    set: SetDigest,
    entries: LayeredMap<Entry>,
    services: LayeredMap<Service>,
    manifests: ReadonlyMap<string, readonly Manifest[]>,
  ) {
    this.epoch = version.epoch;
    this.revision = version.revision;
    this.digest = set.toString();
    this.#set = set;
    this.#entries = entries;
    this.#services = services;
    this.#manifests = manifests;
  }

  static empty(epoch = 0, revision = 0): Snapshot {
    return new Snapshot({ epoch, revision }, new SetDigest(), LayeredMap.empty(), LayeredMap.empty(), new Map());
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): Resource | undefined {
    return this.#entries.get(key)?.resource;
  }

  entry(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  entries(): IterableIterator<[string, Entry]> {
    return this.#entries.entries();
  }

  /** By `name.namespace`; undefined when nobody serves it (healthy or not). */
  service(key: string): Service | undefined {
    return this.#services.get(key);
  }

  services(): IterableIterator<Service> {
    return this.#services.values();
  }

  /** Everyone who serves `key`, healthy or not; the same array until one of them changes. */
  endpoints(key: string): readonly Endpoint[] {
    return this.#services.get(key)?.endpoints ?? NO_ENDPOINTS;
  }

  /** All manifests of a kind, by namespace and name; the same array until one of them changes. */
  manifests(kind: string): readonly Manifest[] {
    return this.#manifests.get(kind) ?? NO_MANIFESTS;
  }

  *allManifests(): IterableIterator<Manifest> {
    for (const list of this.#manifests.values()) yield* list;
  }

  /** The catalogue after `change`, numbered `revision` (and `epoch`, when it begins anew). */
  with(change: Change, sha256: Sha256, revision: number, epoch: number = this.epoch): Snapshot {
    const changes = new Map<string, Entry | undefined>();
    const entryOf = (key: string): Entry | undefined => (changes.has(key) ? changes.get(key) : this.#entries.get(key));
    const set = new SetDigest(this.#set);
    const touched: Resource[] = [];
    for (const key of change.removals) {
      const entry = entryOf(key);
      if (entry === undefined) continue;
      changes.set(key, undefined);
      set.toggle(entry.hash);
      touched.push(entry.resource);
    }
    for (const resource of change.upserts) {
      const key = resourceKey(resource);
      const before = entryOf(key);
      const hash = hashResource(sha256, resource);
      if (before !== undefined) {
        if (isSameHash(before.hash, hash)) continue;
        set.toggle(before.hash);
      }
      set.toggle(hash);
      changes.set(key, { resource, hash });
      touched.push(resource);
    }
    const version = { epoch, revision };
    if (touched.length === 0) return new Snapshot(version, set, this.#entries, this.#services, this.#manifests);
    const entries = this.#entries.with(changes);
    return new Snapshot(
      version,
      set,
      entries,
      reindexServices(this.#services, touched, entries),
      reindexManifests(this.#manifests, touched, entries),
    );
  }
}

function reindexServices(
  before: LayeredMap<Service>,
  touched: readonly Resource[],
  entries: LayeredMap<Entry>,
): LayeredMap<Service> {
  const changed = new Map<string, Map<string, Endpoint>>();
  for (const resource of touched) {
    if (!isEndpoint(resource)) continue;
    let endpoints = changed.get(resource.service);
    if (endpoints === undefined) {
      endpoints = new Map((before.get(resource.service)?.endpoints ?? []).map((each) => [resourceKey(each), each]));
      changed.set(resource.service, endpoints);
    }
    const key = resourceKey(resource);
    const now = entries.get(key)?.resource;
    if (now !== undefined && isEndpoint(now)) endpoints.set(key, now);
    else endpoints.delete(key);
  }
  if (changed.size === 0) return before;
  const services = new Map<string, Service | undefined>();
  for (const [key, endpoints] of changed) {
    services.set(key, endpoints.size === 0 ? undefined : toService(key, [...endpoints.values()]));
  }
  return before.with(services);
}

function toService(key: string, endpoints: readonly Endpoint[]): Service {
  const namespace = namespaceOf(key);
  return { key, namespace, name: key.slice(0, key.length - namespace.length - 1), endpoints };
}

function reindexManifests(
  before: ReadonlyMap<string, readonly Manifest[]>,
  touched: readonly Resource[],
  entries: LayeredMap<Entry>,
): ReadonlyMap<string, readonly Manifest[]> {
  const kinds = new Set<string>();
  for (const resource of touched) if (!isEndpoint(resource)) kinds.add(resource.kind);
  if (kinds.size === 0) return before;
  const found = new Map<string, [string, Manifest][]>([...kinds].map((kind) => [kind, []]));
  for (const [key, { resource }] of entries.entries()) {
    if (!isEndpoint(resource)) found.get(resource.kind)?.push([key, resource]);
  }
  const manifests = new Map(before);
  for (const [kind, list] of found) {
    list.sort(([a], [b]) => (a < b ? -1 : 1));
    if (list.length === 0) manifests.delete(kind);
    else
      manifests.set(
        kind,
        list.map(([, manifest]) => manifest),
      );
  }
  return manifests;
}
