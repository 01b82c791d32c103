/** How two contenders are measured against each other: in turn, with the processor time of their processes. */
import { cpuSecondsOf } from '../test/support/process.ts';
import type { Contender } from './contenders.ts';

export interface Measured<T> {
  readonly result: T;
  /** Seconds of processor time by group of processes, as `proxies` and `hub`. */
  readonly cpuSeconds: Readonly<Record<string, number>>;
}

/** Peer and skein in turn, who begins changing from pair to pair. */
export async function alternate<T>(
  pairs: number,
  peer: Contender,
  own: Contender,
  run: (contender: Contender) => Promise<T>,
): Promise<(readonly [Measured<T>, Measured<T>])[]> {
  const results: (readonly [Measured<T>, Measured<T>])[] = [];
  for (let i = 0; i < pairs; i++) {
    if (i % 2 === 0) {
      const first = await measure(peer, run);
      results.push([first, await measure(own, run)]);
    } else {
      const first = await measure(own, run);
      results.push([await measure(peer, run), first]);
    }
  }
  return results;
}

async function measure<T>(contender: Contender, run: (contender: Contender) => Promise<T>): Promise<Measured<T>> {
  const read = () =>
    Object.fromEntries(
      Object.entries(contender.pids()).map(([group, pids]) => [
        group,
        pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0),
      ]),
    );
  const before = read();
  const result = await run(contender);
  const after = read();
  const spent = Object.entries(after).map(([group, total]) => [group, total - (before[group] ?? 0)] as const);
  return { result, cpuSeconds: Object.fromEntries(spent) };
}

/** Medians of both sides, and the median of skein ÷ peer within a pair. */
export function pair<T>(rows: readonly T[], read: (row: T) => readonly [peer: number, own: number]) {
  const both = rows.map(read);
  return {
    peer: round(median(both.map(([peer]) => peer))),
    skein: round(median(both.map(([, own]) => own))),
    ratio: round(median(both.map(([peer, own]) => own / peer))),
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}
