/**
 * Reporter for `node --test`: a line per file as it ends, then failures in full and skips with their reason; writes
 * the counts as JSON to the file that SKEIN_TEST_REPORT names. A test that holds subtests is a container and not
 * counted, unless it failed by itself. Each failure is noted as it comes, for the end of the whole run;
 * SKEIN_TEST_STAGE says of what.
 */
import { writeFileSync } from 'node:fs';
import { relative, sep } from 'node:path';
import { noteFailure } from './failures.mjs';

/** `/…/build/test/a.test.js` → `test/a.test.ts`. */
function sourceOf(file) {
  const path = relative(process.cwd(), file).split(sep).join('/');
  return path.startsWith('build/') ? path.slice(6).replace(/\.js$/, '.ts') : path;
}

function explain(error) {
  const cause = error?.cause ?? error;
  return cause?.stack ?? String(cause?.message ?? cause);
}

function lineOf(file, { passed, failed, skipped, ms }) {
  const extra = `${failed ? `, ${failed} failed` : ''}${skipped ? `, ${skipped} skipped` : ''}`;
  return `${failed ? '✖' : '✔'} ${file}  ${passed} passed${extra}  (${Math.round(ms)} ms)\n`;
}

// biome-ignore lint/style/noDefaultExport: node:test takes a reporter from the default export
export default async function* report(events) {
  const tests = [];
  const perFile = new Map();
  /** Nesting → finished tests at that depth that wait for their parent. */
  const waiting = [];
  const diagnostics = [];
  let current;

  for await (const { type, data } of events) {
    if (type === 'test:diagnostic' && data.file && !/^\w+ \d/.test(data.message)) diagnostics.push(data);
    if (type === 'test:stderr' || type === 'test:stdout') yield data.message;
    if (type !== 'test:pass' && type !== 'test:fail') continue;

    const { nesting, name, details, skip, todo } = data;
    const children = waiting[nesting + 1] ?? [];
    waiting[nesting + 1] = [];
    const file = sourceOf(data.file ?? name);
    const failed = type === 'test:fail' && todo === undefined;
    const self = {
      file,
      name,
      ms: details.duration_ms ?? 0,
      state: failed ? 'failed' : skip !== undefined ? 'skipped' : todo !== undefined ? 'todo' : 'passed',
      reason: typeof skip === 'string' ? skip : '',
      error: failed ? details.error : undefined,
      failedBelow: failed || children.some((child) => child.failedBelow),
    };
    waiting[nesting] = [...(waiting[nesting] ?? []), self];
    const container = details.type === 'suite' || children.length > 0;
    // A file that was ended by its limit has tests that nobody has seen, whatever became of those before.
    const failedItself =
      details.error?.failureType === 'testTimeoutFailure' || !children.some((child) => child.failedBelow);
    if (container && !(failed && failedItself)) continue;
    // A file without any test is reported by Node as one passing test named after the file.
    if (!failed && !container && nesting === 0 && /[\\/]/.test(name) && sourceOf(name) === file) {
      Object.assign(self, { state: 'failed', error: new Error('The file holds no test') });
    }
    tests.push(self);
    if (self.state === 'failed') {
      noteFailure({ stage: process.env.SKEIN_TEST_STAGE, file, name, text: explain(self.error) });
    }
    // The runner tells of one file after the other, also where they run at once.
    if (current !== undefined && current !== file) yield lineOf(current, perFile.get(current));
    current = file;
    const sums = perFile.get(file) ?? { passed: 0, failed: 0, skipped: 0, todo: 0, ms: 0 };
    sums[self.state] += 1;
    sums.ms += details.duration_ms ?? 0;
    perFile.set(file, sums);
  }

  if (current !== undefined) yield lineOf(current, perFile.get(current));
  for (const { file, message } of diagnostics) yield `  ${sourceOf(file)}: ${message}\n`;
  for (const { file, name, reason } of tests.filter(({ state }) => state === 'skipped')) {
    yield `  skipped: ${file}: ${name}: ${reason}\n`;
  }
  for (const { file, name, error } of tests.filter(({ state }) => state === 'failed')) {
    yield `\n✖ ${file}: ${name}\n${explain(error).replace(/^/gm, '      ')}\n`;
  }
  const path = process.env.SKEIN_TEST_REPORT;
  if (path) writeFileSync(path, JSON.stringify(tests.map(({ file, name, state, ms }) => ({ file, name, state, ms }))));
}
