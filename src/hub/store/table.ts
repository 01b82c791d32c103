/** The entries of a store in memory, and who watches them: shared by the kinds of store. */

import { Emitter } from '../../core/emitter.ts';
import type { StoreChange, StoreEntry } from '../store.ts';

export class StoreTable {
  readonly #entries = new Map<string, StoreEntry>();
  readonly #changes = new Emitter<{ change: StoreChange }>();

  /** Of the last change applied. */
  revision = 0;

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): StoreEntry | undefined {
    return this.#entries.get(key);
  }

  list(prefix: string): StoreEntry[] {
    const found: StoreEntry[] = [];
    for (const [key, entry] of this.#entries) if (key.startsWith(prefix)) found.push(entry);
    return found.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  apply(change: StoreChange): void {
    if (change.entry === undefined) this.#entries.delete(change.key);
    else this.#entries.set(change.key, change.entry);
    this.revision = Math.max(this.revision, change.revision);
    this.#changes.emit('change', change);
  }

  watch(prefix: string, listener: (change: StoreChange) => void): () => void {
    for (const entry of this.list(prefix).sort((a, b) => a.revision - b.revision)) {
      listener({ key: entry.key, revision: entry.revision, entry });
    }
    return this.#changes.on('change', (change) => {
      if (change.key.startsWith(prefix)) listener(change);
    });
  }
}
