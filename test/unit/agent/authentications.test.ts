/** Tokens of end users at a member: what is believed, for how long, and how often an issuer is asked, with issuers on real sockets. */

import { deepEqual, equal, notEqual, ok } from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Authentications } from '../../../src/agent/authentications.ts';
import { createIdentityKey, toThumbprint } from '../../../src/auth/key-pair.ts';
import type { Authentication } from '../../../src/auth/request-authenticator.ts';
import { valueOrThrow } from '../../../src/catalog/issue.ts';
import { parseRequestAuthentication } from '../../../src/catalog/request-authentication.ts';
import { nodePlatform } from '../../../src/runtime/node/platform.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { EventLog } from '../../support/event-log.ts';
import { printFigures } from '../../support/figures.ts';
import { startHttpApp } from '../../support/local-sidecars.ts';
import { type Claims, OidcIssuer } from '../../support/oidc-issuer.ts';
import { TokenForge } from '../../support/token-forge.ts';
import { claim, header, type Mutant, swap, TOKEN_MUTANTS } from '../../support/token-mutants.ts';

const NOW = 1_700_000_000;
const AUDIENCE = 'https://api.example.com';
const ALICE: Claims = { sub: 'alice', aud: AUDIENCE, iat: NOW, exp: NOW + 3600 };

class Fixture {
  readonly clock = new VirtualClock({ epochMs: NOW * 1000 });
  readonly log = new EventLog();
  readonly authentications = new Authentications({ ...nodePlatform(), clock: this.clock }, this.log, {
    trustDomain: 'test.mesh',
    keysOf: () => undefined,
    isRevoked: () => false,
  });

  constructor(...jwtRules: readonly object[]) {
    this.rule(...jwtRules);
  }

  /** These rules hold for every service of `default`. */
  rule(...jwtRules: readonly object[]): void {
    const metadata = { name: 'users', namespace: 'default' };
    const manifest = { kind: 'RequestAuthentication', metadata, spec: { jwtRules } };
    this.authentications.replace(
      jwtRules.length === 0 ? [] : [valueOrThrow(parseRequestAuthentication(manifest), 'it')],
    );
  }

  look(...fields: readonly string[]): Authentication | Promise<Authentication> {
    return this.lookFor('spiffe://test.mesh/ns/default/sa/web', fields);
  }

  lookFor(caller: string, fields: readonly string[]): Authentication | Promise<Authentication> {
    const found = this.authentications.of('api.default')?.authenticate(fields, caller);
    ok(found !== undefined, 'nobody looks');
    return found;
  }

  /** What comes of a bearer token: its subject, or what is wrong with it. */
  async ask(token: string): Promise<unknown> {
    const found = await this.look('authorization', `Bearer ${token}`);
    return typeof found === 'string' ? found : found.claims.sub;
  }
}

const by = (issuer: OidcIssuer, rule: object = {}): object => ({ issuer: issuer.url, audiences: [AUDIENCE], ...rule });

async function start(t: TestContext, rule: object = {}): Promise<{ issuer: OidcIssuer; users: Fixture }> {
  const issuer = await OidcIssuer.start(t);
  return { issuer, users: new Fixture(by(issuer, rule)) };
}

test('A service for which nothing is said looks at no token; one for which something is finds none in most requests', async (t) => {
  const { users } = await start(t);
  equal(users.authentications.of('api.other'), undefined);
  for (const fields of [[], ['authorization', 'Basic YTpi'], ['authorization', 'Bearers x'], ['x-token', 'Bearer x']])
    deepEqual(users.look(...fields), { claims: {}, vouchers: undefined, fields: [], spent: [] });
});

