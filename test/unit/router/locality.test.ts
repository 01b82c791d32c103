/** Distances that were measured: which region comes next, what spills over, and labels that cannot be true. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { DoubtfulLocalityFact } from '../../../src/router/events.ts';
import { orderByRtt, shareOfSpill } from '../../../src/router/locality.ts';
import { Bench } from './bench.ts';
import { endpoint } from './endpoints.ts';

const orders: readonly [rtts: Readonly<Record<string, number | undefined>>, order: string][] = [
  [{}, ''],
  [{ us: undefined, ap: undefined }, 'us ap'],
  [{ us: 90, ap: 200 }, 'us | ap'],
  [{ ap: 200, us: 90 }, 'us | ap'],
  [{ ap: 118, us: 90 }, 'us ap'],
  [{ ap: 200, us: 90, sa: undefined }, 'us sa | ap'],
  [{ a: 1, b: 6, c: 10, d: 13 }, 'a b | c d'],
];
for (const [rtts, order] of orders) {
  test(`regions by ${JSON.stringify(rtts)}: "${order}"`, () => {
    const regions = Object.entries(rtts).map(([name, rttMs]) => ({ name, rttMs }));
    equal(
      orderByRtt(regions)
        .map((group) => group.map(({ name }) => name).join(' '))
        .join(' | '),
      order,
    );
  });
}

test('nothing spills over until it takes twice as long as further away, then as much as brings that about', () => {
  deepEqual(
    [10, 199, 200, 400, 800].map((nearMs) => shareOfSpill(nearMs, 100, true)),
    [0, 0, 0, 0.5, 0.75],
  );
  equal(shareOfSpill(10_000, 100, false), 0.02, 'a few find out');
});

const HERE = { region: 'eu', zone: 'a' };

function spread(): Bench {
  const bench = new Bench({}, HERE);
  bench.source.tell('api.default', [
    ...[0, 1].map((i) => endpoint(`eu-${i}`, { ...HERE, healthy: false })),
    ...['us', 'ap'].flatMap((region) => [0, 1, 2].map((i) => endpoint(`${region}-${i}`, { region, zone: 'a' }))),
  ]);
  return bench;
}

async function ask(bench: Bench, count: number): Promise<Readonly<Record<string, number>>> {
  bench.asked.length = 0;
  for (let i = 0; i < count; i++) await bench.finish(bench.get());
  return Object.fromEntries(
    ['eu', 'us', 'ap'].map((region) => [region, bench.asked.filter((each) => each.startsWith(region)).length]),
  );
}

test('when the own region is away, the nearest other one takes over as soon as it is known which that is', async () => {
  const bench = spread();
  const first = await ask(bench, 60);
  ok((first.us ?? 0) > 0 && (first.ap ?? 0) > 0, JSON.stringify(first));
  for (const i of [0, 1, 2]) {
    bench.rtts.set(`us-${i}`, 180);
    bench.rtts.set(`ap-${i}`, 90);
  }
  await bench.clock.advanceAsync(5_000);
  deepEqual(await ask(bench, 60), { eu: 0, us: 0, ap: 60 });
  // It may change: a path around a relay, say.
  for (const i of [0, 1, 2]) bench.rtts.set(`us-${i}`, 40);
  await bench.clock.advanceAsync(5_000);
  deepEqual(await ask(bench, 60), { eu: 0, us: 60, ap: 0 });
});

test('an endpoint that says it is here and is not is told of, once', async () => {
  const bench = new Bench({}, HERE);
  const doubts: DoubtfulLocalityFact[] = [];
  bench.events.on('doubtfulLocality', (doubt) => doubts.push(doubt));
  bench.source.tell('api.default', [
    endpoint('here', HERE),
    endpoint('liar', HERE),
    endpoint('us', { region: 'us' }),
    endpoint('ap', { region: 'ap' }),
  ]);
  for (const [instance, rttMs] of Object.entries({ here: 1, liar: 160, us: 40, ap: 150 }))
    bench.rtts.set(instance, rttMs);
  for (let i = 0; i < 5; i++) {
    await ask(bench, 3);
    await bench.clock.advanceAsync(5_000);
  }
  deepEqual(
    doubts.map(({ endpoint: { instance }, rttMs, elsewhereRttMs }) => [instance, rttMs, elsewhereRttMs]),
    [['liar', 160, 40]],
  );
});
