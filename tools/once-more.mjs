/**
 * A machine that does something else at the wrong moment fails a test now and then. The files of such tests are run once
 * more, alone, and what they say then counts; that they failed first is told at the end, as unstable, with the reason.
 */
import { noteSettled } from './failures.mjs';
import { say } from './house.mjs';

/** More than a few have a cause, and no chance in it. */
const MAX_FILES = 3;
/** One that waited for so long stood still, and would do it again. */
const MAX_MS = 240_000;

/**
 * @param result `{ code, tests: { file?, name, state, ms? }[] }` of a stage
 * @param rerun runs one file; its result has the same shape
 * @returns the result with the tests of those files in their second state
 */
export async function onceMore({ code, tests }, stage, rerun) {
  const failed = tests.filter(({ state }) => state === 'failed');
  const files = [...new Set(failed.map(({ file }) => file))];
  const tookMs = (file) => tests.reduce((sum, test) => sum + (test.file === file ? (test.ms ?? 0) : 0), 0);
  if (files.length === 0 || files.length > MAX_FILES) return { code, tests };
  if (files.some((file) => !file?.endsWith('.test.ts') || tookMs(file) > MAX_MS)) return { code, tests };
  let second = tests;
  let codes = 0;
  for (const file of files) {
    say(`\n${stage}: once more, alone: ${file}`);
    const again = await rerun(file);
    if (again.code === 0 && again.tests.length > 0) noteSettled({ stage, file });
    else codes ||= again.code || 1;
    second = [...second.filter((test) => test.file !== file), ...again.tests];
  }
  return { code: codes, tests: second };
}
