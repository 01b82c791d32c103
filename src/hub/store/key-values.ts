/**
 * A store in a small database that answers at once, such as that of a Durable Object: no other hub uses it, and what leaves the
 * object waits until it is on disk. All entries are in memory too, because a hub watches them from the first.
 */

import { encodeUtf8 } from '../../core/bytes.ts';
import { checkValue, type Store, type StoreChange, type StoreEntry } from '../store.ts';
import { StoreTable } from './table.ts';

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

export class KeyValueStore implements Store {
  readonly isShared = false;
  readonly isUp = true;
  readonly #values: KeyValues;
  readonly #table = new StoreTable();

  constructor(values: KeyValues) {
    this.#values = values;
    for (const [, revision] of values.list({ prefix: REVISION_KEY })) this.#table.revision = Number(revision) || 0;
    for (const [key, stored] of values.list({ prefix: PREFIX })) {
      const [revision, value] = stored as [number, string];
      const entry = { key: key.slice(PREFIX.length), value, revision };
      this.#table.apply({ key: entry.key, revision, entry });
    }
  }

  get revision(): number {
    return this.#table.revision;
  }

  async get(key: string): Promise<StoreEntry | undefined> {
    return this.#table.get(key);
  }

  async list(prefix: string): Promise<readonly StoreEntry[]> {
    return this.#table.list(prefix);
  }

  async compareAndSet(key: string, revision: number, value: string): Promise<StoreEntry | undefined> {
    checkValue(encodeUtf8(value).length);
    if ((this.#table.get(key)?.revision ?? 0) !== revision) return undefined;
    const entry = { key, value, revision: this.revision + 1 };
    this.#values.put(PREFIX + key, [entry.revision, value]);
    this.#table.apply({ key, revision: entry.revision, entry });
    return entry;
  }

  async delete(key: string, revision: number): Promise<boolean> {
    if (this.#table.get(key)?.revision !== revision) return false;
    const next = this.revision + 1;
    this.#values.delete(PREFIX + key);
    this.#values.put(REVISION_KEY, next);
    this.#table.apply({ key, revision: next, entry: undefined });
    return true;
  }

  watch(prefix: string, listener: (change: StoreChange) => void): () => void {
    return this.#table.watch(prefix, listener);
  }

  async close(): Promise<void> {
    // Nothing was begun that is not finished.
  }
}
