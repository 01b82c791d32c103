/** The server end of an HTTP/2 connection: each stream is a request for an `HttpHandler`. */

import type { ByteStream } from '../core/byte-stream.ts';
import type { Bytes } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import type { DecodeLatin1 } from '../core/text.ts';
import { H2_CODE, H2Violation, toResetCode, toResetError } from './h2-code.ts';
import { H2Connection, type H2IncomingSink } from './h2-connection.ts';
import { ContentLength } from './h2-content-length.ts';
import { parseH2Request, parseH2Trailers, toH2Response } from './h2-head.ts';
import type { H2Stream } from './h2-stream.ts';
import type { HttpHandler, ReplySink, RequestBody } from './handler.ts';
import { type Fields, NO_FIELDS, type RequestHead, type ResponseHead } from './head.ts';
import { NO_BODY } from './refusal.ts';
import { isGrpc, makeGrpcTrailers, makeReply } from './reply.ts';

export interface H2ServerOptions {
  readonly clock: Clock;
  readonly decodeLatin1: DecodeLatin1;
  /** The connection is over; called once. */
  readonly onClose?: () => void;
}

export interface H2Server {
  /** Takes no more requests, and closes behind those that run. */
  drain(): void;
  close(error: SkeinError): void;
}

/** Serves HTTP/2 with prior knowledge (RFC 9113 §3.3) on `stream`. */
export function serveH2(stream: ByteStream, handler: HttpHandler, options: H2ServerOptions): H2Server {
  const { clock, decodeLatin1 } = options;
  return new H2Connection(stream, {
    ...{ role: 'server', clock, decodeLatin1 },
    onStream: () => new IncomingRequest(handler),
    onClose: () => options.onClose?.(),
  });
}

/** What a client sends on one stream. */
class IncomingRequest implements H2IncomingSink {
  readonly #handler: HttpHandler;
  #stream: H2Stream | undefined;
  #answer: Answer | undefined;
  #body: RequestBody = NO_BODY;
  #hasEnded = false;
  readonly #length = new ContentLength();
  /** Bytes for which the handler has no room yet. */
  #owedBytes = 0;

  constructor(handler: HttpHandler) {
    this.#handler = handler;
  }

  start(stream: H2Stream): void {
    this.#stream = stream;
  }

  onFields(block: readonly string[], isEnd: boolean): void {
    if (this.#answer !== undefined) return this.#onTrailers(block, isEnd);
    const request = parseH2Request(block);
    if (typeof request === 'string') throw this.#malformed(request);
    if (!this.#length.expect(request.fields)) throw this.#malformed('a length that is no number');
    if (isEnd && !this.#length.isReached) throw this.#malformed('a body that is missing');
    this.#hasEnded = isEnd;
    const answer = new Answer(this.#stream as H2Stream, request, () => this.#onRoom());
    this.#answer = answer;
    this.#body = this.#handler.request(request, isEnd, answer);
    answer.body = this.#body;
  }

  onData(chunk: Bytes): void {
    const { length } = chunk;
    if (!this.#length.add(length)) throw this.#malformed('a body longer than it said');
    if (this.#body.write(chunk) && this.#owedBytes === 0) this.#stream?.consumed(length);
    else this.#owedBytes += length;
  }

  onEnd(): void {
    this.#end(NO_FIELDS);
  }

  /** There is room for the answer. */
  onDrain(): void {
    this.#answer?.onRoom();
  }

  onReset(code: number): void {
    if (this.#hasEnded && this.#answer?.isOver) return;
    this.#answer?.cancel();
    this.#body.abort(toResetError(code, 'the client'));
  }

  /** The handler has room again. */
  #onRoom(): void {
    const owed = this.#owedBytes;
    this.#owedBytes = 0;
    if (owed > 0) this.#stream?.consumed(owed);
  }

  #onTrailers(block: readonly string[], isEnd: boolean): void {
    const trailers = parseH2Trailers(block);
    if (typeof trailers === 'string') throw this.#malformed(trailers);
    if (!isEnd) throw this.#malformed('a second head');
    this.#end(trailers);
  }

  #end(trailers: Fields): void {
    if (!this.#length.isReached) throw this.#malformed('a body shorter than it said');
    this.#hasEnded = true;
    this.#body.end(trailers);
  }

  #malformed(what: string): H2Violation {
    return new H2Violation(H2_CODE.protocolError, `Cannot read request: ${what}`, this.#stream?.id);
  }
}

/** What is answered on it. */
class Answer implements ReplySink {
  body: RequestBody = NO_BODY;
  readonly #stream: H2Stream;
  readonly #request: RequestHead;
  readonly #onRequestRoom: () => void;
  #state: 'head' | 'body' | 'over' = 'head';
  /** Bytes of the answer for which the stream has no room yet. */
  #owedBytes = 0;

  constructor(stream: H2Stream, request: RequestHead, onRequestRoom: () => void) {
    this.#stream = stream;
    this.#request = request;
    this.#onRequestRoom = onRequestRoom;
  }

  get isOver(): boolean {
    return this.#state === 'over';
  }

  cancel(): void {
    this.#state = 'over';
  }

  /** The stream has room again. */
  onRoom(): void {
    const owed = this.#owedBytes;
    this.#owedBytes = 0;
    if (owed > 0) this.body.consumed(owed);
  }

  onInformational(head: ResponseHead): void {
    if (this.#state === 'head') this.#stream.sendFields(toH2Response(head), false);
  }

  onHead(head: ResponseHead, complete: boolean): void {
    if (this.#state !== 'head') return;
    if (head.upgrade !== undefined) {
      const state = 'Cannot answer: no connection of HTTP/2 can be upgraded';
      this.body.abort(new SkeinError('SKEIN_APP_PROTOCOL', state));
      return this.onAbort(new SkeinError('SKEIN_APP_PROTOCOL', state));
    }
    this.#state = complete ? 'over' : 'body';
    this.#stream.sendFields(toH2Response(head), complete);
  }

  onData(chunk: Bytes): void {
    const { length } = chunk;
    if (this.#state !== 'body') return;
    if (this.#stream.write(chunk)) this.body.consumed(length);
    else this.#owedBytes += length;
  }

  onEnd(trailers: Fields): void {
    if (this.#state !== 'body') return;
    this.#state = 'over';
    this.#stream.end(trailers);
  }

  onAbort(error: SkeinError): void {
    const hadHead = this.#state === 'body';
    if (this.#state === 'over') return;
    this.#state = 'over';
    if (!hadHead) {
      const { head, body } = makeReply(error, this.#request);
      this.#stream.sendFields(toH2Response(head), body.length === 0);
      if (body.length === 0) return;
      this.#stream.write(body);
      this.#stream.end(NO_FIELDS);
    } else if (isGrpc(this.#request)) {
      // A status tells a gRPC client more than a reset, and no answer with one that is not OK looks complete.
      this.#stream.end(makeGrpcTrailers(error));
    } else this.#stream.reset(toResetCode(error));
  }

  onDrain(): void {
    this.#onRequestRoom();
  }
}
