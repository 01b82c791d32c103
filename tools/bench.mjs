/** `npm run bench [-- options]`: builds what is missing, then runs bench/run.ts (compiled) or bench/run.mjs. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { build, ensureInstalled, root, run, say } from './house.mjs';

await ensureInstalled();
for (const output of ['dist', 'build']) {
  if ((await build(output)) > 0) say(`warning: ${output} built with type errors`);
}
const program = ['build/bench/run.js', 'bench/run.mjs'].find((path) => existsSync(join(root, path)));
if (program === undefined) {
  say('Cannot run the benches: neither bench/run.ts nor bench/run.mjs exists');
  process.exitCode = 1;
} else {
  const { code } = await run(process.execPath, [program, ...process.argv.slice(2)], { output: 'stdout' });
  process.exitCode = code;
}
