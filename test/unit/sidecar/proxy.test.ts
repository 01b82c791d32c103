/** The HTTP proxy of a sidecar: requests to an application behind another one, in each form, and what it refuses. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { type TestContext, test } from 'node:test';
import { WebSocketServer } from 'ws';
import type { AccessRecord } from '../../../src/telemetry/access-log.ts';
import { type AskOptions, ask, echo, openRequest, openWebSocket } from '../../support/load.ts';
import { deferred, LocalMesh, policy } from '../../support/local-mesh.ts';
import { ANY_PORT, Conversation, type LocalSidecar, startHttpApp, startSidecar } from '../../support/local-sidecars.ts';

type App = Parameters<typeof startHttpApp>[1];

interface Pair {
  readonly mesh: LocalMesh;
  /** With the proxy. */
  readonly a: LocalSidecar;
  /** With the application. */
  readonly b: LocalSidecar;
  readonly app: Awaited<ReturnType<typeof startHttpApp>>;
  readonly access: AccessRecord[];
  ask(options?: Partial<AskOptions>): ReturnType<typeof ask>;
}

async function pair(t: TestContext, listener: App): Promise<Pair> {
  const access: AccessRecord[] = [];
  const accessLog = (record: AccessRecord): void => void access.push(record);
  const mesh = await LocalMesh.start(t);
  const app = await startHttpApp(t, listener);
  const b = await startSidecar(t, mesh, {
    services: ['api'],
    expose: [{ service: 'api', target: `http://${app.address}` }],
    accessLog,
  });
  const a = await startSidecar(t, mesh, { services: ['web'], listen: { http: ANY_PORT }, accessLog });
  return { mesh, a, b, app, access, ask: (options) => ask({ through: a.proxy, host: 'api.mesh', ...options }) };
}

async function read(message: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of message) text += String(chunk);
  return text;
}

const greet: App = (_, response) => void response.end('hello');

