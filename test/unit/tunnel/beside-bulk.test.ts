/** A session that carries as much as it can: what is small comes by, whatever kernels hide, and the path stays full. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MemoryLinkOptions } from '../../../src/testing/memory-pipe.ts';
import { MBIT, measureBulk } from '../../support/lines.ts';

const HIDDEN = { hiddenBytes: 4 * 1024 * 1024 };

const WAYS: Readonly<Record<string, readonly [hops: readonly MemoryLinkOptions[], mostMs: number]>> = {
  'a line of 100 Mbit/s at 20 ms': [[{ ...HIDDEN, latencyMs: 10, bytesPerSecond: 100 * MBIT }], 90],
  'a line of 80 Mbit/s at 80 ms': [[{ ...HIDDEN, latencyMs: 40, bytesPerSecond: 80 * MBIT }], 200],
  'a relay, and a slower line behind it': [
    [
      { ...HIDDEN, latencyMs: 5, bytesPerSecond: 1_000 * MBIT },
      { ...HIDDEN, latencyMs: 10, bytesPerSecond: 100 * MBIT },
    ],
    120,
  ],
};

describe('Beside a stream that takes all it can get, over', () => {
  for (const [name, [hops, mostMs]] of Object.entries(WAYS)) {
    it(`${name}, an answer waits for little more than the path, which stays full`, async (t) => {
      const { use, slowestMs } = await measureBulk({ hops, warmMs: 5_000, measureMs: 6_000, askEveryMs: 250 });
      t.diagnostic(`${Math.round(slowestMs)} ms at most, ${Math.round(use * 100)} % of the line`);
      assert.ok(use >= 0.94, `${Math.round(use * 100)} % of the line`);
      assert.ok(slowestMs <= mostMs, `${slowestMs} ms`);
    });
  }
});
