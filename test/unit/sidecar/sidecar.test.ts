/** The life of a sidecar: its start, what it tells of its application and of itself, and its end in order. */
import { deepEqual, equal, match, rejects } from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import { HUB_ROLES } from '../../../src/auth/hub-role.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { createSidecar, type Sidecar } from '../../../src/sidecar/sidecar.ts';
import { folder } from '../../support/folder.ts';
import { ask } from '../../support/load.ts';
import { deferred, EventLog, LocalMesh } from '../../support/local-mesh.ts';
import { ANY_PORT, Conversation, startHttpApp, startSidecar, startTcpApp } from '../../support/local-sidecars.ts';

const LISTEN = { http: ANY_PORT };

const hasCode = (code: string) => (error: unknown) => error instanceof SkeinError && error.code === code;

test('Addresses name every listener with its port', async (t) => {
  const mesh = await LocalMesh.start(t);
  const { sidecar } = await startSidecar(t, mesh, {
    services: ['web'],
    listen: {
      http: ANY_PORT,
      tcp: [
        { service: 'db', address: { host: '127.0.0.1', port: 0 } },
        { service: 'db', port: 5432, address: ANY_PORT },
        { service: 'cache.shop', address: ANY_PORT },
      ],
    },
    admin: ANY_PORT,
  });
  equal(sidecar.id, 'spiffe://skein.mesh/ns/default/sa/web');
  deepEqual(Object.keys(sidecar.addresses), ['http', 'tcp:db', 'tcp:db:5432', 'tcp:cache.shop', 'admin']);
  for (const [name, address] of Object.entries(sidecar.addresses)) {
    match(address, name.startsWith('tcp:') ? /^127\.0\.0\.1:[1-9]\d+$/ : /^http:\/\/127\.0\.0\.1:[1-9]\d+$/);
  }
});

test('A used token is refused for good', async (t) => {
  const mesh = await LocalMesh.start(t);
  const token = await mesh.token(['web']);
  await startSidecar(t, mesh, { token });
  await rejects(startSidecar(t, mesh, { token }), hasCode('SKEIN_TOKEN_USED'));
});

test('A service that the token does not name is refused for good', async (t) => {
  const mesh = await LocalMesh.start(t);
  const app = await startHttpApp(t, (_, response) => void response.end());
  const expose = [{ service: 'other', target: `http://${app.address}` }];
  await rejects(startSidecar(t, mesh, { services: ['web'], expose }), hasCode('SKEIN_NAME_NOT_GRANTED'));
});

test('A port that is taken costs no token', async (t) => {
  const mesh = await LocalMesh.start(t);
  const other = await startHttpApp(t, (_, response) => void response.end());
  const token = await mesh.token(['web']);
  await rejects(startSidecar(t, mesh, { token, listen: { http: other.address } }), hasCode('SKEIN_CONFIG'));
  await startSidecar(t, mesh, { token, listen: LISTEN });
});

test('A target that is its own proxy is refused: requests would go round for ever', async (t) => {
  const mesh = await LocalMesh.start(t);
  // A port that was free a moment ago.
  const probe = await startSidecar(t, mesh, { services: ['web'], listen: LISTEN });
  const { proxy } = probe;
  const closed = probe.sidecar.closed;
  probe.sidecar.close();
  await closed;
  const expose = [{ service: 'api', target: `http://${proxy}` }];
  await rejects(
    startSidecar(t, mesh, { services: ['api'], expose, listen: { http: proxy } }),
    /is this sidecar's own listener/,
  );
});

test('A start can be given up', async (t) => {
  const mesh = await LocalMesh.start(t);
  const giveUp = new AbortController();
  const log = new EventLog();
  const token = await mesh.token(['web']);
  const hub = 'ws://127.0.0.1:9';
  const starting = createSidecar(mesh.platform, { hub, token, log, listen: LISTEN, signal: giveUp.signal });
  await log.waitFor('hub-unreachable');
  giveUp.abort(new Error('enough'));
  await rejects(starting, /enough/);
  equal(log.of('sidecar-closed').length, 1);
});

interface Restarted {
  readonly sidecar: Sidecar;
  readonly log: EventLog;
  /** From now on its dials reach this hub. */
  reach(url: string): void;
}

