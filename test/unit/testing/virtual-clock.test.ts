import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setPeriodic, wait } from '../../../src/core/clock.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';

describe('VirtualClock', () => {
  it('stands still until told', () => {
    const clock = new VirtualClock({ epochMs: 1_000_000 });
    assert.equal(clock.monotonicMs(), 0);
    assert.equal(clock.epochMs(), 1_000_000);
    clock.advance(2_500);
    assert.equal(clock.monotonicMs(), 2_500);
    assert.equal(clock.epochMs(), 1_002_500);
    clock.shiftEpoch(-500_000);
    assert.equal(clock.epochMs(), 502_500);
    assert.equal(clock.monotonicMs(), 2_500);
  });

  it('runs timers in order of time, then of setting, each at its own time', () => {
    const clock = new VirtualClock();
    const order: string[] = [];
    for (const [name, delayMs] of [
      ['c', 20],
      ['a', 10],
      ['d', 20],
      ['b', 10.5],
      ['now', 0],
      ['past', -5],
    ] as const) {
      clock.setTimer(delayMs, () => order.push(`${name}@${clock.monotonicMs()}`));
    }
    clock.advance(15);
    assert.deepEqual(order, ['now@0', 'past@0', 'a@10', 'b@10.5']);
    clock.advance(5);
    assert.deepEqual(order.slice(4), ['c@20', 'd@20']);
  });

  it('orders many random timers as a sort does', () => {
    const clock = new VirtualClock();
    const fired: number[] = [];
    const delays: number[] = [];
    let state = 7;
    for (let i = 0; i < 500; i++) {
      state = (state * 48_271) % 2_147_483_647;
      const delayMs = state % 97;
      const timer = clock.setTimer(delayMs, () => fired.push(delayMs));
      if (i % 5 === 0) timer.cancel();
      else delays.push(delayMs);
    }
    assert.equal(clock.pendingTimers, delays.length);
    clock.advance(100);
    assert.deepEqual(
      fired,
      delays.sort((a, b) => a - b),
    );
    assert.equal(clock.pendingTimers, 0);
  });

  it('runs end-of-tick work before the next timer, and what that work adds too', () => {
    const clock = new VirtualClock();
    const order: string[] = [];
    clock.setTimer(1, () => {
      order.push('timer');
      clock.endOfTick(() => {
        order.push('tick');
        clock.endOfTick(() => order.push('nested'));
      });
    });
    clock.setTimer(1, () => order.push('second'));
    clock.advance(1);
    assert.deepEqual(order, ['timer', 'tick', 'nested', 'second']);
  });

  it('runs what is due now, and no more, until idle', () => {
    const clock = new VirtualClock();
    const order: string[] = [];
    clock.endOfTick(() => clock.setTimer(0, () => order.push('now')));
    clock.setTimer(1, () => order.push('later'));
    clock.runUntilIdle();
    assert.deepEqual(order, ['now']);
  });

  it('cancels, also from inside another timer, and refuses a delay that is no number', () => {
    const clock = new VirtualClock();
    const order: string[] = [];
    const victim = clock.setTimer(2, () => order.push('victim'));
    clock.setTimer(1, () => victim.cancel());
    clock.advance(5);
    victim.cancel();
    assert.deepEqual(order, []);
    assert.throws(() => clock.setTimer(Number.NaN, () => undefined), RangeError);
  });

  it('keeps a period', () => {
    const clock = new VirtualClock();
    let count = 0;
    const timer = setPeriodic(clock, 10, () => count++);
    clock.advance(35);
    assert.equal(count, 3);
    timer.cancel();
    clock.advance(100);
    assert.equal(count, 3);
  });

  it('settles promises between events when asked', async () => {
    const clock = new VirtualClock();
    const order: string[] = [];
    const work = (async () => {
      await wait(clock, 10);
      order.push(`first@${clock.monotonicMs()}`);
      await wait(clock, 10);
      order.push(`second@${clock.monotonicMs()}`);
    })();
    await clock.advanceAsync(25);
    await work;
    assert.deepEqual(order, ['first@10', 'second@20']);
    assert.equal(clock.monotonicMs(), 25);
  });

  it('waits for tracked work before time goes on', async () => {
    const clock = new VirtualClock();
    const order: string[] = [];
    clock.setTimer(1, () => order.push('deadline'));
    const digest = crypto.subtle.digest('SHA-256', new Uint8Array(4_000_000));
    const work = clock.track(digest).then(() => order.push('work'));
    await clock.advanceAsync(5);
    await work;
    assert.deepEqual(order, ['work', 'deadline']);
  });

  it('waits for what tracked work sets off, too', async () => {
    const clock = new VirtualClock();
    const order: string[] = [];
    clock.setTimer(1, () => order.push('deadline'));
    const work = (async () => {
      await clock.track(crypto.subtle.digest('SHA-256', new Uint8Array(4_000_000)));
      await new Promise<void>((resolve) => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => {
          port1.close();
          resolve();
        };
        port2.postMessage(undefined);
      });
      order.push('work');
    })();
    await clock.advanceAsync(5);
    await work;
    assert.deepEqual(order, ['work', 'deadline']);
  });

  it('moves until a condition holds, or says that it did not', async () => {
    const clock = new VirtualClock();
    let done = false;
    clock.setTimer(30, () => {
      done = true;
    });
    assert.equal(await clock.advanceUntil(() => done, 20), false);
    assert.equal(clock.monotonicMs(), 20);
    assert.equal(await clock.advanceUntil(() => done, 20), true);
    assert.equal(clock.monotonicMs(), 30);
  });

  it('finds a loop that never comes to rest', () => {
    const clock = new VirtualClock({ maxEvents: 1_000 });
    const again = (): void => clock.endOfTick(again);
    again();
    assert.throws(() => clock.runUntilIdle(), /1001 events without coming to rest/);
  });
});
