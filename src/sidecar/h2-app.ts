/** The local application over HTTP/2 with prior knowledge: few connections, each with many requests, to one configured address. */

import type { Clock } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import type { ListenAddress, Platform } from '../core/platform.ts';
import type { DecodeLatin1 } from '../core/text.ts';
import { H2Client } from '../http/h2-client.ts';
import type { HttpHandler, ReplySink, RequestBody } from '../http/handler.ts';
import type { RequestHead } from '../http/head.ts';
import { refuseLater } from '../http/refusal.ts';

export interface H2AppOptions {
  readonly connectTcp: NonNullable<Platform['connectTcp']>;
  readonly target: ListenAddress;
  readonly clock: Clock;
  readonly decodeLatin1: DecodeLatin1;
  /** Connections at once: another is made where the application takes no more streams on those there are. @default 16 */
  readonly maxConnections?: number;
}

export class H2App implements HttpHandler {
  readonly #options: H2AppOptions;
  readonly #clients = new Set<H2Client>();
  #isClosed = false;

  constructor(options: H2AppOptions) {
    this.#options = options;
  }

  /** Connections, busy and idle. */
  get size(): number {
    return this.#clients.size;
  }

  request(head: RequestHead, complete: boolean, reply: ReplySink): RequestBody {
    const client = this.#find() ?? this.#connect();
    if (client !== undefined) return client.request(head, complete, reply);
    const state = this.#isClosed ? 'the sidecar is leaving' : `there are ${this.#clients.size} connections to it`;
    return refuseLater(reply, new SkeinError('SKEIN_LIMIT', `Cannot ask application: ${state}`));
  }

  close(): void {
    this.#isClosed = true;
    for (const client of [...this.#clients]) client.close();
  }

  /** The connection with the fewest requests. */
  #find(): H2Client | undefined {
    let best: H2Client | undefined;
    for (const client of this.#clients) {
      if (client.hasRoom && (best === undefined || client.pending < best.pending)) best = client;
    }
    return best;
  }

  #connect(): H2Client | undefined {
    const { connectTcp, target, clock, decodeLatin1, maxConnections = 16 } = this.#options;
    if (this.#isClosed || this.#clients.size >= maxConnections) return undefined;
    const client: H2Client = new H2Client(connectTcp(target), {
      ...{ clock, decodeLatin1 },
      onClose: () => this.#clients.delete(client),
    });
    this.#clients.add(client);
    return client;
  }
}
