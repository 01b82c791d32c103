import { deepEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { printFigures } from '../support/figures.ts';
import { bundleWorker } from '../support/workerd.ts';

const KB = 1000;
/** What Cloudflare counts is compressed: 3 MB for a free Worker, 10 MB for a paid one. */
const MOST_KB = { minified: 640, compressed: 215 };

test('The bundle of a Worker is no larger than it was, and needs no more of Node than an isolate has', async () => {
  const { text, metafile } = await bundleWorker('examples/cloudflare-worker/worker.ts', { minify: true });
  const [output] = Object.values(metafile.outputs);
  const sizes = { minified: Buffer.byteLength(text) / KB, compressed: gzipSync(text, { level: 9 }).length / KB };
  const shares: Record<string, number> = {};
  for (const [path, { bytesInOutput }] of Object.entries(output?.inputs ?? {})) {
    const part = path.startsWith('node_modules/') ? path.split('/')[1] : 'own';
    shares[part as string] = Math.round((shares[part as string] ?? 0) + bytesInOutput / KB);
  }
  printFigures('worker bundle', { kB: sizes, shares });
  const wanted = [...new Set(output?.imports.map(({ path }) => path))].sort();
  deepEqual(wanted, ['node:buffer', 'node:crypto', 'node:timers']);
  for (const [name, mostKb] of Object.entries(MOST_KB)) {
    ok(sizes[name as keyof typeof sizes] <= mostKb, `${name}: ${sizes[name as keyof typeof sizes]} kB`);
  }
});
