/**
 * `node tools/test.mjs [fast|conformance|e2e|runtimes] [words…]`: installs and builds what is missing and runs tests.
 * Without a group: fast, conformance and e2e on this Node, from the compiled output. `runtimes`: the portable suites
 * on Node 24, Bun and Deno from the sources, and those that need no Node in workerd and in Chromium. Words keep the
 * files whose path holds one of them.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { askDeno, DENO, PACKAGE_CHECKS } from './deno.mjs';
import { failuresEnv, noteFailure, tellFailures } from './failures.mjs';
import { build, cache, closing, ensureInstalled, filesBelow, root, run, say } from './house.mjs';
import { onceMore } from './once-more.mjs';
import { inParts, joinResults } from './parts.mjs';

const FAST = ['test/unit/', 'test/model/', 'test/vectors/', 'test/runtime/suite/'];
const PORTABLE = [...FAST, 'test/conformance/'];
/** End-to-end files that hold times under load against each other, or take the ports of a first start: they run alone. */
const ALONE = [
  ...['balancing', 'catalogue-size', 'demo', 'floods', 'hostile-sidecar', 'hub-workers', 'key-rotation', 'open-loop'],
  ...['readme', 'slow-reader', 'survival', 'work-per-request'],
].map((name) => `test/e2e/${name}.test.ts`);
/** Of a test, and to Node of a whole file as well: the longest takes three minutes where nothing else runs. */
const TIMEOUT_MS = 600_000;
const GROUPS = {
  fast: { folders: FAST, together: true },
  conformance: { folders: ['test/conformance/'], together: true },
  e2e: { folders: ['test/e2e/'] },
};
const PART_LIMIT_MS = 8 * 60_000;
const INSTALLED = 'test/runtimes/node_modules';
const RUNTIMES = {
  'node 24': { binary: `${INSTALLED}/node24/bin/node`, host: { runtime: 'node', major: 24 } },
  'bun 1.4': { binary: `${INSTALLED}/@oven/bun-linux-x64/bin/bun`, host: { runtime: 'bun', major: 1 } },
  'deno 2.9': { binary: DENO, host: { runtime: 'deno', major: 2 } },
};
const ISOLATE = {
  name: 'workerd 2026',
  binary: `${INSTALLED}/@cloudflare/workerd-linux-64/bin/workerd`,
  host: { runtime: 'workerd', major: 2026, root: false, hasCommand: () => false },
};
const CHROMIUM = '/usr/bin/chromium';
const modes = [...Object.keys(GROUPS), 'runtimes'];
const [first, ...rest] = process.argv.slice(2);
const mode = modes.includes(first) ? first : undefined;
const words = mode === undefined && first !== undefined ? [first, ...rest] : rest;

/** Test files of some folders; the files directly in test/ belong to those of the fast ones. */
function select(folders) {
  return filesBelow('test')
    .filter((path) => path.endsWith('.test.ts') && !path.startsWith('test/runtimes/'))
    .filter(
      (path) =>
        folders.some((folder) => path.startsWith(folder)) || (folders.includes(FAST[0]) && /^test\/[^/]+$/.test(path)),
    )
    .filter((path) => words.length === 0 || words.some((word) => path.includes(word)));
}

/**
 * Runs files on a Node. `compiled` takes them from build/. With `together` they share a process, as other runtimes do
 * it, because a process for each costs more than its tests.
 */
