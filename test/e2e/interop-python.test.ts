/** What a hub mints and publishes, read by those who know nothing of it: PyJWT, jwcrypto, and the text of the SPIFFE standards. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { lacking } from '../runtime/capabilities.ts';
import { printFigures } from '../support/figures.ts';
import { TestMesh } from '../support/mesh.ts';
import { Program, runSkein } from '../support/process.ts';
import { root } from '../support/repository.ts';

/** Debian's, which has its packages, whatever other Python comes first in PATH. */
const PYTHON = '/usr/bin/python3';
const PEER = join(root, 'test/support/programs/jwt_peer.py');

const AUDIENCE = 'https://shop.example.com';

interface Found {
  readonly bundleWrong: readonly string[];
  readonly uses: Readonly<Record<string, number>>;
  readonly sequence: number;
  readonly refreshHint: number;
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: { readonly sub: string; readonly exp: number; readonly iat: number; readonly aud?: unknown };
  readonly bothAgree: boolean;
  readonly kidIsThumbprint: boolean;
  readonly holderAlgorithmOfSpiffe: boolean;
  readonly holderIsPublic: boolean;
  readonly holderIsNotIssuer: boolean;
  readonly jwks: { readonly keys: readonly Readonly<Record<string, unknown>>[] };
  readonly bearerHeader: Readonly<Record<string, unknown>>;
  readonly bearerClaims: Readonly<Record<string, unknown>> & { readonly exp: number; readonly iat: number };
  readonly bearerAgrees: boolean;
  readonly bearerKeyOfBundle: boolean;
  readonly bearerRefused: readonly string[];
  readonly refused: readonly string[];
}

const skip = lacking('JWT libraries of Python');

describe('What the hub mints and publishes', () => {
  let mesh: TestMesh;
  let types: readonly (string | null)[];
  let found: Found;

  before(async () => {
    if (skip) return;
    mesh = await TestMesh.start();
    const data = join(mesh.folder, 'member');
    const member = await mesh.startSidecar({ name: 'member', services: ['api'], data });
    const { admin = '' } = member.addresses;
    const env = { SKEIN_SIDECAR_ADMIN_TOKEN: member.adminToken() };
    const { code, program } = await runSkein(['token', 'svid', '--audience', AUDIENCE, '--sidecar', admin], { env });
    assert.equal(code, 0, program.tail());
    const bearer = program.stdout.trim();
    const { wit } = JSON.parse(readFileSync(join(data, 'identity.json'), 'utf8')) as { wit: string };
    const pages = ['spiffe-bundle', 'jwks.json'].map((page) => fetch(`http://${mesh.hubAddress}/.well-known/${page}`));
    const answers = await Promise.all(pages);
    types = answers.map(({ headers }) => headers.get('content-type'));
    const [bundle, jwks] = await Promise.all(answers.map((answer) => answer.text()));
    found = (await read({ token: wit, bearer, audience: AUDIENCE, bundle, jwks })) as Found;
  });
  after(() => mesh?.close());

  async function read(given: object): Promise<unknown> {
    const program = new Program(PYTHON, [PEER], { name: 'reader', stdin: true });
    mesh.programs.push(program);
    program.write(JSON.stringify(given));
    program.endInput();
    const { code } = await program.waitForExit();
    assert.equal(code, 0, program.tail());
    return JSON.parse(program.stdout);
  }

  it('PyJWT and jwcrypto verify a WIT-SVID against the published bundle, and read the same', { skip }, () => {
    assert.equal(found.bothAgree, true);
    assert.deepEqual(found.header, { alg: 'ES256', kid: found.header.kid, typ: 'wit+jwt' });
    assert.equal(found.kidIsThumbprint, true);
    assert.equal(found.claims.sub, 'spiffe://skein.mesh/ns/default/sa/api');
    assert.equal(found.claims.exp - found.claims.iat, 24 * 3600);
    assert.equal(found.claims.aud, undefined);
    assert.equal(found.holderAlgorithmOfSpiffe && found.holderIsPublic && found.holderIsNotIssuer, true);
  });

  it('Both refuse it under another key, and with one bit of its signature changed', { skip }, () => {
    const [pyjwt, jwcrypto] = ['InvalidSignatureError', 'InvalidJWSSignature'];
    assert.deepEqual(found.refused, [pyjwt, jwcrypto, pyjwt, jwcrypto]);
  });

  it('Both verify a JWT-SVID against the published key set, as they do that of any OpenID provider', { skip }, () => {
    const { iat, exp, jti, skein, ...claims } = found.bearerClaims;
    assert.deepEqual(Object.keys(skein ?? {}).sort(), ['joined', 'key']);
    assert.equal(found.bearerAgrees && found.bearerKeyOfBundle, true);
    assert.deepEqual(found.bearerHeader, { alg: 'ES256', kid: found.jwks.keys[0]?.kid, typ: 'JWT' });
    assert.deepEqual(claims, { sub: 'spiffe://skein.mesh/ns/default/sa/api', aud: AUDIENCE });
    assert.equal(exp - iat, 300);
    assert.match(String(jti), /^[\w-]{21}$/);
    const [audience, signature] = [
      ['InvalidAudienceError', 'JWTInvalidClaimValue'],
      ['InvalidSignatureError', 'InvalidJWSSignature'],
    ] as const;
    assert.deepEqual(found.bearerRefused, [...audience, ...signature]);
    printFigures('JWT-SVID as Python reads it', { seconds: exp - iat, refused: found.bearerRefused });
  });

  it('The bundle is one as SPIFFE has it, and the key set for bearer tokens holds their key alone', { skip }, () => {
    assert.deepEqual(found.bundleWrong, []);
    // Of each use the one that signs and the next.
    assert.deepEqual(found.uses, { 'wit-svid': 2, 'jwt-svid': 2 });
    assert.deepEqual([found.sequence > 0, found.refreshHint], [true, 300]);
    for (const type of types) assert.match(type ?? '', /^application\/json\b/);
    // A WIT-SVID proves nothing without its key: who verifies bearer tokens must not be led to take it for one.
    assert.equal(found.jwks.keys.length, 2);
    for (const key of found.jwks.keys) assert.deepEqual([key.kid === found.header.kid, 'use' in key], [false, false]);
    printFigures('bundle as Python reads it', { uses: found.uses, sequence: found.sequence, hint: found.refreshHint });
  });
});
