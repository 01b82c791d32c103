/** Retries and timeouts of a rule: the cases of Gateway API's own suite, what is answered when they run out, and what is never done. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { encodeUtf8 } from '../../../src/core/bytes.ts';
import { NO_FIELDS } from '../../../src/http/head.ts';
import type { WithheldFact } from '../../../src/router/events.ts';
import { RetryBudget } from '../../../src/router/retry-budget.ts';
import { Bench, failure, routed } from './bench.ts';
import { endpoint, type ReceivedRequest, ReplyRecorder, requestHead } from './endpoints.ts';

const V1 = { name: 'v1', port: 80 };

function retried(rule: object): Bench {
  return routed({ rules: [{ backendRefs: [V1], ...rule }] });
}

/** Fails `times` times, then answers 200. */
function failFirst(bench: Bench, times: number, fail: (request: ReceivedRequest) => void): void {
  let count = 0;
  bench.behave = (request) => {
    if (++count > times) request.answer(200);
    else fail(request);
  };
}

const byCode: readonly [retry: object, code: number, times: number, status: number, attempts: number][] = [
  [{ attempts: 3, codes: [500] }, 500, 2, 200, 3],
  [{ attempts: 3, codes: [500] }, 500, 4, 500, 4],
  [{ attempts: 3, codes: [500] }, 503, 1, 503, 1],
  ...[500, 502, 503, 504].flatMap((code): [object, number, number, number, number][] => [
    [{ attempts: 2, codes: [500, 502, 503, 504] }, code, 1, 200, 2],
    [{ attempts: 2, codes: [500, 502, 503, 504] }, code, 3, code, 3],
  ]),
  [{ attempts: 1, codes: [429] }, 429, 1, 200, 2],
  [{ attempts: 3 }, 500, 1, 500, 1],
];
for (const [retry, code, times, status, attempts] of byCode) {
  test(`retry ${JSON.stringify(retry)}: ${code} ${times} times is ${status} after ${attempts} attempts`, async () => {
    const bench = retried({ retry });
    failFirst(bench, times, (request) => request.answer(code));
    const reply = await bench.finish(bench.get());
    deepEqual([reply.head?.status, bench.asked.length, bench.finished[0]?.attempts], [status, attempts, attempts]);
  });
}

test('connections that break are tried again without any code, and end as 503', async () => {
  const reset = (request: ReceivedRequest): void => request.reply.onAbort(failure('SKEIN_STREAM_RESET'));
  const healed = retried({ retry: { attempts: 3 } });
  failFirst(healed, 2, reset);
  equal((await healed.finish(healed.get())).head?.status, 200);
  const broken = retried({ retry: { attempts: 3 } });
  failFirst(broken, 4, reset);
  const reply = await broken.finish(broken.get());
  deepEqual([reply.error?.code, reply.error?.status, broken.asked.length], ['SKEIN_STREAM_RESET', 503, 4]);
});

const hold =
  (bench: Bench, ms: number) =>
  (request: ReceivedRequest): void => {
    bench.clock.setTimer(ms, () => {
      if (request.abortedBy === undefined) request.answer(200);
    });
  };

test('an attempt that takes too long is tried again, and the last one is 504', async () => {
  const rule = { retry: { attempts: 2 }, timeouts: { backendRequest: '200ms' } };
  const healed = retried(rule);
  failFirst(healed, 2, hold(healed, 300));
  equal((await healed.finish(healed.get())).head?.status, 200);
  const slow = retried(rule);
  failFirst(slow, 3, hold(slow, 300));
  const reply = await slow.finish(slow.get());
  deepEqual([reply.error?.code, reply.error?.status, slow.asked.length], ['SKEIN_DEADLINE', 504, 3]);
  ok(reply.error?.message.includes('timeouts.backendRequest'), reply.error?.message);
});

