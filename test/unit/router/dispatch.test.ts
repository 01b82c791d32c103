/** The walk of a request through the dispatcher: waiting for the catalogue, attempts, replay, abort, accounts. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { Endpoint } from '../../../src/catalog/endpoint.ts';
import { NO_REGULAR_EXPRESSIONS } from '../../../src/catalog/regular-expression.ts';
import { encodeUtf8 } from '../../../src/core/bytes.ts';
import type { ErrorCode } from '../../../src/core/errors.ts';
import { NO_FIELDS, type RequestHead } from '../../../src/http/head.ts';
import { RouteTable } from '../../../src/router/table.ts';
import type { Upstream } from '../../../src/router/upstream.ts';
import { httpRoute, routeSet, tableOf } from '../../support/routes.ts';
import { Bench, failure, routed } from './bench.ts';
import { endpoint, type ReceivedRequest, ReplyRecorder, requestHead } from './endpoints.ts';

test('a request goes to an endpoint of its service and carries its destination', async () => {
  const bench = new Bench();
  bench.source.tell('api.default', [endpoint('a')]);
  let service = '';
  bench.behave = (request) => {
    service = request.head.service;
    request.answer(204);
  };
  const reply = bench.get();
  await reply.done;
  equal(reply.head?.status, 204);
  equal(service, 'api.default:80');
  equal(bench.finished.length, 1);
  equal(bench.backends.size, 1);
});

const refusals: readonly [what: string, head: object, code: ErrorCode][] = [
  ['a foreign name', { authority: 'example.com' }, 'SKEIN_NOT_A_MESH_NAME'],
  ['no name', { authority: '' }, 'SKEIN_NOT_A_MESH_NAME'],
  ['a name nobody serves', { authority: 'nobody.mesh' }, 'SKEIN_NO_SUCH_SERVICE'],
  ['a port nobody serves', { authority: 'api.mesh:81' }, 'SKEIN_NO_SUCH_SERVICE'],
  ['https, whose port is 443', { scheme: 'https' }, 'SKEIN_NO_SUCH_SERVICE'],
  ['a service with no healthy instance', { authority: 'sick.mesh' }, 'SKEIN_NO_ENDPOINT'],
];
for (const [what, head, code] of refusals) {
  test(`${what} is refused with ${code}, and nobody is asked`, async () => {
    const bench = new Bench();
    bench.source.tell('api.default', [endpoint('a')]);
    bench.source.tell('nobody.default', []);
    bench.source.tell('sick.default', [endpoint('s', { service: 'sick.default', healthy: false })]);
    const reply = bench.get(head);
    equal(reply.error?.code, undefined, 'the sink is not called before request returns');
    await reply.done;
    equal(reply.error?.code, code);
    deepEqual(bench.asked, []);
  });
}

test('the first request to a service waits until the catalogue has told, its body with it', async () => {
  const bench = new Bench();
  let received = '';
  bench.behave = (request) => {
    received = request.text;
    request.answer(200);
  };
  const reply = new ReplyRecorder();
  const body = bench.dispatcher.request(requestHead({ method: 'POST' }), false, reply);
  equal(body.write(encodeUtf8('one ')), false);
  body.write(encodeUtf8('two'));
  body.end(NO_FIELDS);
  equal(bench.backends.waiting, 1);
  bench.source.tell('api.default', [endpoint('a')]);
  await reply.done;
  equal(received, 'one two');
  equal(bench.backends.waiting, 0);
});

test('who waits longer than the limit is told that no hub answers; too many who wait are refused', async () => {
  const bench = new Bench({ catalogueWaitMs: 1000, maxWaiting: 1 });
  const first = bench.get();
  const second = bench.get();
  await second.done;
  equal(second.error?.code, 'SKEIN_LIMIT');
  bench.clock.advance(999);
  equal(first.error?.code, undefined);
  bench.clock.advance(1);
  await first.done;
  equal(first.error?.code, 'SKEIN_HUB_UNREACHABLE');
});

test('a client blocked while its request waits is told when there is room', async () => {
  const bench = new Bench();
  const reply = new ReplyRecorder();
  const body = bench.dispatcher.request(requestHead({ method: 'POST' }), false, reply);
  equal(body.write(encodeUtf8('x')), false);
  equal(reply.drains, 0);
  bench.source.tell('api.default', [endpoint('a')]);
  await reply.done;
  equal(reply.drains, 1);
});

test('a refused request is tried on another endpoint, with the body it had', async () => {
  const bench = new Bench();
  bench.source.tell('api.default', [endpoint('a'), endpoint('b')]);
  const bodies: string[] = [];
  bench.behave = (request) => {
    bodies.push(request.text);
    if (bodies.length === 1) request.reply.onAbort(failure('SKEIN_DRAINING'));
    else request.answer(201);
  };
  const reply = new ReplyRecorder();
  const body = bench.dispatcher.request(requestHead({ method: 'POST' }), false, reply);
  body.write(encodeUtf8('payload'));
  body.end(NO_FIELDS);
  await reply.done;
  equal(reply.head?.status, 201);
  deepEqual(bodies, ['payload', 'payload']);
  deepEqual([...bench.asked].sort(), ['a', 'b']);
  equal(bench.retried[0]?.reason, 'draining');
  equal(bench.finished[0]?.attempts, 2);
});

test('a body longer than the replay limit is sent once', async () => {
  const bench = new Bench({ replayBytes: 4 });
  bench.source.tell('api.default', [endpoint('a'), endpoint('b')]);
  bench.behave = (request) => request.reply.onAbort(failure('SKEIN_DRAINING'));
  const reply = new ReplyRecorder();
  const body = bench.dispatcher.request(requestHead({ method: 'POST' }), false, reply);
  body.write(encodeUtf8('12345'));
  await reply.done;
  equal(reply.error?.code, 'SKEIN_DRAINING');
  equal(bench.asked.length, 1);
});

test('at most three attempts, each on an endpoint of its own', async () => {
  const bench = new Bench();
  bench.source.tell(
    'api.default',
    ['a', 'b', 'c', 'd'].map((name) => endpoint(name)),
  );
  bench.connect = (at) => Promise.reject(failure('SKEIN_HUB_UNREACHABLE', at.instance !== 'a'));
  const reply = bench.get();
  await reply.done;
  equal(reply.error?.code, 'SKEIN_HUB_UNREACHABLE');
  equal(bench.asked.length, 3);
  equal(new Set(bench.asked).size, 3);
});

test('a verdict on the request is final', async () => {
  const bench = new Bench();
  bench.source.tell('api.default', [endpoint('a'), endpoint('b')]);
  bench.behave = (request) => request.reply.onAbort(failure('SKEIN_DENIED'));
  const reply = bench.get();
  await reply.done;
  equal(reply.error?.code, 'SKEIN_DENIED');
  equal(bench.asked.length, 1);
});

test('the only endpoint is asked again when its session broke before the request was seen', async () => {
  const bench = new Bench();
  bench.source.tell('api.default', [endpoint('a')]);
  bench.behave = (request) => {
    if (bench.asked.length === 1) request.reply.onAbort(failure('SKEIN_SESSION_LOST', true));
    else request.answer(200);
  };
  const reply = bench.get();
  await reply.done;
  equal(reply.head?.status, 200);
  deepEqual(bench.asked, ['a', 'a']);
});

test('when nobody is left to try again, the failure is told and not that nobody serves the name', async () => {
  for (const left of [[], [endpoint('a', { healthy: false })]]) {
    const bench = new Bench();
    bench.source.tell('api.default', [endpoint('a')]);
    bench.behave = (request) => {
      bench.source.tell('api.default', left);
      request.reply.onAbort(failure('SKEIN_SESSION_LOST'));
    };
    const reply = await bench.finish(bench.get());
    deepEqual([reply.error?.code, reply.error?.notProcessed, bench.asked.length], ['SKEIN_SESSION_LOST', false, 1]);
  }
});

test('who was not heard for a while is asked only where there is no other', async () => {
  const bench = new Bench();
  bench.source.tell('api.default', [endpoint('a'), endpoint('b')]);
  bench.suspects.add('a');
  for (let i = 0; i < 20; i++) await bench.get().done;
  deepEqual(new Set(bench.asked), new Set(['b']));
  bench.suspects.add('b');
  const reply = bench.get();
  await reply.done;
  equal(reply.head?.status, 200, 'both are suspect, and one must do');
});

test('an instance that came while another failed is found', async () => {
  const bench = new Bench();
  bench.source.tell('api.default', [endpoint('old')]);
  bench.behave = (request, at) => {
    if (at.instance === 'new') return request.answer(200);
    bench.source.tell('api.default', [endpoint('new')]);
    request.reply.onAbort(failure('SKEIN_DRAINING'));
  };
  const reply = bench.get();
  await reply.done;
  deepEqual(bench.asked, ['old', 'new']);
  equal(reply.head?.status, 200);
});

test('an answer that breaks off is not begun again', async () => {
  const bench = new Bench();
  bench.source.tell('api.default', [endpoint('a'), endpoint('b')]);
  bench.behave = (request) => {
    request.answer(200, false);
    request.reply.onData(encodeUtf8('half'));
    request.reply.onAbort(failure('SKEIN_STREAM_RESET', true));
  };
  const reply = bench.get();
  await reply.done;
  equal(reply.text, 'half');
  equal(reply.error?.code, 'SKEIN_STREAM_RESET');
  equal(bench.asked.length, 1);
  equal(bench.finished[0]?.responseBytes, 4);
});

test('a caller that gives up while its session is made leaves nothing behind', async () => {
  const bench = new Bench();
  bench.source.tell('api.default', [endpoint('a')]);
  let open: (upstream: Upstream) => void = () => undefined;
  bench.connect = () =>
    new Promise((resolve) => {
      open = resolve;
    });
  let seen = 0;
  bench.behave = () => {
    seen++;
  };
  const reply = new ReplyRecorder();
  const body = bench.dispatcher.request(requestHead(), true, reply);
  body.abort(failure('SKEIN_CANCELLED'));
  open(bench.upstream(endpoint('a')));
  await bench.clock.settle();
  equal(seen, 0);
  equal(reply.error, undefined);
  equal(bench.finished[0]?.error?.code, 'SKEIN_CANCELLED');
});

test('an abort during the answer reaches the endpoint', async () => {
  const bench = new Bench();
  bench.source.tell('api.default', [endpoint('a')]);
  let received: ReceivedRequest | undefined;
  bench.behave = (request) => {
    received = request;
    request.answer(200, false);
  };
  const reply = new ReplyRecorder();
  const body = bench.dispatcher.request(requestHead(), true, reply);
  await bench.clock.settle();
  equal(reply.head?.status, 200);
  body.consumed(5);
  body.abort(failure('SKEIN_CANCELLED'));
  equal(received?.abortedBy?.code, 'SKEIN_CANCELLED');
  equal(received?.consumedBytes, 5);
});

test('each half of an upgraded connection ends on its own', async () => {
  const bench = new Bench();
  bench.source.tell('api.default', [endpoint('a')]);
  let received: ReceivedRequest | undefined;
  bench.behave = (request) => {
    received = request;
    request.answer(101, false);
    request.reply.onEnd(NO_FIELDS);
  };
  const reply = new ReplyRecorder();
  const body = bench.dispatcher.request(requestHead({ upgrade: 'websocket' }), false, reply);
  await reply.done;
  body.write(encodeUtf8('still here'));
  body.end(NO_FIELDS);
  equal(received?.text, 'still here');
  deepEqual(received?.trailers, NO_FIELDS);
  equal(bench.finished.length, 1);
});

test('what is idle is forgotten, names nobody serves first, and what is pinned stays', async () => {
  const bench = new Bench();
  bench.source.tell('api.default', [endpoint('a')]);
  bench.source.tell('typo.default', []);
  bench.source.tell('kept.default', [endpoint('k', { service: 'kept.default' })]);
  await bench.backends.pin('kept.default');
  for (const authority of ['api.mesh', 'typo.mesh', 'kept.mesh']) await bench.get({ authority }).done;
  equal(bench.backends.size, 3);
  bench.clock.advance(90_000);
  deepEqual(bench.source.forgotten, ['typo.default']);
  bench.clock.advance(600_000);
  deepEqual(bench.source.forgotten, ['typo.default', 'api.default']);
  equal(bench.backends.size, 0);
});

test('what is known of each instance can be looked at', async () => {
  const bench = new Bench({ outlierFailures: 1 }, { region: 'eu', zone: '' });
  const near = { region: 'eu' };
  const tell = (...more: readonly Endpoint[]): void =>
    bench.source.tell('api.default', [
      ...['bad', 'good', 'busy'].map((instance) => endpoint(instance, near)),
      endpoint('down', { ...near, healthy: false }),
      endpoint('far', { region: 'us' }),
      ...more,
    ]);
  tell();
  const statuses: Readonly<Record<string, number>> = { bad: 503, busy: 429 };
  bench.behave = (request, { instance }) => request.answer(statuses[instance] ?? 200);
  for (let i = 0; i < 20; i++) await bench.finish(bench.get());
  tell(endpoint('new', near));
  await bench.finish(bench.get());
  const [status] = bench.backends.describe();
  deepEqual(
    [status?.service, status?.port, status?.isPanicking, status?.isSpilling],
    ['api.default', 80, false, false],
  );
  deepEqual(Object.fromEntries((status?.endpoints ?? []).map(({ instance, state }) => [instance, state])), {
    bad: 'ejected',
    good: 'usable',
    busy: 'failing',
    down: 'unhealthy',
    far: 'usable',
    new: 'warming',
  });
  const share = Object.fromEntries((status?.endpoints ?? []).map((each) => [each.instance, each.share]));
  deepEqual([share.bad, share.down], [0, 0]);
  ok((share.good ?? 0) > 0.5);
});

test('with a service that is forgotten its panic is over', async () => {
  const bench = new Bench({ maxEjectedPercent: 90, outlierFailures: 1 });
  const told: boolean[] = [];
  bench.events.on('panic', ({ isOn }) => told.push(isOn));
  bench.source.tell(
    'api.default',
    ['a', 'b', 'c'].map((instance) => endpoint(instance)),
  );
  bench.behave = (request, { instance }) => request.answer(instance === 'c' ? 200 : 503);
  for (let i = 0; i < 200 && told.length === 0; i++) {
    await bench.finish(bench.get());
    await bench.clock.advanceAsync(100);
  }
  deepEqual(told, [true]);
  await bench.clock.advanceAsync(20 * 60_000);
  deepEqual(told, [true, false]);
});

test('more services than the limit are refused', async () => {
  const bench = new Bench({ maxServices: 1 });
  bench.source.tell('api.default', [endpoint('a')]);
  await bench.get().done;
  const reply = bench.get({ authority: 'web.mesh' });
  await reply.done;
  equal(reply.error?.code, 'SKEIN_LIMIT');
});

test('loads return to nothing when all is over', async () => {
  const bench = new Bench();
  bench.source.tell('api.default', [endpoint('a'), endpoint('b')]);
  let turn = 0;
  bench.behave = (request) => {
    const kind = turn++ % 4;
    if (kind === 0) request.answer(200);
    else if (kind === 1) request.reply.onAbort(failure('SKEIN_STREAM_RESET'));
    else if (kind === 2) request.reply.onAbort(failure('SKEIN_REFUSED'));
    else {
      request.answer(200, false);
      request.reply.onEnd(NO_FIELDS);
    }
  };
  for (let i = 0; i < 40; i++) await bench.finish(bench.get());
  const backend = await bench.backends.find({ service: 'api.default', port: 80, key: 'api.default:80' });
  equal(backend.pending, 0);
  ok(bench.finished.length === 40);
});

test('a rule sends a request to another service, which is told so, under the name that was called', async () => {
  const bench = routed({ rules: [{ matches: [{ path: { value: '/v1' } }], backendRefs: [{ name: 'v1', port: 80 }] }] });
  let head: RequestHead | undefined;
  bench.behave = (request) => {
    head = request.head;
    request.answer(200);
  };
  await bench.get({ path: '/v1/x?y' }).done;
  deepEqual(bench.asked, ['v1']);
  deepEqual([head?.service, head?.authority, head?.path], ['v1.default:80', 'api.mesh', '/v1/x?y']);
  equal(bench.finished[0]?.service, 'api.default');
});

test('a service that has routes answers 404 to what none of them takes, and its own endpoints are not asked', async () => {
  const bench = routed({ rules: [{ matches: [{ path: { value: '/v1' } }], backendRefs: [{ name: 'v1', port: 80 }] }] });
  const reply = bench.get({ path: '/' });
  equal(reply.error?.code, undefined, 'the sink is not called before request returns');
  await reply.done;
  deepEqual([reply.error?.code, reply.error?.status, bench.asked], ['SKEIN_NO_ROUTE', 404, []]);
});

test('the share of a backend that does not exist fails with 500, the others keep theirs', async () => {
  const refs = [
    { name: 'v1', port: 80, weight: 2 },
    { name: 'nobody', port: 80 },
    { name: 'v2', port: 81 },
    { name: 'bucket', group: 'storage.example', kind: 'Bucket' },
    { name: 'v2', port: 80, weight: 0 },
  ];
  const bench = routed({ rules: [{ backendRefs: refs }] });
  bench.source.tell('nobody.default', []);
  const codes: (string | number | undefined)[] = [];
  for (let i = 0; i < 10; i++) {
    const reply = bench.get();
    await reply.done;
    codes.push(reply.head?.status ?? reply.error?.code);
  }
  equal(codes.filter((code) => code === 200).length, 4);
  equal(codes.filter((code) => code === 'SKEIN_ROUTE_INVALID').length, 6);
  deepEqual(new Set(bench.asked), new Set(['v1']));
});

test('without regular expressions a request that one decides about fails, and says what is missing', async () => {
  const to = (name: string, ...matches: object[]): object => ({ matches, backendRefs: [{ name, port: 80 }] });
  const path = (type: string, value: string): object => ({ path: { type, value } });
  const header = { headers: [{ name: 'x', type: 'RegularExpression', value: 'y+' }] };
  const rules = [to('v1', path('Exact', '/plain')), to('v2', path('RegularExpression', '/v[12]'), header)];
  const bench = routed({ rules });
  bench.table = new RouteTable({
    ...routeSet('default', httpRoute({ rules })),
    expressions: NO_REGULAR_EXPRESSIONS,
  });
  for (const [asked, code] of [
    ['/plain', undefined],
    ['/v2', 'SKEIN_ROUTE_INVALID'],
    ['/other', 'SKEIN_ROUTE_INVALID'],
  ] as const) {
    const reply = bench.get({ path: asked });
    await reply.done;
    equal(reply.error?.code, code, asked);
    if (code !== undefined) ok(/skein\/re2/.test(JSON.stringify(reply.error?.details)));
  }
  deepEqual(bench.asked, ['v1']);
});

const deadEnds: readonly [what: string, rule: object][] = [
  ['no backendRefs', {}],
  ['an empty list of them', { backendRefs: [] }],
  ['no weight at all', { backendRefs: [{ name: 'v1', port: 80, weight: 0 }] }],
];
for (const [what, rule] of deadEnds) {
  test(`a rule with ${what} answers 500`, async () => {
    const reply = routed({ rules: [rule] }).get();
    await reply.done;
    deepEqual([reply.error?.code, reply.error?.status], ['SKEIN_ROUTE_INVALID', 500]);
  });
}

test('a service that exists and has no healthy endpoint answers 503 to its share', async () => {
  const bench = routed({ rules: [{ backendRefs: [{ name: 'v1', port: 80 }] }] });
  bench.source.tell('v1.default', [endpoint('v1', { service: 'v1.default', healthy: false })]);
  const reply = bench.get();
  await reply.done;
  deepEqual([reply.error?.code, reply.error?.status], ['SKEIN_NO_ENDPOINT', 503]);
});

test('a backend that nobody has called before is asked for first; routes of the backend itself are not looked at', async () => {
  const bench = routed({ rules: [{ backendRefs: [{ name: 'later', port: 80 }] }] });
  const other = httpRoute(
    { parentRefs: [{ group: '', kind: 'Service', name: 'later' }], rules: [{}] },
    { name: 'other' },
  );
  bench.table = tableOf(httpRoute({ rules: [{ backendRefs: [{ name: 'later', port: 80 }] }] }), other);
  const reply = new ReplyRecorder();
  const body = bench.dispatcher.request(requestHead({ method: 'POST' }), false, reply);
  body.write(encodeUtf8('kept'));
  let text = '';
  bench.behave = (request) => {
    text = request.text;
    request.answer(200);
  };
  bench.source.tell('later.default', [endpoint('l', { service: 'later.default' })]);
  await reply.done;
  deepEqual([reply.head?.status, text], [200, 'kept']);
});

/** Two endpoints of which the first that is asked never answers; gives its name. */
async function askSilent(bench: Bench, head: Partial<RequestHead>): Promise<{ reply: ReplyRecorder; silent: string }> {
  bench.source.tell('api.default', [endpoint('a'), endpoint('b')]);
  const seen: ReceivedRequest[] = [];
  bench.behave = (request) => {
    seen.push(request);
    if (seen.length > 1) request.answer(200);
  };
  const reply = bench.get(head);
  await Promise.resolve();
  const silent = bench.asked[0] as string;
  bench.suspects.add(silent);
  return { reply, silent };
}

