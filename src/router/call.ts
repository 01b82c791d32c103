/** One request from its head to the end of its answer: what comes between it and its attempts, and what there is to tell of it. */

import type { Bytes } from '../core/bytes.ts';
import type { Timer } from '../core/clock.ts';
import type { Emitter } from '../core/emitter.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import { readGrpcTimeout } from '../http/deadline.ts';
import type { HttpHandler, ReplySink, RequestBody } from '../http/handler.ts';
import { type Fields, getField, type RequestHead, type ResponseHead } from '../http/head.ts';
import { HeldBody } from '../http/held-body.ts';
import { refuseLater } from '../http/refusal.ts';
import { isGrpc } from '../http/reply.ts';
import type { AttemptPlan } from './attempt-plan.ts';
import { Attempts, type AttemptsObserver, type AttemptsOptions } from './attempts.ts';
import type { Backend } from './backend.ts';
import type { Destination } from './destination.ts';
import type { EndpointLoad } from './endpoint-load.ts';
import type { RetryFact, RouterEvents, WithheldFact } from './events.ts';
import { type FilterContext, wrapAll } from './filters/filter.ts';
import { chooseBackend, invalidBackend, type Rule } from './rule.ts';
import type { RouteSource } from './table.ts';
import type { Expiring, TimeoutQueue } from './timeout-queue.ts';

/** What all calls of a member share. */
export interface CallEnvironment {
  readonly options: AttemptsOptions;
  readonly routes: RouteSource;
  readonly events: Emitter<RouterEvents>;
  readonly filters: FilterContext;
  /** How requests are tried that no route says anything about. */
  readonly plan: AttemptPlan;
  /** Those who wait for an answer to begin, and have no other limit. */
  readonly waiting: TimeoutQueue;
}

export class Call implements RequestBody, ReplySink, AttemptsObserver, HttpHandler, Expiring {
  // Its place among those that wait (timeout-queue.ts).
  dueMs = 0;
  earlier: Expiring | undefined;
  later: Expiring | undefined;
  readonly #environment: CallEnvironment;
  readonly #head: RequestHead;
  readonly #destination: Destination;
  readonly #complete: boolean;
  readonly #reply: ReplySink;
  readonly #startedMs: number;
  /** `answered`: the answer is whole and the request is not, as in half of an upgraded connection. */
  #state: 'waiting' | 'answering' | 'answered' | 'over' = 'waiting';
  #out: RequestBody | undefined;
  #rule: Rule | undefined;
  /** The end of the time that its caller or its rule gives it. */
  #timer: Timer | undefined;
  #deadlineMs = Number.POSITIVE_INFINITY;
  /** It has the time that all have whom nobody gives another. */
  #hasDefaultTime = false;
  #sentAll: boolean;
  #load: EndpointLoad | undefined;
  #attempts = 0;
  #status = 0;
  #reason = '';
  #requestBytes = 0;
  #responseBytes = 0;

  constructor(
    environment: CallEnvironment,
    head: RequestHead,
    destination: Destination,
    complete: boolean,
    reply: ReplySink,
  ) {
    this.#environment = environment;
    this.#head = head.service === destination.key ? head : { ...head, service: destination.key };
    this.#destination = destination;
    this.#complete = complete;
    this.#sentAll = complete;
    this.#reply = reply;
    this.#startedMs = environment.options.clock.monotonicMs();
  }

  start(): void {
    this.#environment.events.emit('started', { service: this.#destination.service });
    const askedMs = timeAskedFor(this.#head);
    if (askedMs !== undefined) {
      if (askedMs <= 0) {
        this.#out = refuseLater(this, outOfTime(askedMs));
        return;
      }
      const cancel = 'Cannot use answer: its caller gave it no more time';
      this.#limitTime(askedMs, () => this.#endBy(outOfTime(askedMs), new SkeinError('SKEIN_CANCELLED', cancel)));
    }
    this.#out = this.#withBackend(this.#destination, this, (own) => this.#route(own));
  }

  /** Goes on with the backend of `destination`, at once where the catalogue has told of it; what fails on the way is told to `reply`. */
  #withBackend(destination: Destination, reply: ReplySink, go: (backend: Backend) => RequestBody): RequestBody {
    try {
      const backend = this.#environment.options.backends.find(destination);
      if (!(backend instanceof Promise)) return go(backend);
      const held = new HeldBody(reply);
      backend
        .then((found) => {
          if (!held.isOver) held.release(go(found));
        })
        .catch((thrown) => {
          if (!held.isOver) reply.onAbort(toSkeinError(thrown));
        });
      return held;
    } catch (thrown) {
      return refuseLater(reply, toSkeinError(thrown));
    }
  }

