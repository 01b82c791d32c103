/** Ways in by a platform: tokens as Kubernetes, GitHub and others make them, from an issuer on a real socket; each once. */

import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { SkeinError } from '../../../src/core/errors.ts';
import { createHub, type Hub } from '../../../src/hub/hub.ts';
import { PlatformTrust, type TrustedPlatform } from '../../../src/hub/platform-trust.ts';
import { MemoryStore } from '../../../src/hub/store/memory.ts';
import { createMesh } from '../../../src/node.ts';
import { nodePlatform } from '../../../src/runtime/node/platform.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { EventLog } from '../../support/event-log.ts';
import { printFigures } from '../../support/figures.ts';
import { createIdentity, HubClient } from '../../support/hub-client.ts';
import { type Claims, OidcIssuer } from '../../support/oidc-issuer.ts';

const platform = nodePlatform();
const AUDIENCE = 'skein://skein.mesh';
const NOW = 1_700_000_000;

/** As a projected service account token of Kubernetes 1.30 has them. */
const KUBERNETES: Claims = {
  aud: [AUDIENCE],
  exp: NOW + 3600,
  iat: NOW,
  nbf: NOW,
  jti: '3c6f8a2e-7d1b-4e0f-9a51-0d2b8f6c1e77',
  sub: 'system:serviceaccount:shop:checkout',
  'kubernetes.io': {
    namespace: 'shop',
    node: { name: 'node-1', uid: '1b7c' },
    pod: { name: 'checkout-7d4b9c-x2x7p', uid: '4a5e' },
    serviceaccount: { name: 'checkout', uid: '9f0d' },
  },
};

/** As GitHub Actions has them, less what is of the same kind. */
const GITHUB: Claims = {
  aud: AUDIENCE,
  exp: NOW + 300,
  iat: NOW,
  nbf: NOW - 600,
  jti: 'f5b9a1e2-0c7d-4b6a-8f43-2d1e0c9b8a76',
  sub: 'repo:octo-org/octo-repo:ref:refs/heads/main',
  repository: 'octo-org/octo-repo',
  repository_owner: 'octo-org',
  repository_id: '74',
  ref: 'refs/heads/main',
  ref_type: 'branch',
  environment: 'production',
  job_workflow_ref: 'octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main',
  runner_environment: 'github-hosted',
};

const kubernetes = (issuer: OidcIssuer): TrustedPlatform => ({
  issuer: issuer.url,
  audience: AUDIENCE,
  claims: { 'kubernetes.io.namespace': ['shop', 'pay'] },
  id: 'ns/{kubernetes.io.namespace}/sa/{kubernetes.io.serviceaccount.name}',
  algorithms: ['RS256', 'ES256'],
});

class Fixture {
  readonly clock = new VirtualClock({ epochMs: NOW * 1000 });
  readonly store = new MemoryStore();
  readonly log = new EventLog();
  readonly trust: PlatformTrust;

  constructor(trusted: readonly TrustedPlatform[], maxTokens = 100) {
    const { log, store } = this;
    const shared = { ...platform, clock: this.clock };
    this.trust = new PlatformTrust({ platform: shared, store, log, trustDomain: 'skein.mesh', trusted, maxTokens });
  }

  /** `id services`, or the code of the refusal. */
  async admit(token: string, by = 'thumbprint-1'): Promise<string> {
    try {
      const { id, services } = await this.trust.admit(token, by);
      return [id.uri, ...services].join(' ');
    } catch (thrown) {
      return (thrown as SkeinError).code;
    }
  }
}

