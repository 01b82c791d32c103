/**
 * Registrations: which instance serves what, as endpoints of the catalogue. An instance whose link is lost is not gone at
 * once: links break and come back, and a hub that restarts must not make the mesh forget itself.
 */

import * as v from 'valibot';
import type { Endpoint } from '../catalog/endpoint.ts';
import { resourceKey } from '../catalog/resource.ts';
import { CALLS, type Registration } from '../control/messages.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { toSkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Publisher } from './publisher.ts';
import { type Store, tryParseJson } from './store.ts';

export interface RegistrationsOptions {
  readonly publisher: Publisher;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly absence: AbsenceLimits;
}

export interface AbsenceLimits {
  /** An instance without a link is called unhealthy after this, in milliseconds. */
  readonly unhealthyAfterMs: number;
  /** The same after a start of the hub, when everybody has to come back. */
  readonly unhealthyAfterStartMs: number;
  /** It is forgotten after this, in milliseconds. */
  readonly removedAfterMs: number;
}

interface Instance {
  readonly instance: string;
  /** SPIFFE id. */
  readonly id: string;
  registration: Registration;
  endpoints: ReadonlyMap<string, Endpoint>;
  presence: 'here' | 'leaving' | 'absent' | 'lost';
  timer: Timer | undefined;
}

const PREFIX = 'instance/';
const STORED = v.object({ id: v.string(), registration: CALLS.register.request });

export class Registrations {
  readonly #options: RegistrationsOptions;
  readonly #instances = new Map<string, Instance>();
  /** Instances whose stored form is being written, and whether it must be written once more. */
  readonly #writing = new Map<string, boolean>();

  constructor(options: RegistrationsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#instances.size;
  }

  /** The catalogue with everything registered so far. */
  get version(): { readonly epoch: number; readonly revision: number } {
    const { publisher } = this.#options;
    publisher.flush();
    const { epoch, revision } = publisher.snapshot;
    return { epoch, revision };
  }

  /** Takes what an earlier start of the hub knew; who does not come back is forgotten. */
  async load(): Promise<void> {
    for (const { key, value } of await this.#options.store.list(PREFIX)) {
      const stored = v.safeParse(STORED, tryParseJson(value));
      if (!stored.success) {
        this.#options.log.log('warn', 'registration-not-read', { key });
        continue;
      }
      const { id, registration } = stored.output;
      const instance = this.#add(key.slice(PREFIX.length), id, registration);
      this.#publish(instance);
      this.#miss(instance, this.#options.absence.unhealthyAfterStartMs);
    }
  }

  /** Replaces all that `instance` serves. */
  register(instance: string, id: string, registration: Registration): void {
    const known = this.#instances.get(instance);
    known?.timer?.cancel();
    if (known !== undefined && known.id === id) {
      known.registration = registration;
      known.presence = 'here';
      this.#publish(known);
    } else {
      if (known !== undefined) this.#remove(known);
      this.#publish(this.#add(instance, id, registration));
    }
    this.#save(instance);
  }

  /** Services that `instance` has registered. */
  served(instance: string): readonly string[] {
    return this.#instances.get(instance)?.registration.services.map(({ service }) => service) ?? [];
  }

  /** SPIFFE id under which `instance` is known. */
  idOf(instance: string): string | undefined {
    return this.#instances.get(instance)?.id;
  }

  /** It drains: nobody should choose it from now on. */
  leave(instance: string): void {
    const known = this.#instances.get(instance);
    if (known === undefined || known.presence === 'leaving') return;
    known.presence = 'leaving';
    this.#publish(known);
  }

  /** Its link is gone. */
  lose(instance: string): void {
    const known = this.#instances.get(instance);
    if (known === undefined) return;
    known.timer?.cancel();
    if (known.presence === 'leaving') this.#forget(known);
    else this.#miss(known, this.#options.absence.unhealthyAfterMs);
  }

  close(): void {
    for (const { timer } of this.#instances.values()) timer?.cancel();
  }

  #add(instance: string, id: string, registration: Registration): Instance {
    const added: Instance = { instance, id, registration, endpoints: new Map(), presence: 'here', timer: undefined };
    this.#instances.set(instance, added);
    return added;
  }

  #miss(known: Instance, unhealthyAfterMs: number): void {
    const { clock, absence } = this.#options;
    known.presence = 'absent';
    known.timer = clock.setTimer(unhealthyAfterMs, () => {
      known.presence = 'lost';
      this.#publish(known);
      known.timer = clock.setTimer(Math.max(0, absence.removedAfterMs - unhealthyAfterMs), () => this.#forget(known));
    });
  }

  #forget(known: Instance): void {
    this.#remove(known);
    this.#save(known.instance);
  }

  #remove(known: Instance): void {
    for (const key of known.endpoints.keys()) this.#options.publisher.change(key, undefined);
    this.#instances.delete(known.instance);
  }

  #publish(known: Instance): void {
    const endpoints = new Map(toEndpoints(known).map((endpoint) => [resourceKey(endpoint), endpoint]));
    for (const key of known.endpoints.keys()) {
      if (!endpoints.has(key)) this.#options.publisher.change(key, undefined);
    }
    for (const [key, endpoint] of endpoints) this.#options.publisher.change(key, endpoint);
    known.endpoints = endpoints;
  }

  /** Brings the store in line with memory, later; losing this costs a restarted hub some seconds of knowledge, no more. */
  #save(instance: string): void {
    if (this.#writing.has(instance)) {
      this.#writing.set(instance, true);
      return;
    }
    this.#writing.set(instance, false);
    this.#write(instance)
      .catch((thrown) => {
        this.#options.log.log('warn', 'registration-not-stored', { instance, code: toSkeinError(thrown).code });
      })
      .finally(() => {
        const again = this.#writing.get(instance);
        this.#writing.delete(instance);
        if (again) this.#save(instance);
      });
  }

  async #write(instance: string): Promise<void> {
    const { store } = this.#options;
    const key = PREFIX + instance;
    const known = this.#instances.get(instance);
    const revision = (await store.get(key))?.revision ?? 0;
    if (known !== undefined) {
      const { id, registration } = known;
      await store.compareAndSet(key, revision, JSON.stringify({ id, registration }));
    } else if (revision > 0) {
      await store.delete(key, revision);
    }
  }
}

function toEndpoints({ instance, id, registration, presence }: Instance): Endpoint[] {
  const reachable = presence === 'here' || presence === 'absent';
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
    healthy: healthy && reachable,
    weight: weight ?? 1,
  }));
}
