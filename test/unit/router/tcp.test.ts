/** Raw connections and TCPRoutes: shares by weight, and a refusal for the share of what is no backend. */
import { deepEqual, equal, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import type { ByteStream } from '../../../src/core/byte-stream.ts';
import { Emitter } from '../../../src/core/emitter.ts';
import { NO_BODY } from '../../../src/http/refusal.ts';
import { Backends } from '../../../src/router/backends.ts';
import { toDestination } from '../../../src/router/destination.ts';
import type { RouterEvents } from '../../../src/router/events.ts';
import { ROUTER_DEFAULTS } from '../../../src/router/options.ts';
import { TcpDispatcher } from '../../../src/router/tcp.ts';
import { createMemoryStreams } from '../../../src/testing/memory-stream.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { httpRoute, tableOf, tcpRoute } from '../../support/routes.ts';
import { endpoint, TestSource } from './endpoints.ts';

class Bench {
  readonly clock = new VirtualClock();
  readonly source = new TestSource();
  /** Instance and `RequestHead.service` of each connection. */
  readonly opened: string[] = [];
  readonly dispatcher: TcpDispatcher;
  table = tableOf();

  constructor() {
    const [random, events] = [new SeededRandom(1), new Emitter<RouterEvents>()];
    const here = { region: '', zone: '' };
    this.dispatcher = new TcpDispatcher({
      backends: new Backends(this.source, this.clock, { here, random, limits: ROUTER_DEFAULTS, events }),
      connector: {
        hasSuspects: false,
        rttMs: () => undefined,
        isSuspect: () => false,
        connect: (at) => ({
          http: { request: () => NO_BODY },
          openRaw: (head) => {
            this.opened.push(`${at.instance} ${head.service}`);
            return createMemoryStreams(this.clock)[0];
          },
        }),
      },
      clock: this.clock,
      limits: ROUTER_DEFAULTS,
      routes: this,
    });
    for (const name of ['db', 'v1', 'v2']) this.serve(name, 'tcp');
  }

  serve(name: string, protocol: 'tcp' | 'http'): void {
    const service = `${name}.default`;
    this.source.tell(service, [endpoint(name, { service, port: 5432, protocol })]);
  }

  open(): Promise<ByteStream> {
    return this.dispatcher.open(toDestination('db.default', 5432));
  }
}

const route = (...backendRefs: object[]): ReturnType<typeof tcpRoute> =>
  tcpRoute({ parentRefs: [{ group: '', kind: 'Service', name: 'db' }], rules: [{ backendRefs }] });

test('without a route a connection goes to the service itself', async () => {
  const bench = new Bench();
  await bench.open();
  deepEqual(bench.opened, ['db db.default:5432']);
});

test('a TCPRoute shares connections by weight', async () => {
  const bench = new Bench();
  bench.table = tableOf(route({ name: 'v1', port: 5432, weight: 7 }, { name: 'v2', port: 5432, weight: 3 }));
  for (let i = 0; i < 100; i++) await bench.open();
  equal(bench.opened.filter((to) => to === 'v1 v1.default:5432').length, 70);
  equal(bench.opened.filter((to) => to === 'v2 v2.default:5432').length, 30);
});

test('the share of what is no backend is refused', async () => {
  const bench = new Bench();
  bench.serve('web', 'http');
  bench.source.tell('nobody.default', []);
  bench.table = tableOf(
    route(
      { name: 'v1', port: 5432 },
      { name: 'nobody', port: 5432 },
      { name: 'web', port: 5432 },
      { name: 'x', kind: 'Bucket', group: 'example.com' },
    ),
  );
  let refused = 0;
  for (let i = 0; i < 40; i++) {
    await bench.open().catch(({ code }) => {
      equal(code, 'SKEIN_ROUTE_INVALID');
      refused++;
    });
  }
  deepEqual([refused, bench.opened.length], [30, 10]);
});

test('a service whose routes take requests takes no bytes', async () => {
  const bench = new Bench();
  bench.table = tableOf(httpRoute({ parentRefs: [{ group: '', kind: 'Service', name: 'db' }], rules: [{}] }));
  await rejects(bench.open(), { code: 'SKEIN_BAD_REQUEST' });
});
