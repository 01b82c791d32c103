/** verifyJwtSvid: one good token, and every mutant of it refused with the same answer; no token of one kind is taken for the other. */

import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { SignJWT } from 'jose';
import { Authority } from '../../../src/auth/authority.ts';
import { toJwks } from '../../../src/auth/jwks.ts';
import { isAudience, verifyJwtSvid } from '../../../src/auth/jwt-svid.ts';
import { createIdentityKey } from '../../../src/auth/key-pair.ts';
import { encodeUtf8 } from '../../../src/core/bytes.ts';
import type { SkeinError } from '../../../src/core/errors.ts';
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { printFigures } from '../../support/figures.ts';
import { answersTo, claim, header, type Mutant, TOKEN_MUTANTS, text } from '../../support/token-mutants.ts';
import { AUDIENCE, HOLDER_ID, TRUST_DOMAIN, WitIssuer } from '../../support/wit-issuer.ts';

let issuer: WitIssuer;
before(async () => {
  issuer = await WitIssuer.create();
});

const MUTANTS: readonly Mutant[] = [
  ...TOKEN_MUTANTS,
  ...['wit+jwt', 'at+jwt', 'jwt', 'jose', 'application/jwt', 'JWT ', '', 7, null].map((typ) => header('typ', typ)),
  header('iss', 'https://evil.example/'),
  header('alg', 'PS256'),

  // Claims: one audience, which is ours, and five minutes at most.
  claim('no audience', 'aud', undefined),
  claim('no audience in a list', 'aud', []),
  claim('audience null', 'aud', null),
  claim('an empty audience', 'aud', ''),
  claim('another audience', 'aud', 'https://other.example.com'),
  claim('another audience in a list', 'aud', ['https://other.example.com']),
  claim('two audiences, ours first', 'aud', [AUDIENCE, 'https://other.example.com']),
  claim('two audiences, ours last', 'aud', ['https://other.example.com', AUDIENCE]),
  claim('ours twice', 'aud', [AUDIENCE, AUDIENCE]),
  claim('an audience that begins like ours', 'aud', `${AUDIENCE}.evil.example`),
  claim('an audience in capitals', 'aud', AUDIENCE.toUpperCase()),
  claim('an audience with a slash', 'aud', `${AUDIENCE}/`),
  claim('a number among audiences', 'aud', [AUDIENCE, 1]),
  claim('a list in the list', 'aud', [[AUDIENCE]]),
  claim('an object as audience', 'aud', { 0: AUDIENCE }),
  claim(
    'audiences beyond number',
    'aud',
    Array.from({ length: 17 }, () => AUDIENCE),
  ),
  claim('a key of its holder', 'cnf', { jwk: {} }),
  claim('no time of issue', 'iat', undefined),
  claim('a life of 5 minutes and a second', 'iat', 1_699_999_999),
  claim('an issue behind its end', 'iat', 1_800_000_000),
  claim('sub of the authority itself', 'sub', 'spiffe://other.mesh'),
  text('a second audience', 'claims', (json) => json.replace('{', '{"aud":"https://other.example.com",')),

  // Tokens of another kind, and of other keys.
  ['a WIT-SVID of the same issuer', () => issuer.wit.good],
  ['a WIT-SVID with the type of a JWT-SVID', () => issuer.wit.withHeader({ typ: 'JWT' })],
  [
    'a WIT-SVID with an audience and the type of a JWT-SVID',
    () => issuer.wit.sign(JSON.stringify({ ...issuer.wit.header, typ: 'JWT' }), JSON.stringify(issuer.jwt.claims)),
  ],
  [
    'the claims of a WIT-SVID under the key of JWT-SVIDs',
    () => issuer.jwt.sign(JSON.stringify(issuer.jwt.header), JSON.stringify({ ...issuer.wit.claims, aud: AUDIENCE })),
  ],
  [
    'the key of WIT-SVIDs under the name of the other',
    () => issuer.jwt.sign(JSON.stringify(issuer.jwt.header), JSON.stringify(issuer.jwt.claims), issuer.wit.signingKey),
  ],
  [
    'HMAC with the public key',
    () =>
      new SignJWT(issuer.jwt.claims as Record<string, unknown>)
        .setProtectedHeader({ alg: 'HS256', typ: 'JWT', kid: String(issuer.jwt.header.kid) })
        .sign(encodeUtf8(JSON.stringify(toJwks(issuer.authority.bundle()).keys[0]))),
  ],
  [
    'another issuer',
    async () => {
      const other = await Authority.create({ trustDomain: TRUST_DOMAIN, clock: issuer.clock });
      return (await other.issueJwt(parseSpiffeId(HOLDER_ID), AUDIENCE, 'x', { joinedAtMs: 0 })).token;
    },
  ],
  [
    'another issuer with our kid',
    async (forge) => forge.sign(JSON.stringify(forge.header), JSON.stringify(forge.claims), await createIdentityKey()),
  ],
  [
    'its subject as issuer',
    (forge) => forge.sign(JSON.stringify(forge.header), JSON.stringify(forge.claims), issuer.holder),
  ],
];

