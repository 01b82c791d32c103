/**
 * `npm run ok`: the gate. Runs every check, also after one failed, and ends with the count.
 * Types twice (neutral world, everything), format and lint, architecture, unused code, generated docs in sync, everything
 * that is exported documented (by Deno), and the package as a user would install it.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lintDocs } from './deno.mjs';
import { noteFailure, tellFailures } from './failures.mjs';
import { binOf, build, closing, ensureInstalled, root, run } from './house.mjs';

const node = (name, ...args) => run(process.execPath, [binOf(name), ...args], { output: 'capture' });
const own = (...args) => run(process.execPath, args, { output: 'capture', env: { SKEIN_TEST_FAILURES: '' } });
const good = { code: 0, text: '' };
const bad = (...lines) => ({ code: 1, text: lines.join('\n') });

await ensureInstalled();
const tarballs = mkdtempSync(join(tmpdir(), 'skein-pack-'));
let tarball;

const CHECKS = {
  'types, neutral world': () => node('typescript', '-p', 'tsconfig.json'),
  'types, everything': () => node('typescript', '-p', 'tsconfig.runtime.json'),
  'format and lint': () => node('@biomejs/biome', 'check', '--error-on-warnings'),
  architecture: () => own('tools/test.mjs', 'fast', 'test/architecture.test.ts'),
  'unused code': () => node('knip'),
  'generated docs': () => (existsSync(join(root, 'tools/docs.mjs')) ? own('tools/docs.mjs', '--check') : good),
  'documented exports': lintDocs,
  'lock files': checkLocks,
  'package content': checkPackage,
  publint: () => (tarball ? node('publint', 'run', tarball, '--strict') : bad('no tarball')),
  'types of the package': () =>
    tarball ? node('@arethetypeswrong/cli', tarball, '--profile', 'esm-only', '--no-emoji') : bad('no tarball'),
};

/** Lock files name versions and digests, never a host that served them. */
function checkLocks() {
  const found = ['package-lock.json', 'test/runtimes/package-lock.json'].flatMap((path) =>
    readFileSync(join(root, path), 'utf8')
      .split('\n')
      .flatMap((line, i) => (/"resolved": "[a-z+]+:/.test(line) ? [`${path}:${i + 1}: ${line.trim()}`] : [])),
  );
  return found.length === 0 ? good : bad(...found);
}

/** Builds and packs, and looks into the tarball: all that is exported, nothing that is ours alone. */
async function checkPackage() {
  if ((await build('dist')) > 0) return bad('type errors');
  const packed = await run('npm', ['pack', '--json', '--pack-destination', tarballs, '--loglevel=error'], {
    output: 'capture',
  });
  if (packed.code !== 0) return packed;
  tarball = join(tarballs, readdirSync(tarballs)[0]);
  const listing = JSON.parse(packed.text.slice(packed.text.indexOf('\n[') + 1));
  const files = listing[0].files.map(({ path }) => path);
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const promised = [
    ...Object.values(manifest.exports).flatMap(pathsOf),
    ...Object.values(manifest.bin),
    './README.md',
    './LICENSE',
    './CHANGELOG.md',
  ].map((path) => path.slice(2));
  const allowed = /^(?:dist\/.+\.(?:js|d\.ts)|bin\/skein|README(?:\.zh)?\.md|LICENSE|CHANGELOG\.md|package\.json)$/;
  const problems = [
    ...promised.filter((path) => !files.includes(path)).map((path) => `missing: ${path}`),
    ...files
      .filter((path) => !allowed.test(path) || /(?:^|[/.])tests?[/.]/.test(path))
      .map((path) => `not for users: ${path}`),
  ];
  return problems.length === 0 ? good : bad(...problems);
}

/** An entry of `exports` is a path, or a table of conditions, nested at will. */
function pathsOf(entry) {
  return typeof entry === 'string' ? [entry] : Object.values(entry).flatMap(pathsOf);
}

const counts = { passed: 0, failed: 0, skipped: 0 };
for (const [name, check] of Object.entries(CHECKS)) {
  const started = performance.now();
  const { code, text } = await check();
  console.log(`${code === 0 ? '✔' : '✖'} ${name} (${Math.round(performance.now() - started)} ms)`);
  if (code !== 0) {
    console.log(text.trimEnd().replace(/^/gm, '    '));
    noteFailure({ stage: 'gate', name, text });
  }
  counts[code === 0 ? 'passed' : 'failed'] += 1;
}
rmSync(tarballs, { recursive: true, force: true });
tellFailures();
console.log(`\n${closing(counts)}`);
process.exitCode = counts.failed === 0 ? 0 : 1;
