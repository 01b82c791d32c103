/** Rounds: everybody in turn, by one timer for all of them. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Rounds } from '../../../src/core/rounds.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';

const PERIOD_MS = 16_000;

describe('Rounds', () => {
  it('visits each member once a period, not all at once, by one timer', () => {
    const clock = new VirtualClock();
    const visits: { readonly member: object; readonly atMs: number }[] = [];
    const rounds = new Rounds<object>(PERIOD_MS, (member) => visits.push({ member, atMs: clock.monotonicMs() }));
    const members = Array.from({ length: 40 }, () => ({}));
    for (const member of members) rounds.join(clock, member);
    for (const member of members) rounds.join(clock, member);
    assert.equal(clock.pendingTimers, 1);
    for (let round = 1; round <= 3; round++) {
      clock.advance(PERIOD_MS);
      for (const member of members) assert.equal(visits.filter((visit) => visit.member === member).length, round);
    }
    const most = Math.max(...visits.map(({ atMs }) => visits.filter((visit) => visit.atMs === atMs).length));
    assert.ok(most <= Math.ceil(members.length / 16), `${most} at once`);
  });

  it('visits nobody who has left, also within the turn, and has no timer when nobody is left', () => {
    const clock = new VirtualClock();
    const visited: number[] = [];
    const members = Array.from({ length: 17 }, (_, number) => ({ number }));
    const rounds = new Rounds<{ readonly number: number }>(PERIOD_MS, ({ number }) => {
      visited.push(number);
      for (const member of members) if (member.number !== number) rounds.leave(clock, member);
    });
    for (const member of members) rounds.join(clock, member);
    clock.advance(PERIOD_MS);
    assert.equal(visited.length, 1);
    rounds.leave(clock, members[visited[0] as number] as { readonly number: number });
    assert.equal(clock.pendingTimers, 0);
    clock.advance(PERIOD_MS);
    assert.equal(visited.length, 1);
  });

  it('keeps the members of different clocks apart', () => {
    const clocks = [new VirtualClock(), new VirtualClock()] as const;
    const visited: VirtualClock[] = [];
    const rounds = new Rounds<VirtualClock>(PERIOD_MS, (clock) => visited.push(clock));
    for (const clock of clocks) rounds.join(clock, clock);
    clocks[1].advance(PERIOD_MS);
    assert.deepEqual(visited, [clocks[1]]);
  });
});
