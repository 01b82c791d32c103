/** Dispatch: a request of this member, from its destination to its answer: destination → rule → backend → attempts → what is told of it. */

import type { Bytes } from '../core/bytes.ts';
import type { Emitter } from '../core/emitter.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { HttpHandler, ReplySink, RequestBody } from '../http/handler.ts';
import { type Fields, getField, type RequestHead, type ResponseHead } from '../http/head.ts';
import { refuseLater } from '../http/refusal.ts';
import { Attempts, type AttemptsObserver, type AttemptsOptions } from './attempts.ts';
import type { Backend } from './backend.ts';
import { type Destination, type NameOptions, parseDestination, parseDestinationKey } from './destination.ts';
import type { EndpointLoad } from './endpoint-load.ts';
import type { RetryFact, RouterEvents } from './events.ts';
import type { RoutedRule } from './table.ts';
import type { RouteSource } from './upstream.ts';

export interface DispatcherOptions extends AttemptsOptions {
  readonly routes: RouteSource;
  /** How names without a namespace are read. */
  readonly names: NameOptions;
  readonly events: Emitter<RouterEvents>;
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
    this.events = options.events;
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

/** One request from its head to the end of its answer: what comes between it and its attempts, and what there is to tell of it. */
class Call implements RequestBody, ReplySink, AttemptsObserver {
  readonly #dispatcher: Dispatcher;
  readonly #head: RequestHead;
  readonly #destination: Destination;
  readonly #complete: boolean;
  readonly #reply: ReplySink;
  readonly #startedMs: number;
  /** `answered`: the answer is whole and the request is not, as in half of an upgraded connection. */
  #state: 'waiting' | 'answering' | 'answered' | 'over' = 'waiting';
  /** The request's way out; undefined while the catalogue is waited for. */
  #out: RequestBody | undefined;
  /** What came before there was a way out. */
  #held: Bytes[] = [];
  #trailers: Fields | undefined;
  #load: EndpointLoad | undefined;
  #attempts = 0;
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
    this.#head = head;
    this.#destination = destination;
    this.#complete = complete;
    this.#reply = reply;
    this.#startedMs = dispatcher.options.clock.monotonicMs();
  }

  start(): void {
    this.#dispatcher.events.emit('started', { service: this.#destination.service });
    this.#find(this.#destination, (backend) => this.#route(backend));
  }

  /** Goes on with the backend of `destination`, at once where the catalogue has told of it. */
  #find(destination: Destination, next: (backend: Backend) => void): void {
    try {
      const backend = this.#dispatcher.options.backends.find(destination);
      if (backend instanceof Promise) backend.then(next).catch(this.#fail);
      else next(backend);
    } catch (thrown) {
      queueMicrotask(() => this.#fail(thrown));
    }
  }

  /** A service with routes is only a name: its requests go where they say, and to itself where they say so. */
  #route(own: Backend): void {
    const routes = this.#dispatcher.options.routes.table.find(this.#destination);
    if (routes === undefined) {
      this.#begin(own);
      return;
    }
    const { id, destination } = chooseBackend(routes.match(this.#head), this.#destination);
    this.#find(destination, (backend) => {
      if (backend.size === 0) throw invalidBackend(id, `nobody serves ${destination.key}`);
      this.#begin(backend);
    });
  }

  #begin(backend: Backend): void {
    if (this.#state === 'over') return;
    const { key } = backend.destination;
    const head = this.#head.service === key ? this.#head : { ...this.#head, service: key };
    const attempts = new Attempts(this.#dispatcher.options, this, backend, head, this.#complete, this);
    this.#out = attempts;
    attempts.start();
    const held = this.#held;
    this.#held = [];
    let hasRoom = true;
    for (const chunk of held) hasRoom = attempts.write(chunk);
    if (this.#trailers !== undefined) attempts.end(this.#trailers);
    else if (held.length > 0 && hasRoom) this.#reply.onDrain();
  }

  /** There is nobody to ask. */
  readonly #fail = (thrown: unknown): void => this.onAbort(toSkeinError(thrown));

  // What the client gives.

  write(chunk: Bytes): boolean {
    if (this.#state === 'over' || this.#trailers !== undefined) return true;
    this.#requestBytes += chunk.length;
    if (this.#out !== undefined) return this.#out.write(chunk);
    this.#held.push(chunk);
    return false;
  }

  end(trailers: Fields): void {
    if (this.#state === 'over' || this.#trailers !== undefined) return;
    this.#trailers = trailers;
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
    this.#dispatcher.events.emit('retried', fact);
  }

  // What is answered.

  onInformational(head: ResponseHead): void {
    if (this.#state === 'waiting') this.#reply.onInformational(head);
  }

  onHead(head: ResponseHead, complete: boolean): void {
    if (this.#state !== 'waiting') return;
    this.#state = 'answering';
    this.#status = head.status;
    if (head.status >= 400) this.#reason = getField(head.fields, 'x-skein-reason') ?? '';
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
    this.#state = this.#complete || this.#trailers !== undefined ? 'over' : 'answered';
    this.#finish(undefined);
  }

  /** What there is to count about this request is known. Called once. */
  #finish(error: SkeinError | undefined): void {
    this.#dispatcher.events.emit('finished', {
      head: this.#head,
      service: this.#destination.service,
      endpoint: this.#load?.endpoint,
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

/** @throws SkeinError SKEIN_NO_ROUTE, SKEIN_BACKEND_INVALID */
function chooseBackend(
  found: RoutedRule | undefined,
  { key }: Destination,
): { readonly id: string; readonly destination: Destination } {
  if (found === undefined) throw new SkeinError('SKEIN_NO_ROUTE', `Cannot route request: no rule of "${key}" takes it`);
  const { id, backends } = found.rule;
  const backend = backends.next();
  if (backend === undefined) throw invalidBackend(id, 'it has no backend');
  if (backend.destination === undefined) throw invalidBackend(id, `${backend.label} is no service of a mesh`);
  return { id, destination: backend.destination };
}

function invalidBackend(rule: string, state: string): SkeinError {
  return new SkeinError('SKEIN_BACKEND_INVALID', `Cannot route request by ${rule}: ${state}`);
}
