/** Attempts: one request to one backend, sent to an endpoint and where that is safe to another, until there is an answer. */

import type { Bytes } from '../core/bytes.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Random } from '../core/random.ts';
import { withTimeLeft } from '../http/deadline.ts';
import type { ReplySink, RequestBody } from '../http/handler.ts';
import { type Fields, getField, NO_FIELDS, type RequestHead, type ResponseHead } from '../http/head.ts';
import { isIdempotent } from '../http/methods.ts';
import type { Bond } from './affinity.ts';
import type { AttemptPlan } from './attempt-plan.ts';
import type { Backend } from './backend.ts';
import type { Backends } from './backends.ts';
import { classifyError, type Outcome } from './classify.ts';
import type { Awaiting, EndpointLoad } from './endpoint-load.ts';
import type { RetryFact, WithheldFact } from './events.ts';
import { FAULT_REASON } from './filters/fault.ts';
import { type FilterContext, wrapAll } from './filters/filter.ts';
import { type GrpcProgress, learnFromGrpc, learnFromHead } from './lessons.ts';
import type { RouterOptions } from './options.ts';
import {
  type AttemptFacts,
  chooseBackoffMs,
  judgeError,
  judgeStatus,
  ledNowhere,
  mayRepeat,
  overBudget,
  type RetryVerdict,
  toLastError,
  toPossiblyDone,
} from './retry.ts';
import type { Connector, Upstream } from './upstream.ts';

export interface AttemptsOptions {
  readonly backends: Backends;
  readonly connector: Connector;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: RouterOptions;
}

/** What the owner of a request is told of its attempts. */
export interface AttemptsObserver {
  /** An attempt begins; the one before has failed. */
  onAttempt(load: EndpointLoad, attempts: number): void;
  onRetry(fact: RetryFact): void;
  onWithheld(fact: WithheldFact): void;
}

/** One request on its way to one backend. */
export interface AttemptedRequest {
  readonly backend: Backend;
  readonly plan: AttemptPlan;
  readonly head: RequestHead;
  readonly complete: boolean;
  readonly reply: ReplySink;
  /** Monotonic time at which who asks wants no answer any more, which its endpoint is told; Infinity where nobody has said. */
  readonly deadlineMs: number;
}

/** Towards the client it is the request's body, towards the endpoint the answer's sink. */
export class Attempts implements RequestBody, ReplySink, Awaiting {
  readonly #options: AttemptsOptions;
  readonly #observer: AttemptsObserver;
  readonly #context: FilterContext;
  readonly #backend: Backend;
  readonly #plan: AttemptPlan;
  readonly #head: RequestHead;
  readonly #complete: boolean;
  readonly #reply: ReplySink;
  readonly #deadlineMs: number;
  /** What leads it to a particular endpoint. */
  readonly #bond: Bond | undefined;
  /** Among those who await an answer of the same endpoint. */
  index = -1;
  /** `answered`: the answer is whole and the request is not, as in half of an upgraded connection. */
  #state: 'waiting' | 'sending' | 'answering' | 'answered' | 'over' = 'waiting';
  #tried: EndpointLoad[] = [];
  #load: EndpointLoad | undefined;
  #attempts = 0;
  /** Those of them that do not count, because they led nowhere. */
  #uncounted = 0;
  /** An attempt has failed that may have been carried out. */
  #maybeDone = false;
  #attemptMs = 0;
  #grpc: GrpcProgress = 'none';
  /** The request's way out; undefined while there is none. It stays after the end, for credit that is returned late. */
  #out: RequestBody | undefined;
  /** The body so far, for the next attempt; undefined when it has grown too long to be sent again. */
  #kept: Bytes[] | undefined = [];
  #keptBytes = 0;
  #trailers: Fields | undefined;
  #isClientBlocked = false;
  /** The end of the present attempt's time, or of the wait before the next one. */
  #timer: Timer | undefined;

  constructor(options: AttemptsOptions, observer: AttemptsObserver, context: FilterContext, request: AttemptedRequest) {
    this.#options = options;
    this.#observer = observer;
    this.#context = context;
    this.#backend = request.backend;
    this.#plan = request.plan;
    this.#head = request.head;
    this.#complete = request.complete;
    this.#reply = request.reply;
    this.#deadlineMs = request.deadlineMs;
    this.#bond = request.backend.affinity?.read(request.head, options.clock.epochMs());
  }