/** A sidecar of `mesh` that has its identity from before, and no hub. */
async function restartAlone(t: TestContext, mesh: LocalMesh): Promise<Restarted> {
  const data = folder(t);
  const before = await startSidecar(t, mesh, { services: ['web'], data });
  before.sidecar.close();
  const log = new EventLog();
  let target = 'ws://127.0.0.1:9';
  const platform: typeof mesh.platform = {
    ...mesh.platform,
    dialWebSocket: (_, options) => mesh.platform.dialWebSocket(target, options),
  };
  const sidecar = await createSidecar(platform, { hub: mesh.hub.url, data, log, admin: ANY_PORT });
  t.after(() => sidecar.close());
  equal(sidecar.id, before.sidecar.id);
  equal(log.of('hub-connected').length, 0);
  const reach = (url: string): void => {
    target = url;
  };
  return { sidecar, log, reach };
}

test('With a stored identity it starts without a hub, needs no token again, and joins when there is one', async (t) => {
  const mesh = await LocalMesh.start(t);
  const { sidecar, log, reach } = await restartAlone(t, mesh);
  equal((await fetch(`${sidecar.addresses.admin}/readyz`)).status, 200);
  reach(mesh.hub.url);
  await log.waitFor('hub-connected');
});

test('Who turns out to be of another mesh ends, and says why', async (t) => {
  const mesh = await LocalMesh.start(t);
  const other = await LocalMesh.start(t);
  const { sidecar, log, reach } = await restartAlone(t, mesh);
  reach(other.hub.url);
  equal((await sidecar.closed)?.code, 'SKEIN_IDENTITY');
  equal(log.of('sidecar-refused').length, 1);
});

test('An application that is not well is not chosen, and chosen again when it is', async (t) => {
  let status = 500;
  const mesh = await LocalMesh.start(t);
  const app = await startHttpApp(t, ({ url }, response) => {
    response.statusCode = url === '/healthz' ? status : 200;
    response.end();
  });
  const b = await startSidecar(t, mesh, {
    services: ['api'],
    expose: [{ service: 'api', target: `http://${app.address}`, health: { path: '/healthz', intervalMs: 100 } }],
  });
  const a = await startSidecar(t, mesh, { services: ['web'], listen: LISTEN });
  const call = () => ask({ through: a.proxy, host: 'api.mesh' });
  const unwell = await call();
  equal(unwell.status, 503);
  equal(unwell.headers['x-skein-reason'], 'no-endpoint');
  status = 204;
  await b.log.waitFor('app-healthy');
  // The catalogue is told of it in its own time.
  while ((await call()).status !== 200);
  status = 503;
  await b.log.waitFor('app-unhealthy', 2);
  deepEqual(
    b.log.of('app-unhealthy').map(({ fields }) => fields.reason),
    ['GET /healthz answers 500', 'GET /healthz answers 503'],
  );
  while ((await call()).status !== 503);
});

test('A service of bytes whose application is away is unhealthy', async (t) => {
  const mesh = await LocalMesh.start(t);
  const gone = await startHttpApp(t, () => undefined);
  gone.server.close();
  const b = await startSidecar(t, mesh, {
    services: ['db'],
    expose: [{ service: 'db', target: `tcp://${gone.address}` }],
  });
  deepEqual(
    b.log.of('app-unhealthy').map(({ level, fields }) => [level, fields.target, fields.reason]),
    [['warn', gone.address, `Cannot connect to ${gone.address}: connection refused`]],
  );
  const a = await startSidecar(t, mesh, { services: ['web'], listen: LISTEN });
  const text = await new Conversation(t, a.proxy)
    .say('CONNECT db.mesh:80 HTTP/1.1\r\nHost: db.mesh\r\n\r\n')
    .untilEnd();
  match(text, /^HTTP\/1\.1 503 [\s\S]*x-skein-reason: no-endpoint\r\n/);
});

