/**
 * What Deno says of the package: types of all entries by its own TypeScript, older than ours; documentation of all that they
 * export (`deno doc --lint`), of each entry by itself, so that whoever imports one can name every type in it; and whether it
 * could be published to JSR, types that are not written out included (`deno publish --dry-run`).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { noteFailure } from './failures.mjs';
import { root, run, say } from './house.mjs';

const { exports: entries } = JSON.parse(readFileSync(join(root, 'deno.json'), 'utf8'));

/** name → arguments. A working tree that git finds changed is no reason not to look. */
const CHECKS = {
  'deno check': ['check', '--quiet', ...Object.values(entries), './src/cli/main.ts'],
  ...Object.fromEntries(
    Object.entries(entries).map(([name, path]) => [`deno doc --lint ${name}`, ['doc', '--lint', path]]),
  ),
  'deno publish --dry-run': ['publish', '--dry-run', '--allow-dirty'],
};

/** @returns how many of the checks passed and failed */
export async function checkWithDeno(binary) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const [name, args] of Object.entries(CHECKS)) {
    const { code, text } = await run(binary, args, { output: 'capture', env: { NO_COLOR: '1' } });
    say(`${code === 0 ? '✔' : '✖'} ${name}`);
    counts[code === 0 ? 'passed' : 'failed'] += 1;
    if (code === 0) continue;
    // Of packages that are not Deno's it warns at length before it comes to the errors.
    const errors = text.slice(Math.max(0, text.search(/^(?:error|TS\d+)/m)));
    process.stdout.write(errors);
    noteFailure({ stage: 'runtimes', name, text: errors });
  }
  return counts;
}
