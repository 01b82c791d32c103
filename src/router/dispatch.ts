/** Dispatch: a request of this member, from its destination to its answer: destination → rule → backend → attempts. */

import type { Emitter } from '../core/emitter.ts';
import { toSkeinError } from '../core/errors.ts';
import type { HttpHandler, ReplySink, RequestBody } from '../http/handler.ts';
import type { RequestHead } from '../http/head.ts';
import { refuseLater } from '../http/refusal.ts';
import { toDefaultPlan } from './attempt-plan.ts';
import type { AttemptsOptions } from './attempts.ts';
import { Call, type CallEnvironment } from './call.ts';
import { type Destination, type NameOptions, parseDestination, parseDestinationKey } from './destination.ts';
import type { RouterEvents } from './events.ts';
import { explainRefusal, explainRequest } from './explain.ts';
import type { Explanation } from './explanation.ts';
import type { FilterContext } from './filters/filter.ts';
import type { Locality } from './locality.ts';
import { Shadows } from './shadow.ts';
import type { RouteSource } from './table.ts';
import { TimeoutQueue } from './timeout-queue.ts';

export interface DispatcherOptions extends AttemptsOptions {
  readonly routes: RouteSource;
  /** How names without a namespace are read. */
  readonly names: NameOptions;
  readonly events: Emitter<RouterEvents>;
  /** Code of this member that routes may name. */
  readonly middleware: FilterContext['middleware'];
}

/** Authorities are few and repeat: the answers of `parseDestination` are kept, up to this many. */
const MAX_CACHED_NAMES = 1024;
const HTTPS_PORT = 443;

export class Dispatcher implements HttpHandler {
  readonly #options: DispatcherOptions;
  readonly #environment: CallEnvironment;
  readonly #names = new Map<string, Destination>();

  constructor(options: DispatcherOptions) {
    const { routes, events, clock, random, limits, middleware } = options;
    const plan = toDefaultPlan(limits);
    const filters: FilterContext = {
      ...{ clock, random, middleware },
      mirror: (...copy) => shadows.send(...copy),
    };
    const shadows = new Shadows({ attempts: options, plan, filters });
    this.#options = options;
    const waiting = new TimeoutQueue(clock, limits.requestTimeoutMs);
    this.#environment = { options, routes, events, filters, plan, waiting };
  }

  /**
   * Performs a request. Its destination is `head.service` where a listener has decided, else its authority.
   * Failures come as `onAbort`; who faces the client makes the answer of it (http/reply.ts).
   */
  request(head: RequestHead, complete: boolean, reply: ReplySink): RequestBody {
    let destination: Destination;
    try {
      destination = this.#destinationOf(head);
    } catch (thrown) {
      return refuseLater(reply, toSkeinError(thrown));
    }
    const call = new Call(this.#environment, head, destination, complete, reply);
    call.start();
    return call;
  }

  /** What would happen to a request, and why; nothing is sent. @param namespace of the caller, whose routes these are */
  async explain(head: RequestHead, namespace: string, here: Locality): Promise<Explanation> {
    const { clock, limits, backends, connector, routes } = this.#options;
    let destination: Destination;
    try {
      destination = this.#destinationOf(head);
    } catch (thrown) {
      return explainRefusal(head, namespace, toSkeinError(thrown));
    }
    const { filters, plan } = this.#environment;
    const mesh = { backends, connector, here };
    const sources = { routes, namespace, clock, limits, plan, filters, mesh };
    return explainRequest(sources, { ...head, service: destination.key }, destination);
  }

  #destinationOf(head: RequestHead): Destination {
    return head.service === '' ? this.#read(head) : parseDestinationKey(head.service);
  }

  #read({ authority, scheme }: RequestHead): Destination {
    const { names } = this.#options;
    if (scheme === 'https') return parseDestination(authority, { ...names, port: HTTPS_PORT });
    const known = this.#names.get(authority);
    if (known !== undefined) return known;
    const destination = parseDestination(authority, names);
    if (this.#names.size >= MAX_CACHED_NAMES) this.#names.clear();
    this.#names.set(authority, destination);
    return destination;
  }
}
