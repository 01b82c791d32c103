/** What a network in memory does to the links between its hosts, those that stand included. */
import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryFiles } from '../../../src/testing/memory-files.ts';
import type { MemoryLink } from '../../../src/testing/memory-pipe.ts';
import { hostOf, NetworkConditions, type TraceLine } from '../../../src/testing/network-conditions.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';

function setUp() {
  const clock = new VirtualClock();
  const conditions = new NetworkConditions(clock, new SeededRandom(1));
  return { clock, conditions };
}

/** When messages arrive at the far end, in virtual milliseconds; and whether it was closed. */
function arrivals(clock: VirtualClock, link: MemoryLink): { readonly atMs: number[]; isClosed: boolean } {
  const seen = { atMs: [] as number[], isClosed: false };
  link.b.attach({
    onMessage: () => seen.atMs.push(clock.monotonicMs()),
    onProgress: () => undefined,
    onClose: () => {
      seen.isClosed = true;
    },
  });
  return seen;
}

const message = (): Uint8Array<ArrayBuffer> => new Uint8Array(100);

test('Latency of both hosts adds up, and changes under links that stand', () => {
  const { clock, conditions } = setUp();
  conditions.setLatency('a', 10);
  conditions.setLatency('b', 5);
  const link = conditions.connect('a', 'b', 1);
  const { atMs } = arrivals(clock, link);
  link.a.send(message());
  clock.advance(100);
  conditions.setLatency('b', 50);
  link.a.send(message());
  clock.advance(100);
  deepEqual(atMs, [16, 161]);
});

test('What a partition keeps back arrives when it is healed; new links are parted as well', () => {
  const { clock, conditions } = setUp();
  const [old, other] = [conditions.connect('a', 'b', 1), conditions.connect('a', 'c', 1)];
  const [seen, seenByOther] = [arrivals(clock, old), arrivals(clock, other)];
  conditions.part(['a'], ['b']);
  const fresh = conditions.connect('b', 'a', 1);
  const seenFresh = arrivals(clock, fresh);
  for (const link of [old, other, fresh]) link.a.send(message());
  clock.advance(100);
  deepEqual([seen.atMs, seenByOther.atMs, seenFresh.atMs], [[], [1], []]);
  ok(!conditions.passes('a', 'b') && !conditions.passes('b', 'a') && conditions.passes('a', 'c'));
  conditions.heal();
  clock.advance(100);
  deepEqual([seen.atMs, seenFresh.atMs], [[101], [101]]);
  ok(conditions.passes('a', 'b'));
});

test('Loss is time: messages come later, in their order, all of them', () => {
  const { clock, conditions } = setUp();
  conditions.setLoss('a', 0.2);
  const link = conditions.connect('a', 'b', 10);
  const { atMs } = arrivals(clock, link);
  for (let i = 0; i < 500; i++) {
    link.a.send(message());
    clock.advance(1_000);
  }
  clock.advance(60_000);
  equal(atMs.length, 500);
  deepEqual(
    atMs,
    [...atMs].sort((a, b) => a - b),
  );
  const late = atMs.filter((ms, i) => ms > i * 1_000 + 10).length;
  ok(late > 70 && late < 150, `${late} of 500 late`);
});

test('A cut ends the links of one host and of no other, and all of it is traced', () => {
  const { clock, conditions } = setUp();
  const trace: TraceLine[] = [];
  conditions.onTrace = (line) => trace.push(line);
  const [link, other] = [conditions.connect('a', 'b', 1), conditions.connect('b', 'c', 1)];
  const [seen, seenByOther] = [arrivals(clock, link), arrivals(clock, other)];
  link.a.send(message());
  clock.advance(10);
  conditions.cut('a');
  conditions.cut('a');
  clock.advance(10);
  deepEqual([seen.isClosed, seenByOther.isClosed], [true, false]);
  deepEqual(
    trace.map(({ atMs, what, from, to, bytes }) => `${atMs} ${what} ${from} ${to} ${bytes}`),
    ['0 connect a b 0', '0 connect b c 0', '0 message a b 100', '10 cut a b 0'],
  );
});

test('Numbers out of range are refused, and an endpoint has a host', () => {
  const { conditions } = setUp();
  throws(() => conditions.setLatency('a', -1), RangeError);
  throws(() => conditions.setLoss('a', 2), RangeError);
  equal(hostOf('10.0.0.1:7000'), '10.0.0.1');
});

test('MemoryFiles keeps what was written, and gives copies', async () => {
  const files = new MemoryFiles();
  equal(await files.read('a'), undefined);
  const content = new Uint8Array([1, 2, 3]);
  await files.replace('a', content);
  content[0] = 9;
  deepEqual([...((await files.read('a')) ?? [])], [1, 2, 3]);
  const file = await files.openAppend('a');
  await file.append(new Uint8Array([4]));
  equal(file.sizeBytes, 4);
  await file.truncate(2);
  await file.close();
  deepEqual([...((await files.read('a')) ?? [])], [1, 2]);
  await files.remove('a');
  equal(await files.read('a'), undefined);
});