  /** A service with routes is only a name: its requests go where they say, and to itself where they say so. */
  #route(own: Backend): RequestBody {
    const { routes, filters, plan } = this.#environment;
    const table = routes.table.find(this.#destination);
    if (table === undefined) {
      this.#limitByDefault();
      return this.#attempt(own, plan, this.#head, this.#complete, this);
    }
    const rule = table.match(this.#head)?.rule;
    if (rule === undefined) throw noRoute(this.#destination);
    this.#rule = rule;
    const { timeoutMs } = rule;
    if (timeoutMs === undefined) {
      this.#limitByDefault();
    } else if (timeoutMs > 0) {
      const late = `it took longer than the ${timeoutMs} ms of timeouts.request`;
      this.#limitTime(timeoutMs, () => this.#endBy(tooLate(late)));
    }
    if (rule.filters.length === 0) return this.request(this.#head, this.#complete, this);
    return wrapAll(rule.filters, this, filters).request(this.#head, this.#complete, this);
  }

  /** Behind the filters of the rule: one of its backends, with the filters of that. */
  request(head: RequestHead, complete: boolean, reply: ReplySink): RequestBody {
    const rule = this.#rule as Rule;
    const { destination, filters, plan } = chooseBackend(rule);
    const { key } = destination;
    const send = (changed: RequestHead, isComplete: boolean, sink: ReplySink): RequestBody =>
      this.#withBackend(destination, sink, (backend) => {
        checkServed(rule, backend);
        const routed = changed.service === key ? changed : { ...changed, service: key };
        return this.#attempt(backend, plan, routed, isComplete, sink);
      });
    if (filters.length === 0) return send(head, complete, reply);
    // They see the service that was asked for: a redirect leads back to its port.
    return wrapAll(filters, { request: send }, this.#environment.filters).request(head, complete, reply);
  }

  #attempt(backend: Backend, plan: AttemptPlan, head: RequestHead, complete: boolean, reply: ReplySink): RequestBody {
    const { options, filters } = this.#environment;
    const request = { backend, plan, head, complete, reply, deadlineMs: this.#deadlineMs };
    const attempts = new Attempts(options, this, filters, request);
    attempts.start();
    return attempts;
  }

  /** After `timeoutMs` it ends; a shorter time that it has already stays. */
  #limitTime(timeoutMs: number, end: () => void): void {
    const { clock } = this.#environment.options;
    const deadlineMs = this.#startedMs + timeoutMs;
    if (deadlineMs >= this.#deadlineMs) return;
    this.#deadlineMs = deadlineMs;
    this.#timer?.cancel();
    this.#timer = clock.setTimer(Math.max(0, deadlineMs - clock.monotonicMs()), end);
  }

  /** Who asked is told `error`, its endpoint `cause`. */
  #endBy(error: SkeinError, cause = error): void {
    this.#out?.abort(cause);
    this.onAbort(error);
  }

  #limitByDefault(): void {
    if (this.#deadlineMs !== Number.POSITIVE_INFINITY || waitsForEvents(this.#head)) return;
    this.#hasDefaultTime = true;
    if (this.#sentAll) this.#environment.waiting.add(this, this.#environment.options.clock.monotonicMs());
  }

  /** No answer has begun in the time that all have. */
  expire(): void {
    const { options, waiting } = this.#environment;
    // Whether one that is out of reach comes back is for its session to judge.
    if (this.#load !== undefined && options.connector.isSuspect(this.#load.endpoint)) {
      waiting.add(this, options.clock.monotonicMs());
      return;
    }
    this.#endBy(tooLate(`no answer began within ${waiting.limitMs} ms`));
  }

  // What the client gives.

  write(chunk: Bytes): boolean {
    if (this.#state === 'over' || this.#sentAll) return true;
    this.#requestBytes += chunk.length;
    return this.#out?.write(chunk) ?? true;
  }

  end(trailers: Fields): void {
    if (this.#state === 'over' || this.#sentAll) return;
    this.#sentAll = true;
    if (this.#hasDefaultTime && this.#state === 'waiting') {
      const { options, waiting } = this.#environment;
      waiting.add(this, options.clock.monotonicMs());
    }
    if (this.#state === 'answered') this.#state = 'over';
    this.#out?.end(trailers);
  }

  abort(error: SkeinError): void {
    if (this.#state === 'over') return;
    if (this.#state !== 'answered') this.#finish(error);
    this.#state = 'over';
    this.#out?.abort(error);
  }

  consumed(bytes: number): void {
    this.#out?.consumed(bytes);
  }

  // What its attempts do.

  onAttempt(load: EndpointLoad, attempts: number): void {
    this.#load = load;
    this.#attempts = attempts;
  }

  onRetry(fact: RetryFact): void {
    this.#environment.events.emit('retried', fact);
  }

  onWithheld(fact: WithheldFact): void {
    this.#environment.events.emit('withheld', fact);
  }

  // What is answered.

  onInformational(head: ResponseHead): void {
    if (this.#state === 'waiting') this.#reply.onInformational(head);
  }

  onHead(head: ResponseHead, complete: boolean): void {
    if (this.#state !== 'waiting') return;
    this.#state = 'answering';
    this.#environment.waiting.delete(this);
    this.#status = head.status;
    // What follows is a conversation, and no answer that could be late.
    if (head.status === 101) this.#timer?.cancel();
    // Only answers of the mesh itself have one; a plain success of the application is not searched for it.
    if (head.status >= 300 || this.#rule !== undefined) this.#reason = getField(head.fields, 'x-skein-reason') ?? '';
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
    if (this.#state === 'answered') this.#state = 'over';
    if (this.#state === 'over') return;
    this.#finish(error);
    this.#state = 'over';
    this.#reply.onAbort(error);
  }

  onDrain(): void {
    if (this.#state !== 'over') this.#reply.onDrain();
  }

  #finishAnswer(): void {
    this.#state = this.#sentAll ? 'over' : 'answered';
    this.#finish(undefined);
  }

  /** What there is to count about this request is known. Called once. */
  #finish(error: SkeinError | undefined): void {
    this.#timer?.cancel();
    const { events, options, waiting } = this.#environment;
    waiting.delete(this);
    events.emit('finished', {
      head: this.#head,
      service: this.#destination.service,
      rule: this.#rule?.id ?? '',
      endpoint: this.#load?.endpoint,
      status: this.#status,
      error,
      reason: error?.reason ?? this.#reason,
      attempts: this.#attempts,
      durationMs: options.clock.monotonicMs() - this.#startedMs,
      requestBytes: this.#requestBytes,
      responseBytes: this.#responseBytes,
    });
  }
}

function tooLate(state: string, notProcessed = false): SkeinError {
  return new SkeinError('SKEIN_DEADLINE', `Cannot finish request: ${state}`, { notProcessed });
}

export function outOfTime(askedMs: number): SkeinError {
  return tooLate(`it took longer than the ${Math.floor(askedMs)} ms that its caller gives it`, askedMs <= 0);
}

/** The time that the caller of a request gives it; undefined: it says nothing. */
export function timeAskedFor(head: RequestHead): number | undefined {
  return head.timeLeftMs ?? readGrpcTimeout(head);
}

/** By its nature; the time that all have is not for it. */
export function waitsForEvents(head: RequestHead): boolean {
  const { upgrade, method, fields } = head;
  if (upgrade !== undefined || method === 'CONNECT' || isGrpc(head)) return true;
  return getField(fields, 'accept')?.includes('text/event-stream') === true;
}

export function noRoute({ key }: Destination): SkeinError {
  return new SkeinError('SKEIN_NO_ROUTE', `Cannot route request: no rule of "${key}" takes it`);
}

/** @throws SkeinError SKEIN_ROUTE_INVALID when a request that `rule` sends to `backend` cannot be answered there */
export function checkServed(rule: Rule, { size, protocol, destination: { key } }: Backend): void {
  if (size === 0) throw invalidBackend(rule, `nobody serves ${key}`);
  if (protocol === 'tcp') throw invalidBackend(rule, `${key} takes bytes, not requests`);
}
