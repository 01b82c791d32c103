/** What members at the edge weigh: each in one bundle, as its user would make it. */
import { deepEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { Metafile } from 'esbuild';
import { measureBundle } from '../support/bundle-size.ts';
import { bundleForWeb, type WebBundle } from '../support/web-bundle.ts';
import { bundleWorker } from '../support/workerd.ts';

interface Case {
  readonly name: string;
  readonly make: () => Promise<WebBundle>;
  /** Bytes: as it is, and a little more, so that who goes beyond it knows why. */
  readonly most: { readonly minified: number; readonly gzip: number };
  /** Modules of Node that it needs: of those that an isolate has. */
  readonly modules: readonly string[];
  /** What it must not hold. */
  readonly strangers: RegExp;
}

const ISOLATE = ['node:buffer', 'node:crypto', 'node:timers'];
const PROMETHEUS = ['cluster', 'fs', 'http', 'https', 'perf_hooks', 'process', 'url', 'util', 'v8', 'zlib'].map(
  (name) => `node:${name}`,
);
const FOREIGN = String.raw`src\/(?:sidecar|cli|testing|runtime\/node)\/|node_modules\/(?:ws|@hono)\/`;
const NO_HUB = new RegExp(String.raw`^(?:src\/hub\/|node_modules\/(?:prom-client|hono|re2js)\/|${FOREIGN})`);

const CASES: readonly Case[] = [
  {
    name: 'a Worker with an object',
    make: () => bundleWorker('examples/cloudflare-worker/worker.ts', { minify: true }),
    most: { minified: 416_000, gzip: 140_500 },
    modules: ISOLATE,
    strangers: NO_HUB,
  },
  {
    name: 'a Worker without an object',
    make: () => bundleWorker(`export { createMesh } from 'skein/workerd';\n`, { minify: true }),
    most: { minified: 415_000, gzip: 140_000 },
    modules: ISOLATE,
    strangers: NO_HUB,
  },
  {
    name: 'a hub in an object',
    make: () => bundleWorker('examples/cloudflare-hub/src/worker.ts', { minify: true }),
    most: { minified: 643_000, gzip: 212_300 },
    // prom-client asks for what else Node has, and uses nothing of it here.
    modules: [...ISOLATE, ...PROMETHEUS].sort(),
    strangers: new RegExp(`^(?:${FOREIGN}|src/(?:agent|router)/)`),
  },
  {
    name: 'a page',
    make: () => bundleForWeb(`export { createMesh } from 'skein/browser';\n`, { minify: true }),
    most: { minified: 603_000, gzip: 200_000 },
    modules: [],
    strangers: new RegExp(String.raw`^(?:src\/hub\/|node_modules\/(?:prom-client|hono)\/|${FOREIGN})`),
  },
];

for (const { name, make, most, modules, strangers } of CASES) {
  test(`The bundle of ${name} is no larger than it was, and holds nothing that is not for it`, async () => {
    const { text, metafile } = await make();
    const { minified, gzip } = measureBundle(name, text, metafile);
    ok(minified <= most.minified && gzip <= most.gzip, `${minified} bytes, ${gzip} as gzip`);
    deepEqual(importsOf(metafile), modules);
    const inputs = Object.values(metafile.outputs).flatMap((output) => Object.entries(output.inputs));
    deepEqual(
      inputs.filter(([path, { bytesInOutput }]) => bytesInOutput > 0 && strangers.test(path)).map(([path]) => path),
      [],
    );
  });
}

function importsOf({ outputs }: Metafile): string[] {
  return [...new Set(Object.values(outputs).flatMap(({ imports }) => imports.map(({ path }) => path)))].sort();
}
