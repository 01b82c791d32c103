/** Federation: bundles of other trust domains, from endpoints on real sockets; and two meshes of two trust domains. */

import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import { parseFederatedTrustDomain } from '../../../src/catalog/federated-trust-domain.ts';
import type { Manifest } from '../../../src/catalog/resource.ts';
import { Federation } from '../../../src/hub/federation.ts';
import { createHub } from '../../../src/hub/hub.ts';
import type { FederatedDomain } from '../../../src/hub/options.ts';
import type { Resources } from '../../../src/hub/resources.ts';
import { MemoryStore } from '../../../src/hub/store/memory.ts';
import { nodePlatform } from '../../../src/runtime/node/platform.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { printFigures } from '../../support/figures.ts';
import { EventLog, LocalMesh } from '../../support/local-mesh.ts';
import { startHttpApp, startSidecar } from '../../support/local-sidecars.ts';
import { OidcIssuer } from '../../support/oidc-issuer.ts';
import { openResources } from '../../support/resources.ts';

const platform = nodePlatform();
const PARTNER = 'partner.example';

/** A bundle endpoint that answers what it is told to. */
class Endpoint {
  asked = 0;
  answer: (response: ServerResponse) => unknown = (response) => response.end(JSON.stringify(this.bundle));
  bundle: Readonly<Record<string, unknown>> = { keys: [], spiffe_sequence: 1 };
  url = '';

  static async start(t: TestContext): Promise<Endpoint> {
    const endpoint = new Endpoint();
    const { address } = await startHttpApp(t, ({ url }, response) => {
      if (url === '/bundle') endpoint.asked++;
      if (url === '/bundle') endpoint.answer(response);
      else response.end(JSON.stringify(endpoint.bundle));
    });
    endpoint.url = `http://${address}/bundle`;
    return endpoint;
  }
}

class Fixture {
  readonly clock = new VirtualClock();
  readonly log = new EventLog();
  readonly resources: Resources;
  readonly federation: Federation;

  constructor(resources: Resources, domains: readonly FederatedDomain[]) {
    this.resources = resources;
    const { clock, log } = this;
    const own = { clock, random: new SeededRandom(1), getDocument: platform.getDocument };
    this.federation = new Federation({ platform: own, log, resources, trustDomain: 'skein.mesh', domains });
  }

  static async create(
    t: TestContext,
    domains: readonly FederatedDomain[],
    store = new MemoryStore(),
  ): Promise<Fixture> {
    const { resources } = await openResources(store);
    const fixture = new Fixture(resources, domains);
    t.after(() => fixture.federation.close());
    return fixture;
  }

  /** Moves on, and waits until the next line of the log tells of an answer. */
  async next(event: string, seconds = 0): Promise<void> {
    const count = this.log.of(event).length + 1;
    await this.clock.advanceAsync(seconds * 1000);
    await this.log.waitFor(event, count);
  }

  async kept(): Promise<{ readonly kids: readonly string[]; readonly sequence: number } | undefined> {
    const manifest = (await this.resources.list()).find(({ kind }: Manifest) => kind === 'FederatedTrustDomain');
    const parsed = manifest && parseFederatedTrustDomain(manifest);
    if (parsed === undefined) return undefined;
    ok('value' in parsed, JSON.stringify(parsed));
    const { keys, spiffe_sequence: sequence } = parsed.value.spec.bundle;
    return { kids: keys.map(({ kid }) => kid), sequence };
  }
}

async function keysFor(t: TestContext, ...kids: readonly string[]): Promise<object[]> {
  const issuer = await OidcIssuer.start(t);
  issuer.keys = [];
  for (const kid of kids) await issuer.addKey('ES256', kid);
  return issuer.keys.map(({ jwk }) => ({ ...jwk, use: 'jwt-svid' }));
}