test('Kubernetes, GitHub Actions and others: their claims make names of the mesh', async (t) => {
  const issuer = await OidcIssuer.start(t, 'RS256');
  const github = {
    issuer: issuer.url,
    audience: AUDIENCE,
    claims: { repository: 'octo-org/octo-repo', ref: 'refs/heads/main' },
  };
  const cases: readonly [TrustedPlatform, Claims, string][] = [
    [kubernetes(issuer), KUBERNETES, 'spiffe://skein.mesh/ns/shop/sa/checkout checkout.shop'],
    [
      { ...kubernetes(issuer), services: ['{kubernetes.io.serviceaccount.name}', 'api'] },
      KUBERNETES,
      'spiffe://skein.mesh/ns/shop/sa/checkout checkout.shop api.shop',
    ],
    [{ ...kubernetes(issuer), services: [] }, KUBERNETES, 'spiffe://skein.mesh/ns/shop/sa/checkout'],
    [
      { ...kubernetes(issuer), claims: { sub: 'system:serviceaccount:shop:*' } },
      KUBERNETES,
      'spiffe://skein.mesh/ns/shop/sa/checkout checkout.shop',
    ],
    [{ ...kubernetes(issuer), claims: { 'kubernetes.io.namespace': 'pay' } }, KUBERNETES, 'SKEIN_TOKEN_INVALID'],
    [{ ...github, id: 'ns/ci/sa/deploy' }, GITHUB, 'spiffe://skein.mesh/ns/ci/sa/deploy deploy.ci'],
    [{ ...github, id: 'ns/ci/sa/repo-{repository_id}', services: [] }, GITHUB, 'spiffe://skein.mesh/ns/ci/sa/repo-74'],
    [{ ...github, id: 'ns/ci/sa/deploy' }, { ...GITHUB, ref: 'refs/heads/evil' }, 'SKEIN_TOKEN_INVALID'],
    [{ ...github, id: 'ns/ci/sa/deploy' }, { ...GITHUB, repository: 'octo-org/octo-repo-fork' }, 'SKEIN_TOKEN_INVALID'],
    // A value with a slash is no part of a name.
    [{ ...github, id: 'ns/ci/sa/{repository}' }, GITHUB, 'SKEIN_TOKEN_INVALID'],
    [
      { issuer: issuer.url, audience: 'mesh', claims: { groups: 'agents', level: '3' }, id: 'ns/edge/sa/{sub}' },
      { aud: ['other', 'mesh'], exp: NOW + 60, sub: 'box.7', groups: ['users', 'agents'], level: 3 },
      'spiffe://skein.mesh/ns/edge/sa/box.7',
    ],
  ];
  for (const [trusted, claims, expected] of cases) {
    const fixture = new Fixture([trusted]);
    equal(await fixture.admit(await issuer.sign(claims)), expected, JSON.stringify(trusted));
  }
});

test('The first entry that fits decides, also where two are for one issuer and other audiences', async (t) => {
  const issuer = await OidcIssuer.start(t);
  const other: TrustedPlatform = { ...kubernetes(issuer), audience: 'other', id: 'ns/shop/sa/other' };
  const fixture = new Fixture([other, kubernetes(issuer), { ...kubernetes(issuer), id: 'ns/shop/sa/never' }]);
  equal(await fixture.admit(await issuer.sign(KUBERNETES)), 'spiffe://skein.mesh/ns/shop/sa/checkout checkout.shop');
  equal(
    await fixture.admit(await issuer.sign({ ...KUBERNETES, aud: 'other' })),
    'spiffe://skein.mesh/ns/shop/sa/other other.shop',
  );
  // All three share one copy of the keys.
  deepEqual(issuer.asked, ['/.well-known/openid-configuration', '/keys']);
});

