/** The backends in use: made when a service is first called, kept in step with the catalogue, forgotten when idle. */

import { type Clock, setPeriodic, type Timer } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import { Backend, type BackendOptions } from './backend.ts';
import type { BackendStatus } from './backend-status.ts';
import type { Destination } from './destination.ts';
import type { RouterOptions } from './options.ts';
import type { EndpointSource } from './upstream.ts';

const SWEEP_MS = 30_000;

export class Backends {
  readonly #source: EndpointSource;
  readonly #clock: Clock;
  readonly #limits: RouterOptions;
  readonly #options: BackendOptions;
  readonly #table = new Map<string, Backend>();
  /** Services that must stay known: a listener of their own, say. */
  readonly #pinned = new Set<string>();
  readonly #sweep: Timer;
  #waiting = 0;

  constructor(source: EndpointSource, clock: Clock, options: BackendOptions) {
    this.#source = source;
    this.#clock = clock;
    this.#limits = options.limits;
    this.#options = options;
    this.#sweep = setPeriodic(clock, SWEEP_MS, () => this.#forgetIdle());
  }

  get size(): number {
    return this.#table.size;
  }

  /** Requests that wait for the catalogue. */
  get waiting(): number {
    return this.#waiting;
  }

  /** What is known of each service in use. */
  describe(): BackendStatus[] {
    const nowMs = this.#clock.monotonicMs();
    return [...this.#table.values()].map((backend) => backend.describe(nowMs));
  }

  close(): void {
    this.#sweep.cancel();
  }

  /** Keeps `service` known from now on. Resolves when it is. */
  async pin(service: string): Promise<void> {
    this.#pinned.add(service);
    await this.#source.watch(service);
  }

  /**
   * The backend of a destination, at once unless its service has to be asked for first.
   * @throws SkeinError SKEIN_LIMIT, and as a rejection SKEIN_HUB_UNREACHABLE when nobody tells in time
   */
  find(destination: Destination): Backend | Promise<Backend> {
    const backend = this.#table.get(destination.key) ?? this.#add(destination);
    if (this.#source.isKnown(destination.service)) return this.refresh(backend);
    return this.#await(backend);
  }

  #add(destination: Destination): Backend {
    if (this.#table.size >= this.#limits.maxServices) {
      throw new SkeinError(
        'SKEIN_LIMIT',
        `Cannot call service "${destination.service}": ${this.#table.size} services are in use`,
      );
    }
    const backend = new Backend(destination, this.#options);
    backend.usedMs = this.#clock.monotonicMs();
    this.#table.set(destination.key, backend);
    return backend;
  }

  /** `instance` has fallen silent: what waits there for an answer goes elsewhere, where that is allowed. */
  leave(instance: string): void {
    for (const backend of this.#table.values()) backend.leave(instance);
  }

  /** `instance` is gone: what waits there for an answer to begin is told so. */
  giveUp(instance: string): void {
    for (const backend of this.#table.values()) backend.giveUp(instance);
  }

  /** Brings `backend` up to what the catalogue says now. */
  refresh(backend: Backend): Backend {
    const nowMs = this.#clock.monotonicMs();
    backend.usedMs = nowMs;
    const { service } = backend.destination;
    backend.follow(this.#source.policy(service));
    backend.update(this.#source.endpoints(service), nowMs);
    return backend;
  }

  #await(backend: Backend): Promise<Backend> {
    const { service } = backend.destination;
    if (this.#waiting >= this.#limits.maxWaiting) {
      throw new SkeinError('SKEIN_LIMIT', `Cannot call service "${service}": ${this.#waiting} requests wait already`);
    }
    this.#waiting++;
    return new Promise<Backend>((resolve, reject) => {
      const timer = this.#clock.setTimer(this.#limits.catalogueWaitMs, () =>
        reject(new SkeinError('SKEIN_HUB_UNREACHABLE', `Cannot find service "${service}": no hub tells who serves it`)),
      );
      this.#source
        .watch(service)
        .then(() => resolve(this.refresh(backend)), reject)
        .finally(() => timer.cancel());
    }).finally(() => {
      this.#waiting--;
    });
  }

  #forgetIdle(): void {
    const nowMs = this.#clock.monotonicMs();
    const inUse = new Set(this.#pinned);
    const idle = new Set<string>();
    for (const [key, backend] of this.#table) {
      const { service } = backend.destination;
      const isServed = this.#source.endpoints(service).length > 0;
      const limitMs = isServed ? this.#limits.idleServiceMs : this.#limits.idleUnknownMs;
      if (nowMs - backend.usedMs < limitMs || backend.pending > 0) {
        inUse.add(service);
        continue;
      }
      this.#table.delete(key);
      backend.end();
      idle.add(service);
    }
    for (const service of idle) if (!inUse.has(service)) this.#source.forget(service);
  }
}
