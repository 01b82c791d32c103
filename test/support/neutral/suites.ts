/**
 * Suites that need no Node, bundled for a runtime that has neither `node:test` nor files. A file is neutral when all that it leads to
 * is there: of `node:` nothing but what stands in this folder, no `Buffer`, of Node's own platform nothing but clock, chance, crypto and files, which
 * the runtime has too, or memory. No list says which these are; the imports do.
 */
import { readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { build, type Metafile, type Plugin } from 'esbuild';
import { readText, root } from '../repository.ts';

export interface NeutralRuntime {
  /** A module of the repository with its clock, chance, crypto and platform, under Node's names. */
  readonly runtime: string;
  /** Conditions of `exports` that hold there. */
  readonly conditions: readonly string[];
}

export interface NeutralSuites {
  /** Those that are neutral, of all that were asked about. */
  readonly files: readonly string[];
  /** Path of a module, `test/unit/core/bytes.test.mjs` and what several share → its text. */
  readonly modules: ReadonlyMap<string, string>;
}

const HERE = 'test/support/neutral';
const OF_NODE_COMPAT = /^src\/runtime\/node-compat\/[^/]+$/;
/** Node's platform, and folders for it. */
export const OF_MACHINE: ReadonlySet<string> = new Set(['src/runtime/node/platform.ts', 'test/support/folder.ts']);
/** They ask a platform for clock, chance, crypto and files only: all else in them is virtual. */
export const VIRTUAL: ReadonlySet<string> = new Set([
  ...['virtual-mesh', 'catalogue', 'resources', 'direct'].map((name) => `test/support/${name}.ts`),
  'src/testing.ts',
]);
const BUILTINS: Readonly<Record<string, string>> = {
  'node:test': `${HERE}/node-test.ts`,
  'node:assert/strict': `${HERE}/assert.ts`,
  'node:process': `${HERE}/process.ts`,
};
const CAPABILITIES = 'test/runtime/capabilities.ts';
/** Metrics of the process, which nobody asks for there, want to know of all of these. */
const OF_PROM_CLIENT = /^(?:node:)?(?:cluster|fs|http|https|os|perf_hooks|process|url|util|v8|zlib)$/;

export async function bundleNeutral(files: readonly string[], runtime: NeutralRuntime): Promise<NeutralSuites> {
  const { metafile } = await bundle(files, runtime, {
    external: ['node:*', 'ws', '@nats-io/*', 'esbuild', 'typescript'],
  });
  const neutral = files.filter((file) => !leadsOut(metafile, file));
  const { outputFiles } = await bundle(neutral, runtime, { splitting: true, sourcemap: 'inline' });
  const modules = new Map(outputFiles.map(({ path, text }) => [relative(join(root, 'out'), path), text]));
  return { files: neutral, modules };
}

function bundle(
  files: readonly string[],
  runtime: NeutralRuntime,
  options: { external?: string[]; splitting?: boolean; sourcemap?: 'inline' },
) {
  return build({
    absWorkingDir: root,
    entryPoints: [...files, `${HERE}/node-test.ts`],
    outbase: '.',
    outdir: 'out',
    // As when sources run: what is compiled for Node does more rounds.
    outExtension: { '.js': '.mjs' },
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    target: 'es2023',
    conditions: [...runtime.conditions],
    logLevel: 'silent',
    inject: [`${HERE}/globals.ts`],
    plugins: [standIns(runtime)],
    ...options,
  });
}

/** Node's own form of bytes, which is a global. */
const OF_NODE = /\bBuffer\s*[.(]/;

/** Do the imports of a file lead to anything that is not in the bundle, or that a browser has not? */
function leadsOut({ inputs }: Metafile, file: string): boolean {
  const seen = new Set([file]);
  for (const path of seen) {
    if (path.startsWith('test/') && OF_NODE.test(readText(path))) return true;
    for (const { path: to, external } of inputs[path]?.imports ?? []) {
      // What esbuild adds itself it names so, too.
      if (external && to !== '<runtime>' && !to.startsWith(root)) return true;
      seen.add(to);
    }
  }
  return false;
}

/** What stands in the place of what is Node's. */
function standIns({ runtime }: NeutralRuntime): Plugin {
  return {
    name: 'stand-ins',
    setup({ onResolve, onLoad }) {
      const found = (path: string) => ({ path: join(root, path) });
      onResolve({ filter: /^\./ }, ({ path, resolveDir, importer }) => {
        const target = relative(root, join(resolveDir, path));
        const from = relative(root, importer);
        if (OF_NODE_COMPAT.test(target)) return found(runtime);
        if (OF_MACHINE.has(target) && VIRTUAL.has(from)) return found(runtime);
        if (target === 'test/support/repository.ts' && from.startsWith('test/vectors/'))
          return { path: target, namespace: 'vectors' };
        return undefined;
      });
      onResolve({ filter: /^[a-z_:/0-9]+$/ }, ({ path, importer }) => {
        const from = relative(root, importer);
        if (BUILTINS[path] !== undefined) return found(BUILTINS[path]);
        if (from === CAPABILITIES && /^node:(?:fs|path)$/.test(path)) return found(`${HERE}/no-files.ts`);
        if (from.startsWith('node_modules/prom-client/') && OF_PROM_CLIENT.test(path))
          return { path, namespace: 'nothing' };
        return undefined;
      });
      onLoad({ filter: /.*/, namespace: 'nothing' }, () => ({ contents: 'module.exports = {}', loader: 'js' }));
      onLoad({ filter: /.*/, namespace: 'vectors' }, () => ({ contents: vectorsModule(), loader: 'js' }));
    },
  };
}

/** `readText` of the files of test/vectors, which are data. */
function vectorsModule(): string {
  const names = readdirSync(join(root, 'test/vectors'), { recursive: true, encoding: 'utf8' });
  const paths = names.filter((name) => name.endsWith('.json')).map((name) => `test/vectors/${name}`);
  const texts = Object.fromEntries(paths.map((path) => [path, readText(path)]));
  return `const TEXTS = ${JSON.stringify(texts)}; export const readText = (path) => TEXTS[path];`;
}