async function runNode(binary, files, { stage, compiled = false, concurrency = 1, together = false }) {
  const folder = mkdtempSync(join(cache, 'report-'));
  const report = join(folder, 'report.json');
  const paths = compiled ? files.map((path) => `build/${path.replace(/\.ts$/, '.js')}`) : files;
  let named = ['--test', `--test-concurrency=${concurrency}`, ...paths];
  if (together && compiled) named = [entryOf(paths, join(folder, 'entry.mjs'))];
  else if (together) named = ['--test', '--test-isolation=none', ...paths];
  const { code } = await run(
    binary,
    [
      '--enable-source-maps',
      `--test-timeout=${TIMEOUT_MS}`,
      `--test-reporter=${pathToFileURL(join(root, 'tools/reporter.mjs')).href}`,
      '--test-reporter-destination=stdout',
      ...named,
    ],
    {
      output: 'stdout',
      env: { SKEIN_TEST_REPORT: report, SKEIN_TEST_STAGE: stage, ...failuresEnv },
      timeoutMs: together ? PART_LIMIT_MS : undefined,
    },
  );
  const tests = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : [];
  rmSync(folder, { recursive: true });
  return { code, tests };
}

/** Node 20 has no option for it: a module that imports them all. */
function entryOf(paths, entry) {
  const lines = paths.map((path) => `import ${JSON.stringify(pathToFileURL(join(root, path)).href)};\n`);
  writeFileSync(entry, lines.join(''));
  return entry;
}

/** All files of a group, on this Node. Most end-to-end files wait more than they work: two of them run at once. */
async function runGroup(name, files) {
  const onThis = (some, options) => runNode(process.execPath, some, { stage: name, compiled: true, ...options });
  if (GROUPS[name].together) return inParts(files, name, (part) => onThis(part, { together: true }));
  const results = [];
  for (const concurrency of [1, 2]) {
    const some = files.filter((path) => ALONE.includes(path) === (concurrency === 1));
    if (some.length > 0) results.push(await onThis(some, { concurrency }));
  }
  return joinResults(results);
}

function runNodePart(binary, files, stage) {
  return runNode(binary, files, { stage, together: true });
}

async function runBunOrDenoPart(binary, files, name) {
  const folder = mkdtempSync(join(cache, 'junit-'));
  const report = join(folder, 'report.xml');
  const args = name.startsWith('bun')
    ? ['test', '--timeout', String(TIMEOUT_MS), '--reporter=junit', `--reporter-outfile=${report}`]
    : ['test', '-A', '--no-check', '--quiet', `--junit-path=${report}`];
  const startMs = performance.now();
  const { code, text } = await run(binary, [...args, ...files.map((path) => `./${path}`)], {
    output: 'capture',
    env: { NO_COLOR: '1' },
    timeoutMs: PART_LIMIT_MS,
  });
  const tests = existsSync(report) ? readJunit(readFileSync(report, 'utf8')) : [];
  rmSync(folder, { recursive: true });
  for (const line of text.split('\n')) if (line.startsWith('{"figures":')) say(line);
  const seconds = Math.round((performance.now() - startMs) / 1000);
  say(`${code === 0 ? '✔' : '✖'} ${name}: ${files[0]} … ${files.at(-1)}: ${tests.length} tests, ${seconds} s`);
  if (code !== 0) process.stdout.write(failuresOf(text).slice(-20_000));
  for (const test of tests) if (test.state === 'failed') noteFailure({ stage: name, ...test });
  return { code, tests };
}

/** What Deno says of the package itself. */
async function checkPackage() {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const [name, args] of Object.entries(PACKAGE_CHECKS)) {
    const { code, text } = await askDeno(args);
    counts[code === 0 ? 'passed' : 'failed'] += 1;
    if (code === 0) continue;
    process.stdout.write(text);
    noteFailure({ stage: 'runtimes', name, text });
  }
  return counts;
}

/** Which of the files an isolate can run is decided by what they import. */
async function runIsolate(files) {
  const { name, binary, host } = ISOLATE;
  const load = (path) => import(pathToFileURL(join(root, 'build/test/support/isolate', path)).href);
  const { runInWorkerd, selectFiles } = await load('run.js');
  const { files: some, obstacles } = selectFiles(files);
  const others = [...obstacles].map(([what, count]) => `${what} (${count})`).join(', ');
  say(`\n${name}: ${some.length} files; the others need ${others || 'nothing'}`);
  if (some.length === 0) return;
  let result = { code: 1, tests: [] };
  if (!existsSync(join(root, binary))) say(`${name} is not installed: its package serves Linux on x64 only`);
  else result = await onceMore(await runInWorkerd(some), name, (file) => runInWorkerd([file]));
  for (const test of result.tests) if (test.state === 'failed') noteFailure({ stage: name, ...test });
  add(judge(name, result, some, expectedSkips({ ...currentHost(), ...host })), name.replace(' ', '-'));
}

