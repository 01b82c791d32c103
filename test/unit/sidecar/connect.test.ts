/** CONNECT and local ports: bytes for services of bytes, requests for services of requests, and nothing for others. */
import { equal, match, ok } from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ask } from '../../support/load.ts';
import { deferred, LocalMesh, policy } from '../../support/local-mesh.ts';
import {
  ANY_PORT,
  Conversation,
  type LocalSidecar,
  startHttpApp,
  startSidecar,
  startTcpApp,
} from '../../support/local-sidecars.ts';

type OnSocket = Parameters<typeof startTcpApp>[1];

interface Pair {
  readonly mesh: LocalMesh;
  readonly a: LocalSidecar;
  readonly b: LocalSidecar;
  /** `host:port` of the local port of `db`. */
  readonly db: string;
  /** `host:port` of the local port of `api`, a service of requests. */
  readonly api: string;
}

async function pair(t: TestContext, onSocket: OnSocket): Promise<Pair> {
  const mesh = await LocalMesh.start(t);
  const db = await startTcpApp(t, onSocket);
  const api = await startHttpApp(t, ({ url, headers }, response) => {
    response.end(`${headers.host} ${url} ${headers['x-skein-client-id']}`);
  });
  const b = await startSidecar(t, mesh, {
    services: ['db', 'api'],
    expose: [
      { service: 'db', target: `tcp://${db.address}` },
      { service: 'api', target: `http://${api.address}` },
    ],
  });
  const tcp = ['db', 'api', 'nobody'].map((service) => ({ service, address: ANY_PORT }));
  const a = await startSidecar(t, mesh, { services: ['web'], listen: { http: ANY_PORT, tcp } });
  const { addresses } = a.sidecar;
  return { mesh, a, b, db: addresses['tcp:db'] ?? '', api: addresses['tcp:api'] ?? '' };
}

/** Speaks first, echoes, and answers the end of the client's direction before it ends its own. */
const echoing: OnSocket = (socket) => {
  socket.write('220 ready\r\n');
  socket.on('data', (chunk) => socket.write(chunk));
  socket.on('end', () => socket.end('bye\r\n'));
};

test('A local port carries a server that speaks first, and half a close each way', async (t) => {
  const { db } = await pair(t, echoing);
  const client = new Conversation(t, db);
  await client.until(({ text }) => text === '220 ready\r\n');
  client.say('hello ').end();
  equal(await client.untilEnd(), '220 ready\r\nhello bye\r\n');
});

test('Bytes and an end that come before the way is made arrive in order', async (t) => {
  const { db } = await pair(t, echoing);
  const client = new Conversation(t, db).say('early').end();
  await client.untilEnd();
  match(client.text, /early/);
  match(client.text, /bye\r\n$/);
});

test('CONNECT to a service of bytes is a raw tunnel, and early bytes go with it', async (t) => {
  const { a } = await pair(t, echoing);
  const client = new Conversation(t, a.proxy).say('CONNECT db.mesh:80 HTTP/1.1\r\nHost: db.mesh:80\r\n\r\nearly');
  await client.until(({ text }) => text.includes('220 ready\r\n') && text.endsWith('early'));
  match(client.text, /^HTTP\/1\.1 200 [^\r]*\r\n(?:[^\r]+\r\n)*\r\n220 ready/);
  client.end();
  match(await client.untilEnd(), /earlybye\r\n$/);
});

test('A reset of the application resets the local connection', async (t) => {
  const { db } = await pair(t, (socket) => {
    socket.write('220 ready\r\n');
    socket.on('data', () => socket.resetAndDestroy());
  });
  const client = new Conversation(t, db);
  await client.until(({ text }) => text !== '');
  client.say('x');
  await client.until(({ closed }) => closed !== undefined);
  equal(client.closed, 'reset');
});

test('A client that vanishes is told to the application', async (t) => {
  const gone = deferred();
  const { db } = await pair(t, (socket) => {
    socket.write('220 ready\r\n');
    socket.on('data', (chunk) => {
      socket.on('close', () => gone.resolve());
      socket.write(chunk);
    });
  });
  const client = new Conversation(t, db).say('x');
  await client.until(({ text }) => text.endsWith('x'));
  client.socket.resetAndDestroy();
  await gone.promise;
});

