/** Resources as people apply them: checked whole, kept in the store with their revisions, told to those they concern. */

import { findDifferences } from '../catalog/difference.ts';
import { toCanonicalJson } from '../catalog/digest.ts';
import { type Issue, valueOrThrow } from '../catalog/issue.ts';
import { portsOf } from '../catalog/mesh-view.ts';
import { parseManifest, toOwnWords } from '../catalog/parse.ts';
import { type Manifest, manifestKey, resourceKey } from '../catalog/resource.ts';
import { DECIDING_KINDS } from '../catalog/status.ts';
import { encodeUtf8 } from '../core/bytes.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import { tryParseJson } from '../core/json.ts';
import type { Logger } from '../core/log.ts';
import {
  Journal,
  newestOf,
  RESOURCE_PREFIX,
  REVISION_PREFIX,
  type ResourceChange,
  type Revision,
  readRevision,
  statusOf,
  undoneSince,
} from './journal.ts';
import type { HubLimits } from './options.ts';
import { judgePolicies, type ResourceIssue } from './policy-admission.ts';
import type { Publisher } from './publisher.ts';
import type { Sealer } from './sealer.ts';
import { askAll, type Store, type StoreEntry } from './store.ts';

export interface ResourcesOptions {
  readonly store: Store;
  readonly publisher: Publisher;
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits: HubLimits;
  /** Signs what the resources are; without it members of this hub believe none. */
  readonly sealer?: Sealer | undefined;
}

/** What became of a resource that was applied. */
export interface Applied {
  /** `Kind/namespace/name` */
  readonly key: string;
  /** What changed. */
  readonly status: 'created' | 'changed' | 'deleted' | 'unchanged';
  /** The revision of the mesh that has changed it last: as `metadata.resourceVersion` it changes exactly this version. */
  readonly resourceVersion: string;
}

export interface ApplyOptions {
  /** Only if this is still the newest revision of the mesh. */
  readonly ifRevision?: number | undefined;
  /** Says what would come of it, and changes nothing. */
  readonly dryRun?: boolean | undefined;
  /** Although tests of policies fail: in an emergency they must not be in the way. */
  readonly ignoreTests?: boolean | undefined;
}

export interface ApplyOutcome {
  readonly results: readonly Applied[];
  /** The newest revision of the mesh after it. */
  readonly revision: number;
  /** What is likely a mistake, if anything. */
  readonly warnings?: readonly ResourceIssue[];
}

/** What somebody wants a resource to be. */
interface Wish {
  readonly key: string;
  /** Undefined: gone. */
  readonly manifest: Manifest | undefined;
  /** The version that it is to replace; undefined: whichever there is. */
  readonly seen?: string | undefined;
}

/** What is to change, and what comes of each resource that was named. */
interface Plan {
  readonly changes: readonly ResourceChange[];
  readonly results: readonly Applied[];
}

/** A store that is away is seldom back sooner, and asking it costs nothing. */
const RETRY_MS = 2_000;
/** What is not sealed after as many looks is not being changed by another hub. */
const MAX_OPENINGS = 4;

export class Resources {
  readonly #options: ResourcesOptions;
  readonly #journal: Journal;
  #unwatch: (() => void) | undefined;
  #unfollow: (() => void) | undefined;
  #retry: Timer | undefined;
  /** How often it was looked whether what is stored is sealed. */
  #openings = 0;
  #isClosed = false;

  constructor(options: ResourcesOptions) {
    this.#options = options;
    this.#journal = new Journal(options.store, options.limits);
  }

