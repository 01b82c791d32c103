/** HTTP across the mesh on the running runtime: a hub and members in one process, real WebSockets between them. */

import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { createAgent } from '../../../src/agent/agent.ts';
import { ALL_PARTS } from '../../../src/agent/all-parts.ts';
import type { ServeHandler } from '../../../src/agent/serve.ts';
import { hostPlatform } from '../../../src/runtime/bun/platform.ts';
import { deterministicChunks, deterministicDigest } from '../../support/deterministic-bytes.ts';
import { printFigures } from '../../support/figures.ts';
import { RecordingHandler, ReplyRecorder, requestHead } from '../../support/http.ts';
import { repeat } from '../../support/load.ts';
import { deferred, LocalMesh, type Member } from '../../support/local-mesh.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const MIB = 1024 * 1024;

interface Pair {
  readonly mesh: LocalMesh;
  readonly server: Member;
  readonly caller: Member;
}

/** A member that serves `api` with `handler`, and one that calls it. */
async function pair(t: TestContext, handler: ServeHandler): Promise<Pair> {
  const mesh = await LocalMesh.start(t);
  const server = await mesh.join(['api']);
  const caller = await mesh.join(['web']);
  await server.mesh.serve('api', handler);
  return { mesh, server, caller };
}

/** A body that the test writes. */
class Source {
  readonly cancelled = deferred<unknown>();
  readonly stream: ReadableStream<Uint8Array>;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;

  constructor() {
    this.stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      cancel: (reason) => this.cancelled.resolve(reason),
    });
  }

  write(text: string): void {
    this.#controller?.enqueue(encoder.encode(text));
  }

  end(): void {
    this.#controller?.close();
  }

  fail(error: Error): void {
    this.#controller?.error(error);
  }
}

async function digest(body: ReadableStream<Uint8Array> | null): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  const reader = (body as ReadableStream<Uint8Array>).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { bytes, sha256: hash.digest('hex') };
    bytes += value.length;
    hash.update(value);
  }
}

function deterministicBody(totalBytes: number): ReadableStream<Uint8Array> {
  const chunks = deterministicChunks(totalBytes);
  return new ReadableStream<Uint8Array>({
    pull: (controller) => {
      const { done, value } = chunks.next();
      if (done) controller.close();
      else controller.enqueue(new Uint8Array(value));
    },
  });
}

test('Answers GET and POST with status, fields and body', async (t) => {
  const { caller, server } = await pair(t, async (request) => {
    const { pathname, search } = new URL(request.url);
    const seen = { method: request.method, path: pathname + search, body: await request.text() };
    return Response.json(seen, { status: request.method === 'POST' ? 201 : 200, headers: { 'x-app': 'yes' } });
  });
  const got = await caller.mesh.fetch('http://api.mesh/a/b?c=%20d');
  deepEqual(
    [got.status, got.headers.get('x-app'), got.headers.has('x-skein-reason'), await got.json()],
    [200, 'yes', false, { method: 'GET', path: '/a/b?c=%20d', body: '' }],
  );
  const posted = await caller.mesh.fetch('http://api.default.mesh/', { method: 'POST', body: 'grüße' });
  deepEqual([posted.status, await posted.json()], [201, { method: 'POST', path: '/', body: 'grüße' }]);
  const head = await caller.mesh.fetch('http://api.mesh/', { method: 'HEAD' });
  deepEqual([head.status, await head.text()], [200, '']);
  // An instance that calls itself needs no session.
  const own = await server.mesh.fetch('http://api.mesh/self');
  equal((await own.json()).path, '/self');
});

test('Keeps the order of fields and their duplicates, both ways', async (t) => {
  const mesh = await LocalMesh.start(t);
  const members = await Promise.all(
    ['api', 'web'].map(async (name) => {
      const agent = await createAgent(
        hostPlatform(),
        { hub: mesh.hub.url, token: await mesh.token([name]) },
        ALL_PARTS,
      );
      await agent.start();
      t.after(() => agent.close());
      return agent;
    }),
  );
  const [server, caller] = members as [(typeof members)[0], (typeof members)[0]];
  const answered = ['x-b', '1', 'set-cookie', 'a=1', 'x-a', '2', 'set-cookie', 'b=2', 'x-b', '3', 'x-b', '1'];
  const handler = new RecordingHandler((request) => request.answer(200, 'ok', answered));
  await server.serve({ service: 'api.default', port: 80, labels: {}, target: { protocol: 'http', handler } })
    .registered;
  const reply = new ReplyRecorder();
  const sent = ['x-z', '1', 'cookie', 'a', 'accept', '*/*', 'cookie', 'b', 'x-z', '1', 'x-z', '0', 'x-empty', ''];
  reply.body = caller.outbound.request(requestHead({ authority: 'api.mesh', fields: sent }), true, reply);
  await reply.done;
  const fields = handler.seen[0]?.head.fields ?? [];
  deepEqual(fields.slice(0, sent.length), sent);
  deepEqual(
    fields.slice(sent.length).filter((_, i) => i % 2 === 0),
    ['traceparent', 'x-skein-client-id'],
  );
  deepEqual(reply.head?.fields, [...answered, 'content-length', '2']);
  equal(reply.text, 'ok');
});

test('Gives each set-cookie on its own through fetch', async (t) => {
  const { caller } = await pair(t, (request) => {
    const headers = new Headers({ 'x-list': request.headers.get('x-list') ?? '' });
    headers.append('set-cookie', 'a=1; Path=/');
    headers.append('set-cookie', 'b=2');
    return new Response(null, { status: 204, headers });
  });
  const sent = new Headers();
  sent.append('x-list', 'one');
  sent.append('x-list', 'two');
  const reply = await caller.mesh.fetch('http://api.mesh/', { headers: sent });
  equal(reply.status, 204);
  deepEqual(reply.headers.getSetCookie(), ['a=1; Path=/', 'b=2']);
  equal(reply.headers.get('x-list'), 'one, two');
});

