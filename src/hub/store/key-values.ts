/**
 * A store in a small database that answers at once, such as that of a Durable Object: no other hub uses it, and what leaves the
 * object waits until it is on disk. All entries are in memory too, because a hub watches them from the first.
 */

import type { StoreChange } from '../store.ts';
import { MemoryStore } from './memory.ts';

/** The part of `ctx.storage.kv` that the store needs. Changes of one turn are kept together, or not at all. */
export interface KeyValues {
  put(key: string, value: unknown): void;
  delete(key: string): unknown;
  list(options: { readonly prefix: string }): Iterable<[key: string, value: unknown]>;
}

/*
 *  store/<key>   [revision, value]
 *  revision      of the last change that was a deletion: numbers are never used again
 */
const PREFIX = 'store/';
const REVISION_KEY = 'revision';

export class KeyValueStore extends MemoryStore {
  readonly #values: KeyValues;

  constructor(values: KeyValues) {
    super();
    this.#values = values;
    for (const [key, revision] of values.list({ prefix: REVISION_KEY })) {
      this.restore({ key, revision: Number(revision) || 0, entry: undefined });
    }
    for (const [path, stored] of values.list({ prefix: PREFIX })) {
      const [revision, value] = stored as [number, string];
      const key = path.slice(PREFIX.length);
      this.restore({ key, revision, entry: { key, value, revision } });
    }
  }

  protected override keep({ key, revision, entry }: StoreChange): void {
    if (entry !== undefined) return this.#values.put(PREFIX + key, [revision, entry.value]);
    this.#values.delete(PREFIX + key);
    this.#values.put(REVISION_KEY, revision);
  }
}