test('what may be done twice does not wait for an endpoint that has fallen silent', async () => {
  for (const method of ['GET', 'PUT', 'DELETE']) {
    const bench = new Bench();
    const { reply, silent } = await askSilent(bench, { method });
    bench.backends.leave(silent);
    await reply.done;
    equal(reply.head?.status, 200);
    equal(new Set(bench.asked).size, 2);
    deepEqual(
      bench.retried.map(({ reason, endpoint: { instance } }) => [reason, instance]),
      [['session-lost', silent]],
    );
    equal(bench.finished[0]?.attempts, 2);
  }
});

test('a POST waits for it, and so does what has nowhere else to go, or has its answer begun, or is over the budget', async () => {
  const post = new Bench();
  const { reply, silent } = await askSilent(post, { method: 'POST' });
  post.backends.leave(silent);
  deepEqual([reply.isOver, post.asked.length], [false, 1]);

  const both = new Bench();
  const waiting = await askSilent(both, {});
  both.suspects.add('a').add('b');
  both.backends.leave(waiting.silent);
  deepEqual([waiting.reply.isOver, both.asked.length], [false, 1]);

  const begun = new Bench();
  begun.source.tell('api.default', [endpoint('a'), endpoint('b')]);
  begun.behave = (request) => request.reply.onHead({ status: 200, fields: NO_FIELDS, upgrade: undefined }, false);
  const answer = begun.get();
  await Promise.resolve();
  begun.suspects.add(begun.asked[0] as string);
  begun.backends.leave(begun.asked[0] as string);
  deepEqual([answer.isOver, begun.asked.length], [false, 1]);

  const poor = new Bench({ retryBudgetPercent: 1, minRetriesPerSecond: 1, retryBudgetIntervalMs: 1000 });
  poor.source.tell('api.default', [endpoint('a'), endpoint('b')]);
  poor.behave = () => undefined;
  const replies = Array.from({ length: 20 }, () => poor.get());
  await Promise.resolve();
  ok(poor.asked.filter((instance) => instance === 'a').length > 2);
  poor.suspects.add('a');
  poor.backends.leave('a');
  equal(poor.retried.length, 1);
  ok(replies.every(({ isOver }) => !isOver));
});
