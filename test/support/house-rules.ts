/** The rules of the house as functions from a tree of files to violations: arrows, cycles, doors, words, sizes. */
import type { Tree } from './repository.ts';
import { countCodeLines, importsOf, lineAt, readSource, type SourceText } from './source-text.ts';

/** A file as the rules see it. */
export interface SourceFile extends SourceText {
  readonly path: string;
  readonly text: string;
  /** `core`, `runtime/node`, `cli`; `entry` for the files directly in src/. */
  readonly folder: string;
  /** Other files of the tree this one imports, types included. */
  readonly internal: readonly Target[];
  /** Packages and `node:` modules it imports. */
  readonly external: readonly Target[];
}

export interface Target {
  readonly to: string;
  readonly line: number;
  /** It is loaded with the file that names it. */
  readonly isEager: boolean;
}

const LEVELS_0_TO_3 = ['core', 'catalog', 'http', 'tunnel', 'auth', 'router', 'control', 'telemetry'];
const ALL = [...LEVELS_0_TO_3, 'agent', 'hub', 'sidecar', 'durable', 'runtime', 'testing', 'cli', 'entry'];
const allBut = (...names: string[]): string[] => ALL.filter((name) => !names.includes(name));

/** Folder → folders it may import, a row of its own going before that of the folder it is in. Its own files it may always import. */
export const ARROWS: Readonly<Record<string, readonly string[]>> = {
  core: [],
  catalog: ['core'],
  http: ['core'],
  tunnel: ['core'],
  auth: ['core', 'catalog', 'http', 'tunnel'],
  router: ['core', 'catalog', 'http'],
  control: ['core', 'catalog'],
  telemetry: ['core', 'tunnel', 'auth', 'router'],
  agent: LEVELS_0_TO_3,
  hub: ['core', 'catalog', 'tunnel', 'auth', 'control', 'telemetry'],
  sidecar: ['core', 'catalog', 'http', 'router', 'telemetry', 'agent'],
  durable: ['core', 'agent'],
  'runtime/common': ['core'],
  'runtime/node-compat': ['core', 'runtime/common'],
  'runtime/node': ['core', 'runtime/common', 'runtime/node-compat'],
  'runtime/bun': ['core', 'runtime/common', 'runtime/node'],
  'runtime/browser': ['core', 'runtime/common'],
  'runtime/workerd': ['core', 'runtime/common', 'runtime/node-compat'],
  testing: allBut('runtime', 'cli'),
  cli: allBut('runtime', 'tunnel', 'testing'),
  entry: ALL,
};

