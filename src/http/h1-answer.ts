/** One request on a server connection: writes its answer, and keeps the credit of both directions. */

import type { ByteStream } from '../core/byte-stream.ts';
import type { Bytes } from '../core/bytes.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { H1Writer } from './h1-writer.ts';
import type { ReplySink, RequestBody } from './handler.ts';
import { type Fields, NO_FIELDS, type RequestHead, type ResponseHead } from './head.ts';
import { NO_BODY } from './refusal.ts';
import { makeReply } from './reply.ts';

/** What an answer tells its connection. */
export interface AnswerOwner {
  readonly stream: ByteStream;
  readonly writer: H1Writer;
  readonly isDraining: boolean;
  /** The answer is written whole. */
  onFinished(answer: H1Answer): void;
  /** The answer was a 101: what follows is raw in both directions. */
  onRaw(answer: H1Answer): void;
  /** The answer cannot be completed, and must not look complete. */
  onBroken(error: SkeinError): void;
  /** Credit was returned, or taken, so that deadlines change. */
  onCredit(): void;
}

export interface H1RequestFacts {
  readonly minorVersion: number;
  readonly keepAlive: boolean;
  readonly expectsContinue: boolean;
}

export class H1Answer implements ReplySink {
  readonly request: RequestHead;
  /** The request's body has arrived whole. */
  requestComplete: boolean;
  /** Grows with everything that is answered. */
  progress = 0;
  readonly #owner: AnswerOwner;
  readonly #facts: H1RequestFacts;
  #body: RequestBody = NO_BODY;
  #state: 'head' | 'body' | 'raw' | 'over' = 'head';
  #mayContinue: boolean;
  /** Bytes of the request the handler has no room for yet. */
  #owedIn = 0;
  /** Bytes of the answer the connection has no room for yet. */
  #owedOut = 0;

  constructor(owner: AnswerOwner, request: RequestHead, complete: boolean, facts: H1RequestFacts) {
    this.#owner = owner;
    this.request = request;
    this.requestComplete = complete;
    this.#facts = facts;
    this.#mayContinue = !facts.expectsContinue;
  }

  get isFinished(): boolean {
    return this.#state === 'over';
  }

  /** The client is being waited for: the body is not whole and nothing holds it back. */
  get awaitsBody(): boolean {
    return !this.requestComplete && this.#owedIn === 0 && this.#mayContinue;
  }

  get isStalled(): boolean {
    return this.#owedOut > 0;
  }

  start(body: RequestBody): void {
    this.#body = body;
  }

  /** Part of the request's body, or raw bytes; returns how many of them are owed to the stream until there is room. */
  receive(chunk: Bytes): number {
    const length = chunk.length;
    this.#mayContinue = true;
    if (this.#body.write(chunk) && this.#owedIn === 0) return 0;
    this.#owedIn += length;
    return length;
  }

  /** The request's direction has ended well. */
  receiveEnd(trailers: Fields): void {
    this.requestComplete = true;
    this.#body.end(trailers);
    // Nobody tells of room any more behind the end, and the next request wants its credit.
    this.onDrain();
  }

  /** The connection has room again. */
  release(): void {
    this.#settle();
    this.#owner.onCredit();
  }

  #settle(): void {
    const owed = this.#owedOut;
    this.#owedOut = 0;
    if (owed > 0) this.#body.consumed(owed);
  }

