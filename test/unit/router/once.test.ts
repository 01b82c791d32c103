/** Nothing is executed twice that must not be: random faults under a route that retries all it can, counted where applications are. */
import { equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { encodeUtf8 } from '../../../src/core/bytes.ts';
import { NO_FIELDS } from '../../../src/http/head.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { type Bench, failure, routed } from './bench.ts';
import { endpoint, type ReceivedRequest, ReplyRecorder, requestHead } from './endpoints.ts';

const RULE = {
  backendRefs: [{ name: 'v1', port: 80 }],
  retry: { attempts: 5, codes: [429, 500, 502, 503, 504] },
  timeouts: { request: '5s', backendRequest: '500ms' },
};
const REQUESTS = 600;

/** What can happen to a request at an endpoint; `executed`: an application has seen it. */
const FAULTS: readonly [executed: boolean, fault: (request: ReceivedRequest, bench: Bench) => void][] = [
  [true, (request) => request.answer(200)],
  [true, (request) => request.answer(503)],
  [true, (request) => request.answer(500, false)],
  [true, (request) => request.answer(429)],
  [true, () => undefined], // hangs
  [true, (request) => request.reply.onAbort(failure('SKEIN_STREAM_RESET'))],
  [true, (request) => request.reply.onAbort(failure('SKEIN_SESSION_LOST'))],
  [true, (request) => request.reply.onAbort(failure('SKEIN_APP_PROTOCOL'))],
  [
    true,
    (request) => {
      request.answer(200, false);
      request.reply.onAbort(failure('SKEIN_SESSION_LOST'));
    },
  ],
  [
    true,
    (request, bench) => {
      bench.clock.setTimer(490, () => request.answer(200));
    },
  ],
  [false, (request) => request.reply.onAbort(failure('SKEIN_REFUSED', true))],
  [false, (request) => request.reply.onAbort(failure('SKEIN_DRAINING', true))],
  [false, (request) => request.reply.onAbort(failure('SKEIN_APP_UNREACHABLE', true))],
];

test('No POST and no PATCH is executed twice, whatever fails, and GETs outlive most of it', async (t) => {
  const random = new SeededRandom();
  t.diagnostic(`seed ${random.seed}`);
  const bench = routed({ rules: [RULE] });
  const instances = ['a', 'b', 'c', 'd'];
  bench.source.tell(
    'v1.default',
    instances.map((instance) => endpoint(instance, { service: 'v1.default' })),
  );
  const executions = new Map<string, number>();
  bench.behave = (request) => {
    const [isExecuted, fault] = FAULTS[Math.floor(random.ratio() * FAULTS.length)]!;
    const { path } = request.head;
    if (isExecuted) executions.set(path, (executions.get(path) ?? 0) + 1);
    fault(request, bench);
  };
  const replies: { readonly method: string; readonly path: string; readonly reply: ReplyRecorder }[] = [];
  for (let i = 0; i < REQUESTS; i++) {
    const method = ['GET', 'POST', 'PATCH', 'PUT'][i % 4]!;
    const path = `/${method}/${i}`;
    const reply = new ReplyRecorder();
    const hasBody = method !== 'GET';
    const body = bench.dispatcher.request(requestHead({ method, path }), !hasBody, reply);
    if (hasBody) {
      body.write(encodeUtf8('body'));
      body.end(NO_FIELDS);
    }
    replies.push({ method, path, reply });
    // Now and then a member falls silent, which moves what may be moved.
    if (i % 20 === 19) bench.backends.leave(instances[Math.floor(random.ratio() * instances.length)]!);
    await bench.clock.advanceAsync(20);
  }
  await bench.clock.advanceUntil(() => replies.every(({ reply }) => reply.isOver), 60_000);
  const twice = replies.filter(({ method, path }) => /^P(?:OST|ATCH)$/.test(method) && (executions.get(path) ?? 0) > 1);
  equal(twice.length, 0, JSON.stringify(twice.map(({ path }) => path)));
  const repeated = replies.filter(({ method, path }) => method === 'GET' && (executions.get(path) ?? 0) > 1);
  ok(repeated.length > 0, 'what may be repeated is');
  const unseen = replies.filter(({ path, reply }) => reply.head?.status === 200 && !executions.has(path));
  equal(unseen.length, 0, 'nothing is answered that nobody executed');
});
