/** Policies and routes as people apply them: checked whole, kept in the store, told to those they concern. */

import { toCanonicalJson } from '../catalog/digest.ts';
import { type Issue, valueOrThrow } from '../catalog/issue.ts';
import { parseManifest } from '../catalog/parse.ts';
import { type Manifest, manifestKey } from '../catalog/resource.ts';
import { encodeUtf8 } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { HubLimits } from './options.ts';
import type { Publisher } from './publisher.ts';
import { type Store, type StoreEntry, tryParseJson } from './store.ts';

export interface PoliciesOptions {
  readonly store: Store;
  readonly publisher: Publisher;
  readonly log: Logger;
  readonly limits: HubLimits;
}

export interface Applied {
  /** `Kind/namespace/name` */
  readonly key: string;
  readonly status: 'created' | 'changed' | 'unchanged';
  /** Pass it as `metadata.resourceVersion` to change exactly this version. */
  readonly resourceVersion: string;
}

const PREFIX = 'resource/';

export class Policies {
  readonly #options: PoliciesOptions;
  #unwatch: (() => void) | undefined;

  constructor(options: PoliciesOptions) {
    this.#options = options;
  }

  /** Publishes what is stored, and from then on every change of it, whichever hub has made it. */
  load(): void {
    const { store, publisher, log } = this.#options;
    this.#unwatch = store.watch(PREFIX, ({ key, entry }) => {
      const resource = key.slice(PREFIX.length);
      const manifest = entry === undefined ? undefined : readManifest(resource, entry);
      // What is not readable may be a policy that denies: the last one that was holds.
      if (entry !== undefined && manifest === undefined) log.log('error', 'resource-not-read', { resource });
      else publisher.change(resource, manifest);
    });
  }

  /**
   * Applies all or, when one of them is not valid, none.
   * @throws SkeinError SKEIN_RESOURCE_INVALID, SKEIN_CONFLICT, SKEIN_LIMIT, SKEIN_STORE
   */
  async apply(manifests: readonly unknown[]): Promise<readonly Applied[]> {
    const versions = manifests.map(takeVersion);
    const checked = checkManifests(versions.map(({ manifest }) => manifest));
    for (const manifest of checked) this.#checkSize(manifest);
    await this.#checkRoom(checked);
    const applied: Applied[] = [];
    for (const [index, manifest] of checked.entries()) {
      applied.push(await this.#put(manifest, versions[index]?.resourceVersion));
    }
    return applied;
  }

  /** Every manifest, by kind, namespace and name. */
  async list(): Promise<readonly Manifest[]> {
    const entries = await this.#options.store.list(PREFIX);
    return entries.flatMap((entry) => (tryParseJson(entry.value) as Manifest | undefined) ?? []);
  }

  async get(kind: string, namespace: string, name: string): Promise<Manifest | undefined> {
    const entry = await this.#options.store.get(PREFIX + manifestKey(kind, namespace, name));
    return entry === undefined ? undefined : (tryParseJson(entry.value) as Manifest | undefined);
  }

  /** False when there is none. @throws SkeinError SKEIN_STORE */
  async delete(kind: string, namespace: string, name: string): Promise<boolean> {
    const { store, log } = this.#options;
    const key = manifestKey(kind, namespace, name);
    for (;;) {
      const entry = await store.get(PREFIX + key);
      if (entry === undefined) return false;
      if (!(await store.delete(entry.key, entry.revision))) continue; // changed meanwhile
      log.log('info', 'resource-deleted', { resource: key });
      return true;
    }
  }

  close(): void {
    this.#unwatch?.();
  }

  async #put(manifest: Manifest, wanted: string | undefined): Promise<Applied> {
    const { store, log } = this.#options;
    const key = manifestKey(manifest.kind, manifest.metadata.namespace, manifest.metadata.name);
    const value = toCanonicalJson(manifest);
    for (;;) {
      const before = await store.get(PREFIX + key);
      if (wanted !== undefined && wanted !== String(before?.revision ?? 0)) {
        throw new SkeinError('SKEIN_CONFLICT', `Cannot apply ${key}: it has changed since version ${wanted}`, {
          details: { resourceVersion: String(before?.revision ?? 0) },
        });
      }
      if (before?.value === value) return { key, status: 'unchanged', resourceVersion: String(before.revision) };
      const after = await store.compareAndSet(PREFIX + key, before?.revision ?? 0, value);
      if (after === undefined) continue; // changed meanwhile
      const status = before === undefined ? 'created' : 'changed';
      log.log('info', 'resource-applied', { resource: key, status, resourceVersion: String(after.revision) });
      return { key, status, resourceVersion: String(after.revision) };
    }
  }

  #checkSize(manifest: Manifest): void {
    const { maxResourceBytes } = this.#options.limits;
    const bytes = encodeUtf8(toCanonicalJson(manifest)).length;
    if (bytes <= maxResourceBytes) return;
    const key = manifestKey(manifest.kind, manifest.metadata.namespace, manifest.metadata.name);
    throw new SkeinError('SKEIN_RESOURCE_INVALID', `Cannot apply ${key}: ${bytes} bytes, ${maxResourceBytes} allowed`);
  }

  async #checkRoom(manifests: readonly Manifest[]): Promise<void> {
    const { store, limits } = this.#options;
    const keys = new Set((await store.list(PREFIX)).map(({ key }) => key));
    for (const { kind, metadata } of manifests) keys.add(PREFIX + manifestKey(kind, metadata.namespace, metadata.name));
    if (keys.size > limits.maxResources) {
      throw new SkeinError('SKEIN_LIMIT', `Cannot apply resources: there would be more than ${limits.maxResources}`);
    }
  }
}

/** A manifest as some version of the hub has checked it; no more than what everybody needs to pass it on is checked again. */
function readManifest(key: string, { value }: StoreEntry): Manifest | undefined {
  const manifest = tryParseJson(value);
  if (!isRecord(manifest) || !isRecord(manifest.metadata) || typeof manifest.kind !== 'string') return undefined;
  const { name, namespace } = manifest.metadata;
  if (typeof name !== 'string' || typeof namespace !== 'string') return undefined;
  return manifestKey(manifest.kind, namespace, name) === key ? (manifest as unknown as Manifest) : undefined;
}

/** The version a manifest wants to replace is no part of it. */
function takeVersion(manifest: unknown): { readonly manifest: unknown; readonly resourceVersion: string | undefined } {
  if (!isRecord(manifest) || !isRecord(manifest.metadata)) return { manifest, resourceVersion: undefined };
  const { resourceVersion, ...metadata } = manifest.metadata;
  if (typeof resourceVersion !== 'string') return { manifest, resourceVersion: undefined };
  return { manifest: { ...manifest, metadata }, resourceVersion };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** All manifests, or every issue of every one. @throws SkeinError SKEIN_RESOURCE_INVALID */
function checkManifests(manifests: readonly unknown[]): readonly Manifest[] {
  const checked: Manifest[] = [];
  const issues: Issue[] = [];
  for (const [index, manifest] of manifests.entries()) {
    const parsed = parseManifest(manifest);
    if ('value' in parsed) checked.push(parsed.value);
    else issues.push(...parsed.issues.map((issue) => (manifests.length === 1 ? issue : inList(issue, index))));
  }
  return valueOrThrow(issues.length > 0 ? { issues } : { value: checked }, 'resources');
}

function inList(issue: Issue, index: number): Issue {
  return { ...issue, path: issue.path === '' ? `[${index}]` : `[${index}].${issue.path}` };
}
