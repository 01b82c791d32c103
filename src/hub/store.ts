/** `Store` port: what a hub must remember. Small JSON texts by key, changed only by those who know what they change. */

import { SkeinError } from '../core/errors.ts';

/** One entry. */
export interface StoreEntry {
  /** ASCII, in parts that `/` separates. */
  readonly key: string;
  /** JSON. */
  readonly value: string;
  /** Number of the change that wrote it; unique in the store and growing. */
  readonly revision: number;
}

/** A change that is safe. `entry` is undefined when the key was deleted. */
export interface StoreChange {
  /** Of the entry that changed. */
  readonly key: string;
  /** Number of the change. */
  readonly revision: number;
  /** As it is now. */
  readonly entry: StoreEntry | undefined;
}

/** The state of a hub, or of several that share it. */
export interface Store {
  /** Other hubs may use it at the same time. */
  readonly isShared: boolean;
  /** It answers. One that does not is still watched: what it told last holds. */
  readonly isUp: boolean;
  /** Number of the newest change that watchers have been told of. */
  readonly revision: number;
  /** The newest entry, whoever has written it. @throws SkeinError SKEIN_STORE when nobody can say */
  get(key: string): Promise<StoreEntry | undefined>;
  /** Entries whose key begins with `prefix`, by key, as watchers have been told of them. */
  list(prefix: string): Promise<readonly StoreEntry[]>;
  /**
   * Writes `value` if the entry still has `revision` (0: if there is none), and resolves when a power cut cannot undo it.
   * @returns the new entry, or undefined when the key has changed meanwhile
   * @throws SkeinError SKEIN_STORE when it cannot be kept, or when a shared store did not say whether it was; SKEIN_LIMIT when
   *   it is larger than the store takes
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

/** A registration or manifest is a tenth of it; a NATS server takes 1 MiB with all that goes around a value. */
const MAX_VALUE_BYTES = 1_000_000;

/** @throws SkeinError SKEIN_LIMIT */
export function checkValue(bytes: number, limitBytes: number = MAX_VALUE_BYTES): void {
  const limit = Math.min(limitBytes, MAX_VALUE_BYTES);
  if (bytes > limit)
    throw new SkeinError('SKEIN_LIMIT', `Cannot write to store: ${bytes} bytes in one value, ${limit} allowed`);
}

/** Questions at once: few enough that a shared store answers the last of them in time. */
const AT_ONCE = 64;

/** Asks a store something about each of `items`, many at a time. @returns the answers in their order */
export async function askAll<T, R>(items: readonly T[], ask: (item: T) => Promise<R>): Promise<readonly R[]> {
  const answers: R[] = [];
  for (let i = 0; i < items.length; i += AT_ONCE) {
    answers.push(...(await Promise.all(items.slice(i, i + AT_ONCE).map(ask))));
  }
  return answers;
}
