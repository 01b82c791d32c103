/** What the router needs from above: who serves a service, and a way to an endpoint. The agent gives both. */

import type { BackendTrafficPolicy } from '../catalog/backend-traffic-policy.ts';
import type { Endpoint } from '../catalog/endpoint.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import type { HttpHandler } from '../http/handler.ts';
import type { RequestHead } from '../http/head.ts';

/** The catalogue as the router reads it. */
export interface EndpointSource {
  /** Is what `endpoints` says knowledge, even when it says "nobody"? */
  isKnown(service: string): boolean;
  /** Everyone who serves `service`, healthy or not; the same array until one of them changes. */
  endpoints(service: string): readonly Endpoint[];
  /** What holds for requests to `service`; the same object until it changes. */
  policy(service: string): BackendTrafficPolicy | undefined;
  /** Resolves when `service` is known; what is watched stays known. */
  watch(service: string): Promise<void>;
  /** Nobody calls `service` any more. */
  forget(service: string): void;
}

/** An open way to one endpoint. */
export interface Upstream {
  readonly http: HttpHandler;
  /** Opens a raw stream. @throws SkeinError when the peer takes none; it has seen nothing */
  openRaw(head: RequestHead): ByteStream;
}

export interface Connector {
  /** Is there an endpoint that `isSuspect`? Asked before each choice. */
  readonly hasSuspects: boolean;
  /** There is no way to it just now, or it was not heard for a while: another one is the better choice. */
  isSuspect(endpoint: Endpoint): boolean;
  /** Round trip of the sessions with it, in milliseconds; undefined while nobody has measured one. */
  rttMs(endpoint: Endpoint): number | undefined;
  /** The way to `endpoint`, at once when there is one. @throws SkeinError also as a rejection; nothing was sent then */
  connect(endpoint: Endpoint): Upstream | Promise<Upstream>;
}
