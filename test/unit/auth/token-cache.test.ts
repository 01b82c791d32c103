/** TokenCache: bounded in entries and in size, by last use and by time, and equal to a plain model of itself. */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { TokenCache } from '../../../src/auth/token-cache.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';

test('TokenCache keeps what was used last, within its limits', () => {
  const cache = new TokenCache<number>({ maxEntries: 3, maxSize: 100 });
  for (const i of [1, 2, 3]) cache.set(`k${i}`, i, 10, 1000);
  equal(cache.get('k1', 0), 1);
  cache.set('k4', 4, 10, 1000);
  deepEqual(
    ['k1', 'k2', 'k3', 'k4'].map((key) => cache.get(key, 0)),
    [1, undefined, 3, 4],
  );
  cache.set('large', 5, 85, 1000);
  deepEqual([cache.entries, cache.get('k4', 0), cache.get('large', 0)], [2, 4, 5]);
  cache.set('too large', 6, 101, 1000);
  equal(cache.entries, 0);
});

test('TokenCache forgets what is over, and what it held makes room', () => {
  const cache = new TokenCache<number>({ maxEntries: 10, maxSize: 100 });
  cache.set('a', 1, 60, 1000);
  equal(cache.get('a', 999), 1);
  equal(cache.get('a', 1000), undefined);
  cache.set('b', 2, 60, 2000);
  cache.set('c', 3, 40, 2000);
  deepEqual([cache.get('b', 0), cache.get('c', 0)], [2, 3]);
  cache.set('b', 4, 50, 2000);
  cache.set('d', 5, 10, 2000);
  deepEqual([cache.get('b', 0), cache.get('c', 0), cache.get('d', 0)], [4, 3, 5]);
});

test('TokenCache agrees with a list that is searched, in 20,000 steps by chance', () => {
  const random = new SeededRandom(7);
  const limits = { maxEntries: 8, maxSize: 50 };
  const cache = new TokenCache<number>(limits);
  let model: { key: string; value: number; size: number; untilMs: number }[] = [];
  for (let nowMs = 0; nowMs < 20_000; nowMs++) {
    const key = `k${Math.floor(random.ratio() * 12)}`;
    const known = model.find((each) => each.key === key);
    model = model.filter((each) => each.key !== key);
    if (random.ratio() < 0.5) {
      const isGood = known !== undefined && nowMs < known.untilMs;
      if (isGood) model.push(known);
      equal(cache.get(key, nowMs), isGood ? known.value : undefined);
    } else {
      const size = Math.floor(random.ratio() * 20);
      const untilMs = nowMs + Math.floor(random.ratio() * 20);
      model.push({ key, value: nowMs, size, untilMs });
      cache.set(key, nowMs, size, untilMs);
      while (model.length > limits.maxEntries || model.reduce((sum, each) => sum + each.size, 0) > limits.maxSize)
        model.shift();
    }
    equal(cache.entries, model.length);
  }
});
