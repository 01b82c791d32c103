/**
 * Instances: who serves what, as the hubs say that hold them. One instance may be held by several hubs; its endpoints stand in
 * the catalogue while one holds it, and are reachable while one reaches it.
 */

import type { Endpoint } from '../catalog/endpoint.ts';
import { resourceKey } from '../catalog/resource.ts';
import type { Registration } from '../control/messages.ts';
import type { Timer } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import type { Publisher } from './publisher.ts';

/** *here*: its link stands. *absent*: it is gone for a moment. *lost*: for longer. *leaving*: it said that it drains. */
export type PresenceState = 'here' | 'absent' | 'leaving' | 'lost';

/** One hub's word on one instance. */
export interface Holding {
  readonly instance: string;
  readonly hub: string;
  /** SPIFFE id. */
  readonly id: string;
  registration: Registration;
  presence: PresenceState;
  /** What its hub last said; differs from `presence` when that hub is gone. */
  said: 'here' | 'leaving' | 'lost';
  /** Of its entry in the store; 0 for those of this hub. */
  revision: number;
  timer: Timer | undefined;
}

interface Instance {
  readonly holdings: Map<string, Holding>;
  endpoints: ReadonlyMap<string, Endpoint>;
}

const RANK: Readonly<Record<PresenceState, number>> = { here: 0, absent: 1, leaving: 2, lost: 3 };

export class Instances {
  readonly #publisher: Publisher;
  readonly #log: Logger;
  /** This hub: its word is the freshest. */
  readonly #own: string;
  readonly #instances = new Map<string, Instance>();

  constructor(publisher: Publisher, log: Logger, own: string) {
    this.#publisher = publisher;
    this.#log = log;
    this.#own = own;
  }

  get size(): number {
    return this.#instances.size;
  }

  get(instance: string, hub: string): Holding | undefined {
    return this.#instances.get(instance)?.holdings.get(hub);
  }

  /** What holds for `instance`: the best that any hub says of it. */
  best(instance: string): Holding | undefined {
    let best: Holding | undefined;
    for (const holding of this.#holdings(instance)) {
      if (best === undefined || this.#isBetter(holding, best)) best = holding;
    }
    return best;
  }

  *of(hub: string): IterableIterator<Holding> {
    for (const { holdings } of this.#instances.values()) {
      const holding = holdings.get(hub);
      if (holding !== undefined) yield holding;
    }
  }

  *all(): IterableIterator<Holding> {
    for (const { holdings } of this.#instances.values()) yield* holdings.values();
  }

  put(holding: Holding): void {
    const { instance, hub, id } = holding;
    const known = this.#instances.get(instance);
    if (known === undefined) {
      this.#instances.set(instance, { holdings: new Map([[hub, holding]]), endpoints: new Map() });
      return;
    }
    known.holdings.set(hub, holding);
    const owner = this.best(instance)?.id;
    if (owner !== id) this.#log.log('warn', 'instance-conflict', { instance, id, owner, hub });
  }

  remove({ instance, hub, timer }: Holding): void {
    timer?.cancel();
    const known = this.#instances.get(instance);
    known?.holdings.delete(hub);
    this.publish(instance);
    if (known?.holdings.size === 0) this.#instances.delete(instance);
  }

  /** Tells of what has changed for `instance`. */
  publish(instance: string): void {
    const known = this.#instances.get(instance);
    if (known === undefined) return;
    const endpoints = new Map(this.#toEndpoints(instance).map((endpoint) => [resourceKey(endpoint), endpoint]));
    for (const key of known.endpoints.keys()) {
      if (!endpoints.has(key)) this.#publisher.change(key, undefined);
    }
    for (const [key, endpoint] of endpoints) this.#publisher.change(key, endpoint);
    known.endpoints = endpoints;
  }

  /** Of the identity that was known first: another one that claims the same instance counts for nothing. */
  *#holdings(instance: string): IterableIterator<Holding> {
    let owner: string | undefined;
    for (const holding of this.#instances.get(instance)?.holdings.values() ?? []) {
      owner ??= holding.id;
      if (holding.id === owner) yield holding;
    }
  }

  #isBetter(a: Holding, b: Holding): boolean {
    if (a.presence !== b.presence) return RANK[a.presence] < RANK[b.presence];
    if (a.hub === this.#own || b.hub === this.#own) return a.hub === this.#own;
    return a.revision > b.revision;
  }

  #toEndpoints(instance: string): Endpoint[] {
    const best = this.best(instance);
    if (best === undefined) return [];
    const { id, registration, presence } = best;
    let isReachable = presence === 'here' || presence === 'absent';
    // It told one of its hubs, and means all of them.
    for (const each of this.#holdings(instance)) if (each.said === 'leaving') isReachable = false;
    return registration.services.map(({ service, port, protocol, labels, healthy, weight }) => ({
      kind: 'Endpoint',
      service,
      instance,
      id,
      port,
      protocol,
      labels: labels ?? {},
      region: registration.region ?? '',
      zone: registration.zone ?? '',
      healthy: healthy && isReachable,
      weight: weight ?? 1,
    }));
  }
}
