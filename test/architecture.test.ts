/** The house keeps its own rules: arrows, cycles, doors, words, sizes; and each rule trips over a planted violation. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import {
  compareDoors,
  compareExports,
  compareVersions,
  findCycles,
  findDoorBreaches,
  findEmptyTests,
  findForbiddenArrows,
  findForbiddenWords,
  findHeavyStart,
  findHiddenSkips,
  findHubSight,
  findLongFiles,
  findNeededOptions,
  findSleeps,
  findUnexplainedFiles,
  findUnownedTodos,
  findUnresolved,
  measure,
  parseTree,
  type SourceFile,
} from './support/house-rules.ts';
import { readText, readTree } from './support/repository.ts';

/** Fewer files than this mean that the test looked in the wrong place. */
const FEWEST_FILES = 30;

const manifest = JSON.parse(readText('package.json'));
const deno = JSON.parse(readText('deno.json'));
/** What the package needs, and what it can do without; the version of the latter is the one that is tested. */
const packages: Readonly<Record<string, string>> = {
  ...manifest.dependencies,
  ...Object.fromEntries(Object.keys(manifest.peerDependencies).map((name) => [name, manifest.devDependencies[name]])),
};
const sources = parseTree(readTree('src'));
const tests = parseTree(readTree('test'));
const unitTests = tests.filter(({ path }) => /^test\/(?:unit|model)\//.test(path));

const RULES: readonly [name: string, find: () => string[]][] = [
  ['every import follows the arrows', () => findForbiddenArrows(sources)],
  ['every relative import names a file', () => findUnresolved(sources)],
  ['no file imports itself through others, types included', () => findCycles(sources)],
  ['every package is imported through its door', () => findDoorBreaches(sources)],
  ['what is optional is loaded where it is asked for', () => findNeededOptions(sources)],
  ['every dependency has a door', () => compareDoors(packages)],
  ['runtimes, time, chance and output are arguments', () => findForbiddenWords(sources)],
  ['the hub cannot reach a head codec, an exchange or a route', () => findHubSight(sources)],
  ['no command loads what only others need', () => findHeavyStart(sources)],
  ['no file is too long', () => findLongFiles(sources)],
  ['every file begins with its responsibility', () => findUnexplainedFiles(sources)],
  ['every TODO names its issue', () => findUnownedTodos(sources)],
  ['every test file holds a test', () => findEmptyTests(tests)],
  ['every skip says what is lacking', () => findHiddenSkips(tests)],
  ['no unit or model test sleeps', () => findSleeps(unitTests)],
  ['deno.json and package.json want the same versions', () => compareVersions(packages, deno.imports)],
  ['deno.json and package.json have the same entries', () => compareExports(manifest.exports, deno.exports)],
];

test('The rules saw the sources', (t) => {
  ok(sources.length >= FEWEST_FILES, `${sources.length} files`);
  ok(
    sources.some(({ internal }) => internal.length > 0),
    'no import found',
  );
  const { median, p90, max } = measure(sources);
  t.diagnostic(`${sources.length} files; code lines: median ${median}, p90 ${p90}, max ${max}`);
});

for (const [name, find] of RULES) test(`Architecture: ${name}`, () => deepEqual(find(), []));

/** A small tree of files that keep every rule, each with the given lines after its doc line. */
function plant(files: Readonly<Record<string, string>>): SourceFile[] {
  return parseTree(
    new Map(Object.entries(files).map(([path, body]) => [path, `/** Planted for a rule. */\n${body}\n`])),
  );
}

const none = 'export const nothing = 0';
const PLANTED: readonly [name: string, find: () => string[], violations: number][] = [
  ['an upward arrow', () => findForbiddenArrows(plant({ 'src/core/a.ts': "import { b } from '../http/b.ts'" })), 1],
  ['an upward type', () => findForbiddenArrows(plant({ 'src/core/a.ts': "import type { B } from '../http/b.ts'" })), 1],
  [
    'an inline type import',
    () => findForbiddenArrows(plant({ 'src/http/a.ts': "let a: import('../tunnel/b.ts').B" })),
    1,
  ],
  ['a re-export', () => findForbiddenArrows(plant({ 'src/hub/a.ts': "export * from '../http/b.ts'" })), 1],
  ['another runtime', () => findForbiddenArrows(plant({ 'src/runtime/node/a.ts': "import '../workerd/b.ts'" })), 1],
  ['what runtimes share', () => findForbiddenArrows(plant({ 'src/runtime/node/a.ts': "import '../common/b.ts'" })), 0],
  [
    'a runtime in what they share',
    () => findForbiddenArrows(plant({ 'src/runtime/common/a.ts': "import '../node/b.ts'" })),
    1,
  ],
  ['a way out of src', () => findForbiddenArrows(plant({ 'src/cli/a.ts': "import '../../test/b.ts'" })), 1],
  ['a folder nobody knows', () => findForbiddenArrows(plant({ 'src/misc/a.ts': none })), 1],
  ['an allowed arrow', () => findForbiddenArrows(plant({ 'src/router/a.ts': "import '../http/b.ts'" })), 0],
  ['an import that is a comment', () => findForbiddenArrows(plant({ 'src/core/a.ts': "// import '../http/b.ts'" })), 0],
  [
    'an import that is a string',
    () => findForbiddenArrows(plant({ 'src/core/a.ts': 'const a = `import "../http/b.ts"`' })),
    0,
  ],
  ['a missing file', () => findUnresolved(plant({ 'src/core/a.ts': "import './b.ts'" })), 1],
  ['a missing ending', () => findUnresolved(plant({ 'src/core/a.ts': "import './b'", 'src/core/b.ts': none })), 1],
  [
    'a cycle of types',
    () => findCycles(plant({ 'src/core/a.ts': "import type { B } from './b.ts'", 'src/core/b.ts': "import './a.ts'" })),
    1,
  ],
  [
    'a diamond',
    () =>
      findCycles(
        plant({
          'src/a.ts': "import './b.ts'\nimport './c.ts'",
          'src/b.ts': "import './c.ts'",
          'src/c.ts': none,
        }),
      ),
    0,
  ],
  ['a side door', () => findDoorBreaches(plant({ 'src/tunnel/a.ts': "import { WebSocket } from 'ws'" })), 1],
  [
    'a side door to a part',
    () => findDoorBreaches(plant({ 'src/agent/a.ts': "import { logger } from 'hono/logger'" })),
    1,
  ],
  ['a package without a door', () => findDoorBreaches(plant({ 'src/cli/a.ts': "import 'left-pad'" })), 1],
  ['an optional file in the core', () => findNeededOptions(plant({ 'src/hub/a.ts': "import('./store/nats.ts')" })), 1],
  [
    'an optional file at the start of a program',
    () => findNeededOptions(plant({ 'src/cli/shared-store.ts': "import { N } from '../hub/store/nats.ts'" })),
    1,
  ],
  [
    'an optional file when it is asked for',
    () => findNeededOptions(plant({ 'src/cli/shared-store.ts': "const n = await import('../hub/store/nats.ts')" })),
    0,
  ],
  ['the right door', () => findDoorBreaches(plant({ 'src/core/id.ts': "import { nanoid } from 'nanoid'" })), 0],
  ['a dependency without a door', () => compareDoors({ ...packages, 'left-pad': '1.0.0' }), 1],
  [
    'node: in a neutral file',
    () => findForbiddenWords(plant({ 'src/core/a.ts': "import { join } from 'node:path'" })),
    1,
  ],
  ['Buffer', () => findForbiddenWords(plant({ 'src/core/a.ts': 'Buffer.from([])' })), 1],
  ['process', () => findForbiddenWords(plant({ 'src/hub/a.ts': 'const a = process.env' })), 1],
  ['a sniffed runtime', () => findForbiddenWords(plant({ 'src/agent/a.ts': "if (typeof Bun === 'object') f()" })), 1],
  ['the wall clock', () => findForbiddenWords(plant({ 'src/auth/a.ts': 'const a = Date.now() + +new Date()' })), 2],
  [
    'a global timer',
    () => findForbiddenWords(plant({ 'src/http/a.ts': 'globalThis.setTimeout(f, 1); setInterval(f, 1)' })),
    2,
  ],
  ['chance', () => findForbiddenWords(plant({ 'src/router/a.ts': 'Math.random()' })), 1],
  ['console', () => findForbiddenWords(plant({ 'src/hub/a.ts': 'console.log(1)' })), 1],
  ['error text', () => findForbiddenWords(plant({ 'src/hub/a.ts': "error.message.includes('reset')" })), 1],
  [
    'the same words at home or as members',
    () =>
      findForbiddenWords(
        plant({
          'src/core/clock.ts': 'setTimeout(f, Date.now())',
          'src/runtime/node/a.ts': "import 'node:net'\nprocess.exit()",
          'src/core/a.ts': "clock.setTimeout(f, 1) // setTimeout(f)\nconst a = 'Date.now()'",
        }),
      ),
    0,
  ],
  [
    'a hub that sees routes through telemetry',
    () =>
      findHubSight(
        plant({
          'src/hub/a.ts': "import '../telemetry/b.ts'",
          'src/telemetry/b.ts': "import type { E } from '../router/events.ts'",
          'src/router/events.ts': none,
        }),
      ),
    1,
  ],
  [
    'a hub that sees exchanges',
    () => findHubSight(plant({ 'src/hub/a.ts': "import '../http/exchange.ts'", 'src/http/exchange.ts': none })),
    1,
  ],
  [
    'a hub that sees head types',
    () =>
      findHubSight(
        plant({
          'src/hub/a.ts': "import '../auth/b.ts'",
          'src/auth/b.ts': "import '../http/head.ts'",
          'src/http/head.ts': none,
        }),
      ),
    0,
  ],
  [
    'a start that loads much',
    () =>
      findHeavyStart(
        plant({
          'src/cli/main.ts': "import {\n  b,\n} from '../auth/b.ts'",
          'src/auth/b.ts': "import { SignJWT } from 'jose'",
        }),
      ),
    1,
  ],
  [
    'a start that loads later, or types',
    () =>
      findHeavyStart(
        plant({
          'src/cli/main.ts': "import type {\n  B,\n} from '../auth/b.ts'\nconst b = await import('../auth/b.ts')",
          'src/auth/b.ts': "import { SignJWT } from 'jose'",
        }),
      ),
    0,
  ],
  ['a long file', () => findLongFiles(plant({ 'src/core/a.ts': 'let a = 0\n'.repeat(401) })), 1],
  ['a long comment', () => findLongFiles(plant({ 'src/core/a.ts': '// a\n\n'.repeat(401) })), 0],
  ['a file without a word', () => findUnexplainedFiles(parseTree(new Map([['src/core/a.ts', none]]))), 1],
  ['a TODO', () => findUnownedTodos(plant({ 'src/core/a.ts': '// TODO later\n// TODO(#12) later' })), 1],
  ['a test file without a test', () => findEmptyTests(plant({ 'test/unit/a.test.ts': '// test(' })), 1],
  [
    'a sleep',
    () => findSleeps(plant({ 'test/unit/a.test.ts': 'await new Promise((done) => setTimeout(done, 50))' })),
    1,
  ],
  ['a hidden skip', () => findHiddenSkips(plant({ 'test/unit/a.test.ts': "test('a', (t) => t.skip('later'))" })), 1],
  [
    'a stated skip',
    () => findHiddenSkips(plant({ 'test/unit/a.test.ts': "test('a', { skip: lacking('h2') }, f)" })),
    0,
  ],
  [
    'a version that drifted',
    () => compareVersions({ ws: '8.0.0', '@a/b': '1.0.0' }, { ws: 'npm:ws@8.0.1', '@a/b': 'npm:@a/b@1.0.0' }),
    1,
  ],
  [
    'an entry that is missing, and one that is another file',
    () =>
      compareExports(
        { '.': { types: './dist/a.d.ts', default: './dist/a.js' }, './b': './dist/b.js' },
        { '.': './src/c.ts' },
      ),
    2,
  ],
];

for (const [name, find, violations] of PLANTED) {
  test(`Architecture rules on a planted tree: ${name}`, () => equal(find().length, violations, find().join('\n')));
}
