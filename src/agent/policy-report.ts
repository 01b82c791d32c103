/**
 * What policies have denied here of late, and what others would have: by caller, service and rule, in bounded memory. Callers decide
 * what they try, but neither their names nor those of rules.
 */

import type { Verdict } from '../auth/authorizer.ts';
import type { Clock } from '../core/clock.ts';
import { RollingCounter } from '../core/rolling-counter.ts';
import type { Denial } from './denials.ts';

/** `would-deny`: it was allowed, and a shadowDeny rule or a policy that audits says no. `would-allow`: a policy that audits says yes. */
export type PolicyOutcome = 'denied' | 'would-deny' | 'would-allow';

/** One stream that a rule has, or would have, decided. */
export interface PolicyFact extends Denial {
  readonly outcome: PolicyOutcome;
}

export interface ReportedDecision {
  readonly outcome: PolicyOutcome;
  readonly caller: string;
  /** `name.namespace:port` */
  readonly service: string;
  readonly rule: string;
  readonly streams: number;
  /** RFC 3339: when it came last. */
  readonly lastAt: string;
  /** The last of them, where it was a request. */
  readonly lastRequest?: string;
}

export interface PolicyReport {
  readonly windowMs: number;
  /** Most streams first. */
  readonly decisions: readonly ReportedDecision[];
  /** Streams whose line had to make room for others, since the start. */
  readonly notListed: number;
}

interface Line {
  readonly first: PolicyFact;
  readonly counter: RollingCounter;
  last: PolicyFact;
  lastMs: number;
}

const HOUR_MS = 3_600_000;
const HOURS = 24;
/** The longest time that a report looks back. */
export const MAX_WINDOW_MS = HOURS * HOUR_MS;
/** Lines that are kept. With more, that with the fewest streams goes. */
const MAX_LINES = 1_000;

export class PolicyReporter {
  readonly #clock: Clock;
  readonly #lines = new Map<string, Line>();
  #notListed = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  note(fact: PolicyFact): void {
    const key = `${fact.outcome} ${fact.caller} ${fact.service} ${fact.rule}`;
    const line = this.#lines.get(key) ?? this.#add(key, fact);
    line.last = fact;
    line.lastMs = this.#clock.epochMs();
    line.counter.add(this.#clock.monotonicMs());
  }

  /** @param windowMs how far back, in whole hours that have begun; at most `MAX_WINDOW_MS` */
  report(windowMs: number): PolicyReport {
    const nowMs = this.#clock.monotonicMs();
    const decisions = [...this.#lines.values()].flatMap(({ first, last, lastMs, counter }): ReportedDecision[] => {
      const streams = counter.totalWithin(nowMs, windowMs);
      if (streams === 0) return [];
      const { outcome, caller, service, rule } = first;
      const lastRequest = last.method === undefined ? {} : { lastRequest: `${last.method} ${last.path ?? ''}` };
      return [{ outcome, caller, service, rule, streams, lastAt: new Date(lastMs).toISOString(), ...lastRequest }];
    });
    decisions.sort((a, b) => b.streams - a.streams);
    return { windowMs, decisions, notListed: this.#notListed };
  }

  #add(key: string, fact: PolicyFact): Line {
    if (this.#lines.size >= MAX_LINES) this.#makeRoom();
    const line = { first: fact, last: fact, lastMs: 0, counter: new RollingCounter(MAX_WINDOW_MS, HOURS) };
    this.#lines.set(key, line);
    return line;
  }

  #makeRoom(): void {
    const nowMs = this.#clock.monotonicMs();
    let least = Number.POSITIVE_INFINITY;
    let victim = '';
    for (const [key, { counter }] of this.#lines) {
      const streams = counter.totalAt(nowMs);
      if (streams >= least) continue;
      [least, victim] = [streams, key];
    }
    this.#notListed += least;
    this.#lines.delete(victim);
  }
}

/** What of a verdict is worth to be told: none for most streams. */
export function toFacts(verdict: Verdict, denial: Omit<Denial, 'rule'>): readonly PolicyFact[] {
  const { allow, rule, shadow, wouldAllow } = verdict;
  if (allow) return shadow.map((each) => ({ ...denial, outcome: 'would-deny', rule: each }));
  const denied: PolicyFact = { ...denial, outcome: 'denied', rule };
  return wouldAllow === undefined ? [denied] : [denied, { ...denial, outcome: 'would-allow', rule: wouldAllow }];
}
