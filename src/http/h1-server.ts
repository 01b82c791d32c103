/**
 * The server end of an HTTP/1.1 connection: requests are handed to a handler one after the other, in order, and the
 * framing of every answer is made here. What cannot be read is answered once and the connection closed.
 */

import type { ByteStream } from '../core/byte-stream.ts';
import type { Bytes } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { DecodeLatin1 } from '../core/text.ts';
import { ConnectionDeadline } from './connection-deadline.ts';
import { type AnswerOwner, H1Answer } from './h1-answer.ts';
import { H1Parser } from './h1-parser.ts';
import { type ConnectRequest, H1Tunnel } from './h1-tunnel.ts';
import { H1Writer } from './h1-writer.ts';
import type { HttpHandler } from './handler.ts';
import { NO_FIELDS, type RequestHead } from './head.ts';
import { makeReply } from './reply.ts';

export interface H1ServerOptions {
  readonly clock: Clock;
  readonly decodeLatin1: DecodeLatin1;
  /** Scheme of requests in origin-form. @default 'http' */
  readonly scheme?: 'http' | 'https';
  /** Decides over CONNECT, at once or later. Absent: CONNECT is refused with 405. */
  readonly onConnect?: (request: ConnectRequest) => void;
  /** The connection is over; called once. */
  readonly onClose?: () => void;
  /** Milliseconds from the first byte of a head to its last. @default 10_000 */
  readonly headerTimeoutMs?: number;
  /** Milliseconds a connection may wait for its next request. @default 60_000 */
  readonly idleTimeoutMs?: number;
  /** Milliseconds without a byte of a body that is being waited for. @default 30_000 */
  readonly bodyTimeoutMs?: number;
  /** Milliseconds an answer may wait for a client that reads nothing. @default 300_000 */
  readonly stallTimeoutMs?: number;
}

/** After the last answer, what the client still sends is read and dropped this long: closing at once could destroy the answer on its way. */
const LINGER_MS = 2000;

/**
 * A client that has ended its direction has usually gone away, and its request should end too; one that only says that
 * it sends no more still gets an answer that comes, or goes on, within this time.
 */
const HALF_CLOSED_MS = 1000;

/** Requests of one connection that are begun before others have a turn: those that are answered at once would come by thousands in one read. */
const MAX_IN_A_TURN = 32;

export interface H1Server {
  /** No request is being served. */
  readonly isIdle: boolean;
  /** Finishes the request in progress, then closes. */
  drain(): void;
  /** Ends the connection at once. */
  close(error: SkeinError): void;
}

/** Serves one connection. */
export function serveH1(stream: ByteStream, handler: HttpHandler, options: H1ServerOptions): H1Server {
  return new H1Connection(stream, handler, options);
}

/** What a connection waits for; each has its deadline. `answer` has one only when the client may be gone. */
type Awaited = 'request' | 'head' | 'body' | 'reading' | 'answer' | 'nothing';

/** Stands in for a request that could not be read. */
const UNREADABLE: RequestHead = {
  method: 'GET',
  scheme: 'http',
  authority: '',
  path: '/',
  fields: NO_FIELDS,
  upgrade: undefined,
  service: '',
};

class H1Connection implements H1Server, AnswerOwner {
  readonly stream: ByteStream;
  readonly writer: H1Writer;
  isDraining = false;
  readonly #handler: HttpHandler;
  readonly #options: H1ServerOptions;
  readonly #parser: H1Parser;
  readonly #deadline: ConnectionDeadline;
  /** `lingering`: all is answered, and what still comes is dropped. */
  #state: 'open' | 'raw' | 'tunnel' | 'lingering' | 'closed' = 'open';
  /** Chunks behind the message being served; their credit is not returned, so the stream's window bounds them. */
  readonly #held: Bytes[] = [];
  #answer: H1Answer | undefined;
  #tunnel: H1Tunnel | undefined;
  #pumping = false;
  /** Requests begun since others had a turn; at `MAX_IN_A_TURN` the next waits for one. */
  #begun = 0;
  /** The stream has asked to stop, and has not told of room since. */
  #isClogged = false;
  #peerEnded = false;
  /** Bytes of the chunk being read that the handler has no room for. */
  #withheld = 0;
  #awaited: Awaited = 'nothing';
  /** The answer's progress when its deadline was set. */
  #progress = 0;

  constructor(stream: ByteStream, handler: HttpHandler, options: H1ServerOptions) {
    this.stream = stream;
    this.writer = new H1Writer({
      write: (chunk) => {
        const hasRoom = stream.write(chunk);
        this.#isClogged = !hasRoom;
        return hasRoom;
      },
    });
    this.#handler = handler;
    this.#options = options;
    this.#deadline = new ConnectionDeadline(options.clock, () => this.#expire());
    this.#parser = H1Parser.forRequests(
      {
        onRequest: (head, complete) => this.#begin(head, complete),
        onData: (chunk) => {
          if (this.#answer !== undefined) this.#withheld += this.#answer.receive(chunk);
        },
        onEnd: (trailers) => this.#answer?.receiveEnd(trailers),
      },
      options.decodeLatin1,
      options.scheme,
    );
    this.#setDeadline();
    stream.attach({
      onData: (chunk) => this.#receive(chunk),
      onEnd: () => this.#endOfStream(),
      onDrain: () => this.#drained(),
      onReset: (error) => this.#lose(error),
    });
  }

