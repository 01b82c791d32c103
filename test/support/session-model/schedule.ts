/** A schedule: what happens when, drawn from a seed and written down before anything runs, so that it can be printed and cut down. */

import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import type { RoutePlan } from './route.ts';
import type { Fault } from './wire.ts';
import type { StreamPlan } from './workload.ts';

export type Side = 0 | 1;

/** `route`: which of those that live then, counted round. */
export type Step = { readonly atMs: number } & (
  | { readonly does: 'stream'; readonly side: Side; readonly plan: StreamPlan }
  | { readonly does: 'offer'; readonly side: Side; readonly plan: RoutePlan }
  | { readonly does: 'cut'; readonly route: number }
  | { readonly does: 'close'; readonly route: number; readonly side: Side }
  | {
      readonly does: 'silence';
      readonly route: number;
      readonly from: readonly Side[];
      readonly isSwallowed: boolean;
      /** Heals after this; undefined: not before all do. */
      readonly forMs: number | undefined;
    }
  | { readonly does: 'fault'; readonly route: number; readonly to: Side; readonly fault: Fault }
  | { readonly does: 'prefer' | 'leave'; readonly route: number; readonly side: Side }
  | { readonly does: 'freeze'; readonly side: Side; readonly forMs: number }
  /** `isSilent`: the machine is gone, and no socket of it says so. */
  | { readonly does: 'crash'; readonly side: Side; readonly isSilent: boolean }
  | { readonly does: 'end' | 'drain'; readonly side: Side }
  /** Somebody who is not the peer has a circuit to `side`, and says there what the peer has said, or something like it. */
  | { readonly does: 'stranger'; readonly side: Side; readonly says: 'replay' | 'forgery'; readonly pick: number }
  /** What has come by one route comes once more by another. */
  | { readonly does: 'replay'; readonly side: Side; readonly route: number; readonly pick: number }
  | { readonly does: 'message'; readonly side: Side; readonly bytes: number }
  /** Others in the process keep so much. */
  | { readonly does: 'pressure'; readonly side: Side; readonly bytes: number; readonly forMs: number }
);

export interface Schedule {
  readonly seed: number;
  readonly first: RoutePlan;
  readonly resumeGraceMs: number;
  /** Of one stream at first; the others follow from it. */
  readonly windowBytes: number;
  readonly steps: readonly Step[];
}

type StepKind = Step['does'];

/** How often each is drawn. */
const WEIGHTS: readonly (readonly [StepKind, number])[] = [
  ['offer', 22],
  ['cut', 12],
  ['close', 8],
  ['silence', 12],
  ['fault', 12],
  ['prefer', 10],
  ['leave', 6],
  ['freeze', 5],
  ['crash', 1],
  ['end', 1],
  ['drain', 1],
  ['stranger', 4],
  ['replay', 4],
  ['message', 4],
  ['pressure', 2],
];
const TOTAL_WEIGHT = WEIGHTS.reduce((sum, [, weight]) => sum + weight, 0);

export function drawSchedule(seed: number): Schedule {
  const random = new SeededRandom(seed);
  const lengthMs = random.pick([500, 3_000, 3_000, 10_000, 30_000]);
  const steps: Step[] = [];
  const atMs = (): number => random.integer(lengthMs);
  const windowBytes = random.pick([1_024, 2_048, 2_048, 2_048, 8_192]);
  const streams = 1 + random.integer(6);
  for (let key = 1; key <= streams; key++) {
    steps.push({ atMs: atMs(), does: 'stream', side: drawSide(random), plan: drawStream(random, key, windowBytes) });
  }
  for (let left = random.integer(12); left > 0; left--) {
    const step = drawStep(random, atMs());
    steps.push(step);
    // Both ends notice at once, and both open another way.
    if (step.does === 'offer' && random.integer(4) === 0) {
      steps.push({ ...step, side: other(step.side), plan: drawRoute(random) });
    }
  }
  steps.sort((a, b) => a.atMs - b.atMs);
  return {
    seed,
    first: drawRoute(random),
    resumeGraceMs: random.pick([2_000, 8_000, 30_000]),
    windowBytes,
    steps,
  };
}

