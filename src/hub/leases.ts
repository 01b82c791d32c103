/**
 * Leases: which hubs live that share the store. Each renews an entry of its own. What measures time here are the hub's own
 * renewals as the store's watch brings them back: they come behind all that others wrote before, and a hub that does not see
 * them, because it was frozen or the store is away, judges nobody.
 */

import * as v from 'valibot';
import type { Clock, Timer } from '../core/clock.ts';
import { toSkeinError } from '../core/errors.ts';
import { tryParseJson } from '../core/json.ts';
import type { Logger } from '../core/log.ts';
import type { Store, StoreChange } from './store.ts';

/** How a hub shows others that it lives. */
export interface LeaseLimits {
  /** Time from one renewal to the next, in milliseconds. */
  readonly renewMs: number;
  /** A lease is over when this hub has seen so many renewals of its own since the last of the other. */
  readonly renewals: number;
  /** What a hub left behind is swept this long after its lease was over, in milliseconds. */
  readonly sweepAfterMs: number;
}

export interface LeasesOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits: LeaseLimits;
  /** Name of this start of this hub, unique in the store. */
  readonly own: string;
  /** Another hub has come, come back, or gone. */
  readonly onChange: (hub: string, isLive: boolean) => void;
}

/** What a hub says of itself. */
export interface HubCard {
  readonly url: string;
  readonly region: string;
}

interface Lease {
  readonly card: HubCard;
  readonly revision: number;
  /** Own renewals seen since the last one of the other. */
  missed: number;
  /** When it was over, on the monotonic clock; undefined while it is not. */
  overAtMs: number | undefined;
}

const PREFIX = 'lease/';
const CARD = v.object({ url: v.string(), region: v.string() });
const UNKNOWN: HubCard = { url: '', region: '' };

export class Leases {
  readonly #options: LeasesOptions;
  readonly #others = new Map<string, Lease>();
  #card = UNKNOWN;
  #revision = 0;
  #renewedAtMs = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;
  #renewing: Promise<void> | undefined;
  #isFailing = false;
  #isClosed = false;
  #unwatch: (() => void) | undefined;

  constructor(options: LeasesOptions) {
    this.#options = options;
  }

  /** Hubs that live beside this one. */
  others(): (HubCard & { readonly hub: string })[] {
    return [...this.#others]
      .filter(([, { overAtMs }]) => overAtMs === undefined)
      .map(([hub, { card }]) => ({ hub, ...card }));
  }

  isLive(hub: string): boolean {
    const lease = this.#others.get(hub);
    return lease !== undefined && lease.overAtMs === undefined;
  }

  /** Milliseconds since the store brought back a renewal of this hub; Infinity before the first. */
  get ageMs(): number {
    return this.#options.clock.monotonicMs() - this.#renewedAtMs;
  }

  /** What this hub knows of the store is what the store holds, but for the last moment. */
  get isCurrent(): boolean {
    const { renewMs, renewals } = this.#options.limits;
    return this.ageMs < renewMs * renewals;
  }

  /** Learns who lives; `onChange` tells of all that comes later. */
  load(): void {
    // Alone there is nobody else: what workers of an earlier start have left holds no more.
    if (!this.#options.store.isShared) return;
    this.#unwatch = this.#options.store.watch(PREFIX, (change) => this.#onChange(change));
  }

  /** Holds a lease from now on. */
  start(card: HubCard): void {
    this.#card = card;
    this.#renew();
  }

  /** Gives the lease back: the others need not wait until it is over. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#unwatch?.();
    await this.#renewing;
    const { store, own } = this.#options;
    if (this.#revision > 0) await store.delete(PREFIX + own, this.#revision).catch(() => false); // it will be over
  }

  #renew(): void {
    const { clock, limits } = this.#options;
    this.#renewing = this.#write().finally(() => {
      this.#renewing = undefined;
      if (!this.#isClosed) this.#timer = clock.setTimer(limits.renewMs, () => this.#renew());
    });
  }

  async #write(): Promise<void> {
    const { store, own, log } = this.#options;
    const key = PREFIX + own;
    try {
      const entry = await store.compareAndSet(key, this.#revision, JSON.stringify(this.#card));
      // Others have swept it while this hub was away, or an answer was lost: the next renewal knows.
      this.#revision = entry?.revision ?? (await store.get(key))?.revision ?? 0;
      if (this.#isFailing) log.log('info', 'lease-renewed', { hub: own });
      this.#isFailing = false;
    } catch (thrown) {
      if (!this.#isFailing) log.log('warn', 'lease-not-renewed', { hub: own, error: toSkeinError(thrown).message });
      this.#isFailing = true;
    }
  }

  #onChange({ key, entry }: StoreChange): void {
    const hub = key.slice(PREFIX.length);
    if (hub === this.#options.own) {
      this.#revision = entry?.revision ?? 0;
      if (entry !== undefined) this.#judge();
      return;
    }
    const before = this.#others.get(hub);
    if (entry === undefined) {
      this.#others.delete(hub);
    } else {
      const card = v.safeParse(CARD, tryParseJson(entry.value));
      const { revision } = entry;
      this.#others.set(hub, { card: card.success ? card.output : UNKNOWN, revision, missed: 0, overAtMs: undefined });
    }
    this.#tell(hub, before?.card, before !== undefined && before.overAtMs === undefined);
  }

  /** A renewal of this hub has come back. */
  #judge(): void {
    const { clock, limits, store } = this.#options;
    const nowMs = clock.monotonicMs();
    const wasAway = nowMs - this.#renewedAtMs > limits.renewMs * 2;
    this.#renewedAtMs = nowMs;
    for (const [hub, lease] of this.#others) {
      if (lease.overAtMs === undefined) {
        // After a time without the store the others have a whole lease to come back, too.
        lease.missed = wasAway ? 0 : lease.missed + 1;
        if (lease.missed < limits.renewals) continue;
        lease.overAtMs = nowMs;
        this.#tell(hub, lease.card, true);
      } else if (nowMs - lease.overAtMs >= limits.sweepAfterMs) {
        store.delete(PREFIX + hub, lease.revision).catch(() => false); // another try with the next renewal
      }
    }
  }

  #tell(hub: string, before: HubCard | undefined, wasLive: boolean): void {
    const lease = this.#others.get(hub);
    const isLive = this.isLive(hub);
    if (isLive === wasLive) return;
    const { log, onChange } = this.#options;
    const { url } = lease?.card ?? before ?? UNKNOWN;
    // One that has given its lease back has told its members to go.
    if (isLive) log.log('info', 'hub-found', { hub, url });
    else log.log(lease === undefined ? 'info' : 'warn', 'hub-gone', { hub, url, drained: lease === undefined });
    onChange(hub, isLive);
  }
}
