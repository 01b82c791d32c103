/**
 * Channel: calls with answers, and pushes, over one byte stream. One end is the hub, which answers calls and pushes; the
 * other is the sidecar. Whatever does not match its schema closes the channel with SKEIN_PROTOCOL.
 */

import * as v from 'valibot';
import type { ByteStream, HeadedStream } from '../core/byte-stream.ts';
import type { Bytes } from '../core/bytes.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { isErrorCode, SkeinError, toSkeinError } from '../core/errors.ts';
import type { TokenBucket } from '../core/token-bucket.ts';
import { decodeMessage, encodeMessage } from './codec.ts';
import { frameMessage, MessageReader } from './framing.ts';
import { CALL_TIMEOUT_MS, MAX_MESSAGES_IN_A_TURN, MAX_PENDING_CALLS, MAX_QUEUED_BYTES } from './limits.ts';
import {
  CALLS,
  type CallAnswer,
  type CallName,
  type CallRequest,
  ENVELOPE,
  envelope,
  PUSHES,
  type Push,
  type PushName,
} from './messages.ts';

/** Who answers calls: the hub. A thrown `SkeinError` travels as code, message and details; anything else as SKEIN_INTERNAL. */
export type CallHandlers = {
  readonly [N in CallName]?: (request: CallRequest<N>) => CallAnswer<N> | Promise<CallAnswer<N>>;
};

/** Who is told of pushes: the sidecar. Called in order, and never while another is being handled. */
export type PushHandlers = { readonly [N in PushName]?: (push: Push<N>) => void };

export interface ChannelOptions {
  readonly clock: Clock;
  readonly calls?: CallHandlers;
  readonly pushes?: PushHandlers;
  /** Called once. SKEIN_HUB_UNREACHABLE without a fault of either end; a channel is never half open. */
  readonly onClose: (error: SkeinError) => void;
  /** The stream takes pushes again. */
  readonly onWritable?: () => void;
  /** How many messages are read; above it the peer gets its credit back later, and so sends later. */
  readonly rate?: { readonly tokens: TokenBucket; readonly onBrake: () => void };
}

export interface CallOptions {
  /** @default 10_000 */
  readonly timeoutMs?: number;
}

interface Pending {
  readonly name: CallName;
  /** As it was sent. */
  readonly message: Bytes;
  readonly timer: Timer;
  readonly resolve: (answer: never) => void;
  readonly reject: (error: SkeinError) => void;
}

export class Channel {
  /** undefined while it is being moved. */
  #stream: ByteStream | HeadedStream | undefined;
  readonly #options: ChannelOptions;
  #reader = new MessageReader();
  /** Has come and waits for its turn, in order; bounded by the window of the stream. */
  #unread: Bytes[] = [];
  /** The stream has ended behind what waits. */
  #ended = false;
  /** Messages read since others had a turn. */
  #readInTurn = 0;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #answering = 0;
  /** Bytes written since the stream said stop; 0 while it takes more. */
  #queuedBytes = 0;
  /** Read, and not given back before the timer. */
  #heldBytes = 0;
  #brake: Timer | undefined;
  #closedBy: SkeinError | undefined;

  constructor(stream: ByteStream | HeadedStream, options: ChannelOptions) {
    this.#options = options;
    this.#listen(stream);
  }

  get isClosed(): boolean {
    return this.#closedBy !== undefined;
  }

  /** False while the peer does not keep up: pushes that can wait should wait for `onWritable`. */
  get isWritable(): boolean {
    return this.#queuedBytes === 0 && this.#closedBy === undefined;
  }

