/** Builders for HTTP tests: latin-1 bytes, heads, a handler made of a function, and a sink that remembers. */
import type { Bytes } from '../../src/core/bytes.ts';
import { concatBytes } from '../../src/core/bytes.ts';
import type { SkeinError } from '../../src/core/errors.ts';
import type { HttpHandler, ReplySink, RequestBody } from '../../src/http/handler.ts';
import { type Fields, NO_FIELDS, type RequestHead, type ResponseHead } from '../../src/http/head.ts';

export function latin1(text: string): Bytes {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

export function toText(...chunks: readonly Bytes[]): string {
  let text = '';
  for (const byte of concatBytes(...chunks)) text += String.fromCharCode(byte);
  return text;
}

export function requestHead(parts: Partial<RequestHead> = {}): RequestHead {
  return {
    method: 'GET',
    scheme: 'http',
    authority: 'api.mesh',
    path: '/',
    fields: NO_FIELDS,
    upgrade: undefined,
    service: '',
    ...parts,
  };
}

export function responseHead(status: number, fields: Fields = NO_FIELDS, upgrade?: string): ResponseHead {
  return { status, fields, upgrade };
}

/** Remembers an answer; `done` resolves when it ends or fails. Credit is returned at once unless `holds`. */
export class ReplyRecorder implements ReplySink {
  readonly informational: ResponseHead[] = [];
  head: ResponseHead | undefined;
  complete = false;
  readonly chunks: Bytes[] = [];
  trailers: Fields | undefined;
  error: SkeinError | undefined;
  drains = 0;
  body: RequestBody | undefined;
  holds = false;
  readonly done: Promise<void>;
  #finish: () => void = () => undefined;

  constructor() {
    this.done = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  get text(): string {
    return toText(...this.chunks);
  }

  /** Why it failed, or what it said. */
  get outcome(): string {
    return this.error?.code ?? this.text;
  }

  get isOver(): boolean {
    return this.complete || this.trailers !== undefined || this.error !== undefined;
  }

  onInformational(head: ResponseHead): void {
    this.informational.push(head);
  }

  onHead(head: ResponseHead, complete: boolean): void {
    this.head = head;
    this.complete = complete;
    if (complete) this.#finish();
  }

  onData(chunk: Bytes): void {
    this.chunks.push(chunk);
    if (!this.holds) this.body?.consumed(chunk.length);
  }

  onEnd(trailers: Fields): void {
    this.trailers = trailers;
    this.#finish();
  }

  onAbort(error: SkeinError): void {
    this.error = error;
    this.#finish();
  }

  onDrain(): void {
    this.drains++;
  }
}

/** Makes a request; credit for what is answered is given back on its body. */
export function send(
  handler: HttpHandler,
  parts: Partial<RequestHead> = {},
  complete = true,
): ReplyRecorder & { readonly body: RequestBody } {
  const reply = new ReplyRecorder();
  return Object.assign(reply, { body: handler.request(requestHead(parts), complete, reply) });
}

/** One request as a handler saw it; the test answers through `reply` when it likes. */
export class SeenRequest implements RequestBody {
  readonly head: RequestHead;
  readonly complete: boolean;
  readonly reply: ReplySink;
  readonly chunks: Bytes[] = [];
  trailers: Fields | undefined;
  aborted: SkeinError | undefined;
  consumedBytes = 0;
  /** What `write` returns. */
  hasRoom = true;
  onWrite: (chunk: Bytes) => void = () => undefined;
  onEnd: () => void = () => undefined;

  constructor(head: RequestHead, complete: boolean, reply: ReplySink) {
    this.head = head;
    this.complete = complete;
    this.reply = reply;
  }

  get text(): string {
    return toText(...this.chunks);
  }

  write(chunk: Bytes): boolean {
    this.chunks.push(chunk);
    this.onWrite(chunk);
    return this.hasRoom;
  }

  end(trailers: Fields): void {
    this.trailers = trailers;
    this.onEnd();
  }

  abort(error: SkeinError): void {
    this.aborted = error;
  }

  consumed(bytes: number): void {
    this.consumedBytes += bytes;
  }

  /** Answers with a whole body of known length. */
  answer(status: number, text = '', fields: Fields = NO_FIELDS): void {
    this.reply.onHead(responseHead(status, [...fields, 'content-length', String(text.length)]), text === '');
    if (text === '') return;
    this.reply.onData(latin1(text));
    this.reply.onEnd(NO_FIELDS);
  }
}

/** A handler that hands each request to `serve`, and remembers them all. */
export class RecordingHandler implements HttpHandler {
  readonly seen: SeenRequest[] = [];
  readonly #serve: (request: SeenRequest) => void;

  constructor(serve: (request: SeenRequest) => void = () => undefined) {
    this.#serve = serve;
  }

  request(head: RequestHead, complete: boolean, reply: ReplySink): RequestBody {
    const request = new SeenRequest(head, complete, reply);
    this.seen.push(request);
    this.#serve(request);
    return request;
  }
}