test('Every mutant of a good token is refused with one answer, and nothing is fetched for it', async (t) => {
  const issuer = await OidcIssuer.start(t);
  const stranger = await OidcIssuer.start(t);
  const fixture = new Fixture([kubernetes(issuer)]);
  const namespaced = (change: Claims): Claims => ({
    'kubernetes.io': { ...(KUBERNETES['kubernetes.io'] as Claims), ...change },
  });
  const good = await issuer.sign(KUBERNETES);
  const claims: readonly Claims[] = [
    ...[undefined, '', 'x', stranger.url, `${issuer.url}/`, issuer.url.toUpperCase(), [issuer.url], null].map(
      (iss) => ({ iss }),
    ),
    ...[undefined, '', 7, null].map((sub) => ({ sub })),
    ...[
      undefined,
      [],
      '',
      'https://kubernetes.default.svc',
      `${AUDIENCE}/`,
      [['x']],
      [AUDIENCE, 7],
      { 0: AUDIENCE },
    ].map((aud) => ({ aud })),
    ...[undefined, null, '1900000000', -1, 1e300, NOW + 0.5, NOW + 86_401].map((exp) => ({ exp })),
    { nbf: '1' },
    { iat: '1' },
    { cnf: { jkt: 'x' } },
    ...['.', '..', 'a/b', 'A', 'shop ', '%2e', '', 7, null, ['shop'], 'skein', 'mesh'].map((namespace) =>
      namespaced({ namespace }),
    ),
    ...['.', '..', 'a/../b', 'a b', '', 'ü', 7, undefined].map((name) => namespaced({ serviceaccount: { name } })),
    { 'kubernetes.io': undefined },
    { 'kubernetes.io': 'shop' },
    // Two ways to read one path: none is taken.
    { 'kubernetes.io.namespace': 'pay' },
    { kubernetes: { io: { namespace: 'pay' } } },
  ];
  const headers: readonly Claims[] = [
    ...['at+jwt', 'wit+jwt', 'jwt', 7].map((typ) => ({ typ })),
    ...[undefined, 'key-2', '', 7].map((kid) => ({ kid })),
    ...['jku', 'jwk', 'x5u', 'x5c', 'zip', 'nonce'].map((name) => ({ [name]: `${stranger.url}/keys` })),
  ];
  const foreign = await stranger.sign({ ...KUBERNETES, iss: issuer.url }, { kid: 'key-1' });
  const [head = '', body = '', signature = ''] = good.split('.');
  const texts = [
    ...[
      '',
      'a.b.c',
      `${good}.`,
      ` ${good}`,
      `${good}=`,
      `${head}.${body}.`,
      `${head}.${body}`,
      `${good}${'A'.repeat(8192)}`,
    ],
    `${head}.${body}.${signature.slice(0, -4)}AAAA`,
    `${Buffer.from('{"alg":"none","kid":"key-1"}').toString('base64url')}.${body}.${signature}`,
    `${Buffer.from('{"alg":"HS256","kid":"key-1"}').toString('base64url')}.${body}.${signature}`,
    foreign,
  ];
  const mutants = [
    ...texts,
    ...(await Promise.all(claims.map((change) => issuer.sign({ ...KUBERNETES, ...change })))),
    ...(await Promise.all(headers.map((change) => issuer.sign(KUBERNETES, change)))),
  ];
  for (const alg of ['RS512', 'PS256', 'ES384']) {
    const key = await issuer.addKey(alg);
    mutants.push(await issuer.sign(KUBERNETES, {}, key));
    issuer.keys.pop();
  }
  const answers = new Set<string>();
  for (const mutant of mutants) {
    const error: SkeinError = await fixture.trust.admit(mutant, 'thumbprint-1').then(
      () => Promise.reject(new Error(`accepted: ${mutant}`)),
      (thrown) => thrown,
    );
    answers.add(error.code);
  }
  printFigures('mutants of a platform token', { mutants: mutants.length, accepted: 0, codes: [...answers] });
  deepEqual([...answers], ['SKEIN_TOKEN_INVALID']);
  ok(mutants.length >= 80, String(mutants.length));
  deepEqual(stranger.asked, []);
  deepEqual(await fixture.store.list(''), []);
  // What came before has used nothing up.
  equal(await fixture.admit(good), 'spiffe://skein.mesh/ns/shop/sa/checkout checkout.shop');
});

test('Its time is judged with 30 s of leeway, and said so', async (t) => {
  const issuer = await OidcIssuer.start(t);
  const fixture = new Fixture([kubernetes(issuer)]);
  for (const [change, expected] of [
    [{ exp: NOW - 29 }, 'spiffe://skein.mesh/ns/shop/sa/checkout checkout.shop'],
    [{ exp: NOW - 30 }, 'SKEIN_TOKEN_EXPIRED'],
    [{ nbf: NOW + 30 }, 'spiffe://skein.mesh/ns/shop/sa/checkout checkout.shop'],
    [{ nbf: NOW + 31 }, 'SKEIN_TOKEN_EXPIRED'],
  ] as const) {
    equal(await fixture.admit(await issuer.sign({ ...KUBERNETES, ...change })), expected, JSON.stringify(change));
  }
});

