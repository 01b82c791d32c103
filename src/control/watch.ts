/**
 * The sidecar's side of the catalogue: says which services it needs, applies what the hub pushes, notices when both no
 * longer mean the same and asks again. Without a hub it keeps the last good catalogue.
 */

import { applyDelta, type Divergence } from '../catalog/delta.ts';
import type { Sha256 } from '../catalog/digest.ts';
import { Snapshot } from '../catalog/snapshot.ts';
import { Backoff } from '../core/backoff.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Random } from '../core/random.ts';
import type { Channel } from './channel.ts';
import { type AsOf, type CataloguePush, MAX_WATCHED } from './messages.ts';
import { DeltaAssembler } from './parts.ts';

export interface CatalogueWatchOptions {
  readonly sha256: Sha256;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Watched from the beginning; what hubs have told of is added. */
  readonly remembered?: Set<string> | undefined;
  /**
   * A step is complete; its contents may be those of before. `asOf` is how far the hub knew its store.
   * Called while a push is handled: it must not throw.
   */
  readonly onSnapshot: (snapshot: Snapshot, asOf: AsOf | undefined) => void;
}

/** Counters, read at scrape time. */
export interface WatchStats {
  applied: number;
  diverged: number;
  resyncs: number;
}

/** Each is told anew to each member that follows. */
const MAX_REMEMBERED = 32;

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: SkeinError) => void;
}

export class CatalogueWatch {
  readonly stats: WatchStats = { applied: 0, diverged: 0, resyncs: 0 };
  readonly #options: CatalogueWatchOptions;
  readonly #assembler = new DeltaAssembler();
  readonly #backoff: Backoff;
  readonly #services = new Set<string>();
  /** Services that some hub has confirmed: what the snapshot says of them was true once. */
  readonly #known = new Set<string>();
  readonly #waiters = new Map<string, Waiter[]>();
  #channel: Channel | undefined;
  #snapshot = Snapshot.empty();
  #telling = false;
  #isStale = false;
  #resyncing = false;
  #retry: Timer | undefined;

  constructor(options: CatalogueWatchOptions) {
    this.#options = options;
    for (const service of options.remembered ?? []) this.#services.add(service);
    this.#backoff = new Backoff(options.random, { baseMs: 250, capMs: 4000 });
  }

  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  get isAttached(): boolean {
    return this.#channel !== undefined && !this.#channel.isClosed;
  }

  get services(): ReadonlySet<string> {
    return this.#services;
  }

  /** Has a hub ever told who serves `service`? If so, the snapshot's answer, even "nobody", is knowledge. */
  isKnown(service: string): boolean {
    return this.#known.has(service);
  }

  /**
   * Takes over `channel`, whose catalogue pushes must come to `receive`, and tells it the whole interest. Resolves when
   * the hub has sent what there is. What went before the channel stays until then.
   */
  async attach(channel: Channel): Promise<void> {
    this.#channel = channel;
    this.#assembler.clear();
    this.#cancelRetry();
    this.#backoff.reset();
    this.#resyncing = false;
    await this.#tell(channel);
  }