  /** Publishes what is stored, and from then on every change of it, whichever hub has made it. */
  async load(): Promise<void> {
    const { store, publisher, log } = this.#options;
    this.#unwatch = store.watch(RESOURCE_PREFIX, ({ key, entry }) => {
      const resource = key.slice(RESOURCE_PREFIX.length);
      const manifest = entry === undefined ? undefined : readManifest(resource, entry);
      // What is not readable may be a policy that denies: the last one that was holds.
      if (entry !== undefined && manifest === undefined) log.log('error', 'resource-not-read', { resource });
      else publisher.change(resource, manifest);
    });
    // A hub may have died in the middle of a change.
    await this.#settle().catch((thrown) => {
      log.log('warn', 'revisions-not-settled', { error: toSkeinError(thrown).message });
      this.#settleLater();
    });
  }

  /** Carries out what was begun, and from the first time on follows what is sealed. */
  async #settle(): Promise<void> {
    const { store, sealer } = this.#options;
    const revisions = await this.#journal.settle();
    if (sealer === undefined || this.#unfollow !== undefined || this.#isClosed) return;
    const manifests = new Map<string, Manifest>();
    for (const entry of await store.list(RESOURCE_PREFIX)) {
      const key = entry.key.slice(RESOURCE_PREFIX.length);
      const manifest = readManifest(key, entry);
      if (manifest !== undefined) manifests.set(key, manifest);
    }
    this.#openings++;
    const isLast = this.#openings >= MAX_OPENINGS;
    // Another hub may be in the middle of a change.
    if (!(await sealer.open(revisions, manifests, isLast)) && !isLast) return this.#settleLater();
    this.#unfollow = store.watch(REVISION_PREFIX, ({ entry }) => {
      if (entry !== undefined) sealer.note(readRevision(entry));
    });
  }

  /**
   * Applies all or, when one of them is not valid or has changed since its `metadata.resourceVersion`, none.
   * @throws SkeinError SKEIN_RESOURCE_INVALID, SKEIN_CONFLICT, SKEIN_LIMIT, SKEIN_STORE
   */
  async apply(manifests: readonly unknown[], options: ApplyOptions = {}): Promise<ApplyOutcome> {
    const checked = checkManifests(manifests);
    for (const manifest of checked) this.#checkSize(manifest);
    await this.#checkRoom(checked);
    const wishes = checked.map((manifest, i) => ({
      key: resourceKey(manifest),
      manifest,
      seen: versionSeen(manifests[i]),
    }));
    return this.#change('apply', options, (revision) => this.#plan(wishes, revision));
  }

  /** Every manifest, by kind, namespace and name. */
  async list(): Promise<readonly Manifest[]> {
    const entries = await this.#options.store.list(RESOURCE_PREFIX);
    return entries.flatMap((entry) => (tryParseJson(entry.value) as Manifest | undefined) ?? []);
  }

  async get(kind: string, namespace: string, name: string): Promise<Manifest | undefined> {
    return this.#read(manifestKey(kind, namespace, name));
  }

  /**
   * Deletes all or, when one of them is not there, none.
   * @param keys `Kind/namespace/name`
   * @throws SkeinError SKEIN_RESOURCE_INVALID (404), SKEIN_CONFLICT, SKEIN_STORE
   */
  async delete(keys: readonly string[], options: ApplyOptions = {}): Promise<ApplyOutcome> {
    const wishes = [...new Set(keys)].map((key) => ({ key, manifest: undefined }));
    return this.#change('delete', options, async (revision) => {
      const plan = await this.#plan(wishes, revision);
      const missing = plan.results.filter(({ status }) => status !== 'deleted');
      if (missing.length > 0) throw notFound(missing.map(({ key }) => key));
      return plan;
    });
  }

  /** The revisions that are kept, oldest first. @throws SkeinError SKEIN_STORE */
  revisions(): Promise<readonly Revision[]> {
    return this.#journal.read();
  }

  /**
   * Makes all resources as they were at revision `to`, as a revision of its own.
   * @throws SkeinError SKEIN_RESOURCE_INVALID (404 when it is not kept), SKEIN_CONFLICT, SKEIN_LIMIT, SKEIN_STORE
   */
  async rollback(to: number, options: ApplyOptions = {}): Promise<ApplyOutcome> {
    return this.#change(
      'rollback',
      options,
      async (revision, revisions) => {
        const wanted = undoneSince(revisions, to);
        if (wanted === undefined) {
          const kept = `${Math.max(0, (revisions[0]?.revision ?? 1) - 1)} to ${newestOf(revisions)} can be gone back to`;
          throw new SkeinError('SKEIN_RESOURCE_INVALID', `Cannot go back to revision ${to}: ${kept}`, { status: 404 });
        }
        // This version of the hub may be stricter than the one that took them.
        checkManifests([...wanted.values()].filter((manifest) => manifest !== undefined));
        const wishes = [...wanted].map(([key, manifest]) => ({ key, manifest }));
        const { changes, results } = await this.#plan(wishes, revision);
        return { changes, results: results.filter(({ status }) => status !== 'unchanged') };
      },
      to,
    );
  }

  close(): void {
    this.#isClosed = true;
    this.#retry?.cancel();
    this.#unwatch?.();
    this.#unfollow?.();
    this.#options.sealer?.close();
  }

  /** A revision that was made is carried out as soon as the store takes it. */
  #settleLater(): void {
    if (this.#isClosed) return;
    this.#retry ??= this.#options.clock.setTimer(RETRY_MS, () => {
      this.#retry = undefined;
      this.#settle().catch(() => this.#settleLater());
    });
  }

  /** Makes one revision of what `plan` says, anew as often as another revision comes first. */
  async #change(
    action: Revision['action'],
    { ifRevision, dryRun = false, ignoreTests = false }: ApplyOptions,
    plan: (revision: number, revisions: readonly Revision[]) => Promise<Plan>,
    to?: number,
  ): Promise<ApplyOutcome> {
    const { clock } = this.#options;
    for (;;) {
      const revisions = await this.#journal.settle();
      const newest = newestOf(revisions);
      if (ifRevision !== undefined && ifRevision !== newest) {
        const state = `the mesh is at revision ${newest}, not ${ifRevision}`;
        throw new SkeinError('SKEIN_CONFLICT', `Cannot change resources: ${state}`, { details: { revision: newest } });
      }
      const { changes, results } = await plan(newest + 1, revisions);
      const places = action === 'apply' ? results.map(({ key }) => key) : [];
      const warnings = await this.#judge(changes, places, ignoreTests);
      const outcome = { results, ...(warnings.length === 0 ? {} : { warnings }) };
      if (changes.length === 0 || dryRun) return { ...outcome, revision: newest };
      const at = new Date(clock.epochMs()).toISOString();
      const seal = await this.#options.sealer?.prepare(revisions, changes);
      if (!(await this.#journal.commit({ revision: newest + 1, at, action, to, changes, seal }))) continue;
      this.#tell(newest + 1, results);
      try {
        await this.#journal.settle();
        await this.#journal.trim();
      } catch (thrown) {
        this.#settleLater();
        throw thrown;
      }
      return { ...outcome, revision: newest + 1 };
    }
  }

  /**
   * @param places keys of what was given, in its order
   * @throws SkeinError SKEIN_RESOURCE_INVALID when policies say something else than their tests
   */
  async #judge(
    changes: readonly ResourceChange[],
    places: readonly string[],
    ignoreTests: boolean,
  ): Promise<readonly ResourceIssue[]> {
    const { publisher, log } = this.#options;
    const { failures, errors, warnings } = judgePolicies(await this.#policies(changes), changes, () => {
      publisher.flush();
      return new Map(
        [...publisher.snapshot.services()].map(({ key, endpoints }) => [key, portsOf(endpoints) ?? new Map()]),
      );
    });
    if (ignoreTests) {
      for (const { resource, path, message } of failures) {
        log.log('warn', 'policy-test-ignored', { resource, path, test: message });
      }
    }
    const issues = [...errors, ...(ignoreTests ? [] : failures)];
    if (issues.length === 0) return warnings;
    // What was given is known by its place in the change, everything else by its name.
    const named = issues.map(({ resource, ...issue }) => {
      const index = places.indexOf(resource);
      if (index < 0) return { ...issue, resource };
      return places.length === 1 ? issue : inList(issue, index);
    });
    valueOrThrow({ issues: named }, 'resources');
    return warnings;
  }

  /** Everything that policies are judged by, where some of it is to change. */
  async #policies(changes: readonly ResourceChange[]): Promise<readonly Manifest[]> {
    const prefixes = DECIDING_KINDS.map((kind) => `${kind}/`);
    if (!changes.some(({ key }) => prefixes.some((prefix) => key.startsWith(prefix)))) return [];
    const lists = await Promise.all(prefixes.map((prefix) => this.#options.store.list(RESOURCE_PREFIX + prefix)));
    const entries = lists.flat();
    return entries.flatMap((entry) => readManifest(entry.key.slice(RESOURCE_PREFIX.length), entry) ?? []);
  }

  #tell(revision: number, results: readonly Applied[]): void {
    const { log } = this.#options;
    for (const { key, status } of results) {
      if (status === 'deleted') log.log('info', 'resource-deleted', { resource: key, revision });
      else if (status !== 'unchanged') log.log('info', 'resource-applied', { resource: key, status, revision });
    }
  }

  async #plan(wishes: readonly Wish[], revision: number): Promise<Plan> {
    const changes = await askAll(wishes, async ({ key, manifest, seen }) => {
      const before = await this.#read(key);
      checkSeen(key, seen, before);
      return { key, before, after: manifest && this.#write(manifest, before, revision) };
    });
    return {
      changes: changes.filter(isChange),
      results: changes.map((change): Applied => {
        const { key, before } = change;
        if (isChange(change)) return { key, status: statusOf(change), resourceVersion: String(revision) };
        return { key, status: 'unchanged', resourceVersion: versionOf(before) };
      }),
    };
  }

  /** The form in which a manifest is kept; `before` itself when it means the same. */
  #write(manifest: Manifest, before: Manifest | undefined, revision: number): Manifest {
    const differences = before === undefined ? [] : findDifferences(before, manifest);
    if (before !== undefined && differences.length === 0) return before;
    const isOther = differences.some(({ path }) => path.startsWith('spec'));
    const generation = Number((before ?? manifest).metadata.generation ?? 0);
    const own = toOwnWords(manifest);
    return {
      ...own,
      metadata: {
        ...own.metadata,
        // A resource that comes back is as old as it was.
        creationTimestamp:
          (before ?? manifest).metadata.creationTimestamp ?? new Date(this.#options.clock.epochMs()).toISOString(),
        generation: before === undefined || isOther ? generation + 1 : generation,
        resourceVersion: String(revision),
      },
    };
  }

  async #read(key: string): Promise<Manifest | undefined> {
    const entry = await this.#options.store.get(RESOURCE_PREFIX + key);
    return entry === undefined ? undefined : (tryParseJson(entry.value) as Manifest | undefined);
  }

  #checkSize(manifest: Manifest): void {
    const { maxResourceBytes } = this.#options.limits;
    const bytes = encodeUtf8(toCanonicalJson(manifest)).length;
    if (bytes <= maxResourceBytes) return;
    throw new SkeinError(
      'SKEIN_RESOURCE_INVALID',
      `Cannot apply ${resourceKey(manifest)}: ${bytes} bytes, ${maxResourceBytes} allowed`,
    );
  }

  async #checkRoom(manifests: readonly Manifest[]): Promise<void> {
    const { store, limits } = this.#options;
    const keys = new Set((await store.list(RESOURCE_PREFIX)).map(({ key }) => key));
    for (const manifest of manifests) keys.add(RESOURCE_PREFIX + resourceKey(manifest));
    if (keys.size > limits.maxResources) {
      throw new SkeinError('SKEIN_LIMIT', `Cannot apply resources: there would be more than ${limits.maxResources}`);
    }
  }
}