/** The other signature that everybody can make of one with P-256: (r, n − s). */
function mirrorSignature(token: string): string {
  const order = 0xffffffff_00000000_ffffffff_ffffffff_bce6faad_a7179e84_f3b9cac2_fc632551n;
  const [head, claims, signature = ''] = token.split('.');
  const bytes = Buffer.from(signature, 'base64url');
  const s = order - BigInt(`0x${bytes.subarray(32).toString('hex')}`);
  const mirrored = Buffer.concat([bytes.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')]);
  return `${head}.${claims}.${mirrored.toString('base64url')}`;
}

test('A token works once: for one key, which may ask again for a minute, until it would have expired', async (t) => {
  const issuer = await OidcIssuer.start(t);
  const fixture = new Fixture([kubernetes(issuer)], 3);
  const token = await issuer.sign(KUBERNETES);
  const taken = 'spiffe://skein.mesh/ns/shop/sa/checkout checkout.shop';
  equal(await fixture.admit(token), taken);
  equal(await fixture.admit(token, 'thief'), 'SKEIN_TOKEN_USED');
  equal(await fixture.admit(token), taken);
  // Another signature over the same is the same token.
  const again = mirrorSignature(token);
  ok(again !== token);
  equal(await fixture.admit(again, 'thief'), 'SKEIN_TOKEN_USED');
  fixture.clock.advance(60_001);
  equal(await fixture.admit(token), 'SKEIN_TOKEN_USED');
  await fixture.trust.sweep();
  equal(await fixture.admit(token), 'SKEIN_TOKEN_USED');
  for (const jti of ['b', 'c']) equal(await fixture.admit(await issuer.sign({ ...KUBERNETES, jti })), taken);
  equal(await fixture.admit(await issuer.sign({ ...KUBERNETES, jti: 'd' })), 'SKEIN_LIMIT');
  fixture.clock.advance(3_700_000 + 300_000);
  equal(await fixture.admit(token, 'thief'), 'SKEIN_TOKEN_EXPIRED');
  const iat = Math.floor(fixture.clock.epochMs() / 1000);
  equal(await fixture.admit(await issuer.sign({ ...KUBERNETES, exp: iat + 60, jti: 'e' })), taken);
  equal((await fixture.store.list('')).length, 1);
  const text = JSON.stringify([await fixture.store.list(''), fixture.log.lines]);
  ok(
    ![token, again].some((each) => text.includes(each.slice(-40)) || text.includes(each.slice(0, 60))),
    'a token was kept',
  );
});

test('Who is refused for what it is has not used its token up', async (t) => {
  const issuer = await OidcIssuer.start(t);
  const fixture = new Fixture([kubernetes(issuer)]);
  const token = await issuer.sign(KUBERNETES);
  const refuse = (): never => {
    throw new SkeinError('SKEIN_REVOKED', 'Cannot enrol: revoked');
  };
  await rejects(fixture.trust.admit(token, 'thumbprint-1', refuse), { code: 'SKEIN_REVOKED' });
  deepEqual(await fixture.store.list(''), []);
  match(await fixture.admit(token, 'thumbprint-2'), /^spiffe:/);
});

test('Two at once with one token: one is let in', async (t) => {
  const issuer = await OidcIssuer.start(t);
  const fixture = new Fixture([kubernetes(issuer)]);
  const token = await issuer.sign(KUBERNETES);
  const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => fixture.admit(token, `key-${i}`)));
  equal(answers.filter((answer) => answer.startsWith('spiffe:')).length, 1);
  equal(answers.filter((answer) => answer === 'SKEIN_TOKEN_USED').length, 19);
});

test('New keys of the issuer are found, but it is asked for them no more than every 30 s', async (t) => {
  const issuer = await OidcIssuer.start(t);
  const fixture = new Fixture([kubernetes(issuer)]);
  let number = 0;
  const fresh = (header: Claims = {}): Promise<string> => issuer.sign({ ...KUBERNETES, jti: `${number++}` }, header);
  const keysAsked = (): number => issuer.asked.filter((path) => path === '/keys').length;
  match(await fixture.admit(await fresh()), /^spiffe:/);
  equal(keysAsked(), 1);
  await issuer.addKey();
  equal(await fixture.admit(await fresh()), 'SKEIN_TOKEN_INVALID');
  fixture.clock.advance(30_000);
  match(await fixture.admit(await fresh()), /^spiffe:/);
  equal(keysAsked(), 2);
  for (let i = 0; i < 1000; i++) equal(await fixture.admit(await fresh({ kid: `none-${i}` })), 'SKEIN_TOKEN_INVALID');
  equal(keysAsked(), 2);
  printFigures('unknown keys', { tokens: 1000, fetches: keysAsked() - 2 });
  // A key that was withdrawn is good for 5 minutes more at most.
  const withdrawn = issuer.keys.shift();
  fixture.clock.advance(300_000);
  equal(await fixture.admit(await issuer.sign({ ...KUBERNETES, jti: 'w' }, {}, withdrawn)), 'SKEIN_TOKEN_INVALID');
  equal(keysAsked(), 3);
});

