/** Which test files an isolate can run: by what they import, directly or through others, and by nothing else. */

import { parseTree, type SourceFile } from '../house-rules.ts';
import { OF_MACHINE, VIRTUAL } from '../neutral/suites.ts';
import { readTree } from '../repository.ts';

/** Modules of Node that nodejs_compat has, as the neutral suites use them. */
const COMPATIBLE: ReadonlySet<string> = new Set([
  ...['assert', 'assert/strict', 'async_hooks', 'buffer', 'crypto', 'events', 'path', 'perf_hooks', 'process'],
  ...['stream', 'stream/web', 'string_decoder', 'test', 'timers', 'timers/promises', 'url', 'util', 'zlib'],
]);
/** Packages that are nothing without the network or the processes of Node. */
const NOT_FOR_ISOLATES = /^(?:ws|esbuild|playwright-core|@hono\/node-server|@nats-io\/.*)$/;
/** Looks at the machine, and finds nothing where there is none. */
const LOOKS_ONLY = 'test/runtime/capabilities.ts';
const NODE_ONLY = /^src\/(?:runtime\/node|cli)\//;

/** What keeps each file from an isolate: a module, a package, or a folder; undefined where nothing does. */
export function findObstacles(files: readonly string[]): ReadonlyMap<string, string | undefined> {
  const tree = new Map(
    parseTree(new Map([...readTree('src'), ...readTree('test')])).map((file) => [file.path, file] as const),
  );
  const known = new Map<string, string | undefined>();
  const find = (path: string): string | undefined => {
    if (known.has(path)) return known.get(path);
    known.set(path, undefined); // files may import each other's types
    const file = tree.get(path);
    if (file === undefined || path === LOOKS_ONLY) return undefined;
    let obstacle = findOwn(file);
    for (const { to } of file.internal) {
      if (!(VIRTUAL.has(path) && OF_MACHINE.has(to))) obstacle ??= find(to);
    }
    known.set(path, obstacle);
    return obstacle;
  };
  return new Map(files.map((path) => [path, find(path)]));
}

function findOwn({ path, external }: SourceFile): string | undefined {
  const folder = NODE_ONLY.exec(path);
  if (folder !== null) return folder[0].slice(0, -1);
  return external
    .map(({ to }) => to)
    .find((to) => (to.startsWith('node:') ? !COMPATIBLE.has(to.slice(5)) : NOT_FOR_ISOLATES.test(to)));
}