function drawStep(random: SeededRandom, atMs: number): Step {
  let at = random.integer(TOTAL_WEIGHT);
  const [does] = WEIGHTS.find(([, weight]) => {
    at -= weight;
    return at < 0;
  }) as (typeof WEIGHTS)[number];
  const side = drawSide(random);
  const route = random.integer(1_000);
  switch (does) {
    case 'stream':
    case 'offer':
      return { atMs, does: 'offer', side, plan: drawRoute(random) };
    case 'cut':
      return { atMs, does, route };
    case 'close':
    case 'prefer':
    case 'leave':
      return { atMs, does, route, side };
    case 'silence': {
      const from: readonly Side[] = random.integer(2) === 0 ? [0, 1] : [side];
      const forMs = random.integer(3) === 0 ? undefined : random.pick([200, 1_500, 5_000, 15_000]);
      return { atMs, does, route, from, isSwallowed: random.integer(2) === 0, forMs };
    }
    case 'fault':
      return { atMs, does, route, to: side, fault: drawFault(random) };
    case 'freeze':
      return { atMs, does, side, forMs: random.pick([100, 2_000, 15_000]) };
    case 'crash':
      return { atMs, does, side, isSilent: random.integer(2) === 0 };
    case 'end':
    case 'drain':
      return { atMs, does, side };
    case 'stranger':
      return { atMs, does, side, says: random.pick(['replay', 'forgery'] as const), pick: random.integer(1_000) };
    case 'replay':
      return { atMs, does, side, route, pick: random.integer(1_000) };
    case 'message':
      return { atMs, does, side, bytes: random.integer(4_097) };
    case 'pressure':
      return { atMs, does, side, bytes: random.integer(400_000), forMs: random.integer(10_000) };
  }
}

function drawFault(random: SeededRandom): Fault {
  const at = random.integer(65_536);
  switch (random.integer(6)) {
    case 0:
      return { what: 'drop' };
    case 1:
      return { what: 'duplicate' };
    case 2:
      return { what: 'truncate', at };
    case 3:
      return { what: 'late', ms: random.pick([1, 20, 500, 3_000]) };
    default:
      return { what: 'flip', at };
  }
}

function drawRoute(random: SeededRandom): RoutePlan {
  return {
    kind: random.pick(['relay', 'relay', 'direct'] as const),
    latencyMs: random.pick([0, 1, 5, 20, 80, 250, 800]),
    bytesPerSecond: random.pick([20_000, 200_000, 2_000_000, 20_000_000]),
  };
}

function drawStream(random: SeededRandom, key: number, windowBytes: number): StreamPlan {
  const isRequest = random.integer(2) === 0;
  const length = (): number => random.pick([0, 1, 700, 5 * windowBytes, random.integer(10 * windowBytes)]);
  const pause = (): number => random.pick([0, 0, 0, 10, 300]);
  const bytes = [isRequest ? random.integer(2_000) : length(), length()] as const;
  const reset =
    random.integer(8) === 0 ? { way: drawSide(random), afterBytes: 1 + random.integer(2 * windowBytes) } : undefined;
  return {
    key,
    isRequest,
    bytes,
    chunkBytes: 1_000 + random.integer(5_000),
    writeMs: [pause(), pause()],
    readMs: [pause(), pause()],
    reset,
    isRefused: random.integer(20) === 0,
  };
}

function drawSide(random: SeededRandom): Side {
  return random.integer(2) as Side;
}

export function other(side: Side): Side {
  return (1 - side) as Side;
}

/** One line for each step, for a person. */
export function printSchedule({ seed, steps, ...setup }: Schedule): string {
  const lines = steps.map(
    ({ atMs, does, ...rest }) => `  ${String(atMs).padStart(6)} ms  ${does} ${JSON.stringify(rest)}`,
  );
  return [`seed ${seed}: ${JSON.stringify(setup)}`, ...lines].join('\n');
}