test('A drain finishes what was begun on both sides, and refuses what is new', async (t) => {
  const asked = deferred();
  let answer: ServerResponse | undefined;
  const mesh = await LocalMesh.start(t);
  const app = await startHttpApp(t, (_, response) => {
    response.write('begun ');
    answer = response;
    asked.resolve();
  });
  const b = await startSidecar(t, mesh, {
    services: ['api'],
    expose: [{ service: 'api', target: `http://${app.address}` }],
    admin: ANY_PORT,
  });
  const a = await startSidecar(t, mesh, { services: ['web'], listen: LISTEN });
  const inFlight = ask({ through: a.proxy, host: 'api.mesh' });
  await asked.promise;
  equal((await fetch(`${b.sidecar.addresses.admin}/readyz`)).status, 200);
  const drained = b.sidecar.drain();
  equal((await fetch(`${b.sidecar.addresses.admin}/readyz`)).status, 503);
  // Nobody is asked to wait for one that leaves.
  let refused = await ask({ through: a.proxy, host: 'nobody.mesh' });
  equal(refused.status, 404);
  do refused = await ask({ through: a.proxy, host: 'api.mesh', path: '/new' });
  while (refused.headers['x-skein-reason'] === 'draining');
  equal(refused.status, 503);
  const callerDrained = a.sidecar.drain();
  answer?.end('and done');
  const { status, body } = await inFlight;
  equal(status, 200);
  equal(body.toString(), 'begun and done');
  await Promise.all([drained, callerDrained]);
  equal(await b.sidecar.closed, undefined);
  await rejects(ask({ through: a.proxy, host: 'api.mesh' }), /ECONNREFUSED|ECONNRESET|refused|reset|closed/i);
});

test('While a request is being answered, its application may still call others', async (t) => {
  const asked = deferred();
  const mesh = await LocalMesh.start(t);
  let finish = (): void => undefined;
  let ownProxy = '';
  const app = await startHttpApp(t, (_, response) => {
    finish = () => {
      ask({ through: ownProxy, host: 'other.mesh' }).then(({ body }) => response.end(body), response.destroy);
    };
    asked.resolve();
  });
  const other = await startHttpApp(t, (_, response) => void response.end('from other'));
  const b = await startSidecar(t, mesh, {
    services: ['api'],
    expose: [{ service: 'api', target: `http://${app.address}` }],
    listen: LISTEN,
  });
  ownProxy = b.proxy;
  await startSidecar(t, mesh, {
    services: ['other'],
    expose: [{ service: 'other', target: `http://${other.address}` }],
  });
  const a = await startSidecar(t, mesh, { services: ['web'], listen: LISTEN });
  const inFlight = ask({ through: a.proxy, host: 'api.mesh' });
  await asked.promise;
  const drained = b.sidecar.drain();
  await b.log.waitFor('sidecar-draining');
  finish();
  equal((await inFlight).body.toString(), 'from other');
  await drained;
});

test('A drain waits no longer than it may', async (t) => {
  const mesh = await LocalMesh.start(t);
  const db = await startTcpApp(t, (socket) => void socket.write('ready'));
  const b = await startSidecar(t, mesh, {
    services: ['db'],
    expose: [{ service: 'db', target: `tcp://${db.address}` }],
    drainMs: 50,
  });
  const tcp = [{ service: 'db', address: ANY_PORT }];
  const a = await startSidecar(t, mesh, { services: ['web'], listen: { tcp } });
  const client = new Conversation(t, a.sidecar.addresses['tcp:db'] ?? '');
  await client.until(({ text }) => text === 'ready');
  await b.sidecar.drain();
  await client.until(({ closed }) => closed !== undefined);
  equal(client.closed, 'reset');
});

