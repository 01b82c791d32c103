/** What a bench is: a question with goals, how it is run, and the figures that answer it. */
import type { Bench } from './bench.ts';

export interface Goal {
  readonly bound: 'at least' | 'at most';
  readonly value: number;
  /** What is bound: the figure itself, or its ratio to the peer's. */
  readonly of: 'value' | 'ratio';
}

/** One measured quantity: the median over the rounds. */
export interface Figure {
  /** "requests per second" */
  readonly what: string;
  readonly unit: string;
  /** Whose: "skein on Node, direct". */
  readonly own: string;
  readonly value: number;
  /** Whom it is compared with; absent where the goal is absolute. */
  readonly peer?: string;
  readonly peerValue?: number;
  /** Median of own ÷ peer within a round, which is not the ratio of the medians. */
  readonly ratio?: number;
  readonly goal?: Goal;
}

/** How cost grows, for a plot. */
export interface Series {
  readonly name: string;
  readonly x: string;
  readonly y: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Answer {
  readonly figures: readonly Figure[];
  readonly series?: readonly Series[];
  /** What was measured round by round, as it came. */
  readonly rounds: unknown;
}

export interface Question {
  /** `P1` */
  readonly id: string;
  /** The question in one sentence. */
  readonly asks: string;
  /** What load it is asked under. */
  readonly load: string;
  /** Commands it cannot do without. */
  readonly needs: readonly string[];
  run(bench: Bench): Promise<Answer>;
}

export function meetsGoal({ goal, value, ratio }: Figure): boolean | undefined {
  if (goal === undefined) return undefined;
  const measured = goal.of === 'value' ? value : ratio;
  if (measured === undefined) return undefined;
  return goal.bound === 'at least' ? measured >= goal.value : measured <= goal.value;
}