/** Package → the files that may import it. */
export const DOORS: Readonly<Record<string, readonly RegExp[]>> = {
  '@hono/node-server': [/^src\/runtime\/node\/http\.ts$/],
  '@noble/ciphers': [/^src\/runtime\/browser\/crypto\.ts$/],
  '@noble/curves': [/^src\/runtime\/browser\/crypto\.ts$/],
  '@noble/hashes': [/^src\/runtime\/browser\/crypto\.ts$/],
  '@nats-io/jetstream': [/^src\/hub\/store\/nats(?:-feed)?\.ts$/],
  '@nats-io/kv': [/^src\/hub\/store\/nats(?:-feed)?\.ts$/],
  '@nats-io/transport-node': [/^src\/hub\/store\/nats\.ts$/],
  commander: [/^src\/cli\//],
  hono: [/^src\/hub\/app\.ts$/, /^src\/sidecar\/admin\.ts$/],
  jose: [/^src\/auth\//],
  nanoid: [/^src\/core\/id\.ts$/],
  'prom-client': [/^src\/telemetry\/prometheus\.ts$/],
  re2js: [/^src\/catalog\/re2\.ts$/],
  valibot: [/^src\/(?:catalog|control|cli|hub)\//, /^src\/sidecar\/(?:explain|options|tokens)\.ts$/],
  ws: [/^src\/runtime\/node\/websocket\.ts$/],
  yaml: [/^src\/cli\//],
};

/** Files whose package is installed only where it is needed → those that may load them; nobody else comes to them by any import. */
export const OPTIONAL: Readonly<Record<string, readonly RegExp[]>> = {
  'src/hub/store/nats.ts': [/^src\/nats\.ts$/, /^src\/cli\/shared-store\.ts$/],
};

/** Where a runtime may be named: the edge, the entry bound to it, the command line. */
const EDGE = /^src\/(?:runtime\/|cli\/|node\.ts$|workerd\.ts$|browser\.ts$)/;

interface WordRule {
  readonly words: string;
  readonly pattern: RegExp;
  /** Files where the words are at home. */
  readonly home: RegExp;
  readonly instead: string;
}

const name = (words: string): string => `(?<![.\\w$#])(?:globalThis\\s*\\.\\s*)?(?:${words})`;

export const WORDS: readonly WordRule[] = [
  {
    words: 'Buffer, process, Deno, Bun, WebSocketPair',
    pattern: new RegExp(
      `${name('Buffer|process|Deno|Bun|WebSocketPair')}\\s*[.[(]|(?:typeof|new)\\s+(?:globalThis\\.)?(?:Buffer|process|Deno|Bun|WebSocketPair)\\b`,
      'g',
    ),
    home: EDGE,
    instead: 'take a Platform (core/platform.ts)',
  },
  {
    words: 'time',
    pattern: new RegExp(
      `${name('Date\\s*\\.\\s*now\\b|performance\\s*\\.\\s*now\\b|AbortSignal\\s*\\.\\s*timeout\\b')}|${name('setTimeout|setInterval|setImmediate')}\\s*\\(|\\bnew\\s+Date\\s*\\(\\s*\\)`,
      'g',
    ),
    home: /^src\/(?:runtime\/|cli\/|core\/clock\.ts$)/,
    instead: 'take a Clock (core/clock.ts)',
  },
  {
    words: 'chance',
    pattern: new RegExp(name('Math\\s*\\.\\s*random\\b|crypto\\s*\\.\\s*(?:getRandomValues|randomUUID)\\b'), 'g'),
    // The seeded source of the test kit draws its seed when a test gives none.
    home: /^src\/(?:runtime\/|cli\/|core\/random\.ts$|testing\/seeded-random\.ts$)/,
    instead: 'take a Random (core/random.ts)',
  },
  {
    words: 'console',
    pattern: new RegExp(`${name('console')}\\s*\\.`, 'g'),
    home: /^src\/(?:runtime\/|cli\/|core\/log\.ts$)/,
    instead: 'take a Logger (core/log.ts)',
  },
  {
    words: 'error text',
    pattern: /\.message\s*\??\.\s*(?:includes|match|startsWith|endsWith|indexOf|search)\b/g,
    home: /^src\/runtime\//,
    instead: 'branch on the code (core/errors.ts)',
  },
];

/** What a hub must never be able to reach: request heads, exchanges, routes. */
export const SEALED_FROM_HUB = /^src\/(?:http\/(?:h1|exchange|head-codec)\.ts$|router\/)/;

/** Packages that some commands need; the others do not wait for them to load. */
const NOT_AT_START = new Set(['@hono/node-server', 'hono', 'jose', 'prom-client', 're2js', 'yaml']);
const COMMAND_LINE = 'src/cli/main.ts';

export const MAX_CODE_LINES = 400;

/** Parses a tree once; the rules share the result. */
export function parseTree(tree: Tree): SourceFile[] {
  return [...tree].map(([path, text]) => {
    const source = readSource(text);
    const targets = importsOf(source).map(({ specifier, line, isEager }) => ({
      to: specifier.startsWith('.') ? resolvePath(path, specifier) : specifier,
      relative: specifier.startsWith('.'),
      ...{ line, isEager },
    }));
    return {
      path,
      text,
      ...source,
      folder: folderOf(path),
      internal: targets.filter((target) => target.relative),
      external: targets.filter((target) => !target.relative),
    };
  });
}

function resolvePath(from: string, specifier: string): string {
  return new URL(specifier, `file:///${from}`).pathname.slice(1);
}

function folderOf(path: string): string {
  const [, first, second] = path.split('/');
  if (first === undefined || first.endsWith('.ts')) return 'entry';
  return first === 'runtime' ? `runtime/${second}` : first;
}

/** Imports that go against the arrows, leave src/, or come from a folder without a row in the table. */
export function findForbiddenArrows(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path, folder, internal }) => {
    const allowed = ARROWS[folder] ?? ARROWS[topOf(folder)];
    if (allowed === undefined) return [`${path}: the folder "${folder}" has no row in the table of arrows`];
    return internal
      .filter(({ to }) => {
        const target = folderOf(to);
        const isAllowed = target === folder || allowed.includes(target) || allowed.includes(topOf(target));
        return !to.startsWith('src/') || !isAllowed;
      })
      .map(({ to, line }) => `${path}:${line}: ${folder} may not import ${to}`);
  });
}

const topOf = (folder: string): string => folder.split('/')[0] ?? '';

/** Imports of files that do not exist, or without the `.ts` ending: the other rules would not see through them. */
export function findUnresolved(files: readonly SourceFile[]): string[] {
  const known = new Set(files.map(({ path }) => path));
  return files.flatMap(({ path, internal }) =>
    internal.filter(({ to }) => !known.has(to)).map(({ to, line }) => `${path}:${line}: no such file: ${to}`),
  );
}

/** Groups of files that import each other, type imports included (strongly connected components, Tarjan 1972). */
export function findCycles(files: readonly SourceFile[]): string[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const order = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const cycles: string[] = [];
  const visit = (path: string): number => {
    const index = order.size;
    let lowest = index;
    order.set(path, index);
    stack.push(path);
    for (const { to } of byPath.get(path)?.internal ?? []) {
      if (!byPath.has(to)) continue;
      if (!order.has(to)) lowest = Math.min(lowest, visit(to));
      else if (stack.includes(to)) lowest = Math.min(lowest, order.get(to) ?? index);
      if (to === path) cycles.push(`${path} imports itself`);
    }
    low.set(path, lowest);
    if (lowest === index) {
      const members = stack.splice(stack.indexOf(path));
      if (members.length > 1) cycles.push(members.sort().join(' ⇄ '));
    }
    return lowest;
  };
  for (const { path } of files) if (!order.has(path)) visit(path);
  return cycles;
}

function packageOf(specifier: string): string {
  const parts = specifier.split('/');
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? '');
}

