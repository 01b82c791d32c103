/**
 * Replica: the entries of a store elsewhere, kept by what is read there. Changes are taken in the order of their revisions; who
 * may have missed some lists all there is, and what is told to watchers is only what differs from before, each change once.
 */

import { StoreTable } from './table.ts';

/** The newest change of a key, as it was read. */
export interface ReadChange {
  /** Undefined for keys that are not ours. */
  readonly key: string | undefined;
  readonly revision: number;
  /** Undefined: the key was deleted. */
  readonly value: string | undefined;
}

export class Replica {
  readonly table = new StoreTable();

  /** The change that follows those taken so far; one of them a second time is ignored. */
  take({ key, revision, value }: ReadChange): void {
    const { table } = this;
    if (revision <= table.revision) return;
    if (key !== undefined && value !== undefined) table.apply({ key, revision, entry: { key, revision, value } });
    else if (key !== undefined && table.get(key) !== undefined) table.apply({ key, revision, entry: undefined });
    else table.revision = revision;
  }

  list(): Listing {
    return new Listing(this);
  }
}

/** The newest change of every key, read one after the other; nothing is told before it is complete. */
export class Listing {
  readonly #replica: Replica;
  readonly #changes: ReadChange[] = [];
  readonly #named = new Set<string>();

  constructor(replica: Replica) {
    this.#replica = replica;
  }

  take(change: ReadChange): void {
    this.#changes.push(change);
    if (change.key !== undefined) this.#named.add(change.key);
  }

  /**
   * Keys of the replica that the listing does not name: deleted so long ago that even the mark of it is gone, or changed while
   * it was read.
   */
  unnamed(): string[] {
    return this.#replica.table.list('').flatMap(({ key }) => (this.#named.has(key) ? [] : [key]));
  }

  /** It has named all there is. @param gone keys of `unnamed` that are known not to be there */
  complete(gone: readonly string[]): void {
    const { table } = this.#replica;
    for (const change of this.#changes) this.#replica.take(change);
    const { revision } = table;
    for (const key of gone) table.apply({ key, revision, entry: undefined });
  }
}