test('A token is believed: its claims by their paths, numbers as text, scopes as a list; a second time without waiting', async (t) => {
  const { issuer, users } = await start(t);
  const token = await issuer.sign({
    ...ALICE,
    scope: 'read write',
    realm_access: { roles: ['admin', 7, { no: 1 }] },
    admin: true,
    level: 3,
    nothing: null,
    'https://example.com/tenant': 'a',
  });
  const found = await users.look('authorization', `bearer ${token}`);
  ok(typeof found === 'object');
  deepEqual(
    { ...found.claims },
    {
      ...{ iss: issuer.url, sub: 'alice', aud: AUDIENCE, iat: String(NOW), exp: String(NOW + 3600) },
      ...{ scope: ['read', 'write'], 'realm_access.roles': ['admin', '7'], admin: 'true', level: '3' },
      'https://example.com/tenant': 'a',
    },
  );
  deepEqual(found.spent, ['authorization']);
  equal(users.look('authorization', `Bearer ${token}`), found);
});

const WRONG: readonly [what: string, claims: Claims, expected: string][] = [
  ['expired', { exp: NOW - 31 }, 'expired'],
  ['within the leeway', { exp: NOW - 29 }, 'alice'],
  ['not yet good', { nbf: NOW + 31 }, 'early'],
  ['nearly good', { nbf: NOW + 29 }, 'alice'],
  ['another audience', { aud: 'https://other.example.com' }, 'audience'],
  ['no audience', { aud: undefined }, 'audience'],
  ['one of several audiences', { aud: ['x', AUDIENCE] }, 'alice'],
  ['another issuer', { iss: 'https://evil.example.com' }, 'issuer'],
  ['no issuer', { iss: undefined }, 'malformed'],
  ['no end', { exp: undefined }, 'claims'],
  ['no subject', { sub: undefined }, 'claims'],
  ['bound to a key', { cnf: { jkt: 'x' } }, 'claims'],
  ['two claims with one path', { 'a.b': 1, a: { b: 2 } }, 'claims'],
];

for (const [what, claims, expected] of WRONG) {
  test(`A token: ${what}`, async (t) => {
    const { issuer, users } = await start(t);
    equal(await users.ask(await issuer.sign({ ...ALICE, ...claims })), expected);
  });
}

test('Each of the nine algorithms is believed, and no other; a rule may allow fewer', async (t) => {
  for (const alg of ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512']) {
    const issuer = await OidcIssuer.start(t, alg);
    equal(await new Fixture(by(issuer)).ask(await issuer.sign(ALICE)), 'alice', alg);
    const narrow = new Fixture(by(issuer, { algorithms: [alg === 'ES256' ? 'RS256' : 'ES256'] }));
    equal(await narrow.ask(await issuer.sign(ALICE)), 'key', alg);
  }
  const odd = await OidcIssuer.start(t, 'Ed25519');
  equal(await new Fixture(by(odd)).ask(await odd.sign(ALICE)), 'key');
});

test('Access tokens of RFC 9068 are believed; SVIDs, logout tokens and the like are not', async (t) => {
  const { issuer, users } = await start(t);
  for (const typ of ['JWT', 'at+jwt', 'application/at+jwt', undefined])
    equal(await users.ask(await issuer.sign(ALICE, { typ })), 'alice', typ);
  for (const typ of ['wit+jwt', 'logout+jwt', 'dpop+jwt', 'skein-seal+jwt', 1, ''])
    equal(await users.ask(await issuer.sign(ALICE, { typ })), 'header', String(typ));
});

/** What only SVIDs may not have, and more than one space behind the scheme. */
const FINE_FOR_USERS = /^sub (?!as a list)|^header x5t|^a space before$/;

const OWN_MUTANTS: readonly Mutant[] = [
  ...TOKEN_MUTANTS.filter(([name]) => !FINE_FOR_USERS.test(name)),
  header('typ', 'wit+jwt'),
  claim('empty sub', 'sub', ''),
  claim('iss as a list', 'iss', ['https://issuer.test']),
  claim('iss with a slash', 'iss', 'https://issuer.test/'),
  claim('aud as an object', 'aud', {}),
  claim('aud empty', 'aud', []),
  claim('aud in capitals', 'aud', AUDIENCE.toUpperCase()),
  swap('a comma and another token', (token) => `${token}, Bearer ${token}`),
];