/** @param keys `Kind/namespace/name` */
export function notFound(keys: readonly string[]): SkeinError {
  const names = keys.map((key) => {
    const [kind, namespace, name] = key.split('/');
    return `${kind}/${name} in namespace "${namespace}"`;
  });
  return new SkeinError('SKEIN_RESOURCE_INVALID', `Cannot find ${names.join(', ')}`, { status: 404 });
}

/** A manifest as some version of the hub has checked it; no more than what everybody needs to pass it on is checked again. */
function readManifest(key: string, { value }: StoreEntry): Manifest | undefined {
  const manifest = tryParseJson(value);
  if (!isRecord(manifest) || !isRecord(manifest.metadata) || typeof manifest.kind !== 'string') return undefined;
  const { name, namespace } = manifest.metadata;
  if (typeof name !== 'string' || typeof namespace !== 'string') return undefined;
  return manifestKey(manifest.kind, namespace, name) === key ? (manifest as unknown as Manifest) : undefined;
}

function isChange({ before, after }: ResourceChange): boolean {
  return after !== before;
}

/** The revision that has changed a resource last; 0 where there is none. */
function versionOf(manifest: Manifest | undefined): string {
  return String(manifest?.metadata.resourceVersion ?? 0);
}

/** @throws SkeinError SKEIN_CONFLICT when it is another version than its writer has seen */
function checkSeen(key: string, seen: string | undefined, present: Manifest | undefined): void {
  const resourceVersion = versionOf(present);
  if (seen === undefined || seen === resourceVersion) return;
  throw new SkeinError('SKEIN_CONFLICT', `Cannot apply ${key}: it has changed since version ${seen}`, {
    details: { resourceVersion },
  });
}

