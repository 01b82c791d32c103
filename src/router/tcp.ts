/** Raw connections of this member: the same walk as in dispatch.ts, once per connection; what follows is bytes. */

import type { ByteStream } from '../core/byte-stream.ts';
import type { Clock } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import { WatchedStream } from '../core/watched-stream.ts';
import { NO_FIELDS, type RequestHead } from '../http/head.ts';
import { toDefaultPlan } from './attempt-plan.ts';
import type { Backend } from './backend.ts';
import type { Backends } from './backends.ts';
import { classifyError } from './classify.ts';
import type { Destination } from './destination.ts';
import type { EndpointLoad } from './endpoint-load.ts';
import type { RouterOptions } from './options.ts';
import { judgeError } from './retry.ts';
import { chooseBackend, invalidBackend } from './rule.ts';
import type { RouteSource } from './table.ts';
import type { Connector, Upstream } from './upstream.ts';

export interface TcpDispatcherOptions {
  readonly backends: Backends;
  readonly connector: Connector;
  readonly clock: Clock;
  readonly routes: RouteSource;
  readonly limits: RouterOptions;
}

export class TcpDispatcher {
  readonly #options: TcpDispatcherOptions;

  constructor(options: TcpDispatcherOptions) {
    this.#options = options;
  }

  /**
   * Opens a connection to the service. It stands as far as the peer: whether the peer lets it in, and whether its
   * application takes it, shows when bytes come or `onReset` does.
   * @throws SkeinError
   */
  async open(destination: Destination): Promise<ByteStream> {
    const { backends, clock, connector, limits } = this.#options;
    const backend = await this.#findBackend(destination);
    const { retry } = toDefaultPlan(limits);
    const tried: EndpointLoad[] = [];
    for (;;) {
      const load = backends.refresh(backend).choose(tried, clock.monotonicMs(), connector);
      tried.push(load);
      try {
        const upstream = await connector.connect(load.endpoint);
        return this.#open(backend, load, upstream);
      } catch (thrown) {
        const error = new SkeinError(toSkeinError(thrown).code, toSkeinError(thrown).message, {
          cause: thrown,
          notProcessed: true,
        });
        backend.learnEnd(load, classifyError(error), clock.monotonicMs());
        const facts = { attempts: tried.length, isIdempotent: false, isReplayable: true, hasAnswered: false };
        if (judgeError(retry, error, facts) === 'no' || !backend.hasOther(tried)) throw error;
      }
    }
  }

  /** The service itself, or where its TCPRoute sends a connection. */
  async #findBackend(destination: Destination): Promise<Backend> {
    const { backends, routes } = this.#options;
    const own = await backends.find(destination);
    const table = routes.table.find(destination);
    if (table === undefined) return own;
    const rule = table.connections;
    if (rule === undefined) {
      const state = `its ${table.kind} takes requests, not bytes`;
      throw new SkeinError('SKEIN_BAD_REQUEST', `Cannot connect to "${destination.key}": ${state}`);
    }
    const { destination: target } = chooseBackend(rule);
    const backend = await backends.find(target);
    if (backend.size === 0) throw invalidBackend(rule, `nobody serves ${target.key}`);
    if (backend.protocol !== 'tcp') throw invalidBackend(rule, `${target.key} takes requests, not bytes`);
    return backend;
  }

  /** The stream is load of its endpoint until it is over, and tells of it then. */
  #open(backend: Backend, load: EndpointLoad, upstream: Upstream): ByteStream {
    backend.breaker.checkConnection();
    const stream = upstream.openRaw(toConnectHead(backend.destination));
    backend.breaker.enterConnection();
    load.pending++;
    return new WatchedStream(stream, (error) => {
      load.pending--;
      backend.breaker.leaveConnection();
      const outcome = error === undefined ? 'success' : classifyError(error);
      backend.learnEnd(load, outcome, this.#options.clock.monotonicMs());
    });
  }
}

function toConnectHead({ service, key }: Destination): RequestHead {
  return {
    method: 'CONNECT',
    scheme: '',
    authority: key.replace(service, `${service}.mesh`),
    path: '',
    fields: NO_FIELDS,
    upgrade: undefined,
    service: key,
  };
}
