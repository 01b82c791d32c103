/** BackendTrafficPolicy: what is accepted, where the issues of the rest are, and which of several holds. */
import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import {
  type BackendTrafficPolicy,
  choosePolicies,
  parseBackendTrafficPolicy,
} from '../../../src/catalog/backend-traffic-policy.ts';
import { valueOrThrow } from '../../../src/catalog/issue.ts';
import { parseManifest } from '../../../src/catalog/parse.ts';
import { trafficPolicy } from '../../support/routes.ts';

const HEADER = { type: 'Header', header: { name: 'x-user' } };

const specs: readonly [spec: object, paths: readonly string[]][] = [
  [{}, []],
  [{ targetRefs: [{ group: '', kind: 'Service', name: 'a' }, { name: 'b' }] }, []],
  [{ targetRefs: [] }, ['spec.targetRefs']],
  [{ targetRefs: [{ name: 'a' }, { name: 'a' }] }, ['spec.targetRefs']],
  [{ targetRefs: Array.from({ length: 17 }, (_, i) => ({ name: `a${i}` })) }, ['spec.targetRefs']],
  [{ targetRefs: [{ kind: 'Gateway', name: 'a' }] }, ['spec.targetRefs[0].kind']],
  [{ targetRefs: [{ name: 'a', namespace: 'b' }] }, ['spec.targetRefs[0].namespace']],
  [{ retryConstraint: {} }, []],
  [{ retryConstraint: { budget: { percent: 0, interval: '1h' }, minRetryRate: { count: 1, interval: '1s' } } }, []],
  [{ retryConstraint: { budget: { percent: 101 } } }, ['spec.retryConstraint.budget.percent']],
  [{ retryConstraint: { budget: { percent: 2.5 } } }, ['spec.retryConstraint.budget.percent']],
  [{ retryConstraint: { budget: { interval: '999ms' } } }, ['spec.retryConstraint.budget.interval']],
  [{ retryConstraint: { budget: { interval: '1h1ms' } } }, ['spec.retryConstraint.budget.interval']],
  [{ retryConstraint: { minRetryRate: { count: 0 } } }, ['spec.retryConstraint.minRetryRate.count']],
  [{ retryConstraint: { minRetryRate: { count: 1_000_001 } } }, ['spec.retryConstraint.minRetryRate.count']],
  [{ retryConstraint: { minRetryRate: { interval: '0s' } } }, ['spec.retryConstraint.minRetryRate.interval']],
  [{ circuitBreaker: { maxRequests: 1, maxConnections: 1 } }, []],
  [{ circuitBreaker: { maxRequests: 0 } }, ['spec.circuitBreaker.maxRequests']],
  [{ circuitBreaker: { maxRetries: 3 } }, ['spec.circuitBreaker.maxRetries']],
  [{ outlierDetection: { consecutiveFailures: 5, interval: '1s', maxEjectionPercent: 0 } }, []],
  [{ outlierDetection: { baseEjectionTime: '30s', maxEjectionTime: '30s' } }, []],
  [{ outlierDetection: { baseEjectionTime: '31s', maxEjectionTime: '30s' } }, ['spec.outlierDetection']],
  [{ outlierDetection: { interval: '0s' } }, ['spec.outlierDetection.interval']],
  [{ outlierDetection: { maxEjectionPercent: 101 } }, ['spec.outlierDetection.maxEjectionPercent']],
  [{ health: { panicThreshold: 0, maxRetryAfter: '5m' } }, []],
  [{ health: { panicThreshold: -1 } }, ['spec.health.panicThreshold']],
  [{ loadBalancer: {} }, []],
  [{ loadBalancer: { type: 'PeakEwma', slowStart: { window: '30s' } } }, []],
  [{ loadBalancer: { slowStart: {} } }, ['spec.loadBalancer.slowStart.window']],
  [{ loadBalancer: { type: 'Random' } }, ['spec.loadBalancer.type']],
  [{ loadBalancer: { type: 'ConsistentHash', consistentHash: HEADER } }, []],
  [{ loadBalancer: { type: 'ConsistentHash' } }, ['spec.loadBalancer']],
  [{ loadBalancer: { consistentHash: HEADER } }, ['spec.loadBalancer']],
  [
    { loadBalancer: { type: 'ConsistentHash', consistentHash: { type: 'Cookie', header: { name: 'x' } } } },
    ['spec.loadBalancer.consistentHash'],
  ],
  [
    { loadBalancer: { type: 'ConsistentHash', consistentHash: { ...HEADER, cookie: { name: 'x' } } } },
    ['spec.loadBalancer.consistentHash'],
  ],
  [{ rateLimit: { total: { requests: 9 }, perCaller: { requests: 5, interval: '10s', burst: 50 } } }, []],
  [{ rateLimit: { overrides: [{ ids: ['spiffe://skein.mesh/ns/*/sa/web'], requests: 9 }] } }, []],
  [{ rateLimit: { perCaller: { requests: 0 } } }, ['spec.rateLimit.perCaller.requests']],
  [{ rateLimit: { perCaller: { requests: 5, interval: '10ms' } } }, ['spec.rateLimit.perCaller.interval']],
  [{ rateLimit: { overrides: [{ ids: [], requests: 9 }] } }, ['spec.rateLimit.overrides[0].ids']],
  [{ rateLimit: { overrides: [{ ids: ['web'], requests: 9 }] } }, ['spec.rateLimit.overrides[0].ids[0]']],
  [{ rateLimit: { perHost: { requests: 9 } } }, ['spec.rateLimit.perHost']],
  [{ sessionPersistence: {} }, []],
  [{ sessionPersistence: { sessionName: 'user', type: 'Header', idleTimeout: '5m' } }, []],
  [{ sessionPersistence: { cookieConfig: { lifetimeType: 'Permanent' }, absoluteTimeout: '24h' } }, []],
  [{ sessionPersistence: { cookieConfig: { lifetimeType: 'Permanent' } } }, ['spec.sessionPersistence']],
  [{ sessionPersistence: { type: 'Header', cookieConfig: {} } }, ['spec.sessionPersistence']],
  [{ sessionPersistence: { sessionName: 'x'.repeat(129) } }, ['spec.sessionPersistence.sessionName']],
  [{ sessionPersistence: { sessionName: 'a b' } }, ['spec.sessionPersistence.sessionName']],
  [{ timeouts: {} }, ['spec.timeouts']],
];
for (const [change, paths] of specs) {
  test(`BackendTrafficPolicy ${JSON.stringify(change).slice(0, 90)}: ${paths.join() || 'accepted'}`, () => {
    const spec = { targetRefs: [{ name: 'api' }], ...change };
    const parsed = parseManifest({ kind: 'BackendTrafficPolicy', metadata: { name: 'x' }, spec });
    deepEqual('value' in parsed ? [] : parsed.issues.map(({ path }) => path), paths);
  });
}

