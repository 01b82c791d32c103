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
import type { FilterContext } from './filters/filter.ts';
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
  /** What it walks by; `explain.ts` walks by the same. */
  readonly environment: CallEnvironment;
  readonly #naming: NameOptions;
  readonly #names = new Map<string, Destination>();

  constructor(options: DispatcherOptions) {
    const { routes, events, clock, random, limits, middleware } = options;
    const plan = toDefaultPlan(limits);
    const filters: FilterContext = {
      ...{ clock, random, middleware },
      mirror: (...copy) => shadows.send(...copy),
    };
    const shadows = new Shadows({ attempts: options, plan, filters });
    this.#naming = options.names;
    const waiting = new TimeoutQueue(clock, limits.requestTimeoutMs);
    this.environment = { options, routes, events, filters, plan, waiting };
  }

  /**
   * Performs a request. Its destination is `head.service` where a listener has decided, else its authority.
   * Failures come as `onAbort`; who faces the client makes the answer of it (http/reply.ts).
   */
  request(head: RequestHead, complete: boolean, reply: ReplySink): RequestBody {
    let destination: Destination;
    try {
      destination = this.destinationOf(head);
    } catch (thrown) {
      return refuseLater(reply, toSkeinError(thrown));
    }
    const call = new Call(this.environment, head, destination, complete, reply);
    call.start();
    return call;
  }

  /** Where a request wants to go. @throws SkeinError SKEIN_NOT_A_MESH_NAME */
  destinationOf(head: RequestHead): Destination {
    return head.service === '' ? this.#read(head) : parseDestinationKey(head.service);
  }

  #read({ authority, scheme }: RequestHead): Destination {
    const names = this.#naming;
    if (scheme === 'https') return parseDestination(authority, { ...names, port: HTTPS_PORT });
    const known = this.#names.get(authority);
    if (known !== undefined) return known;
    const destination = parseDestination(authority, names);
    if (this.#names.size >= MAX_CACHED_NAMES) this.#names.clear();
    this.#names.set(authority, destination);
    return destination;
  }
}
