/** ACKs of their own: when they are due, and for how few timers. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Clock } from '../../../src/core/clock.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { AckSchedule } from '../../../src/tunnel/ack-schedule.ts';

const DELAY_MS = 25;
const MANY_BYTES = 1_000;

function create() {
  const clock = new VirtualClock();
  const due: number[] = [];
  let timers = 0;
  const counted: Clock = {
    epochMs: () => clock.epochMs(),
    monotonicMs: () => clock.monotonicMs(),
    endOfTick: (run) => clock.endOfTick(run),
    setTimer: (delayMs, run) => {
      timers++;
      return clock.setTimer(delayMs, run);
    },
  };
  const startMs = clock.monotonicMs();
  const acks = new AckSchedule({
    clock: counted,
    limits: { ackEveryBytes: MANY_BYTES, ackDelayMs: DELAY_MS },
    onWork: () => due.push(clock.monotonicMs() - startMs),
  });
  return { acks, clock, due, timers: () => timers };
}

describe('AckSchedule', () => {
  it('is due a moment behind the first record that the peer waits for', () => {
    const { acks, clock, due } = create();
    acks.noteReceived(10, false);
    clock.advance(10);
    acks.noteReceived(10, true);
    clock.advance(10);
    acks.noteReceived(10, true);
    clock.advance(14);
    equal(acks.isDue, false);
    clock.advance(1);
    deepEqual(due, [10 + DELAY_MS]);
    ok(acks.isDue);
    clock.advance(1_000);
    equal(due.length, 1);
  });

  it('is due at once behind many bytes', () => {
    const { acks, due } = create();
    acks.noteReceived(MANY_BYTES - 1, false);
    deepEqual(due, []);
    acks.noteReceived(1, false);
    deepEqual(due, [0]);
  });

  it('counts from the record behind the last ACK, whenever a timer was set', () => {
    const { acks, clock, due } = create();
    acks.noteReceived(10, true);
    clock.advance(5);
    acks.noteSent(1);
    clock.advance(15);
    acks.noteReceived(10, true);
    clock.advance(DELAY_MS - 1);
    deepEqual(due, []);
    clock.advance(1);
    deepEqual(due, [20 + DELAY_MS]);
  });

  it('sets a timer once per delay where records of this end say it long before, and none at rest', () => {
    const { acks, clock, due, timers } = create();
    for (let i = 0; i < 1_000; i++) {
      acks.noteReceived(10, true);
      acks.noteSent(i + 1);
      clock.advance(1);
    }
    deepEqual(due, []);
    ok(timers() <= 1_000 / DELAY_MS + 1, `${timers()} timers`);
    const before = timers();
    clock.advance(10_000);
    equal(timers(), before);
  });

  it('is silent behind the end', () => {
    const { acks, clock, due } = create();
    acks.noteReceived(10, true);
    acks.cancel();
    clock.advance(1_000);
    deepEqual(due, []);
  });
});
