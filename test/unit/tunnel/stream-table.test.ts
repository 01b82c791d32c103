/** StreamTable against a Map, over many seeded schedules. */

import { deepEqual, equal } from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import type { MuxStream } from '../../../src/tunnel/stream.ts';
import { StreamTable } from '../../../src/tunnel/stream-table.ts';

/** The table looks at nothing else of a stream. */
const createStream = (id: number): MuxStream => ({ id }) as MuxStream;

describe('StreamTable', () => {
  for (const [name, nextId] of [
    ['ids one after the other', (random: SeededRandom, last: number) => last + 1 + Math.floor(random.ratio() * 2)],
    ['ids that collide', (_random: SeededRandom, last: number) => last + 1024],
    ['ids anywhere up to 2^50', (random: SeededRandom) => 1 + Math.floor(random.ratio() * 2 ** 50)],
  ] as const) {
    it(`is a Map: ${name}`, () => {
      for (let seed = 1; seed <= 20; seed++) {
        const random = new SeededRandom(seed);
        const table = new StreamTable();
        const model = new Map<number, MuxStream>();
        let last = 0;
        for (let step = 0; step < 2_000; step++) {
          const ids = [...model.keys()];
          if (ids.length === 0 || random.ratio() < 0.5 + 0.1 * Math.sin(step / 100)) {
            last = nextId(random, last);
            if (model.has(last)) continue;
            const stream = createStream(last);
            model.set(last, stream);
            table.add(last, stream);
          } else {
            const id = ids[Math.floor(random.ratio() * ids.length)] as number;
            equal(table.delete(id), model.delete(id), `seed ${seed}, step ${step}`);
            equal(table.delete(id), false);
          }
          equal(table.size, model.size);
          for (const [id, stream] of model) equal(table.get(id), stream, `seed ${seed}, step ${step}`);
          equal(table.has(last + 1), model.has(last + 1));
        }
        deepEqual(new Set(table.all()), new Set(model.values()));
        table.clear();
        deepEqual([table.size, table.all()], [0, []]);
      }
    });
  }

  it('knows no stream 0', () => {
    const table = new StreamTable();
    equal(table.get(0), undefined);
    equal(table.delete(0), false);
  });
});