test('Whatever is changed in a token, it is not believed any more', async () => {
  const key = await createIdentityKey();
  const kid = await toThumbprint(key.publicJwk);
  const jwks = { keys: [{ ...key.publicJwk, kid, use: 'sig' }] };
  const users = new Fixture({ issuer: 'https://issuer.test', audiences: [AUDIENCE], jwks });
  const draft = new TokenForge(key, 'e30.e30.x');
  const good = await draft.sign(
    JSON.stringify({ alg: 'ES256', kid, typ: 'JWT' }),
    JSON.stringify({ iss: 'https://issuer.test', ...ALICE }),
  );
  const forge = new TokenForge(key, good);
  equal(await users.ask(good), 'alice');
  for (const [name, make] of OWN_MUTANTS) {
    const token = await make(forge);
    const found = await users.look('authorization', `Bearer ${token}`);
    equal(typeof found, 'string', name);
  }
  printFigures('changed tokens of end users', { tried: OWN_MUTANTS.length, believed: 0 });
});

test('Tokens come where a rule says, and one at a time', async (t) => {
  const issuer = await OidcIssuer.start(t);
  const fromHeaders = [{ name: 'x-id-token' }, { name: 'authorization', prefix: 'JWT ' }];
  const users = new Fixture(by(issuer, { fromHeaders, forwardOriginalToken: true }));
  const [token, other] = [await issuer.sign(ALICE), await issuer.sign({ ...ALICE, sub: 'bob' })];
  const subject = async (...fields: string[]): Promise<unknown> => {
    const found = await users.look(...fields);
    return typeof found === 'string' ? found : found.claims.sub;
  };
  equal(await subject('x-id-token', token), 'alice');
  equal(await subject('authorization', `JWT ${token}`), 'alice');
  equal(await subject('authorization', `Bearer ${token}`), undefined, 'nobody looks there');
  equal(await subject('x-id-token', ''), 'malformed');
  equal(await subject('x-id-token', token, 'authorization', `JWT ${other}`), 'twice');
  equal(await subject('x-id-token', token, 'x-id-token', other), 'twice');
  const found = await users.look('x-id-token', token);
  ok(typeof found === 'object' && found.spent.length === 0);
});

test('Of several rules each has its own issuer, place and audience; a token must satisfy one of them in full', async (t) => {
  const [a, b] = [await OidcIssuer.start(t), await OidcIssuer.start(t)];
  const users = new Fixture(
    by(a),
    by(a, { audiences: ['second'] }),
    by(b, { fromHeaders: [{ name: 'x-b', prefix: '' }] }),
  );
  equal(await users.ask(await a.sign(ALICE)), 'alice');
  equal(await users.ask(await a.sign({ ...ALICE, aud: 'second' })), 'alice');
  equal(await users.ask(await a.sign({ ...ALICE, aud: 'third' })), 'audience');
  equal(await users.ask(await b.sign(ALICE)), 'issuer');
  const found = await users.look('x-b', await b.sign(ALICE));
  equal(typeof found === 'object' && found.claims.iss, b.url);
});

test('A key that is new at its issuer is fetched once; a thousand tokens with keys that nobody has fetch nothing more', async (t) => {
  const { issuer, users } = await start(t);
  equal(await users.ask(await issuer.sign(ALICE)), 'alice');
  const before = issuer.asked.length;
  await issuer.addKey('ES256', 'next');
  const token = await issuer.sign(ALICE);
  equal(await users.ask(token), 'key', 'asked 30 s ago at the earliest');
  await users.clock.advanceAsync(31_000);
  equal(await users.ask(token), 'alice');
  equal(issuer.asked.length - before, 2, 'discovery and keys');
  const stranger = await issuer.addKey('ES256', 'stranger');
  issuer.keys.pop();
  for (let i = 0; i < 1000; i++)
    equal(await users.ask(await issuer.sign({ ...ALICE, i }, { kid: `x${i}` }, stranger)), 'key');
  equal(issuer.asked.length - before, 2);
  printFigures('unknown keys', { tokens: 1000, questions: issuer.asked.length - before - 2 });
});

