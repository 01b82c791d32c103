/** One store and the ways of several hubs to it, each of which can be cut. */
import { SkeinError } from '../core/errors.ts';
import { MemoryStore } from '../hub/store/memory.ts';
import type { Store, StoreChange, StoreEntry } from '../hub/store.ts';

/** A hub's way to the store: while it is cut nothing is answered but with an error, and watchers hear of what they missed later. */
export class StoreLine implements Store {
  readonly isShared = true;
  readonly #store: Store;
  #isCut = false;
  #missed: (() => void)[] = [];
  #revision = 0;

  constructor(store: Store) {
    this.#store = store;
  }

  get isUp(): boolean {
    return !this.#isCut;
  }

  get revision(): number {
    return this.#isCut ? this.#revision : this.#store.revision;
  }

  cut(): void {
    this.#revision = this.revision;
    this.#isCut = true;
  }

  heal(): void {
    this.#isCut = false;
    const missed = this.#missed;
    this.#missed = [];
    for (const tell of missed) tell();
  }

  get(key: string): Promise<StoreEntry | undefined> {
    return this.#ask(() => this.#store.get(key));
  }

  list(prefix: string): Promise<readonly StoreEntry[]> {
    return this.#ask(() => this.#store.list(prefix));
  }

  compareAndSet(key: string, revision: number, value: string): Promise<StoreEntry | undefined> {
    return this.#ask(() => this.#store.compareAndSet(key, revision, value));
  }

  delete(key: string, revision: number): Promise<boolean> {
    return this.#ask(() => this.#store.delete(key, revision));
  }

  watch(prefix: string, listener: (change: StoreChange) => void): () => void {
    return this.#store.watch(prefix, (change) => {
      if (this.#isCut) this.#missed.push(() => listener(change));
      else listener(change);
    });
  }

  async close(): Promise<void> {
    // The store is the test's.
  }

  async #ask<T>(question: () => Promise<T>): Promise<T> {
    if (this.#isCut) throw new SkeinError('SKEIN_STORE', 'Cannot reach store: the line is cut');
    return question();
  }
}

export class SharedStore extends MemoryStore {
  connect(): StoreLine {
    return new StoreLine(this);
  }
}