test('An issuer that is away costs nothing for an hour, and then newcomers wait for it', async (t) => {
  const issuer = await OidcIssuer.start(t);
  const fixture = new Fixture([kubernetes(issuer)]);
  let number = 0;
  const iat = (): number => Math.floor(fixture.clock.epochMs() / 1000);
  const fresh = (): Promise<string> => issuer.sign({ ...KUBERNETES, exp: iat() + 60, jti: `${number++}` });
  match(await fixture.admit(await fresh()), /^spiffe:/);
  issuer.answer = (_path, response) => {
    response.writeHead(503).end();
    return true;
  };
  fixture.clock.advance(3_599_000);
  match(await fixture.admit(await fresh()), /^spiffe:/);
  fixture.clock.advance(31_000);
  equal(await fixture.admit(await fresh()), 'SKEIN_REFUSED');
  issuer.answer = undefined;
  fixture.clock.advance(31_000);
  match(await fixture.admit(await fresh()), /^spiffe:/);
});

test('Documents that lie are not believed, and no redirect is followed', async (t) => {
  const issuer = await OidcIssuer.start(t);
  const elsewhere = await OidcIssuer.start(t);
  const good = await issuer.sign(KUBERNETES);
  const reply =
    (at: string, status: number, body: string, headers: Record<string, string> = {}): OidcIssuer['answer'] =>
    (path, response) => {
      if (path !== at) return false;
      response.writeHead(status, headers).end(body);
      return true;
    };
  const [discovery, keys] = ['/.well-known/openid-configuration', '/keys'];
  const set = { keys: issuer.keys.map(({ jwk }) => jwk) };
  const lies: readonly [what: string, discovery: Claims, answer?: OidcIssuer['answer']][] = [
    ['another issuer', { issuer: elsewhere.url }],
    ['no issuer', { issuer: undefined }],
    ['no keys', { jwks_uri: undefined }],
    ['keys over http elsewhere', { jwks_uri: 'http://keys.example.com/' }],
    ['keys in a file', { jwks_uri: 'file:///etc/passwd' }],
    ['keys with a password', { jwks_uri: `http://a:b@127.0.0.1:1/` }],
    ['a redirect of the discovery', {}, reply(discovery, 302, '', { location: `${elsewhere.url}${discovery}` })],
    ['a redirect of the keys', {}, reply(keys, 307, '', { location: `${elsewhere.url}/keys` })],
    ['an error', {}, reply(keys, 500, JSON.stringify(set))],
    ['no JSON', {}, reply(keys, 200, 'keys')],
    ['a list', {}, reply(keys, 200, '[]')],
    ['a member twice', {}, reply(keys, 200, `{"keys":[],"keys":${JSON.stringify(set.keys)}}`)],
    ['one key id twice', {}, reply(keys, 200, JSON.stringify({ keys: [...set.keys, ...set.keys] }))],
    ['101 keys', {}, reply(keys, 200, JSON.stringify({ keys: Array.from({ length: 101 }, () => set.keys[0]) }))],
    ['more than 512 KiB', {}, reply(keys, 200, JSON.stringify({ ...set, z: 'z'.repeat(600_000) }))],
    ['no answer in time', {}, (path) => path === keys],
  ];
  for (const [what, change, answer] of lies) {
    issuer.discovery = change;
    issuer.answer = answer;
    const fixture = new Fixture([kubernetes(issuer)]);
    equal(await fixture.admit(good), 'SKEIN_REFUSED', what);
    equal(fixture.log.of('document-not-fetched').length, 1, what);
  }
  deepEqual(elsewhere.asked, []);
});

