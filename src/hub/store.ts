/** `Store` port: what a hub must remember. Small JSON texts by key, changed only by those who know what they change. */

export interface StoreEntry {
  readonly key: string;
  readonly value: string;
  /** Number of the change that wrote it; unique in the store and growing. */
  readonly revision: number;
}

/** A change that is safe. `entry` is undefined when the key was deleted. */
export interface StoreChange {
  readonly key: string;
  /** Number of the change. */
  readonly revision: number;
  readonly entry: StoreEntry | undefined;
}

export interface Store {
  /** Number of the newest change that watchers have been told of. */
  readonly revision: number;
  get(key: string): Promise<StoreEntry | undefined>;
  /** Entries whose key begins with `prefix`, by key. */
  list(prefix: string): Promise<readonly StoreEntry[]>;
  /**
   * Writes `value` if the entry still has `revision` (0: if there is none), and resolves when a power cut cannot undo it.
   * @returns the new entry, or undefined when the key has changed meanwhile
   * @throws SkeinError SKEIN_STORE when it cannot be kept; nothing has changed then
   */
  compareAndSet(key: string, revision: number, value: string): Promise<StoreEntry | undefined>;
  /** Deletes the entry if it still has `revision`; false when it has changed or is not there. @throws SkeinError SKEIN_STORE */
  delete(key: string, revision: number): Promise<boolean>;
  /**
   * Tells of every entry below `prefix`, before it returns, and then of every change, after it is safe: each once, in the
   * order of revisions. Returns how to stop.
   */
  watch(prefix: string, listener: (change: StoreChange) => void): () => void;
  /** Finishes what was begun. */
  close(): Promise<void>;
}

/** The JSON value of an entry, or undefined: what an older or a younger hub wrote may be anything. */
export function tryParseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