/** Packages imported elsewhere than through their door, and packages without a door. */
export function findDoorBreaches(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path, external }) =>
    external
      .filter(({ to }) => !to.startsWith('node:'))
      .filter(({ to }) => !(DOORS[packageOf(to)] ?? []).some((door) => door.test(path)))
      .map(({ to, line }) => `${path}:${line}: this is no door to ${to}`),
  );
}

/** Imports that make an optional package a need: a bundle or a program without it would break. */
export function findNeededOptions(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path, internal, uncommented }) =>
    internal
      .filter(({ to }) => to in OPTIONAL)
      .flatMap(({ to, line }) => {
        if (!OPTIONAL[to]?.some((loader) => loader.test(path))) return [`${path}:${line}: ${to} is optional`];
        const isEntry = /^src\/[^/]+$/.test(path);
        const isLazy = /\bimport\s*\(/.test(uncommented.split('\n')[line - 1] ?? '');
        return isEntry || isLazy ? [] : [`${path}:${line}: load ${to} with import()`];
      }),
  );
}

/** Dependencies without a door, and doors without a dependency. */
export function compareDoors(dependencies: Readonly<Record<string, string>>): string[] {
  return [
    ...Object.keys(dependencies)
      .filter((each) => !(each in DOORS))
      .map((each) => `${each} has no door`),
    ...Object.keys(DOORS)
      .filter((each) => !(each in dependencies))
      .map((each) => `${each} is no dependency`),
  ];
}

/** Runtime names, time, chance, console and error texts outside the files where they are at home. */
export function findForbiddenWords(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path, code, external }) => [
    ...WORDS.filter(({ home }) => !home.test(path)).flatMap(({ pattern, instead }) =>
      [...code.matchAll(pattern)].map(
        (match) => `${path}:${lineAt(code, match.index)}: "${match[0].trim()}" is not for here: ${instead}`,
      ),
    ),
    ...external
      .filter(({ to }) => to.startsWith('node:') && !EDGE.test(path))
      .map(({ to, line }) => `${path}:${line}: "${to}" is not for here: take a Platform (core/platform.ts)`),
  ]);
}

/** Chains of imports, types included, that lead from a file of `src/hub/` to what a blind hub must not know. */
export function findHubSight(files: readonly SourceFile[]): string[] {
  const hub = files.filter(({ folder }) => folder === 'hub').map(({ path }) => path);
  const chains = chainsFrom(files, hub, () => true);
  return [...chains].filter(([path]) => SEALED_FROM_HUB.test(path)).map(([, chain]) => chain);
}

/** Chains of imports by which every command would load what few of them need. */
export function findHeavyStart(files: readonly SourceFile[]): string[] {
  const chains = chainsFrom(files, [COMMAND_LINE], ({ isEager }) => isEager);
  return files.flatMap(({ path, external }) => {
    const chain = chains.get(path);
    if (chain === undefined) return [];
    const heavy = external.filter(({ to, isEager }) => isEager && NOT_AT_START.has(packageOf(to)));
    return heavy.map(({ to }) => `${chain} → ${to}`);
  });
}

/** Every file that imports lead to, with the way there. */
function chainsFrom(
  files: readonly SourceFile[],
  starts: readonly string[],
  isFollowed: (target: Target) => boolean,
): ReadonlyMap<string, string> {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const chains = new Map(starts.map((path) => [path, path]));
  for (const [path, chain] of chains) {
    for (const target of byPath.get(path)?.internal.filter(isFollowed) ?? []) {
      if (!chains.has(target.to)) chains.set(target.to, `${chain} → ${target.to}`);
    }
  }
  return chains;
}