test('what is left out of a retry constraint is as Gateway API has it', () => {
  const { spec } = trafficPolicy({ retryConstraint: {} });
  deepEqual(spec.retryConstraint, {
    budget: { percent: 20, interval: 10_000 },
    minRetryRate: { count: 10, interval: 1000 },
  });
});

test('of several policies for one service the oldest holds, then the first by name, in whatever order they come', () => {
  const policy = (name: string, createdAt: string, targets: string[], namespace = 'shop'): BackendTrafficPolicy => {
    const metadata = { name, namespace, ...(createdAt === '' ? {} : { creationTimestamp: createdAt }) };
    const spec = { targetRefs: targets.map((target) => ({ name: target })) };
    return valueOrThrow(parseBackendTrafficPolicy({ kind: 'BackendTrafficPolicy', metadata, spec }), 'policy');
  };
  const all = [
    policy('young', '2026-01-02T00:00:00.000Z', ['a', 'b', 'c']),
    policy('old-2', '2026-01-01T00:00:00.000Z', ['a', 'b']),
    policy('old-1', '2026-01-01T00:00:00.000Z', ['a']),
    policy('elsewhere', '2020-01-01T00:00:00.000Z', ['a'], 'bank'),
  ];
  for (const list of [all, all.toReversed(), [all[2], all[0], all[3], all[1]] as BackendTrafficPolicy[]]) {
    const chosen = Object.fromEntries([...choosePolicies(list)].map(([service, { name }]) => [service, name]));
    deepEqual(chosen, { 'a.shop': 'old-1', 'b.shop': 'old-2', 'c.shop': 'young', 'a.bank': 'elsewhere' });
  }
});