  /** The channel is gone; the last good catalogue stays. Ignored when another has been attached meanwhile. */
  detach(channel: Channel): void {
    if (this.#channel !== channel) return;
    this.#channel = undefined;
    this.#resyncing = false;
    this.#cancelRetry();
  }

  /** Adds `service` (`name.namespace`) to what is watched. Resolves when the hub has told who serves it, which may need a hub to come back. */
  add(service: string): Promise<void> {
    if (this.#known.has(service)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      if (this.#services.size >= MAX_WATCHED && !this.#services.has(service)) {
        throw new SkeinError('SKEIN_LIMIT', `Cannot watch "${service}": ${MAX_WATCHED} services are watched already`);
      }
      this.#services.add(service);
      const waiters = this.#waiters.get(service);
      if (waiters === undefined) this.#waiters.set(service, [{ resolve, reject }]);
      else waiters.push({ resolve, reject });
      this.#changed();
    });
  }

  /** Nobody calls `service` any more. */
  remove(service: string): void {
    this.#known.delete(service);
    this.#options.remembered?.delete(service);
    if (this.#services.delete(service)) this.#changed();
  }

  /** Handles a catalogue push of the attached channel. @throws SkeinError SKEIN_LIMIT: the channel is to be closed */
  receive(push: CataloguePush): void {
    const delta = this.#assembler.push(push);
    if (delta === undefined) return;
    const before = this.#snapshot;
    const { snapshot, divergence } = applyDelta(before, delta, this.#options.sha256);
    if (snapshot === undefined) {
      this.#onDivergence(divergence, delta.full);
      return;
    }
    this.#snapshot = snapshot;
    this.stats.applied++;
    if (delta.full) {
      this.#backoff.reset();
      this.#cancelRetry();
    }
    this.#options.onSnapshot(snapshot, push.asOf);
  }

  #onDivergence(divergence: Divergence, full: boolean): void {
    this.stats.diverged++;
    this.#options.log.log('warn', 'catalogue-diverged', { divergence, revision: this.#snapshot.revision });
    // A whole catalogue that does not match its own digest will not match the next time at once either.
    this.#scheduleResync(full);
  }

  #scheduleResync(later: boolean): void {
    if (this.#resyncing || this.#retry !== undefined) return;
    if (!later) {
      this.#resync();
      return;
    }
    if (this.#backoff.attempts === 0) this.#backoff.nextMs();
    this.#retry = this.#options.clock.setTimer(Math.max(100, this.#backoff.nextMs()), () => {
      this.#retry = undefined;
      this.#resync();
    });
  }

  #resync(): void {
    const channel = this.#channel;
    if (channel === undefined || channel.isClosed) return;
    this.#resyncing = true;
    this.stats.resyncs++;
    const before = this.#snapshot;
    const finish = (failed: boolean): void => {
      if (this.#channel !== channel) return;
      this.#resyncing = false;
      // The whole catalogue comes before the answer; if it did not, it was lost or refused.
      if (failed || this.#snapshot === before) this.#scheduleResync(true);
    };
    channel.call('resync', {}).then(
      () => finish(false),
      () => finish(true),
    );
  }

  #changed(): void {
    const channel = this.#channel;
    if (channel === undefined || channel.isClosed) return;
    if (this.#telling) {
      this.#isStale = true;
      return;
    }
    // Services asked for in one tick are told in one message.
    this.#telling = true;
    this.#options.clock.endOfTick(() => {
      this.#telling = false;
      if (this.#channel === channel) this.#tell(channel).catch(() => undefined); // waiters have been told
    });
  }

  /** Sends the whole interest, again if it changes meanwhile. */
  async #tell(channel: Channel): Promise<void> {
    this.#telling = true;
    try {
      do {
        this.#isStale = false;
        const services = [...this.#services];
        await channel.call('watch', { services });
        if (this.#channel !== channel) return;
        for (const service of services) this.#confirm(service);
      } while (this.#isStale);
    } catch (thrown) {
      const error = toSkeinError(thrown);
      // A refusal is final for those who wait; a broken channel is not: the next one will be told.
      if (!channel.isClosed && this.#channel === channel) this.#refuse(error);
      throw error;
    } finally {
      if (this.#channel === channel) this.#telling = false;
    }
  }

  #confirm(service: string): void {
    if (!this.#services.has(service)) return;
    this.#known.add(service);
    const { remembered } = this.#options;
    if (remembered !== undefined && remembered.size < MAX_REMEMBERED) remembered.add(service);
    const waiters = this.#waiters.get(service) ?? [];
    this.#waiters.delete(service);
    for (const { resolve } of waiters) resolve();
  }

  #refuse(error: SkeinError): void {
    const waiting = [...this.#waiters];
    this.#waiters.clear();
    for (const [service, waiters] of waiting) {
      this.#services.delete(service);
      for (const { reject } of waiters) reject(error);
    }
  }

  #cancelRetry(): void {
    this.#retry?.cancel();
    this.#retry = undefined;
  }
}
