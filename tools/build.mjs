/** `node tools/build.mjs dist|build`: compiles one output; ends with 1 on type errors. */
import { build, ensureInstalled, say } from './house.mjs';

const output = process.argv[2] ?? 'dist';
if (output !== 'dist' && output !== 'build') throw new RangeError(`Unknown output: "${output}"`);
await ensureInstalled();
const errors = await build(output);
if (errors > 0) say(`${errors} type errors`);
process.exitCode = errors > 0 ? 1 : 0;
