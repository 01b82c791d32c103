/** LiveList against a Set, over many seeded schedules, and what it leaves behind. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { it } from 'node:test';
import { getHeapSpaceStatistics } from 'node:v8';
import { type Listed, LiveList } from '../../../src/core/live-list.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { liveMemory } from '../../support/live-memory.ts';

it('is a Set', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new SeededRandom(seed);
    const items: Listed[] = Array.from({ length: 40 }, () => ({ index: -1 }));
    const list = new LiveList<Listed>();
    const model = new Set<Listed>();
    for (let step = 0; step < 1_000; step++) {
      const item = items[Math.floor(random.ratio() * items.length)] as Listed;
      if (random.ratio() < 0.5) {
        list.add(item);
        model.add(item);
      } else {
        list.delete(item);
        model.delete(item);
      }
      equal(list.size, model.size);
      deepEqual(new Set(list.all()), model, `seed ${seed}, step ${step}`);
      ok(list.all().every((each, i) => each.index === i));
    }
  }
});

it('keeps nothing of what has left it, however old it is itself', () => {
  interface Request extends Listed {
    readonly load: readonly number[];
  }
  const list = new LiveList<Request>();
  const live: Request[] = [];
  const comeAndGo = (times: number) => {
    for (let i = 0; i < times; i++) {
      const item = { index: -1, load: new Array<number>(100).fill(i) };
      list.add(item);
      live.push(item);
      if (live.length > 64) list.delete(live.shift() as Request);
    }
  };
  comeAndGo(1_000);
  // What lives through it is among the old from now on.
  liveMemory();
  const before = oldBytes();
  // 80 MB: a Set keeps them all until the next full collection, or what that has left.
  comeAndGo(100_000);
  ok(oldBytes() - before < 6e6, `${oldBytes() - before} bytes were kept`);
});

function oldBytes(): number {
  return getHeapSpaceStatistics().find(({ space_name: name }) => name === 'old_space')?.space_used_size ?? 0;
}