  get isIdle(): boolean {
    return this.#state === 'open' && this.#answer === undefined && this.#held.length === 0 && this.#parser.isIdle;
  }

  drain(): void {
    this.isDraining = true;
    if (this.isIdle) this.#linger();
  }

  close(error: SkeinError): void {
    if (this.#state === 'closed') return;
    this.stream.reset(error);
    this.#lose(error);
  }

  #receive(chunk: Bytes): void {
    switch (this.#state) {
      case 'open':
        this.#held.push(chunk);
        this.#pump();
        break;
      case 'raw':
        this.#receiveRaw(chunk);
        break;
      case 'tunnel':
        this.#tunnel?.onData(chunk);
        break;
      default:
        this.stream.consumed(chunk.length);
    }
  }

  /** Reads on as far as the order of answers allows: the next request waits until the answer before it is whole. */
  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    while (this.#state === 'open') {
      if (this.#answer?.isFinished === true && !this.#advance(this.#answer)) break;
      // A client that asks on without reading would fill the memory with answers.
      if (this.#answer === undefined && this.#isClogged) break;
      if (this.#parser.state === 'done' || this.#begun >= MAX_IN_A_TURN) break;
      const chunk = this.#held.shift();
      if (chunk === undefined) break;
      this.#read(chunk);
    }
    this.#pumping = false;
    if (this.#peerEnded && this.#state === 'open' && this.#held.length === 0) this.#onHalfClosed();
    this.#setDeadline();
  }

  readonly #goOn = (): void => {
    this.#begun = 0;
    this.#pump();
  };

  #read(chunk: Bytes): void {
    this.#withheld = 0;
    let used = chunk.length;
    let failure: SkeinError | undefined;
    try {
      used = this.#parser.push(chunk);
    } catch (error) {
      failure = toSkeinError(error);
    }
    if (used < chunk.length) {
      if (this.#state === 'open') this.#held.unshift(chunk.subarray(used));
      else used = chunk.length;
    }
    // Framing, and body bytes that found room, are used up; the rest comes back when the handler drains.
    this.stream.consumed(used - this.#withheld);
    if (failure !== undefined) this.#refuse(failure);
  }

  /** Goes on behind a finished answer; false when the connection ends with it. */
  #advance(answer: H1Answer): boolean {
    if (!answer.requestComplete || !this.writer.keepAlive || this.isDraining) {
      this.#linger();
      return false;
    }
    this.#answer = undefined;
    this.#parser.next();
    return true;
  }

  #begin(head: RequestHead, complete: boolean): void {
    // Whatever is awaited next starts anew, also when the answer comes before this chunk is read.
    this.#awaited = 'nothing';
    if (head.method === 'CONNECT') {
      this.#connect(head);
      return;
    }
    if (++this.#begun === MAX_IN_A_TURN) this.#options.clock.endOfTick(this.#goOn);
    const answer = new H1Answer(this, head, complete, this.#parser);
    this.#answer = answer;
    try {
      answer.start(this.#handler.request(head, complete && head.upgrade === undefined, answer));
    } catch (error) {
      answer.fail(toSkeinError(error));
    }
  }

  #connect(head: RequestHead): void {
    const { onConnect, clock } = this.#options;
    if (onConnect === undefined) {
      const message = 'Cannot CONNECT: this listener carries HTTP requests only';
      this.#refuse(new SkeinError('SKEIN_BAD_REQUEST', message, { status: 405 }), head);
      return;
    }
    onConnect({
      head,
      accept: () => {
        const tunnel = new H1Tunnel(this.stream, this.#held, this.#peerEnded, clock, () => this.#close());
        if (this.#state !== 'open' || this.#parser.state !== 'done') return tunnel;
        this.#state = 'tunnel';
        this.#tunnel = tunnel;
        this.#deadline.stop();
        const context = { method: 'CONNECT', minorVersion: 1, keepAlive: true };
        this.writer.response({ status: 200, fields: NO_FIELDS, upgrade: undefined }, false, context);
        return tunnel;
      },
      refuse: (error) => {
        if (this.#state === 'open' && this.#parser.state === 'done') this.#refuse(error, head);
      },
    });
  }

  /** Answers what cannot be served, and closes: nothing that follows can be trusted to be a request. */
  #refuse(error: SkeinError, request: RequestHead = UNREADABLE): void {
    if (this.#answer !== undefined) {
      this.#answer.fail(error);
      return;
    }
    const { head, body } = makeReply(error, request);
    this.writer.response(head, false, { method: 'GET', minorVersion: 1, keepAlive: false });
    this.writer.data(body);
    this.writer.end();
    this.#linger();
  }

  #endOfStream(): void {
    this.#peerEnded = true;
    switch (this.#state) {
      case 'open':
        this.#pump();
        break;
      case 'raw':
        this.#endRaw();
        break;
      case 'tunnel':
        this.#tunnel?.onEnd();
        break;
      case 'lingering':
        this.#close();
        break;
      case 'closed':
        break;
    }
  }

  /** The client sends nothing more; it may still wait for its answer. */
  #onHalfClosed(): void {
    const answer = this.#answer;
    if (answer === undefined) {
      if (this.#parser.state !== 'done') this.#linger();
    } else if (!answer.requestComplete) {
      this.close(new SkeinError('SKEIN_CANCELLED', 'Cannot read request: connection was closed within it'));
    }
  }

  #drained(): void {
    this.#isClogged = false;
    if (this.#tunnel !== undefined) {
      this.#tunnel.onDrain();
      return;
    }
    this.#answer?.release();
    this.#pump();
  }

  #lose(error: SkeinError): void {
    const answer = this.#answer;
    const tunnel = this.#tunnel;
    this.#close();
    tunnel?.onReset(error);
    answer?.cancel(error);
  }

  onFinished(answer: H1Answer): void {
    if (this.#state !== 'raw') {
      this.#pump();
      return;
    }
    this.stream.end();
    if (answer.requestComplete) this.#close();
  }

  onBroken(error: SkeinError): void {
    this.stream.reset(error);
    this.#close();
  }

  onCredit(): void {
    this.#setDeadline();
  }

  onRaw(): void {
    this.#state = 'raw';
    this.#deadline.stop();
    for (const chunk of this.#held.splice(0)) this.#receiveRaw(chunk);
    if (this.#peerEnded) this.#endRaw();
  }

  #receiveRaw(chunk: Bytes): void {
    const owed = this.#answer?.receive(chunk) ?? 0;
    if (owed === 0) this.stream.consumed(chunk.length);
  }

  #endRaw(): void {
    const answer = this.#answer;
    if (answer === undefined || answer.requestComplete) return;
    answer.receiveEnd(NO_FIELDS);
    if (answer.isFinished) this.#close();
  }

  #linger(): void {
    this.#state = 'lingering';
    this.#parser.stop();
    for (const chunk of this.#held.splice(0)) this.stream.consumed(chunk.length);
    this.stream.end();
    if (this.#peerEnded) this.#close();
    else this.#deadline.set(LINGER_MS);
  }

  #close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#parser.stop();
    this.#deadline.stop();
    this.#held.length = 0;
    this.#options.onClose?.();
  }

  #setDeadline(): void {
    if (this.#state !== 'open' || this.#pumping) return;
    const awaited = this.#chooseAwaited();
    const isSame = awaited === this.#awaited;
    if (!isSame && awaited === 'answer') this.#progress = this.#answer?.progress ?? 0;
    this.#awaited = awaited;
    if (awaited === 'nothing') this.#deadline.clear();
    // A head must be whole in time; a body only has to go on.
    else if (!isSame || awaited === 'body') this.#deadline.set(this.#timeoutMs(awaited));
  }

  #chooseAwaited(): Awaited {
    const answer = this.#answer;
    if (answer === undefined && this.#isClogged) return 'reading';
    if (answer !== undefined) {
      if (answer.isStalled) return 'reading';
      if (this.#peerEnded) return 'answer';
      return answer.awaitsBody ? 'body' : 'nothing';
    }
    if (this.#parser.state === 'done') return 'nothing';
    return this.#parser.isIdle ? 'request' : 'head';
  }

  #timeoutMs(awaited: Exclude<Awaited, 'nothing'>): number {
    const {
      idleTimeoutMs = 60_000,
      headerTimeoutMs = 10_000,
      bodyTimeoutMs = 30_000,
      stallTimeoutMs = 300_000,
    } = this.#options;
    return {
      request: idleTimeoutMs,
      head: headerTimeoutMs,
      body: bodyTimeoutMs,
      reading: stallTimeoutMs,
      answer: HALF_CLOSED_MS,
    }[awaited];
  }

  #expire(): void {
    if (this.#state === 'lingering') {
      this.close(new SkeinError('SKEIN_CANCELLED', 'Cannot close connection in peace: client goes on sending'));
    } else if (this.#awaited === 'request') {
      this.#linger();
    } else if (this.#awaited === 'answer') {
      this.#expectAnswer();
    } else if (this.#awaited === 'reading') {
      this.close(new SkeinError('SKEIN_DEADLINE', 'Cannot write answer: client does not read it'));
    } else {
      this.#refuse(
        new SkeinError('SKEIN_DEADLINE', `Cannot read request: ${this.#awaited} took too long`, { status: 408 }),
      );
    }
  }

  /** The client has ended its direction: only an answer that goes on keeps the connection. */
  #expectAnswer(): void {
    const progress = this.#answer?.progress ?? 0;
    if (progress === this.#progress) {
      this.close(new SkeinError('SKEIN_CANCELLED', 'Cannot answer: client has gone'));
      return;
    }
    this.#progress = progress;
    this.#deadline.set(HALF_CLOSED_MS);
  }
}
