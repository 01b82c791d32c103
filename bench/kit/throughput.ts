/** Requests per second and what each costs, of several contenders in the same rounds: P1, P2 and P3. */
import type { Bench } from './bench.ts';
import type { Contender } from './contender.ts';
import { compare, cpuOf, type Measured, middle, type Round, toFigure } from './measure.ts';
import type { Figure, Goal } from './question.ts';
import { runWrk, type WrkResult } from './wrk.ts';

const CONNECTIONS = 64;
/** Before the first round: compilers of runtimes have seen the hot path by then. */
const WARM_UP_SECONDS = 2;

export const microsPerRequest = (measured: Measured<WrkResult>, ...groups: readonly string[]): number =>
  (cpuOf(measured, ...groups) / measured.result.requests) * 1e6;

/** All groups: whatever a request passes. */
const allMicros = (measured: Measured<WrkResult>): number =>
  microsPerRequest(measured, ...Object.keys(measured.cpuSeconds));

export async function runThroughput(bench: Bench, contenders: readonly Contender[]): Promise<Round<WrkResult>[]> {
  for (const each of contenders) await runWrk(each, { connections: CONNECTIONS, seconds: WARM_UP_SECONDS });
  return bench.rounds(contenders, (each) => runWrk(each, { connections: CONNECTIONS, seconds: bench.seconds }));
}

export interface ThroughputGoals {
  readonly requests?: Goal;
  readonly cpu?: Goal;
}

/** What `own` does in the rounds, beside `peer`. */
export function throughputFigures(
  rounds: readonly Round<WrkResult>[],
  own: string,
  peer: string,
  goals: ThroughputGoals = {},
): Figure[] {
  const against = { own, peer };
  return [
    {
      ...{ what: 'requests per second', unit: '/s', ...against, goal: goals.requests },
      ...compare(rounds, own, peer, ({ result }) => result.perSecond),
    },
    {
      ...{ what: 'processor time per request', unit: 'µs', ...against, goal: goals.cpu },
      ...compare(rounds, own, peer, allMicros),
    },
    { what: 'p50', unit: 'ms', ...against, ...compare(rounds, own, peer, ({ result }) => result.p50Ms) },
    { what: 'p99', unit: 'ms', ...against, ...compare(rounds, own, peer, ({ result }) => result.p99Ms) },
    {
      ...{ what: 'resident memory of the two proxies', unit: 'MB', ...against },
      ...compare(rounds, own, peer, ({ residentBytes }) => toFigure((residentBytes.proxies ?? 0) / 1e6)),
    },
  ];
}

/** What the hub pays for passing requests on. */
export function relayFigure(rounds: readonly Round<WrkResult>[], own: string): Figure {
  const value = middle(rounds, own, (measured) => microsPerRequest(measured, 'hub'));
  return { what: 'processor time of the hub per request', unit: 'µs', own, value };
}
