/** `npm run bench -- lines`: how much of a line bulk uses on simulated lines, and how long what is small waits beside it, as a table. */
import process from 'node:process';
import { parseArgs } from 'node:util';
import type { MemoryLinkOptions } from '../src/testing/memory-pipe.ts';
import { MBIT, measureBulk } from '../test/support/lines.ts';

const RATES = [20, 100, 150, 300, 1_000];
const TRIPS = [5, 20, 60, 100];
/** What kernels hide on the way. */
const HIDDEN_BYTES = 4 * 1024 * 1024;

const { values } = parseArgs({
  options: {
    relay: { type: 'boolean', default: false },
    down: { type: 'boolean', default: false },
    streams: { type: 'string', default: '1' },
  },
});

/** With a relay, that stands in the middle. */
async function measure(mbit: number, rttMs: number): Promise<string> {
  const count = values.relay ? 2 : 1;
  const hop: MemoryLinkOptions = {
    ...{ hiddenBytes: HIDDEN_BYTES, latencyMs: rttMs / 2 / count, bytesPerSecond: mbit * MBIT },
  };
  const { use, slowestMs } = await measureBulk({
    hops: Array<MemoryLinkOptions>(count).fill(hop),
    streams: Number(values.streams),
    direction: values.down ? 'down' : 'up',
    ...{ warmMs: 500 + 25 * rttMs, measureMs: Math.max(300, 12 * rttMs), askEveryMs: 7 + 3 * rttMs },
  });
  return `${Math.min(100, Math.round(use * 100))} %, ${Math.round(slowestMs)} ms`;
}

process.stdout.write(
  `| Mbit/s | ${TRIPS.map((rttMs) => `${rttMs} ms`).join(' | ')} |\n|---|${'---|'.repeat(TRIPS.length)}\n`,
);
for (const mbit of RATES) {
  const cells: string[] = [];
  for (const rttMs of TRIPS) cells.push(await measure(mbit, rttMs));
  process.stdout.write(`| ${mbit} | ${cells.join(' | ')} |\n`);
}
