/**
 * Journal: every change of the resources as one numbered revision. Writing a revision is the change, of however many
 * resources; who writes the number first has made it, and what follows from it is carried out by whichever hub looks next.
 * So a hub that dies in the middle leaves no half of a change.
 */

import { toCanonicalJson } from '../catalog/digest.ts';
import type { Manifest } from '../catalog/resource.ts';
import { encodeUtf8 } from '../core/bytes.ts';
import { tryParseJson } from '../core/json.ts';
import { askAll, type Store, type StoreEntry } from './store.ts';

/** One resource in a revision, by `Kind/namespace/name`; undefined: there was none, or is none. */
export interface ResourceChange {
  readonly key: string;
  readonly before?: Manifest | undefined;
  readonly after?: Manifest | undefined;
}

export interface Revision {
  /** 1 for the first change of a mesh, then one more each. */
  readonly revision: number;
  /** RFC 3339. */
  readonly at: string;
  /** `unknown`: another version of the hub wrote it, and this one cannot read it. */
  readonly action: 'apply' | 'delete' | 'rollback' | 'unknown';
  /** Of a rollback, the revision that was gone back to. */
  readonly to?: number | undefined;
  readonly changes: readonly ResourceChange[];
  /** The issuer's word on what all resources are after it. */
  readonly seal?: string | undefined;
}

export interface JournalLimits {
  readonly maxRevisions: number;
  readonly maxRevisionBytes: number;
}

export const RESOURCE_PREFIX = 'resource/';
export const REVISION_PREFIX = 'revision/';
/** So that keys sort as their numbers do. */
const DIGITS = 12;

export class Journal {
  readonly #store: Store;
  readonly #limits: JournalLimits;

  constructor(store: Store, limits: JournalLimits) {
    this.#store = store;
    this.#limits = limits;
  }

  /** The revisions that are kept, oldest first, with the newest that anybody has written. @throws SkeinError SKEIN_STORE */
  async read(): Promise<readonly Revision[]> {
    const kept = (await this.#store.list(REVISION_PREFIX)).map(readRevision);
    // Watchers of a shared store may not have been told of the newest.
    for (;;) {
      const next = await this.#store.get(toKey(newestOf(kept) + 1));
      if (next === undefined) return kept;
      kept.push(readRevision(next));
    }
  }

  /** The revisions, after all that they say was carried out. @throws SkeinError SKEIN_STORE */
  async settle(): Promise<readonly Revision[]> {
    const revisions = await this.read();
    const told = new Map((await this.#store.list(RESOURCE_PREFIX)).map((entry) => [entry.key, entry]));
    const last = new Map<string, { readonly revision: number; readonly after: Manifest | undefined }>();
    for (const { revision, changes } of revisions) {
      for (const { key, after } of changes) last.set(RESOURCE_PREFIX + key, { revision, after });
    }
    const late = [...last].filter(([key, { revision, after }]) => {
      const entry = told.get(key);
      return (entry && versionOf(entry)) !== (after && revision);
    });
    await askAll(late, ([key, { revision, after }]) => this.#carryOut(key, revision, after));
    return revisions;
  }

  /** Makes a revision, unless another has its number already; then false, and everything has to be looked at anew. */
  async commit(revision: Revision): Promise<boolean> {
    const entry = await this.#store.compareAndSet(toKey(revision.revision), 0, toCanonicalJson(revision));
    return entry !== undefined;
  }

  /** Forgets the oldest revisions beyond the limits; the newest stays. */
  async trim(): Promise<void> {
    const entries = await this.#store.list(REVISION_PREFIX);
    const { maxRevisions, maxRevisionBytes } = this.#limits;
    let bytes = 0;
    const tooMany = entries.toReversed().findIndex(({ value }, index) => {
      bytes += encodeUtf8(value).length;
      return index > 0 && (index >= maxRevisions || bytes > maxRevisionBytes);
    });
    if (tooMany < 0) return;
    for (const { key, revision } of entries.slice(0, entries.length - tooMany)) await this.#store.delete(key, revision);
  }

  /** Brings one resource in line with the revision that has changed it last. */
  async #carryOut(key: string, revision: number, after: Manifest | undefined): Promise<void> {
    for (;;) {
      const entry = await this.#store.get(key);
      const version = entry === undefined ? undefined : versionOf(entry);
      // It was done, or undone by a revision that was made meanwhile.
      if (version === undefined ? after === undefined : version >= revision) return;
      if (after !== undefined) {
        if (await this.#store.compareAndSet(key, entry?.revision ?? 0, toCanonicalJson(after))) return;
      } else if (entry !== undefined && (await this.#store.delete(key, entry.revision))) {
        return;
      }
    }
  }
}

/** What a change makes of its resource. */
export function statusOf({ before, after }: ResourceChange): 'created' | 'changed' | 'deleted' {
  return after === undefined ? 'deleted' : before === undefined ? 'created' : 'changed';
}

/** 0 before the first. */
export function newestOf(revisions: readonly Revision[]): number {
  return revisions.at(-1)?.revision ?? 0;
}

/**
 * What has to change so that all is as it was at revision `to`, by key; undefined for what must go.
 * @returns undefined when the revisions since then are not all kept
 */
export function undoneSince(
  revisions: readonly Revision[],
  to: number,
): ReadonlyMap<string, Manifest | undefined> | undefined {
  const oldest = revisions[0]?.revision;
  if (to < 0 || to > newestOf(revisions) || (oldest !== undefined && to < oldest - 1)) return undefined;
  const wanted = new Map<string, Manifest | undefined>();
  for (const { revision, action, changes } of revisions) {
    if (revision <= to) continue;
    if (action === 'unknown') return undefined;
    for (const { key, before } of changes) if (!wanted.has(key)) wanted.set(key, before);
  }
  return wanted;
}

/** The revision that has changed a resource last; 0 where there is none in its words. */
function versionOf({ value }: StoreEntry): number {
  const manifest = tryParseJson(value) as Partial<Manifest> | undefined;
  return Number(manifest?.metadata?.resourceVersion) || 0;
}

function toKey(revision: number): string {
  return REVISION_PREFIX + String(revision).padStart(DIGITS, '0');
}

export function readRevision({ key, value }: StoreEntry): Revision {
  const revision = tryParseJson(value) as Partial<Revision> | undefined;
  if (typeof revision?.revision === 'number' && Array.isArray(revision.changes)) return revision as Revision;
  return { revision: Number(key.slice(REVISION_PREFIX.length)), at: '', action: 'unknown', changes: [] };
}