test('CONNECT to a service of requests speaks HTTP inside: identity and policies hold for each', async (t) => {
  const { a, mesh, b } = await pair(t, echoing);
  const client = new Conversation(t, a.proxy).say('CONNECT api.mesh:80 HTTP/1.1\r\nHost: api.mesh:80\r\n\r\n');
  await client.until(({ text }) => text.endsWith('\r\n\r\n'));
  client.say('GET /one HTTP/1.1\r\nHost: api.mesh\r\nX-Skein-Client-Id: spiffe://evil/\r\n\r\n');
  await client.until(({ text }) => text.endsWith('api.mesh /one spiffe://skein.mesh/ns/default/sa/web'));
  // A policy that comes meanwhile holds for the next request of the same connection.
  const changed = b.log.waitFor('policies-changed', b.log.of('policies-changed').length + 1);
  await mesh.hub.apply([policy({ deny: [{ to: [{ paths: ['/two'] }] }], allow: [{}] })]);
  await changed;
  client.say('GET /two HTTP/1.1\r\nHost: api.mesh\r\n\r\n');
  await client.until(({ text }) => text.includes('HTTP/1.1 403 '));
  match(client.text, /x-skein-reason: authz\r\n/);
});

test('A tunnel to one service is no way to another: the name inside is the application’s affair, a foreign one refused', async (t) => {
  const { a } = await pair(t, echoing);
  const client = new Conversation(t, a.proxy).say('CONNECT api.mesh:80 HTTP/1.1\r\nHost: api.mesh:80\r\n\r\n');
  await client.until(({ text }) => text.endsWith('\r\n\r\n'));
  client.say('GET http://db.mesh/ HTTP/1.1\r\nHost: db.mesh\r\n\r\n');
  await client.until(({ text }) => text.endsWith('db.mesh / spiffe://skein.mesh/ns/default/sa/web'));
  client.say('GET / HTTP/1.1\r\nHost: example.com\r\n\r\n');
  await client.until(({ text }) => text.includes('HTTP/1.1 421 '));
  match(client.text, /x-skein-reason: misdirected\r\n/);
});

const REFUSED: readonly [target: string, status: number, reason: string][] = [
  ['example.com:443', 403, 'not-a-mesh-name'],
  ['127.0.0.1:22', 403, 'not-a-mesh-name'],
  ['[::1]:22', 403, 'not-a-mesh-name'],
  ['localhost:5432', 403, 'not-a-mesh-name'],
  ['nobody.mesh:80', 404, 'no-such-service'],
  ['api.mesh:22', 404, 'no-such-service'],
];

test('CONNECT elsewhere is refused with the reason', async (t) => {
  const { a } = await pair(t, echoing);
  for (const [target, status, reason] of REFUSED) {
    const client = new Conversation(t, a.proxy).say(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`);
    const text = await client.untilEnd();
    ok(text.startsWith(`HTTP/1.1 ${status} `), `${target}: ${text}`);
    ok(text.includes(`\r\nx-skein-reason: ${reason}\r\n`), `${target}: ${text}`);
  }
});

test('A local port of a service of requests answers as that service, by any name of this machine', async (t) => {
  const { api } = await pair(t, echoing);
  const port = api.replace(/.*:/, '');
  for (const host of [api, `localhost:${port}`, `[::1]:${port}`, 'api.mesh', 'api.default.mesh']) {
    const answer = await ask({ through: api, host, form: 'host', path: '/x' });
    equal(answer.status, 200, host);
    match(answer.body.toString(), /^api(?:\.default)?\.mesh \/x spiffe:\/\/skein\.mesh\/ns\/default\/sa\/web$/);
  }
  for (const host of ['evil.test', `evil.test:${port}`, 'localhost.evil.test']) {
    const answer = await ask({ through: api, host, form: 'host' });
    equal(answer.status, 421, host);
    equal(answer.headers['x-skein-reason'], 'misdirected', host);
  }
});

test('A local port of a service nobody serves resets the connection and says why in the log', async (t) => {
  const { a } = await pair(t, echoing);
  const client = new Conversation(t, a.sidecar.addresses['tcp:nobody'] ?? '');
  await client.until(({ closed, hasEnded }) => closed !== undefined || hasEnded);
  equal(client.closed, 'reset');
  await a.log.waitFor('connection-failed');
  equal(a.log.of('connection-failed')[0]?.fields.reason, 'no-such-service');
});

test('A raw connection that no policy allows is reset, and both sides say so', async (t) => {
  const { mesh, a, b, db } = await pair(t, echoing);
  const changed = b.log.waitFor('policies-changed', b.log.of('policies-changed').length + 1);
  await mesh.hub.apply([policy({ allow: [{ to: [{ methods: ['GET'] }] }] })]);
  await changed;
  const client = new Conversation(t, db);
  await client.until(({ closed, hasEnded }) => closed !== undefined || hasEnded);
  equal(client.closed, 'reset');
  await a.log.waitFor('connection-failed');
  equal(a.log.of('connection-failed')[0]?.fields.reason, 'authz');
  equal(b.log.of('request-denied')[0]?.fields.rule, 'default-deny');
});
