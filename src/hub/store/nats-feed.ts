/**
 * The feed of a bucket: reads it into a replica, first all there is, then what changes. Whoever reads writes a mark first; what
 * comes up to it is all there is. Servers that have just lost one of them answer questions long before they serve a feed: then it is
 * asked for change after change.
 */

import type { JetStreamManager } from '@nats-io/jetstream';
import type { KV, KvEntry } from '@nats-io/kv';
import { type Bytes, decodeUtf8 } from '../../core/bytes.ts';
import { type Clock, wait } from '../../core/clock.ts';
import { SkeinError, toSkeinError } from '../../core/errors.ts';
import { decodeKey, encodeKey } from './nats-keys.ts';
import { type Listing, type ReadChange, Replica } from './replica.ts';

/** The feed brings what was written, in a millisecond; one that does not for so long has died with the server that kept it. */
const SILENCE_MS = 2_000;
/** Changes that are asked for one by one, at a third of a millisecond each; a feed is faster with more. */
const MAX_ASKED = 10_000;
/** A key that is none of ours. */
const SYNC_KEY = '=sync';

interface Waiter {
  readonly isDone: () => boolean;
  readonly resolve: (isDone: boolean) => void;
}

/** What the server keeps of a deletion. */
export interface DeletionMark {
  /** Key of the bucket. */
  readonly key: string;
  readonly revision: number;
  /** Since when it is known here, on the monotonic clock. */
  readonly sinceMs: number;
}

export class NatsFeed {
  readonly replica = new Replica();
  readonly #bucket: KV;
  readonly #name: string;
  readonly #manager: JetStreamManager;
  readonly #clock: Clock;
  readonly #waiters = new Set<Waiter>();
  readonly #marks = new Map<string, DeletionMark>();
  #stop: () => void = () => undefined;

  /** @param name of the bucket */
  constructor(bucket: KV, name: string, manager: JetStreamManager, clock: Clock) {
    this.#bucket = bucket;
    this.#name = name;
    this.#manager = manager;
    this.#clock = clock;
  }

  marks(): DeletionMark[] {
    return [...this.#marks.values()];
  }

  /** The server no longer has it. */
  forgetMark({ key, revision }: DeletionMark): void {
    if (this.#marks.get(key)?.revision === revision) this.#marks.delete(key);
  }

  /**
   * Begins anew. Resolves when all is read that the bucket holds now, and goes on reading until `end`; `onLost` is called
   * when it cannot.
   * @throws what keeps it from reading
   */
  async begin(onLost: (error: SkeinError) => void): Promise<void> {
    this.end();
    let isCurrent = true;
    let stopMessages: () => void = () => undefined;
    this.#stop = () => {
      isCurrent = false;
      stopMessages();
    };
    const mark = await this.#bucket.put(SYNC_KEY, new Uint8Array(0));
    const messages = await this.#bucket.watch();
    stopMessages = () => messages.stop();
    if (!isCurrent) stopMessages();
    let listing: Listing | undefined = this.replica.list();
    await new Promise<void>((resolve, reject) => {
      let silence = this.#clock.setTimer(SILENCE_MS, stopMessages);
      const read = async (): Promise<void> => {
        for await (const message of messages) {
          if (!isCurrent) break;
          const change = this.#read(message);
          if (listing === undefined) {
            this.#take(change);
            continue;
          }
          listing.take(change);
          silence.cancel();
          if (change.revision < mark) {
            silence = this.#clock.setTimer(SILENCE_MS, stopMessages);
            continue;
          }
          const gone = await this.#findGone(listing.unnamed());
          if (!isCurrent) break;
          listing.complete(gone);
          listing = undefined;
          this.#wake();
          resolve();
        }
        throw new SkeinError('SKEIN_STORE', 'Cannot read store: its feed has ended');
      };
      read().catch((thrown) => {
        const error = toSkeinError(thrown, 'SKEIN_STORE');
        silence.cancel();
        messages.stop();
        if (isCurrent && listing === undefined) onLost(error);
        reject(error);
      });
    });
  }

  /** Reads no further; who waits for a change waits no longer. */
  end(): void {
    this.#stop();
    for (const { resolve } of [...this.#waiters]) resolve(true);
  }

  /** Resolves when `isDone`, asked after each change, or when the feed ends; with false when it stays silent. */
  async until(isDone: () => boolean): Promise<boolean> {
    if (isDone()) return true;
    const over = new AbortController();
    return new Promise((resolve) => {
      const waiter: Waiter = {
        isDone,
        resolve: (done) => {
          this.#waiters.delete(waiter);
          over.abort();
          resolve(done);
        },
      };
      this.#waiters.add(waiter);
      wait(this.#clock, SILENCE_MS, over.signal).then(
        () => waiter.resolve(false),
        () => undefined, // it was not needed
      );
    });
  }

  /** Asks for what comes behind the last change. Deletions whose marks are swept are not among it: a feed brings them. */
  async ask(): Promise<void> {
    const subjects = `$KV.${this.#name}.`;
    const { state } = (await this.#bucket.status()).streamInfo;
    const { table } = this.replica;
    if (state.last_seq - table.revision > MAX_ASKED) return;
    while (table.revision < state.last_seq) {
      const seq = table.revision + 1;
      const found = await this.#manager.streams.getMessage(`KV_${this.#name}`, { seq });
      // Another change of the same key has taken its place.
      if (found === null) this.#take({ key: undefined, revision: seq, value: undefined });
      else {
        const operation = found.header?.get('KV-Operation') || 'PUT';
        const rawKey = found.subject.slice(subjects.length);
        this.#take(this.#read({ rawKey, revision: seq, operation, value: found.data }));
      }
    }
  }

  #read({
    rawKey,
    revision,
    operation,
    value,
  }: Pick<KvEntry, 'rawKey' | 'revision' | 'value'> & { operation: string }): ReadChange {
    const isPut = operation === 'PUT';
    if (isPut) this.#marks.delete(rawKey);
    else this.#marks.set(rawKey, { key: rawKey, revision, sinceMs: this.#clock.monotonicMs() });
    const text = isPut ? tryDecode(value as Bytes) : undefined;
    // What is no text is as little ours as a key that is none of ours.
    return { key: isPut && text === undefined ? undefined : decodeKey(rawKey), revision, value: text };
  }

  #take(change: ReadChange): void {
    this.replica.take(change);
    this.#wake();
  }

  /** Which of `keys` the server does not hold. */
  async #findGone(keys: readonly string[]): Promise<string[]> {
    const gone: string[] = [];
    for (const key of keys) {
      const found = await this.#bucket.get(encodeKey(key));
      if (found === null || found.operation !== 'PUT') gone.push(key);
    }
    return gone;
  }

  #wake(): void {
    for (const waiter of [...this.#waiters]) if (waiter.isDone()) waiter.resolve(true);
  }
}

function tryDecode(bytes: Bytes): string | undefined {
  try {
    return decodeUtf8(bytes);
  } catch {
    return undefined;
  }
}
