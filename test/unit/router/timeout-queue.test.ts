/** One timer for requests of one time limit: each ends when its own time is over, whatever the others do at that moment. */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { type Expiring, TimeoutQueue } from '../../../src/router/timeout-queue.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';

const LIMIT_MS = 15_000;

class Bench {
  readonly clock = new VirtualClock();
  readonly queue = new TimeoutQueue(this.clock, LIMIT_MS);
  readonly ends: [name: string, atMs: number][] = [];

  add(name: string, onEnd: (item: Expiring) => void = () => undefined): Expiring {
    const item: Expiring = {
      dueMs: 0,
      earlier: undefined,
      later: undefined,
      expire: () => {
        this.ends.push([name, this.clock.monotonicMs()]);
        onEnd(item);
      },
    };
    this.queue.add(item, this.clock.monotonicMs());
    return item;
  }
}

test('Each ends when its time is over, in order, and who was taken out does not', () => {
  const bench = new Bench();
  bench.add('a');
  bench.clock.advance(1_000);
  const out = bench.add('b');
  bench.clock.advance(1_000);
  bench.add('c');
  bench.queue.delete(out);
  bench.queue.delete(out);
  bench.clock.advance(60_000);
  deepEqual(bench.ends, [
    ['a', 15_000],
    ['c', 17_000],
  ]);
  equal(bench.clock.pendingTimers, 0);
});

test('One that waits anew, or begins another, as its time ends does not delay those behind it', () => {
  const bench = new Bench();
  let again = 1;
  bench.add('a', (item) => {
    if (again-- > 0) bench.queue.add(item, bench.clock.monotonicMs());
    else bench.add('d');
  });
  bench.clock.advance(1_000);
  bench.add('b');
  bench.clock.advance(1_000);
  bench.add('c');
  bench.clock.advance(60_000);
  deepEqual(bench.ends, [
    ['a', 15_000],
    ['b', 16_000],
    ['c', 17_000],
    ['a', 30_000],
    ['d', 45_000],
  ]);
  equal(bench.clock.pendingTimers, 0);
});

test('A failure of one end takes nothing from the others', () => {
  const bench = new Bench();
  let isFailing = true;
  bench.add('a', () => {
    if (isFailing) throw new Error('as planned');
  });
  bench.clock.advance(1_000);
  bench.add('b');
  try {
    bench.clock.advance(60_000);
  } catch {
    isFailing = false;
  }
  bench.clock.advance(60_000);
  deepEqual(bench.ends, [
    ['a', 15_000],
    ['b', 16_000],
  ]);
});