/** The suites that need no Node, in pages. */
async function runPages(files, stage) {
  const { runInChromium } = await import(
    pathToFileURL(join(root, 'build/test/support/neutral/chromium-runner.js')).href
  );
  const { tests, ...rest } = await runInChromium(files, say);
  const failed = tests.filter(({ state }) => state === 'failed');
  for (const { file, name, text } of failed) {
    say(`✖ ${file}: ${name}\n${text}`);
    noteFailure({ stage, file, name, text });
  }
  return { code: failed.length === 0 ? 0 : 1, tests, ...rest };
}

/** What a person must read of a failed run of Bun or Deno: not the passes. */
function failuresOf(text) {
  const errors = text.indexOf('\n ERRORS \n');
  if (errors >= 0) return text.slice(errors);
  return text
    .split('\n')
    .filter((line) => !line.startsWith('(pass)'))
    .join('\n');
}

/** The test cases of a JUnit report; a case that holds others is a container and not counted unless only it failed. */
function readJunit(xml) {
  const plain = (text) =>
    text
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>')
      .replaceAll('&quot;', '"')
      .replaceAll('&apos;', "'")
      .replace(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)))
      .replaceAll('&amp;', '&');
  const cases = [...xml.matchAll(/<testcase\b([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)].map(([, head, body = '']) => {
    const attribute = (key) => plain(new RegExp(`\\b${key}="([^"]*)"`).exec(head)?.[1] ?? '');
    const file = (attribute('file') || attribute('classname')).replace(/^\.\//, '');
    return {
      file: file.endsWith('.ts') && !file.startsWith('ext:') ? file : undefined,
      name: attribute('name'),
      state: /<failure|<error/.test(body) ? 'failed' : body.includes('<skipped') ? 'skipped' : 'passed',
      text: plain(/<(?:failure|error)\b[^>]*?(?:\/>|>([\s\S]*?)<\/)/.exec(body)?.[1] ?? body),
    };
  });
  const parents = new Set(
    cases.flatMap(({ name }) => name.split(' > ').map((_, i, all) => all.slice(0, i).join(' > '))),
  );
  return cases.filter(
    ({ name, state }) =>
      !parents.has(name) ||
      (state === 'failed' && !cases.some((each) => each.state === 'failed' && each.name.startsWith(`${name} > `))),
  );
}

/** Compares the skips that happened with those written in test/runtime/capabilities.ts. */
function judgeSkips(tests, files, expected) {
  const same = ({ file, name }, wanted) => {
    const colon = wanted.indexOf(': ');
    const title = wanted.slice(colon + 2);
    return (file === undefined || file === wanted.slice(0, colon)) && (name === title || name.endsWith(` > ${title}`));
  };
  const skipped = tests.filter(({ state }) => state === 'skipped' || state === 'todo');
  const due = expected.filter((each) => files.includes(each.slice(0, each.indexOf(': '))));
  return [
    ...skipped
      .filter((test) => !due.some((wanted) => same(test, wanted)))
      .map(({ file, name }) => `unexpected skip: ${file ?? '?'}: ${name}`),
    ...due
      .filter((wanted) => !skipped.some((test) => same(test, wanted)))
      .map((wanted) => `listed in test/runtime/capabilities.ts but not skipped: ${wanted}`),
  ];
}

/** Counts one run; what went wrong outside any test counts as failed too. */
function judge(stage, { code, tests }, files, expected) {
  const count = (state) => tests.filter((test) => test.state === state).length;
  const complain = (name) => {
    say(name);
    noteFailure({ stage, name });
  };
  const surprises = judgeSkips(tests, files, expected);
  surprises.forEach(complain);
  const failed = count('failed') + surprises.length;
  const broken = failed === 0 && (code !== 0 || tests.length === 0) ? 1 : 0;
  if (broken) complain(`the runner ended with ${code}${tests.length === 0 ? ', and no test was run' : ''}`);
  return { passed: count('passed'), failed: failed + broken, skipped: count('skipped') + count('todo') };
}

const total = { passed: 0, failed: 0, skipped: 0 };
function add(counts, label) {
  for (const key of Object.keys(total)) total[key] += counts[key];
  lines.push(closing(counts, label));
}
const lines = [];

await ensureInstalled();
if (mode !== 'fast' && mode !== 'conformance') await ensureInstalled('test/runtimes');
mkdirSync(cache, { recursive: true });
// Both outputs hold src/, so an error in it is counted once. Only the compiled program needs dist/.
let errors = await build('build');
if (mode === undefined || mode === 'e2e' || mode === 'conformance') errors = Math.max(errors, await build('dist'));
if (errors > 0) {
  noteFailure({ stage: 'types', name: `${errors} errors` });
  add({ passed: 0, failed: errors, skipped: 0 }, 'types');
}
const { currentHost, expectedSkips } = await import(
  pathToFileURL(join(root, 'build/test/runtime/capabilities.js')).href
);

if (mode === 'runtimes') {
  const files = select(PORTABLE);
  for (const [name, { binary, host }] of Object.entries(RUNTIMES)) {
    say(`\n${name}: ${files.length} files`);
    const path = join(root, binary);
    const expected = expectedSkips({ ...currentHost(), ...host });
    let result = { code: 1, tests: [] };
    if (files.length === 0) say('no test file found');
    else if (!existsSync(path)) say(`${name} is not installed: its package serves Linux on x64 only`);
    else {
      const runPart = host.runtime === 'node' ? runNodePart : runBunOrDenoPart;
      result = await onceMore(await inParts(files, name, (part) => runPart(path, part, name)), name, (file) =>
        runPart(path, [file], name),
      );
    }
    add(judge(name, result, files, expected), name.replace(' ', '-'));
  }
  await runIsolate(files);
  if (existsSync(CHROMIUM)) {
    say('\nchromium: those of them that need no Node');
    const run = await runPages(files, 'chromium');
    const host = { ...currentHost(), runtime: 'chromium', major: Number.parseInt(run.version, 10) };
    const result = await onceMore(run, 'chromium', (file) => runPages([file], 'chromium'));
    say(`${run.files.length} of ${files.length} files, chromium ${run.version}`);
    add(judge('chromium', result, run.files, expectedSkips(host)), `chromium-${host.major}`);
  } else {
    say(`chromium is not installed: Debian's is ${CHROMIUM}`);
    add({ passed: 0, failed: 1, skipped: 0 }, 'chromium');
  }
  add(await checkPackage(), 'deno-package');
} else {
  for (const name of mode ? [mode] : Object.keys(GROUPS)) {
    const files = select(GROUPS[name].folders);
    if (files.length === 0 && words.length > 0) continue;
    say(`\n${name}: ${files.length} files`);
    let result = { code: 1, tests: [] };
    if (files.length === 0) say(`no test file found in ${GROUPS[name].folders.join(' ')}`);
    else result = await onceMore(await runGroup(name, files), name, (file) => runGroup(name, [file]));
    add(judge(name, result, files, expectedSkips(currentHost())), name);
  }
}

if (lines.length === 0) {
  say(`no test file matches ${words.join(' ')}`);
  process.exitCode = 1;
} else {
  tellFailures();
  console.log('');
  for (const line of lines) console.log(line);
  if (lines.length > 1) console.log(closing(total));
  process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;
}
