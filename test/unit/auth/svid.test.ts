/** verifyWit: one good token, and every mutant of it refused with the same answer. */

import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { SignJWT } from 'jose';
import { Authority } from '../../../src/auth/authority.ts';
import { createIdentityKey, type IdentityKey } from '../../../src/auth/key-pair.ts';
import { verifyWit } from '../../../src/auth/svid.ts';
import { parseTrustBundle } from '../../../src/auth/trust-bundle.ts';
import { decodeUtf8, encodeUtf8, fromBase64Url, toBase64Url } from '../../../src/core/bytes.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';

const TRUST_DOMAIN = 'test.mesh';
const ID = 'spiffe://test.mesh/ns/default/sa/api';
const clock = new VirtualClock();
let authority: Authority;
let holder: IdentityKey;
let good: string;

before(async () => {
  authority = await Authority.create({ trustDomain: TRUST_DOMAIN, clock });
  holder = await createIdentityKey();
  // One signature in fifteen holds neither letter that base64 writes differently, and one mutant exchanges such a letter.
  do {
    good = await authority.issueWit({ id: parseSpiffeId(ID), publicJwk: holder.publicJwk, services: ['api.default'] });
  } while (!/[-_]/.test(good));
});

type Json = Record<string, unknown>;

function parts(token: string): [Json, Json, string] {
  const [header = '', claims = '', signature = ''] = token.split('.');
  return [
    JSON.parse(decodeUtf8(fromBase64Url(header))) as Json,
    JSON.parse(decodeUtf8(fromBase64Url(claims))) as Json,
    signature,
  ];
}

const segment = (text: string): string => toBase64Url(encodeUtf8(text));

/** Signs changed content with the real signing key, so that nothing but the change can be the reason. */
async function resigned(change: (header: Json, claims: Json) => void): Promise<string> {
  const [header, claims] = parts(good);
  change(header, claims);
  return signRaw(JSON.stringify(header), JSON.stringify(claims));
}

async function signRaw(header: string, claims: string): Promise<string> {
  const state = (await authority.exportState()).reveal();
  const { importIdentityKey } = await import('../../../src/auth/key-pair.ts');
  const key = await importIdentityKey(state.wit);
  const signed = `${segment(header)}.${segment(claims)}`;
  return `${signed}.${toBase64Url(await key.sign(encodeUtf8(signed)))}`;
}

const verify = (token: string) => verifyWit(token, authority.bundle(), { clock, trustDomain: TRUST_DOMAIN });

