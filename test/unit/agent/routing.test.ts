/** Routing: the routes of a snapshot become a table; what cannot be read leaves what was good, or lets nothing pass. */

import { deepEqual, equal } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { Routing } from '../../../src/agent/routing.ts';
import { RE2 } from '../../../src/catalog/re2.ts';
import type { Manifest } from '../../../src/catalog/resource.ts';
import { Snapshot } from '../../../src/catalog/snapshot.ts';
import { toDestination } from '../../../src/router/destination.ts';
import { EventLog } from '../../support/event-log.ts';
import { requestHead } from '../../support/http.ts';
import { manifest } from '../../support/routes.ts';

const API = toDestination('api.default', 80);
const sha256 = (...parts: readonly Uint8Array[]): Uint8Array => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

class Bench {
  readonly log = new EventLog();
  readonly routing = new Routing({ log: this.log, namespace: () => 'default', expressions: RE2 });
  #snapshot = Snapshot.empty(1);

  put(...upserts: Manifest[]): void {
    this.#snapshot = this.#snapshot.with({ upserts, removals: [] }, sha256, this.#snapshot.revision + 1);
    this.routing.onSnapshot(this.#snapshot);
  }

  remove(...removals: string[]): void {
    this.#snapshot = this.#snapshot.with({ upserts: [], removals }, sha256, this.#snapshot.revision + 1);
    this.routing.onSnapshot(this.#snapshot);
  }

  /** The backends of the rule that takes a request; undefined where no route is attached. */
  backends(path = '/'): readonly string[] | undefined {
    const routes = this.routing.table.find(API);
    return routes === undefined
      ? undefined
      : (routes.match(requestHead({ path }))?.rule.backends.all.map(({ label }) => label) ?? ['none']);
  }
}

const route = (backend: string, name = 'r'): Manifest =>
  manifest('HTTPRoute', { rules: [{ backendRefs: [{ name: backend, port: 80 }] }] }, { name });

test('routes come, change and go', () => {
  const bench = new Bench();
  equal(bench.backends(), undefined);
  bench.put(route('a'));
  deepEqual(bench.backends(), ['a.default']);
  bench.put(route('b'));
  deepEqual(bench.backends(), ['b.default']);
  const { table } = bench.routing;
  bench.put({ kind: 'AuthorizationPolicy', metadata: { name: 'p', namespace: 'default' }, spec: {} });
  equal(bench.routing.table, table, 'nothing of this is about routes');
  bench.remove('HTTPRoute/default/r');
  equal(bench.backends(), undefined);
  equal(bench.log.of('routes-changed').length, 3);
});

test('a route that cannot be read any more stays as it was', () => {
  const bench = new Bench();
  bench.put(route('a'));
  bench.put(manifest('HTTPRoute', { rules: [{ fromTheFuture: true }] }));
  deepEqual(bench.backends(), ['a.default']);
  equal(bench.log.of('resource-unreadable').length, 1);
  bench.put(route('x', 'z-other'));
  deepEqual(bench.backends(), ['a.default']);
  equal(bench.log.of('resource-unreadable').length, 1, 'said once');
  bench.put(route('b'));
  deepEqual(bench.backends(), ['b.default']);
});

test('a route that never could be read lets no request to its services pass', () => {
  const bench = new Bench();
  const parentRefs = [80, 81].map((port) => ({ group: '', kind: 'Service', name: 'api', port }));
  bench.put(manifest('HTTPRoute', { parentRefs, rules: [{ fromTheFuture: true }] }));
  deepEqual(bench.backends(), []);
  equal(bench.routing.table.find(toDestination('web.default', 80)), undefined);
});

test('an extension that changes is seen by the routes that refer to it', () => {
  const bench = new Bench();
  const extensionRef = { group: 'skein.dev', kind: 'DirectResponse', name: 'x' };
  bench.put(manifest('HTTPRoute', { rules: [{ filters: [{ type: 'ExtensionRef', extensionRef }] }] }));
  const summary = (): string | undefined =>
    bench.routing.table.find(API)?.match(requestHead())?.rule.filters[0]?.summary;
  equal(summary(), 'fails: there is no DirectResponse.skein.dev "x" in namespace "default"');
  const notice = (status: number): Manifest => ({
    kind: 'DirectResponse',
    metadata: { name: 'x', namespace: 'default' },
    spec: { status },
  });
  bench.put(notice(503));
  equal(summary(), 'answers 503');
  bench.put(notice(204));
  equal(summary(), 'answers 204');
  bench.remove('DirectResponse/default/x');
  equal(summary()?.startsWith('fails'), true);
});

test('exports and policies for services come, change and go without a word about the rest', () => {
  const bench = new Bench();
  const foreign = { backendRefs: [{ name: 'pay', namespace: 'bank', port: 80 }] };
  bench.put(manifest('HTTPRoute', { rules: [foreign] }));
  const destination = (): unknown =>
    bench.routing.table.find(API)?.match(requestHead({}))?.rule.backends.all[0]?.destination;
  const fault = { fault: 'no Export lets routes of namespace "default" refer to pay.bank' };
  deepEqual(destination(), fault);
  const spec = { from: [{ namespace: 'default' }], to: [{ name: 'pay' }] };
  bench.put({ kind: 'Export', metadata: { name: 'e', namespace: 'bank' }, spec });
  deepEqual(destination(), toDestination('pay.bank', 80));
  bench.put({ kind: 'Export', metadata: { name: 'e', namespace: 'bank' }, spec: { fromTheFuture: true } });
  deepEqual(destination(), toDestination('pay.bank', 80), 'the last one that could be read');
  bench.remove('Export/bank/e');
  deepEqual(destination(), fault);

  const { table } = bench.routing;
  const policy = (name: string, maxRequests: number): Manifest => ({
    kind: 'BackendTrafficPolicy',
    metadata: { name, namespace: 'default' },
    spec: { targetRefs: [{ name: 'api' }], circuitBreaker: { maxRequests } },
  });
  const limit = (): number | undefined => bench.routing.policy('api.default')?.spec.circuitBreaker?.maxRequests;
  equal(limit(), undefined);
  bench.put(policy('second', 2));
  equal(limit(), 2);
  const held = bench.routing.policy('api.default');
  bench.put({ kind: 'AuthorizationPolicy', metadata: { name: 'p', namespace: 'default' }, spec: {} });
  equal(bench.routing.policy('api.default'), held);
  bench.put(policy('first', 1));
  equal(limit(), 1);
  bench.remove('BackendTrafficPolicy/default/first', 'BackendTrafficPolicy/default/second');
  equal(limit(), undefined);
  equal(bench.routing.table, table, 'nothing of this is about routes');
});
