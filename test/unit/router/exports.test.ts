/** References across namespaces: without an Export their share of the requests fails, with one it does not, and only theirs. */
import { deepEqual, equal, notEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { Exports, NO_EXPORTS } from '../../../src/catalog/export.ts';
import { toDestination } from '../../../src/router/destination.ts';
import { RouteTable } from '../../../src/router/table.ts';
import { exportOf, httpRoute, routeSet, tcpRoute } from '../../support/routes.ts';
import { Bench } from './bench.ts';
import { endpoint } from './endpoints.ts';

const OWN = { name: 'v1', port: 80 };
const FOREIGN = { name: 'pay', namespace: 'bank', port: 80 };

/** What holds for members of `default` where namespace `bank` exports some services to them. */
function bench(spec: object, exports: Exports, meta: object = {}): Bench {
  const made = new Bench();
  made.table = new RouteTable({ ...routeSet('default', httpRoute(spec, meta)), exports });
  for (const service of ['api.default', 'v1.default', 'pay.bank'])
    made.source.tell(service, [endpoint(service, { service })]);
  return made;
}

async function answers(made: Bench, count: number): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (let i = 0; i < count; i++) {
    const { head, error } = await made.finish(made.get());
    const what = error === undefined ? String(head?.status) : `${error.status} ${error.reason}`;
    found[what] = (found[what] ?? 0) + 1;
  }
  return found;
}

const rule = { rules: [{ backendRefs: [{ ...OWN, weight: 3 }, FOREIGN] }] };

test('the share of a backend in another namespace is answered with 500, until it is exported', async () => {
  const refused = bench(rule, NO_EXPORTS);
  deepEqual(await answers(refused, 100), { 200: 75, '500 route-invalid': 25 });
  deepEqual([...new Set(refused.asked)], ['v1.default']);
  for (const [namespace, service] of [
    ['other', 'pay'],
    ['default', 'ledger'],
  ] as const) {
    const wrong = bench(rule, new Exports([exportOf('bank', namespace, service)]));
    deepEqual(await answers(wrong, 4), { 200: 3, '500 route-invalid': 1 });
  }
  const exported = bench(rule, new Exports([exportOf('bank', 'default', 'pay')]));
  deepEqual(await answers(exported, 100), { 200: 100 });
  equal(exported.asked.filter((instance) => instance === 'pay.bank').length, 25);
});

test('the answer says which Export is missing', async () => {
  const made = bench({ rules: [{ backendRefs: [FOREIGN] }] }, NO_EXPORTS);
  const { error } = await made.finish(made.get());
  equal(
    error?.message,
    'Cannot route request by HTTPRoute/default/r rules[0]: no Export lets routes of namespace "default" refer to pay.bank',
  );
});

test('who calls a service of another namespace may keep a route of its own for it that sends requests there', async () => {
  const parentRefs = [{ group: '', kind: 'Service', name: 'pay', namespace: 'bank' }];
  const made = bench({ parentRefs, rules: [{ backendRefs: [FOREIGN] }] }, NO_EXPORTS);
  const { head } = await made.finish(made.get({ authority: 'pay.bank.mesh' }));
  equal(head?.status, 200);
});

test('copies are not sent where the route may not refer to, and the request is answered all the same', async () => {
  const mirror = { type: 'RequestMirror', requestMirror: { backendRef: FOREIGN } };
  const spec = { rules: [{ filters: [mirror], backendRefs: [OWN] }] };
  const refused = bench(spec, NO_EXPORTS);
  deepEqual(await answers(refused, 3), { 200: 3 });
  deepEqual(refused.asked, Array(3).fill('v1.default'));
  const exported = bench(spec, new Exports([exportOf('bank', 'default', 'pay')]));
  deepEqual(await answers(exported, 1), { 200: 1 });
  await exported.clock.advanceAsync(1);
  deepEqual(exported.asked.sort(), ['pay.bank', 'v1.default']);
});

test('connections are refused in the same way', () => {
  const route = tcpRoute({ rules: [{ backendRefs: [FOREIGN] }] });
  const find = (exports: Exports): unknown =>
    new RouteTable({ ...routeSet('default', route), exports }).find(toDestination('api.default', 80))?.connections
      ?.backends.all[0]?.destination;
  deepEqual(find(NO_EXPORTS), { fault: 'no Export lets routes of namespace "default" refer to pay.bank' });
  deepEqual(find(new Exports([exportOf('bank', 'default', 'pay')])), toDestination('pay.bank', 80));
});

test('another Export compiles anew only what refers to other namespaces', () => {
  const api = httpRoute(rule);
  const web = httpRoute({ parentRefs: [{ group: '', kind: 'Service', name: 'web' }], rules: [{ backendRefs: [OWN] }] });
  const before = new RouteTable(routeSet('default', api, web));
  const exports = new Exports([exportOf('bank', 'default', 'pay')]);
  const after = new RouteTable({ ...routeSet('default', api, web), exports }, before);
  const find = (table: RouteTable, service: string): unknown => table.find(toDestination(service, 80));
  notEqual(find(after, 'api.default'), find(before, 'api.default'));
  equal(find(after, 'web.default'), find(before, 'web.default'));
});
