/** Rates of callers: as many as allowed, within 5 % over 10 s, one caller's greed no other's loss, and bounded memory. */
import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { parseSpiffeId, type SpiffeId } from '../../../src/core/spiffe-id.ts';
import { RateLimiter, type RateLimitPolicy } from '../../../src/router/rate-limit.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';

const id = (name: string): SpiffeId => parseSpiffeId(`spiffe://skein.mesh/ns/default/sa/${name}`);

/** Requests of each caller that pass in `forMs`, when each asks `perSecond` times a second at random moments. */
function run(policy: RateLimitPolicy, perSecond: Readonly<Record<string, number>>, forMs: number): Map<string, number> {
  const limiter = new RateLimiter(policy);
  const random = new SeededRandom(5);
  const asked = Object.entries(perSecond).flatMap(([caller, rate]) =>
    Array.from({ length: (rate * forMs) / 1000 }, () => ({ caller, atMs: random.ratio() * forMs })),
  );
  const passed = new Map<string, number>();
  for (const { caller, atMs } of asked.sort((a, b) => a.atMs - b.atMs)) {
    if (limiter.take(id(caller), atMs) === 0) passed.set(caller, (passed.get(caller) ?? 0) + 1);
  }
  return passed;
}

test('a caller gets its rate, within 5 % over 10 s, and its burst once', () => {
  const passed = run({ perCaller: { requests: 50, burst: 5 } }, { greedy: 400 }, 10_000).get('greedy') ?? 0;
  ok(passed >= 475 && passed <= 525, `${passed} of 500`);
});

test('one that asks for more takes nothing from the others', () => {
  const passed = run({ perCaller: { requests: 50 } }, { greedy: 2_000, modest: 20, other: 20 }, 10_000);
  deepEqual([passed.get('modest'), passed.get('other')], [200, 200]);
});

test('a total holds over all callers, and what it refuses is not charged to the caller', () => {
  const limiter = new RateLimiter({ total: { requests: 1, burst: 1 }, perCaller: { requests: 1, intervalMs: 60_000 } });
  equal(limiter.take(id('a'), 0), 0);
  equal(limiter.take(id('b'), 0), 1_000);
  equal(limiter.take(id('b'), 1_000), 0, 'b has not lost its one request of the minute');
  equal(limiter.take(id('a'), 2_000), 58_000);
  const passed = run({ total: { requests: 100, burst: 10 } }, { a: 300, b: 300 }, 10_000);
  const sum = [...passed.values()].reduce((all, count) => all + count);
  ok(sum >= 950 && sum <= 1_060, `${sum} of 1000`);
});

test('of the overrides the first that fits the caller holds instead of the rate of all', () => {
  const limiter = new RateLimiter({
    perCaller: { requests: 1 },
    overrides: [
      { ids: [id('vip').uri, 'spiffe://skein.mesh/ns/ops/**'], rate: { requests: 3 } },
      { ids: ['spiffe://skein.mesh/ns/*/sa/*'], rate: { requests: 2 } },
    ],
  });
  const passes = (uri: string): number =>
    Array.from({ length: 9 }, () => limiter.take(parseSpiffeId(uri), 0)).filter((ms) => ms === 0).length;
  const callers = [id('vip').uri, id('else').uri, 'spiffe://skein.mesh/ns/ops/sa/a', 'spiffe://other.mesh/ns/a/sa/b'];
  deepEqual(callers.map(passes), [3, 2, 3, 1]);
});

test('who is refused is told when there will be room, and has it then', () => {
  const limiter = new RateLimiter({ perCaller: { requests: 10, burst: 2 } });
  equal(limiter.take(id('a'), 0), 0);
  equal(limiter.take(id('a'), 0), 0);
  const waitMs = limiter.take(id('a'), 30);
  equal(waitMs, 70);
  equal(limiter.take(id('a'), 30 + waitMs), 0);
});

test('however many callers there are, so many are remembered, and those first who would be full again', () => {
  const limiter = new RateLimiter({ perCaller: { requests: 1, intervalMs: 10_000, burst: 1 } }, 100);
  equal(limiter.take(id('early'), 0), 0);
  for (let i = 0; i < 1_000; i++) limiter.take(id(`caller-${i}`), 10_001 + i);
  ok(limiter.size <= 100, `${limiter.size}`);
  ok(limiter.take(id('caller-999'), 11_001) > 0, 'the last ones are still known');
});

test('a rate that is none is refused', () => {
  for (const rate of [{ requests: 0 }, { requests: -1 }, { requests: 1, burst: 0 }, { requests: Number.NaN }]) {
    throws(() => new RateLimiter({ perCaller: rate }), RangeError);
  }
  throws(() => new RateLimiter({ overrides: [{ ids: ['web'], rate: { requests: 1 } }] }), RangeError);
});
