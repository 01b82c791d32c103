/**
 * What failed, told once more at the very end, where a log that is cut in the middle still shows it. Kept in a file
 * that all stages of a run add to, at the moment of each failure: a stage that is killed has told its own by then.
 * `node tools/failures.mjs FILE` prints what is in it.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cache } from './house.mjs';

/** Whoever started this run prints the list, if it named the file; else the tool itself does. */
const given = process.env.SKEIN_TEST_FAILURES;
const path = given || join(cache, `failures-${process.pid}.jsonl`);
if (!given) rmSync(path, { force: true });
/** For the programs that a tool starts as parts of itself. */
export const failuresEnv = { SKEIN_TEST_FAILURES: path };

const SHOWN_LINES = 15;
const SHOWN_COLUMNS = 300;
/** The rest is named and no more: a list that nobody can print whole helps nobody. */
const SHOWN_IN_FULL = 25;

/** @param text the error; its first lines are shown, and of its stack where in `file` it was */
export function noteFailure({ stage, file, name, text = '' }) {
  mkdirSync(dirname(path), { recursive: true });
  appendFileSync(path, `${JSON.stringify({ stage, file, name, text: beginningOf(text, file) })}\n`);
}

/** All that failed in `file` until now has passed when it was run once more. */
export function noteSettled({ stage, file }) {
  appendFileSync(path, `${JSON.stringify({ stage, file, isSettled: true })}\n`);
}

function beginningOf(text, file) {
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !/^\s+at .*node:internal/.test(line));
  const shown = lines.slice(0, SHOWN_LINES);
  const where = file && lines.find((line) => /^\s+at /.test(line) && line.includes(file));
  if (where && !shown.includes(where)) shown.push('…', where);
  return shown.map((line) => (line.length > SHOWN_COLUMNS ? `${line.slice(0, SHOWN_COLUMNS)}…` : line)).join('\n');
}

/** Prints the list, unless somebody else will. */
export function tellFailures() {
  if (given) return;
  process.stdout.write(failuresIn(path));
  rmSync(path, { force: true });
}

function failuresIn(file) {
  if (!existsSync(file)) return '';
  const notes = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  const settled = new Set(notes.filter(({ isSettled }) => isSettled).map(keyOf));
  const failures = notes.filter(({ isSettled }) => !isSettled);
  return (
    list(
      failures.filter((failure) => settled.has(keyOf(failure))),
      'unstable: failed, and passed when run once more',
    ) +
    list(
      failures.filter((failure) => !settled.has(keyOf(failure))),
      'failed',
    )
  );
}

const keyOf = ({ stage, file }) => `${stage} ${file}`;

function list(failures, what) {
  const blocks = failures.map(({ stage, file, name, text }, i) => {
    const title = `✖ ${[stage, file, name].filter(Boolean).join(': ')}`;
    return i < SHOWN_IN_FULL && text ? `${title}\n${text.replace(/^/gm, '    ')}\n` : `${title}\n`;
  });
  return blocks.length === 0 ? '' : `\n=== ${blocks.length} ${what}\n${blocks.join('')}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.stdout.write(failuresIn(process.argv[2]));
