/**
 * The feed of a bucket: reads it into a replica, first all there is, then what changes. Whoever reads writes a mark first; what
 * comes up to it is all there is.
 */

import type { KV, KvEntry } from '@nats-io/kv';
import { type Bytes, decodeUtf8 } from '../../core/bytes.ts';
import { type Clock, wait } from '../../core/clock.ts';
import { SkeinError, toSkeinError } from '../../core/errors.ts';
import { decodeKey, encodeKey } from './nats-keys.ts';
import { Replica } from './replica.ts';

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
  readonly #clock: Clock;
  readonly #waiters = new Set<Waiter>();
  readonly #marks = new Map<string, DeletionMark>();
  #stop: () => void = () => undefined;

  constructor(bucket: KV, clock: Clock) {
    this.#bucket = bucket;
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
    this.replica.begin();
    const mark = await this.#bucket.put(SYNC_KEY, new Uint8Array(0));
    const messages = await this.#bucket.watch();
    stopMessages = () => messages.stop();
    if (!isCurrent) stopMessages();
    await new Promise<void>((resolve, reject) => {
      const read = async (): Promise<void> => {
        for await (const message of messages) {
          if (!isCurrent) break;
          this.#take(message);
          if (this.replica.isListing && message.revision >= mark) {
            const gone = await this.#findGone();
            if (!isCurrent) break;
            this.replica.complete(gone);
            resolve();
          }
          this.#wake();
        }
        throw new SkeinError('SKEIN_STORE', 'Cannot read store: its feed has ended');
      };
      read().catch((thrown) => {
        const error = toSkeinError(thrown, 'SKEIN_STORE');
        messages.stop();
        if (isCurrent && !this.replica.isListing) onLost(error);
        reject(error);
      });
    });
  }

  /** Reads no further; who waits for a change waits no longer. */
  end(): void {
    this.#stop();
    for (const { resolve } of [...this.#waiters]) resolve(true);
  }

  /** Resolves when `isDone`, asked after each change, or when the feed ends; with false after `limitMs`. */
  async until(isDone: () => boolean, limitMs: number): Promise<boolean> {
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
      wait(this.#clock, limitMs, over.signal).then(
        () => waiter.resolve(false),
        () => undefined, // it was not needed
      );
    });
  }

  #take({ rawKey, revision, operation, value }: KvEntry): void {
    const isPut = operation === 'PUT';
    if (isPut) this.#marks.delete(rawKey);
    else this.#marks.set(rawKey, { key: rawKey, revision, sinceMs: this.#clock.monotonicMs() });
    const text = isPut ? tryDecode(value as Bytes) : undefined;
    // What is no text is as little ours as a key that is none of ours.
    const key = isPut && text === undefined ? undefined : decodeKey(rawKey);
    this.replica.take({ key, revision, value: text });
  }

  /** Which of the keys that the new feed has not named the server does not hold. */
  async #findGone(): Promise<string[]> {
    const gone: string[] = [];
    for (const key of this.replica.unnamed()) {
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
