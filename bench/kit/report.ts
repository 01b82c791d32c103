/** What a question was answered with, for people and as `bench/results/ID.json`. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { root } from '../../test/support/repository.ts';
import type { Bench, Missing } from './bench.ts';
import type { Contender } from './contender.ts';
import { type Answer, type Figure, meetsGoal, type Question, type Series } from './question.ts';

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly system: string;
  /** Work that waited in the minute before: much more than 0 says that the machine was not ours alone. */
  readonly loadBefore: number;
}

/** What was measured where, and when. */
export interface Circumstances {
  readonly measuredAt: string;
  readonly commit: string;
  readonly machine: Machine;
}

export interface Report extends Circumstances {
  readonly id: string;
  readonly asks: string;
  readonly load: string;
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  readonly pairs: number;
  readonly seconds: number;
  readonly figures: readonly (Figure & { readonly isMet?: boolean })[];
  readonly missing: readonly Missing[];
  readonly series: readonly Series[];
  readonly contenders: readonly Pick<Contender, 'name' | 'description' | 'configuration'>[];
  readonly rounds: unknown;
}

export function toReport(question: Question, answer: Answer, bench: Bench, loadBefore: number): Report {
  const { id, asks, load } = question;
  return {
    ...{ id, asks, load },
    ...circumstances(loadBefore),
    versions: { node: process.version, ...bench.versions },
    pairs: bench.pairs,
    seconds: bench.seconds,
    figures: answer.figures.map((figure) => {
      const isMet = meetsGoal(figure);
      return isMet === undefined ? figure : { ...figure, isMet };
    }),
    missing: bench.missing,
    series: answer.series ?? [],
    contenders: bench.contenders.map(({ name, description, configuration }) => ({ name, description, configuration })),
    rounds: answer.rounds,
  };
}

export function circumstances(loadBefore: number): Circumstances {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
  const isChanged = git('status', '--porcelain', '--', 'src', 'package-lock.json') !== '';
  return {
    measuredAt: new Date().toISOString(),
    commit: `${git('rev-parse', '--short', 'HEAD')}${isChanged ? ' with changes' : ''}`,
    machine: {
      processor: cpus()[0]?.model ?? 'unknown',
      cores: cpus().length,
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      system: `Linux ${release()}`,
      loadBefore,
    },
  };
}

export const saveReport = (report: Report): string => saveResult(report.id, report);

/** @param name of the file below bench/results/, without its ending */
export function saveResult(name: string, result: Circumstances, { indent = 2 } = {}): string {
  const path = `bench/results/${name}.json`;
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), `${JSON.stringify(result, undefined, indent)}\n`);
  return path;
}

export function loadNow(): number {
  return Number((loadavg()[0] ?? 0).toFixed(2));
}

/** As a person reads it. */
export function describeReport({ figures, missing }: Report): string {
  const lines = figures.map(({ own, what, unit, value, peer, peerValue, ratio, goal, isMet }) => {
    const compared = peer === undefined ? '' : `   ${peer}: ${peerValue} ${unit}   ratio ${ratio}`;
    const wanted = goal === undefined ? '' : `   (${goal.bound} ${goal.value}: ${isMet ? 'met' : 'MISSED'})`;
    return `    ${own}: ${what} ${value} ${unit}${compared}${wanted}`;
  });
  return [...lines, ...missing.map(({ peer, reason }) => `    ${peer}: missing: ${reason}`)].join('\n');
}
