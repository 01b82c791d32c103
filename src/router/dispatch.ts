/** Dispatch: a request of this member, from its destination to its answer — backend → endpoint → attempt → retry or answer. */

import type { Bytes } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import { Emitter } from '../core/emitter.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Random } from '../core/random.ts';
import type { HttpHandler, ReplySink, RequestBody } from '../http/handler.ts';
import { type Fields, getField, type RequestHead, type ResponseHead } from '../http/head.ts';
import { refuseLater } from '../http/refusal.ts';
import type { Backend } from './backend.ts';
import type { Backends } from './backends.ts';
import { classifyError, classifyStatus } from './classify.ts';
import { type Destination, type NameOptions, parseDestination, parseDestinationKey } from './destination.ts';
import type { EndpointLoad } from './endpoint-load.ts';
import type { RouterEvents } from './events.ts';
import type { RouterOptions } from './options.ts';
import { mayRepeat, mayRetry } from './retry.ts';
import type { Connector, Upstream } from './upstream.ts';

export interface DispatcherOptions {
  readonly backends: Backends;
  readonly connector: Connector;
  readonly clock: Clock;
  readonly random: Random;
  /** How names without a namespace are read. */
  readonly names: NameOptions;
  readonly limits: RouterOptions;
  readonly events?: Emitter<RouterEvents>;
}

/** Authorities are few and repeat: the answers of `parseDestination` are kept, up to this many. */
const MAX_CACHED_NAMES = 1024;
const HTTPS_PORT = 443;

export class Dispatcher implements HttpHandler {
  readonly options: DispatcherOptions;
  readonly events: Emitter<RouterEvents>;
  readonly #names = new Map<string, Destination>();

  constructor(options: DispatcherOptions) {
    this.options = options;
    this.events = options.events ?? new Emitter();
  }

  /**
   * Performs a request. Its destination is `head.service` where a listener has decided, else its authority.
   * Failures come as `onAbort`; who faces the client makes the answer of it (http/reply.ts).
   */
  request(head: RequestHead, complete: boolean, reply: ReplySink): RequestBody {
    let destination: Destination;
    try {
      destination = head.service === '' ? this.#read(head) : parseDestinationKey(head.service);
    } catch (thrown) {
      return refuseLater(reply, toSkeinError(thrown));
    }
    const call = new Call(this, head, destination, complete, reply);
    call.start();
    return call;
  }

  #read({ authority, scheme }: RequestHead): Destination {
    const { names } = this.options;
    if (scheme === 'https') return parseDestination(authority, { ...names, port: HTTPS_PORT });
    const known = this.#names.get(authority);
    if (known !== undefined) return known;
    const destination = parseDestination(authority, names);
    if (this.#names.size >= MAX_CACHED_NAMES) this.#names.clear();
    this.#names.set(authority, destination);
    return destination;
  }
}

/** One request with all its attempts. Towards the client it is the request's body, towards the endpoint the answer's sink. */
class Call implements RequestBody, ReplySink {
  readonly #dispatcher: Dispatcher;
  readonly #head: RequestHead;
  readonly #destination: Destination;
  readonly #complete: boolean;
  readonly #reply: ReplySink;
  readonly #startedMs: number;
  /** `answered`: the answer is whole and the request is not, as in half of an upgraded connection. */
  #state: 'waiting' | 'sending' | 'answering' | 'answered' | 'over' = 'waiting';
  #backend: Backend | undefined;
  #tried: EndpointLoad[] = [];
  #load: EndpointLoad | undefined;
  #attempts = 0;
  #attemptMs = 0;
  /** The request's way out; undefined while there is none. It stays after the end, for credit that is returned late. */
  #out: RequestBody | undefined;
  /** The body so far, for the next attempt; undefined when it has grown too long to be sent again. */
  #kept: Bytes[] | undefined = [];
  #trailers: Fields | undefined;
  #isClientBlocked = false;
  #status = 0;
  #reason = '';
  #requestBytes = 0;
  #responseBytes = 0;

  constructor(
    dispatcher: Dispatcher,
    head: RequestHead,
    destination: Destination,
    complete: boolean,
    reply: ReplySink,
  ) {
    this.#dispatcher = dispatcher;
    this.#head = head.service === '' ? { ...head, service: destination.key } : head;
    this.#destination = destination;
    this.#complete = complete;
    this.#reply = reply;
    this.#startedMs = dispatcher.options.clock.monotonicMs();
  }

