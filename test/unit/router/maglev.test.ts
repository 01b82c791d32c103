/** Maglev: equal and weighted shares, the same answer for the same key, and few keys that move when one comes or goes. */
import { equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { hashText } from '../../../src/core/hash.ts';
import { Maglev, type MaglevEntry } from '../../../src/router/balancer/maglev.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';

const KEYS = Array.from({ length: 50_000 }, (_, i) => hashText(`user-${i}`));
const entry = (name: string, weight = 1): MaglevEntry => ({ name, weight });

/** The name that each key leads to. */
function assign(entries: readonly MaglevEntry[]): string[] {
  const table = new Maglev(entries);
  return KEYS.map((key) => entries[table.at(key)]!.name);
}

function share(assigned: readonly string[], name: string): number {
  return assigned.filter((each) => each === name).length / assigned.length;
}

test('equal entries get equal shares, within 3 %', () => {
  const entries = Array.from({ length: 10 }, (_, i) => entry(`instance-${i}`));
  const assigned = assign(entries);
  for (const { name } of entries)
    ok(Math.abs(share(assigned, name) * 10 - 1) < 0.05, `${name}: ${share(assigned, name)}`);
});

test('shares go by weight', () => {
  const assigned = assign([entry('a', 1), entry('b', 2), entry('c', 7)]);
  for (const [name, part] of [
    ['a', 0.1],
    ['b', 0.2],
    ['c', 0.7],
  ] as const) {
    ok(Math.abs(share(assigned, name) - part) < 0.01, `${name}: ${share(assigned, name)}`);
  }
});

test('however many there are, at most 1/N and 1 % of the keys move when one goes, and none to and fro among those that stay but few', () => {
  const random = new SeededRandom(11);
  for (let round = 0; round < 8; round++) {
    const count = 2 + Math.floor(random.ratio() * 40);
    const entries = Array.from({ length: count }, (_, i) => entry(`${random.bytes(8).join('')}-${i}`));
    const gone = entries[Math.floor(random.ratio() * count)]!;
    const before = assign(entries);
    const after = assign(entries.filter((each) => each !== gone));
    const moved = before.filter((name, i) => name !== after[i]).length / KEYS.length;
    ok(moved <= 1 / count + 0.01, `${moved} of ${count}, seed ${random.seed}`);
  }
});

test('the order of the entries changes little, and the same entries nothing', () => {
  const entries = Array.from({ length: 7 }, (_, i) => entry(`i${i}`));
  const before = assign(entries);
  equal(JSON.stringify(assign([...entries])), JSON.stringify(before));
  const moved = assign([...entries].reverse()).filter((name, i) => name !== before[i]).length / KEYS.length;
  ok(moved < 0.02, `${moved}`);
});

test('the further choices of a key come to everybody', () => {
  const entries = Array.from({ length: 5 }, (_, i) => entry(`i${i}`));
  const table = new Maglev(entries);
  for (const key of KEYS.slice(0, 500)) {
    const seen = new Set(Array.from({ length: 100 }, (_, step) => table.at(key, step)));
    equal(seen.size, 5);
  }
});
