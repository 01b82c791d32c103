/** Backoff: full jitter under a growing ceiling, at once at first. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Backoff } from '../../../src/core/backoff.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';

/** Always the end of the range: shows the ceilings. */
const highest = { bytes: (length: number) => new Uint8Array(length), ratio: () => 1 };

describe('Backoff', () => {
  it('tries at once, then under 0.25 s × 2^n, at most 20 s', () => {
    const backoff = new Backoff(highest);
    const waits = Array.from({ length: 10 }, () => backoff.nextMs());
    deepEqual(waits, [0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000, 20_000]);
  });

  it('keeps below a limit, which is never less than 0.5 s', () => {
    const backoff = new Backoff(highest);
    const limits = [0, 100, 700, 1_500, 1_500, 30_000, 30_000, 30_000];
    deepEqual(
      limits.map((limitMs) => backoff.nextMs(limitMs)),
      [0, 500, 700, 1_500, 1_500, 8_000, 16_000, 20_000],
    );
  });

  it('spreads over the whole range', () => {
    const backoff = new Backoff(new SeededRandom(7), { baseMs: 1_000, capMs: 1_000 });
    backoff.nextMs();
    const waits = Array.from({ length: 1_000 }, () => backoff.nextMs());
    ok(waits.every((wait) => wait >= 0 && wait < 1_000));
    ok(waits.some((wait) => wait < 100) && waits.some((wait) => wait > 900));
  });

  it('never ends', () => {
    const backoff = new Backoff(highest);
    for (let i = 0; i < 100_000; i++) backoff.nextMs();
    equal(backoff.nextMs(), 20_000);
  });

  it('begins again at once after a reset, and moderately after a short success', () => {
    const backoff = new Backoff(highest);
    for (let i = 0; i < 20; i++) backoff.nextMs();
    backoff.ease(4);
    deepEqual([backoff.nextMs(), backoff.nextMs()], [4_000, 8_000]);
    backoff.reset();
    backoff.ease(4);
    deepEqual([backoff.nextMs(), backoff.nextMs()], [0, 500]);
  });
});
