/** Deltas between catalogues: make one, apply one, and notice when both ends no longer mean the same. */

import { isSameHash, type Sha256 } from './digest.ts';
import { type Resource, resourceKey } from './resource.ts';
import type { Change, Snapshot } from './snapshot.ts';

/** A step from the catalogue at revision `base` to the one at `revision`, whose digest is `digest`. */
export interface Delta extends Change {
  readonly epoch: number;
  readonly revision: number;
  /** Revision this step starts from; without meaning when `full`. */
  readonly base: number;
  readonly digest: string;
  /** `upserts` is the whole catalogue; what was there before is forgotten. */
  readonly full: boolean;
}

/** Why a delta does not fit: another start of the hub, a lost step, or contents that differ. */
export type Divergence = 'epoch' | 'gap' | 'digest';

export type Applied =
  | { readonly snapshot: Snapshot; readonly divergence: undefined }
  | { readonly snapshot: undefined; readonly divergence: Divergence };

/** What turns `before` into `after`. */
export function diffSnapshots(before: Snapshot, after: Snapshot): Change {
  const upserts: Resource[] = [];
  const removals: string[] = [];
  for (const [key, entry] of after.entries()) {
    const old = before.entry(key);
    if (old === undefined || !isSameHash(old.hash, entry.hash)) upserts.push(entry.resource);
  }
  for (const [key] of before.entries()) if (after.entry(key) === undefined) removals.push(key);
  return { upserts, removals };
}

/** The catalogue after `delta`, or why it cannot be reached from here; then `snapshot` remains the last good one. */
export function applyDelta(snapshot: Snapshot, delta: Delta, sha256: Sha256): Applied {
  if (!delta.full) {
    if (delta.epoch !== snapshot.epoch) return { snapshot: undefined, divergence: 'epoch' };
    if (delta.base !== snapshot.revision) return { snapshot: undefined, divergence: 'gap' };
  }
  // A whole catalogue is applied as a difference too, so that what did not change keeps its identity for the readers.
  const change = delta.full ? { upserts: delta.upserts, removals: missingFrom(delta.upserts, snapshot) } : delta;
  const next = snapshot.with(change, sha256, delta.revision, delta.epoch);
  if (next.digest !== delta.digest) return { snapshot: undefined, divergence: 'digest' };
  return { snapshot: next, divergence: undefined };
}

function missingFrom(upserts: readonly Resource[], snapshot: Snapshot): string[] {
  const present = new Set(upserts.map(resourceKey));
  const missing: string[] = [];
  for (const [key] of snapshot.entries()) if (!present.has(key)) missing.push(key);
  return missing;
}
