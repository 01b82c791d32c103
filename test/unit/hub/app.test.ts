/** The hub's HTTP as a browser, a script and an attacker meet it. */

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { HttpServerOptions, Platform } from '../../../src/core/platform.ts';
import { createHub, type Hub } from '../../../src/hub/hub.ts';
import { nodePlatform } from '../../../src/runtime/node/platform.ts';

type Fetch = (path: string, init?: RequestInit & { from?: string; host?: string }) => Promise<Response>;

const ADMIN = 'the-admin-token';

/** A hub whose HTTP is called without a socket, so that addresses and Host fields may be anything. */
async function start(url?: string): Promise<{ hub: Hub; call: Fetch; admin: Fetch }> {
  const real = nodePlatform();
  let handler: HttpServerOptions['fetch'] | undefined;
  const platform: Platform = {
    ...real,
    listenHttp: async ({ fetch }) => {
      handler = fetch;
      return { address: '127.0.0.1:7000', port: 7000, close: async () => undefined };
    },
  };
  const hub = await createHub(platform, { adminToken: ADMIN, ...(url === undefined ? {} : { url }) });
  const call: Fetch = async (path, { from = '127.0.0.1:5000', host = '127.0.0.1:7000', ...init } = {}) => {
    const request = new Request(`http://127.0.0.1:7000${path}`, init);
    const headers = new Headers(request.headers);
    headers.set('host', host);
    // `Request` keeps Host from scripts; servers see it.
    const seen = new Proxy(request, {
      get(target, name) {
        if (name === 'headers') return headers;
        const value = Reflect.get(target, name) as unknown;
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    if (handler === undefined) throw new TypeError('Cannot call hub: it does not listen');
    return await handler(seen, { remoteAddress: from, isProxied: false });
  };
  const admin: Fetch = (path, init = {}) =>
    call(path, { ...init, headers: { authorization: `Bearer ${ADMIN}`, ...(init.headers as object) } });
  return { hub, call, admin };
}

const json = (value: unknown): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(value),
});

const POLICY = {
  kind: 'AuthorizationPolicy',
  metadata: { name: 'p', namespace: 'shop' },
  spec: { allow: [{ from: [{ namespaces: ['web'] }] }] },
};

test('Health, readiness and public keys are for everybody', async () => {
  const { hub, call } = await start();
  equal((await call('/healthz')).status, 200);
  equal((await call('/readyz')).status, 200);
  const bundle = (await (await call('/.well-known/spiffe-bundle')).json()) as { keys: Record<string, unknown>[] };
  deepEqual(
    bundle.keys.map(({ use, d }) => [use, d]),
    [
      ['wit-svid', undefined],
      ['jwt-svid', undefined],
      ['wit-svid', undefined],
      ['jwt-svid', undefined],
    ],
    'of each use the one in use and the next',
  );
  const bearers = bundle.keys.filter(({ use }) => use === 'jwt-svid').map(({ use: _use, ...bearer }) => bearer);
  deepEqual(await (await call('/.well-known/jwks.json')).json(), { keys: bearers });
  await hub.close();
  equal((await call('/readyz')).status, 503);
});

test('The admin API needs its token, in constant form', async () => {
  const { hub, call } = await start();
  for (const authorization of [
    undefined,
    '',
    'Bearer',
    'Bearer ',
    'Bearer wrong',
    `Basic ${ADMIN}`,
    ADMIN,
    `Bearer ${ADMIN}x`,
  ]) {
    for (const path of ['/v1/status', '/v1/services', '/v1/resources', '/v1/nothing', '/v1/resources/a/b/c']) {
      const response = await call(path, authorization === undefined ? {} : { headers: { authorization } });
      equal(response.status, 401, `${authorization} ${path}`);
      equal(response.headers.get('www-authenticate'), 'Bearer');
      deepEqual(Object.keys((await response.json()) as object), ['code', 'message', 'details']);
    }
    equal((await call('/v1/tokens', { ...json({ services: ['api'] }) })).status, 401);
  }
  await hub.close();
});

const HOSTS: readonly [from: string, host: string, url: string | undefined, status: number][] = [
  ['127.0.0.1:1', '127.0.0.1:7000', undefined, 200],
  ['127.0.0.1:1', 'localhost:7000', undefined, 200],
  ['127.0.0.1:1', 'LOCALHOST', undefined, 200],
  ['[::1]:1', '[::1]:7000', undefined, 200],
  ['[::ffff:127.0.0.1]:1', '127.0.0.1:7000', undefined, 200],
  ['127.0.0.1:1', 'evil.test:7000', undefined, 421],
  ['127.0.0.1:1', 'localhost.evil.test', undefined, 421],
  ['127.0.0.1:1', '127.0.0.1.evil.test:7000', undefined, 421],
  ['127.0.0.1:1', '', undefined, 421],
  ['[::1]:1', 'evil.test', undefined, 421],
  ['127.0.0.1:1', 'hub.example.com', 'wss://hub.example.com', 200],
  ['127.0.0.1:1', 'evil.test', 'wss://hub.example.com', 421],
  ['10.0.0.9:1', 'hub.internal:7000', undefined, 200],
];

for (const [from, host, url, status] of HOSTS) {
  test(`From ${from} for host "${host}"${url === undefined ? '' : ` behind ${url}`}: ${status}`, async () => {
    const { hub, admin, call } = await start(url);
    equal((await admin('/v1/status', { from, host })).status, status);
    equal((await call('/healthz', { from, host })).status, status);
    await hub.close();
  });
}

test('Pages of the web may not use the admin API, even with the token', async () => {
  const { hub, admin } = await start();
  const signs: Record<string, string>[] = [
    { origin: 'https://evil.test' },
    { origin: 'null' },
    { origin: 'http://127.0.0.1:7000' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-origin' },
  ];
  for (const headers of signs) {
    const response = await admin('/v1/status', { headers });
    equal(response.status, 403, JSON.stringify(headers));
    equal(response.headers.get('access-control-allow-origin'), null);
  }
  const preflight = await admin('/v1/tokens', { method: 'OPTIONS', headers: { origin: 'https://evil.test' } });
  equal(preflight.status, 403);
  await hub.close();
});

test('Writes are JSON, well formed and not too long', async () => {
  const { hub, admin } = await start();
  const post = (body: string, type: string) =>
    admin('/v1/tokens', { method: 'POST', body, headers: { 'content-type': type } });
  equal((await post('{"services":["api"]}', 'text/plain')).status, 415);
  equal((await post('{"services":["api"]}', 'application/x-www-form-urlencoded')).status, 415);
  equal((await post('{', 'application/json')).status, 400);
  equal((await post('"\ud800"', 'application/json')).status, 422);
  equal((await post(`"${'x'.repeat(1024 * 1024)}"`, 'application/json')).status, 413);
  equal((await post('{"services":["api"]}', 'application/json; charset=utf-8')).status, 201);
  await hub.close();
});

test('Tokens are made as asked, or refused with every issue', async () => {
  const { hub, admin } = await start();
  const made = (await (
    await admin('/v1/tokens', json({ services: ['api'], namespace: 'shop', ttl: '1h' }))
  ).json()) as {
    token: string;
    expiresAt: string;
  };
  match(made.token, /^skein_[A-Za-z0-9_-]+$/);
  ok(Date.parse(made.expiresAt) > Date.now() + 3_500_000);
  for (const body of [
    {},
    { services: 'api' },
    { services: [] },
    { services: ['api'], ttl: '1d' },
    { services: ['api'], more: 1 },
    [],
  ]) {
    const response = await admin('/v1/tokens', json(body));
    equal(response.status, 422, JSON.stringify(body));
    equal(((await response.json()) as { code: string }).code, 'SKEIN_RESOURCE_INVALID');
  }
  await hub.close();
});

test('Resources are applied, listed, read and deleted; one bad one spoils the batch', async () => {
  const { hub, admin } = await start();
  const read = async (path: string): Promise<unknown> => (await admin(path)).json();
  const names = async (): Promise<string[]> =>
    ((await read('/v1/resources')) as { resources: { metadata: { name: string } }[] }).resources.map(
      ({ metadata }) => metadata.name,
    );
  deepEqual(await names(), ['allow-same-namespace']);
  const apply = async (body: unknown) => {
    const response = await admin('/v1/resources', json(body));
    const answer = (await response.json()) as {
      results?: { status: string }[];
      details?: { issues: { path: string }[] };
    };
    return { status: response.status, body: answer };
  };
  const first = await apply(POLICY);
  equal(first.status, 200);
  deepEqual(first.body.results, [{ key: 'AuthorizationPolicy/shop/p', status: 'created', resourceVersion: '2' }]);
  equal((await apply([POLICY])).body.results?.[0]?.status, 'unchanged');
  const changed = { ...POLICY, spec: { deny: [{}], allow: [{}] } };
  equal((await apply({ ...changed, metadata: { ...POLICY.metadata, resourceVersion: '1' } })).status, 409);
  equal(
    (await apply({ ...changed, metadata: { ...POLICY.metadata, resourceVersion: '2' } })).body.results?.[0]?.status,
    'changed',
  );
  const held = (await read('/v1/resources/AuthorizationPolicy/shop/p')) as {
    metadata: Record<string, unknown>;
    status?: unknown;
  };
  const { creationTimestamp, ...metadata } = held.metadata;
  deepEqual(Object.keys(held.status as object), ['conditions']);
  const wanted = { ...POLICY.metadata, generation: 2, resourceVersion: '3' };
  deepEqual({ ...held, metadata, status: undefined }, { ...changed, metadata: wanted, status: undefined });
  match(String(creationTimestamp), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  const bad = await apply([
    { ...POLICY, metadata: { name: 'good' } },
    { ...POLICY, spec: { allow: [{ fro: [] }] } },
    'nonsense',
  ]);
  equal(bad.status, 422);
  deepEqual(
    bad.body.details?.issues.map(({ path }) => path.slice(0, 3)),
    ['[1]', '[2]'],
  );
  deepEqual(await names(), ['allow-same-namespace', 'p']);
  equal((await admin('/v1/resources/AuthorizationPolicy/shop/p', { method: 'DELETE' })).status, 200);
  equal((await admin('/v1/resources/AuthorizationPolicy/shop/p', { method: 'DELETE' })).status, 404);
  equal((await admin('/v1/resources/AuthorizationPolicy/shop/p')).status, 404);
  await hub.close();
});

test('Resources are deleted together, in one revision, or none of them', async () => {
  const { hub, admin } = await start();
  const named = (name: string): object => ({ ...POLICY, metadata: { name, namespace: 'shop' } });
  await admin('/v1/resources', json([named('p'), named('q')]));
  const remove = (query: string, ...names: string[]): Promise<Response> =>
    admin(`/v1/resources/delete${query}`, json(names.map((name) => `AuthorizationPolicy/shop/${name}`)));
  equal((await remove('', 'p', 'x')).status, 404);
  equal((await remove('?ifRevision=1', 'p', 'q')).status, 409);
  for (const body of [[], {}, 'AuthorizationPolicy/shop/p', [7], [POLICY], ['AuthorizationPolicy/p']]) {
    equal((await admin('/v1/resources/delete', json(body))).status, 422, JSON.stringify(body));
  }
  const results = ['p', 'q'].map((name) => ({
    ...{ key: `AuthorizationPolicy/shop/${name}`, status: 'deleted', resourceVersion: '3' },
  }));
  deepEqual(await (await remove('?dryRun=true', 'p', 'q')).json(), { results, revision: 2 });
  deepEqual(await (await remove('', 'p', 'q')).json(), { results, revision: 3 });
  await hub.close();
});

test('Revisions are listed, and gone back to', async () => {
  const { hub, admin } = await start();
  await admin('/v1/resources', json(POLICY));
  const dry = await admin('/v1/revisions/rollback?dryRun=true', json({ to: 1 }));
  const gone = [{ key: 'AuthorizationPolicy/shop/p', status: 'deleted', resourceVersion: '3' }];
  deepEqual(await dry.json(), { results: gone, revision: 2 });
  equal((await admin('/v1/revisions/rollback?ifRevision=1', json({ to: 1 }))).status, 409);
  deepEqual(await (await admin('/v1/revisions/rollback?ifRevision=2', json({ to: 1 }))).json(), {
    results: gone,
    revision: 3,
  });
  const { revisions } = (await (await admin('/v1/revisions')).json()) as { revisions: Record<string, unknown>[] };
  deepEqual(
    revisions.map(({ at, ...rest }) => rest),
    [
      {
        revision: 1,
        action: 'apply',
        changes: [{ key: 'AuthorizationPolicy/default/allow-same-namespace', status: 'created' }],
      },
      { revision: 2, action: 'apply', changes: [{ key: 'AuthorizationPolicy/shop/p', status: 'created' }] },
      { revision: 3, action: 'rollback', to: 1, changes: [{ key: 'AuthorizationPolicy/shop/p', status: 'deleted' }] },
    ],
  );
  for (const body of [{}, { to: '1' }, { to: -1 }, { to: 1, more: 1 }, [], { to: 9 }]) {
    const { status } = await admin('/v1/revisions/rollback', json(body));
    equal(status, JSON.stringify(body) === '{"to":9}' ? 404 : 422, JSON.stringify(body));
  }
  equal((await admin('/v1/resources?ifRevision=x', json(POLICY))).status, 400);
  await hub.close();
});

test('Metrics are for this machine, and for others with the token', async () => {
  const { hub, call, admin } = await start();
  match(await (await call('/metrics')).text(), /^skein_hub_sidecars 0$/m);
  equal((await call('/metrics', { from: '10.0.0.9:1' })).status, 401);
  equal((await admin('/metrics', { from: '10.0.0.9:1' })).status, 200);
  await hub.close();
});

test('Metrics are not for those whom a proxy on this machine passes on', async () => {
  const { hub, call } = await start('wss://hub.example.com');
  equal((await call('/metrics', { host: 'hub.example.com' })).status, 401);
  for (const name of ['x-forwarded-for', 'x-real-ip', 'forwarded', 'via']) {
    equal((await call('/metrics', { headers: { [name]: '203.0.113.7' } })).status, 401, name);
  }
  await hub.close();
});

test('What there is not is answered as JSON, without state', async () => {
  const { hub, call } = await start();
  for (const [path, method] of [
    ['/', 'GET'],
    ['/nothing', 'GET'],
    ['/healthz', 'POST'],
    ['/../etc/passwd', 'GET'],
  ] as const) {
    const response = await call(path, { method });
    equal(response.status, 404, path);
    equal(((await response.json()) as { code: string }).code, 'SKEIN_BAD_REQUEST');
  }
  await hub.close();
});