  /** The client is gone, or will not be listened to any more. */
  cancel(error: SkeinError): void {
    if (this.#state === 'over' && this.requestComplete) return;
    this.#state = 'over';
    this.#body.abort(error);
  }

  onInformational(head: ResponseHead): void {
    if (this.#state !== 'head' || this.#facts.minorVersion === 0 || head.status === 101) return;
    if (head.status === 100) {
      if (this.#mayContinue) return;
      this.#mayContinue = true;
    }
    if (this.#write(() => this.#owner.writer.response(head, true, this.#context(true)))) this.#owner.onCredit();
  }

  onHead(head: ResponseHead, complete: boolean): void {
    if (this.#state !== 'head') return;
    if (head.status === 101) {
      this.#switch(head);
      return;
    }
    // Without its 100 the client may send the body or not; and nobody reads what an early complete answer leaves behind.
    const keepAlive = this.#mayContinue && (this.requestComplete || !complete);
    if (!this.#write(() => this.#owner.writer.response(head, complete, this.#context(keepAlive)))) return;
    this.#state = 'body';
    this.progress++;
    if (this.request.upgrade !== undefined) this.#body.end(NO_FIELDS);
    if (complete) this.#finish();
  }

  #switch(head: ResponseHead): void {
    if (this.request.upgrade === undefined || head.upgrade === undefined) {
      this.#fail(new SkeinError('SKEIN_APP_PROTOCOL', 'Cannot switch protocols: nobody asked for it'));
      return;
    }
    if (!this.#write(() => this.#owner.writer.response(head, false, this.#context(true)))) return;
    this.#state = 'raw';
    this.requestComplete = false;
    this.#owner.onRaw(this);
  }

  onData(chunk: Bytes): void {
    const length = chunk.length;
    if (this.#state !== 'body' && this.#state !== 'raw') return;
    this.progress++;
    let hasRoom: boolean;
    try {
      hasRoom = this.#owner.writer.data(chunk);
    } catch (thrown) {
      this.#failWriting(thrown);
      return;
    }
    if (hasRoom && this.#owedOut === 0) {
      this.#body.consumed(length);
    } else {
      this.#owedOut += length;
      this.#owner.onCredit();
    }
  }

  onEnd(trailers: Fields): void {
    if (this.#state === 'raw') {
      this.#state = 'over';
      this.#settle();
      this.#owner.onFinished(this);
    } else if (this.#state === 'body' && this.#write(() => this.#owner.writer.end(trailers))) {
      this.#finish();
    }
  }

  onAbort(error: SkeinError): void {
    if (this.#state === 'over') return;
    this.#body = NO_BODY;
    this.#fail(error);
  }

  onDrain(): void {
    const owed = this.#owedIn;
    this.#owedIn = 0;
    if (owed > 0) this.#owner.stream.consumed(owed);
    this.#owner.onCredit();
  }

  /** Answers with the error while there is still room for an answer, else breaks the connection. */
  fail(error: SkeinError): void {
    this.#body.abort(error);
    this.#body = NO_BODY;
    const { code, message, status, details } = error;
    // Its head has been passed on.
    this.#fail(new SkeinError(code, message, { status, details, cause: error, notProcessed: false }));
  }

  #fail(error: SkeinError): void {
    if (this.#state !== 'head') {
      this.#state = 'over';
      this.#owner.onBroken(error);
      return;
    }
    this.#state = 'over';
    const { head, body } = makeReply(error, this.request);
    const { writer } = this.#owner;
    writer.response(head, body.length === 0, this.#context(this.requestComplete && this.#mayContinue));
    if (body.length > 0) {
      writer.data(body);
      writer.end();
    }
    this.#owner.onFinished(this);
  }

  #finish(): void {
    this.#state = 'over';
    // The handler's connection must not wait for this client once its answer is read.
    this.#settle();
    if (!this.requestComplete) {
      this.#body.abort(new SkeinError('SKEIN_CANCELLED', 'Cannot go on with upload: answer is complete'));
    }
    this.#owner.onFinished(this);
  }

  #context(keepAlive: boolean): { method: string; minorVersion: number; keepAlive: boolean } {
    const { minorVersion } = this.#facts;
    return {
      method: this.request.method,
      minorVersion,
      keepAlive: keepAlive && this.#facts.keepAlive && !this.#owner.isDraining,
    };
  }

  /** A head or body that cannot be written is the application's failure, and nothing of it has gone out. */
  #write(write: () => void): boolean {
    try {
      write();
      return true;
    } catch (thrown) {
      this.#failWriting(thrown);
      return false;
    }
  }

  #failWriting(thrown: unknown): void {
    this.fail(new SkeinError('SKEIN_APP_PROTOCOL', toSkeinError(thrown).message, { cause: thrown }));
  }
}
