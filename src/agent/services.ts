/** The services that this member serves: who answers for each, and what the hub is told of them. */

import type { BackendTrafficPolicy } from '../catalog/backend-traffic-policy.ts';
import type { AppProtocol } from '../catalog/endpoint.ts';
import type { ServedService } from '../control/messages.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { SkeinError } from '../core/errors.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';
import type { HttpHandler } from '../http/handler.ts';
import { type Destination, toDestination } from '../router/destination.ts';
import { RateLimiter, type RateLimitPolicy } from '../router/rate-limit.ts';

/** Who answers for a service. */
export type ServiceTarget =
  | { readonly protocol: 'http' | 'h2c'; readonly handler: HttpHandler }
  | { readonly protocol: 'tcp'; readonly accept: (stream: ByteStream, caller: SpiffeId) => void };

export interface LocalService {
  /** `name.namespace` */
  readonly service: string;
  /** Port in the mesh. */
  readonly port: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly target: ServiceTarget;
  /** How often its callers may ask this instance, unless a BackendTrafficPolicy says it. @default as often as they like */
  readonly rateLimit?: RateLimitPolicy | undefined;
}

/** A service as it is looked up, once for each request. */
export interface ServedEntry extends LocalService {
  readonly destination: Destination;
  /** The last authority that was read, and what else of this member it names: clients repeat themselves. Written by `Inbound`. */
  claim: Claim | undefined;
  limiter: RateLimiter | undefined;
  /** The policy that `limiter` was made of; undefined: what who serves it has said. Written by `Inbound`. */
  limitedBy: BackendTrafficPolicy | undefined;
}

/** An authority that names services of this member. */
export interface Claim {
  readonly authority: string;
  readonly others: readonly Destination[];
}

interface Entry extends ServedEntry {
  isHealthy: boolean;
}

/** A service that is served, until `close`. */
/** A service of this member. */
export interface ServiceHandle {
  /** Others choose this instance only while it is healthy. */
  setHealthy(isHealthy: boolean): void;
  /** Serves it no more: others choose this instance no longer. */
  close(): void;
}

export class LocalServices {
  readonly #entries = new Map<string, Entry>();
  readonly #onChange: () => void;

  /** @param onChange what `registrations` says is another thing now */
  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  get size(): number {
    return this.#entries.size;
  }

  all(): IterableIterator<LocalService & { readonly isHealthy: boolean }> {
    return this.#entries.values();
  }

  /** `name.namespace` of each. */
  *names(): IterableIterator<string> {
    for (const { service } of this.#entries.values()) yield service;
  }

  /** By `name.namespace:port`. */
  get(key: string): ServedEntry | undefined {
    return this.#entries.get(key);
  }

  /** Every port of a service that is served here. */
  named(service: string): Destination[] {
    return [...this.#entries.values()]
      .filter((entry) => entry.service === service)
      .map(({ destination }) => destination);
  }

  /** @throws SkeinError SKEIN_CONFIG when it is served already, RangeError on a rate that is none */
  add(service: LocalService, isHealthy = true): ServiceHandle {
    const destination = toDestination(service.service, service.port);
    const { key } = destination;
    if (this.#entries.has(key)) throw new SkeinError('SKEIN_CONFIG', `Cannot serve "${key}": it is served already`);
    const limiter = service.rateLimit && new RateLimiter(service.rateLimit);
    const entry: Entry = { ...service, destination, claim: undefined, limiter, limitedBy: undefined, isHealthy };
    this.#entries.set(key, entry);
    for (const each of this.#entries.values()) each.claim = undefined;
    this.#onChange();
    return {
      setHealthy: (healthy) => {
        if (entry.isHealthy === healthy || this.#entries.get(key) !== entry) return;
        entry.isHealthy = healthy;
        this.#onChange();
      },
      close: () => {
        if (this.#entries.get(key) !== entry) return;
        this.#entries.delete(key);
        this.#onChange();
      },
    };
  }

  /** What the hub is told. */
  registrations(): ServedService[] {
    return [...this.#entries.values()].map(({ service, port, labels, target, isHealthy }) => ({
      service,
      port,
      protocol: target.protocol satisfies AppProtocol,
      labels: { ...labels },
      healthy: isHealthy,
    }));
  }
}