for (const [form, host] of [
  ['absolute', 'api.mesh'],
  ['host', 'api.mesh'],
  ['absolute', 'api.default.mesh'],
  ['host', 'API.Default.MESH.'],
  ['absolute', 'api.mesh:80'],
  ['host', 'api'],
] as const) {
  test(`GET in ${form} form for ${host} reaches the application with the proven identity`, async (t) => {
    const { ask } = await pair(t, (request, response) => {
      const { url, headers } = request;
      response.end(JSON.stringify({ url, headers }));
    });
    const answer = await ask({
      form,
      host,
      path: '/a?b=%20c',
      headers: { 'x-skein-client-id': 'spiffe://evil/', 'x-forwarded-for': '1.2.3.4', 'x-own': 'kept' },
    });
    equal(answer.status, 200);
    const { url, headers } = JSON.parse(answer.body.toString());
    equal(url, '/a?b=%20c');
    equal(headers.host, host);
    equal(headers['x-skein-client-id'], 'spiffe://skein.mesh/ns/default/sa/web');
    equal(headers['x-forwarded-for'], undefined);
    equal(headers['x-own'], 'kept');
    match(headers.traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  });
}

test('A chunked POST with trailers passes both ways', async (t) => {
  const { a } = await pair(t, (request, response) => {
    void read(request).then((text) => {
      response.writeHead(200, { trailer: 'x-back' });
      response.write(`got ${text}`);
      response.addTrailers({ 'x-back': String(request.trailers['x-there']) });
      response.end();
    });
  });
  const client = new Conversation(t, a.proxy).say(
    'POST http://api.mesh/ HTTP/1.1\r\nHost: api.mesh\r\nTransfer-Encoding: chunked\r\nTrailer: x-there\r\nTE: trailers\r\n' +
      'Connection: TE, close\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nx-there: yes\r\n\r\n',
  );
  const text = await client.untilEnd();
  match(text, /^HTTP\/1\.1 200 OK\r\n/);
  match(text, /got hello world/);
  match(text, /\r\n0\r\nx-back: yes\r\n\r\n$/);
});

test('A large body passes unchanged', async (t) => {
  const { ask } = await pair(t, (request, response) => void request.pipe(response));
  const body = Buffer.alloc(3 * 1024 * 1024, 'skein');
  const answer = await ask({ method: 'POST', body });
  const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
  equal(digest(answer.body), digest(body));
});

test('A body waits for the 100 of the application, and 103 comes before the answer', async (t) => {
  const { a, app } = await pair(t, greet);
  const asked = deferred();
  const allowed = deferred();
  app.server.on('checkContinue', (request, response) => {
    asked.resolve();
    void allowed.promise.then(async () => {
      response.writeContinue();
      const text = await read(request);
      response.writeEarlyHints({ link: '</style.css>; rel=preload' });
      response.end(`got ${text}`);
    });
  });
  const client = new Conversation(t, a.proxy).say(
    'PUT http://api.mesh/ HTTP/1.1\r\nHost: api.mesh\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n',
  );
  await asked.promise;
  equal(client.text, '', 'the sidecars answer nothing for the application');
  allowed.resolve();
  await client.until(({ text }) => text === 'HTTP/1.1 100 Continue\r\n\r\n');
  const text = await client.say('body').untilEnd();
  match(
    text,
    /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 103 Early Hints\r\nlink: <\/style\.css>; rel=preload\r\n\r\nHTTP\/1\.1 200 OK/i,
  );
  match(text, /got body/);
});

test('HEAD, 204 and 304 have no body, and the connection goes on behind them', async (t) => {
  const { a } = await pair(t, ({ url }, response) => {
    response.statusCode = Number(url?.slice(1));
    if (response.statusCode === 200) response.setHeader('content-length', 5);
    response.end(response.statusCode === 200 ? 'hello' : undefined);
  });
  const line = (method: string, path: string, rest = ''): string =>
    `${method} http://api.mesh${path} HTTP/1.1\r\nHost: api.mesh\r\n${rest}\r\n`;
  const client = new Conversation(t, a.proxy);
  client.say(
    line('HEAD', '/200') + line('GET', '/204') + line('GET', '/304') + line('GET', '/200', 'Connection: close\r\n'),
  );
  const answers = (await client.untilEnd()).split('HTTP/1.1 ').slice(1);
  deepEqual(
    answers.map((answer) => [answer.slice(0, 3), answer.slice(answer.indexOf('\r\n\r\n') + 4)]),
    [
      ['200', ''],
      ['204', ''],
      ['304', ''],
      ['200', 'hello'],
    ],
  );
  match(answers[0] ?? '', /\r\ncontent-length: 5\r\n/);
});

test('Events arrive one by one, and the application learns that the client has gone', async (t) => {
  const gone = deferred();
  let next = (): void => undefined;
  const { a } = await pair(t, (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: 0\n\n');
    next = () => void response.write('data: 1\n\n');
    response.on('close', () => gone.resolve());
  });
  const client = new Conversation(t, a.proxy).say('GET http://api.mesh/ HTTP/1.1\r\nHost: api.mesh\r\n\r\n');
  await client.until(({ text }) => text.includes('data: 0\n\n'));
  next();
  await client.until(({ text }) => text.includes('data: 1\n\n'));
  client.socket.destroy();
  await gone.promise;
});

test('A WebSocket passes through the proxy', async (t) => {
  const { a, app } = await pair(t, greet);
  const sockets = new WebSocketServer({ noServer: true });
  app.server.on('upgrade', (request, socket, head) => {
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      webSocket.on('message', (data, isBinary) => webSocket.send(data, { binary: isBinary }));
    });
  });
  const socket = await openWebSocket({ through: a.proxy, host: 'api.mesh' });
  t.after(() => socket.terminate());
  for (const size of [1, 1000, 100_000]) await echo(socket, Buffer.alloc(size, 'x'));
  const closed = new Promise<number>((resolve) => socket.once('close', resolve));
  socket.close(1000);
  equal(await closed, 1000);
});

test('Requests of one connection are answered in order', async (t) => {
  const { a } = await pair(t, (request, response) => void response.end(`<${request.url}>`));
  const requests = Array.from({ length: 20 }, (_, i) => {
    const last = i === 19 ? 'Connection: close\r\n' : '';
    return `GET http://api.mesh/${i} HTTP/1.1\r\nHost: api.mesh\r\n${last}\r\n`;
  });
  const text = await new Conversation(t, a.proxy).say(requests.join('')).untilEnd();
  deepEqual(
    text.match(/<\/\d+>/g),
    Array.from({ length: 20 }, (_, i) => `</${i}>`),
  );
});