test('A bundle is fetched, kept without what is of no use here, and fetched again as its publisher wants, within bounds', async (t) => {
  const endpoint = await Endpoint.start(t);
  const [a, b] = await keysFor(t, 'a', 'b');
  const others = [
    { kty: 'EC', use: 'wit-svid', kid: 'w' },
    { kty: 'RSA', use: 'x509-svid', x5c: ['x'] },
    { kty: 'OKP' },
  ];
  endpoint.bundle = { keys: [a, ...others], spiffe_sequence: 7, spiffe_refresh_hint: 100 };
  const domain = { trustDomain: PARTNER, bundleEndpoint: endpoint.url };
  const fixture = await Fixture.create(t, [domain]);
  await fixture.federation.start();
  await fixture.next('federated-bundle-changed');
  deepEqual(await fixture.kept(), { kids: ['a'], sequence: 7 });
  endpoint.bundle = { keys: [a, b], spiffe_sequence: 8, spiffe_refresh_hint: 1 };
  await fixture.clock.advanceAsync(89_000);
  equal(endpoint.asked, 1);
  await fixture.next('federated-bundle-changed', 22);
  deepEqual(await fixture.kept(), { kids: ['a', 'b'], sequence: 8 });
  await fixture.clock.advanceAsync(26_000);
  equal(endpoint.asked, 2, 'not more often than every 30 s');
  endpoint.bundle = { keys: [b], spiffe_sequence: 9, spiffe_refresh_hint: 999_999_999 };
  await fixture.next('federated-bundle-changed', 8);
  endpoint.bundle = { keys: [], spiffe_sequence: 10 };
  await fixture.next('federated-bundle-changed', 3_961);
  deepEqual(await fixture.kept(), { kids: [], sequence: 10 }, 'everything was taken back');
});

test('Errors of an endpoint, and an older bundle, take nothing away', async (t) => {
  const endpoint = await Endpoint.start(t);
  const keys = await keysFor(t, 'a');
  endpoint.bundle = { keys, spiffe_sequence: 7, spiffe_refresh_hint: 60 };
  const good = endpoint.answer;
  const fixture = await Fixture.create(t, [{ trustDomain: PARTNER, bundleEndpoint: endpoint.url }]);
  await fixture.federation.start();
  await fixture.next('federated-bundle-changed');
  const bad: readonly ((response: ServerResponse) => unknown)[] = [
    (response) => response.writeHead(500).end('{"keys":[]}'),
    (response) => response.writeHead(404).end('{"keys":[]}'),
    (response) => response.end(''),
    (response) => response.end('[]'),
    (response) => response.end('{"spiffe_sequence":9}'),
    (response) => response.end('{"keys":{}}'),
    (response) => response.end('{"keys":[],"keys":[]}'),
    (response) => response.end('{"keys":[],"spiffe_sequence":-1}'),
    (response) => response.end('{"keys":[],"spiffe_sequence":"9"}'),
    (response) => response.end(`{"keys":[${'{},'.repeat(100)}{}]}`),
    (response) => response.end(`{"keys":[],"x":"${'x'.repeat(600_000)}"}`),
    (response) => response.end(JSON.stringify({ keys: [keys[0], keys[0]], spiffe_sequence: 9 })),
    (response) => response.writeHead(301, { location: '/elsewhere' }).end(),
    (response) => response.writeHead(302, { location: 'http://192.0.2.1/' }).end(),
    (response) => response.writeHead(302, { location: '/bundle' }).end(),
    (response) => response.destroy(),
  ];
  for (const answer of bad) {
    endpoint.answer = answer;
    await fixture.next('federated-bundle-not-fetched', 67);
    deepEqual(await fixture.kept(), { kids: ['a'], sequence: 7 });
  }
  endpoint.answer = good;
  endpoint.bundle = { keys: [], spiffe_sequence: 6 };
  await fixture.next('federated-bundle-older', 67);
  deepEqual(await fixture.kept(), { kids: ['a'], sequence: 7 });
  const [[domain = '', ageMs = -1] = []] = [...fixture.federation.agesMs()];
  deepEqual([domain, ageMs < 1_000], [PARTNER, true], 'it has answered, if with an old one');
  printFigures('bundle endpoints that fail', { answers: bad.length, keysLost: 0 });
});

test('A temporary redirect is followed, and not remembered', async (t) => {
  const endpoint = await Endpoint.start(t);
  endpoint.bundle = { keys: await keysFor(t, 'a'), spiffe_sequence: 1 };
  endpoint.answer = (response) => response.writeHead(307, { location: '/moved' }).end();
  const fixture = await Fixture.create(t, [{ trustDomain: PARTNER, bundleEndpoint: endpoint.url }]);
  await fixture.federation.start();
  await fixture.next('federated-bundle-changed');
  deepEqual(await fixture.kept(), { kids: ['a'], sequence: 1 });
  endpoint.answer = (response) => response.end(JSON.stringify({ keys: [], spiffe_sequence: 2 }));
  await fixture.next('federated-bundle-changed', 331);
  equal(endpoint.asked, 2);
});

