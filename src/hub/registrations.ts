/**
 * Registrations: which instance serves what, here and at the hubs that share the store. An instance whose link is lost is not
 * gone at once: links break and come back, and a hub that restarts must not make the mesh forget itself.
 */

import * as v from 'valibot';
import { CALLS, type Registration } from '../control/messages.ts';
import type { Clock } from '../core/clock.ts';
import { tryParseJson } from '../core/json.ts';
import type { Logger } from '../core/log.ts';
import type { Random } from '../core/random.ts';
import { type Holding, Instances } from './instances.ts';
import type { Publisher } from './publisher.ts';
import type { Store, StoreChange } from './store.ts';
import { WriteBehind } from './write-behind.ts';

export interface RegistrationsOptions {
  readonly publisher: Publisher;
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly absence: AbsenceLimits;
  /** Name of this start of this hub, unique in the store. */
  readonly own: string;
  /** Does this other hub live? */
  readonly isLive: (hub: string) => boolean;
}

/** When an instance whose link is gone counts as such. */
export interface AbsenceLimits {
  /** An instance without a link is called unhealthy after this, in milliseconds. */
  readonly unhealthyAfterMs: number;
  /** The same after a start of the hub, when everybody has to come back. */
  readonly unhealthyAfterStartMs: number;
  /** It is forgotten after this, in milliseconds. */
  readonly removedAfterMs: number;
}

/*
 *  instance/<hub>/<instance>   one hub's word on one instance
 *  instance/<instance>         the same, of versions before hubs shared a store
 */
const PREFIX = 'instance/';
const STORED = v.object({
  id: v.string(),
  registration: CALLS.register.request,
  state: v.optional(v.picklist(['here', 'leaving', 'lost']), 'here'),
});

export class Registrations {
  readonly #options: RegistrationsOptions;
  readonly #instances: Instances;
  readonly #writer: WriteBehind;
  #isLoading = false;
  #unwatch: (() => void) | undefined;

  constructor(options: RegistrationsOptions) {
    this.#options = options;
    this.#instances = new Instances(options.publisher, options.log, options.own);
    this.#writer = new WriteBehind({ ...options, wanted: (key) => this.#toStored(key) });
  }

  get size(): number {
    return this.#instances.size;
  }

  /** Registrations that the store does not hold as they are. */
  get queuedWrites(): number {
    return this.#writer.queued;
  }

  /** The catalogue with everything registered so far. */
  get version(): { readonly epoch: number; readonly revision: number } {
    const { publisher } = this.#options;
    publisher.flush();
    const { epoch, revision } = publisher.snapshot;
    return { epoch, revision };
  }

  /** Takes what other hubs and earlier starts of this one knew, and from then on what other hubs say; who does not come back is forgotten. */
  load(): void {
    this.#isLoading = true;
    this.#unwatch = this.#options.store.watch(PREFIX, (change) => this.#onStored(change));
    this.#isLoading = false;
  }

  /** Replaces all that `instance` serves. */
  register(instance: string, id: string, registration: Registration): void {
    const { own } = this.#options;
    const known = this.#instances.get(instance, own);
    known?.timer?.cancel();
    if (known !== undefined && known.id !== id) this.#instances.remove(known);
    this.#instances.put({ ...of(own, instance, id), registration });
    this.#instances.publish(instance);
    this.#save(instance);
  }

  /** Services that `instance` has registered. */
  served(instance: string): readonly string[] {
    return this.#instances.best(instance)?.registration.services.map(({ service }) => service) ?? [];
  }

  /** Which other hub has a link to `instance`, and under which id; undefined: none, as far as the store tells. */
  heldBy(instance: string): { readonly hub: string; readonly id: string } | undefined {
    const best = this.#instances.best(instance);
    return best === undefined || best.hub === this.#options.own ? undefined : best;
  }

  /** SPIFFE id under which `instance` is known. */
  idOf(instance: string): string | undefined {
    return this.#instances.best(instance)?.id;
  }

  /** Has `instance` a link to a hub that lives? */
  isHere(instance: string): boolean {
    return this.#instances.best(instance)?.presence === 'here';
  }

  /** It drains: nobody should choose it from now on. */
  leave(instance: string): void {
    const known = this.#instances.get(instance, this.#options.own);
    if (known === undefined || known.presence === 'leaving') return;
    known.presence = 'leaving';
    known.said = 'leaving';
    this.#instances.publish(instance);
    this.#save(instance);
  }

