/** A dispatcher with its real parts, on a virtual clock, whose endpoints the test plays. */
import type { Endpoint } from '../../../src/catalog/endpoint.ts';
import { Emitter } from '../../../src/core/emitter.ts';
import { type ErrorCode, SkeinError } from '../../../src/core/errors.ts';
import type { HttpHandler } from '../../../src/http/handler.ts';
import type { RequestHead } from '../../../src/http/head.ts';
import { Backends } from '../../../src/router/backends.ts';
import { Dispatcher } from '../../../src/router/dispatch.ts';
import type { RequestFact, RetryFact, RouterEvents } from '../../../src/router/events.ts';
import type { Locality } from '../../../src/router/locality.ts';
import { type RouterOptions, resolveRouterOptions } from '../../../src/router/options.ts';
import type { Upstream } from '../../../src/router/upstream.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { httpRoute, tableOf } from '../../support/routes.ts';
import { endpoint, handlerOf, type ReceivedRequest, ReplyRecorder, requestHead, TestSource } from './endpoints.ts';

type Behaviour = (request: ReceivedRequest, at: Endpoint) => void;

export function failure(code: ErrorCode, notProcessed?: boolean): SkeinError {
  return new SkeinError(code, 'Cannot test: as planned', notProcessed === undefined ? {} : { notProcessed });
}

export class Bench {
  readonly clock = new VirtualClock();
  readonly source = new TestSource();
  readonly backends: Backends;
  readonly dispatcher: Dispatcher;
  readonly asked: string[] = [];
  readonly finished: RequestFact[] = [];
  readonly retried: RetryFact[] = [];
  /** Instances that were not heard for a while. */
  readonly suspects = new Set<string>();
  /** Round trips to instances, where they were measured. */
  readonly rtts = new Map<string, number>();
  readonly events = new Emitter<RouterEvents>();
  table = tableOf();
  readonly middleware = new Map<string, (next: HttpHandler) => HttpHandler>();
  behave: Behaviour = (request) => request.answer(200);
  connect: (at: Endpoint) => Upstream | Promise<Upstream> = (at) => this.upstream(at);

  constructor(limits: Partial<RouterOptions> = {}, here: Locality = { region: '', zone: '' }) {
    const options = resolveRouterOptions(limits);
    const random = new SeededRandom(1);
    const { events } = this;
    this.backends = new Backends(this.source, this.clock, { here, random, limits: options, events });
    this.dispatcher = new Dispatcher({
      backends: this.backends,
      connector: {
        hasSuspects: true,
        rttMs: ({ instance }) => this.rtts.get(instance),
        isSuspect: ({ instance }) => this.suspects.has(instance),
        connect: (at) => {
          this.asked.push(at.instance);
          return this.connect(at);
        },
      },
      clock: this.clock,
      events,
      names: { namespace: 'default' },
      random,
      limits: options,
      routes: this,
      middleware: (name) => this.middleware.get(name),
    });
    events.on('finished', (fact) => this.finished.push(fact));
    events.on('retried', (fact) => this.retried.push(fact));
  }

  upstream(at: Endpoint): Upstream {
    return {
      http: handlerOf((request) => this.behave(request, at)),
      openRaw: () => {
        throw failure('SKEIN_REFUSED');
      },
    };
  }

  /** Lets as much time pass as the answer needs. */
  async finish(reply: ReplyRecorder): Promise<ReplyRecorder> {
    if (!(await this.clock.advanceUntil(() => reply.isOver, 60_000))) throw new Error('no answer after 60 s');
    return reply;
  }

  get(change: Partial<RequestHead> = {}): ReplyRecorder {
    const reply = new ReplyRecorder();
    this.dispatcher.request(requestHead(change), true, reply);
    return reply;
  }
}

/** A mesh where `api.default` has routes and two others serve. */
export function routed(...specs: readonly unknown[]): Bench {
  const bench = new Bench();
  bench.table = tableOf(...specs.map((spec, i) => httpRoute(spec, { name: `r${i}` })));
  for (const service of ['api', 'v1', 'v2']) {
    bench.source.tell(`${service}.default`, [endpoint(service, { service: `${service}.default` })]);
  }
  return bench;
}