test('What is not configured any more goes at the start; what somebody has applied by hand stays', async (t) => {
  const store = new MemoryStore();
  const bundle = { keys: await keysFor(t, 'a'), spiffe_sequence: 3 };
  const domain = { trustDomain: PARTNER, bundleEndpoint: 'http://127.0.0.1:9/', bundle };
  const first = await Fixture.create(t, [domain], store);
  await first.federation.start();
  deepEqual(await first.kept(), { kids: ['a'], sequence: 3 }, 'what was given, while the endpoint is silent');
  await first.next('federated-bundle-not-fetched');
  first.federation.close();
  const again = new Fixture(first.resources, [{ ...domain, bundle: { keys: [], spiffe_sequence: 9 } }]);
  await again.federation.start();
  deepEqual(await again.kept(), { kids: ['a'], sequence: 3 }, 'what was kept goes before what was given');
  again.federation.close();
  const spec = { trustDomain: 'hand.example', bundle: { keys: [] } };
  await first.resources.apply([{ kind: 'FederatedTrustDomain', metadata: { name: 'hand', namespace: 'mesh' }, spec }]);
  await new Fixture(first.resources, []).federation.start();
  deepEqual(
    (await first.resources.list()).map(({ metadata }) => metadata.name),
    ['hand'],
  );
});

const WRONG: readonly [what: string, domain: Partial<FederatedDomain>][] = [
  ['our own trust domain', { trustDomain: 'skein.mesh' }],
  ['no trust domain', { trustDomain: 'A B' }],
  ['an endpoint without TLS', { bundleEndpoint: 'http://partner.example/' }],
  ['an endpoint that is no URL', { bundleEndpoint: 'partner.example' }],
  ['an endpoint with a password', { bundleEndpoint: 'https://a:b@partner.example/' }],
  ['another profile', { profile: 'https_spiffe' as 'https_web' }],
];

for (const [what, wrong] of WRONG) {
  test(`A hub does not start with ${what}`, async () => {
    const domain = { trustDomain: PARTNER, bundleEndpoint: 'https://partner.example/', ...wrong };
    await rejects(createHub(platform, { federation: [domain] }), { code: 'SKEIN_CONFIG' });
  });
}

test('A FederatedTrustDomain is understood whole or not at all, and is for the mesh', async (t) => {
  const [key] = await keysFor(t, 'a');
  const read = (spec: unknown, namespace = 'mesh') => {
    const parsed = parseFederatedTrustDomain({
      kind: 'FederatedTrustDomain',
      metadata: { name: 'a', namespace },
      spec,
    });
    return 'issues' in parsed ? parsed.issues[0]?.path : undefined;
  };
  const good = { trustDomain: PARTNER, bundle: { keys: [key], spiffe_sequence: 1 } };
  equal(read(good), undefined);
  equal(read(good, 'default'), 'metadata.namespace');
  equal(read({ ...good, trustDomain: 'A' }), 'spec.trustDomain');
  equal(read({ ...good, bundle: { keys: [{ ...key, d: 'secret' }] } }), 'spec.bundle.keys[0].d');
  equal(read({ ...good, bundle: { keys: [key, key] } }), 'spec.bundle.keys');
  equal(read({ ...good, bundle: { keys: [{ ...key, use: 'sig' }] } }), 'spec.bundle.keys[0].use');
  equal(read({ ...good, more: 1 }), 'spec.more');
});

