/** `mesh.serve`: a function from `Request` to `Response`, such as `app.fetch` of hono, becomes a service; both stream. */

import type { Bytes } from '../core/bytes.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { HttpHandler, ReplySink, RequestBody } from '../http/handler.ts';
import { getField, NO_FIELDS, type RequestHead } from '../http/head.ts';
import { toFields, toHeaders } from './fetch.ts';
import { BodyReader, BodySource } from './web-streams.ts';

/**
 * Answers requests of the mesh. `x-skein-client-id` is the caller's proven SPIFFE id; `request.signal` aborts when the
 * caller gives up.
 */
export type ServeHandler = (request: Request) => Response | Promise<Response>;

export interface ServeOptions {
  readonly log: Logger;
  /** Bytes of an answer on their way, above which its source is not read. */
  readonly windowBytes: number;
}

export function createServeHandler(handler: ServeHandler, options: ServeOptions): HttpHandler {
  return {
    request(head, complete, reply) {
      const call = new ServedCall(head, complete, reply, options);
      // The sink may not be called before this returns, and user code may do anything.
      queueMicrotask(() => call.run(handler));
      return call;
    },
  };
}

/** Fetch §2.2.1, forbidden methods. */
const FORBIDDEN: ReadonlySet<string> = new Set(['CONNECT', 'TRACE', 'TRACK']);

class ServedCall implements RequestBody {
  readonly #head: RequestHead;
  readonly #reply: ReplySink;
  readonly #options: ServeOptions;
  readonly #cancel = new AbortController();
  readonly #upload: BodySource | undefined;
  #download: BodyReader | undefined;
  /** Bytes the handler was given and has not read. */
  #unreadBytes = 0;
  #isBlocked = false;
  /** Bytes of the answer whose credit has not come back. */
  #unconsumedBytes = 0;
  #isOver = false;

  constructor(head: RequestHead, complete: boolean, reply: ReplySink, options: ServeOptions) {
    this.#head = head;
    this.#reply = reply;
    this.#options = options;
    if (complete || head.method === 'GET' || head.method === 'HEAD') return;
    this.#upload = new BodySource({
      onTaken: (bytes) => this.#onTaken(bytes),
      onCancel: () => this.#onUnwanted(),
    });
  }

  async run(handler: ServeHandler): Promise<void> {
    if (this.#isOver) return;
    try {
      const request = this.#toRequest();
      if (this.#upload !== undefined && getField(this.#head.fields, 'expect')?.toLowerCase() === '100-continue') {
        this.#reply.onInformational({ status: 100, fields: NO_FIELDS, upgrade: undefined });
      }
      const response = await handler(request);
      if (this.#isOver) await response.body?.cancel(this.#cancel.signal.reason);
      else this.#answer(response);
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  // What the caller sends.

  write(chunk: Bytes): boolean {
    // A GET with a body has a `Request` without one: the standard has no form for it.
    if (this.#upload === undefined || this.#isOver) return true;
    this.#unreadBytes += chunk.length;
    this.#upload.push(chunk);
    this.#isBlocked = this.#unreadBytes >= this.#options.windowBytes;
    return !this.#isBlocked;
  }

  end(): void {
    this.#upload?.end();
  }

  abort(error: SkeinError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#upload?.fail(error);
    this.#download?.cancel(error);
    this.#cancel.abort(error);
  }

  consumed(bytes: number): void {
    this.#unconsumedBytes -= bytes;
    if (this.#unconsumedBytes < this.#options.windowBytes) this.#download?.resume();
  }

  #onTaken(bytes: number): void {
    this.#unreadBytes -= bytes;
    if (!this.#isBlocked || this.#unreadBytes > this.#options.windowBytes / 2) return;
    this.#isBlocked = false;
    this.#reply.onDrain();
  }

  /** The handler does not want the body; the caller may go on sending, and it is dropped. */
  #onUnwanted(): void {
    this.#unreadBytes = 0;
    if (this.#isBlocked) this.#reply.onDrain();
    this.#isBlocked = false;
  }

  #toRequest(): Request {
    const { method, scheme, authority, path, fields, service } = this.#head;
    const host = authority === '' ? service.replace(/:80$/, '').replace(/^([^:]+)/, '$1.mesh') : authority;
    const headers = toHeaders(fields);
    headers.set('host', host);
    const init: RequestInit & { duplex?: 'half' } = { method, headers, signal: this.#cancel.signal };
    if (this.#upload !== undefined) {
      init.body = this.#upload.stream as ReadableStream<Uint8Array<ArrayBuffer>>;
      init.duplex = 'half';
    }
    let request: Request | undefined;
    let cause: unknown;
    try {
      request = new Request(`${scheme === '' ? 'http' : scheme}://${host}${path === '*' ? '/' : path}`, init);
    } catch (thrown) {
      cause = thrown;
    }
    // Policies have judged this method and no other: "get" becomes GET by the standard, and on Bun so does all it does not
    // know. CONNECT, TRACE and TRACK have no form as `Request`, but on Bun.
    if (request?.method === method && !FORBIDDEN.has(method)) return request;
    throw new SkeinError('SKEIN_BAD_REQUEST', `Cannot serve ${method}: it has no form as Request`, {
      cause,
      status: 501,
    });
  }

  #answer(response: Response): void {
    const { status, headers, body } = response;
    if (!(status >= 200 && status <= 599)) throw new TypeError(`Cannot answer: status ${status} is not 200..599`);
    const complete = body === null || this.#head.method === 'HEAD';
    this.#reply.onHead({ status, fields: toFields(headers), upgrade: undefined }, complete);
    if (complete) {
      body?.cancel().catch(() => undefined); // nobody reads it
      this.#isOver = true;
      return;
    }
    this.#download = new BodyReader(body, {
      write: (chunk) => {
        this.#unconsumedBytes += chunk.length;
        this.#reply.onData(chunk);
        return this.#unconsumedBytes < this.#options.windowBytes;
      },
      end: () => {
        if (this.#isOver) return;
        this.#isOver = true;
        this.#reply.onEnd(NO_FIELDS);
      },
      fail: (reason) => this.#fail(reason),
    });
    this.#download.start();
  }

  #fail(thrown: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const error =
      thrown instanceof SkeinError
        ? thrown
        : new SkeinError('SKEIN_INTERNAL', 'Cannot answer: the handler failed', { cause: thrown });
    if (error.code === 'SKEIN_INTERNAL') {
      const { method, path, service } = this.#head;
      this.#options.log.log('error', 'handler-failed', {
        service,
        method,
        path: path.replace(/\?.*$/s, ''),
        error: toSkeinError(thrown).message,
        stack: thrown instanceof Error ? thrown.stack : undefined,
      });
    }
    this.#upload?.fail(error);
    this.#cancel.abort(error);
    this.#reply.onAbort(error);
  }
}
