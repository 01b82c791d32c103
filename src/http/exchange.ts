/**
 * One HTTP request and its answer over one mux stream. Caller: head in OPEN, body in DATA, trailers in HEADERS.
 * Callee: 1xx, head and trailers in HEADERS, body in DATA. END closes a direction that is whole; everything else is a reset.
 */

import { HEAD_INFORMATIONAL, HEAD_TRAILERS, type HeadedSink, type HeadedStream } from '../core/byte-stream.ts';
import type { Bytes } from '../core/bytes.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { DecodeLatin1 } from '../core/text.ts';
import type { HttpHandler, ReplySink, RequestBody } from './handler.ts';
import { type Fields, NO_FIELDS, type RequestHead, type ResponseHead } from './head.ts';
import {
  decodeResponseHead,
  decodeTrailers,
  encodeRequestHead,
  encodeResponseHead,
  encodeTrailers,
  isCompleteResponse,
  MAX_BLOCK_BYTES,
} from './head-codec.ts';
import { NO_BODY, refuseLater } from './refusal.ts';
import { isGrpc, makeReply } from './reply.ts';

/** Kinds of mux streams that carry HTTP; the numbers are those of the OPEN frame. */
export const HTTP_KIND = { http: 1, grpc: 2, upgrade: 3 } as const;
export type HttpKind = (typeof HTTP_KIND)[keyof typeof HTTP_KIND];

/** Opens a stream with `block[0..length)` as its metadata; `complete` ends our direction at once. */
export type OpenStream = (kind: HttpKind, block: Bytes, length: number, complete: boolean) => HeadedStream;

/** More 1xx than this on one stream are an attack and not a protocol. */
const MAX_INFORMATIONAL = 8;

/** Blocks are copied by whoever they are handed to, so that one buffer serves all. */
const scratch: Bytes = new Uint8Array(MAX_BLOCK_BYTES);

/** The caller's side: a handler that performs each request over a stream of its own. */
export function createStreamHandler(open: OpenStream, decodeLatin1: DecodeLatin1): HttpHandler {
  return {
    request(head, complete, reply) {
      try {
        const length = encodeRequestHead(scratch, head);
        return new CallerExchange(open(chooseKind(head), scratch, length, complete), reply, decodeLatin1, complete);
      } catch (error) {
        return refuseLater(reply, toSkeinError(error));
      }
    },
  };
}

function chooseKind(head: RequestHead): HttpKind {
  if (head.upgrade !== undefined) return HTTP_KIND.upgrade;
  return isGrpc(head) ? HTTP_KIND.grpc : HTTP_KIND.http;
}

class CallerExchange implements HeadedSink, RequestBody {
  readonly #stream: HeadedStream;
  readonly #reply: ReplySink;
  readonly #decodeLatin1: DecodeLatin1;
  #state: 'head' | 'body' | 'over' = 'head';
  #sentAll: boolean;
  #informational = 0;
  #trailers: Fields | undefined;

  constructor(stream: HeadedStream, reply: ReplySink, decodeLatin1: DecodeLatin1, complete: boolean) {
    this.#stream = stream;
    this.#reply = reply;
    this.#decodeLatin1 = decodeLatin1;
    this.#sentAll = complete;
    stream.attach(this);
  }

  write(chunk: Bytes): boolean {
    return this.#sentAll ? true : this.#stream.write(chunk);
  }

