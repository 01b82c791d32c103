/** A store in the supervisor, as its workers have it: each holds all entries, and asks for changes, which come back to all of them in one order. */

import { encodeUtf8 } from '../../core/bytes.ts';
import type { Answers, Conversation } from '../../core/conversation.ts';
import { StoreTable } from '../store/table.ts';
import { checkValue, type Store, type StoreChange, type StoreEntry } from '../store.ts';

interface Wanted {
  readonly key: string;
  readonly revision: number;
  readonly value?: string;
}

/**
 * In the supervisor: what a worker asks of the store.
 * @param tell takes every change to that worker
 */
export function storeAnswers(store: Store, tell: (change: StoreChange) => void): Answers & { 'store-end': () => void } {
  let end: (() => void) | undefined;
  return {
    /** Entries come as changes, all of them before the answer. */
    'store-begin': () => {
      end?.();
      end = store.watch('', tell);
      return store.revision;
    },
    'store-get': (query) => store.get((query as Wanted).key),
    'store-set': (query) => {
      const { key, revision, value = '' } = query as Wanted;
      return store.compareAndSet(key, revision, value);
    },
    'store-delete': (query) => {
      const { key, revision } = query as Wanted;
      return store.delete(key, revision);
    },
    'store-end': () => {
      end?.();
      end = undefined;
    },
  };
}

/** In a worker. */
export class StoreLine implements Store {
  readonly isShared = true;
  readonly isUp = true;
  readonly #table = new StoreTable();
  readonly #conversation: Conversation;

  private constructor(conversation: Conversation) {
    this.#conversation = conversation;
  }

  /** Knows every entry when it resolves. */
  static async open(conversation: Conversation): Promise<Store> {
    const line = new StoreLine(conversation);
    const table = line.#table;
    conversation.answer({ change: (change) => table.apply(change as StoreChange) });
    table.revision = Math.max(table.revision, Number(await conversation.ask('store-begin')));
    return line;
  }

  get revision(): number {
    return this.#table.revision;
  }

  async get(key: string): Promise<StoreEntry | undefined> {
    return (await this.#conversation.ask('store-get', { key })) as StoreEntry | undefined;
  }

  async list(prefix: string): Promise<readonly StoreEntry[]> {
    return this.#table.list(prefix);
  }

  async compareAndSet(key: string, revision: number, value: string): Promise<StoreEntry | undefined> {
    checkValue(encodeUtf8(value).length);
    return (await this.#conversation.ask('store-set', { key, revision, value })) as StoreEntry | undefined;
  }

  async delete(key: string, revision: number): Promise<boolean> {
    return (await this.#conversation.ask('store-delete', { key, revision })) === true;
  }

  watch(prefix: string, listener: (change: StoreChange) => void): () => void {
    return this.#table.watch(prefix, listener);
  }

  async close(): Promise<void> {
    // It is the supervisor's.
  }
}
