/** `mesh.fetch`: a WHATWG `Request` into the mesh, its `Response` back, both streaming. */

import { type Bytes, EMPTY } from '../core/bytes.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import { removeConnectionSpecific } from '../http/fields.ts';
import type { HttpHandler, ReplySink, RequestBody } from '../http/handler.ts';
import { type Fields, NO_FIELDS, type RequestHead, type ResponseHead } from '../http/head.ts';
import { makeReply } from '../http/reply.ts';
import { BodyReader, BodySource } from './web-streams.ts';

/** `fetch` of the Web, for URLs of the mesh. */
export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

/**
 * `fetch` that performs its requests with `handler`. What the mesh itself answers, an error too, is a `Response` with
 * `x-skein-reason`, exactly as behind a proxy; the promise rejects only for what the caller did: a bad argument
 * (`TypeError`), or an abort (`signal.reason`). A `Response` with status 101 cannot be expressed: see `connect`.
 */
export function createFetch(handler: HttpHandler): Fetch {
  return async (input, init) => {
    const request = new Request(input, withDuplex(init));
    checkMethod(request, input, init);
    request.signal.throwIfAborted();
    return new Promise((resolve, reject) => new FetchCall(request, resolve, reject).start(handler));
  };
}

/** Bun makes GET of a method it does not know: another request than the caller meant. */
function checkMethod({ method }: Request, input: string | URL | Request, init: RequestInit | undefined): void {
  const asked = init?.method ?? (input instanceof Request ? input.method : 'GET');
  if (method.toUpperCase() === asked.toUpperCase()) return;
  throw new TypeError(`Cannot fetch: this runtime cannot use method "${asked}"; it would send ${method}`);
}

/** Streams as bodies need `duplex: 'half'` by the standard, and no caller of ours means anything else. */
function withDuplex(init: RequestInit | undefined): RequestInit | undefined {
  // What a `Request` has, it has not of its own: a copy would have nothing.
  if (init instanceof Request) return init;
  return init?.body instanceof ReadableStream ? ({ ...init, duplex: 'half' } as RequestInit) : init;
}

/** Statuses whose `Response` may have no body (Fetch §2.2.3). */
const NULL_BODY: ReadonlySet<number> = new Set([204, 205, 304]);

class FetchCall implements ReplySink {
  readonly #request: Request;
  readonly #head: RequestHead;
  readonly #resolve: (response: Response) => void;
  readonly #reject: (reason: unknown) => void;
  #out: RequestBody | undefined;
  #upload: BodyReader | undefined;
  #download: BodySource | undefined;
  #isAnswered = false;

  constructor(request: Request, resolve: (response: Response) => void, reject: (reason: unknown) => void) {
    this.#request = request;
    this.#head = toRequestHead(request);
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(handler: HttpHandler): void {
    const { body, signal } = this.#request;
    signal.addEventListener('abort', this.#onAbortSignal);
    const out = handler.request(this.#head, body === null, this);
    this.#out = out;
    if (body === null) return;
    this.#upload = new BodyReader(body, {
      write: (chunk) => out.write(chunk),
      end: () => {
        this.#upload = undefined;
        out.end(NO_FIELDS);
      },
      fail: (reason) => this.#giveUp(reason),
    });
    this.#upload.start();
  }

  onInformational(): void {
    // A `Response` has no place for it.
  }

  onHead(head: ResponseHead, complete: boolean): void {
    this.#isAnswered = true;
    const init = { status: head.status, headers: toHeaders(head.fields) };
    if (head.status < 200) {
      this.#giveUp(new TypeError('Cannot give answer: it switches protocols, which fetch has no form for'));
      return;
    }
    if (complete || NULL_BODY.has(head.status)) {
      if (complete) this.#finish();
      this.#resolve(new Response(null, init));
      return;
    }
    this.#download = new BodySource({
      onTaken: (bytes) => this.#out?.consumed(bytes),
      onCancel: (reason) => this.#giveUp(reason),
    });
    this.#resolve(new Response(this.#download.stream as ReadableStream<Uint8Array<ArrayBuffer>>, init));
  }

  onData(chunk: Bytes): void {
    if (this.#download === undefined) this.#out?.consumed(chunk.length);
    else this.#download.push(chunk);
  }

  onEnd(): void {
    this.#finish();
    this.#download?.end();
  }

  onAbort(error: SkeinError): void {
    this.#finish();
    if (this.#isAnswered) {
      this.#download?.fail(error);
      return;
    }
    const { head, body } = makeReply(error, this.#head);
    this.#resolve(
      new Response(body === EMPTY ? null : (body as Uint8Array<ArrayBuffer>), {
        status: head.status,
        headers: toHeaders(head.fields),
      }),
    );
  }

  onDrain(): void {
    this.#upload?.resume();
  }

  readonly #onAbortSignal = (): void => this.#giveUp(this.#request.signal.reason);

  /** The caller wants no more, or could not go on with its body. */
  #giveUp(reason: unknown): void {
    this.#finish();
    this.#out?.abort(
      new SkeinError('SKEIN_CANCELLED', 'Cannot go on with request: the caller gave up', {
        cause: toSkeinError(reason),
      }),
    );
    this.#download?.fail(reason);
    this.#reject(reason);
  }

  /** The answer is over, and nobody reads any more what is left of the request. */
  #finish(): void {
    this.#request.signal.removeEventListener('abort', this.#onAbortSignal);
    const upload = this.#upload;
    if (upload === undefined) return;
    this.#upload = undefined;
    upload.cancel('the answer is complete');
    this.#out?.abort(new SkeinError('SKEIN_CANCELLED', 'Cannot go on with upload: the answer is complete'));
  }
}

function toRequestHead(request: Request): RequestHead {
  const url = new URL(request.url);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new TypeError('Cannot fetch: the URL is not http:');
  return {
    method: request.method,
    scheme: url.protocol.slice(0, -1),
    authority: url.host,
    path: url.pathname + url.search,
    fields: toFields(request.headers),
    upgrade: undefined,
    service: '',
  };
}

/** Lower-case names, each value on its own; fields of one connection are left out. */
export function toFields(headers: Headers): Fields {
  const fields: string[] = [];
  headers.forEach((value, name) => {
    fields.push(name, value);
  });
  return removeConnectionSpecific(fields);
}

export function toHeaders(fields: Fields): Headers {
  const headers = new Headers();
  for (let i = 0; i < fields.length; i += 2) headers.append(fields[i] as string, fields[i + 1] as string);
  return headers;
}
