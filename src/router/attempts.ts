/** Attempts: one request to one backend, sent to an endpoint and where that is safe to another, until there is an answer. */

import type { Bytes } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { ReplySink, RequestBody } from '../http/handler.ts';
import { type Fields, getField, type RequestHead, type ResponseHead } from '../http/head.ts';
import { parseRetryAfter } from '../http/retry-after.ts';
import type { Backend } from './backend.ts';
import type { Backends } from './backends.ts';
import { classifyError, classifyStatus, type Outcome } from './classify.ts';
import type { EndpointLoad } from './endpoint-load.ts';
import type { RetryFact } from './events.ts';
import type { RouterOptions } from './options.ts';
import { mayRepeat, mayRetry } from './retry.ts';
import type { Connector, Upstream } from './upstream.ts';

export interface AttemptsOptions {
  readonly backends: Backends;
  readonly connector: Connector;
  readonly clock: Clock;
  readonly limits: RouterOptions;
}

/** What the owner of a request is told of its attempts. */
export interface AttemptsObserver {
  /** An attempt begins; the one before has failed. */
  onAttempt(load: EndpointLoad, attempts: number): void;
  onRetry(fact: RetryFact): void;
}

/** Towards the client it is the request's body, towards the endpoint the answer's sink. */
export class Attempts implements RequestBody, ReplySink {
  readonly #options: AttemptsOptions;
  readonly #observer: AttemptsObserver;
  readonly #backend: Backend;
  readonly #head: RequestHead;
  readonly #complete: boolean;
  readonly #reply: ReplySink;
  /** `answered`: the answer is whole and the request is not, as in half of an upgraded connection. */
  #state: 'waiting' | 'sending' | 'answering' | 'answered' | 'over' = 'waiting';
  #tried: EndpointLoad[] = [];
  #load: EndpointLoad | undefined;
  #attempts = 0;
  #attemptMs = 0;
  /** The request's way out; undefined while there is none. It stays after the end, for credit that is returned late. */
  #out: RequestBody | undefined;
  /** The body so far, for the next attempt; undefined when it has grown too long to be sent again. */
  #kept: Bytes[] | undefined = [];
  #keptBytes = 0;
  #trailers: Fields | undefined;
  #isClientBlocked = false;

  constructor(
    options: AttemptsOptions,
    observer: AttemptsObserver,
    backend: Backend,
    head: RequestHead,
    complete: boolean,
    reply: ReplySink,
  ) {
    this.#options = options;
    this.#observer = observer;
    this.#backend = backend;
    this.#head = head;
    this.#complete = complete;
    this.#reply = reply;
  }

  start(): void {
    const { clock, connector } = this.#options;
    try {
      const nowMs = clock.monotonicMs();
      const load = this.#backend.choose(this.#tried, nowMs, connector);
      this.#begin(load, nowMs);
      const upstream = connector.connect(load.endpoint);
      if (upstream instanceof Promise) upstream.then((open) => this.#send(open), this.#notSent);
      else this.#send(upstream);
    } catch (thrown) {
      queueMicrotask(() => this.#notSent(thrown));
    }
  }

  // What the client gives.

  write(chunk: Bytes): boolean {
    if (this.#state === 'over' || this.#trailers !== undefined) return true;
    this.#keptBytes += chunk.length;
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
    this.#learn('neutral');
    this.#settle();
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
    this.#learnAnswer(head);
    if (complete) this.#finishAnswer();
    this.#reply.onHead(head, complete);
  }

  onData(chunk: Bytes): void {
    if (this.#state === 'answering') this.#reply.onData(chunk);
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
    this.#learn(classifyError(error));
    this.#settle();
    this.#state = 'over';
    this.#reply.onAbort(error);
  }

  onDrain(): void {
    if (this.#state !== 'over') this.#reply.onDrain();
  }

  #begin(load: EndpointLoad, nowMs: number): void {
    this.#backend.breaker.enterRequest();
    this.#attempts++;
    this.#attemptMs = nowMs;
    this.#tried.push(load);
    this.#load = load;
    load.pending++;
    this.#observer.onAttempt(load, this.#attempts);
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
    if (this.#keptBytes > this.#options.limits.replayBytes) this.#kept = undefined;
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
    const { backends, limits } = this.#options;
    const facts = {
      error,
      attempts: this.#attempts,
      maxAttempts: limits.maxAttempts,
      isReplayable: this.#kept !== undefined,
      hasAnswered: this.#state === 'answering',
    };
    if (load === undefined || !mayRetry(facts)) return false;
    // The catalogue may know more by now: the endpoint that failed may be gone, and another there.
    backends.refresh(backend);
    if (!backend.hasOther(this.#tried)) {
      if (!mayRepeat(error)) return false;
      this.#tried = [];
    }
    this.#learn(classifyError(error));
    this.#settle();
    this.#state = 'waiting';
    const { service } = backend.destination;
    this.#observer.onRetry({ service, endpoint: load.endpoint, error, attempts: this.#attempts });
    this.start();
    return true;
  }

  #learnAnswer(head: ResponseHead): void {
    const outcome = classifyStatus(head.status);
    this.#learn(outcome);
    const load = this.#load;
    if (load === undefined || (outcome !== 'busy' && outcome !== 'broken')) return;
    const { clock } = this.#options;
    const restMs = parseRetryAfter(getField(head.fields, 'retry-after') ?? '', clock.epochMs());
    if (restMs !== undefined) this.#backend.rest(load, restMs, clock.monotonicMs());
  }

  #learn(outcome: Outcome): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#load !== undefined) this.#backend.learn(this.#load, outcome, nowMs - this.#attemptMs, nowMs);
  }

  #finishAnswer(): void {
    this.#state = this.#complete || this.#trailers !== undefined ? 'over' : 'answered';
    this.#settle();
  }

  /** The present attempt is over. */
  #settle(): void {
    const load = this.#load;
    this.#load = undefined;
    if (load === undefined) return;
    load.pending--;
    this.#backend.breaker.leaveRequest();
  }
}
