/** `npm run bench -- guard [--update]`: counts the work of a request and compares it with the baseline, or makes it the baseline. */
import process from 'node:process';
import { parseArgs } from 'node:util';
import { findGrowth, saveBaseline } from './guard/baseline.ts';
import { countWork } from './guard/count.ts';

const { values } = parseArgs({ options: { update: { type: 'boolean', default: false } } });
const work = await countWork();
process.stdout.write(`${JSON.stringify(work, undefined, 2)}\n`);
if (values.update) {
  process.stderr.write(`kept in ${saveBaseline(work)}\n`);
} else {
  const growth = findGrowth(work);
  for (const line of growth) process.stderr.write(`${line}\n`);
  process.exitCode = growth.length === 0 ? 0 : 1;
}