  start(): void {
    this.#backend.retryBudget.note(this.#options.clock.monotonicMs());
    this.#attempt();
  }

  #attempt(): void {
    const { clock, connector } = this.#options;
    try {
      const nowMs = clock.monotonicMs();
      const load = this.#backend.choose(this.#tried, nowMs, connector, this.#bond);
      this.#begin(load, nowMs);
      const upstream = connector.connect(load.endpoint);
      if (upstream instanceof Promise) this.#await(upstream);
      else this.#send(upstream);
    } catch (thrown) {
      queueMicrotask(() => this.#notSent(thrown));
    }
  }

  /** An attempt whose time ran out meanwhile has nothing to say any more. */
  #await(upstream: Promise<Upstream>): void {
    const attempt = this.#attempts;
    upstream.then(
      (open) => {
        if (attempt !== this.#attempts || this.#load === undefined) return;
        this.#attemptMs = this.#options.clock.monotonicMs(); // how long a session takes says nothing about its endpoint
        this.#send(open);
      },
      (thrown) => {
        if (attempt === this.#attempts && this.#load !== undefined) this.#notSent(thrown);
      },
    );
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
    this.#learnSilence();
    // Time that was enough by what the mesh or a route says is held against the endpoint; a caller in a hurry is not.
    this.#learn(error.code === 'SKEIN_DEADLINE' ? 'broken' : 'neutral');
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
    this.#learnAnswer(head);
    if (this.#retryAnswer(head, complete)) return;
    this.#state = 'answering';
    this.#kept = undefined;
    const told = this.#bond === undefined ? head : this.#tellSession(head, this.#bond);
    this.#load?.awaiting.delete(this);
    // What follows is a conversation, and no answer that could be late.
    if (head.status === 101) this.#timer?.cancel();
    if (complete) {
      // One of gRPC that ends here has not said how the call went.
      if (this.#grpc !== 'none') this.#learnGrpc(NO_FIELDS);
      this.#finishAnswer();
    }
    this.#reply.onHead(told, complete);
  }

  /** The client keeps what leads its next request to the same endpoint; not that of one that fails. */
  #tellSession(head: ResponseHead, { session }: Bond): ResponseHead {
    const persistence = this.#backend.affinity?.persistence;
    if (persistence === undefined || this.#load === undefined || head.status >= 500) return head;
    const { instance } = this.#load.endpoint;
    const fields = persistence.fieldsFor(instance, session, this.#options.clock.epochMs());
    return fields.length === 0 ? head : { ...head, fields: [...head.fields, ...fields] };
  }

  onData(chunk: Bytes): void {
    if (this.#state !== 'answering') return;
    if (this.#grpc === 'begun') this.#learnGrpc(undefined);
    this.#reply.onData(chunk);
  }

  onEnd(trailers: Fields): void {
    if (this.#state !== 'answering') return;
    if (this.#grpc !== 'none') this.#learnGrpc(trailers);
    this.#finishAnswer();
    this.#reply.onEnd(trailers);
  }

  onAbort(error: SkeinError): void {
    this.#out = undefined;
    if (this.#state === 'answered') this.#state = 'over';
    if (this.#state === 'over') return;
    this.#learn(classifyError(error));
    if (!this.#retryError(error)) this.#fail(error);
  }

  onDrain(): void {
    if (this.#state !== 'over') this.#reply.onDrain();
  }

  move(): void {
    const { backends, connector } = this.#options;
    const error = new SkeinError('SKEIN_SESSION_LOST', 'Cannot wait for answer: the instance has fallen silent');
    if (judgeError(this.#plan.retry, error, this.#facts()) === 'no') return;
    backends.refresh(this.#backend);
    if (!this.#backend.hasOther(this.#tried, connector) || !this.#takeBudget()) return;
    const out = this.#out;
    this.#out = undefined;
    this.#learn('neutral'); // it is avoided already
    out?.abort(new SkeinError('SKEIN_CANCELLED', 'Cannot use answer: the request went elsewhere'));
    this.#maybeDone = true;
    this.#again(error.reason, 0);
  }

  giveUp(): void {
    if (this.#state !== 'sending' || !this.#isAllSent) return;
    const out = this.#out;
    this.onAbort(new SkeinError('SKEIN_SESSION_LOST', 'Cannot wait for answer: no hub has a link to the instance'));
    out?.abort(new SkeinError('SKEIN_CANCELLED', 'Cannot use answer: nobody waits for it'));
  }

  #begin(load: EndpointLoad, nowMs: number): void {
    try {
      this.#backend.breaker.enterRequest();
    } catch (thrown) {
      load.outlier.cancelProbe(); // it may have been chosen to be probed, and will not be asked
      throw thrown;
    }
    this.#attempts++;
    this.#attemptMs = nowMs;
    this.#tried.push(load);
    this.#load = load;
    load.pending++;
    this.#observer.onAttempt(load, this.#attempts);
    const { timeoutMs } = this.#plan;
    if (timeoutMs > 0) this.#timer = this.#options.clock.setTimer(timeoutMs, () => this.#expire(timeoutMs));
  }

  #expire(timeoutMs: number): void {
    const out = this.#out;
    const error = new SkeinError(
      'SKEIN_DEADLINE',
      `Cannot finish request: an attempt took longer than the ${timeoutMs} ms of timeouts.backendRequest`,
    );
    out?.abort(error);
    // Before there was a way out, nobody can have seen anything.
    if (out === undefined) this.#notSent(error);
    else this.onAbort(error);
  }

  #send(upstream: Upstream): void {
    if (this.#state === 'over') return;
    this.#state = 'sending';
    const { filters } = this.#plan;
    const http = filters.length === 0 ? upstream.http : wrapAll(filters, upstream.http, this.#context);
    const out = http.request(this.#headNow(), this.#complete, this);
    this.#out = out;
    this.#load?.awaiting.add(this);
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

  #headNow(): RequestHead {
    if (this.#deadlineMs === Number.POSITIVE_INFINITY) return this.#head;
    const leftMs = this.#deadlineMs - this.#options.clock.monotonicMs();
    return withTimeLeft(this.#head, Math.max(0, leftMs));
  }

  #limitKept(): void {
    if (this.#keptBytes > this.#options.limits.replayBytes) this.#kept = undefined;
  }

  /** The attempt has failed before anything was sent, whatever the error says of itself. */
  #notSent(thrown: unknown): void {
    const error = toSkeinError(thrown);
    if (error.notProcessed) this.onAbort(error);
    else this.onAbort(new SkeinError(error.code, error.message, { cause: error, notProcessed: true }));
  }

  /** True when another attempt follows, or was refused by the budget, and the request is taken care of. */
  #retryError(error: SkeinError): boolean {
    const { retry } = this.#plan;
    if (ledNowhere(retry, error, this.#uncounted)) this.#noteUncounted();
    const verdict = this.#judge((facts) => judgeError(retry, error, facts));
    if (verdict === 'no' || !this.#prepareOther(retry.isAsked || mayRepeat(error))) return false;
    if (!error.notProcessed) this.#maybeDone = true;
    const { random } = this.#options;
    const waitMs = verdict === 'free' && !retry.isAsked ? 0 : chooseBackoffMs(retry, this.#attempts, random);
    if (verdict === 'free' || this.#takeBudget()) this.#again(error.reason, waitMs);
    else this.#fail(overBudget(error, undefined));
    return true;
  }

  /** The request has as many attempts left as before, if there is somebody else to ask. */
  #noteUncounted(): void {
    const { backends, connector } = this.#options;
    backends.refresh(this.#backend);
    if (this.#backend.hasOther(this.#tried, connector)) this.#uncounted++;
  }

  /** The same for an answer whose status counts as a failure. */
  #retryAnswer({ status }: ResponseHead, complete: boolean): boolean {
    const { retry } = this.#plan;
    if (this.#judge((facts) => judgeStatus(retry, status, facts)) === 'no' || !this.#prepareOther(true)) return false;
    this.#maybeDone = true;
    const out = this.#out;
    this.#out = undefined;
    if (!complete || !this.#isAllSent)
      out?.abort(new SkeinError('SKEIN_CANCELLED', 'Cannot use answer: it is tried again'));
    if (this.#takeBudget()) {
      this.#again(`status-${status}`, chooseBackoffMs(retry, this.#attempts, this.#options.random));
    } else {
      this.#fail(overBudget(undefined, status));
    }
    return true;
  }

  /** What `judge` says; where the length of the body alone keeps the request from being sent again, that is told. */
  #judge(judge: (facts: AttemptFacts) => RetryVerdict): RetryVerdict {
    const facts = this.#facts();
    const verdict = judge(facts);
    if (verdict === 'no' && !facts.isReplayable && judge({ ...facts, isReplayable: true }) !== 'no') {
      this.#withhold('body-too-long');
    }
    return verdict;
  }

  get #isAllSent(): boolean {
    return this.#complete || this.#trailers !== undefined;
  }

  #facts(): AttemptFacts {
    return {
      attempts: this.#attempts - this.#uncounted,
      isIdempotent: isIdempotent(this.#head.method),
      isReplayable: this.#kept !== undefined,
      hasAnswered: this.#state === 'answering',
    };
  }

  /** Is there an endpoint for another attempt: one that was not tried, or where that is allowed, the same again? */
  #prepareOther(mayRepeatSame: boolean): boolean {
    if (this.#load === undefined) return false;
    // The catalogue may know more by now: the endpoint that failed may be gone, and another there.
    this.#options.backends.refresh(this.#backend);
    if (this.#backend.hasOther(this.#tried)) return true;
    // Nobody at all: what has failed is worth telling, and not that nobody serves the name any more.
    if (!mayRepeatSame || !this.#backend.hasOther([])) return false;
    this.#tried = [];
    return true;
  }

  #takeBudget(): boolean {
    const isTaken = this.#backend.retryBudget.take(this.#options.clock.monotonicMs());
    if (!isTaken) this.#withhold('budget');
    return isTaken;
  }

  #withhold(reason: WithheldFact['reason']): void {
    this.#observer.onWithheld({ service: this.#backend.destination.service, reason });
  }

  #again(reason: string, waitMs: number): void {
    const load = this.#load;
    this.#settle();
    this.#state = 'waiting';
    if (load !== undefined) {
      const { service } = this.#backend.destination;
      this.#observer.onRetry({ service, endpoint: load.endpoint, reason, attempts: this.#attempts });
    }
    if (waitMs > 0) this.#timer = this.#options.clock.setTimer(waitMs, () => this.#attempt());
    else this.#attempt();
  }

  #fail(error: SkeinError): void {
    this.#settle();
    this.#state = 'over';
    const last = toLastError(this.#plan.retry, error, this.#attempts);
    this.#reply.onAbort(this.#maybeDone ? toPossiblyDone(last) : last);
  }

  #learnAnswer(head: ResponseHead): void {
    const { clock } = this.#options;
    if (this.#isInjected(head)) this.#learn('neutral');
    else if (this.#load !== undefined) {
      const elapsedMs = clock.monotonicMs() - this.#attemptMs;
      this.#grpc = learnFromHead(this.#backend, this.#load, clock, head, elapsedMs);
    }
  }

  #learnGrpc(trailers: Fields | undefined): void {
    if (this.#load === undefined) return;
    this.#grpc = learnFromGrpc(this.#backend, this.#load, this.#options.clock, this.#grpc, trailers);
  }

  /** A fault that a route asks for says nothing about the endpoint. */
  #isInjected({ fields }: ResponseHead): boolean {
    return this.#plan.filters.length > 0 && getField(fields, 'x-skein-reason') === FAULT_REASON;
  }

  #learn(outcome: Outcome): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#load !== undefined) this.#backend.learn(this.#load, outcome, nowMs - this.#attemptMs, nowMs);
  }

  /** Nobody waits any longer: however long the answer would have taken, it is not faster than that. */
  #learnSilence(): void {
    if (this.#state !== 'sending' || this.#load === undefined) return;
    const nowMs = this.#options.clock.monotonicMs();
    this.#load.outlast(nowMs - this.#attemptMs, nowMs);
  }

  #finishAnswer(): void {
    this.#state = this.#isAllSent ? 'over' : 'answered';
    this.#settle();
  }

  /** The present attempt is over. */
  #settle(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const load = this.#load;
    this.#load = undefined;
    if (load === undefined) return;
    load.pending--;
    load.awaiting.delete(this);
    this.#backend.breaker.leaveRequest();
  }
}
