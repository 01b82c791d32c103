/** Explanations: that what is told is what happens, on requests and meshes made at random; and the words, on a few made by hand. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { RequestHead } from '../../../src/http/head.ts';
import type { RequestFact } from '../../../src/router/events.ts';
import { explainDispatch } from '../../../src/router/explain.ts';
import type { Explanation } from '../../../src/router/explanation.ts';
import { RouteTable } from '../../../src/router/table.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { printFigures } from '../../support/figures.ts';
import { grpcRoute, httpRoute, routeSet, tableOf } from '../../support/routes.ts';
import { Bench, routed } from './bench.ts';
import { endpoint, type ReplyRecorder, requestHead } from './endpoints.ts';
import { type DrawnMesh, drawHead, drawMesh } from './explain-fuzz.ts';

const HERE = { region: '', zone: '' };
const explain = (bench: Bench, head: Partial<RequestHead> = {}): Promise<Explanation> =>
  explainDispatch(bench.dispatcher, requestHead(head), 'default', HERE);

const MESHES = 200;
const REQUESTS = 50;

test('What is explained is what happens, on 10,000 requests to meshes made at random', async (t) => {
  const random = new SeededRandom(20_261_126);
  t.diagnostic(`seed ${random.seed}`);
  const counts: Record<string, number> = {};
  for (let m = 0; m < MESHES; m++) {
    const { bench, arrived, namespace, here } = drawMesh(random);
    for (let r = 0; r < REQUESTS; r++) {
      const head = drawHead(random);
      const told = await explainDispatch(bench.dispatcher, head, namespace, here);
      const [finishedBefore, arrivedBefore] = [bench.finished.length, arrived.length];
      const reply = await bench.finish(bench.get(head));
      const { outcome } = told;
      const kind = outcome.kind === 'refused' ? outcome.reason : outcome.kind;
      counts[kind] = (counts[kind] ?? 0) + 1;
      try {
        compare(told, reply, arrived[arrivedBefore], bench.finished[finishedBefore]);
        checkMatches(told);
      } catch (cause) {
        throw new Error(`Mesh ${m}, request ${r}: ${JSON.stringify({ head, told })}`, { cause });
      }
    }
  }
  printFigures('explain', { requests: MESHES * REQUESTS, ...counts });
  for (const kind of [
    'forwarded',
    'answered',
    'no-route',
    'route-invalid',
    'no-such-service',
    'no-endpoint',
    'deadline',
    'not-a-mesh-name',
  ]) {
    ok((counts[kind] ?? 0) > 0, kind);
  }
});

function compare(
  { rule, outcome, backends }: Explanation,
  { error, head }: ReplyRecorder,
  first: DrawnMesh['arrived'][number] | undefined,
  fact: RequestFact | undefined,
): void {
  if (fact !== undefined) equal(fact.rule, rule ?? '');
  switch (outcome.kind) {
    case 'forwarded': {
      const { service, method, authority, path, fields } = first?.head ?? requestHead();
      equal(service, outcome.service);
      ok(outcome.instances?.includes(first?.instance ?? ''), first?.instance);
      deepEqual({ method, authority, path, fields }, backends.find(({ isNext }) => isNext)?.sent);
      return;
    }
    case 'refused':
      equal(first, undefined);
      deepEqual([error?.reason, error?.status, error?.message], [outcome.reason, outcome.status, outcome.message]);
      return;
    case 'answered':
      equal(first, undefined);
      deepEqual([head?.status, head?.fields], [outcome.status, outcome.fields]);
  }
}

/** Nothing that holds stands before what was chosen, and where nothing was chosen nothing holds. */
function checkMatches({ matches, rule }: Explanation): void {
  const at = matches.findIndex(({ isChosen }) => isChosen);
  if (rule !== undefined) equal(matches[at]?.rule, rule);
  for (const [i, { lost }] of matches.entries()) {
    if (i === at) continue;
    ok(lost !== undefined && lost !== '');
    if (at < 0 || i < at) ok(!lost.startsWith('it holds too'), lost);
  }
}

const V1 = { name: 'v1', port: 80 };
const V2 = { name: 'v2', port: 80 };

test('Each route that is attached has its say, or its reason', async () => {
  const bench = routed();
  const parent = { group: '', kind: 'Service', name: 'api', namespace: 'default' };
  const on = (more: object): object => ({ parentRefs: [{ ...parent, ...more }], rules: [{ backendRefs: [V1] }] });
  bench.table = tableOf(
    httpRoute(on({}), { name: 'all' }),
    httpRoute(on({ port: 81 }), { name: 'port' }),
    httpRoute(on({ sectionName: 'http' }), { name: 'section' }),
    httpRoute(on({}), { name: 'shop', namespace: 'shop' }),
    grpcRoute(on({}), { name: 'grpc' }),
  );
  const reasons = async (namespace: string): Promise<unknown> => {
    const { routes } = await explainDispatch(bench.dispatcher, requestHead(), namespace, HERE);
    return Object.fromEntries(routes.map(({ route, unused }) => [route, unused]));
  };
  deepEqual(await reasons('default'), {
    'HTTPRoute/default/all': 'a GRPCRoute on the same port takes its place',
    'HTTPRoute/default/port': 'it is for port 81',
    'HTTPRoute/default/section': 'it names a section, and ports have no names',
    'HTTPRoute/shop/shop': 'it is for callers of namespace "shop"',
    'GRPCRoute/default/grpc': undefined,
  });
  const own = { rules: [{ backendRefs: [V1] }], parentRefs: [parent] };
  bench.table = new RouteTable(
    routeSet('shop', httpRoute(own, { name: 'all' }), httpRoute(own, { name: 'shop', namespace: 'shop' })),
  );
  bench.source.tell('v1.shop', []);
  deepEqual(await reasons('shop'), {
    'HTTPRoute/default/all': 'routes of namespace "shop" take its place for callers there',
    'HTTPRoute/shop/shop': undefined,
  });
});

