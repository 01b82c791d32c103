/** A policy that comes while streams run: exactly those that it forbids end, each as its protocol says it, and 1,020 others notice nothing. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect as connectH2, constants, createServer as createH2Server } from 'node:http2';
import { type AddressInfo, connect as connectTcp } from 'node:net';
import { type TestContext, test } from 'node:test';
import { WebSocketServer } from 'ws';
import { printFigures } from '../support/figures.ts';
import { assertUnbroken } from '../support/lasting-kinds.ts';
import { LastingStreams, throughWebSocket } from '../support/lasting-streams.ts';
import { openRequest, openWebSocket } from '../support/load.ts';
import { LocalMesh, policy } from '../support/local-mesh.ts';
import { ANY_PORT, startHttpApp, startSidecar, startTcpApp } from '../support/local-sidecars.ts';

const CALLERS = 6;
/** Of each; two members have at most 1,024 streams with each other. */
const SOCKETS = 170;
const FORBIDDEN = 40;
/** The promise is 1 s, on a machine that has nothing else to do. */
const PATIENCE_MS = 20_000;

/** Answers requests and leaves them open, speaks WebSocket. */
async function startApp(t: TestContext): Promise<string> {
  const { server, address } = await startHttpApp(t, (_, response) => response.write('begun'));
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => {
    socket.on('error', () => undefined);
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  return address;
}

/** The same over HTTP/2 alone, where gRPC is spoken. */
async function startH2App(t: TestContext): Promise<string> {
  const server = createH2Server();
  server.on('stream', (stream, fields) => {
    stream.on('error', () => undefined);
    stream.respond({ ':status': 200, 'content-type': fields['content-type'] ?? 'text/plain' });
    stream.write('begun');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

interface Live {
  readonly kind: string;
  /** How it ended, and when. */
  readonly over: Promise<{ readonly how: unknown; readonly atMs: number }>;
}

/** One stream of each kind, all of them begun. */
async function openAll(t: TestContext, proxy: string, tcp: string): Promise<Live[]> {
  const live = (kind: string, over: Promise<unknown>): Live => ({
    kind,
    over: over.then((how) => ({ how, atMs: performance.now() })),
  });
  const socket = await openWebSocket({ through: proxy, host: 'api.mesh' });
  const closed = once(socket, 'close').then(([code, reason]) => `${code} ${reason}`);

  const asked = openRequest({ through: proxy, host: 'api.mesh', path: '/', timeoutMs: 60_000 }, () => undefined);
  asked.on('error', () => undefined);
  asked.end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  const h1 = new Promise((resolve) => response.on('error', ({ message }) => resolve(message)));
  await once(response, 'data');

  const session = connectH2(`http://${proxy}`);
  session.on('error', () => undefined);
  t.after(() => session.destroy());
  const openH2 = async (fields: Record<string, string>) => {
    const stream = session.request({ ':path': '/a.B/C', ':authority': 'h2.mesh', ...fields });
    stream.on('error', () => undefined);
    const ended = new Promise<unknown>((resolve) => {
      stream.on('trailers', (trailers) => resolve(`grpc-status ${trailers['grpc-status']}`));
      stream.on('close', () => resolve(`reset ${stream.rstCode}`));
    });
    await once(stream, 'data');
    return { ended };
  };
  const h2 = await openH2({});
  const grpc = await openH2({ ':method': 'POST', 'content-type': 'application/grpc' });

  const { hostname, port } = new URL(`tcp://${tcp}`);
  const raw = connectTcp({ host: hostname, port: Number(port) });
  t.after(() => raw.destroy());
  const reset = new Promise((resolve) => {
    raw.on('error', ({ code }: NodeJS.ErrnoException) => resolve(code));
    raw.on('close', () => resolve('closed'));
  });
  await once(raw, 'data');
  return [
    live('websocket', closed),
    live('http/1.1', h1),
    live('http/2', h2.ended),
    live('grpc', grpc.ended),
    live('tcp', reset),
  ];
}

test('Of 1,065 streams a policy ends the 45 that it forbids, and none of the others', {
  timeout: 240_000,
}, async (t) => {
  const mesh = await LocalMesh.start(t);
  const [app, h2App] = [await startApp(t), await startH2App(t)];
  const database = await startTcpApp(t, (socket) => socket.write('begun'));
  await startSidecar(t, mesh, {
    services: ['api', 'h2', 'db'],
    expose: [
      { service: 'api', target: `http://${app}` },
      { service: 'h2', target: `h2c://${h2App}` },
      { service: 'db', port: 5432, target: `tcp://${database.address}` },
    ],
  });
  // One keeps at most 1,024 connections to its application.
  await startSidecar(t, mesh, { services: ['api'], expose: [{ service: 'api', target: `http://${app}` }] });
  const callers = await Promise.all(
    Array.from({ length: CALLERS }, (_, i) =>
      startSidecar(t, mesh, { services: [`web-${i}`], listen: { http: ANY_PORT } }),
    ),
  );
  const { sidecar: eve, proxy } = await startSidecar(t, mesh, {
    services: ['eve'],
    listen: { http: ANY_PORT, tcp: [{ service: 'db', port: 5432, address: ANY_PORT }] },
  });
  const tcp = Object.entries(eve.addresses).find(([name]) => name.startsWith('tcp'))?.[1] ?? '';

  const lasting: LastingStreams[] = [];
  for (const { proxy: through } of callers) {
    lasting.push(
      await LastingStreams.start(SOCKETS, throughWebSocket({ through, host: 'api.mesh' }), { periodMs: 3_000 }),
    );
  }
  // Of the same caller as some that stay.
  const forbidden = await Promise.all(
    Array.from({ length: FORBIDDEN }, () =>
      openWebSocket({ through: callers[0]?.proxy ?? '', host: 'api.mesh' }, { 'x-group': 'old' }),
    ),
  );
  const codes: number[] = [];
  let lastMs = 0;
  const allClosed = Promise.all(
    forbidden.map(async (socket) => {
      const [code] = await once(socket, 'close');
      codes.push(code as number);
      lastMs = performance.now();
    }),
  );
  const kinds = await openAll(t, proxy, tcp);

  const startMs = performance.now();
  await mesh.hub.apply([
    policy({
      deny: [
        { from: [{ ids: ['spiffe://skein.mesh/ns/default/sa/eve'] }] },
        { to: [{ headers: [{ name: 'x-group', values: ['old'] }], ports: [80] }] },
      ],
      allow: [{ from: [{ namespaces: ['default'] }] }],
    }),
  ]);
  const ended = await Promise.all(kinds.map(async ({ kind, over }) => ({ kind, ...(await over) })));
  await allClosed;
  const slowestMs = Math.round(Math.max(lastMs, ...ended.map(({ atMs }) => atMs)) - startMs);
  const results = await Promise.all(lasting.map((streams) => streams.finish()));
  const unaffected = results.reduce((sum, { count }) => sum + count, 0);
  const lines = results.reduce((sum, { received }) => sum + received, 0);
  printFigures('policy under live streams', {
    ...{ ended: ended.length + codes.length, unaffected, slowestMs, linesOfOthers: lines },
    maxMsOfOthers: Math.round(Math.max(...results.map(({ maxMs }) => maxMs))),
  });

  const ways = Object.fromEntries(ended.map(({ kind, how }) => [kind, how]));
  deepEqual(ways, {
    websocket: '4403 No policy allows it any more',
    'http/1.1': 'aborted',
    'http/2': `reset ${constants.NGHTTP2_INTERNAL_ERROR}`,
    grpc: 'grpc-status 7',
    tcp: 'ECONNRESET',
  });
  deepEqual([...new Set(codes)], [4403]);
  equal(codes.length, FORBIDDEN);
  equal(unaffected, CALLERS * SOCKETS);
  for (const result of results) assertUnbroken(result);
  ok(slowestMs < PATIENCE_MS, `${slowestMs} ms`);
});
