/**
 * Many test files in few processes: in parts, so that one that does not end is known by its files and costs minutes, not
 * the whole run; as many at once as the machine has processors.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { noteFailure } from './failures.mjs';
import { root, say } from './house.mjs';

const FILES_IN_A_PART = 20;
/** A hook outside of any suite is one of all tests of its process. */
const HOOK_OF_ALL = /^(?:after|before)(?:Each)?\(/m;

/** Neighbours are alike, and long ones stand together: so they are dealt out. */
function toParts(files) {
  const alone = files.filter((path) => HOOK_OF_ALL.test(readFileSync(join(root, path), 'utf8')));
  const others = files.filter((path) => !alone.includes(path));
  const count = Math.ceil(others.length / FILES_IN_A_PART);
  const dealt = Array.from({ length: count }, (_, part) => others.filter((_path, i) => i % count === part));
  return [...dealt, ...alone.map((path) => [path])];
}

/**
 * @param runPart runs some files; `{ code, tests }`, without any test when it was ended by its limit
 * @returns what they say together
 */
export async function inParts(files, stage, runPart) {
  const waiting = toParts(files);
  const results = [];
  const work = async () => {
    for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) {
      let result = await runPart(part);
      if (result.tests.length === 0) {
        say(`${stage}: ended by its limit, and run once more: ${part.join(' ')}`);
        result = await runPart(part);
      }
      if (result.tests.length === 0) noteFailure({ stage, name: 'told nothing', text: part.join('\n') });
      results.push(result);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  return joinResults(results);
}

/** What several runs say together; one without any test has failed. */
export function joinResults(results) {
  return {
    code: Math.max(...results.map(({ code, tests }) => (tests.length === 0 ? 1 : (code ?? 1)))),
    tests: results.flatMap(({ tests }) => tests),
  };
}