/** Files longer than a reader keeps in mind. */
export function findLongFiles(files: readonly SourceFile[], limit: number = MAX_CODE_LINES): string[] {
  return files
    .map((file) => ({ path: file.path, lines: countCodeLines(file) }))
    .filter(({ lines }) => lines > limit)
    .map(({ path, lines }) => `${path}: ${lines} code lines, ${limit} allowed`);
}

/** Files that do not begin with a line that says what they are for. */
export function findUnexplainedFiles(files: readonly SourceFile[]): string[] {
  return files
    .filter(({ text }) => !/^\/\*\*(?: |\n \* )\S.{10,}/.test(text))
    .map(({ path }) => `${path}: the first line is no /** … */ that states the file's one responsibility`);
}

/** Promises to do something later that no issue remembers. */
export function findUnownedTodos(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path, text }) =>
    [...text.matchAll(/\b(?:TODO|FIXME|XXX)\b(?!\(#\d+\))/g)].map(
      (match) => `${path}:${lineAt(text, match.index)}: write TODO(#issue)`,
    ),
  );
}

/** Test files that declare nothing: where many share a process, no runner tells of them. */
export function findEmptyTests(files: readonly SourceFile[]): string[] {
  return files
    .filter(({ path, code }) => path.endsWith('.test.ts') && !/\b(?:test|it|describe\w*)\(/.test(code))
    .map(({ path }) => `${path}: holds no test`);
}

/** Tests that wait for time to pass instead of for an event or a virtual clock. */
export function findSleeps(files: readonly SourceFile[]): string[] {
  const pattern = new RegExp(`${name('setTimeout|setInterval')}\\s*\\(|\\bnew\\s+Promise\\b[^\\n]*setTimeout`, 'g');
  return files.flatMap(({ path, code, external }) => [
    ...[...code.matchAll(pattern)].map((match) => `${path}:${lineAt(code, match.index)}: waits for real time`),
    ...external
      .filter(({ to }) => to === 'node:timers/promises')
      .map(({ line }) => `${path}:${line}: waits for real time`),
  ]);
}

/** Skips that some runtimes count as passes (`t.skip()` on Deno), and tests that silence all others. */
export function findHiddenSkips(files: readonly SourceFile[]): string[] {
  const pattern = /\b(?:t|context|test|it|describe|suite)\s*\.\s*(?:skip|only|todo)\s*\(|\b(?:only|todo)\s*:\s*true\b/g;
  return files.flatMap(({ path, code }) =>
    [...code.matchAll(pattern)].map(
      (match) => `${path}:${lineAt(code, match.index)}: "${match[0]}": write { skip: lacking('…') }`,
    ),
  );
}

/** Versions in deno.json that differ from package.json, and packages missing on either side. */
export function compareVersions(
  dependencies: Readonly<Record<string, string>>,
  imports: Readonly<Record<string, string>>,
): string[] {
  const inDeno = new Map(
    Object.entries(imports)
      .filter(([key]) => !key.endsWith('/'))
      .map(([key, value]) => [key, value.replace(/^npm:\/?/, '').replace(/^@?[^@]+@/, '')]),
  );
  const keys = new Set([...Object.keys(dependencies), ...inDeno.keys()]);
  return [...keys]
    .filter((key) => dependencies[key] !== inDeno.get(key))
    .map((key) => `${key}: ${dependencies[key] ?? 'none'} in package.json, ${inDeno.get(key) ?? 'none'} in deno.json`);
}

/** An entry of package.json's `exports`: a path, or a table of conditions. */
type Exported = string | { readonly [condition: string]: Exported };

/** Entries that one of package.json and deno.json has alone, or that are not the same file there, compiled, and here. */
export function compareExports(
  compiled: Readonly<Record<string, Exported>>,
  sources: Readonly<Record<string, string>>,
): string[] {
  const toSource = (entry: Exported | undefined): string | undefined =>
    typeof entry === 'object' ? toSource(entry.default) : entry?.replace(/^\.\/dist\/(.+)\.js$/, './src/$1.ts');
  const names = Object.keys({ ...compiled, ...sources }).filter((name) => name !== './package.json');
  return names
    .filter((name) => toSource(compiled[name]) !== sources[name])
    .map(
      (name) =>
        `"${name}": ${toSource(compiled[name]) ?? 'none'} in package.json, ${sources[name] ?? 'none'} in deno.json`,
    );
}

/** Code lines per file: middle, nine tenths, longest. */
export function measure(files: readonly SourceFile[]): { median: number; p90: number; max: number } {
  const lines = files.map(countCodeLines).sort((a, b) => a - b);
  const at = (share: number): number => lines[Math.min(lines.length - 1, Math.floor(lines.length * share))] ?? 0;
  return { median: at(0.5), p90: at(0.9), max: lines.at(-1) ?? 0 };
}