test('the time of a request ends its retries: 504, and the attempt under way is given up', async () => {
  const rule = { retry: { attempts: 5, codes: [500] }, timeouts: { request: '400ms' } };
  const healed = retried(rule);
  failFirst(healed, 1, (request) => healed.clock.setTimer(100, () => request.answer(500)));
  equal((await healed.finish(healed.get())).head?.status, 200);
  const slow = retried(rule);
  let last: ReceivedRequest | undefined;
  failFirst(slow, 99, (request) => {
    last = request;
    slow.clock.setTimer(100, () => {
      if (request.abortedBy === undefined) request.answer(500);
    });
  });
  const startMs = slow.clock.monotonicMs();
  const reply = await slow.finish(slow.get());
  equal(slow.clock.monotonicMs() - startMs, 400);
  deepEqual([reply.error?.code, reply.error?.status], ['SKEIN_DEADLINE', 504]);
  ok(reply.error?.message.includes('timeouts.request'), reply.error?.message);
  const asked = slow.asked.length;
  await slow.clock.advanceAsync(10_000);
  equal(slow.asked.length, asked, 'nothing follows');
  ok(last?.abortedBy !== undefined || asked < 6);
});

const timeouts: readonly [what: string, timeouts: object, holdMs: number, outcome: number][] = [
  ['request, in time', { request: '500ms' }, 499, 200],
  ['request, too late', { request: '500ms' }, 1000, 504],
  ['request of 0s', { request: '0s' }, 30_000, 200],
  ['backendRequest, in time', { backendRequest: '500ms' }, 499, 200],
  ['backendRequest, too late', { backendRequest: '500ms' }, 1000, 504],
  ['backendRequest of 0s', { backendRequest: '0s' }, 30_000, 200],
  ['the shorter of both', { request: '1s', backendRequest: '500ms' }, 700, 504],
];
for (const [what, limits, holdMs, outcome] of timeouts) {
  test(`timeout of ${what}: ${outcome}`, async () => {
    const bench = retried({ timeouts: limits });
    bench.behave = hold(bench, holdMs);
    const startMs = bench.clock.monotonicMs();
    const reply = await bench.finish(bench.get());
    equal(reply.head?.status ?? reply.error?.status, outcome);
    ok(bench.clock.monotonicMs() - startMs <= Math.max(holdMs, 500));
    const backend = await bench.backends.find({ service: 'v1.default', port: 80, key: 'v1.default:80' });
    equal(backend.pending, 0);
  });
}

test('a timeout holds until the answer is whole, and an upgraded connection is none', async () => {
  const bench = retried({ timeouts: { request: '1s', backendRequest: '500ms' } });
  bench.behave = (request) => request.answer(200, false);
  const cut = await bench.finish(bench.get());
  deepEqual([cut.head?.status, cut.error?.code], [200, 'SKEIN_DEADLINE']);
  bench.behave = (request) => request.answer(101, false);
  const open = bench.get({ upgrade: 'websocket' });
  await bench.clock.advanceAsync(60_000);
  deepEqual([open.head?.status, open.error], [101, undefined]);
});

test('a POST is never sent twice where the application may have seen it', async () => {
  const faults: ((request: ReceivedRequest) => void)[] = [
    (request) => request.answer(503),
    (request) => request.reply.onAbort(failure('SKEIN_STREAM_RESET')),
    (request) => request.reply.onAbort(failure('SKEIN_SESSION_LOST')),
    (request) => request.reply.onAbort(failure('SKEIN_APP_PROTOCOL')),
    () => undefined, // runs into backendRequest
  ];
  for (const method of ['POST', 'PATCH']) {
    for (const fault of faults) {
      const bench = retried({ retry: { attempts: 5, codes: [503] }, timeouts: { backendRequest: '1s' } });
      bench.source.tell(
        'v1.default',
        ['a', 'b'].map((instance) => endpoint(instance, { service: 'v1.default' })),
      );
      bench.behave = fault;
      await bench.finish(bench.get({ method }));
      equal(bench.asked.length, 1, `${method}, ${fault}`);
    }
  }
});

test('by default a GET outlives a session that breaks, and a status is what it is', async () => {
  const bench = retried({});
  bench.source.tell(
    'v1.default',
    ['a', 'b'].map((instance) => endpoint(instance, { service: 'v1.default' })),
  );
  failFirst(bench, 1, (request) => request.reply.onAbort(failure('SKEIN_SESSION_LOST')));
  equal((await bench.finish(bench.get())).head?.status, 200);
  equal(new Set(bench.asked).size, 2, 'another endpoint');
  failFirst(bench, 1, (request) => request.answer(503));
  equal((await bench.finish(bench.get())).head?.status, 503);
});

