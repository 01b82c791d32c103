/** verifyWit: one good token, and every mutant of it refused with the same answer. */

import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { SignJWT } from 'jose';
import { Authority } from '../../../src/auth/authority.ts';
import { createIdentityKey } from '../../../src/auth/key-pair.ts';
import { verifyWit } from '../../../src/auth/svid.ts';
import { parseTrustBundle } from '../../../src/auth/trust-bundle.ts';
import { encodeUtf8, toBase64Url } from '../../../src/core/bytes.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { HOLDER_ID, TRUST_DOMAIN, WitIssuer } from '../../support/wit-issuer.ts';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
let issuer: WitIssuer;
let good: string;

before(async () => {
  issuer = await WitIssuer.create();
  good = issuer.good;
});

type Mutant = [name: string, make: () => string | Promise<string>];

const header = (name: string, value: unknown): Mutant => [
  value === undefined ? `no ${name}` : `header ${name} ${JSON.stringify(value)}`,
  () => issuer.withHeader({ [name]: value }),
];
const claim = (what: string, name: string, value: unknown): Mutant => [
  what,
  () => issuer.withClaims({ [name]: value }),
];
/** `change` of the public key that the token names. */
const cnf = (what: string, change: Record<string, unknown>): Mutant => [
  `cnf ${what}`,
  () => issuer.withClaims({ cnf: { jwk: { ...issuer.holder.publicJwk, ...change } } }),
];
const text = (what: string, part: 'header' | 'claims', change: (text: string) => string): Mutant => [
  `${what} in ${part}`,
  () => issuer.withText(part, change),
];
const swap = (what: string, make: (good: string) => string): Mutant => [what, () => make(good)];

