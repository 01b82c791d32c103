/** One request on its way to a local service and the answer on its way back: what only the mesh may say is taken out of both. */

import type { Bytes } from '../core/bytes.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';
import { NO_DEADLINE, readDeadline, toDeadlineField } from '../http/deadline.ts';
import { removeFields, stripUntrusted } from '../http/fields.ts';
import type { HttpHandler, ReplySink, RequestBody } from '../http/handler.ts';
import { type Fields, getField, NO_FIELDS, type RequestHead, type ResponseHead } from '../http/head.ts';
import { NO_BODY } from '../http/refusal.ts';
import { encodeCloseFrame, WebSocketFrames } from '../http/websocket-frames.ts';
import type { Destination } from '../router/destination.ts';

/** A request of another member is over. */
export interface InboundFact {
  readonly head: RequestHead;
  readonly caller: SpiffeId;
  /** `name.namespace` */
  readonly service: string;
  /** 0 when there was no answer. */
  readonly status: number;
  readonly error: SkeinError | undefined;
  /** `x-skein-reason` of an answer made here, or of `error`; empty for the application's own answer. */
  readonly reason: string;
  /** The rule that decided. */
  readonly rule: string;
  readonly durationMs: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
}

export interface InboundExchangeOptions {
  readonly head: RequestHead;
  readonly caller: SpiffeId;
  readonly destination: Destination;
  readonly clock: Clock;
  readonly reply: ReplySink;
  /** Fields that trailers of the request may not fill, beside those that nobody may. */
  readonly isTaken?: ((name: string) => boolean) | undefined;
}

/** Close code of a WebSocket that policies do not allow any more: 403, in the range that is free for it (RFC 6455 §7.4.2). */
const WEBSOCKET_DENIED = 4403;
/** A client that is well answers a close frame at once. */
const GOODBYE_MS = 1_000;

export class InboundExchange implements RequestBody, ReplySink {
  /** As the application sees it: nothing in it claims an identity but ours. */
  readonly head: RequestHead;
  rule = '';
  /** The answer is whole, or has failed. */
  onFinish: (fact: InboundFact) => void = () => undefined;
  /** Nothing passes any more in either direction: a request may go on behind its answer, and so may half of an upgraded connection. */
  onOver: () => void = () => undefined;
  readonly #options: InboundExchangeOptions;
  readonly #startedMs: number;
  /** The end of the time that the caller gives it. */
  #deadline: Timer | undefined;
  #body: RequestBody = NO_BODY;
  /** `answered`: the answer is whole, and the request, or the other half of an upgraded connection, is not. */
  #state: 'open' | 'answered' | 'over' = 'open';
  #sentAll = false;
  #status = 0;
  #reason = '';
  /** Of what the application says, where it speaks WebSocket. */
  #frames: WebSocketFrames | undefined;
  #requestBytes = 0;
  #responseBytes = 0;

  constructor(options: InboundExchangeOptions) {
    const { head, caller, clock } = options;
    this.#options = options;
    this.#startedMs = clock.monotonicMs();
    const fields = [...stripUntrusted(head.fields), 'x-skein-client-id', caller.uri];
    const leftMs = readDeadline(head.fields, clock.epochMs());
    if (leftMs !== undefined && leftMs !== NO_DEADLINE) {
      fields.push(...toDeadlineField(leftMs, clock.epochMs()));
      this.#deadline = clock.setTimer(leftMs, () => this.#expire());
    }
    this.head = { ...head, fields };
  }

  start(handler: HttpHandler, complete: boolean): RequestBody {
    this.#sentAll = complete;
    this.#body = handler.request(this.head, complete, this);
    return this;
  }

