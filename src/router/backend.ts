/** Backend: the endpoints of one service and port, with what is known of their load; kept in step with the catalogue. */

import type { AppProtocol, Endpoint } from '../catalog/endpoint.ts';
import { SkeinError } from '../core/errors.ts';
import type { Random } from '../core/random.ts';
import { chooseP2cEwma } from './balancer/p2c-ewma.ts';
import type { Destination } from './destination.ts';
import { EndpointLoad } from './endpoint-load.ts';
import type { Connector } from './upstream.ts';

/** Endpoints to choose only where there is no other. */
export type Avoidance = Pick<Connector, 'hasSuspects' | 'isSuspect'>;

export class Backend {
  readonly destination: Destination;
  /** Monotonic time of the last call; written by `Backends`. */
  usedMs = 0;
  /** The catalogue's array this was made from: while it is the same object, nothing has changed. */
  #source: readonly Endpoint[] | undefined;
  #all: readonly EndpointLoad[] = [];
  #healthy: readonly EndpointLoad[] = [];

  constructor(destination: Destination) {
    this.destination = destination;
  }

  get size(): number {
    return this.#all.length;
  }

  /** Requests and connections under way at all endpoints. */
  get pending(): number {
    let pending = 0;
    for (const load of this.#all) pending += load.pending;
    return pending;
  }

  /** How the application speaks, or undefined while nobody serves it. Instances that disagree are a mistake; the first decides. */
  get protocol(): AppProtocol | undefined {
    return (this.#healthy[0] ?? this.#all[0])?.endpoint.protocol;
  }

  /** Takes over the endpoints of the service, those of other ports included. Loads of instances that stay are kept. */
  update(endpoints: readonly Endpoint[], nowMs: number): void {
    if (endpoints === this.#source) return;
    this.#source = endpoints;
    const known = new Map(this.#all.map((load) => [load.endpoint.instance, load]));
    this.#all = endpoints
      .filter((endpoint) => endpoint.port === this.destination.port)
      .map((endpoint) => {
        const load = known.get(endpoint.instance);
        if (load === undefined) return new EndpointLoad(endpoint, nowMs);
        load.endpoint = endpoint;
        return load;
      });
    this.#healthy = this.#all.filter((load) => load.endpoint.healthy);
  }

  /** Could `choose` find somebody who is not among `tried`? */
  hasOther(tried: readonly EndpointLoad[]): boolean {
    return this.#healthy.some((load) => !tried.includes(load));
  }

  /**
   * An endpoint that is not among `tried`, and if possible not one to avoid.
   * @throws SkeinError SKEIN_NO_SUCH_SERVICE when nobody serves it, SKEIN_NO_ENDPOINT when nobody who does can be chosen
   */
  choose(tried: readonly EndpointLoad[], random: Random, nowMs: number, avoid?: Avoidance): EndpointLoad {
    const candidates = tried.length === 0 ? this.#healthy : this.#healthy.filter((load) => !tried.includes(load));
    const better = avoid?.hasSuspects ? candidates.filter(({ endpoint }) => !avoid.isSuspect(endpoint)) : [];
    const chosen = chooseP2cEwma(better.length > 0 ? better : candidates, random, nowMs);
    if (chosen !== undefined) return chosen;
    const { service, port } = this.destination;
    if (this.#all.length === 0) {
      const ports = [...new Set(this.#source?.map((endpoint) => endpoint.port))].sort((a, b) => a - b);
      const state =
        ports.length === 0
          ? 'nobody serves it'
          : `nobody serves port ${port}; there is ${ports.slice(0, 8).join(', ')}`;
      throw new SkeinError('SKEIN_NO_SUCH_SERVICE', `Cannot reach service "${service}": ${state}`);
    }
    const state = this.#healthy.length === 0 ? 'all its instances are unhealthy' : 'every instance was tried';
    throw new SkeinError('SKEIN_NO_ENDPOINT', `Cannot reach service "${service}": ${state}`);
  }
}