  start(): void {
    this.#dispatcher.events.emit('started', { service: this.#destination.service });
    try {
      const backend = this.#dispatcher.options.backends.find(this.#destination);
      if (backend instanceof Promise) backend.then((found) => this.#attempt(found), this.#notSent);
      else this.#attempt(backend);
    } catch (thrown) {
      queueMicrotask(() => this.#notSent(thrown));
    }
  }

  // What the client gives.

  write(chunk: Bytes): boolean {
    if (this.#state === 'over' || this.#trailers !== undefined) return true;
    this.#requestBytes += chunk.length;
    this.#kept?.push(chunk);
    if (this.#out === undefined) {
      this.#isClientBlocked = true;
      return false;
    }
    this.#limitKept();
    return this.#out.write(chunk);
  }

  end(trailers: Fields): void {
    if (this.#state === 'over' || this.#trailers !== undefined) return;
    this.#trailers = trailers;
    if (this.#state === 'answered') this.#state = 'over';
    this.#out?.end(trailers);
  }

  abort(error: SkeinError): void {
    if (this.#state === 'over') return;
    if (this.#state !== 'answered') this.#settle(error);
    this.#state = 'over';
    this.#out?.abort(error);
  }

  consumed(bytes: number): void {
    this.#out?.consumed(bytes);
  }

  // What the endpoint answers.

  onInformational(head: ResponseHead): void {
    if (this.#state === 'sending') this.#reply.onInformational(head);
  }

  onHead(head: ResponseHead, complete: boolean): void {
    if (this.#state !== 'sending') return;
    this.#state = 'answering';
    this.#kept = undefined;
    this.#status = head.status;
    if (head.status >= 400) this.#reason = getField(head.fields, 'x-skein-reason') ?? '';
    this.#learn(head.status);
    if (complete) this.#finishAnswer();
    this.#reply.onHead(head, complete);
  }

  onData(chunk: Bytes): void {
    if (this.#state !== 'answering') return;
    this.#responseBytes += chunk.length;
    this.#reply.onData(chunk);
  }

  onEnd(trailers: Fields): void {
    if (this.#state !== 'answering') return;
    this.#finishAnswer();
    this.#reply.onEnd(trailers);
  }

  onAbort(error: SkeinError): void {
    this.#out = undefined;
    if (this.#state === 'answered') this.#state = 'over';
    if (this.#state === 'over') return;
    if (this.#retry(error)) return;
    this.#learnFailure(error);
    this.#settle(error);
    this.#state = 'over';
    this.#reply.onAbort(error);
  }

  onDrain(): void {
    if (this.#state !== 'over') this.#reply.onDrain();
  }

  // Attempts.

  #attempt(backend: Backend): void {
    if (this.#state === 'over') return;
    this.#backend = backend;
    const { clock, connector, random } = this.#dispatcher.options;
    try {
      const nowMs = clock.monotonicMs();
      const load = backend.choose(this.#tried, random, nowMs, connector);
      this.#begin(load, nowMs);
      const upstream = connector.connect(load.endpoint);
      if (upstream instanceof Promise) upstream.then((open) => this.#send(open), this.#notSent);
      else this.#send(upstream);
    } catch (thrown) {
      queueMicrotask(() => this.#notSent(thrown));
    }
  }

  #begin(load: EndpointLoad, nowMs: number): void {
    this.#attempts++;
    this.#attemptMs = nowMs;
    this.#tried.push(load);
    this.#load = load;
    load.pending++;
  }

  #send(upstream: Upstream): void {
    if (this.#state === 'over') return;
    this.#state = 'sending';
    const out = upstream.http.request(this.#head, this.#complete, this);
    this.#out = out;
    let hasRoom = true;
    for (const chunk of this.#kept ?? []) hasRoom = out.write(chunk);
    this.#limitKept();
    if (this.#trailers !== undefined) {
      out.end(this.#trailers);
    } else if (this.#isClientBlocked && hasRoom) {
      this.#isClientBlocked = false;
      this.#reply.onDrain();
    }
  }

  #limitKept(): void {
    if (this.#requestBytes > this.#dispatcher.options.limits.replayBytes) this.#kept = undefined;
  }

  /** The attempt has failed before anything was sent, whatever the error says of itself. */
  readonly #notSent = (thrown: unknown): void => {
    const error = toSkeinError(thrown);
    if (error.notProcessed) this.onAbort(error);
    else this.onAbort(new SkeinError(error.code, error.message, { cause: error, notProcessed: true }));
  };

  #retry(error: SkeinError): boolean {
    const backend = this.#backend;
    const load = this.#load;
    const { backends, limits } = this.#dispatcher.options;
    const facts = {
      error,
      attempts: this.#attempts,
      maxAttempts: limits.maxAttempts,
      isReplayable: this.#kept !== undefined,
      hasAnswered: this.#state === 'answering',
    };
    if (backend === undefined || load === undefined || !mayRetry(facts)) return false;
    // The catalogue may know more by now: the endpoint that failed may be gone, and another there.
    backends.refresh(backend);
    if (!backend.hasOther(this.#tried)) {
      if (!mayRepeat(error)) return false;
      this.#tried = [];
    }
    this.#learnFailure(error);
    load.pending--;
    this.#load = undefined;
    this.#state = 'waiting';
    const { service } = this.#destination;
    this.#dispatcher.events.emit('retried', { service, endpoint: load.endpoint, error, attempts: this.#attempts });
    this.#attempt(backend);
    return true;
  }

  #learn(status: number): void {
    const nowMs = this.#dispatcher.options.clock.monotonicMs();
    const elapsedMs = nowMs - this.#attemptMs;
    if (classifyStatus(status) === 'failure') this.#load?.fail(elapsedMs, nowMs);
    else this.#load?.succeed(elapsedMs, nowMs);
  }

  #learnFailure(error: SkeinError): void {
    if (classifyError(error) !== 'failure') return;
    const nowMs = this.#dispatcher.options.clock.monotonicMs();
    this.#load?.fail(nowMs - this.#attemptMs, nowMs);
  }

  #finishAnswer(): void {
    this.#state = this.#complete || this.#trailers !== undefined ? 'over' : 'answered';
    this.#settle(undefined);
  }

  /** What there is to count about this request is known. Called once. */
  #settle(error: SkeinError | undefined): void {
    const load = this.#load;
    if (load !== undefined) load.pending--;
    this.#dispatcher.events.emit('finished', {
      head: this.#head,
      service: this.#destination.service,
      endpoint: load?.endpoint,
      status: this.#status,
      error,
      reason: error?.reason ?? this.#reason,
      attempts: this.#attempts,
      durationMs: this.#dispatcher.options.clock.monotonicMs() - this.#startedMs,
      requestBytes: this.#requestBytes,
      responseBytes: this.#responseBytes,
    });
  }
}
