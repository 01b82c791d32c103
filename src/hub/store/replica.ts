/**
 * Replica: the entries of a store elsewhere, kept by what its feed says. A feed begins with the newest change of every key, as
 * often as the connection is made anew; what is told to watchers is only what differs from before, each change once.
 */

import type { StoreChange } from '../store.ts';
import { StoreTable } from './table.ts';

/** One message of the feed. */
export interface FedChange {
  /** Undefined for keys that are not ours. */
  readonly key: string | undefined;
  readonly revision: number;
  /** Undefined: the key was deleted. */
  readonly value: string | undefined;
}

export class Replica {
  readonly table = new StoreTable();
  /** While a feed begins: what it has said of each key so far. */
  #listing: Map<string, FedChange> | undefined;
  #listedTo = 0;

  get isListing(): boolean {
    return this.#listing !== undefined;
  }

  /** A new feed begins, behind a change that its reader has made; nothing is told until `complete`. */
  begin(): void {
    this.#listing = new Map();
    this.#listedTo = 0;
  }

  take(change: FedChange): void {
    if (this.#listing === undefined) {
      this.#apply(change);
      return;
    }
    this.#listedTo = Math.max(this.#listedTo, change.revision);
    if (change.key !== undefined) this.#listing.set(change.key, change);
  }

  /**
   * Keys held here that the new feed has not named: deleted so long ago that even the mark of it is gone, or changed while
   * it began.
   */
  unnamed(): string[] {
    return this.table.list('').flatMap(({ key }) => (this.#listing?.has(key) === true ? [] : [key]));
  }

  /** The feed has told all there is. @param gone keys of `unnamed` that are known not to be there */
  complete(gone: readonly string[]): void {
    const listing = this.#listing ?? new Map<string, FedChange>();
    this.#listing = undefined;
    const removals = gone.map((key) => ({ key, revision: this.#listedTo, value: undefined }));
    const changes = [...listing.values(), ...removals].sort((a, b) => a.revision - b.revision);
    for (const change of changes) this.#apply(change);
    this.table.revision = Math.max(this.table.revision, this.#listedTo);
  }

  #apply({ key, revision, value }: FedChange): void {
    const known = key === undefined ? undefined : this.table.get(key);
    const isNew = known === undefined ? value !== undefined : known.revision < revision;
    if (key !== undefined && isNew) this.table.apply(toChange(key, revision, value));
    else this.table.revision = Math.max(this.table.revision, revision);
  }
}

function toChange(key: string, revision: number, value: string | undefined): StoreChange {
  return { key, revision, entry: value === undefined ? undefined : { key, revision, value } };
}