test('Streams a body each way at the same time', async (t) => {
  const { caller } = await pair(t, (request) => new Response(request.body));
  const upload = new Source();
  const reply = await caller.mesh.fetch('http://api.mesh/echo', { method: 'POST', body: upload.stream });
  const reader = (reply.body as ReadableStream<Uint8Array>).getReader();
  for (const text of ['one', 'two', 'three']) {
    upload.write(text);
    equal(decoder.decode((await reader.read()).value), text);
  }
  upload.end();
  equal((await reader.read()).done, true);
});

test('Gives an event of SSE before the next one exists', async (t) => {
  const events = new Source();
  const { caller } = await pair(
    t,
    () => new Response(events.stream, { headers: { 'content-type': 'text/event-stream' } }),
  );
  const reply = await caller.mesh.fetch('http://api.mesh/events');
  equal(reply.headers.get('content-type'), 'text/event-stream');
  const reader = (reply.body as ReadableStream<Uint8Array>).getReader();
  for (let n = 0; n < 5; n++) {
    events.write(`data: ${n}\n\n`);
    equal(decoder.decode((await reader.read()).value), `data: ${n}\n\n`);
  }
  await reader.cancel();
  await events.cancelled.promise;
});

test('Carries 16 MiB up and down unchanged', async (t) => {
  const { caller } = await pair(t, async (request) =>
    request.method === 'POST'
      ? Response.json(await digest(request.body))
      : new Response(deterministicBody(16 * MIB), { headers: { 'content-length': String(16 * MIB) } }),
  );
  const expected = { bytes: 16 * MIB, sha256: deterministicDigest(16 * MIB) };
  const time = async (once: () => Promise<unknown>): Promise<number> => {
    const startedMs = performance.now();
    deepEqual(await once(), expected);
    return Math.round((16 * 1000) / (performance.now() - startedMs));
  };
  const upMibPerSecond = await time(async () => {
    const body = deterministicBody(16 * MIB);
    return (await caller.mesh.fetch('http://api.mesh/', { method: 'POST', body })).json();
  });
  const downMibPerSecond = await time(async () => digest((await caller.mesh.fetch('http://api.mesh/')).body));
  printFigures('mesh in one process, 16 MiB', { runtime: hostPlatform().name, upMibPerSecond, downMibPerSecond });
});

test('Performs 100 requests at once, each with its own answer', async (t) => {
  const all = deferred();
  let arrived = 0;
  const { caller } = await pair(t, async (request) => {
    if (++arrived === 100) all.resolve();
    await all.promise;
    return new Response(`${new URL(request.url).searchParams.get('n')} ${await request.text()}`);
  });
  const asks = Array.from({ length: 100 }, async (_, n) => {
    const reply = await caller.mesh.fetch(`http://api.mesh/?n=${n}`, { method: 'POST', body: `body ${n}` });
    return reply.text();
  });
  deepEqual(
    await Promise.all(asks),
    asks.map((_, n) => `${n} body ${n}`),
  );
});

test('Tells the handler that the caller gave up', async (t) => {
  const started = deferred();
  const ended = deferred<unknown>();
  const { caller } = await pair(t, (request) => {
    request.signal.addEventListener('abort', () => ended.resolve(request.signal.reason));
    started.resolve();
    return new Promise(() => undefined);
  });
  const stop = new AbortController();
  const asked = caller.mesh.fetch('http://api.mesh/', { signal: stop.signal });
  const refused = rejects(asked, { message: 'enough' });
  await started.promise;
  stop.abort(new Error('enough'));
  await refused;
  match(String(await ended.promise), /Error/);
});

test('Tells the caller that an answer broke off', async (t) => {
  const answer = new Source();
  const { caller } = await pair(t, (request) => {
    if (request.url.endsWith('/throw')) throw new Error('secret of the handler');
    return new Response(answer.stream);
  });
  const reply = await caller.mesh.fetch('http://api.mesh/');
  const reader = (reply.body as ReadableStream<Uint8Array>).getReader();
  answer.write('begun');
  equal(decoder.decode((await reader.read()).value), 'begun');
  answer.fail(new Error('disk on fire'));
  await rejects(reader.read());
  const thrown = await caller.mesh.fetch('http://api.mesh/throw');
  ok(thrown.status >= 500, `status ${thrown.status}`);
  ok(!(await thrown.text()).includes('secret'));
});

test('Prints what a request costs', async (t) => {
  const { caller } = await pair(t, () => new Response('ok'));
  const once = async (): Promise<void> => {
    const reply = await caller.mesh.fetch('http://api.mesh/');
    if ((await reply.text()) !== 'ok') throw new Error(`status ${reply.status}`);
  };
  await repeat(2000, 64, once); // warm
  const sequential = await repeat(300, 1, once);
  const startedMs = performance.now();
  const parallel = await repeat(2000, 64, once);
  const perSecond = Math.round((2000 * 1000) / (performance.now() - startedMs));
  printFigures('mesh in one process', {
    runtime: hostPlatform().name,
    sequentialMs: sequential.p50Ms,
    sequentialP99Ms: sequential.p99Ms,
    requestsPerSecond64: perSecond,
    p99Ms64: parallel.p99Ms,
  });
  deepEqual([sequential.failures, parallel.failures], [0, 0]);
});
