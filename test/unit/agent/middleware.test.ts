/** Middleware: functions in the words of fetch, between a request and its backend. */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { createMiddlewareHandler, type Middleware } from '../../../src/agent/middleware.ts';
import { getField, NO_FIELDS, type RequestHead } from '../../../src/http/head.ts';
import { EventLog } from '../../support/event-log.ts';
import { RecordingHandler, type ReplyRecorder, send } from '../../support/http.ts';

function bench(middleware: Middleware) {
  const log = new EventLog();
  const backend = new RecordingHandler((request) => {
    if (request.complete) queueMicrotask(() => request.answer(200, 'from backend', ['x-app', '1']));
    else request.onEnd = () => request.answer(201, 'posted');
  });
  const handler = createMiddlewareHandler(middleware, backend, { log, windowBytes: 65_536 });
  const ask = async (head: Partial<RequestHead> = {}, body?: string): Promise<ReplyRecorder> => {
    const reply = send(handler, { service: 'api.default:80', ...head }, body === undefined);
    if (body !== undefined) {
      reply.body.write(new TextEncoder().encode(body));
      reply.body.end(NO_FIELDS);
    }
    await reply.done;
    return reply;
  };
  return { log, backend, ask };
}

test('it sees the request, changes it, and changes its answer', async () => {
  const { backend, ask } = bench(async (request, next) => {
    const changed = new Request(`${request.url}&more`, request);
    changed.headers.set('x-user', 'ada');
    const response = await next(changed);
    const headers = new Headers(response.headers);
    headers.set('x-seen', '1');
    return new Response(`<${await response.text()}>`, { status: response.status, headers });
  });
  const reply = await ask({ path: '/a?b' });
  deepEqual([reply.head?.status, reply.text], [200, '<from backend>']);
  equal(getField(reply.head?.fields ?? [], 'x-seen'), '1');
  const seen = backend.seen[0]?.head;
  deepEqual([seen?.path, seen?.authority, seen?.service], ['/a?b&more', 'api.mesh', 'api.default:80']);
  equal(getField(seen?.fields ?? [], 'x-user'), 'ada');
});

test('it answers by itself, and the backend is not asked', async () => {
  const { backend, ask } = bench(() => new Response('no', { status: 401 }));
  const reply = await ask();
  deepEqual([reply.head?.status, reply.text, backend.seen.length], [401, 'no', 0]);
});

test('a body passes through it', async () => {
  const { backend, ask } = bench((request, next) => next(request));
  const reply = await ask({ method: 'POST' }, 'payload');
  deepEqual([reply.head?.status, reply.text, backend.seen[0]?.text], [201, 'posted', 'payload']);
});

test('what it throws is logged and answered with 500; what it cannot take, with 501', async () => {
  const { log, backend, ask } = bench(() => {
    throw new Error('secret detail');
  });
  const reply = await ask();
  deepEqual([reply.error?.code, reply.error?.status], ['SKEIN_INTERNAL', 500]);
  equal(reply.error?.message.includes('secret'), false);
  equal(log.of('handler-failed')[0]?.fields.error, 'secret detail');
  const upgrade = await ask({ upgrade: 'websocket' });
  deepEqual([upgrade.error?.status, backend.seen.length], [501, 0]);
});