test('Keys that are too weak, of another use or of another kind are as if they were not there', async (t) => {
  const issuer = await OidcIssuer.start(t, 'RS256');
  const { jwk = {} } = issuer.keys[0] ?? {};
  const token = await issuer.sign(KUBERNETES);
  const sets: readonly (readonly [string, Claims, string])[] = [
    ['as it is', jwk, 'spiffe://skein.mesh/ns/shop/sa/checkout checkout.shop'],
    [
      'without use and algorithm',
      { ...jwk, use: undefined, alg: undefined },
      'spiffe://skein.mesh/ns/shop/sa/checkout checkout.shop',
    ],
    ['for encryption', { ...jwk, use: 'enc' }, 'SKEIN_TOKEN_INVALID'],
    ['for another algorithm', { ...jwk, alg: 'RS512' }, 'SKEIN_TOKEN_INVALID'],
    ['of 1,024 bits', { ...jwk, n: 'A'.repeat(171) }, 'SKEIN_TOKEN_INVALID'],
    ['with leading zeros', { ...jwk, n: `${'A'.repeat(400)}${String(jwk.n).slice(0, 100)}` }, 'SKEIN_TOKEN_INVALID'],
    ['with an exponent of 8 bytes', { ...jwk, e: 'AQAAAAAAAAE' }, 'SKEIN_TOKEN_INVALID'],
    ['a shared secret', { kty: 'oct', k: 'AAAA', kid: 'key-1' }, 'SKEIN_TOKEN_INVALID'],
    ['Ed25519', { kty: 'OKP', crv: 'Ed25519', x: 'A'.repeat(43), kid: 'key-1' }, 'SKEIN_TOKEN_INVALID'],
    ['without an id', { ...jwk, kid: undefined }, 'SKEIN_TOKEN_INVALID'],
  ];
  for (const [what, key, expected] of sets) {
    issuer.answer = (path, response) => {
      if (path === '/keys') response.end(JSON.stringify({ keys: [key] }));
      return path === '/keys';
    };
    equal(await new Fixture([kubernetes(issuer)]).admit(token), expected, what);
  }
});

test('What a hub is told to trust is checked when it starts', async () => {
  const good: TrustedPlatform = {
    issuer: 'https://ci.example.com',
    audience: 'mesh',
    claims: { sub: 'x' },
    id: 'ns/ci/sa/x',
  };
  const wrong: readonly [string, Partial<TrustedPlatform>][] = [
    ...[
      'http://ci.example.com',
      'ci.example.com',
      'https://a:b@ci.example.com',
      'https://ci.example.com/?a',
      'ftp://x',
      '',
    ].map((issuer): [string, Partial<TrustedPlatform>] => [`issuer ${issuer}`, { issuer }]),
    ['keys over http', { jwks: 'http://ci.example.com/keys' }],
    ['no audience', { audience: '' }],
    ['no claims', { claims: {} }],
    ...[['HS256'], ['none'], ['EdDSA'], ['ES256K'], ['RS256', 'HS512'], []].map(
      (algorithms): [string, Partial<TrustedPlatform>] => [`algorithms ${algorithms}`, { algorithms }],
    ),
    ...[
      '',
      'x',
      'ns/a',
      'ns/a/sa/',
      'ns//sa/x',
      'sa/x/ns/a',
      'ns/a/sa/x/y',
      '/ns/a/sa/x',
      'ns/a/sa/{b}-{c}',
      'ns/a/sa/{b',
      'ns/a/sa/b}',
      'ns/a/sa/{}',
      'ns/a/sa/é',
      'ns/skein/sa/hub',
      'ns/mesh/sa/x',
    ].map((id): [string, Partial<TrustedPlatform>] => [`id ${id}`, { id }]),
    ['a service that is a template of two', { services: ['{a}{b}'] }],
  ];
  for (const [what, change] of wrong) {
    await rejects(createHub(platform, { trust: [{ ...good, ...change }] }), { code: 'SKEIN_CONFIG' }, what);
  }
});

