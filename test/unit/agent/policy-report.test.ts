/** PolicyReporter: what is counted, how far back, and that it stays small whatever callers do. */

import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { type PolicyFact, PolicyReporter, toFacts } from '../../../src/agent/policy-report.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const fact = (more: Partial<PolicyFact> = {}): PolicyFact => ({
  ...{ outcome: 'denied', caller: 'spiffe://a.b/web', service: 'api.default:80', rule: 'default-deny' },
  ...{ method: 'GET', path: '/a', ...more },
});

test('Streams are counted by outcome, caller, service and rule, within the window that is asked for', () => {
  const clock = new VirtualClock();
  const reporter = new PolicyReporter(clock);
  reporter.note(fact());
  reporter.note(fact({ method: 'POST', path: '/b' }));
  reporter.note(fact({ outcome: 'would-deny', rule: 'r' }));
  clock.advance(2 * HOUR_MS);
  const lastAt = new Date(clock.epochMs()).toISOString();
  reporter.note(fact({ path: '/c' }));
  const { decisions, notListed } = reporter.report(DAY_MS);
  deepEqual(
    decisions.map(({ outcome, rule, streams, lastRequest }) => [outcome, rule, streams, lastRequest]),
    [
      ['denied', 'default-deny', 3, 'GET /c'],
      ['would-deny', 'r', 1, 'GET /a'],
    ],
  );
  deepEqual([decisions[0]?.lastAt, notListed], [lastAt, 0]);
  deepEqual(
    reporter.report(HOUR_MS).decisions.map(({ streams }) => streams),
    [1],
  );
  clock.advance(DAY_MS);
  deepEqual(reporter.report(DAY_MS).decisions, []);
});

test('With more lines than it keeps, those with the fewest streams go, and are counted', () => {
  const reporter = new PolicyReporter(new VirtualClock());
  for (let i = 0; i < 5; i++) reporter.note(fact({ caller: 'spiffe://a.b/often' }));
  for (let i = 0; i < 3_000; i++) reporter.note(fact({ caller: `spiffe://a.b/${i}` }));
  const { decisions, notListed } = reporter.report(DAY_MS);
  equal(decisions.length, 1_000);
  equal(decisions[0]?.caller, 'spiffe://a.b/often');
  equal(
    decisions.reduce((sum, { streams }) => sum + streams, notListed),
    3_005,
  );
});

test('Of a verdict that nothing would change there is nothing to tell', () => {
  const denial = { caller: 'a', service: 'b' };
  deepEqual(toFacts({ allow: true, rule: 'r', shadow: [] }, denial), []);
  deepEqual(toFacts({ allow: true, rule: 'r', shadow: ['s', 't'] }, denial), [
    { ...denial, outcome: 'would-deny', rule: 's' },
    { ...denial, outcome: 'would-deny', rule: 't' },
  ]);
  deepEqual(toFacts({ allow: false, rule: 'default-deny', shadow: [], wouldAllow: 'w' }, denial), [
    { ...denial, outcome: 'denied', rule: 'default-deny' },
    { ...denial, outcome: 'would-allow', rule: 'w' },
  ]);
});
