/** What a page has to load to be a member: all of it in one bundle, as an application would make it. */
import { deepEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { printFigures } from '../support/figures.ts';
import { bundleForWeb } from '../support/web-bundle.ts';

/** As it is, and an eighth more: who goes beyond it should know why. */
const MAX_KIB = 700;
const MAX_GZIP_KIB = 240;

test('skein/browser is one bundle of bounded size, without anything of Node or of a hub', async () => {
  const { text, metafile } = await bundleForWeb('src/browser.ts', { minify: true });
  const kib = text.length / 1024;
  const gzipKib = gzipSync(text).length / 1024;
  const parts = new Map<string, number>();
  for (const output of Object.values(metafile.outputs)) {
    for (const [path, { bytesInOutput }] of Object.entries(output.inputs)) {
      const name = /^(?:node_modules\/(?:@[^/]+\/)?[^/]+|src\/[^/]+)/.exec(path)?.[0] ?? path;
      parts.set(name, (parts.get(name) ?? 0) + bytesInOutput);
    }
  }
  const largest = [...parts].sort(([, a], [, b]) => b - a).slice(0, 6);
  printFigures('skein/browser, minified', {
    kib: Math.round(kib),
    gzipKib: Math.round(gzipKib),
    largestKib: Object.fromEntries(largest.map(([name, bytes]) => [name, Math.round(bytes / 1024)])),
  });
  ok(kib < MAX_KIB && gzipKib < MAX_GZIP_KIB);
  const strangers = /^(?:node_modules\/(?:ws|prom-client|hono|@hono)\/|src\/(?:hub|sidecar|cli|runtime\/node))/;
  deepEqual(
    Object.keys(metafile.inputs).filter((path) => strangers.test(path)),
    [],
  );
});