test('A key that its issuer has taken back is believed for ten minutes at most, for a token that was seen as well', async (t) => {
  const { issuer, users } = await start(t);
  const token = await issuer.sign(ALICE);
  equal(await users.ask(token), 'alice');
  await issuer.addKey('ES256', 'next');
  issuer.keys.shift();
  await users.clock.advanceAsync(299_000);
  equal(await users.ask(token), 'alice');
  await users.clock.advanceAsync(301_000);
  equal(await users.ask(token), 'key');
});

test('While its issuer is away keys hold for an hour, and requests wait for nobody after the first that finds it so', async (t) => {
  const { issuer, users } = await start(t);
  equal(await users.ask(await issuer.sign(ALICE)), 'alice');
  issuer.stop();
  await users.clock.advanceAsync(3_500_000);
  const late = { ...ALICE, exp: NOW + 9_000 };
  equal(await users.ask(await issuer.sign({ ...late, sub: 'bob' })), 'bob');
  await users.clock.advanceAsync(200_000);
  equal(await users.ask(await issuer.sign({ ...late, sub: 'carol' })), 'unreachable');
  const failures = users.log.of('document-not-fetched').length;
  for (let i = 0; i < 100; i++) equal(await users.ask(await issuer.sign({ ...late, i })), 'unreachable');
  equal(users.log.of('document-not-fetched').length, failures);
});

const BAD_DOCUMENTS: readonly [what: string, answer: OidcIssuer['answer']][] = [
  ['redirects', (_path, response) => response.writeHead(302, { location: 'https://example.com/' }).end() !== undefined],
  ['errors', (_path, response) => response.writeHead(500).end('{}') !== undefined],
  ['no JSON', (_path, response) => response.end('<html>') !== undefined],
  ['more than 512 KiB', (_path, response) => response.end(`{"keys":[],"x":"${'x'.repeat(600_000)}"}`) !== undefined],
  ['a member twice', (_path, response) => response.end('{"keys":[],"keys":[]}') !== undefined],
  ['more than 100 keys', (_path, response) => response.end(`{"keys":[${'{},'.repeat(100)}{}]}`) !== undefined],
  ['nothing for 2 s', () => true],
];

for (const [what, answer] of BAD_DOCUMENTS) {
  test(`Keys are not taken from an answer with ${what}`, async (t) => {
    const issuer = await OidcIssuer.start(t);
    issuer.answer = answer;
    const users = new Fixture(by(issuer, { jwksUri: `${issuer.url}/keys` }));
    equal(await users.ask(await issuer.sign(ALICE)), 'unreachable');
    deepEqual(issuer.asked, ['/keys']);
    equal(users.log.of('document-not-fetched')[0]?.fields.name, issuer.url);
  });
}

test('A discovery document is believed about its own issuer alone', async (t) => {
  const { issuer } = await start(t);
  const { address } = await startHttpApp(t, (_request, response) => response.end('{}'));
  for (const discovery of [
    { issuer: 'https://other.example.com' },
    { jwks_uri: 'http://192.0.2.1/keys' },
    { jwks_uri: `http://user:pass@${address}/` },
    { jwks_uri: undefined },
  ]) {
    issuer.discovery = discovery;
    equal(await new Fixture(by(issuer)).ask(await issuer.sign(ALICE)), 'unreachable', JSON.stringify(discovery));
  }
});