test('A request that asks is told by which way its answer came; nobody else is, and no application', async (t) => {
  const mesh = await LocalMesh.start(t);
  const seen: (string | undefined)[] = [];
  const app = await startHttpApp(t, (request, response) => {
    seen.push(request.headers['x-skein-path'] as string | undefined);
    response.setHeader('x-skein-path', 'a lie').end('hello');
  });
  const expose = [{ service: 'api', target: `http://${app.address}` }];
  await startSidecar(t, mesh, { services: ['api'], expose });
  const own = [{ service: 'own', target: `http://${app.address}` }];
  const a = await startSidecar(t, mesh, { services: ['own'], expose: own, listen: LISTEN, admin: ANY_PORT });
  const pathOf = async (host: string, headers: Record<string, string>) =>
    (await ask({ through: a.proxy, host, headers })).headers['x-skein-path'];
  match(
    String(await pathOf('api.mesh', { 'x-skein-path': '?' })),
    new RegExp(`^relay;via="${mesh.hub.url}";rtt=\\d+\\.\\d$`),
  );
  equal(await pathOf('own.mesh', { 'x-skein-path': '?' }), 'local');
  const unasked: Record<string, string>[] = [
    {},
    { 'x-skein-path': 'relay' },
    { 'x-skein-path': '' },
    { 'x-skein_path': '?' },
  ];
  for (const headers of unasked) {
    equal(await pathOf('api.mesh', headers), undefined, JSON.stringify(headers));
  }
  equal(await pathOf('nobody.mesh', { 'x-skein-path': '?' }), undefined, 'the mesh itself has answered');
  deepEqual(new Set(seen), new Set([undefined]));

  const { host } = new URL(a.sidecar.addresses.admin ?? '');
  const headers = { authorization: `Bearer ${a.sidecar.adminToken.reveal()}` };
  const { body } = await ask({ through: host, host, form: 'host', path: '/v1/paths', headers });
  const { instance, id, peers } = JSON.parse(body.toString());
  const [peer] = peers;
  equal(peers.length, 1);
  equal(id, a.sidecar.id);
  equal(peer.id, 'spiffe://skein.mesh/ns/default/sa/api');
  equal(instance === peer.instance, false);
  deepEqual([peer.state, peer.detachedMs, peer.switches, peer.resumes], ['open', null, 0, 0]);
  deepEqual(
    peer.paths.map(({ kind, how, via, active }: Record<string, unknown>) => ({ kind, how, via, active })),
    [{ kind: 'relay', how: null, via: mesh.hub.url, active: true }],
  );
  deepEqual([peer.direct.state, typeof peer.direct.reason], ['off', 'string']);

  const told = await ask({ through: host, host, form: 'host', path: '/v1/backends', headers });
  const { backends } = JSON.parse(told.body.toString());
  const api = backends.find(({ service }: Record<string, unknown>) => service === 'api.default');
  deepEqual([api.port, api.panic, api.spillover, api.endpoints.length], [80, false, false, 1]);
  const [{ latencyMs, ...endpoint }] = api.endpoints;
  equal(typeof latencyMs, 'number');
  deepEqual(endpoint, {
    ...{ instance: peer.instance, region: '', zone: '', weight: 1 },
    ...{ state: 'usable', pending: 0, share: 1 },
  });
});

test('The admin port tells health, metrics and status, and nothing to pages of the web', async (t) => {
  const mesh = await LocalMesh.start(t);
  const app = await startHttpApp(t, (_, response) => void response.end('hello'));
  const a = await startSidecar(t, mesh, {
    services: ['api'],
    expose: [{ service: 'api', target: `http://${app.address}` }],
    listen: LISTEN,
    admin: ANY_PORT,
  });
  equal((await ask({ through: a.proxy, host: 'api.mesh' })).status, 200);
  const { host } = new URL(a.sidecar.addresses.admin ?? '');
  const get = (path: string, headers: Record<string, string> = {}, name = host) =>
    ask({ through: host, host: name, form: 'host', path, headers });
  equal((await get('/healthz')).status, 200);
  equal((await get('/nothing')).status, 404);
  const metrics = (await get('/metrics')).body.toString();
  for (const direction of ['inbound', 'outbound']) {
    const labels = `direction="${direction}",service="api.default",status="2xx",reason=""`;
    match(metrics, new RegExp(`^skein_requests_total\\{${labels}\\} 1$`, 'm'));
    match(metrics, new RegExp(`^skein_requests_in_flight\\{direction="${direction}"\\} 0$`, 'm'));
  }
  equal((await get('/v1/status')).status, 401);
  const headers = { authorization: `Bearer ${a.sidecar.adminToken.reveal()}` };
  const status = JSON.parse((await get('/v1/status', headers)).body.toString());
  equal(status.sidecar.state, 'ready');
  equal(status.identity.id, a.sidecar.id);
  equal(status.hub, mesh.hub.url);
  deepEqual(
    status.hubs.map(({ rttMs, ...hub }: { rttMs: number }) => ({ ...hub, isMeasured: rttMs >= 0 })),
    [{ url: mesh.hub.url, state: 'connected', primary: true, roles: HUB_ROLES, isMeasured: true }],
  );
  match(metrics, /^skein_hubs\{state="connected"\} 1$/m);
  match(metrics, /^skein_hubs\{state="waiting"\} 0$/m);
  deepEqual(status.exposed, [
    { service: 'api.default', port: 80, target: `http://${app.address}`, healthy: true, connections: 1 },
  ]);
  equal((await get('/v1/status', headers, 'evil.test')).status, 421);
  equal((await get('/v1/status', { ...headers, origin: 'https://evil.test' })).status, 403);
  equal((await get('/v1/status', { ...headers, 'sec-fetch-site': 'cross-site' })).status, 403);
});
