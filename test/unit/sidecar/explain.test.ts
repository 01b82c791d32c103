/** What a sidecar explains is what its requests meet: the same table, instances and policies, over real sockets. */
import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { getField } from '../../../src/http/head.ts';
import { ask } from '../../support/load.ts';
import { LocalMesh, policy } from '../../support/local-mesh.ts';
import { ANY_PORT, startHttpApp, startSidecar } from '../../support/local-sidecars.ts';

test('POST /v1/explain tells what the same request then meets, denials with their rule', async (t) => {
  const mesh = await LocalMesh.start(t);
  const app = await startHttpApp(t, ({ method, url, headers }, response) => {
    response.setHeader('x-seen', `${method} ${url} ${headers.host} ${headers['x-route'] ?? '-'}`);
    response.end();
  });
  const target = `http://${app.address}`;
  await startSidecar(t, mesh, {
    services: ['v1', 'secret', 'db'],
    expose: [
      ...['v1', 'secret'].map((service) => ({ service, target })),
      { service: 'db', target: target.replace('http:', 'tcp:') },
    ],
  });
  const { proxy, sidecar } = await startSidecar(t, mesh, {
    services: ['web'],
    expose: [{ service: 'web', target }],
    listen: { http: ANY_PORT },
    admin: ANY_PORT,
  });
  const backendRefs = [{ name: 'v1', port: 80 }];
  const parentRefs = [{ group: '', kind: 'Service', name: 'api' }];
  const set = { set: [{ name: 'x-route', value: 'new' }] };
  await mesh.hub.apply([
    policy({ deny: [{ to: [{ paths: ['/new/denied'] }] }], allow: [{ to: [{ methods: ['GET'] }] }] }),
    policy({ deny: [{ to: [{ hosts: ['secret.mesh'] }] }] }, 'secret'),
    {
      kind: 'HTTPRoute',
      metadata: { name: 'api', namespace: 'default' },
      spec: {
        parentRefs,
        rules: [
          {
            matches: [{ path: { type: 'PathPrefix', value: '/old' } }],
            filters: [
              { type: 'URLRewrite', urlRewrite: { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/new' } } },
              { type: 'RequestHeaderModifier', requestHeaderModifier: set },
            ],
            backendRefs,
          },
          {
            matches: [{ path: { type: 'PathPrefix', value: '/moved' } }],
            filters: [{ type: 'RequestRedirect', requestRedirect: { hostname: 'example.org', statusCode: 301 } }],
          },
        ],
      },
    },
  ]);
  const explain = async (query: object): Promise<Response> =>
    fetch(`${sidecar.addresses.admin}/v1/explain`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${sidecar.adminToken.reveal()}` },
      body: JSON.stringify(query),
    });
  const requests = [
    { method: 'GET', authority: 'api.mesh', path: '/old/a?q=1', fields: [] },
    { method: 'GET', authority: 'api.mesh', path: '/old/denied', fields: [] },
    { method: 'POST', authority: 'api.mesh', path: '/old/a', fields: [] },
    { method: 'GET', authority: 'api.mesh', path: '/moved/a', fields: [] },
    { method: 'GET', authority: 'api.mesh', path: '/else', fields: ['x-skein-client-id', 'me'] },
    { method: 'GET', authority: 'v1.mesh', path: '/', fields: [] },
    { method: 'GET', authority: 'secret.mesh', path: '/', fields: [] },
    { method: 'GET', authority: 'nobody.mesh', path: '/', fields: [] },
    { method: 'GET', authority: 'db.mesh', path: '/', fields: [] },
    { method: 'GET', authority: 'example.com', path: '/', fields: [] },
  ];
  const seen: string[] = [];
  for (const query of requests) {
    const response = await explain(query);
    equal(response.status, 200);
    const told = JSON.parse(await response.text());
    const { method, authority: host, path } = query;
    const answer = await ask({ through: proxy, host, method, path });
    const verdict = told.verdicts[0];
    const { outcome } = told;
    equal(told.caller, 'spiffe://skein.mesh/ns/default/sa/web');
    if (outcome.kind === 'forwarded' && verdict.allow) {
      const { sent } = told.backends[0];
      const route = getField(sent.fields, 'x-route') ?? '-';
      equal(answer.headers['x-seen'], `${sent.method} ${sent.path} ${sent.authority} ${route}`);
      seen.push(verdict.rule);
    } else if (outcome.kind === 'forwarded') {
      deepEqual([answer.status, answer.headers['x-skein-reason']], [403, 'authz']);
      seen.push(verdict.rule);
    } else {
      equal(answer.status, outcome.status);
      if (outcome.kind === 'refused') equal(answer.headers['x-skein-reason'], outcome.reason);
      seen.push(outcome.reason ?? outcome.by);
    }
  }
  const allowed = 'AuthorizationPolicy/default/allow-same-namespace allow[0]';
  deepEqual(seen, [
    allowed,
    'AuthorizationPolicy/default/allow-same-namespace deny[0]',
    'default-deny',
    'RequestRedirect',
    'no-route',
    allowed,
    'AuthorizationPolicy/default/secret deny[0]',
    'no-such-service',
    'bad-request',
    'not-a-mesh-name',
  ]);
  const asked = await explain({ method: 'GET', authority: 'api.mesh', path: '/', fields: [], from: 'other.shop' });
  match(await asked.text(), /for callers of namespace/);
  equal(asked.status, 400);
  equal((await explain({ method: 'GET' })).status, 400);
  equal((await explain({ method: 'GET', authority: 'api', path: '/', fields: ['x'.repeat(300_000), ''] })).status, 413);
});
