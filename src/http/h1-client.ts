/** The client end of an HTTP/1.1 connection: one request at a time over one `ByteStream`, and whether it may carry another. */

import type { ByteStream } from '../core/byte-stream.ts';
import type { Bytes } from '../core/bytes.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { DecodeLatin1 } from '../core/text.ts';
import { H1Parser } from './h1-parser.ts';
import { H1Writer } from './h1-writer.ts';
import type { HttpHandler, ReplySink, RequestBody } from './handler.ts';
import { type Fields, NO_FIELDS, type RequestHead, type ResponseHead } from './head.ts';
import { refuseLater } from './refusal.ts';

export interface H1ClientOptions {
  readonly decodeLatin1: DecodeLatin1;
  /** The exchange is over and the connection can take another request. */
  readonly onIdle?: (client: H1Client) => void;
  /** The connection can take no further request; called once. */
  readonly onClose?: (client: H1Client) => void;
}

/** 1xx forwarded per answer, as many as one mux stream may carry; further ones are dropped. */
const MAX_FORWARDED = 8;
const MAX_INFORMATIONAL = 64;

/**
 * True when a reused connection died before any byte of the answer: the usual race with a server's idle timeout.
 * The application may have seen the request, so only what is idempotent may be sent again.
 */
export function isStaleConnection(error: SkeinError): boolean {
  return error.details.reused === true && error.details.answered === false;
}

export class H1Client implements HttpHandler {
  readonly #stream: ByteStream;
  readonly #options: H1ClientOptions;
  readonly #parser: H1Parser;
  readonly #writer: H1Writer;
  readonly #owner: CallOwner;
  #state: 'idle' | 'busy' | 'closed' = 'idle';
  #call: Call | undefined;
  #served = 0;
  #peerEnded = false;

  constructor(stream: ByteStream, options: H1ClientOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#writer = new H1Writer(stream);
    this.#owner = {
      stream,
      writer: this.#writer,
      retire: (error) => this.#drop(error),
      fail: (error) => this.#fail(error),
    };
    this.#parser = H1Parser.forResponses(
      {
        onResponse: (head, complete) => this.#call?.onHead(head, complete, this.#parser.state === 'raw'),
        onData: (chunk) => this.#call?.onData(chunk),
        onEnd: (trailers) => this.#call?.onTrailers(trailers),
      },
      options.decodeLatin1,
    );
    stream.attach({
      onData: (chunk) => this.#receive(chunk),
      onEnd: () => this.#endOfStream(),
      onDrain: () => this.#call?.onDrain(),
      onReset: (error) => this.#fail(error),
    });
  }

  get isIdle(): boolean {
    return this.#state === 'idle';
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  /** Requests begun on this connection. */
  get served(): number {
    return this.#served;
  }

  request(head: RequestHead, complete: boolean, reply: ReplySink): RequestBody {
    if (this.#state !== 'idle') {
      const state = `Cannot send request: connection is ${this.#state}`;
      return refuseLater(reply, new SkeinError('SKEIN_APP_UNREACHABLE', state));
    }
    try {
      this.#writer.request(head, complete);
    } catch (error) {
      return refuseLater(reply, toSkeinError(error));
    }
    this.#state = 'busy';
    this.#parser.expect(head.method, head.upgrade);
    this.#call = new Call(this.#owner, reply, complete, this.#served++ > 0);
    return this.#call;
  }

  /** Closes an idle connection at once, a busy one after its answer. */
  close(): void {
    if (this.#state === 'idle') this.#drop();
    else if (this.#call !== undefined) this.#call.keepAlive = false;
  }

  #receive(chunk: Bytes): void {
    const call = this.#call;
    if (call === undefined) {
      this.#stream.consumed(chunk.length);
      // An answer nobody asked for: what it belongs to cannot be told, so nothing more is read here.
      if (this.#state === 'idle')
        this.#fail(new SkeinError('SKEIN_APP_PROTOCOL', 'Cannot reuse connection: bytes came unasked'));
      return;
    }
    call.answered = true;
    if (this.#parser.state === 'raw') this.#receiveRaw(call, chunk);
    else this.#parse(call, chunk);
  }

  #receiveRaw(call: Call, chunk: Bytes): void {
    const before = call.delivered;
    call.onData(chunk);
    if (call.delivered === before) this.#stream.consumed(chunk.length);
  }

  #parse(call: Call, chunk: Bytes): void {
    const before = call.delivered;
    let used = 0;
    let failure: SkeinError | undefined;
    try {
      used = this.#parser.push(chunk);
    } catch (error) {
      failure = toSkeinError(error);
    }
    const isRaw = this.#parser.state === 'raw';
    // Framing is used up now; the body's bytes come back through `consumed`.
    this.#stream.consumed((isRaw ? used : chunk.length) - (call.delivered - before));
    if (failure !== undefined) this.#fail(failure);
    else if (this.#call !== call) return;
    else if (isRaw && used < chunk.length) this.#receiveRaw(call, chunk.subarray(used));
    // Bytes behind the answer: somebody's second answer, which must never meet another request.
    else if (this.#parser.state === 'done') this.#finish(call, this.#parser.keepAlive && used === chunk.length);
  }

  #endOfStream(): void {
    this.#peerEnded = true;
    const call = this.#call;
    if (call === undefined) {
      this.#drop();
      return;
    }
    if (this.#parser.state === 'raw') {
      call.endRaw();
      return;
    }
    try {
      if (this.#parser.isIdle)
        throw new SkeinError('SKEIN_STREAM_RESET', 'Cannot read answer: connection was closed before it');
      this.#parser.end();
    } catch (error) {
      this.#fail(toSkeinError(error));
      return;
    }
    if (this.#call === call) this.#finish(call, false);
  }

  /** The answer is whole. */
  #finish(call: Call, keepAlive: boolean): void {
    this.#call = undefined;
    const isReusable = keepAlive && call.keepAlive && call.sentAll && !this.#peerEnded;
    if (isReusable) this.#state = 'idle';
    // Nobody reads the rest of an upload whose answer is complete.
    else
      this.#retire(
        call.sentAll ? undefined : new SkeinError('SKEIN_CANCELLED', 'Cannot go on with upload: answer is complete'),
      );
    call.finish();
    if (isReusable && this.#state === 'idle') this.#options.onIdle?.(this);
  }

  #drop(error?: SkeinError): void {
    this.#call = undefined;
    this.#parser.stop();
    this.#retire(error);
  }

  #fail(error: SkeinError): void {
    const call = this.#call;
    this.#drop(error);
    call?.fail(error);
  }

  #retire(error: SkeinError | undefined): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    if (error === undefined) this.#stream.end();
    else this.#stream.reset(error);
    this.#options.onClose?.(this);
  }
}

