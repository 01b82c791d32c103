/** A clock that can rest: timers in their order, and none while it rests. */
import { deepEqual, equal } from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RestingClock } from '../../../src/runtime/workerd/resting-clock.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';

describe('Resting clock', () => {
  it('runs timers when they are due, those of one moment in the order they were set, and no cancelled one', () => {
    const inner = new VirtualClock();
    const clock = new RestingClock(inner);
    const random = new SeededRandom(7);
    const ran: number[] = [];
    const due: { readonly at: number; readonly id: number }[] = [];
    for (let id = 0; id < 2_000; id++) {
      const at = Math.floor(random.ratio() * 300);
      const timer = clock.setTimer(at, () => ran.push(id));
      if (random.ratio() < 0.6) timer.cancel();
      else due.push({ at, id });
    }
    inner.advance(400);
    deepEqual(
      ran,
      due.sort((a, b) => a.at - b.at || a.id - b.id).map(({ id }) => id),
    );
    equal(clock.nextMs, undefined);
  });

  it('sets one timer of the runtime, and none while it rests', () => {
    const inner = new VirtualClock();
    let set = 0;
    const clock = new RestingClock({
      epochMs: () => inner.epochMs(),
      monotonicMs: () => inner.monotonicMs(),
      endOfTick: (run) => inner.endOfTick(run),
      setTimer: (delayMs, run) => {
        set++;
        const fire = (): void => {
          set--;
          run();
        };
        const timer = inner.setTimer(delayMs, fire);
        return {
          cancel: () => {
            set--;
            timer.cancel();
          },
        };
      },
    });
    const ran: string[] = [];
    clock.setTimer(100, () => ran.push('a'));
    clock.setTimer(50, () => ran.push('b'));
    equal(set, 1);
    clock.rest();
    equal(set, 0);
    clock.setTimer(10, () => ran.push('c'));
    equal(set, 0);
    inner.advance(1_000);
    deepEqual(ran, []);
    clock.resume();
    equal(set, 1);
    inner.advance(1);
    deepEqual(ran, ['c', 'b', 'a']);
    equal(set, 0);
  });

  it('lets the world have its turn between a timer and one that it sets for now', () => {
    const inner = new VirtualClock();
    const clock = new RestingClock(inner);
    let runs = 0;
    const again = (): void => {
      runs++;
      clock.setTimer(0, runs < 5 ? again : () => undefined);
    };
    clock.setTimer(0, again);
    inner.advance(10);
    equal(runs, 5);
  });
});
