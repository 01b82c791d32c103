/** The local application over HTTP/1.1: a bounded pool of connections to one address, which configuration names and no request. */

import type { Bytes } from '../core/bytes.ts';
import { type Clock, setPeriodic, type Timer } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import type { ListenAddress, Platform } from '../core/platform.ts';
import type { DecodeLatin1 } from '../core/text.ts';
import { H1Client, isStaleConnection } from '../http/h1-client.ts';
import type { HttpHandler, ReplySink, RequestBody } from '../http/handler.ts';
import type { Fields, RequestHead, ResponseHead } from '../http/head.ts';
import { isIdempotent } from '../http/methods.ts';
import { NO_BODY, refuseLater } from '../http/refusal.ts';

export interface AppPoolOptions {
  readonly connectTcp: NonNullable<Platform['connectTcp']>;
  readonly target: ListenAddress;
  readonly clock: Clock;
  readonly decodeLatin1: DecodeLatin1;
  /**
   * Connections at once, busy and idle; more requests are refused, and others try another instance. One identity has 1,024 streams, and must
   * not have them all. @default 4096
   */
  readonly maxConnections?: number;
  /** Idle connections that are kept. @default 256 */
  readonly maxIdle?: number;
  /** Life of an idle connection, in milliseconds: less than the 5 s after which `node:http` closes it. @default 4_000 */
  readonly idleMs?: number;
}

const SWEEP_MS = 1_000;

interface Idle {
  readonly client: H1Client;
  readonly sinceMs: number;
}

export class AppPool implements HttpHandler {
  readonly #options: AppPoolOptions;
  readonly #maxConnections: number;
  readonly #maxIdle: number;
  readonly #idleMs: number;
  /** The last used is taken first, so that what is not needed grows old. */
  #idle: Idle[] = [];
  readonly #clients = new Set<H1Client>();
  readonly #sweep: Timer;
  #isClosed = false;

  constructor(options: AppPoolOptions) {
    this.#options = options;
    this.#maxConnections = options.maxConnections ?? 4096;
    this.#maxIdle = options.maxIdle ?? 256;
    this.#idleMs = options.idleMs ?? 4_000;
    this.#sweep = setPeriodic(options.clock, SWEEP_MS, () => this.#closeOld());
  }

  /** Connections, busy and idle. */
  get size(): number {
    return this.#clients.size;
  }

  request(head: RequestHead, complete: boolean, reply: ReplySink): RequestBody {
    const reused = this.#takeIdle();
    if (reused === undefined) return this.#start(head, complete, reply);
    // A kept connection may be closing just now. What has no body and may be repeated is sent again on a new one.
    if (!complete || !isIdempotent(head.method)) return reused.request(head, complete, reply);
    return new RepeatableCall(reused, head, reply, () => this.#start(head, true, reply));
  }

  close(): void {
    this.#isClosed = true;
    this.#sweep.cancel();
    this.#idle = [];
    for (const client of [...this.#clients]) client.close();
  }

  #start(head: RequestHead, complete: boolean, reply: ReplySink): RequestBody {
    if (this.#isClosed || this.#clients.size >= this.#maxConnections) {
      const state = this.#isClosed ? 'the sidecar is leaving' : `there are ${this.#clients.size} connections to it`;
      return refuseLater(reply, new SkeinError('SKEIN_LIMIT', `Cannot ask application: ${state}`));
    }
    return this.#connect().request(head, complete, reply);
  }

  #connect(): H1Client {
    const { connectTcp, target, decodeLatin1, clock } = this.#options;
    const client: H1Client = new H1Client(connectTcp(target), {
      decodeLatin1,
      onIdle: () => {
        if (this.#isClosed || this.#idle.length >= this.#maxIdle) client.close();
        else this.#idle.push({ client, sinceMs: clock.monotonicMs() });
      },
      onClose: () => {
        this.#clients.delete(client);
        this.#idle = this.#idle.filter((idle) => idle.client !== client);
      },
    });
    this.#clients.add(client);
    return client;
  }

  #takeIdle(): H1Client | undefined {
    for (;;) {
      const idle = this.#idle.pop();
      if (idle === undefined || idle.client.isIdle) return idle?.client;
    }
  }

  #closeOld(): void {
    const limitMs = this.#options.clock.monotonicMs() - this.#idleMs;
    for (const { client, sinceMs } of [...this.#idle]) if (sinceMs <= limitMs) client.close();
  }
}

/** A request without a body on a kept connection: sent again, once, when the connection turns out to have been closed. */
class RepeatableCall implements RequestBody, ReplySink {
  readonly #reply: ReplySink;
  readonly #repeat: () => RequestBody;
  #out: RequestBody = NO_BODY;
  #isOver = false;

  constructor(client: H1Client, head: RequestHead, reply: ReplySink, repeat: () => RequestBody) {
    this.#reply = reply;
    this.#repeat = repeat;
    this.#out = client.request(head, true, this);
  }

  write(): boolean {
    return true;
  }

  end(): void {
    // There is no body.
  }

  abort(error: SkeinError): void {
    this.#isOver = true;
    this.#out.abort(error);
  }

  consumed(bytes: number): void {
    this.#out.consumed(bytes);
  }

  onInformational(head: ResponseHead): void {
    this.#reply.onInformational(head);
  }

  onHead(head: ResponseHead, complete: boolean): void {
    this.#reply.onHead(head, complete);
  }

  onData(chunk: Bytes): void {
    this.#reply.onData(chunk);
  }

  onEnd(trailers: Fields): void {
    this.#reply.onEnd(trailers);
  }

  onAbort(error: SkeinError): void {
    if (this.#isOver) return;
    // From here on the answer goes to the caller directly.
    if (isStaleConnection(error)) this.#out = this.#repeat();
    else this.#reply.onAbort(error);
  }

  onDrain(): void {
    this.#reply.onDrain();
  }
}
