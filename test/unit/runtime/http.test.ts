import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { setPeriodic, wait } from '../../../src/core/clock.ts';
import type { HttpServerOptions, Listener } from '../../../src/core/platform.ts';
import { createHttpListener, HTTP_LIMITS, type HttpLimits } from '../../../src/runtime/node/http.ts';
import { createWebSocketDialler } from '../../../src/runtime/node/websocket.ts';
import { createNodeClock } from '../../../src/runtime/node-compat/clock.ts';
import { lacking } from '../../runtime/capabilities.ts';
import { PipeRecorder } from './recorder.ts';

let cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
  cleanups = [];
});

async function serve(options: Partial<HttpServerOptions> = {}, limits: Partial<HttpLimits> = {}): Promise<Listener> {
  const listener = await createHttpListener({ ...HTTP_LIMITS, ...limits })({
    host: '127.0.0.1',
    port: 0,
    fetch: () => new Response('hello'),
    ...options,
  });
  cleanups.push(() => listener.close());
  return listener;
}

/** A client that writes what it likes; `received` resolves with all it got when the server closes. */
async function rawClient(port: number): Promise<{ socket: Socket; received: Promise<string> }> {
  const socket = connect({ port, host: '127.0.0.1' });
  cleanups.push(() => socket.destroy());
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  socket.on('error', () => undefined);
  const received = new Promise<string>((resolve) => socket.on('close', () => resolve(text)));
  await once(socket, 'connect');
  return { socket, received };
}

