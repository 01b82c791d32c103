/**
 * Write-behind: brings keys of the store in line with memory, later and however often it takes. What waits is the set of keys,
 * never their history, so a store that is away costs no more than what there is.
 */

import { Backoff } from '../core/backoff.ts';
import { type Clock, wait } from '../core/clock.ts';
import { type SkeinError, toSkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Random } from '../core/random.ts';
import type { Store, StoreChange } from './store.ts';

export interface WriteBehindOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** What `key` should hold now; undefined: nothing. Nobody else writes these keys, but others may delete them. */
  readonly wanted: (key: string) => string | undefined;
}

/** Keys written at once: enough for a network between here and the store, and no flood for it. */
const BATCH = 64;
/** A store that is back is written to within 2 s. */
const RETRY_CAP_MS = 2_000;

export class WriteBehind {
  readonly #options: WriteBehindOptions;
  readonly #revisions = new Map<string, number>();
  readonly #dirty = new Set<string>();
  readonly #backoff: Backoff;
  readonly #stop = new AbortController();
  #inFlight = 0;
  #writing: Promise<void> | undefined;
  #isFailing = false;

  constructor(options: WriteBehindOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.random, { capMs: RETRY_CAP_MS });
  }

  /** Keys that the store does not hold as they are wanted. */
  get queued(): number {
    return this.#dirty.size + this.#inFlight;
  }

  /** `key` is wanted otherwise than before. */
  touch(key: string): void {
    if (this.#stop.signal.aborted) return;
    this.#dirty.add(key);
    this.#writing ??= this.#write();
  }

  /** A change of such a key, as the store's watch tells it. */
  observe({ key, entry }: StoreChange): void {
    if (entry !== undefined) {
      this.#revisions.set(key, entry.revision);
      return;
    }
    this.#revisions.delete(key);
    if (this.#options.wanted(key) !== undefined) this.touch(key);
  }

  /** Resolves when nothing waits any more. */
  async flush(): Promise<void> {
    await this.#writing;
  }

  close(): void {
    this.#stop.abort();
    this.#dirty.clear();
  }

  async #write(): Promise<void> {
    await undefined; // what changes in this turn goes together
    while (this.#dirty.size > 0) {
      const batch = [...this.#dirty].slice(0, BATCH);
      for (const key of batch) this.#dirty.delete(key);
      this.#inFlight = batch.length;
      const failures = await Promise.all(batch.map((key) => this.#writeKey(key)));
      this.#inFlight = 0;
      if (this.#stop.signal.aborted) return;
      const failure = failures.find((error) => error !== undefined);
      this.#note(failure === undefined ? undefined : failure.message);
      if (failure === undefined) continue;
      const delayMs = Math.max(RETRY_CAP_MS / 20, this.#backoff.nextMs());
      await wait(this.#options.clock, delayMs, this.#stop.signal).catch(() => undefined); // closed: nothing waits
    }
    this.#writing = undefined;
  }

  /** @returns why it could not be written */
  async #writeKey(key: string): Promise<SkeinError | undefined> {
    const { store, wanted, log } = this.#options;
    const value = wanted(key);
    const revision = this.#revisions.get(key) ?? 0;
    if (value === undefined && revision === 0) return undefined;
    try {
      if (value === undefined) {
        if (await store.delete(key, revision)) this.#revisions.delete(key);
        else await this.#look(key);
      } else {
        const entry = await store.compareAndSet(key, revision, value);
        if (entry === undefined) await this.#look(key);
        else this.#revisions.set(key, entry.revision);
      }
      return undefined;
    } catch (thrown) {
      const error = toSkeinError(thrown);
      // Too large for this store: it will not get smaller by waiting.
      if (error.code === 'SKEIN_LIMIT') log.log('error', 'registration-not-stored', { key, error: error.message });
      else if (!this.#stop.signal.aborted) this.#dirty.add(key);
      return error.code === 'SKEIN_LIMIT' ? undefined : error;
    }
  }

  /** Somebody has deleted it, or the answer to an earlier write was lost. */
  async #look(key: string): Promise<void> {
    const entry = await this.#options.store.get(key);
    if (entry === undefined) this.#revisions.delete(key);
    else this.#revisions.set(key, entry.revision);
    this.#dirty.add(key);
  }

  #note(error: string | undefined): void {
    const isFailing = error !== undefined;
    if (!isFailing) this.#backoff.reset();
    if (isFailing === this.#isFailing) return;
    this.#isFailing = isFailing;
    const { log } = this.#options;
    if (isFailing) log.log('warn', 'registrations-not-stored', { queued: this.queued, error });
    else log.log('info', 'registrations-stored', {});
  }
}
