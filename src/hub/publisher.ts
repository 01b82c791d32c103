/**
 * Publisher: the catalogue of this hub, and telling each sidecar the part it needs. A change goes at the end of the tick
 * if nothing went lately, else with the next beat; a sidecar that does not keep up is told less often, never more than is true.
 */

import type { Sha256 } from '../catalog/digest.ts';
import { isEndpoint, type Resource } from '../catalog/resource.ts';
import type { SealIndex } from '../catalog/seal-index.ts';
import { Snapshot } from '../catalog/snapshot.ts';
import type { Channel } from '../control/channel.ts';
import type { AsOf } from '../control/messages.ts';
import { type Clock, setPeriodic, type Timer } from '../core/clock.ts';
import { SealBoard } from './seal-board.ts';
import { type PublisherStats, Subscriber } from './subscriber.ts';

export interface PublisherOptions {
  readonly clock: Clock;
  readonly sha256: Sha256;
  /** Number of this start of the hub. */
  readonly epoch: number;
  /** How far this hub knows a store that it shares. */
  readonly asOf?: () => AsOf | undefined;
  /** Told of each step of the catalogue, with the keys that may differ. */
  readonly onStep?: (snapshot: Snapshot, keys: readonly string[]) => void;
  /** Something is told to sidecars: a step of the catalogue, or a seal. */
  readonly onNews?: () => void;
  /** Least time between two steps of the catalogue, in milliseconds. @default 50 */
  readonly debounceMs?: number;
}

const DEBOUNCE_MS = 50;
const SWEEP_MS = 1000;

export class Publisher {
  readonly stats: PublisherStats = { pushes: 0, resyncs: 0 };
  readonly #options: PublisherOptions;
  readonly #subscribers = new Set<Subscriber>();
  readonly #byService = new Map<string, Set<Subscriber>>();
  readonly #sweep: Timer;
  readonly #seals = new SealBoard();
  #snapshot: Snapshot;
  #upserts = new Map<string, Resource>();
  #removals = new Set<string>();
  #scheduled: Timer | 'end of tick' | undefined;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#snapshot = Snapshot.empty(options.epoch);
    this.#sweep = setPeriodic(options.clock, SWEEP_MS, () => this.#anchor());
  }

  /** The catalogue as it was last told; `flush` first to have what is due. */
  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  get subscribers(): number {
    return this.#subscribers.size;
  }

  /** Notes a change; it is told soon. A later change of the same key replaces an earlier one. */
  change(key: string, resource: Resource | undefined): void {
    if (resource === undefined) {
      this.#upserts.delete(key);
      this.#removals.add(key);
    } else {
      this.#removals.delete(key);
      this.#upserts.set(key, resource);
    }
    this.#schedule();
  }

  /** Tells what is due now. */
  flush(): void {
    if (this.#upserts.size === 0 && this.#removals.size === 0) return;
    const before = this.#snapshot;
    const change = { upserts: [...this.#upserts.values()], removals: [...this.#removals] };
    const keys = [...this.#upserts.keys(), ...this.#removals];
    this.#upserts = new Map();
    this.#removals = new Set();
    this.#lastMs = this.#options.clock.monotonicMs();
    const after = before.with(change, this.#options.sha256, before.revision + 1);
    if (after.digest === before.digest) return;
    this.#snapshot = after;
    this.#options.onStep?.(after, keys);
    const told = new Set<Subscriber>();
    for (const key of keys) {
      const resource = after.get(key) ?? before.get(key);
      if (resource === undefined) continue;
      const concerned = isEndpoint(resource) ? this.#byService.get(resource.service) : this.#subscribers;
      for (const subscriber of concerned ?? []) {
        subscriber.note(key, resource);
        told.add(subscriber);
      }
    }
    for (const subscriber of told) subscriber.flushIfWritable();
    this.#options.onNews?.();
  }

  /** Another seal is in force. It may be told before the resources that it is for, or after them. */
  seal(head: string, index: SealIndex): void {
    this.#seals.set(head, index);
    for (const subscriber of this.#subscribers) subscriber.flushIfWritable();
    this.#options.onNews?.();
  }

  /** A sidecar that wants to be told; it is told nothing before it names its interest. */
  subscribe(channel: Channel): Subscriber {
    const subscriber = new Subscriber({
      channel,
      clock: this.#options.clock,
      stats: this.stats,
      asOf: this.#options.asOf ?? (() => undefined),
      seals: this.#seals,
      snapshot: () => {
        this.flush();
        return this.#snapshot;
      },
      onInterest: (before, after) => this.#index(subscriber, before, after),
      onClose: () => this.#subscribers.delete(subscriber),
    });
    this.#subscribers.add(subscriber);
    return subscriber;
  }

  close(): void {
    this.#sweep.cancel();
    if (typeof this.#scheduled === 'object') this.#scheduled.cancel();
    this.#subscribers.clear();
    this.#byService.clear();
  }

  #index(subscriber: Subscriber, before: ReadonlySet<string>, after: ReadonlySet<string>): void {
    for (const service of before) {
      if (after.has(service)) continue;
      const watchers = this.#byService.get(service);
      watchers?.delete(subscriber);
      if (watchers?.size === 0) this.#byService.delete(service);
    }
    for (const service of after) {
      const watchers = this.#byService.get(service);
      if (watchers === undefined) this.#byService.set(service, new Set([subscriber]));
      else watchers.add(subscriber);
    }
  }

  #schedule(): void {
    if (this.#scheduled !== undefined) return;
    const { clock, debounceMs = DEBOUNCE_MS } = this.#options;
    const dueMs = this.#lastMs + debounceMs - clock.monotonicMs();
    const run = (): void => {
      this.#scheduled = undefined;
      this.flush();
    };
    if (dueMs > 0) {
      this.#scheduled = clock.setTimer(dueMs, run);
    } else {
      this.#scheduled = 'end of tick';
      clock.endOfTick(run);
    }
  }

  #anchor(): void {
    for (const subscriber of this.#subscribers) subscriber.anchor();
  }
}