test('The chosen match is told by what decided, each other one by what it wants or lacks', async () => {
  const bench = routed({
    rules: [
      { name: 'exact', matches: [{ path: { type: 'Exact', value: '/a' } }], backendRefs: [V1] },
      { name: 'long', matches: [{ path: { value: '/a/b' } }], backendRefs: [V1] },
      { name: 'get', matches: [{ method: 'GET' }], backendRefs: [V2] },
      { name: 'fields', matches: [{ headers: [{ name: 'X-A', value: '1' }] }], backendRefs: [V1] },
      { name: 'query', matches: [{ queryParams: [{ name: 'q', value: '1' }] }], backendRefs: [V1] },
      { name: 'first', backendRefs: [V1] },
      { name: 'second', backendRefs: [V1] },
    ],
  });
  const lost = async (head: Partial<RequestHead>): Promise<Record<string, string | undefined>> => {
    const { matches } = await explain(bench, head);
    return Object.fromEntries(matches.map(({ rule, lost }) => [rule.split(' ')[1] ?? '', lost]));
  };
  deepEqual(await lost({ method: 'PUT', path: '/a/b?q=1', fields: ['x-a', '1'] }), {
    exact: 'the path is not "/a"',
    long: undefined,
    get: 'the method is not GET',
    fields: 'it holds too, but the chosen one has the longer path',
    query: 'it holds too, but the chosen one has the longer path',
    first: 'it holds too, but the chosen one has the longer path',
    second: 'it holds too, but the chosen one has the longer path',
  });
  deepEqual(await lost({ method: 'PUT', path: '/?q=2', fields: ['x-a', '2'] }), {
    exact: 'the path is not "/a"',
    long: 'the path is not at or below "/a/b"',
    get: 'the method is not GET',
    fields: 'header "X-A" is not "1"',
    query: 'query parameter "q" is not "1"',
    first: undefined,
    second: 'it holds too, but the chosen one stands before it in the route',
  });
  equal((await lost({ path: '/x' })).first, 'it holds too, but the chosen one names a method');
});

test('Endpoints are told with their state, and which of them may be asked', async () => {
  const bench = new Bench({ outlierFailures: 1, outlierProbeMs: 60_000 }, { region: 'eu', zone: 'a' });
  const at = (region: string, zone: string) => ({ region, zone });
  bench.source.tell('api.default', [
    endpoint('near', at('eu', 'a')),
    endpoint('sick', { ...at('eu', 'a'), healthy: false }),
    endpoint('silent', at('eu', 'a')),
    endpoint('failing', at('eu', 'a')),
    endpoint('far', at('us', 'a')),
  ]);
  bench.suspects.add('silent');
  bench.behave = (request, { instance }) => request.answer(instance === 'failing' ? 503 : 200);
  while (!bench.asked.includes('failing')) await bench.finish(bench.get());
  const { backends, outcome } = await explainDispatch(bench.dispatcher, requestHead(), 'default', {
    region: 'eu',
    zone: 'a',
  });
  deepEqual(
    backends[0]?.endpoints?.map(({ instance, state, distance, isSuspect, isEligible }) => [
      instance,
      state,
      distance,
      isSuspect,
      isEligible,
    ]),
    [
      ['near', 'usable', 'same zone', false, true],
      ['sick', 'unhealthy', 'same zone', false, false],
      ['silent', 'usable', 'same zone', true, false],
      ['failing', 'ejected', 'same zone', false, false],
      ['far', 'usable', 'elsewhere', false, true],
    ],
  );
  deepEqual(outcome, { kind: 'forwarded', service: 'api.default:80', instances: ['near', 'far'] });
});

test('Times and retries are those of the rule, of the caller, or the default; whose turn it is stays', async () => {
  const bench = routed({
    rules: [
      {
        timeouts: { request: '5s', backendRequest: '1s' },
        retry: { attempts: 2, codes: [503], backoff: '50ms' },
        backendRefs: [
          { ...V1, weight: 1 },
          { ...V2, weight: 1 },
        ],
      },
    ],
  });
  const { times, retries } = await explain(bench);
  deepEqual(times, { requestMs: 5000, requestFrom: 'timeouts.request', attemptMs: 1000 });
  deepEqual(retries, { retries: 2, codes: [503], backoffMs: 50, isRepeatable: true });
  const short = await explain(bench, { timeLeftMs: 100, method: 'POST' });
  deepEqual(short.times, { requestMs: 100, requestFrom: 'the caller', attemptMs: 1000 });
  equal(short.retries?.isRepeatable, false);
  equal((await explain(bench, { authority: 'v1.mesh' })).times?.requestFrom, 'the default');
  for (const turn of ['v1', 'v2', 'v1']) {
    for (let i = 0; i < 3; i++)
      equal((await explain(bench)).backends.find(({ isNext }) => isNext)?.label, `${turn}.default`);
    await bench.get().done;
    equal(bench.asked.at(-1), turn);
  }
});