describe('listenHttp', () => {
  it('answers with a fetch handler, bodies both ways', async () => {
    let seen = '';
    const listener = await serve({
      fetch: async (request, { remoteAddress }) => {
        seen = remoteAddress;
        const url = new URL(request.url);
        return new Response(`${request.method} ${url.pathname}${url.search} ${await request.text()}`, {
          status: 201,
          headers: { 'x-test': 'yes' },
        });
      },
    });
    const answer = await fetch(`http://${listener.address}/a/b?c=d`, { method: 'POST', body: 'x'.repeat(100_000) });
    assert.equal(answer.status, 201);
    assert.equal(answer.headers.get('x-test'), 'yes');
    assert.equal(await answer.text(), `POST /a/b?c=d ${'x'.repeat(100_000)}`);
    assert.match(seen, /^127\.0\.0\.1:\d+$/);
  });

  it('streams an answer as it is made and sees a client leave', async () => {
    let left: () => void;
    const gone = new Promise<void>((resolve) => {
      left = resolve;
    });
    const listener = await serve({
      fetch: () =>
        new Response(
          new ReadableStream({
            start: (controller) => controller.enqueue(new TextEncoder().encode('data: 1\n\n')),
            cancel: () => left(),
          }),
          { headers: { 'content-type': 'text/event-stream' } },
        ),
    });
    const abort = new AbortController();
    const answer = await fetch(`http://${listener.address}/`, { signal: abort.signal });
    const reader = answer.body?.getReader();
    const first = await reader?.read();
    assert.equal(new TextDecoder().decode(first?.value), 'data: 1\n\n');
    abort.abort();
    await gone;
  });

  it('answers 500 to a failing handler and says nothing of why', async () => {
    for (const fail of [
      () => {
        throw new Error('secret');
      },
      () => Promise.reject(new Error('secret')),
    ]) {
      const listener = await serve({ fetch: fail });
      const answer = await fetch(`http://${listener.address}/`);
      assert.equal(answer.status, 500);
      assert.doesNotMatch(await answer.text(), /secret/);
    }
  });

  it('leaves the global Request and Response alone', async () => {
    const { Request: request, Response: response } = globalThis;
    await serve();
    assert.equal(globalThis.Request, request);
    assert.equal(globalThis.Response, response);
  });

  it('serves requests and WebSockets on one port', async () => {
    const listener = await serve({
      onWebSocket: (pipe) => pipe.attach({ onMessage: (message) => pipe.send(message), onProgress() {}, onClose() {} }),
    });
    const client = new PipeRecorder(await createWebSocketDialler()(`ws://${listener.address}/skein`));
    const answer = await fetch(`http://${listener.address}/`);
    assert.equal(await answer.text(), 'hello');
    client.pipe.send(Uint8Array.of(1, 2, 3));
    await client.until(({ messages }) => messages.length === 1);
    assert.deepEqual(client.messages[0], Uint8Array.of(1, 2, 3));
    client.pipe.terminate();
  });

  it('keeps WebSockets open when it closes, and frees the port', async () => {
    const listener = await serve({
      onWebSocket: (pipe) => pipe.attach({ onMessage: (message) => pipe.send(message), onProgress() {}, onClose() {} }),
    });
    const client = new PipeRecorder(await createWebSocketDialler()(`ws://${listener.address}/`));
    await listener.close();
    client.pipe.send(Uint8Array.of(9));
    await client.until(({ messages }) => messages.length === 1);
    await serve({ port: listener.port });
    client.pipe.terminate();
  });

  const slow = { headersTimeoutMs: 150, requestTimeoutMs: 150, checkIntervalMs: 20 };
  for (const { name, first } of [
    { name: 'that sends nothing', first: '' },
    { name: 'that stops inside the head', first: 'GET / HTTP/1.1\r\nhost: x\r\n' },
    { name: 'that stops inside the body', first: 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc' },
  ]) {
    it(`sends away a client ${name}`, async () => {
      const listener = await serve({ fetch: async (request) => new Response(await request.text()) }, slow);
      const { socket, received } = await rawClient(listener.port);
      socket.write(first);
      assert.doesNotMatch(await received, /^HTTP\/1\.1 200/);
    });
  }

  it('takes the place of the oldest that said nothing when they are too many', {
    skip: lacking('http-silent-connections'),
  }, async () => {
    const listener = await serve({}, { maxSilent: 2 });
    const clients = [];
    for (let i = 0; i < 4; i++) clients.push(await rawClient(listener.port));
    await Promise.all(clients.slice(0, 2).map(({ received }) => received));
    const last = clients[3];
    last?.socket.write('GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n');
    assert.match((await last?.received) ?? '', /^HTTP\/1\.1 200 /);
  });

  it('tells how long a connection was there before it became one of messages', async () => {
    let waitedMs: number | undefined;
    const listener = await serve({
      onWebSocket: (pipe) => {
        waitedMs = pipe.waitedMs;
        pipe.terminate();
      },
    });
    const { socket, received } = await rawClient(listener.port);
    const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n';
    const upgrade = 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: skein.v1\r\n';
    socket.write(`GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n${upgrade}${key}\r\n`);
    assert.match(await received, /^HTTP\/1\.1 101 /);
    assert.ok(waitedMs !== undefined && waitedMs > 0, `${waitedMs}`);
  });

  it('sends away a client that drips its head', async () => {
    const listener = await serve({}, slow);
    const { socket, received } = await rawClient(listener.port);
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n');
    const drip = setPeriodic(createNodeClock(), 20, () => socket.write('a: b\r\n'));
    const text = await received;
    drip.cancel();
    assert.doesNotMatch(text, /^HTTP\/1\.1 200/);
  });

  for (const [name, body] of [
    ['at once', () => new Uint8Array(32 * 1024 * 1024)],
    ['as it is made', () => new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(65_536)) })],
  ] as const) {
    it(`sends away a client that takes nothing of an answer that is given ${name}`, async () => {
      const listener = await serve({ fetch: () => new Response(body()) }, { unreadTimeoutMs: 100 });
      const { socket, received } = await rawClient(listener.port);
      socket.pause();
      // Some more, which are only read when the first was answered.
      socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(3));
      const timer = setPeriodic(createNodeClock(), 50, () => socket.write('GET /'));
      socket.once('error', () => timer.cancel());
      await Promise.race([received, once(socket, 'error')]);
      timer.cancel();
    });
  }

  it('keeps a client whose answer pauses', async () => {
    let go: () => void = () => undefined;
    const later = new ReadableStream({
      start(controller) {
        controller.enqueue(new Uint8Array(1));
        go = () => {
          controller.enqueue(new Uint8Array(1));
          controller.close();
        };
      },
    });
    const listener = await serve({ fetch: () => new Response(later) }, { unreadTimeoutMs: 20 });
    const response = await fetch(`http://${listener.address}/`);
    const reader = response.body?.getReader();
    await reader?.read();
    await wait(createNodeClock(), 100);
    go();
    assert.equal((await reader?.read())?.value?.length, 1);
  });

  it('refuses a head above 16 KiB (431)', async () => {
    const listener = await serve();
    const { socket, received } = await rawClient(listener.port);
    socket.write(`GET / HTTP/1.1\r\nhost: x\r\na: ${'b'.repeat(20_000)}\r\n\r\n`);
    assert.match(await received, /^HTTP\/1\.1 431 /);
  });

  it('closes connections above its cap', async () => {
    const listener = await serve({ maxConnections: 2 });
    const first = await rawClient(listener.port);
    const second = await rawClient(listener.port);
    first.socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    await once(first.socket, 'data');
    second.socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    await once(second.socket, 'data');
    const third = await rawClient(listener.port);
    third.socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    assert.equal(await third.received, '');
  });

  it('closes connections without a request when it closes', { skip: lacking('http-silent-connections') }, async () => {
    const listener = await serve();
    const { received } = await rawClient(listener.port);
    assert.equal(await (await fetch(`http://${listener.address}/`)).text(), 'hello');
    await listener.close();
    assert.equal(await received, '');
  });

  it('closes a connection that asks for a tunnel', async () => {
    const listener = await serve();
    const { socket, received } = await rawClient(listener.port);
    socket.write('CONNECT other:443 HTTP/1.1\r\nhost: other:443\r\n\r\n');
    assert.doesNotMatch(await received, /^HTTP\/1\.1 2/);
  });

  it('says that the address is in use', async () => {
    const listener = await serve();
    await assert.rejects(serve({ port: listener.port }), { code: 'SKEIN_CONFIG' });
  });
});