const MUTANTS: readonly Mutant[] = [
  // The compact form has one spelling.
  swap('empty', () => ''),
  swap('one segment', () => 'abc'),
  swap('two segments', (token) => token.split('.').slice(0, 2).join('.')),
  swap('four segments', (token) => `${token}.e30`),
  swap('an empty header', (token) => token.replace(/^[^.]+/, '')),
  swap('empty claims', (token) => token.replace(/\.[^.]+\./, '..')),
  swap('an empty signature', (token) => token.replace(/[^.]+$/, '')),
  swap('a space before', (token) => ` ${token}`),
  swap('a space behind', (token) => `${token} `),
  swap('a line break behind', (token) => `${token}\n`),
  swap('a zero byte behind', (token) => `${token}\u0000`),
  swap('a space inside a segment', (token) => token.replace(/^(.{10})/, '$1 ')),
  swap('a line break inside a segment', (token) => token.replace(/^(.{64})/, '$1\r\n')),
  swap('the name of a scheme before', (token) => `Bearer ${token}`),
  swap('quotes around', (token) => `"${token}"`),
  swap('padding of the header', (token) => token.replace('.', '=.')),
  swap('padding of the signature', (token) => `${token}==`),
  swap('the standard alphabet', (token) => token.replace(/[-_]/, (char) => (char === '-' ? '+' : '/'))),
  swap('percent encoding', (token) => token.replace('.', '%2E')),
  swap('a full-width letter', (token) => token.replace('e', '\uff45')),
  swap('a letter whose low byte is the right one', (token) => token.replace('e', '\u0165')),
  swap('non-zero trailing bits', (token) => token.slice(0, -1) + ALPHABET[ALPHABET.indexOf(token.at(-1) ?? '') | 1]),
  swap('more than 8 KiB', (token) => `${token}${'A'.repeat(8192)}`),
  text('more than 8 KiB, signed', 'claims', (json) => json.replace('{', `{"z":"${'z'.repeat(8192)}",`)),
  swap('JSON serialisation', (token) => JSON.stringify({ payload: token.split('.')[1], signatures: [] })),

  // What is inside is one JSON object, which all read alike.
  text('a list', 'header', () => '[]'),
  text('no JSON', 'header', () => '{'),
  text('null', 'header', () => 'null'),
  text('text', 'claims', () => '"x"'),
  text('null', 'claims', () => 'null'),
  text('something behind', 'claims', (json) => `${json}{}`),
  text('a comment', 'claims', (json) => json.replace('{', '{/**/')),
  text('a last comma', 'claims', (json) => json.replace(/\}$/, ',}')),
  text('a byte order mark', 'header', (json) => `\ufeff${json}`),
  text('a byte order mark', 'claims', (json) => `\ufeff${json}`),
  text('a duplicate', 'header', (json) => json.replace('{', '{"alg":"none",')),
  text('a duplicate', 'claims', (json) => json.replace('{', '{"sub":"spiffe://test.mesh/ns/default/sa/root",')),
  text('an escaped duplicate', 'claims', (json) =>
    json.replace('{', '{"s\\u0075b":"spiffe://test.mesh/ns/a/sa/root",'),
  ),
  text('a duplicate at the end', 'claims', (json) => json.replace(/\}$/, ',"exp":9999999999}')),
  text('a duplicate in cnf', 'claims', (json) => json.replace('"jwk":{', '"jwk":{"x":"AAAA",')),
  text('a duplicate nobody reads', 'claims', (json) => json.replace('{', '{"z":1,"z":1,')),
  text('a duplicate __proto__', 'claims', (json) => json.replace('{', '{"__proto__":1,"__proto__":1,')),
  text('deep nesting', 'claims', (json) => json.replace('{', `{"z":${'['.repeat(50)}${']'.repeat(50)},`)),
  [
    'bytes that are no UTF-8',
    async () => {
      const claims = encodeUtf8(JSON.stringify({ ...issuer.claims, z: 'z' }));
      claims[claims.lastIndexOf(0x7a)] = 0xff;
      const signed = `${good.split('.')[0]}.${toBase64Url(claims)}`;
      return `${signed}.${toBase64Url(await issuer.signingKey.sign(encodeUtf8(signed)))}`;
    },
  ],

  // The header says what we say, and nothing else.
  ...['none', 'HS256', 'EdDSA', 'ES256K', 'RS256', 'ES384', 'es256', '', 1, null, ['ES256'], undefined].map((alg) =>
    header('alg', alg),
  ),
  ...['JWT', 'jwt', 'at+jwt', 'WIT+JWT', 'application/wit+jwt', 7, undefined].map((typ) => header('typ', typ)),
  ...['other', '', '__proto__', 1, null, undefined].map((kid) => header('kid', kid)),
  ...['jku', 'jwk', 'x5u', 'x5c', 'x5t', 'x5t#S256', 'b64', 'cty', 'zip', 'enc', 'nonce'].map((name) =>
    header(name, 'https://evil.example/'),
  ),
  header('jwk', { kty: 'EC', crv: 'P-256', x: 'A'.repeat(43), y: 'A'.repeat(43) }),
  header('crit', []),
  header('crit', ['exp']),
  header('crit', ['b64']),
  text('__proto__', 'header', (json) => json.replace('{', '{"__proto__":{"alg":"ES256"},')),

  // Claims.
  claim('no sub', 'sub', undefined),
  claim('sub that is no SPIFFE id', 'sub', 'https://test.mesh/ns/default/sa/api'),
  claim('sub in capitals', 'sub', HOLDER_ID.toUpperCase()),
  claim('sub with a dot segment', 'sub', 'spiffe://test.mesh/ns/default/../sa/api'),
  claim('sub with a query', 'sub', `${HOLDER_ID}?x`),
  claim('sub of another trust domain', 'sub', 'spiffe://other.mesh/ns/default/sa/api'),
  claim('sub of a trust domain below ours', 'sub', 'spiffe://a.test.mesh/ns/default/sa/api'),
  claim('sub as a list', 'sub', [HOLDER_ID]),
  claim('no exp', 'exp', undefined),
  claim('exp null', 'exp', null),
  claim('exp as text', 'exp', '1900000000'),
  claim('exp beyond all numbers', 'exp', 1e300),
  claim('exp negative', 'exp', -1),
  claim('exp as a fraction', 'exp', 1_900_000_000.5),
  claim('exp in milliseconds', 'exp', 1_900_000_000_000),
  claim('nbf as text', 'nbf', '1'),
  claim('iat as text', 'iat', '1'),
  claim('an audience', 'aud', 'x'),
  claim('an empty audience', 'aud', []),
  claim('no cnf', 'cnf', undefined),
  claim('cnf without a key', 'cnf', { jkt: 'x' }),
  cnf('of another algorithm', { alg: 'EdDSA' }),
  cnf('without an algorithm', { alg: undefined }),
  cnf('of another type', { kty: 'OKP' }),
  cnf('of another curve', { crv: 'P-384' }),
  cnf('with a short coordinate', { x: 'AAAA' }),
  cnf('with a private key', { d: 'A'.repeat(43) }),
  claim('services that are no list', 'skein', { services: 'api.default' }),
  claim('services with a bad name', 'skein', { services: ['API.default'] }),
  claim('services beyond number', 'skein', { services: Array.from({ length: 300 }, () => 'a.b') }),
  claim('no services', 'skein', {}),

  // Signatures.
  swap('a changed signature', (token) => token.slice(0, -4) + (token.endsWith('AAAA') ? 'BBBB' : 'AAAA')),
  swap('a signature of nothing but zeros', (token) => token.replace(/[^.]+$/, 'A'.repeat(86))),
  swap('a signature that is cut', (token) => token.slice(0, -4)),
  swap('a signature that goes on', (token) => `${token.slice(0, -2)}AAAAAA`),
  [
    'a signature in DER',
    () => {
      const der = [0x30, 0x44, 0x02, 0x20, ...Array<number>(32).fill(1), 0x02, 0x20, ...Array<number>(32).fill(1)];
      return good.replace(/[^.]+$/, toBase64Url(Uint8Array.from(der)));
    },
  ],
  [
    'HMAC with the public key',
    () =>
      new SignJWT({})
        .setProtectedHeader({ alg: 'HS256', typ: 'wit+jwt', kid: issuer.authority.thumbprint })
        .setSubject(HOLDER_ID)
        .sign(encodeUtf8(JSON.stringify(issuer.authority.bundle().keys[0]))),
  ],
  [
    'another issuer',
    async () => {
      const other = await Authority.create({ trustDomain: TRUST_DOMAIN, clock: issuer.clock });
      return other.issueWit({
        id: parseSpiffeId(HOLDER_ID),
        publicJwk: issuer.holder.publicJwk,
        services: [],
      });
    },
  ],
  [
    'another issuer with our kid',
    async () => issuer.sign(JSON.stringify(issuer.header), JSON.stringify(issuer.claims), await createIdentityKey()),
  ],
  [
    'its own holder as issuer',
    () => issuer.sign(JSON.stringify(issuer.header), JSON.stringify(issuer.claims), issuer.holder),
  ],
  [
    'claims of one token under the signature of another',
    async () => {
      const other = await issuer.withClaims({ sub: 'spiffe://test.mesh/ns/default/sa/root' });
      return `${good.split('.').slice(0, 2).join('.')}.${other.split('.')[2]}`;
    },
  ],
];