describe('verifyJwtSvid', () => {
  it('accepts what the issuer signed: who, for whom, 5 minutes, and a name of its own', async () => {
    const { good, header: head, claims } = issuer.jwt;
    const svid = await issuer.verifyJwt(good);
    assert.equal(svid.id.uri, HOLDER_ID);
    assert.deepEqual(svid.audience, [AUDIENCE]);
    assert.deepEqual(Object.keys(head).sort(), ['alg', 'kid', 'typ']);
    assert.deepEqual(Object.keys(claims).sort(), ['aud', 'exp', 'iat', 'jti', 'skein', 'sub']);
    assert.equal((claims.exp as number) - (claims.iat as number), 300);
    assert.notEqual(head.kid, issuer.wit.header.kid);
    // As the standard leaves it open.
    for (const typ of ['JWT', 'JOSE', undefined]) await issuer.verifyJwt(await issuer.jwt.withHeader({ typ }));
    await issuer.verifyJwt(await issuer.jwt.withClaims({ aud: [AUDIENCE], jti: undefined, iss: 'x', other: [1] }));
  });

  it('is good to its end, with 30 s of leeway and no more; not before its nbf', async () => {
    const answerAt = (token: string, epochMs: number): Promise<string> =>
      issuer.verifyJwt(token, new VirtualClock({ epochMs })).then(
        () => 'good',
        (error: SkeinError) => `${error.code} ${error.message}`,
      );
    const exp = (issuer.jwt.claims.exp as number) * 1000;
    const late = await issuer.jwt.withClaims({ nbf: exp / 1000 - 100 });
    for (const at of [exp - 1, exp, exp + 29_999]) assert.equal(await answerAt(issuer.jwt.good, at), 'good');
    assert.match(
      await answerAt(issuer.jwt.good, exp + 30_000),
      /^SKEIN_IDENTITY Cannot trust credential: it has expired at/,
    );
    assert.equal(await answerAt(late, exp - 130_000), 'good');
    assert.match(await answerAt(late, exp - 130_001), /^SKEIN_IDENTITY Cannot trust credential: it is good only from/);
  });

  it(`refuses all ${MUTANTS.length} mutants with one answer`, async () => {
    assert.ok(MUTANTS.length >= 120);
    const answers = await answersTo(MUTANTS, issuer.jwt, (token) => issuer.verifyJwt(token));
    printFigures('mutants of a JWT-SVID', { mutants: MUTANTS.length, accepted: 0, answers: answers.size });
    assert.equal(answers.size, 1, [...answers].join('\n'));
  });

  it('asks for nobody but the subject’s own trust domain', async () => {
    const asked: string[] = [];
    const foreign = await issuer.jwt.withClaims({ sub: 'spiffe://other.mesh/ns/default/sa/api' });
    const keysOf = (domain: string): undefined => {
      asked.push(domain);
    };
    const options = {
      clock: issuer.clock,
      trustDomain: TRUST_DOMAIN,
      audience: AUDIENCE,
      keysOf,
      isRevoked: () => false,
    };
    await assert.rejects(verifyJwtSvid(foreign, options), { code: 'SKEIN_IDENTITY' });
    assert.deepEqual(asked, ['other.mesh']);
  });
});

describe('Authority.issueJwt', () => {
  it('issues for ids of its own trust domain and for an audience that is one', async () => {
    const { authority } = issuer;
    await assert.rejects(
      authority.issueJwt(parseSpiffeId('spiffe://other.mesh/ns/a/sa/b'), AUDIENCE, 'x', { joinedAtMs: 0 }),
      {
        code: 'SKEIN_IDENTITY',
      },
    );
    for (const audience of ['', ' ', 'a b', 'a\n', 'é', 'x'.repeat(513)]) {
      assert.equal(isAudience(audience), false);
      await assert.rejects(authority.issueJwt(parseSpiffeId(HOLDER_ID), audience, 'x', { joinedAtMs: 0 }), {
        code: 'SKEIN_BAD_REQUEST',
      });
    }
  });

  it('publishes its key for all to verify with, without a use, and no key of WIT-SVIDs beside it', () => {
    const { keys } = toJwks(issuer.authority.bundle());
    const uses = issuer.authority.bundle().keys.map(({ use }) => use);
    assert.deepEqual(uses, ['wit-svid', 'jwt-svid']);
    assert.deepEqual(
      keys.map(({ kid }) => kid),
      [issuer.jwt.header.kid],
    );
    assert.equal(
      keys.some((key) => 'use' in key || 'd' in key),
      false,
    );
  });
});