test('What is kept is bounded: 4,096 tokens, 8 MiB of them, 256 that are being verified, 64 of one caller', async (t) => {
  const { issuer, users } = await start(t);
  await users.ask(await issuer.sign(ALICE));
  const authenticator = users.authentications.of('api.default');
  ok(authenticator !== undefined);
  const tokens = await Promise.all(Array.from({ length: 300 }, (_, i) => issuer.sign({ ...ALICE, i })));
  const all = (from: (i: number) => string) =>
    tokens.map((token, i) => users.lookFor(from(i), ['authorization', `Bearer ${token}`]));
  const ofOne = all(() => 'greedy');
  equal(ofOne.filter((answer) => answer === 'busy').length, 236);
  ok(users.lookFor('other', ['authorization', `Bearer ${tokens[299]}`]) instanceof Promise);
  const answers = all((i) => `caller-${i % 10}`);
  equal(answers.filter((answer) => answer === 'busy').length, 44);
  await Promise.all(answers);
  notEqual(users.look('authorization', `Bearer ${tokens[299]}`), 'busy');
  const large = { ...ALICE, z: 'z'.repeat(5_000) };
  for (let i = 0; i < 1_500; i++) await users.ask(await issuer.sign({ ...large, i }));
  ok(authenticator.kept <= 1_300, `${authenticator.kept} tokens of 7 KB`);
  printFigures('tokens that are kept', { large: authenticator.kept });
});

test('An issuer that was away when its rule came is asked again after 5 s', async (t) => {
  const issuer = await OidcIssuer.start(t);
  issuer.answer = (_path, response) => response.writeHead(503).end() !== undefined;
  const users = new Fixture(by(issuer));
  const token = await issuer.sign(ALICE);
  equal(await users.ask(token), 'unreachable');
  issuer.answer = undefined;
  equal(await users.ask(token), 'unreachable', 'it was asked just now');
  await users.clock.advanceAsync(5_000);
  equal(await users.ask(token), 'alice');
});

test('A token that is known costs a look', async (t) => {
  const { issuer, users } = await start(t);
  const fields = ['accept', '*/*', 'authorization', `Bearer ${await issuer.sign({ ...ALICE, roles: ['a', 'b'] })}`];
  await users.look(...fields);
  const rounds = 20_000;
  const startedMs = performance.now();
  for (let i = 0; i < rounds; i++) void users.look(...fields);
  const microseconds = Number((((performance.now() - startedMs) / rounds) * 1000).toFixed(2));
  ok(typeof users.look(...fields) === 'object');
  printFigures('a token that is known', { microseconds });
});

test('An issuer that is asked by many requests at once is asked once', async (t) => {
  const issuer = await OidcIssuer.start(t);
  const users = new Fixture(by(issuer));
  const token = await issuer.sign(ALICE);
  const found = await Promise.all(Array.from({ length: 100 }, () => users.ask(token)));
  deepEqual([...new Set(found)], ['alice']);
  equal(issuer.asked.length, 2);
});

test('Keys outlive a change of other rules, and a rule that goes is forgotten with its tokens', async (t) => {
  const { issuer, users } = await start(t);
  const token = await issuer.sign(ALICE);
  equal(await users.ask(token), 'alice');
  const before = issuer.asked.length;
  const other = await OidcIssuer.start(t);
  users.rule(by(issuer), by(other));
  equal(await users.ask(token), 'alice');
  equal(issuer.asked.length, before);
  users.rule(by(other));
  equal(await users.ask(token), 'issuer');
  users.rule();
  equal(users.authentications.of('api.default'), undefined);
});

test('A URL that leads to a name of this machine is asked without TLS, no other', () => {
  for (const jwksUri of ['http://example.com/keys', 'http://10.0.0.1/keys', 'ftp://127.0.0.1/', 'file:///etc/passwd']) {
    const spec = { jwtRules: [{ issuer: 'x', audiences: ['a'], jwksUri }] };
    const parsed = parseRequestAuthentication({
      kind: 'RequestAuthentication',
      metadata: { name: 'a', namespace: 'b' },
      spec,
    });
    ok('issues' in parsed, jwksUri);
  }
});
