/** Time that a caller gives, time that all have, and what each says about an endpoint that does not answer in it. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { encodeUtf8 } from '../../../src/core/bytes.ts';
import { readDeadline } from '../../../src/http/deadline.ts';
import { type Fields, NO_FIELDS, type RequestHead } from '../../../src/http/head.ts';
import { Bench, failure, routed } from './bench.ts';
import { endpoint, ReplyRecorder, requestHead } from './endpoints.ts';

const GRPC: Fields = ['content-type', 'application/grpc'];

function served(...instances: readonly string[]): Bench {
  const bench = new Bench();
  bench.source.tell(
    'api.default',
    (instances.length === 0 ? ['a'] : instances).map((instance) => endpoint(instance)),
  );
  bench.behave = () => undefined;
  return bench;
}

const givers: readonly [what: string, head: Partial<RequestHead>][] = [
  ['x-skein-deadline', { timeLeftMs: 400 }],
  ['grpc-timeout', { fields: [...GRPC, 'grpc-timeout', '400m'] }],
];
for (const [what, head] of givers) {
  test(`${what} ends a request in time: 504, the endpoint is told, and it is not held against it`, async () => {
    const bench = served();
    let reason: string | undefined;
    bench.behave = (request) => {
      bench.clock.setTimer(401, () => {
        reason = request.abortedBy?.code;
      });
    };
    const reply = await bench.finish(bench.get(head));
    equal(bench.clock.monotonicMs(), 400);
    deepEqual([reply.error?.code, reply.error?.status], ['SKEIN_DEADLINE', 504]);
    ok(reply.error?.message.includes('its caller'), reply.error?.message);
    await bench.clock.advanceAsync(10);
    equal(reason, 'SKEIN_CANCELLED');
    for (let i = 0; i < 5; i++) await bench.finish(bench.get({ timeLeftMs: 1 }));
    bench.behave = (request) => request.answer(200);
    equal((await bench.finish(bench.get())).head?.status, 200);
  });
}

test('a deadline that is past asks nobody', async () => {
  const bench = served();
  const reply = await bench.finish(bench.get({ timeLeftMs: 0, method: 'POST' }));
  deepEqual([reply.error?.code, reply.error?.notProcessed, bench.asked.length], ['SKEIN_DEADLINE', true, 0]);
});

test('the shorter of what caller and route give holds, and each attempt is told what is left of it', async () => {
  for (const [askedMs, expectedMs] of [
    [5_000, 1_000],
    [700, 700],
  ] as const) {
    const bench = routed({
      rules: [
        { backendRefs: [{ name: 'v1', port: 80 }], retry: { attempts: 9, codes: [503] }, timeouts: { request: '1s' } },
      ],
    });
    const left: (number | undefined)[] = [];
    bench.behave = (request) => {
      left.push(readDeadline(request.head.fields, 0) as number | undefined);
      bench.clock.setTimer(200, () => request.answer(503));
    };
    await bench.finish(bench.get({ timeLeftMs: askedMs }));
    equal(bench.clock.monotonicMs(), expectedMs);
    equal(left[0], expectedMs);
    ok(
      left.length > 1 && left.every((ms, i) => i === 0 || (ms as number) < (left[i - 1] as number) - 190),
      String(left),
    );
  }
});

test('who gives no time is told of none', async () => {
  const bench = served();
  const seen: Fields[] = [];
  bench.behave = (request) => {
    seen.push(request.head.fields);
    request.answer(200);
  };
  await bench.finish(bench.get());
  deepEqual(seen, [NO_FIELDS]);
});

test('without any limit an answer begins within 15 s of the end of the request, or it is 504', async () => {
  const bench = served();
  const reply = new ReplyRecorder();
  const body = bench.dispatcher.request(requestHead({ method: 'PUT' }), false, reply);
  await bench.clock.advanceAsync(60_000); // a body may take its time
  body.write(encodeUtf8('a'));
  equal(reply.isOver, false);
  const endMs = bench.clock.monotonicMs();
  body.end(NO_FIELDS);
  await bench.finish(reply);
  deepEqual([reply.error?.status, bench.clock.monotonicMs() - endMs], [504, 15_000]);
});

test('an answer that has begun may take as long as it likes', async () => {
  const bench = served();
  bench.behave = (request) => request.answer(200, false);
  const reply = bench.get();
  await bench.clock.advanceAsync(600_000);
  deepEqual([reply.head?.status, reply.error], [200, undefined]);
});

const patient: readonly [what: string, head: Partial<RequestHead>][] = [
  ['a call of gRPC', { fields: GRPC }],
  ['an event stream', { fields: ['accept', 'text/event-stream'] }],
  ['an upgrade', { upgrade: 'websocket' }],
];
for (const [what, head] of patient) {
  test(`${what} has no limit of its own`, async () => {
    const bench = served();
    const reply = bench.get(head);
    await bench.clock.advanceAsync(600_000);
    equal(reply.isOver, false);
  });
}

test('one that is out of reach is waited for as long as its session is', async () => {
  const bench = served();
  const reply = bench.get({ method: 'POST' });
  await bench.clock.advanceAsync(14_000);
  bench.suspects.add('a');
  await bench.clock.advanceAsync(14_000);
  equal(reply.isOver, false);
  bench.suspects.clear();
  await bench.finish(reply);
  equal(bench.clock.monotonicMs(), 30_000);
});

test('one that answers nobody any more gets little, even from callers who give up sooner than the mesh does', async () => {
  const bench = served('a', 'b', 'c');
  const load = async (count: number): Promise<number> => {
    const before = bench.asked.length;
    for (let i = 0; i < count; i++) {
      const reply = bench.get({ timeLeftMs: 50 });
      await bench.clock.advanceUntil(() => reply.isOver, 1_000);
      await bench.clock.advanceAsync(5);
    }
    return bench.asked.slice(before).filter((instance) => instance === 'b').length;
  };
  let isStuck = false;
  bench.behave = (request, { instance }) => {
    if (instance !== 'b' || !isStuck) bench.clock.setTimer(1, () => request.answer(200));
  };
  ok((await load(1_000)) > 200, 'as fast as the others');
  isStuck = true;
  const count = await load(600);
  ok(count <= 6, `${count} of 600`);
});

test('a caller that gives up before its deadline leaves no timer that does anything', async () => {
  const bench = served();
  const reply = new ReplyRecorder();
  const body = bench.dispatcher.request(requestHead({ timeLeftMs: 1_000 }), true, reply);
  await bench.clock.settle();
  body.abort(failure('SKEIN_CANCELLED'));
  await bench.clock.advanceAsync(60_000);
  deepEqual([reply.isOver, bench.finished.length, bench.finished[0]?.reason], [false, 1, 'cancelled']);
});
