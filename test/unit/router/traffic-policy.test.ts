/** A BackendTrafficPolicy at work: each of its members changes what the router does, from the next request on and without a restart. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { ROUTER_DEFAULTS } from '../../../src/router/options.ts';
import { limitsOf } from '../../../src/router/traffic-policy.ts';
import { trafficPolicy } from '../../support/routes.ts';
import { Bench, failure } from './bench.ts';
import { endpoint } from './endpoints.ts';

/** `api.default` with some instances and a policy. */
function withPolicy(spec: object, ...instances: readonly string[]): Bench {
  const bench = new Bench();
  bench.source.tell(
    'api.default',
    (instances.length === 0 ? ['a'] : instances).map((each) => endpoint(each)),
  );
  bench.source.policies.set('api.default', trafficPolicy(spec));
  return bench;
}

const members: readonly [spec: object, limits: Partial<typeof ROUTER_DEFAULTS>][] = [
  [{}, {}],
  [
    { retryConstraint: { budget: { percent: 5, interval: '1m' }, minRetryRate: { count: 30, interval: '1m' } } },
    { retryBudgetPercent: 5, retryBudgetIntervalMs: 60_000, minRetriesPerSecond: 0.5 },
  ],
  [{ circuitBreaker: { maxRequests: 7 } }, { maxPendingRequests: 7 }],
  [{ circuitBreaker: { maxConnections: 7 } }, { maxConnections: 7 }],
  [
    { outlierDetection: { consecutiveFailures: 2, interval: '3s', baseEjectionTime: '4s', maxEjectionTime: '5s' } },
    { outlierFailures: 2, outlierIntervalMs: 3000, outlierProbeMs: 4000, maxOutlierProbeMs: 5000 },
  ],
  [{ outlierDetection: { maxEjectionPercent: 0 } }, { maxEjectedPercent: 0 }],
  [{ health: { panicThreshold: 0, maxRetryAfter: '1s' } }, { panicPercent: 0, maxRestMs: 1000 }],
  [{ loadBalancer: { slowStart: { window: '1m' } } }, { warmUpMs: 60_000 }],
];
for (const [spec, limits] of members) {
  test(`${JSON.stringify(spec)} is ${JSON.stringify(limits)} to the router, and all else stays`, () => {
    deepEqual(limitsOf(trafficPolicy(spec), ROUTER_DEFAULTS), { ...ROUTER_DEFAULTS, ...limits });
  });
}

test('the breaker of a policy refuses what is too much, of a change at once, and counts what is under way', async () => {
  const bench = withPolicy({ circuitBreaker: { maxRequests: 2 } });
  bench.behave = () => undefined;
  const [first, , third] = [bench.get(), bench.get(), bench.get()];
  await third?.done;
  deepEqual([first?.isOver, third?.error?.code], [false, 'SKEIN_OVERFLOW']);
  bench.source.policies.set('api.default', trafficPolicy({ circuitBreaker: { maxRequests: 3 } }));
  const fourth = bench.get();
  const fifth = bench.get();
  await fifth.done;
  deepEqual([fourth.isOver, fifth.error?.code], [false, 'SKEIN_OVERFLOW']);
  bench.source.policies.delete('api.default');
  const sixth = bench.get();
  deepEqual([sixth.isOver, bench.asked.length], [false, 4], 'without a policy there is room for 1024');
});

test('the retry budget of a policy bounds the load of a service that fails', async () => {
  const attemptsPer100 = async (spec: object): Promise<number> => {
    const bench = withPolicy(spec, 'a', 'b', 'c');
    bench.behave = (request) => request.reply.onAbort(failure('SKEIN_STREAM_RESET'));
    for (let i = 0; i < 100; i++) await bench.finish(bench.get());
    return bench.asked.length;
  };
  const minRetryRate = { count: 1, interval: '1h' };
  equal(await attemptsPer100({ retryConstraint: { budget: { percent: 0 }, minRetryRate } }), 100);
  equal(await attemptsPer100({ retryConstraint: { budget: { percent: 10 }, minRetryRate } }), 110);
  ok((await attemptsPer100({})) > 190, 'ten a second are always allowed otherwise');
});

test('outlier detection of a policy leaves nobody alone at 0 %, and sooner with fewer failures', async () => {
  const badShare = async (outlierDetection: object): Promise<number> => {
    const bench = withPolicy({ outlierDetection, health: { panicThreshold: 0 } }, 'bad', 'b', 'c');
    bench.behave = (request, at) => request.answer(at.instance === 'bad' ? 503 : 200);
    for (let i = 0; i < 300; i++) {
      await bench.finish(bench.get({ method: 'POST' }));
      await bench.clock.advanceAsync(30);
    }
    return bench.asked.filter((instance) => instance === 'bad').length;
  };
  const never = await badShare({ maxEjectionPercent: 0 });
  const late = await badShare({ consecutiveFailures: 20, baseEjectionTime: '1m' });
  const soon = await badShare({ consecutiveFailures: 1, baseEjectionTime: '1m' });
  equal(soon, 1);
  ok(never > soon, `${never} asked although it fails, ${late} and ${soon} with ejection`);
});
