/** When virtual time passes: for whoever waits, as far as it is told, and no further. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { wait } from '../../../src/core/clock.ts';
import { Pace } from '../../../src/testing/pace.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';

function setUp(patienceMs = 1_000) {
  const clock = new VirtualClock();
  return { clock, pace: new Pace(clock, patienceMs), now: () => clock.monotonicMs() };
}

const never = (): Promise<never> => new Promise(() => undefined);

test('Pace#run moves time until the work has ended, and gives what it gave', async () => {
  const { clock, pace, now } = setUp();
  clock.setTimer(500, () => undefined);
  equal(await pace.run(wait(clock, 300).then(() => 'done')), 'done');
  equal(now(), 300);
  await rejects(pace.run(wait(clock, 100).then(() => Promise.reject(new TypeError('no')))), TypeError);
  equal(now(), 400);
});

test('Pace#run rejects when patience is over, and has moved time no further', async () => {
  const { pace, now } = setUp();
  await rejects(pace.run(never()), /not come about in 1 virtual seconds/);
  equal(now(), 1_000);
});

test('Pace#runAWhile lets time stand still when patience is over, and is waited for all the same', async () => {
  const { clock, pace, now } = setUp();
  const work = wait(clock, 5_000).then(() => 'late');
  const read = pace.runAWhile(work);
  await pace.run(wait(clock, 900));
  equal(now(), 900);
  // The read alone moves it to the end of its patience.
  await pace.advance(100);
  equal(now(), 1_000);
  await pace.advance(4_000);
  equal(await read, 'late');
  equal(now(), 5_000);
});

test("Pace#advance moves time exactly, in the order in which it is asked for, and uses up nobody's patience", async () => {
  const { clock, pace, now } = setUp();
  const fired: number[] = [];
  clock.setTimer(50, () => fired.push(50));
  clock.setTimer(150, () => fired.push(150));
  await pace.advance(100);
  deepEqual([now(), fired], [100, [50]]);
  const read = pace.run(wait(clock, 5_000).then(() => now()));
  await Promise.all([pace.advance(4_000), pace.advance(2_000).then(() => equal(now(), 2_100))]);
  ok(fired.includes(150));
  equal(await read, 5_100);
});

test('Pace#until stops at the event that brings it about', async () => {
  const { clock, pace, now } = setUp();
  let isDone = false;
  clock.setTimer(200, () => {
    isDone = true;
  });
  clock.setTimer(201, () => undefined);
  await pace.until(() => isDone);
  equal(now(), 200);
  await pace.until(() => true);
  equal(now(), 200);
  await rejects(
    pace.until(() => {
      throw new TypeError('no');
    }),
    TypeError,
  );
  await rejects(
    pace.until(() => false, 300),
    /0.3 virtual seconds/,
  );
  equal(now(), 500);
});

test('Time stands still while nobody waits, and whoever is told goes on before it moves', async () => {
  const { clock, pace, now } = setUp();
  clock.setTimer(10, () => undefined);
  const late = pace.runAWhile(wait(clock, 500));
  await pace.run(wait(clock, 100));
  equal(now(), 100);
  await pace.run(wait(clock, 100));
  equal(now(), 200);
  await late;
  equal(now(), 500);
  clock.setTimer(10, () => undefined);
  await clock.settle();
  equal(now(), 500);
});

test('What a timer throws reaches all who wait, and whoever waits later is served', async () => {
  const { clock, pace, now } = setUp();
  clock.setTimer(10, () => {
    throw new RangeError('in a timer');
  });
  const waits = await Promise.allSettled([pace.run(never()), pace.advance(100), pace.until(() => false)]);
  deepEqual(
    waits.map((wait) => wait.status === 'rejected' && wait.reason instanceof RangeError),
    [true, true, true],
  );
  await pace.advance(100);
  equal(now(), 110);
});
