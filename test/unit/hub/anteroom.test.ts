/** Anteroom: who asks for a link while others are let in waits, an address after the other, and is sent away for as long as it takes. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { UpgradeDecision } from '../../../src/core/platform.ts';
import { Anteroom } from '../../../src/hub/anteroom.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';

const LIMITS = { maxWaiting: 40, maxWaitingPerAddress: 20, waitingMs: 1_000 };

class Bench {
  readonly clock = new VirtualClock();
  /** Links that there is room for. */
  room = Number.POSITIVE_INFINITY;
  refused = 0;
  isOpen = true;
  readonly anteroom: Anteroom;
  /** How it has ended for each who came, in that order; undefined while they wait. */
  readonly outcomes: (UpgradeDecision | 'in')[] = [];
  /** Who was let in, in the order in which they were. */
  readonly letIn: string[] = [];

  constructor(limits: Partial<typeof LIMITS> = {}) {
    this.anteroom = new Anteroom({
      clock: this.clock,
      limits: { ...LIMITS, ...limits },
      isOpen: () => this.isOpen,
      hasRoom: (_, coming) => this.room > coming,
      onRefused: () => this.refused++,
    });
  }

  come(address: string): void {
    const index = this.outcomes.push(undefined) - 1;
    const end = (decision: UpgradeDecision): void => {
      this.outcomes[index] = decision ?? 'in';
      if (decision !== undefined) return;
      this.letIn.push(address);
      this.room--;
    };
    const decision = this.anteroom.enter(`${address}:1`);
    if (decision instanceof Promise) void decision.then(end);
    else end(decision);
  }

  count(outcome: 'in' | 'waits' | 'refused'): number {
    const of = (one: UpgradeDecision | 'in') => (one === undefined ? 'waits' : one === 'in' ? 'in' : 'refused');
    return this.outcomes.filter((one) => of(one) === outcome).length;
  }
}

test('Who comes alone goes in at once; of many who come together some do, and the others follow without being told to come back', async () => {
  const bench = new Bench();
  bench.come('203.0.113.1');
  deepEqual(bench.outcomes, ['in']);
  await bench.clock.advanceAsync(10);
  for (let i = 0; i < 30; i++) bench.come(`203.0.113.${i}`);
  equal(bench.count('in'), 1 + 8);
  await bench.clock.advanceAsync(1);
  equal(bench.count('in'), 1 + 16);
  await bench.clock.advanceAsync(3);
  deepEqual([bench.count('in'), bench.anteroom.size], [31, 0]);
  deepEqual(bench.letIn.slice(1), bench.letIn.slice(1).toSorted(byNumber), 'in the order in which they came');
  // And then it is as before.
  bench.come('203.0.113.1');
  equal(bench.outcomes.at(-1), 'in');
});

test('Nobody goes in before there is room, nor more than there is room for', async () => {
  const bench = new Bench();
  bench.room = 0;
  for (let i = 0; i < 10; i++) bench.come(`203.0.113.${i}`);
  await bench.clock.advanceAsync(100);
  equal(bench.count('waits'), 10);
  bench.room = 3;
  await bench.clock.advanceAsync(100);
  deepEqual([bench.count('in'), bench.room], [3, 0]);
});

test('Addresses take turns: one that sends many does not come before another that sends one', async () => {
  const bench = new Bench();
  bench.room = 0;
  for (let i = 0; i < 15; i++) bench.come('203.0.113.1');
  for (let i = 0; i < 15; i++) bench.come('[2001:db8:1:2::1]');
  bench.come('203.0.113.3');
  bench.room = 4;
  await bench.clock.advanceAsync(5);
  deepEqual(bench.letIn, ['203.0.113.1', '[2001:db8:1:2::1]', '203.0.113.3', '203.0.113.1']);
});

test('An address has so many places there and no more, but a proxy on this machine; who has most makes room for who has less', () => {
  const bench = new Bench();
  bench.room = 0;
  for (let i = 0; i < 25; i++) bench.come('203.0.113.1');
  deepEqual([bench.count('waits'), bench.count('refused')], [20, 5]);
  for (let i = 0; i < 20; i++) bench.come('127.0.0.1');
  equal(bench.anteroom.size, LIMITS.maxWaiting);
  const before = bench.count('refused');
  bench.come('203.0.113.3');
  deepEqual([bench.anteroom.size, bench.refused], [LIMITS.maxWaiting, 1]);
  bench.come('127.0.0.1');
  equal(bench.count('refused'), before + 1, 'not for one of as many');
});

test('Who has waited in vain is sent away, one later than the other as there are more of them', async () => {
  const bench = new Bench({ maxWaiting: 2_000, maxWaitingPerAddress: 2_000 });
  bench.room = 0;
  for (let i = 0; i < 1_500; i++) bench.come('203.0.113.1');
  await bench.clock.advanceAsync(LIMITS.waitingMs + 300);
  const seconds = bench.outcomes.map((outcome) => (typeof outcome === 'object' ? outcome.retryAfterSeconds : 0) ?? 0);
  equal(bench.refused, 1_500);
  ok(Math.min(...seconds) >= 1 && Math.max(...seconds) === 10, `${Math.min(...seconds)} to ${Math.max(...seconds)} s`);
});

test('A hub that goes sends all away', async () => {
  const bench = new Bench();
  bench.room = 0;
  for (let i = 0; i < 10; i++) bench.come(`203.0.113.${i}`);
  bench.isOpen = false;
  await bench.clock.advanceAsync(10);
  deepEqual([bench.count('refused'), bench.anteroom.size], [10, 0]);
});

function byNumber(a: string, b: string): number {
  return Number(a.split('.')[3]) - Number(b.split('.')[3]);
}

test('A flood that was sent away is waited for no longer when it does not come back', async () => {
  const bench = new Bench();
  bench.room = 0;
  for (let i = 0; i < 5_000; i++) bench.come(`203.0.${i >> 8}.${i & 255}`);
  deepEqual(bench.outcomes.at(-1), { status: 503, retryAfterSeconds: 10 });
  await bench.clock.advanceAsync(20_000);
  for (let i = 0; i < 41; i++) bench.come(`198.51.100.${i}`);
  deepEqual(bench.outcomes.at(-1), { status: 503, retryAfterSeconds: 1 });
});
