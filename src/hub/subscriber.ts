/** What one sidecar has been told of the catalogue, and what it must still be told. */

import { isSameHash, type ResourceHash, SetDigest } from '../catalog/digest.ts';
import { createInterest, type Interest, isOfInterest } from '../catalog/interest.ts';
import { type Resource, resourceKey } from '../catalog/resource.ts';
import type { Snapshot } from '../catalog/snapshot.ts';
import type { Channel } from '../control/channel.ts';
import type { AsOf } from '../control/messages.ts';
import { splitDelta, splitSeal } from '../control/parts.ts';
import type { Clock } from '../core/clock.ts';
import { toSkeinError } from '../core/errors.ts';
import type { SealBoard } from './seal-board.ts';

/** Counters, read at scrape time. */
export interface PublisherStats {
  pushes: number;
  resyncs: number;
}

export interface SubscriberOptions {
  readonly channel: Channel;
  readonly clock: Clock;
  readonly stats: PublisherStats;
  readonly asOf: () => AsOf | undefined;
  readonly seals: SealBoard;
  /** The newest catalogue, with all changes so far. */
  readonly snapshot: () => Snapshot;
  /** The services it watches have changed. */
  readonly onInterest: (before: ReadonlySet<string>, after: ReadonlySet<string>) => void;
  readonly onClose: () => void;
}

/** An anchor is an empty step with the digest: it shows a lost push. It follows a push after 1, 2, 4, … s, at last every 5 min: thousands are idle. */
const FIRST_ANCHOR_MS = 1000;
const LAST_ANCHOR_MS = 300_000;

export class Subscriber {
  readonly #options: SubscriberOptions;
  readonly #told = new Map<string, ResourceHash>();
  readonly #dirty = new Set<string>();
  #digest = new SetDigest();
  #interest: Interest = createInterest([], [], undefined);
  #revision = 0;
  /** The next step is the whole: nothing was told yet, or it was lost. */
  #isFull = true;
  #hasInterest = false;
  /** Step of the seal board that was told last. */
  #sealStep = 0;
  #anchorAtMs = Number.POSITIVE_INFINITY;
  #anchorAfterMs = FIRST_ANCHOR_MS;

  constructor(options: SubscriberOptions) {
    this.#options = options;
  }

  /** Resources this sidecar holds, as far as the hub knows. */
  get size(): number {
    return this.#told.size;
  }

  /** Names what the sidecar watches and serves, whole, and whose namespace is its own; tells at once what that adds and takes away. */
  setInterest(watched: Iterable<string>, served: Iterable<string>, namespace: string | undefined): void {
    const snapshot = this.#options.snapshot();
    const before = this.#interest;
    this.#interest = createInterest(watched, served, namespace);
    this.#hasInterest = true;
    this.#options.onInterest(before.services, this.#interest.services);
    if (!this.#isFull) {
      for (const key of this.#told.keys()) this.#dirty.add(key);
      for (const service of this.#interest.services) {
        if (before.services.has(service)) continue;
        for (const endpoint of snapshot.endpoints(service)) this.#dirty.add(resourceKey(endpoint));
      }
      for (const manifest of snapshot.allManifests()) this.#dirty.add(resourceKey(manifest));
    }
    this.flush();
  }

  /** A resource has changed or gone. */
  note(key: string, resource: Resource): void {
    if (this.#hasInterest && isOfInterest(this.#interest, resource)) this.#dirty.add(key);
  }

  /** The sidecar no longer trusts what it holds: tells everything. */
  resync(): void {
    this.#options.stats.resyncs++;
    this.#isFull = true;
    this.#sealStep = 0;
    this.#hasInterest = true;
    this.flush();
  }

  /** Tells what is due unless the sidecar is behind; it will be told when it has caught up. */
  flushIfWritable(): void {
    const isNews = this.#dirty.size > 0 || (this.#hasInterest && this.#sealStep !== this.#options.seals.step);
    if (!isNews || !this.#options.channel.isWritable) return;
    try {
      this.flush();
    } catch (thrown) {
      // One sidecar's trouble is not the next one's.
      this.#options.channel.close(toSkeinError(thrown));
    }
  }

  flush(): void {
    const snapshot = this.#options.snapshot();
    if (this.#isFull) this.#collectAll(snapshot);
    const upserts: Resource[] = [];
    const removals: string[] = [];
    for (const key of this.#dirty) {
      const entry = snapshot.entry(key);
      const told = this.#told.get(key);
      const wanted = entry !== undefined && isOfInterest(this.#interest, entry.resource);
      if (wanted && told !== undefined && isSameHash(told, entry.hash)) continue;
      if (told !== undefined) this.#digest.toggle(told);
      if (wanted) {
        this.#digest.toggle(entry.hash);
        this.#told.set(key, entry.hash);
        upserts.push(entry.resource);
      } else if (told !== undefined) {
        this.#told.delete(key);
        removals.push(key);
      }
    }
    this.#dirty.clear();
    if (this.#isFull || upserts.length > 0 || removals.length > 0) {
      this.#push(snapshot, this.#isFull, upserts, removals);
      this.#isFull = false;
      this.#anchorAfterMs = FIRST_ANCHOR_MS;
      this.#anchorAtMs = this.#options.clock.monotonicMs() + FIRST_ANCHOR_MS;
    }
    this.#tellSeal();
  }

  #tellSeal(): void {
    const { seals, channel, stats } = this.#options;
    const news = this.#hasInterest ? seals.since(this.#sealStep) : undefined;
    if (news === undefined) return;
    this.#sealStep = seals.step;
    for (const part of splitSeal(news)) {
      stats.pushes++;
      channel.push('seal', part);
    }
  }

  /** Called now and then: reminds the sidecar of the digest when it is time. */
  anchor(): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs < this.#anchorAtMs || !this.#options.channel.isWritable) return;
    this.#anchorAfterMs = Math.min(this.#anchorAfterMs * 2, LAST_ANCHOR_MS);
    this.#anchorAtMs = nowMs + this.#anchorAfterMs;
    if (this.#dirty.size > 0) this.flush();
    else this.#push({ epoch: this.#options.snapshot().epoch, revision: this.#revision }, false, [], []);
  }

  close(): void {
    this.#options.onInterest(this.#interest.services, new Set());
    this.#options.onClose();
  }

  #collectAll(snapshot: Snapshot): void {
    this.#told.clear();
    this.#digest = new SetDigest();
    this.#dirty.clear();
    for (const service of this.#interest.services) {
      for (const endpoint of snapshot.endpoints(service)) this.#dirty.add(resourceKey(endpoint));
    }
    for (const manifest of snapshot.allManifests()) this.#dirty.add(resourceKey(manifest));
  }

  #push(
    version: { readonly epoch: number; readonly revision: number },
    full: boolean,
    upserts: readonly Resource[],
    removals: readonly string[],
  ): void {
    const delta = {
      epoch: version.epoch,
      revision: version.revision,
      base: this.#revision,
      digest: this.#digest.toString(),
      full,
      upserts,
      removals,
    };
    this.#revision = version.revision;
    const asOf = this.#options.asOf();
    for (const part of splitDelta(delta)) {
      this.#options.stats.pushes++;
      this.#options.channel.push('catalogue', asOf === undefined ? part : { ...part, asOf });
    }
  }
}
