/** The client end of an HTTP/2 connection: requests of the mesh as streams to one server that is known to speak it. */

import type { ByteStream } from '../core/byte-stream.ts';
import type { Bytes } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import type { DecodeLatin1 } from '../core/text.ts';
import { H2_CODE, H2Violation, toResetCode, toResetError } from './h2-code.ts';
import { H2Connection } from './h2-connection.ts';
import { ContentLength } from './h2-content-length.ts';
import { parseH2Response, parseH2Trailers, toH2Request } from './h2-head.ts';
import type { H2Stream, H2StreamSink } from './h2-stream.ts';
import type { HttpHandler, ReplySink, RequestBody } from './handler.ts';
import { type Fields, NO_FIELDS, type RequestHead } from './head.ts';
import { refuseLater } from './refusal.ts';

export interface H2ClientOptions {
  readonly clock: Clock;
  readonly decodeLatin1: DecodeLatin1;
  /** No request is under way any more. */
  readonly onIdle?: () => void;
  /** The connection takes no more requests; called once. */
  readonly onClose?: () => void;
}

/** 1xx forwarded per answer, as many as one mux stream may carry; further ones are dropped. */
const MAX_FORWARDED = 8;

export class H2Client implements HttpHandler {
  readonly #connection: H2Connection;

  constructor(stream: ByteStream, { clock, decodeLatin1, onIdle, onClose }: H2ClientOptions) {
    this.#connection = new H2Connection(stream, {
      ...{ role: 'client', clock, decodeLatin1 },
      ...(onIdle === undefined ? {} : { onIdle }),
      onClose: () => onClose?.(),
    });
  }

  /** Requests under way. */
  get pending(): number {
    return this.#connection.openStreams;
  }

  get hasRoom(): boolean {
    return this.#connection.hasRoom;
  }

  request(head: RequestHead, complete: boolean, reply: ReplySink): RequestBody {
    if (head.upgrade !== undefined) {
      const state = 'Cannot ask application: it speaks HTTP/2, where no connection is upgraded';
      return refuseLater(reply, new SkeinError('SKEIN_BAD_REQUEST', state, { status: 501 }));
    }
    if (!this.#connection.hasRoom) {
      return refuseLater(
        reply,
        new SkeinError('SKEIN_APP_UNREACHABLE', 'Cannot ask application: its connection is full'),
      );
    }
    const call = new Call(reply, head.method, complete, this.#connection);
    call.stream = this.#connection.open(toH2Request(head), complete, call);
    return call;
  }

  /** Closes behind what is under way. */
  close(): void {
    this.#connection.drain();
  }
}

/** One request: its body on the way out, its answer on the way back. */
class Call implements RequestBody, H2StreamSink {
  stream: H2Stream | undefined;
  readonly #reply: ReplySink;
  readonly #method: string;
  readonly #connection: H2Connection;
  readonly #length = new ContentLength();
  #requestEnded: boolean;
  #state: 'head' | 'body' | 'over' = 'head';
  #forwarded = 0;

  constructor(reply: ReplySink, method: string, complete: boolean, connection: H2Connection) {
    this.#reply = reply;
    this.#method = method;
    this.#requestEnded = complete;
    this.#connection = connection;
  }

  // What is asked.

  write(chunk: Bytes): boolean {
    return this.#requestEnded || this.stream === undefined ? true : this.stream.write(chunk);
  }

  end(trailers: Fields): void {
    if (this.#requestEnded) return;
    this.#requestEnded = true;
    this.stream?.end(trailers);
  }

  abort(error: SkeinError): void {
    this.#state = 'over';
    this.stream?.reset(error.code === 'SKEIN_CANCELLED' ? H2_CODE.cancel : toResetCode(error));
  }

  consumed(bytes: number): void {
    this.stream?.consumed(bytes);
  }

  // What is answered.

  onFields(block: readonly string[], isEnd: boolean): void {
    if (this.#state === 'over') return;
    if (this.#state === 'body') return this.#onTrailers(block, isEnd);
    const head = parseH2Response(block);
    if (typeof head === 'string') throw this.#malformed(head);
    if (head.status < 200) {
      if (isEnd) throw this.#malformed('an end behind a provisional head');
      if (this.#forwarded++ < MAX_FORWARDED) this.#reply.onInformational(head);
      return;
    }
    const hasBody = this.#method !== 'HEAD' && head.status !== 204 && head.status !== 304;
    if (hasBody && !this.#length.expect(head.fields)) throw this.#malformed('a length that is no number');
    if (isEnd && !this.#length.isReached) throw this.#malformed('a body that is missing');
    this.#state = isEnd ? 'over' : 'body';
    this.#reply.onHead(head, isEnd);
  }

  onData(chunk: Bytes): void {
    if (this.#state === 'head') throw this.#malformed('a body before its head');
    if (this.#state === 'over') {
      this.stream?.consumed(chunk.length);
      return;
    }
    if (!this.#length.add(chunk.length)) throw this.#malformed('a body longer than it said');
    this.#reply.onData(chunk);
  }

  onEnd(): void {
    this.#finish(NO_FIELDS);
  }

  onDrain(): void {
    if (this.#state !== 'over') this.#reply.onDrain();
  }

  onReset(code: number, mistake?: string): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    if (mistake !== undefined) this.#reply.onAbort(new SkeinError('SKEIN_APP_PROTOCOL', mistake));
    else this.#reply.onAbort(this.#connection.closedBy ?? toResetError(code, 'the application'));
  }

  #onTrailers(block: readonly string[], isEnd: boolean): void {
    const trailers = parseH2Trailers(block);
    if (typeof trailers === 'string') throw this.#malformed(trailers);
    if (!isEnd) throw this.#malformed('a second head');
    this.#finish(trailers);
  }

  #finish(trailers: Fields): void {
    if (this.#state !== 'body') return;
    if (!this.#length.isReached) throw this.#malformed('a body shorter than it said');
    this.#state = 'over';
    this.#reply.onEnd(trailers);
  }

  #malformed(what: string): H2Violation {
    return new H2Violation(H2_CODE.protocolError, `Cannot read answer: ${what}`, this.stream?.id);
  }
}
