/** Calls of gRPC, all of them 200 to HTTP: what they say at their end counts, fast failures first of all. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { Bench } from './bench.ts';
import { endpoint, type ReceivedRequest } from './endpoints.ts';

const TYPE = ['content-type', 'application/grpc'];
const MESSAGE = new Uint8Array(5);

const answers: readonly [what: string, answer: (request: ReceivedRequest, end: readonly string[]) => void][] = [
  [
    'trailers only',
    ({ reply }, end) => reply.onHead({ status: 200, fields: [...TYPE, ...end], upgrade: undefined }, true),
  ],
  [
    'trailers',
    ({ reply }, end) => {
      reply.onHead({ status: 200, fields: TYPE, upgrade: undefined }, false);
      reply.onEnd(end);
    },
  ],
];

function served(): Bench {
  const bench = new Bench();
  bench.source.tell(
    'api.default',
    ['a', 'b', 'c', 'd'].map((instance) => endpoint(instance)),
  );
  return bench;
}

/** Calls at 200 a second; who was asked how often. */
async function call(bench: Bench, count: number): Promise<(instance: string) => number> {
  const before = bench.asked.length;
  for (let i = 0; i < count; i++) {
    bench.get({ method: 'POST', fields: [...TYPE, 'te', 'trailers'] });
    await bench.clock.advanceAsync(5);
  }
  const asked = bench.asked.slice(before);
  return (instance) => asked.filter((each) => each === instance).length;
}

for (const [what, answer] of answers) {
  test(`one of four that answers UNAVAILABLE in 1 ms by ${what} gets at most 5 % within 2 s`, async () => {
    const bench = served();
    let bad = '';
    bench.behave = (request, { instance }) => {
      const end = ['grpc-status', instance === bad ? '14' : '0'];
      bench.clock.setTimer(instance === bad ? 1 : 5, () => answer(request, end));
    };
    await call(bench, 200);
    bad = 'c';
    const count = (await call(bench, 400))('c');
    ok(count <= 20, `${count} of 400`);
  });

  test(`one that is exhausted rests as long as it asks by ${what}`, async () => {
    const bench = served();
    let isExhausted = true;
    bench.behave = (request, { instance }) => {
      const isBusy = instance === 'c' && isExhausted;
      answer(request, ['grpc-status', isBusy ? '8' : '0', ...(isBusy ? ['grpc-retry-pushback-ms', '3000'] : [])]);
    };
    ok((await call(bench, 100))('c') > 0);
    isExhausted = false;
    equal((await call(bench, 400))('c'), 0, 'for the rest of two of three seconds');
    await bench.clock.advanceAsync(15_000);
    ok((await call(bench, 100))('c') > 0);
  });
}

test('a stream that has said something proves that its endpoint works, long before it ends', async () => {
  const bench = served();
  bench.source.tell(
    'api.default',
    ['a', 'b'].map((instance) => endpoint(instance)),
  );
  let isBroken = true;
  bench.behave = ({ reply }, { instance }) => {
    if (instance === 'b' && isBroken) {
      reply.onHead({ status: 200, fields: [...TYPE, 'grpc-status', '14'], upgrade: undefined }, true);
      return;
    }
    // The other one takes longer, so that this one is chosen whenever it is not left alone.
    bench.clock.setTimer(instance === 'a' ? 50 : 1, () => {
      reply.onHead({ status: 200, fields: TYPE, upgrade: undefined }, false);
      reply.onData(MESSAGE);
      if (instance === 'a') reply.onEnd(['grpc-status', '0']);
    });
  };
  const told: string[] = [];
  bench.events.on('ejected', () => told.push('ejected'));
  bench.events.on('readmitted', () => told.push('readmitted'));
  for (let i = 0; i < 200 && told.length === 0; i++) {
    await call(bench, 1);
    await bench.clock.advanceAsync(2_000);
  }
  isBroken = false;
  await bench.clock.advanceAsync(2_000);
  await call(bench, 10);
  equal(told.join(), 'ejected,readmitted');
});

test('a probe whose answer ends before it said how the call went has told: another one follows', async () => {
  const bench = served();
  let state: 'unavailable' | 'cut short' | 'well' = 'unavailable';
  bench.behave = ({ reply }, { instance }) => {
    const end = { unavailable: ['grpc-status', '14'], 'cut short': [], well: ['grpc-status', '0'] }[state];
    const fields = [...TYPE, ...(instance === 'b' ? end : ['grpc-status', '0'])];
    // The others take longer, so that this one is chosen whenever it is not left alone.
    bench.clock.setTimer(instance === 'b' ? 1 : 50, () =>
      reply.onHead({ status: 200, fields, upgrade: undefined }, true),
    );
  };
  const told: string[] = [];
  bench.events.on('ejected', ({ endpoint: { instance } }) => told.push(`ejected ${instance}`));
  bench.events.on('readmitted', ({ endpoint: { instance } }) => told.push(`readmitted ${instance}`));
  for (let i = 0; i < 200 && told.length === 0; i++) {
    await call(bench, 1);
    await bench.clock.advanceAsync(2_000); // who failed is asked again
  }
  deepEqual(told, ['ejected b']);
  state = 'cut short';
  await bench.clock.advanceAsync(10_000);
  await call(bench, 10);
  state = 'well';
  await bench.clock.advanceAsync(600_000);
  await call(bench, 10);
  deepEqual(told, ['ejected b', 'readmitted b']);
});