/** The version of a manifest that its writer has seen, and wants to replace. */
function versionSeen(manifest: unknown): string | undefined {
  if (!isRecord(manifest) || !isRecord(manifest.metadata)) return undefined;
  const { resourceVersion } = manifest.metadata;
  return typeof resourceVersion === 'string' ? resourceVersion : undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** All manifests, or every issue of every one. @throws SkeinError SKEIN_RESOURCE_INVALID */
function checkManifests(manifests: readonly unknown[]): readonly Manifest[] {
  const checked: Manifest[] = [];
  const issues: Issue[] = [];
  const keys = new Set<string>();
  for (const [index, manifest] of manifests.entries()) {
    const parsed = parseManifest(manifest);
    const found = 'value' in parsed ? findRepeated(parsed.value, keys) : parsed.issues;
    if ('value' in parsed) checked.push(parsed.value);
    issues.push(...found.map((issue) => (manifests.length === 1 ? issue : inList(issue, index))));
  }
  return valueOrThrow(issues.length > 0 ? { issues } : { value: checked }, 'resources');
}

/** Of two manifests of one name in one change nobody could say which was meant. */
function findRepeated(manifest: Manifest, keys: Set<string>): readonly Issue[] {
  const key = resourceKey(manifest);
  if (keys.has(key)) return [{ path: 'metadata.name', message: `${key} was given before`, rule: 'repeated' }];
  keys.add(key);
  return [];
}

function inList(issue: Issue, index: number): Issue {
  return { ...issue, path: issue.path === '' ? `[${index}]` : `[${index}].${issue.path}` };
}