  /** Ends both directions: who asked and who answers are told. */
  cancel(error: SkeinError): void {
    if (this.#state === 'over') return;
    const isAnswered = this.#state === 'answered';
    this.#body.abort(error);
    if (!isAnswered) this.#finish(error);
    this.#close();
    if (!isAnswered && error.code === 'SKEIN_DENIED' && this.#frames?.isBetween === true) this.#sayGoodbye(error);
    else this.#options.reply.onAbort(error);
  }

  /** A WebSocket learns why, and has a moment to answer; nothing that it still says is passed on. */
  #sayGoodbye(error: SkeinError): void {
    const { reply, clock } = this.#options;
    reply.onData(encodeCloseFrame(WEBSOCKET_DENIED, 'No policy allows it any more'));
    reply.onEnd(NO_FIELDS);
    clock.setTimer(GOODBYE_MS, () => reply.onAbort(error));
  }

  /** Nobody waits for the answer any more: what still works on it shall stop, also where nothing can be heard of the caller. */
  #expire(): void {
    this.cancel(new SkeinError('SKEIN_DEADLINE', 'Cannot go on: the time that its caller gave it is over'));
  }

  write(chunk: Bytes): boolean {
    if (this.#state === 'over') return true;
    this.#requestBytes += chunk.length;
    return this.#body.write(chunk);
  }

  end(trailers: Fields): void {
    if (this.#state === 'over' || this.#sentAll) return;
    this.#sentAll = true;
    if (this.#state === 'answered') this.#close();
    const own = stripUntrusted(trailers);
    const { isTaken } = this.#options;
    this.#body.end(isTaken === undefined ? own : removeFields(own, isTaken));
  }

  abort(error: SkeinError): void {
    if (this.#state === 'over') return;
    if (this.#state === 'open') this.#finish(error);
    this.#close();
    this.#body.abort(error);
  }

  consumed(bytes: number): void {
    this.#body.consumed(bytes);
  }

  onInformational(head: ResponseHead): void {
    if (this.#state === 'open') this.#options.reply.onInformational(strip(head));
  }

  onHead(head: ResponseHead, complete: boolean): void {
    if (this.#state !== 'open') return;
    this.#status = head.status;
    // What follows is a conversation, and no answer that could be late.
    if (head.status === 101) this.#deadline?.cancel();
    if (head.status === 101 && head.upgrade?.toLowerCase() === 'websocket') this.#frames = new WebSocketFrames();
    if (this.isMeshReply) this.#reason = getField(head.fields, 'x-skein-reason') ?? '';
    if (complete) this.#finishAnswer();
    // What the mesh itself answers here, a denial, keeps its reason.
    this.#options.reply.onHead(this.isMeshReply ? head : strip(head), complete);
  }

  /** The answer is the mesh's own. */
  isMeshReply = false;

  onData(chunk: Bytes): void {
    if (this.#state !== 'open') return;
    this.#responseBytes += chunk.length;
    this.#frames?.push(chunk);
    this.#options.reply.onData(chunk);
  }

  onEnd(trailers: Fields): void {
    if (this.#state !== 'open') return;
    this.#finishAnswer();
    this.#options.reply.onEnd(stripUntrusted(trailers));
  }

  onAbort(error: SkeinError): void {
    if (this.#state === 'over') return;
    if (this.#state === 'open') this.#finish(error);
    this.#close();
    this.#options.reply.onAbort(error);
  }

  onDrain(): void {
    if (this.#state !== 'over') this.#options.reply.onDrain();
  }

  #finishAnswer(): void {
    this.#finish(undefined);
    if (this.#sentAll) this.#close();
    else this.#state = 'answered';
  }

  #close(): void {
    this.#state = 'over';
    this.onOver();
  }

  #finish(error: SkeinError | undefined): void {
    this.#deadline?.cancel();
    const { head, caller, destination, clock } = this.#options;
    this.onFinish({
      head,
      caller,
      service: destination.service,
      status: this.#status,
      error,
      reason: error?.reason ?? this.#reason,
      rule: this.rule,
      durationMs: clock.monotonicMs() - this.#startedMs,
      requestBytes: this.#requestBytes,
      responseBytes: this.#responseBytes,
    });
  }
}

function strip(head: ResponseHead): ResponseHead {
  const fields = stripUntrusted(head.fields);
  return fields === head.fields ? head : { ...head, fields };
}