test('Two meshes of two trust domains: each believes the tokens of the other, for its audience, by policies of its own', async (t) => {
  const there = await LocalMesh.start(t, { trustDomain: PARTNER });
  const endpoint = `http://${there.hub.address}/.well-known/spiffe-bundle`;
  const published = (await (await fetch(endpoint)).json()) as Readonly<Record<string, unknown>>;
  ok(Number.isSafeInteger(published.spiffe_sequence) && Number.isSafeInteger(published.spiffe_refresh_hint));
  const here = await LocalMesh.start(t, { federation: [{ trustDomain: PARTNER, bundleEndpoint: endpoint }] });
  const { mesh: cart } = await there.join(['cart']);
  const { mesh: web, log } = await here.join(['web']);
  await log.waitFor('trust-domains-changed');
  const audience = 'https://shop.example.com';
  const { token } = await cart.token({ audience });
  const found = await web.verifyToken(token, { audience });
  equal(found.id, `spiffe://${PARTNER}/ns/default/sa/cart`);
  await rejects(web.verifyToken(token, { audience: 'https://other.example.com' }), { code: 'SKEIN_IDENTITY' });
  await rejects(cart.verifyToken((await web.token({ audience })).token, { audience }), { code: 'SKEIN_IDENTITY' });

  const app = await startHttpApp(t, ({ headers }, response) => response.end(String(headers['x-partner'])));
  const { sidecar, log: calleeLog } = await startSidecar(t, here, {
    services: ['api'],
    expose: [{ service: 'api', target: `http://${app.address}` }],
  });
  ok(sidecar);
  const outputClaimToHeaders = [{ header: 'x-partner', claim: 'sub' }];
  await here.hub.apply([
    {
      kind: 'RequestAuthentication',
      metadata: { name: 'partners' },
      spec: { jwtRules: [{ trustDomain: PARTNER, audiences: [audience], outputClaimToHeaders }] },
    },
    {
      kind: 'AuthorizationPolicy',
      metadata: { name: 'allow-same-namespace' },
      spec: {
        allow: [
          { from: [{ claims: { 'spiffe.trust_domain': [PARTNER], sub: [`spiffe://${PARTNER}/ns/default/*`] } }] },
        ],
      },
    },
  ]);
  while (!JSON.stringify(calleeLog.of('policies-changed')).includes('partners'))
    await calleeLog.waitFor('policies-changed', calleeLog.of('policies-changed').length + 1);
  const call = async (bearer?: string): Promise<string> => {
    const headers: Record<string, string> = bearer === undefined ? {} : { authorization: `Bearer ${bearer}` };
    const reply = await web.fetch('http://api.mesh/', { headers });
    return `${reply.status} ${reply.ok ? await reply.text() : reply.headers.get('x-skein-reason')}`;
  };
  equal(await call(), '403 authz');
  equal(await call(token), `200 spiffe://${PARTNER}/ns/default/sa/cart`);
  equal(await call((await cart.token({ audience: 'https://other.example.com' })).token), '401 user-token-invalid');
  equal(await call((await web.token({ audience })).token), '401 user-token-invalid', 'another trust domain');
  await here.hub.apply([
    {
      kind: 'RequestAuthentication',
      metadata: { name: 'own' },
      spec: { jwtRules: [{ trustDomain: 'skein.mesh', audiences: [audience] }] },
    },
  ]);
  while (!JSON.stringify(calleeLog.of('policies-changed')).includes('default/own'))
    await calleeLog.waitFor('policies-changed', calleeLog.of('policies-changed').length + 1);
  equal(await call((await web.token({ audience })).token), '403 authz', 'believed, and no policy is for it');
  equal(await call(token), `200 spiffe://${PARTNER}/ns/default/sa/cart`);
  match(JSON.stringify(calleeLog.of('user-token-refused').at(-1)?.fields), /"why":"issuer"/);
});

test('The keys of one trust domain say nothing about another', async (t) => {
  const there = await LocalMesh.start(t, { trustDomain: PARTNER });
  const third = await LocalMesh.start(t, { trustDomain: 'third.example' });
  const url = ({ hub }: LocalMesh): string => `http://${hub.address}/.well-known/spiffe-bundle`;
  // The bundle of one under the name of the other.
  const federation = [
    { trustDomain: PARTNER, bundleEndpoint: url(third) },
    { trustDomain: 'third.example', bundleEndpoint: url(there) },
  ];
  const here = await LocalMesh.start(t, { federation });
  const { mesh: web, log } = await here.join(['web']);
  while (!log.of('trust-domains-changed').some(({ fields }) => (fields.federated as unknown[]).length === 2))
    await log.waitFor('trust-domains-changed', log.of('trust-domains-changed').length + 1);
  const audience = 'https://shop.example.com';
  const { mesh: cart } = await there.join(['cart']);
  const { token } = await cart.token({ audience });
  await rejects(web.verifyToken(token, { audience }), { code: 'SKEIN_IDENTITY' });
});
