/** A map whose versions share what did not change says the same as a Map that is copied each time. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { LayeredMap } from '../../../src/core/layered-map.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';

test('After any changes it holds what a Map holds, and what came before stays as it was', () => {
  const random = new SeededRandom(11);
  const pick = (below: number): number => Math.floor(random.ratio() * below);
  let map = LayeredMap.empty<number>();
  const expected = new Map<string, number>();
  const kept: { readonly map: LayeredMap<number>; readonly expected: readonly [string, number][] }[] = [];
  for (let step = 0; step < 2_000; step++) {
    const changes = new Map<string, number | undefined>();
    for (let i = pick(4); i >= 0; i--) changes.set(`k${pick(600)}`, pick(3) === 0 ? undefined : step);
    map = map.with(changes);
    for (const [key, value] of changes) {
      if (value === undefined) expected.delete(key);
      else expected.set(key, value);
    }
    equal(map.size, expected.size);
    for (const key of changes.keys()) equal(map.get(key), expected.get(key));
    if (step % 100 === 0) kept.push({ map, expected: [...expected].sort() });
  }
  ok(map.size > 100);
  for (const each of kept) deepEqual([...each.map.entries()].sort(), each.expected);
  deepEqual([...map.values()].sort(), [...expected.values()].sort());
});

test('A step costs no copy of all there is: the many below it are read from one version to the next as the same', () => {
  const many = new Map(Array.from({ length: 10_000 }, (_, i) => [`k${i}`, i]));
  const map = LayeredMap.empty<number>().with(many);
  let looked = 0;
  const { set } = Map.prototype;
  Map.prototype.set = function (key, value) {
    looked++;
    return set.call(this, key, value);
  };
  try {
    map.with(new Map([['k5', 1]]));
  } finally {
    Map.prototype.set = set;
  }
  ok(looked < 100, `${looked} entries were set`);
});
