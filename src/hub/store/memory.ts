/** A store that forgets: for tests, demonstrations and hubs whose state is elsewhere. */

import { encodeUtf8 } from '../../core/bytes.ts';
import { checkValue, type Store, type StoreChange, type StoreEntry } from '../store.ts';
import { StoreTable } from './table.ts';

/** Keeps everything in memory, and nothing when the process ends. */
export class MemoryStore implements Store {
  readonly isShared: boolean = false;
  readonly isUp = true;
  readonly #table = new StoreTable();

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
    this.#make({ key, revision: entry.revision, entry });
    return entry;
  }

  async delete(key: string, revision: number): Promise<boolean> {
    if (this.#table.get(key)?.revision !== revision) return false;
    this.#make({ key, revision: this.revision + 1, entry: undefined });
    return true;
  }

  watch(prefix: string, listener: (change: StoreChange) => void): () => void {
    return this.#table.watch(prefix, listener);
  }

  async close(): Promise<void> {
    // Nothing was begun that is not finished.
  }
  /** Called with each change before it is made: a store that keeps more than memory does so here, at once. @throws what refuses the change */
  protected keep(_change: StoreChange): void {
    // Memory is enough.
  }

  /** Takes a change that was kept before, while nobody watches yet. */
  protected restore(change: StoreChange): void {
    this.#table.apply(change);
  }

  #make(change: StoreChange): void {
    this.keep(change);
    this.#table.apply(change);
  }
}