  /**
   * Calls the hub.
   * @throws SkeinError what the hub answered; SKEIN_LIMIT, SKEIN_DEADLINE; SKEIN_PROTOCOL, or what closed the channel
   */
  call<N extends CallName>(name: N, request: CallRequest<N>, options: CallOptions = {}): Promise<CallAnswer<N>> {
    return new Promise<CallAnswer<N>>((resolve, reject) => {
      if (this.#closedBy !== undefined) throw this.#closedBy;
      if (this.#pending.size >= MAX_PENDING_CALLS) {
        throw new SkeinError('SKEIN_LIMIT', `Cannot call "${name}": ${MAX_PENDING_CALLS} calls are waiting`);
      }
      const id = this.#nextId++;
      const message = encodeMessage([ENVELOPE.call, id, name, request]);
      const timer = this.#options.clock.setTimer(options.timeoutMs ?? CALL_TIMEOUT_MS, () => {
        this.#pending.delete(id);
        reject(new SkeinError('SKEIN_DEADLINE', `Cannot finish call "${name}": no answer in time`));
      });
      this.#pending.set(id, { name, message, timer, resolve, reject });
      this.#write(message);
    });
  }

  /** Tells the sidecar. Ignored once closed. @throws SkeinError SKEIN_LIMIT when the message is too long */
  push<N extends PushName>(name: N, push: Push<N>): void {
    if (this.#closedBy === undefined) this.#write(encodeMessage([ENVELOPE.push, name, push]));
  }

  /**
   * The other end has forgotten this stream, and all that it had not answered: nothing that comes of the stream counts, and
   * calls wait for `resume`.
   */
  suspend(): void {
    this.#stream = undefined;
    this.#reader = new MessageReader();
    this.#unread = [];
    this.#ended = false;
    this.#queuedBytes = 0;
    this.#heldBytes = 0;
    this.#brake?.cancel();
    this.#brake = undefined;
  }

  /** Goes on over another stream: calls that wait for an answer are made anew. */
  resume(stream: ByteStream | HeadedStream): void {
    if (this.#closedBy !== undefined) return stream.reset(this.#closedBy);
    this.#listen(stream);
    for (const { message } of this.#pending.values()) this.#write(message);
  }

  /** Ends both directions; calls that wait fail with `error`. */
  close(error: SkeinError): void {
    if (this.#closedBy !== undefined) return;
    this.#stream?.reset(error);
    this.#finish(error);
  }

  /** One that was suspended may still tell of its end. */
  #listen(stream: ByteStream | HeadedStream): void {
    this.#stream = stream;
    const isCurrent = (): boolean => this.#stream === stream;
    stream.attach({
      onData: (chunk) => (isCurrent() ? this.onData(chunk) : undefined),
      onHead: () => (isCurrent() ? this.onHead() : undefined),
      onEnd: () => (isCurrent() ? this.onEnd() : undefined),
      onDrain: () => (isCurrent() ? this.onDrain() : undefined),
      onReset: (error) => (isCurrent() ? this.onReset(error) : undefined),
    });
  }

  // What the stream tells.

  onData(chunk: Bytes): void {
    if (this.#closedBy !== undefined) return;
    this.#unread.push(chunk);
    if (this.#unread.length === 1) this.#read();
  }

  /** Reads what has come, as far as this turn allows. */
  #read(): void {
    while (this.#unread.length > 0 && this.#readInTurn < MAX_MESSAGES_IN_A_TURN) {
      const unread = this.#unread;
      const chunk = unread[0] as Bytes;
      const before = this.#readInTurn;
      let usedBytes: number;
      try {
        usedBytes = this.#reader.push(chunk, (message) => {
          if (++this.#readInTurn === 1) this.#options.clock.endOfTick(this.#onTurn);
          this.#onMessage(decodeMessage(message));
          // A message may have closed or suspended this channel.
          return this.#unread === unread && this.#readInTurn < MAX_MESSAGES_IN_A_TURN;
        });
      } catch (thrown) {
        this.close(toSkeinError(thrown));
        return;
      }
      if (this.#unread !== unread) return;
      if (usedBytes === chunk.length) unread.shift();
      else unread[0] = chunk.subarray(usedBytes);
      this.#giveBack(usedBytes, this.#readInTurn - before);
    }
    if (this.#ended && this.#unread.length === 0) this.#onAllRead();
  }

  readonly #onTurn = (): void => {
    this.#readInTurn = 0;
    if (this.#closedBy === undefined) this.#read();
  };

  /** Credit that is not given back yet stays in the window of the stream, which bounds what comes meanwhile. */
  #giveBack(bytes: number, messages: number): void {
    const { clock, rate } = this.#options;
    const waitMs = rate?.tokens.spend(clock.monotonicMs(), messages) ?? 0;
    if (waitMs === 0 && this.#brake === undefined) {
      this.#stream?.consumed(bytes);
      return;
    }
    this.#heldBytes += bytes;
    if (this.#brake !== undefined) return;
    rate?.onBrake();
    this.#brake = clock.setTimer(waitMs, () => {
      this.#brake = undefined;
      const held = this.#heldBytes;
      this.#heldBytes = 0;
      if (this.#closedBy === undefined) this.#stream?.consumed(held);
    });
  }

  onHead(): void {
    this.close(new SkeinError('SKEIN_PROTOCOL', 'Cannot read control stream: it carries no heads'));
  }

  onEnd(): void {
    this.#ended = true;
    if (this.#unread.length === 0) this.#onAllRead();
  }

  #onAllRead(): void {
    const error = this.#reader.isInside
      ? new SkeinError('SKEIN_PROTOCOL', 'Cannot read control message: the stream ended inside it')
      : new SkeinError('SKEIN_HUB_UNREACHABLE', 'Cannot use control channel: the other end has closed it');
    this.close(error);
  }

  onDrain(): void {
    this.#queuedBytes = 0;
    this.#options.onWritable?.();
  }

  onReset(error: SkeinError): void {
    this.#finish(error);
  }

  #onMessage(value: unknown): void {
    const message = check(envelope, value, 'message');
    switch (message[0]) {
      case ENVELOPE.call:
        this.#onCall(message[1], message[2], message[3]);
        break;
      case ENVELOPE.answer:
        this.#onAnswer(message[1], message[2]);
        break;
      case ENVELOPE.failure:
        this.#onFailure(message[1], message[2], message[3], message[4]);
        break;
      case ENVELOPE.push:
        this.#onPush(message[1], message[2]);
    }
  }

  #onCall(id: number, name: string, body: unknown): void {
    if (this.#options.calls === undefined)
      throw new SkeinError('SKEIN_PROTOCOL', 'Cannot take call: this end is no hub');
    if (!isCallName(name)) {
      this.#fail(id, new SkeinError('SKEIN_PROTOCOL', `Cannot take call: "${name}" is unknown`));
    } else if (this.#answering >= MAX_PENDING_CALLS) {
      this.#fail(
        id,
        new SkeinError('SKEIN_LIMIT', `Cannot take call "${name}": ${MAX_PENDING_CALLS} are being answered`),
      );
    } else {
      this.#answer(id, name, check(CALLS[name].request, body, `call "${name}"`));
    }
  }

  #answer<N extends CallName>(id: number, name: N, request: CallRequest<N>): void {
    const handler = this.#options.calls?.[name] as ((request: CallRequest<N>) => unknown) | undefined;
    if (handler === undefined) {
      this.#fail(id, new SkeinError('SKEIN_PROTOCOL', `Cannot take call: "${name}" is not answered here`));
      return;
    }
    this.#answering++;
    const settle = (message: () => Bytes): void => {
      this.#answering--;
      if (this.#closedBy !== undefined) return;
      try {
        this.#write(message());
      } catch (thrown) {
        this.#fail(id, toSkeinError(thrown));
      }
    };
    // A handler that answers at once is answered at once: its pushes and its answer leave in the order they were made.
    let answer: unknown;
    try {
      answer = handler(request);
    } catch (thrown) {
      settle(() => encodeFailure(id, toSkeinError(thrown)));
      return;
    }
    if (answer instanceof Promise) {
      answer.then(
        (value) => settle(() => encodeMessage([ENVELOPE.answer, id, value])),
        (thrown) => settle(() => encodeFailure(id, toSkeinError(thrown))),
      );
    } else {
      settle(() => encodeMessage([ENVELOPE.answer, id, answer]));
    }
  }

  #onAnswer(id: number, body: unknown): void {
    const pending = this.#take(id);
    if (pending === undefined) return;
    try {
      pending.resolve(check(CALLS[pending.name].answer, body, `answer to "${pending.name}"`) as never);
    } catch (thrown) {
      const error = toSkeinError(thrown);
      pending.reject(error);
      throw error;
    }
  }

  #onFailure(id: number, code: string, message: string, details: Readonly<Record<string, unknown>>): void {
    const known = isErrorCode(code);
    this.#take(id)?.reject(
      new SkeinError(known ? code : 'SKEIN_INTERNAL', message, { details: known ? details : { ...details, code } }),
    );
  }

  /** The call of an answer, or undefined when it has timed out meanwhile. */
  #take(id: number): Pending | undefined {
    if (id >= this.#nextId) throw new SkeinError('SKEIN_PROTOCOL', 'Cannot take answer: there was no such call');
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.timer.cancel();
    return pending;
  }

  #onPush(name: string, body: unknown): void {
    const handlers = this.#options.pushes;
    if (handlers === undefined) throw new SkeinError('SKEIN_PROTOCOL', 'Cannot take push: this end is the hub');
    // A push that this version does not know is news it can do without.
    if (!isPushName(name)) return;
    const handler = handlers[name] as ((push: unknown) => void) | undefined;
    handler?.(check(PUSHES[name] as v.GenericSchema, body, `push "${name}"`));
  }

  #fail(id: number, error: SkeinError): void {
    this.#write(encodeFailure(id, error));
  }

  #write(message: Bytes): void {
    if (this.#stream === undefined || this.#stream.write(frameMessage(message))) return;
    this.#queuedBytes += message.length;
    if (this.#queuedBytes > MAX_QUEUED_BYTES) {
      this.close(new SkeinError('SKEIN_LIMIT', 'Cannot use control channel: the other end does not read'));
    }
  }

  #finish(error: SkeinError): void {
    if (this.#closedBy !== undefined) return;
    this.#closedBy = error;
    this.#unread = [];
    this.#brake?.cancel();
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    for (const pending of waiting) {
      pending.timer.cancel();
      pending.reject(error);
    }
    this.#options.onClose(error);
  }
}

function isCallName(name: string): name is CallName {
  return Object.hasOwn(CALLS, name);
}

function isPushName(name: string): name is PushName {
  return Object.hasOwn(PUSHES, name);
}

function encodeFailure(id: number, error: SkeinError): Bytes {
  const { code, details } = error;
  try {
    return encodeMessage([ENVELOPE.failure, id, code, error.message.slice(0, 2048), details]);
  } catch {
    // Details beyond the limit, or that cannot be packed: the code and the words still go.
    return encodeMessage([ENVELOPE.failure, id, code, error.message.slice(0, 2048), {}]);
  }
}

function check<S extends v.GenericSchema>(schema: S, value: unknown, what: string): v.InferOutput<S> {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const issue = result.issues[0];
  const path = issue.path?.map((item) => String(item.key)).join('.') ?? '';
  throw new SkeinError('SKEIN_PROTOCOL', `Cannot read ${what}: it does not match its schema`, {
    details: { path, rule: issue.type },
  });
}
