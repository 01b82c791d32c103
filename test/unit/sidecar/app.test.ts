/** The pool of connections to the application, and bytes to it, against real sockets. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import type { Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { ByteStream } from '../../../src/core/byte-stream.ts';
import type { SkeinError } from '../../../src/core/errors.ts';
import type { RequestHead } from '../../../src/http/head.ts';
import { hostPlatform } from '../../../src/runtime/bun/platform.ts';
import { AppPool, type AppPoolOptions } from '../../../src/sidecar/app.ts';
import { RawApp } from '../../../src/sidecar/raw-app.ts';
import { createMemoryStreams } from '../../../src/testing/memory-stream.ts';
import { ReplyRecorder, requestHead } from '../../support/http.ts';
import { deferred } from '../../support/local-mesh.ts';
import { startHttpApp, startTcpApp } from '../../support/local-sidecars.ts';

const platform = hostPlatform();
const { clock, decodeLatin1 } = platform;

function toTarget(address: string): { host: string; port: number } {
  const { hostname, port } = new URL(`tcp://${address}`);
  return { host: hostname, port: Number(port) };
}

function connectTcp(): AppPoolOptions['connectTcp'] {
  ok(platform.connectTcp !== undefined);
  return platform.connectTcp;
}

function createPool(t: TestContext, address: string, options: Partial<AppPoolOptions> = {}): AppPool {
  const pool = new AppPool({ connectTcp: connectTcp(), target: toTarget(address), clock, decodeLatin1, ...options });
  t.after(() => pool.close());
  return pool;
}

function begin(pool: AppPool, head: Partial<RequestHead> = {}): ReplyRecorder {
  const reply = new ReplyRecorder();
  reply.body = pool.request(requestHead(head), true, reply);
  return reply;
}

async function ask(pool: AppPool, head: Partial<RequestHead> = {}): Promise<ReplyRecorder> {
  const reply = begin(pool, head);
  await reply.done;
  return reply;
}

test('One request after the other goes over one connection, those at once over several', async (t) => {
  const sockets = new Set<Socket>();
  const { address } = await startHttpApp(t, (request, response) => {
    sockets.add(request.socket);
    response.end('ok');
  });
  const pool = createPool(t, address);
  for (let i = 0; i < 5; i++) equal((await ask(pool)).text, 'ok');
  equal(sockets.size, 1);
  const replies = await Promise.all(Array.from({ length: 8 }, () => ask(pool)));
  deepEqual(new Set(replies.map(({ text }) => text)), new Set(['ok']));
  equal(sockets.size, 8);
  equal(pool.size, 8);
});

test('More requests than connections are refused, unseen by the application', async (t) => {
  const { address } = await startHttpApp(t, () => undefined);
  const pool = createPool(t, address, { maxConnections: 2 });
  begin(pool);
  begin(pool);
  const { error } = await ask(pool);
  equal(error?.code, 'SKEIN_LIMIT');
  equal(error?.notProcessed, true);
});

/** Answers the first request of each connection, and hangs up on the second. */
const HANGING_UP = (socket: Socket): void => {
  let requests = 0;
  socket.on('data', () => {
    if (++requests === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    else socket.destroy();
  });
};

test('A kept connection that turns out to be closed costs a GET nothing', async (t) => {
  const { address } = await startTcpApp(t, HANGING_UP);
  const pool = createPool(t, address);
  for (let i = 0; i < 5; i++) {
    const { text, error } = await ask(pool);
    equal(error, undefined);
    equal(text, 'ok');
  }
});

test('A POST is never sent twice', async (t) => {
  const { address } = await startTcpApp(t, HANGING_UP);
  const pool = createPool(t, address);
  equal((await ask(pool, { method: 'POST' })).text, 'ok');
  const { error } = await ask(pool, { method: 'POST' });
  equal(error?.notProcessed, false);
});

test('An application that is not there was not asked', async (t) => {
  const gone = await startHttpApp(t, () => undefined);
  await new Promise((resolve) => gone.server.close(resolve));
  const pool = createPool(t, gone.address);
  const { error } = await ask(pool);
  equal(error?.code, 'SKEIN_APP_UNREACHABLE');
  equal(error?.notProcessed, true);
  equal(pool.size, 0);
});

test('A pool that is closed takes nothing more and keeps no connection', async (t) => {
  const { address } = await startHttpApp(t, (_, response) => void response.end('ok'));
  const pool = createPool(t, address);
  await ask(pool);
  pool.close();
  equal(pool.size, 0);
  equal((await ask(pool)).error?.code, 'SKEIN_LIMIT');
});

/** What the far end of a stream is told: the first bytes, or the reset. */
function hear(stream: ByteStream): Promise<string | SkeinError> {
  const { promise, resolve } = deferred<string | SkeinError>();
  stream.attach({
    onData: (chunk) => resolve(new TextDecoder().decode(chunk)),
    onEnd: () => resolve('the end'),
    onDrain: () => undefined,
    onReset: resolve,
  });
  return promise;
}

test('More raw connections than allowed are refused', async (t) => {
  const { address } = await startTcpApp(t, (socket) => void socket.write('ready'));
  const app = new RawApp({ connectTcp: connectTcp(), target: toTarget(address), maxConnections: 1 });
  const [far, near] = createMemoryStreams(clock);
  app.accept(near);
  equal(await hear(far), 'ready');
  const [other, tooMany] = createMemoryStreams(clock);
  app.accept(tooMany);
  equal(((await hear(other)) as SkeinError).code, 'SKEIN_LIMIT');
  equal(app.size, 1);
});