const REFUSED: readonly [name: string, options: Partial<AskOptions>, status: number, reason: string][] = [
  ['a name nobody serves', { host: 'nobody.mesh' }, 404, 'no-such-service'],
  ['a port nobody serves', { host: 'api.mesh:81' }, 404, 'no-such-service'],
  ['a name of the Internet', { host: 'example.com' }, 403, 'not-a-mesh-name'],
  [
    'a name of the Internet in Host, as a page led here by DNS has it',
    { host: 'evil.test', form: 'host' },
    403,
    'not-a-mesh-name',
  ],
  ['its own address', { host: '127.0.0.1', form: 'host' }, 403, 'not-a-mesh-name'],
  ['localhost', { host: 'localhost:80', form: 'host' }, 403, 'not-a-mesh-name'],
  ['the address of cloud metadata', { host: '169.254.169.254' }, 403, 'not-a-mesh-name'],
  ['a name that only looks like one of the mesh', { host: 'api.mesh.evil.test' }, 403, 'not-a-mesh-name'],
];

test('What is no name of the mesh, or nobody serves, is refused with the reason', async (t) => {
  let asked = 0;
  const { ask } = await pair(t, (_, response) => {
    asked++;
    response.end();
  });
  for (const [name, options, status, reason] of REFUSED) {
    const answer = await ask(options);
    equal(answer.status, status, name);
    equal(answer.headers['x-skein-reason'], reason, name);
    ok(answer.body.length > 0, name);
  }
  equal(asked, 0);
});

test('A caller that no policy allows gets 403, and both access logs say why', async (t) => {
  const { mesh, ask, access, b } = await pair(t, greet);
  equal((await ask({ path: '/yes?secret' })).status, 200);
  const changed = b.log.waitFor('policies-changed', b.log.of('policies-changed').length + 1);
  await mesh.hub.apply([policy({ allow: [{ from: [{ ids: ['spiffe://skein.mesh/ns/default/sa/other'] }] }] })]);
  await changed;
  const denied = await ask({ path: '/no' });
  equal(denied.status, 403);
  equal(denied.headers['x-skein-reason'], 'authz');
  const seen = access.map(({ direction, caller, service, method, path, status, reason, rule }) => {
    return { direction, caller: caller.replace(/.*\//, ''), service, method, path, status, reason, rule };
  });
  const common = { caller: 'web', service: 'api.default', method: 'GET' };
  const rule = 'AuthorizationPolicy/default/allow-same-namespace allow[0]';
  deepEqual(
    seen.filter(({ direction }) => direction === 'inbound'),
    [
      { ...common, direction: 'inbound', path: '/yes?secret', status: 200, reason: '', rule },
      { ...common, direction: 'inbound', path: '/no', status: 403, reason: 'authz', rule: 'default-deny' },
    ],
  );
  deepEqual(
    seen.filter(({ direction }) => direction === 'outbound'),
    [
      { ...common, direction: 'outbound', path: '/yes?secret', status: 200, reason: '', rule: undefined },
      { ...common, direction: 'outbound', path: '/no', status: 403, reason: 'authz', rule: undefined },
    ],
  );
  ok(access.every(({ durationMs, traceId }) => durationMs > 0 && traceId !== undefined));
});

test('An application that is not there gives 502, and is found when it comes', async (t) => {
  const mesh = await LocalMesh.start(t);
  const app = await startHttpApp(t, greet);
  const b = await startSidecar(t, mesh, {
    services: ['api'],
    expose: [{ service: 'api', target: `http://${app.address}`, health: { intervalMs: 3_600_000 } }],
  });
  const a = await startSidecar(t, mesh, { services: ['web'], listen: { http: ANY_PORT } });
  app.server.closeAllConnections();
  await new Promise((resolve) => app.server.close(resolve));
  const answer = await ask({ through: a.proxy, host: 'api.mesh' });
  equal(answer.status, 502);
  equal(answer.headers['x-skein-reason'], 'app-unreachable');
  equal(b.log.of('app-unhealthy').length, 0);
});

test('An upload that the client breaks off ends at the application too', async (t) => {
  const broken = deferred();
  const begun = deferred();
  const { a } = await pair(t, (request) => {
    request.on('data', () => begun.resolve());
    request.on('error', () => broken.resolve());
    request.on('aborted', () => broken.resolve());
  });
  const request = openRequest({ through: a.proxy, host: 'api.mesh', method: 'POST' }, () => undefined);
  request.on('error', () => undefined);
  request.write('a');
  await begun.promise;
  request.destroy();
  await broken.promise;
});
