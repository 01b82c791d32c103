/** `npm run bench [-- profile|guard|lines] [-- options]`: builds what is missing, then runs the compiled program of bench/. */
import { build, ensureInstalled, run, say } from './house.mjs';

const PROGRAMS = ['profile', 'guard', 'lines'];
const [first, ...rest] = process.argv.slice(2);
const [name, args] = PROGRAMS.includes(first) ? [first, rest] : ['run', process.argv.slice(2)];

await ensureInstalled();
// Some questions are asked of Bun.
if (name === 'run') await ensureInstalled('test/runtimes');
for (const output of ['dist', 'build']) {
  if ((await build(output)) > 0) say(`warning: ${output} built with type errors`);
}
const { code } = await run(process.execPath, [`build/bench/${name}.js`, ...args], { output: 'stdout' });
process.exitCode = code;
