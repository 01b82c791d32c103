/** Every route of the hub, asked in every way that must be refused; and the line that each change leaves. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { REFLECTION_PATH } from '../../../src/control/reflection.ts';
import type { HttpServerOptions, Platform } from '../../../src/core/platform.ts';
import { type AppOptions, createApp } from '../../../src/hub/app.ts';
import { createHub } from '../../../src/hub/hub.ts';
import { MemoryStore } from '../../../src/hub/store/memory.ts';
import { nodePlatform } from '../../../src/runtime/node/platform.ts';
import { type AdminPort, checkAdminPort } from '../../support/admin-surface.ts';
import { EventLog } from '../../support/event-log.ts';

const TOKEN = 'the-admin-token';
const OPEN = [
  '/healthz',
  '/readyz',
  REFLECTION_PATH,
  '/.well-known/jwks.json',
  '/.well-known/spiffe-bundle',
  '/metrics',
];

/** What a hub answers is known without one: no handler runs before it is asked. */
const routes = createApp({} as AppOptions).routes;

interface Started extends AdminPort {
  readonly log: EventLog;
  readonly server: HttpServerOptions;
  readonly close: () => Promise<void>;
}

async function start(): Promise<Started> {
  let server: HttpServerOptions | undefined;
  const platform: Platform = {
    ...nodePlatform(),
    listenHttp: async (options) => {
      server = options;
      return { address: '127.0.0.1:7000', port: 7000, close: async () => undefined };
    },
  };
  const log = new EventLog();
  const store = new MemoryStore();
  const limits = { refusalsLogged: { perSecond: 1000, burst: 10_000 } };
  const hub = await createHub(platform, { adminToken: TOKEN, log, store, limits });
  if (server === undefined) throw new TypeError('The hub does not listen');
  const { fetch } = server;
  return {
    ...{ routes, open: OPEN, token: TOKEN, log, server },
    ask: async (method, path, { host = '127.0.0.1:7000', headers = {}, body } = {}) => {
      const request = new Request(`http://127.0.0.1:7000${path}`, { method, ...(body === undefined ? {} : { body }) });
      return await fetch(withHeaders(request, { ...headers, host }), {
        remoteAddress: '127.0.0.1:5000',
        isProxied: false,
      });
    },
    readState: async () => [(await store.list('')).map(({ key, revision }) => [key, revision]), store.revision],
    close: () => hub.close(),
  };
}

/** `Request` keeps Host, Origin and the Sec- fields from scripts; servers see them. */
function withHeaders(request: Request, fields: Readonly<Record<string, string>>): Request {
  const headers = new Headers(request.headers);
  for (const [name, value] of Object.entries(fields)) headers.set(name, value);
  return new Proxy(request, {
    get(target, name) {
      if (name === 'headers') return headers;
      const value = Reflect.get(target, name) as unknown;
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

test('Every route of the hub refuses strangers, pages of the web, foreign names, and changes that are not JSON', async () => {
  const hub = await start();
  const asked = await checkAdminPort(hub);
  ok(asked > 10 * routes.length, `${asked} questions about ${routes.length} routes`);
  await hub.close();
});

test('Every change leaves one line, done or not, and what only asks leaves none', async () => {
  const hub = await start();
  for (const { method, path } of routes) {
    for (const [by, headers] of [
      ['admin-token', { authorization: `Bearer ${TOKEN}` }],
      ['nobody', {}],
    ] as const) {
      const before = hub.log.of('admin-change').length;
      const at = path.replace(/:\w+/g, 'x');
      const body = method === 'GET' ? {} : { body: '{}' };
      const answer = await hub.ask(method, at, {
        ...body,
        headers: { ...headers, 'content-type': 'application/json' },
      });
      const lines = hub.log.of('admin-change').slice(before);
      equal(lines.length, method === 'GET' ? 0 : 1, `${method} ${path}`);
      for (const { fields } of lines) {
        const { action, from, status } = fields;
        deepEqual([action, fields.by, from, status], [`${method} ${at}`, by, '127.0.0.1:5000', answer.status]);
        equal(fields.outcome, ((await answer.json()) as { code: string }).code);
      }
    }
  }
  await hub.close();
});

test('The line says what was made, changed and deleted, and never a token', async () => {
  const hub = await start();
  const send = async (method: string, path: string, value?: unknown): Promise<Record<string, unknown>> => {
    const answer = await hub.ask(method, path, {
      ...(value === undefined ? {} : { body: JSON.stringify(value) }),
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    });
    equal(answer.ok, true, `${method} ${path}`);
    return (await answer.json()) as Record<string, unknown>;
  };
  const { token, id } = await send('POST', '/v1/tokens', { services: ['api'] });
  const policy = { kind: 'AuthorizationPolicy', metadata: { name: 'p', namespace: 'shop' }, spec: { allow: [{}] } };
  await send('POST', '/v1/resources?dryRun=true', policy);
  await send('POST', '/v1/resources', policy);
  await send('DELETE', '/v1/resources/AuthorizationPolicy/shop/p');
  await send('POST', '/v1/revisions/rollback', { to: 2 });
  const { sequence } = await send('POST', '/v1/keys/rotate', { now: false });
  const key = 'AuthorizationPolicy/shop/p';
  const lines = hub.log.of('admin-change').map(({ level, fields }) => {
    const { action, outcome, by, from, status, expiresAt, ...what } = fields;
    return [level, outcome, action, what];
  });
  deepEqual(lines, [
    ['info', 'done', 'POST /v1/tokens', { token: id }],
    ['info', 'done', 'POST /v1/resources', { revision: 1, changed: [key], dryRun: true }],
    ['info', 'done', 'POST /v1/resources', { revision: 2, changed: [key] }],
    ['info', 'done', 'DELETE /v1/resources/AuthorizationPolicy/shop/p', { revision: 3, changed: [key] }],
    ['info', 'done', 'POST /v1/revisions/rollback', { revision: 4, changed: [key] }],
    ['info', 'done', 'POST /v1/keys/rotate', { sequence }],
  ]);
  match(String(token), /^skein_/);
  equal(JSON.stringify(hub.log.lines).includes(String(token)), false);
  await hub.close();
});

test('A page cannot open a link to the hub; a proxy can, under whatever name it is known by', async () => {
  const hub = await start();
  const admit = (fields: Readonly<Record<string, string>>, remoteAddress = '127.0.0.1:5000'): number | undefined => {
    const asked = { remoteAddress, isProxied: false, field: (name: string) => fields[name] };
    const decision = hub.server.admitWebSocket?.(asked);
    return decision instanceof Promise ? undefined : decision?.status;
  };
  const host = '127.0.0.1:7000';
  equal(admit({ host }), undefined);
  equal(admit({ host: 'hub.internal:7000' }, '10.0.0.9:1'), undefined);
  for (const origin of ['https://evil.test', 'null', 'http://127.0.0.1:7000']) equal(admit({ host, origin }), 403);
  equal(admit({ host, origin: 'https://evil.test' }, '10.0.0.9:1'), 403);
  equal(admit({ host, 'sec-fetch-site': 'cross-site' }), 403);
  for (const other of ['hub.example.com', '203.0.113.2:7000', '']) equal(admit({ host: other }), undefined);
  equal(admit({ host: 'evil.test:7000', origin: 'http://evil.test:7000' }), 403);
  await hub.close();
});