async function startTrusting(
  t: TestContext,
  issuer: OidcIssuer,
  dataFolder?: string,
): Promise<{ hub: Hub; log: EventLog; thumbprint: string }> {
  const log = new EventLog();
  const hub = await createHub(platform, {
    log,
    trust: [kubernetes(issuer)],
    ...(dataFolder === undefined ? {} : { dataFolder }),
  });
  t.after(() => hub.close());
  return { hub, log, thumbprint: String(log.of('hub-listening')[0]?.fields.thumbprint) };
}

const current = (): Claims => {
  const now = Math.floor(Date.now() / 1000);
  return { ...KUBERNETES, iat: now, nbf: now, exp: now + 3600 };
};

test('A member joins with the token of its platform and the thumbprint of its hub, serves, and comes back by its identity', async (t) => {
  const issuer = await OidcIssuer.start(t);
  const data = mkdtempSync(join(tmpdir(), 'skein-platform-'));
  t.after(() => rmSync(data, { recursive: true, force: true }));
  const { hub, log, thumbprint } = await startTrusting(t, issuer);
  const token = await issuer.sign(current());
  const options = { hub: hub.url, token, hubThumbprint: ['A'.repeat(43), thumbprint], data, direct: false } as const;
  await hub.apply([
    {
      kind: 'AuthorizationPolicy',
      metadata: { name: 'own', namespace: 'shop' },
      spec: { allow: [{ from: [{ namespaces: ['shop'] }] }] },
    },
  ]);
  const mesh = await createMesh(options);
  equal(mesh.id, 'spiffe://skein.mesh/ns/shop/sa/checkout');
  await mesh.serve('checkout', () => new Response('here'));
  equal(await (await mesh.fetch('http://checkout.mesh/')).text(), 'here');
  await mesh.close();
  // The used token beside its identity does no harm.
  const again = await createMesh(options);
  equal(again.id, mesh.id);
  await again.close();
  deepEqual(
    log.of('platform-token-taken').map(({ fields }) => [fields.issuer, fields.subject]),
    [[issuer.url, 'system:serviceaccount:shop:checkout']],
  );
  await rejects(createMesh({ ...options, data: undefined }), { code: 'SKEIN_TOKEN_USED' });
});

test('A newcomer shows its token to nobody but the hub that it knows, and does not start without knowing one', async (t) => {
  const issuer = await OidcIssuer.start(t);
  const { hub, thumbprint } = await startTrusting(t, issuer);
  const rogue = await startTrusting(t, issuer);
  const token = await issuer.sign(current());
  const options = { token, direct: false } as const;
  await rejects(createMesh({ ...options, hub: rogue.hub.url, hubThumbprint: thumbprint }), { code: 'SKEIN_IDENTITY' });
  await rejects(createMesh({ ...options, hub: hub.url }), { code: 'SKEIN_CONFIG' });
  for (const hubThumbprint of ['', 'x', `${thumbprint}=`]) {
    await rejects(createMesh({ ...options, hub: hub.url, hubThumbprint }), { code: 'SKEIN_CONFIG' });
  }
  deepEqual([rogue.log.of('platform-token-taken').length, rogue.log.of('token-refused').length], [0, 0]);
  const mesh = await createMesh({ ...options, hub: hub.url, hubThumbprint: thumbprint });
  await mesh.close();
});

test('A token is no way in to a hub that trusts no platform, nor for a name that is not of its claims', async (t) => {
  const issuer = await OidcIssuer.start(t);
  const { hub, log, thumbprint } = await startTrusting(t, issuer);
  const client = await HubClient.connect(
    platform,
    hub.url,
    await createIdentity(),
    await issuer.sign(current()),
    undefined,
    {
      thumbprints: [thumbprint],
      trustDomain: 'skein.mesh',
    },
  );
  t.after(() => client.close());
  await rejects(client.register('api.shop'), { code: 'SKEIN_NAME_NOT_GRANTED' });
  await client.register('checkout.shop');
  ok(!JSON.stringify(log.lines).includes('eyJ'), 'a token was logged');
  const plainLog = new EventLog();
  const plain = await createHub(platform, { log: plainLog });
  t.after(() => plain.close());
  const known = { hubThumbprint: String(plainLog.of('hub-listening')[0]?.fields.thumbprint), direct: false } as const;
  const token = await issuer.sign({ ...current(), jti: 'other' });
  await rejects(createMesh({ hub: plain.url, token, ...known }), { code: 'SKEIN_TOKEN_INVALID' });
});