  /** Its link has outlived the sleep of this hub. @returns what it had registered */
  resume(instance: string): Registration | undefined {
    const known = this.#instances.get(instance, this.#options.own);
    if (known === undefined) return undefined;
    if (known.said === 'lost') {
      known.said = 'here';
      this.#save(instance);
    }
    this.#believe(known);
    return known.registration;
  }

  /** Its link is gone. */
  lose(instance: string): void {
    const known = this.#instances.get(instance, this.#options.own);
    if (known !== undefined) this.#miss(known, this.#options.absence.unhealthyAfterMs);
  }

  /** Another hub has come back, or is gone: those it holds are what it says, or without a link. */
  onHub(hub: string, isLive: boolean): void {
    for (const holding of [...this.#instances.of(hub)]) {
      if (isLive) this.#believe(holding);
      else this.#miss(holding, this.#options.absence.unhealthyAfterMs);
    }
  }

  /** Resolves when the store holds what is registered here. */
  flush(): Promise<void> {
    return this.#writer.flush();
  }

  close(): void {
    this.#unwatch?.();
    this.#writer.close();
    for (const { timer } of this.#instances.all()) timer?.cancel();
  }

  #onStored(change: StoreChange): void {
    const { log, own, isLive, absence } = this.#options;
    const { key, entry } = change;
    const [instance = '', hub = ''] = key.slice(PREFIX.length).split('/').reverse();
    if (hub === own) {
      this.#writer.observe(change);
      // What it said itself before it slept, or stopped.
      if (!this.#isLoading) return;
    }
    const known = this.#instances.get(instance, hub);
    if (entry === undefined) {
      if (known !== undefined) this.#instances.remove(known);
      return;
    }
    const stored = v.safeParse(STORED, tryParseJson(entry.value));
    if (!stored.success) {
      log.log('warn', 'registration-not-read', { key });
      return;
    }
    const { id, registration, state } = stored.output;
    known?.timer?.cancel();
    if (known !== undefined && known.id !== id) this.#instances.remove(known);
    const holding = { ...of(hub, instance, id), registration, said: state, revision: entry.revision };
    this.#instances.put(holding);
    if (isLive(hub)) this.#believe(holding);
    else this.#miss(holding, this.#isLoading ? absence.unhealthyAfterStartMs : absence.unhealthyAfterMs);
  }

  #believe(holding: Holding): void {
    holding.timer?.cancel();
    holding.timer = undefined;
    holding.presence = holding.said;
    this.#instances.publish(holding.instance);
  }

  /** Nobody has a link to it any more, as far as this hub knows. */
  #miss(holding: Holding, unhealthyAfterMs: number): void {
    const { clock, absence } = this.#options;
    holding.timer?.cancel();
    if (holding.said === 'leaving') {
      this.#forget(holding);
      return;
    }
    const lose = (): void => {
      holding.presence = 'lost';
      this.#instances.publish(holding.instance);
      if (holding.hub === this.#options.own) {
        holding.said = 'lost';
        this.#save(holding.instance);
      }
      holding.timer = clock.setTimer(Math.max(0, absence.removedAfterMs - unhealthyAfterMs), () =>
        this.#forget(holding),
      );
    };
    if (holding.said === 'lost') {
      lose();
      return;
    }
    holding.presence = 'absent';
    holding.timer = clock.setTimer(unhealthyAfterMs, lose);
    this.#instances.publish(holding.instance);
  }

  #forget(holding: Holding): void {
    const { own, store } = this.#options;
    const { instance, hub, revision } = holding;
    this.#instances.remove(holding);
    if (hub === own) this.#save(instance);
    // Its hub will not do it. What cannot be swept now is when the next hub starts.
    else store.delete(toKey(hub, instance), revision).catch(() => false);
  }

  /** Brings the store in line with memory, later; losing this costs a restarted hub some seconds of knowledge, no more. */
  #save(instance: string): void {
    this.#writer.touch(toKey(this.#options.own, instance));
  }

  #toStored(key: string): string | undefined {
    const { own } = this.#options;
    const holding = this.#instances.get(key.slice(toKey(own, '').length), own);
    if (holding === undefined) return undefined;
    const { id, registration, said: state } = holding;
    return JSON.stringify({ id, registration, state });
  }
}

function of(hub: string, instance: string, id: string): Omit<Holding, 'registration'> {
  return { instance, hub, id, presence: 'here', said: 'here', revision: 0, timer: undefined };
}

function toKey(hub: string, instance: string): string {
  return hub === '' ? PREFIX + instance : `${PREFIX}${hub}/${instance}`;
}