interface CallOwner {
  readonly stream: ByteStream;
  readonly writer: H1Writer;
  /** Ends the connection, with an error by force. */
  retire(error?: SkeinError): void;
  /** Ends the connection and tells the call. */
  fail(error: SkeinError): void;
}

/** One request and its answer. */
class Call implements RequestBody {
  /** False: the connection is not used again, whatever the answer says. */
  keepAlive = true;
  /** The request is whole. */
  sentAll: boolean;
  /** Something of an answer has arrived. */
  answered = false;
  /** Bytes of the body handed on so far; their credit comes back through `consumed`. */
  delivered = 0;
  readonly #owner: CallOwner;
  readonly #reply: ReplySink;
  readonly #reused: boolean;
  #isOver = false;
  #isRaw = false;
  #informational = 0;
  #trailers: Fields = NO_FIELDS;

  constructor(owner: CallOwner, reply: ReplySink, complete: boolean, reused: boolean) {
    this.#owner = owner;
    this.#reply = reply;
    this.sentAll = complete;
    this.#reused = reused;
  }

  write(chunk: Bytes): boolean {
    if (this.sentAll || (this.#isOver && !this.#isRaw)) return true;
    try {
      return this.#owner.writer.data(chunk);
    } catch (error) {
      this.#owner.fail(toSkeinError(error));
      return true;
    }
  }

  end(trailers: Fields): void {
    if (this.sentAll || (this.#isOver && !this.#isRaw)) return;
    this.sentAll = true;
    if (this.#isRaw) {
      if (this.#isOver) this.#owner.retire();
      else this.#owner.stream.end();
      return;
    }
    try {
      this.#owner.writer.end(trailers);
    } catch (error) {
      this.#owner.fail(toSkeinError(error));
    }
  }

  abort(error: SkeinError): void {
    if (this.#isOver && (!this.#isRaw || this.sentAll)) return;
    this.#isOver = true;
    this.sentAll = true;
    this.#owner.retire(error);
  }

  consumed(bytes: number): void {
    this.#owner.stream.consumed(bytes);
  }

  onHead(head: ResponseHead, complete: boolean, isRaw: boolean): void {
    if (this.#isOver) return;
    if (head.status < 200 && !isRaw) {
      this.#informational++;
      if (this.#informational <= MAX_FORWARDED) this.#reply.onInformational(head);
      else if (this.#informational > MAX_INFORMATIONAL) {
        this.#owner.fail(new SkeinError('SKEIN_APP_PROTOCOL', 'Cannot read answer: too many informational heads'));
      }
      return;
    }
    if (isRaw) {
      this.#isRaw = true;
      this.#owner.writer.switchToRaw();
    }
    this.#isOver = complete;
    this.#reply.onHead(head, complete);
  }

  onData(chunk: Bytes): void {
    if (this.#isOver) return;
    this.delivered += chunk.length;
    this.#reply.onData(chunk);
  }

  onTrailers(trailers: Fields): void {
    this.#trailers = trailers;
  }

  onDrain(): void {
    if (!this.sentAll && (!this.#isOver || this.#isRaw)) this.#reply.onDrain();
  }

  /** The peer has ended its direction of an upgraded connection; ours may go on. */
  endRaw(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.sentAll) this.#owner.retire();
    this.#reply.onEnd(NO_FIELDS);
  }

  finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#reply.onEnd(this.#trailers);
  }

  fail(error: SkeinError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.sentAll = true;
    const { code, message, status } = error;
    this.#reply.onAbort(
      new SkeinError(code, message, {
        cause: error,
        details: { ...error.details, reused: this.#reused, answered: this.answered },
        status,
        notProcessed: error.notProcessed && !this.answered,
      }),
    );
  }
}
