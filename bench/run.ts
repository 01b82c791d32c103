/** `npm run bench`: asks the questions of bench/questions/, prints what they are answered with, and keeps the results. */
import process from 'node:process';
import { parseArgs } from 'node:util';
import { currentHost } from '../test/runtime/capabilities.ts';
import { Bench } from './kit/bench.ts';
import type { Question } from './kit/question.ts';
import { describeReport, loadNow, saveReport, toReport } from './kit/report.ts';
import { QUESTIONS } from './questions/all.ts';

/** Fewer say too little to stand in a table. */
const PAIRS_TO_KEEP = 5;
const MEMBERS = 10_000;

const HELP = `npm run bench [-- [IDS…] [options]]

Measures skein against the proxies people know, on this machine, in turn. Without IDS: every question.

  --pairs N      how often all contenders are run in turn (default 5; fewer print figures and keep no result)
  --seconds N    how long one run of load lasts (default 3)
  --members N    how many sidecars a hub has to bear in P8, P9 and P10 (default 10000; fewer keep no result)
  --list         the questions
  --help         this

  npm run bench                            all of them, half an hour
  npm run bench -- P1                      one
  npm run bench -- P1 P5 --pairs 7         two, more exactly
  npm run bench -- P4 --pairs 1 --seconds 1    a quick look
`;

interface Wanted {
  readonly questions: readonly Question[];
  readonly pairs: number;
  readonly seconds: number;
  readonly members: number;
}

function readArguments(): Wanted | string {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      pairs: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '3' },
      members: { type: 'string', default: String(MEMBERS) },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return HELP;
  if (values.list)
    return `${QUESTIONS.map(({ id, asks, load }) => `${id.padEnd(4)} ${asks}\n     ${load}`).join('\n')}\n`;
  const ids = positionals.map((id) => id.toUpperCase());
  const unknown = ids.filter((id) => !QUESTIONS.some((question) => question.id === id));
  if (unknown.length > 0) throw new RangeError(`there is no ${unknown.join(', ')}; npm run bench -- --list`);
  const toCount = (name: 'pairs' | 'seconds' | 'members') => {
    const count = Number(values[name]);
    if (!Number.isInteger(count) || count < 1) throw new RangeError(`--${name} is a whole number from 1`);
    return count;
  };
  return {
    questions: QUESTIONS.filter(({ id }) => ids.length === 0 || ids.includes(id)),
    pairs: toCount('pairs'),
    seconds: toCount('seconds'),
    members: toCount('members'),
  };
}

/** @returns whether it could be answered */
async function ask(question: Question, { pairs, seconds, members }: Wanted): Promise<boolean> {
  const say = (text: string) => process.stderr.write(`${question.id.padEnd(4)} ${text}\n`);
  const lacking = question.needs.filter((command) => !currentHost().hasCommand(command));
  if (lacking.length > 0) {
    say(`cannot be asked here: ${lacking.join(', ')} not installed (Debian: apt-get install ${lacking.join(' ')})`);
    return false;
  }
  const loadBefore = loadNow();
  const bench = new Bench({ pairs, seconds, members, progress: say });
  try {
    const report = toReport(question, await question.run(bench), bench, loadBefore);
    process.stdout.write(`${question.id}  ${question.asks}\n    ${question.load}\n${describeReport(report)}\n`);
    for (const { name, configuration } of bench.contenders) {
      if (name.startsWith('skein')) process.stdout.write(`    ${name}: ${configuration.join(' | ')}\n`);
    }
    if (pairs >= PAIRS_TO_KEEP && members >= MEMBERS) say(`kept in ${saveReport(report)}`);
    return true;
  } catch (error) {
    say(`failed: ${error instanceof Error ? error.message : error}`);
    return false;
  } finally {
    await bench.close();
  }
}

async function main(): Promise<void> {
  const wanted = readArguments();
  if (typeof wanted === 'string') {
    process.stdout.write(wanted);
    return;
  }
  const started = performance.now();
  for (const [i, question] of wanted.questions.entries()) {
    const minutes = ((performance.now() - started) / 60_000).toFixed(1);
    process.stderr.write(
      `${question.id.padEnd(4)} question ${i + 1} of ${wanted.questions.length}, ${minutes} min so far\n`,
    );
    if (!(await ask(question, wanted))) process.exitCode = 1;
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`Cannot run the benches: ${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