describe('verifyWit', () => {
  it('accepts what the issuer signed and reads it', async () => {
    const wit = await verify(good);
    assert.equal(wit.id.uri, ID);
    assert.deepEqual(wit.services, ['api.default']);
    assert.deepEqual(wit.publicJwk, holder.publicJwk);
    assert.equal(wit.expiresAtMs - wit.issuedAtMs, 24 * 3_600_000);
    await verify(await resigned(() => undefined));
  });

  it('is good from 5 minutes before its issue to its end, with 30 s of leeway and no more', async () => {
    const [, claims] = parts(good);
    const answerAt = (token: string, epochMs: number): Promise<string> =>
      verifyWit(token, authority.bundle(), { clock: new VirtualClock({ epochMs }), trustDomain: TRUST_DOMAIN }).then(
        () => 'good',
        (error: SkeinError) => `${error.code} ${error.message} ${String(error.details.remedy)}`,
      );
    const exp = (claims.exp as number) * 1000;
    const iat = (claims.iat as number) * 1000;
    const old = await resigned((_, changed) => {
      delete changed.nbf; // as issuers of before have it
    });
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
    const late = new VirtualClock({ epochMs: clock.epochMs() + 48 * 3_600_000 });
    for (const token of [good.slice(0, -4) + (good.endsWith('AAAA') ? 'BBBB' : 'AAAA'), `${good} `]) {
      await assert.rejects(verifyWit(token, authority.bundle(), { clock: late, trustDomain: TRUST_DOMAIN }), {
        message: 'Cannot trust credential: it is not a valid WIT-SVID of this trust domain',
      });
    }
  });

  const mutants: [name: string, make: () => string | Promise<string>][] = [
    ['empty', () => ''],
    ['one segment', () => 'abc'],
    ['two segments', () => good.split('.').slice(0, 2).join('.')],
    ['four segments', () => `${good}.e30`],
    ['an empty header', () => good.replace(/^[^.]+/, '')],
    ['an empty signature', () => good.replace(/[^.]+$/, '')],
    ['a space before', () => ` ${good}`],
    ['a space behind', () => `${good} `],
    ['a line break behind', () => `${good}\n`],
    ['a space inside a segment', () => good.replace(/^(.{10})/, '$1 ')],
    ['padding', () => good.replace('.', '=.')],
    ['the standard alphabet', () => good.replace(/[-_]/, '+')],
    ['non-zero trailing bits', () => trailingBits(good)],
    ['more than 8 KiB', () => `${good}${'A'.repeat(8192)}`],
    ['JSON serialisation', () => JSON.stringify({ payload: good.split('.')[1], signatures: [] })],
    ['a header that is no object', () => signRaw('[]', '{}')],
    ['a header that is no JSON', () => signRaw('{', '{}')],
    ['claims that are no object', async () => signRaw(JSON.stringify(parts(good)[0]), '"x"')],
    [
      'a duplicate header member',
      async () =>
        signRaw(JSON.stringify(parts(good)[0]).replace('{', '{"alg":"none",'), JSON.stringify(parts(good)[1])),
    ],
    [
      'a duplicate claim',
      async () =>
        signRaw(
          JSON.stringify(parts(good)[0]),
          JSON.stringify(parts(good)[1]).replace('{', '{"sub":"spiffe://test.mesh/ns/default/sa/root",'),
        ),
    ],
    [
      'an escaped duplicate claim',
      async () =>
        signRaw(
          JSON.stringify(parts(good)[0]),
          JSON.stringify(parts(good)[1]).replace('{', '{"s\\u0075b":"spiffe://test.mesh/ns/default/sa/root",'),
        ),
    ],
    [
      'a duplicate inside cnf',
      async () =>
        signRaw(
          JSON.stringify(parts(good)[0]),
          JSON.stringify(parts(good)[1]).replace('"jwk":{', '"jwk":{"x":"AAAA",'),
        ),
    ],
    [
      'deep nesting',
      async () =>
        signRaw(
          JSON.stringify(parts(good)[0]),
          JSON.stringify(parts(good)[1]).replace('{', `{"z":${'['.repeat(50)}${']'.repeat(50)},`),
        ),
    ],
    ...(['none', 'HS256', 'EdDSA', 'ES256K', 'RS256', 'ES384', 'es256', '', 1, null] as const).map(
      (alg): [string, () => Promise<string>] => [
        `alg ${String(alg)}`,
        () =>
          resigned((header) => {
            header.alg = alg;
          }),
      ],
    ),
    [
      'no alg',
      () =>
        resigned((header) => {
          delete header.alg;
        }),
    ],
    [
      'HMAC with the public key',
      () =>
        new SignJWT({})
          .setProtectedHeader({ alg: 'HS256', typ: 'wit+jwt', kid: authority.thumbprint })
          .setSubject(ID)
          .sign(encodeUtf8(JSON.stringify(authority.bundle().keys[0]))),
    ],
    ...(['JWT', 'jwt', 'at+jwt', 'WIT+JWT', 'application/wit+jwt', 7] as const).map(
      (typ): [string, () => Promise<string>] => [
        `typ ${typ}`,
        () =>
          resigned((header) => {
            header.typ = typ;
          }),
      ],
    ),
    [
      'no typ',
      () =>
        resigned((header) => {
          delete header.typ;
        }),
    ],
    [
      'no kid',
      () =>
        resigned((header) => {
          delete header.kid;
        }),
    ],
    [
      'an unknown kid',
      () =>
        resigned((header) => {
          header.kid = 'other';
        }),
    ],
    [
      'a numeric kid',
      () =>
        resigned((header) => {
          header.kid = 1;
        }),
    ],
    ...(['crit', 'jku', 'jwk', 'x5u', 'x5c', 'x5t', 'b64', 'cty', 'zip'] as const).map(
      (name): [string, () => Promise<string>] => [
        `header ${name}`,
        () =>
          resigned((header) => {
            header[name] = name === 'crit' ? [] : 'x';
          }),
      ],
    ),
    [
      'no sub',
      () =>
        resigned((_, claims) => {
          delete claims.sub;
        }),
    ],
    [
      'sub that is no SPIFFE id',
      () =>
        resigned((_, claims) => {
          claims.sub = 'https://test.mesh/ns/default/sa/api';
        }),
    ],
    [
      'sub in capitals',
      () =>
        resigned((_, claims) => {
          claims.sub = ID.toUpperCase();
        }),
    ],
    [
      'sub with a dot segment',
      () =>
        resigned((_, claims) => {
          claims.sub = 'spiffe://test.mesh/ns/default/../sa/api';
        }),
    ],
    [
      'sub of another trust domain',
      () =>
        resigned((_, claims) => {
          claims.sub = 'spiffe://other.mesh/ns/default/sa/api';
        }),
    ],
    [
      'no exp',
      () =>
        resigned((_, claims) => {
          delete claims.exp;
        }),
    ],
    [
      'exp as text',
      () =>
        resigned((_, claims) => {
          claims.exp = String(claims.exp);
        }),
    ],
    [
      'exp beyond all numbers',
      () =>
        resigned((_, claims) => {
          claims.exp = 1e300;
        }),
    ],
    [
      'exp negative',
      () =>
        resigned((_, claims) => {
          claims.exp = -1;
        }),
    ],
    [
      'exp as a fraction',
      () =>
        resigned((_, claims) => {
          claims.exp = (claims.exp as number) + 0.5;
        }),
    ],
    [
      'nbf as text',
      () =>
        resigned((_, claims) => {
          claims.nbf = '1';
        }),
    ],
    [
      'iat as text',
      () =>
        resigned((_, claims) => {
          claims.iat = '1';
        }),
    ],
    [
      'an audience',
      () =>
        resigned((_, claims) => {
          claims.aud = 'x';
        }),
    ],
    [
      'an empty audience',
      () =>
        resigned((_, claims) => {
          claims.aud = [];
        }),
    ],
    [
      'no cnf',
      () =>
        resigned((_, claims) => {
          delete claims.cnf;
        }),
    ],
    [
      'cnf without a key',
      () =>
        resigned((_, claims) => {
          claims.cnf = { jkt: 'x' };
        }),
    ],
    [
      'cnf of another algorithm',
      () =>
        resigned((_, claims) => {
          claims.cnf = { jwk: { ...holder.publicJwk, alg: 'EdDSA' } };
        }),
    ],
    [
      'cnf without an algorithm',
      () =>
        resigned((_, claims) => {
          claims.cnf = { jwk: { kty: 'EC', crv: 'P-256', x: holder.publicJwk.x, y: holder.publicJwk.y } };
        }),
    ],
    [
      'cnf of another curve',
      () =>
        resigned((_, claims) => {
          claims.cnf = { jwk: { ...holder.publicJwk, crv: 'P-384' } };
        }),
    ],
    [
      'cnf with a short coordinate',
      () =>
        resigned((_, claims) => {
          claims.cnf = { jwk: { ...holder.publicJwk, x: 'AAAA' } };
        }),
    ],
    [
      'cnf with a private key',
      () =>
        resigned((_, claims) => {
          claims.cnf = { jwk: { ...holder.publicJwk, d: holder.publicJwk.x } };
        }),
    ],
    [
      'services that are no list',
      () =>
        resigned((_, claims) => {
          claims.skein = { services: 'api.default' };
        }),
    ],
    [
      'services with a bad name',
      () =>
        resigned((_, claims) => {
          claims.skein = { services: ['API.default'] };
        }),
    ],
    [
      'services beyond number',
      () =>
        resigned((_, claims) => {
          claims.skein = { services: Array.from({ length: 300 }, () => 'a.b') };
        }),
    ],
    ['a changed signature', () => good.slice(0, -4) + (good.endsWith('AAAA') ? 'BBBB' : 'AAAA')],
    [
      'another issuer',
      async () => {
        const other = await Authority.create({ trustDomain: TRUST_DOMAIN, clock });
        return other.issueWit({ id: parseSpiffeId(ID), publicJwk: holder.publicJwk, services: [] });
      },
    ],
    [
      'another issuer with our kid',
      async () => {
        const other = await createIdentityKey();
        const [header, claims] = parts(good);
        const signed = `${segment(JSON.stringify(header))}.${segment(JSON.stringify(claims))}`;
        return `${signed}.${toBase64Url(await other.sign(encodeUtf8(signed)))}`;
      },
    ],
    [
      'claims of one token under the signature of another',
      async () => {
        const other = await authority.issueWit({
          id: parseSpiffeId('spiffe://test.mesh/ns/default/sa/root'),
          publicJwk: holder.publicJwk,
          services: [],
        });
        return `${good.split('.').slice(0, 2).join('.')}.${other.split('.')[2]}`;
      },
    ],
  ];

  it(`refuses all ${mutants.length} mutants with one answer`, async () => {
    assert.ok(mutants.length >= 60);
    const answers = new Set<string>();
    for (const [name, make] of mutants) {
      const token = await make();
      await assert.rejects(
        verify(token),
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
    const bundle = authority.bundle();
    for (const keys of [
      [],
      bundle.keys.map((key) => ({ ...key, use: 'jwt-svid' })),
      bundle.keys.map((key) => ({ ...key, use: 'sig' })),
    ]) {
      await assert.rejects(
        verifyWit(good, parseTrustBundle({ ...bundle, keys }), { clock, trustDomain: TRUST_DOMAIN }),
        { code: 'SKEIN_IDENTITY' },
      );
    }
  });

  it('throws nothing but its one error on 20,000 mutated tokens', async () => {
    const random = new SeededRandom(7);
    const chars = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.={}" \n\u0000é';
    for (let i = 0; i < 20_000; i++) {
      const at = random.integer(good.length);
      const cut = random.integer(3);
      const mutant =
        good.slice(0, at) + (cut === 0 ? '' : random.pick([...chars])) + good.slice(at + (cut === 1 ? 0 : 1));
      if (mutant === good) continue;
      await assert.rejects(verify(mutant), { code: 'SKEIN_IDENTITY' }, `seed 7, round ${i}: ${mutant}`);
    }
  });
});

/** Another spelling of the same signature bytes: the last character carries bits that nobody reads. */
function trailingBits(token: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const last = alphabet.indexOf(token[token.length - 1] as string);
  return token.slice(0, -1) + alphabet[last | 1];
}