test('the body is sent again as far as it is kept, and what still comes follows it', async () => {
  const bench = retried({ retry: { attempts: 1, codes: [503] } });
  const seen: ReceivedRequest[] = [];
  bench.behave = (request) => {
    seen.push(request);
  };
  const reply = new ReplyRecorder();
  const body = bench.dispatcher.request(requestHead({ method: 'PUT' }), false, reply);
  body.write(encodeUtf8('one '));
  await bench.clock.settle();
  seen[0]?.answer(503, false);
  equal(seen[0]?.abortedBy?.code, 'SKEIN_CANCELLED', 'what is not taken is given up');
  equal(body.write(encodeUtf8('two ')), false, 'there is no way out now');
  await bench.clock.advanceAsync(1000);
  equal(reply.drains > 0, true);
  body.write(encodeUtf8('three'));
  body.end(NO_FIELDS);
  equal(seen[1]?.text, 'one two three');
  seen[1]?.answer(200);
  equal(reply.head?.status, 200);
});

test('a body longer than what is kept is not tried again: its answer is passed on', async () => {
  const bench = retried({ retry: { attempts: 3, codes: [503] } });
  const withheld: WithheldFact[] = [];
  bench.events.on('withheld', (fact) => withheld.push(fact));
  const reply = new ReplyRecorder();
  bench.behave = (request) => bench.clock.setTimer(10, () => request.answer(503));
  const body = bench.dispatcher.request(requestHead({ method: 'PUT' }), false, reply);
  await bench.clock.settle();
  for (let i = 0; i < 17; i++) body.write(new Uint8Array(4096));
  body.end(NO_FIELDS);
  await bench.finish(reply);
  deepEqual([reply.head?.status, bench.asked.length], [503, 1]);
  deepEqual(withheld, [{ service: 'v1.default', reason: 'body-too-long' }]);
});

test('the least wait of a route is kept between attempts', async () => {
  const bench = retried({ retry: { attempts: 3, codes: [503], backoff: '200ms' } });
  const atMs: number[] = [];
  bench.behave = (request) => {
    atMs.push(bench.clock.monotonicMs());
    request.answer(503);
  };
  await bench.finish(bench.get());
  equal(atMs.length, 4);
  for (let i = 1; i < 4; i++) ok((atMs[i] as number) - (atMs[i - 1] as number) >= 200, String(atMs));
});

test('a caller that gives up while an attempt is waited for leaves nothing behind', async () => {
  const bench = retried({ retry: { attempts: 3, codes: [503], backoff: '1s' } });
  bench.behave = (request) => request.answer(503);
  const reply = new ReplyRecorder();
  const body = bench.dispatcher.request(requestHead(), true, reply);
  await bench.clock.settle();
  body.abort(failure('SKEIN_CANCELLED'));
  await bench.clock.advanceAsync(10_000);
  equal(bench.asked.length, 1);
});

test('a service that fails always gets at most a fifth more, and the rest is told of the budget', async () => {
  const bench = retried({ retry: { attempts: 5, codes: [503] } });
  bench.behave = (request) => request.answer(503);
  const requests = 4000;
  let overBudget = 0;
  for (let i = 0; i < requests; i++) {
    const reply = await bench.finish(bench.get());
    if (reply.error?.code === 'SKEIN_RETRY_BUDGET') {
      overBudget++;
      deepEqual([reply.error.status, reply.error.details.upstreamStatus], [503, 503]);
    }
    await bench.clock.advanceAsync(2);
  }
  const ratio = bench.asked.length / requests;
  ok(ratio <= 1.21, `${ratio} times the load`);
  ok(overBudget > requests / 2, `${overBudget} refused`);
});

test('the budget: a fifth of what was asked in the last ten seconds, and ten a second in any case', () => {
  const budget = new RetryBudget({ retryBudgetPercent: 20, retryBudgetIntervalMs: 10_000, minRetriesPerSecond: 10 });
  const takeAll = (nowMs: number): number => {
    let taken = 0;
    while (budget.take(nowMs)) taken++;
    return taken;
  };
  equal(takeAll(0), 100);
  for (let i = 0; i < 1000; i++) budget.note(5_000);
  equal(takeAll(5_000), 100, '200 in all');
  equal(takeAll(9_999), 0);
  equal(takeAll(12_000), 100, 'the first hundred are forgotten');
  equal(takeAll(40_000), 100, 'as at the beginning');
});

