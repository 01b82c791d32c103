/** Windows grow until they fill the line, or to what they may grow to; what is small waits beside them for no longer than the path is long. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MemoryLinkOptions } from '../../../src/testing/memory-pipe.ts';
import { TUNNEL_DEFAULTS } from '../../../src/tunnel/options.ts';
import { type BulkOptions, MBIT, measureBulk } from '../../support/lines.ts';

interface Case {
  readonly mbit: number;
  /** Of all hops together. */
  readonly rttMs: number;
  /** Round trips of the hops to a relay and from there on; nothing: there is none. */
  readonly hopsMs?: readonly [toRelayMs: number, fromRelayMs: number];
  readonly streams?: number;
  readonly direction?: BulkOptions['direction'];
}

const { maxStreamWindowBytes, maxSessionWindowBytes, maxCircuitWindowBytes } = TUNNEL_DEFAULTS;
const HIDDEN_BYTES = 4 * 1024 * 1024;
const LEAST_USE = 0.9;

/** Some of the table that `npm run bench -- lines` prints. */
const CASES: readonly Case[] = [
  { mbit: 20, rttMs: 100 },
  { mbit: 100, rttMs: 5, streams: 4, direction: 'down' },
  { mbit: 150, rttMs: 100, direction: 'down' },
  { mbit: 300, rttMs: 60 },
  { mbit: 300, rttMs: 100, streams: 4 },
  { mbit: 1_000, rttMs: 20 },
  { mbit: 150, rttMs: 60, hopsMs: [30, 30], direction: 'down', streams: 4 },
  { mbit: 300, rttMs: 100, hopsMs: [99, 1] },
];

/** What the largest windows let through, as a share of the line. */
function mostUse({ mbit, rttMs, hopsMs, streams = 1, direction = 'up' }: Case): number {
  const bytesPerMs = (mbit * MBIT) / 1_000;
  const ends = Math.min(streams * maxStreamWindowBytes, maxSessionWindowBytes) / rttMs;
  // The relay grants on the hop that bulk comes by; where it goes on, its end does.
  const relayed = hopsMs === undefined ? Infinity : maxCircuitWindowBytes / hopsMs[direction === 'up' ? 0 : 1];
  return Math.min(1, ends / bytesPerMs, relayed / bytesPerMs);
}

function describeCase({ mbit, rttMs, hopsMs, streams = 1, direction = 'up' }: Case): string {
  const by = hopsMs === undefined ? `at ${rttMs} ms` : `with a relay between ${hopsMs[0]} and ${hopsMs[1]} ms`;
  return `${mbit} Mbit/s ${by}, ${streams === 1 ? 'one stream' : `${streams} streams`} ${direction}`;
}

describe('A line is filled, and what is small waits for no longer than the path:', () => {
  for (const each of CASES) {
    it(describeCase(each), async (t) => {
      const { mbit, rttMs, hopsMs = [rttMs], streams, direction } = each;
      const hops = hopsMs.map((hopMs): MemoryLinkOptions => {
        return { hiddenBytes: HIDDEN_BYTES, latencyMs: hopMs / 2, bytesPerSecond: mbit * MBIT };
      });
      const [warmMs, measureMs, askEveryMs] = [500 + 12 * rttMs, 100 + 6 * rttMs, 3 * rttMs];
      const { use, slowestMs } = await measureBulk({ hops, streams, direction, warmMs, measureMs, askEveryMs });
      t.diagnostic(`${Math.round(use * 100)} % of the line, ${Math.round(slowestMs)} ms at most`);
      assert.ok(use >= LEAST_USE * mostUse(each), `${Math.round(use * 100)} % of the line`);
      // The path, a queue as long as it or of what two event loops need, and some full records at each hop.
      const records = 4 + 4 * hops.length;
      const queueMs = Math.max(rttMs, (512 * 1024) / ((mbit * MBIT) / 1_000));
      assert.ok(slowestMs <= rttMs + queueMs + (records * 65_536) / ((mbit * MBIT) / 1_000), `${slowestMs} ms`);
    });
  }
});
