/** How contenders are measured against each other: in turn within a round, with the time and memory of their processes. */
import type { Contender } from './contender.ts';
import { processorSeconds, residentBytes } from './processes.ts';

export interface Measured<T> {
  readonly result: T;
  /** Seconds of processor time by group of processes, as `proxies` and `hub`. */
  readonly cpuSeconds: Readonly<Record<string, number>>;
  /** Resident bytes at the end, by group. */
  readonly residentBytes: Readonly<Record<string, number>>;
}

/** What each contender did in one round, by its name. */
export type Round<T> = Readonly<Record<string, Measured<T>>>;

/** Every contender once per round, one after the other; who begins changes from round to round. */
export async function measureRounds<T>(
  rounds: number,
  contenders: readonly Contender[],
  run: (contender: Contender) => Promise<T>,
  progress: (text: string) => void,
): Promise<Round<T>[]> {
  const results: Round<T>[] = [];
  for (let i = 0; i < rounds; i++) {
    progress(`round ${i + 1} of ${rounds}`);
    const first = i % contenders.length;
    const round: Record<string, Measured<T>> = {};
    for (const contender of [...contenders.slice(first), ...contenders.slice(0, first)]) {
      round[contender.name] = await measure(contender, run);
    }
    results.push(round);
  }
  return results;
}

export async function measure<C extends Pick<Contender, 'pids'>, T>(
  contender: C,
  run: (contender: C) => Promise<T>,
): Promise<Measured<T>> {
  const before = sumByGroup(contender, processorSeconds);
  const result = await run(contender);
  const after = sumByGroup(contender, processorSeconds);
  const spent = Object.entries(after).map(([group, total]) => [group, total - (before[group] ?? 0)] as const);
  return { result, cpuSeconds: Object.fromEntries(spent), residentBytes: sumByGroup(contender, residentBytes) };
}

function sumByGroup(contender: Pick<Contender, 'pids'>, read: (pid: number) => number): Record<string, number> {
  const groups = Object.entries(contender.pids());
  return Object.fromEntries(groups.map(([group, pids]) => [group, pids.reduce((sum, pid) => sum + read(pid), 0)]));
}

/** Seconds of some groups together. */
export function cpuOf({ cpuSeconds }: Measured<unknown>, ...groups: readonly string[]): number {
  return groups.reduce((sum, group) => sum + (cpuSeconds[group] ?? 0), 0);
}

export interface Comparison {
  readonly value: number;
  readonly peerValue: number;
  readonly ratio: number;
}

/** Medians of both, and the median of own ÷ peer within a round. */
export function compare<T>(
  rounds: readonly Round<T>[],
  own: string,
  peer: string,
  read: (measured: Measured<T>) => number,
): Comparison {
  const both = rounds.map((round) => [read(of(round, own)), read(of(round, peer))] as const);
  return {
    value: toFigure(median(both.map(([value]) => value))),
    peerValue: toFigure(median(both.map(([, value]) => value))),
    ratio: toFigure(median(both.map(([mine, other]) => mine / other))),
  };
}

/** Median of one contender over the rounds. */
export function middle<T>(rounds: readonly Round<T>[], name: string, read: (measured: Measured<T>) => number): number {
  return toFigure(median(rounds.map((round) => read(of(round, name)))));
}

function of<T>(round: Round<T>, name: string): Measured<T> {
  const measured = round[name];
  if (measured === undefined) throw new Error(`"${name}" was not measured`);
  return measured;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[at] ?? 0) : ((sorted[at - 1] ?? 0) + (sorted[at] ?? 0)) / 2;
}

/** Four digits: more than a run is good for. */
export function toFigure(value: number): number {
  return Number(value.toPrecision(4));
}