  end(trailers: Fields): void {
    if (this.#sentAll) return;
    try {
      if (trailers.length > 0) this.#stream.sendHead(scratch, encodeTrailers(scratch, trailers), HEAD_TRAILERS);
    } catch (error) {
      this.#fail(toSkeinError(error));
      return;
    }
    this.#sentAll = true;
    this.#stream.end();
  }

  abort(error: SkeinError): void {
    this.#sentAll = true;
    this.#state = 'over';
    this.#stream.reset(error);
  }

  consumed(bytes: number): void {
    this.#stream.consumed(bytes);
  }

  onHead(block: Bytes, flags: number): void {
    if (this.#state === 'over') return;
    try {
      if (flags & HEAD_TRAILERS) this.#onTrailers(block);
      else if (flags & HEAD_INFORMATIONAL) this.#onInformational(block);
      else this.#onFinal(block);
    } catch (error) {
      this.#fail(toSkeinError(error));
    }
  }

  #onTrailers(block: Bytes): void {
    if (this.#state !== 'body' || this.#trailers !== undefined) throw violation('trailers out of place');
    this.#trailers = decodeTrailers(block, this.#decodeLatin1);
  }

  #onInformational(block: Bytes): void {
    const head = decodeResponseHead(block, this.#decodeLatin1);
    if (this.#state !== 'head' || head.status >= 200 || head.status === 101)
      throw violation('informational head out of place');
    if (++this.#informational > MAX_INFORMATIONAL)
      throw violation(`more than ${MAX_INFORMATIONAL} informational heads`);
    this.#reply.onInformational(head);
  }

  #onFinal(block: Bytes): void {
    const head = decodeResponseHead(block, this.#decodeLatin1);
    if (this.#state !== 'head' || (head.status < 200 && head.status !== 101))
      throw violation('final head out of place');
    const complete = isCompleteResponse(block);
    this.#state = complete ? 'over' : 'body';
    this.#reply.onHead(head, complete);
  }

  onData(chunk: Bytes): void {
    if (this.#state === 'body' && this.#trailers === undefined) {
      this.#reply.onData(chunk);
      return;
    }
    this.#stream.consumed(chunk.length);
    if (this.#state !== 'over') this.#fail(violation('data out of place'));
  }

  onEnd(): void {
    if (this.#state === 'over') return;
    if (this.#state === 'head') {
      this.#fail(violation('stream ended before the head'));
      return;
    }
    this.#state = 'over';
    this.#reply.onEnd(this.#trailers ?? NO_FIELDS);
  }

  onDrain(): void {
    if (this.#state !== 'over') this.#reply.onDrain();
  }

  onReset(error: SkeinError): void {
    this.#sentAll = true;
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#reply.onAbort(error);
  }

  #fail(error: SkeinError): void {
    this.#sentAll = true;
    this.#stream.reset(error);
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#reply.onAbort(error);
  }
}

/** The callee's side: hands one incoming stream, whose metadata has been decoded to `head`, to `handler`. */
export function serveStream(
  stream: HeadedStream,
  complete: boolean,
  head: RequestHead,
  handler: HttpHandler,
  decodeLatin1: DecodeLatin1,
): void {
  const answer = new StreamAnswer(stream, head);
  let body: RequestBody;
  try {
    body = handler.request(head, complete, answer);
  } catch (error) {
    answer.onAbort(toSkeinError(error));
    return;
  }
  answer.start(body);
  stream.attach(new RequestReader(stream, complete, body, answer, decodeLatin1));
}

/** The way back: what the handler answers becomes HEADERS and DATA. */
class StreamAnswer implements ReplySink {
  readonly #stream: HeadedStream;
  readonly #request: RequestHead;
  #body: RequestBody = NO_BODY;
  #state: 'head' | 'body' | 'over' = 'head';
  /** Bytes the handler gave and the stream has no room for. */
  #owed = 0;

  constructor(stream: HeadedStream, request: RequestHead) {
    this.#stream = stream;
    this.#request = request;
  }

  start(body: RequestBody): void {
    this.#body = body;
  }

  onInformational(head: ResponseHead): void {
    if (this.#state !== 'head') return;
    this.#send(() => encodeResponseHead(scratch, head), HEAD_INFORMATIONAL);
  }

  onHead(head: ResponseHead, complete: boolean): void {
    if (this.#state !== 'head') return;
    if (!this.#send(() => encodeResponseHead(scratch, head, complete), 0)) return;
    this.#state = complete ? 'over' : 'body';
    if (complete) this.#stream.end();
  }

  onData(chunk: Bytes): void {
    const length = chunk.length;
    if (this.#state === 'body' && !(this.#stream.write(chunk) && this.#owed === 0)) this.#owed += length;
    else this.#body.consumed(length);
  }

  onEnd(trailers: Fields): void {
    if (this.#state !== 'body') return;
    if (trailers.length > 0 && !this.#send(() => encodeTrailers(scratch, trailers), HEAD_TRAILERS)) return;
    this.#state = 'over';
    this.#stream.end();
    // Nobody tells of room behind the end, and the handler's connection may be wanted for another request.
    this.release();
  }

  onAbort(error: SkeinError): void {
    const state = this.#state;
    this.#state = 'over';
    if (state === 'head' && (error.code === 'SKEIN_BAD_REQUEST' || error.code === 'SKEIN_MISDIRECTED'))
      this.#reply(error);
    // The reset carries the code, so that the caller's router can tell what may be tried again. Behind a whole answer it
    // ends what is left of the request: an upload must not go on to nobody.
    else if (state !== 'over' || this.#reader?.isOver === false) this.#stream.reset(error);
  }

  onDrain(): void {
    // The stream's sink forwards the other direction's drain; see RequestReader.
    this.#reader?.release();
  }

  #reader: RequestReader | undefined;

  /** Who reads the other direction, and is told when the handler has room again. */
  join(reader: RequestReader): void {
    this.#reader = reader;
  }

  /** The stream has room again. */
  release(): void {
    const owed = this.#owed;
    this.#owed = 0;
    if (owed > 0) this.#body.consumed(owed);
  }

  /** The stream is gone; nothing can be answered any more. */
  close(): void {
    this.#state = 'over';
  }

  #reply(error: SkeinError): void {
    const { head, body } = makeReply(error, this.#request);
    this.#stream.sendHead(scratch, encodeResponseHead(scratch, head, body.length === 0), 0);
    if (body.length > 0) this.#stream.write(body);
    this.#stream.end();
  }

  /** A head that cannot be encoded fails the answer, and the handler with it. */
  #send(encode: () => number, flags: number): boolean {
    let length: number;
    try {
      length = encode();
    } catch (thrown) {
      const error = new SkeinError('SKEIN_APP_PROTOCOL', toSkeinError(thrown).message, { cause: thrown });
      this.onAbort(error);
      this.#body.abort(error);
      return false;
    }
    this.#stream.sendHead(scratch, length, flags);
    return true;
  }
}

/** The way there: DATA and trailers become the request's body. */
class RequestReader implements HeadedSink {
  readonly #stream: HeadedStream;
  readonly #body: RequestBody;
  readonly #answer: StreamAnswer;
  readonly #decodeLatin1: DecodeLatin1;
  #isOver: boolean;
  #trailers: Fields | undefined;
  /** Bytes the stream gave and the handler has no room for. */
  #owed = 0;

  constructor(
    stream: HeadedStream,
    complete: boolean,
    body: RequestBody,
    answer: StreamAnswer,
    decodeLatin1: DecodeLatin1,
  ) {
    this.#stream = stream;
    this.#isOver = complete;
    this.#body = body;
    this.#answer = answer;
    this.#decodeLatin1 = decodeLatin1;
    answer.join(this);
  }

  /** Nothing more of the request will come. */
  get isOver(): boolean {
    return this.#isOver;
  }

  onHead(block: Bytes, flags: number): void {
    if (this.#isOver) return;
    try {
      if (!(flags & HEAD_TRAILERS) || this.#trailers !== undefined) throw violation('second head of a request');
      this.#trailers = decodeTrailers(block, this.#decodeLatin1);
    } catch (error) {
      this.#fail(toSkeinError(error));
    }
  }

  onData(chunk: Bytes): void {
    const length = chunk.length;
    if (this.#isOver || this.#trailers !== undefined) {
      this.#stream.consumed(length);
      if (!this.#isOver) this.#fail(violation('data after the trailers'));
    } else if (this.#body.write(chunk) && this.#owed === 0) {
      this.#stream.consumed(length);
    } else {
      this.#owed += length;
    }
  }

  onEnd(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#body.end(this.#trailers ?? NO_FIELDS);
    this.release();
  }

  onDrain(): void {
    this.#answer.release();
  }

  onReset(error: SkeinError): void {
    this.#isOver = true;
    this.#answer.close();
    this.#body.abort(error);
  }

  release(): void {
    const owed = this.#owed;
    this.#owed = 0;
    if (owed > 0) this.#stream.consumed(owed);
  }

  #fail(error: SkeinError): void {
    this.#stream.reset(error);
    this.onReset(error);
  }
}

function violation(state: string): SkeinError {
  return new SkeinError('SKEIN_PROTOCOL', `Cannot read HTTP stream: ${state}`);
}
