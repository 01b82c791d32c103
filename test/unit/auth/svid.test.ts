/** verifyWit: one good token, and every mutant of it refused with the same answer. */

import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { SignJWT } from 'jose';
import { Authority } from '../../../src/auth/authority.ts';
import { createIdentityKey } from '../../../src/auth/key-pair.ts';
import { verifyWit } from '../../../src/auth/svid.ts';
import { parseTrustBundle } from '../../../src/auth/trust-bundle.ts';
import { encodeUtf8 } from '../../../src/core/bytes.ts';
import type { SkeinError } from '../../../src/core/errors.ts';
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { answersTo, claim, header, type Mutant, TOKEN_MUTANTS, text } from '../../support/token-mutants.ts';
import { HOLDER_ID, TRUST_DOMAIN, WitIssuer } from '../../support/wit-issuer.ts';

let issuer: WitIssuer;
let good: string;

before(async () => {
  issuer = await WitIssuer.create();
  good = issuer.wit.good;
});

/** `change` of the public key that the token names. */
const cnf = (what: string, change: Record<string, unknown>): Mutant => [
  `cnf ${what}`,
  (forge) => forge.withClaims({ cnf: { jwk: { ...issuer.holder.publicJwk, ...change } } }),
];

const MUTANTS: readonly Mutant[] = [
  ...TOKEN_MUTANTS,
  ...['JWT', 'jwt', 'at+jwt', 'WIT+JWT', 'application/wit+jwt', 7, undefined].map((typ) => header('typ', typ)),
  text('a duplicate in cnf', 'claims', (json) => json.replace('"jwk":{', '"jwk":{"x":"AAAA",')),

  // Claims.
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

  // Signatures, and tokens of another kind.
  ['a JWT-SVID of the same issuer', () => issuer.jwt.good],
  ['a JWT-SVID with the type of a WIT-SVID', () => issuer.jwt.withHeader({ typ: 'wit+jwt' })],
  [
    'a WIT-SVID under the key of JWT-SVIDs',
    () => issuer.jwt.sign(JSON.stringify({ ...issuer.jwt.header, typ: 'wit+jwt' }), JSON.stringify(issuer.wit.claims)),
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
    async () =>
      issuer.wit.sign(JSON.stringify(issuer.wit.header), JSON.stringify(issuer.wit.claims), await createIdentityKey()),
  ],
  [
    'its own holder as issuer',
    () => issuer.wit.sign(JSON.stringify(issuer.wit.header), JSON.stringify(issuer.wit.claims), issuer.holder),
  ],
  [
    'claims of one token under the signature of another',
    async () => {
      const other = await issuer.wit.withClaims({ sub: 'spiffe://test.mesh/ns/default/sa/root' });
      return `${good.split('.').slice(0, 2).join('.')}.${other.split('.')[2]}`;
    },
  ],
];

describe('verifyWit', () => {
  it('accepts what the issuer signed and reads it', async () => {
    const wit = await issuer.verifyWit(good);
    assert.equal(wit.id.uri, HOLDER_ID);
    assert.deepEqual(wit.services, ['api.default']);
    assert.deepEqual(wit.publicJwk, issuer.holder.publicJwk);
    assert.equal(wit.expiresAtMs - wit.issuedAtMs, 24 * 3_600_000);
    await issuer.verifyWit(await issuer.wit.withHeader({}));
    await issuer.verifyWit(await issuer.wit.withClaims({ jti: 'x', iss: 'x', other: { nested: [1, 'x'] } }));
  });

  it('is good from 5 minutes before its issue to its end, with 30 s of leeway and no more', async () => {
    const answerAt = (token: string, epochMs: number): Promise<string> =>
      issuer.verifyWit(token, new VirtualClock({ epochMs })).then(
        () => 'good',
        (error: SkeinError) => `${error.code} ${error.message} ${String(error.details.remedy)}`,
      );
    const exp = (issuer.wit.claims.exp as number) * 1000;
    const iat = (issuer.wit.claims.iat as number) * 1000;
    // As issuers of before have it.
    const old = await issuer.wit.withClaims({ nbf: undefined });
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
      await assert.rejects(issuer.verifyWit(token, late), {
        message: 'Cannot trust credential: it is not a valid WIT-SVID of this trust domain',
      });
    }
  });

  it(`refuses all ${MUTANTS.length} mutants with one answer`, async () => {
    assert.ok(MUTANTS.length >= 120);
    const answers = await answersTo(MUTANTS, issuer.wit, (token) => issuer.verifyWit(token));
    assert.equal(answers.size, 1);
    assert.match([...answers].join(), /^SKEIN_IDENTITY /);
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