test('a request that finds no room is no probe: the endpoint that waits for one is probed by the next', async () => {
  const bench = new Bench({ maxPendingRequests: 2, outlierFailures: 2 });
  bench.source.tell(
    'api.default',
    ['a', 'b'].map((instance) => endpoint(instance)),
  );
  const told: string[] = [];
  bench.events.on('ejected', ({ endpoint: { instance } }) => told.push(`ejected ${instance}`));
  bench.events.on('readmitted', ({ endpoint: { instance } }) => told.push(`readmitted ${instance}`));
  const held: ReceivedRequest[] = [];
  let state: 'broken' | 'held' | 'well' = 'broken';
  bench.behave = (request, { instance }) => {
    if (state === 'held') held.push(request);
    // The other one takes longer, so that this one is chosen whenever it is not left alone.
    else if (instance === 'a') bench.clock.setTimer(50, () => request.answer(200));
    else request.answer(state === 'broken' ? 503 : 200);
  };
  for (let i = 0; i < 100 && told.length === 0; i++) {
    await bench.clock.advanceAsync(2_000); // who failed is asked again
    await bench.finish(bench.get({ method: 'POST' }));
  }
  deepEqual(told, ['ejected b']);
  state = 'held';
  const waiting = [bench.get({ method: 'POST' }), bench.get({ method: 'POST' })];
  deepEqual(bench.asked.slice(-2), ['a', 'a']);
  await bench.clock.advanceAsync(10_000); // a probe is due by now, and all room is taken
  const refused = await bench.finish(bench.get({ method: 'POST' }));
  equal(refused.error?.code, 'SKEIN_OVERFLOW');
  state = 'well';
  for (const request of held) request.answer(200);
  for (const reply of waiting) await bench.finish(reply);
  for (let i = 0; i < 10; i++) await bench.finish(bench.get({ method: 'POST' }));
  deepEqual(told, ['ejected b', 'readmitted b']);
});

/** `count` instances, of which only those of `present` can be reached. */
function stale(count: number, present: readonly string[], rule: object = {}): Bench {
  const bench = retried(rule);
  bench.source.tell(
    'v1.default',
    Array.from({ length: count }, (_, i) => endpoint(`i-${i}`, { service: 'v1.default' })),
  );
  bench.connect = (at) => {
    if (!present.includes(at.instance)) throw failure('SKEIN_NO_ENDPOINT', true);
    return bench.upstream(at);
  };
  return bench;
}

test('instances that are not there use up no attempts while there is one that was not tried', async () => {
  for (const rule of [{}, { retry: { attempts: 1 } }]) {
    for (let i = 0; i < 8; i++) {
      const bench = stale(8, [`i-${i}`], rule);
      for (let n = 0; n < 20; n++) equal((await bench.finish(bench.get({ method: 'POST' }))).head?.status, 200);
    }
  }
});

test('nobody is there: each instance is asked once, and of very many a few', async () => {
  for (const [count, asked] of [
    [2, 2],
    [8, 8],
    [100, 19],
  ] as const) {
    const bench = stale(count, []);
    const reply = await bench.finish(bench.get());
    deepEqual([reply.error?.code, bench.asked.length, new Set(bench.asked).size], ['SKEIN_NO_ENDPOINT', asked, asked]);
  }
});

test('where instances are not there, those that fail are asked no more often than where they are', async () => {
  for (const [code, most] of [
    ['SKEIN_STREAM_RESET', 3],
    ['SKEIN_REFUSED', 3],
    ['SKEIN_APP_UNREACHABLE', 3],
  ] as const) {
    for (let n = 0; n < 20; n++) {
      const bench = stale(10, ['i-0', 'i-2', 'i-4', 'i-6', 'i-8']);
      let seen = 0;
      bench.behave = (request) => {
        seen++;
        request.reply.onAbort(failure(code));
      };
      equal((await bench.finish(bench.get())).error?.code, code);
      equal(seen, most, code);
    }
  }
});

test('where no other attempt is wanted there is none', async () => {
  const bench = new Bench({ maxAttempts: 1 });
  bench.source.tell('api.default', [endpoint('a'), endpoint('b')]);
  bench.connect = () => {
    throw failure('SKEIN_NO_ENDPOINT', true);
  };
  equal((await bench.finish(bench.get())).error?.code, 'SKEIN_NO_ENDPOINT');
  equal(bench.asked.length, 1);
});