describe('verifyWit', () => {
  it('accepts what the issuer signed and reads it', async () => {
    const wit = await issuer.verify(good);
    assert.equal(wit.id.uri, HOLDER_ID);
    assert.deepEqual(wit.services, ['api.default']);
    assert.deepEqual(wit.publicJwk, issuer.holder.publicJwk);
    assert.equal(wit.expiresAtMs - wit.issuedAtMs, 24 * 3_600_000);
    await issuer.verify(await issuer.withHeader({}));
    await issuer.verify(await issuer.withClaims({ jti: 'x', iss: 'x', other: { nested: [1, 'x'] } }));
  });

  it('is good from 5 minutes before its issue to its end, with 30 s of leeway and no more', async () => {
    const answerAt = (token: string, epochMs: number): Promise<string> =>
      issuer.verify(token, new VirtualClock({ epochMs })).then(
        () => 'good',
        (error: SkeinError) => `${error.code} ${error.message} ${String(error.details.remedy)}`,
      );
    const exp = (issuer.claims.exp as number) * 1000;
    const iat = (issuer.claims.iat as number) * 1000;
    // As issuers of before have it.
    const old = await issuer.withClaims({ nbf: undefined });
    for (const token of [good, old]) {
      for (const epochMs of [iat - 329_000, iat - 300_000, iat, exp, exp + 29_000]) {
        assert.equal(await answerAt(token, epochMs), 'good');
      }
      for (const [epochMs, state] of [
        [iat - 331_000, 'is good only from 2023-11-14T22:08:20.000Z on, and it is 2023-11-14T22:07:49.000Z here'],
        [exp + 30_001, 'has expired at 2023-11-15T22:13:20.000Z, and it is 2023-11-15T22:13:50.001Z here'],
      ] as const) {
        const answer = await answerAt(token, epochMs);
        assert.equal(
          answer.startsWith(`SKEIN_IDENTITY Cannot trust credential: it ${state}; check the clock`),
          true,
          answer,
        );
        assert.match(answer, /NTP: they may differ by 5 min/);
      }
    }
  });

  it('says of the time of a token nothing before its signature is found to be good', async () => {
    const late = new VirtualClock({ epochMs: issuer.clock.epochMs() + 48 * 3_600_000 });
    for (const token of [good.slice(0, -4) + (good.endsWith('AAAA') ? 'BBBB' : 'AAAA'), `${good} `]) {
      await assert.rejects(issuer.verify(token, late), {
        message: 'Cannot trust credential: it is not a valid WIT-SVID of this trust domain',
      });
    }
  });

  it(`refuses all ${MUTANTS.length} mutants with one answer`, async () => {
    assert.ok(MUTANTS.length >= 100);
    const answers = new Set<string>();
    for (const [name, make] of MUTANTS) {
      const token = await make();
      await assert.rejects(
        issuer.verify(token),
        (error) => {
          assert.ok(error instanceof SkeinError, name);
          assert.equal(error.code, 'SKEIN_IDENTITY', name);
          answers.add(`${error.message} ${JSON.stringify(error.details)} ${String(error.cause)}`);
          return true;
        },
        name,
      );
    }
    assert.equal(answers.size, 1);
  });

  it('refuses a token whose key has left the bundle, or is of another use', async () => {
    const bundle = issuer.authority.bundle();
    for (const keys of [
      [],
      bundle.keys.map((key) => ({ ...key, use: 'jwt-svid' })),
      bundle.keys.map((key) => ({ ...key, use: 'sig' })),
    ]) {
      const offered = parseTrustBundle({ ...bundle, keys });
      await assert.rejects(verifyWit(good, offered, { clock: issuer.clock, trustDomain: TRUST_DOMAIN }), {
        code: 'SKEIN_IDENTITY',
      });
    }
  });
});
