/** `ResourceReader`: the resources of one kind, parsed once each; of one that cannot be read any more, the last form that could. */

import type { Parsed } from '../catalog/issue.ts';
import { type Manifest, resourceKey } from '../catalog/resource.ts';
import type { Snapshot } from '../catalog/snapshot.ts';
import type { Logger } from '../core/log.ts';

export interface ResourceReaderOptions<T> {
  readonly kind: string;
  readonly parse: (manifest: Manifest) => Parsed<T>;
  /** What stands for a resource that never could be read; undefined: nothing does. */
  readonly substitute?: (manifest: Manifest) => T;
  readonly log: Logger;
}

interface Entry<T> {
  readonly manifest: Manifest;
  readonly value: T | undefined;
}

export class ResourceReader<T> {
  readonly #options: ResourceReaderOptions<T>;
  #manifests: readonly Manifest[] = [];
  #entries: ReadonlyMap<string, Entry<T>> = new Map();
  #values: ReadonlyMap<string, T> = new Map();

  constructor(options: ResourceReaderOptions<T>) {
    this.#options = options;
  }

  /** By `Kind/namespace/name`; another object after a change. A value stays the same object while its resource does. */
  get values(): ReadonlyMap<string, T> {
    return this.#values;
  }

  /** Takes over what `snapshot` holds. @returns whether anything has changed */
  read(snapshot: Snapshot): boolean {
    const manifests = snapshot.manifests(this.#options.kind);
    if (manifests === this.#manifests || manifests.length + this.#manifests.length === 0) return false;
    this.#manifests = manifests;
    this.#entries = new Map(manifests.map((manifest) => [resourceKey(manifest), this.#readOne(manifest)]));
    const values = new Map<string, T>();
    for (const [key, { value }] of this.#entries) if (value !== undefined) values.set(key, value);
    this.#values = values;
    return true;
  }

  #readOne(manifest: Manifest): Entry<T> {
    const { parse, substitute, log } = this.#options;
    const before = this.#entries.get(resourceKey(manifest));
    if (before?.manifest === manifest) return before;
    const parsed = parse(manifest);
    if ('value' in parsed) return { manifest, value: parsed.value };
    log.log('error', 'resource-unreadable', { resource: resourceKey(manifest), issues: parsed.issues });
    return { manifest, value: before?.value ?? substitute?.(manifest) };
  }
}
