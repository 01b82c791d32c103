/** Authenticators inside real handshakes: members, newcomers, the hub, and those who only pretend. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  createHubAuthenticator,
  createMemberAuthenticator,
  createNewcomerAuthenticator,
  expectHub,
  expectPeer,
  type OwnCredential,
  type PresentedJoinToken,
} from '../../../src/auth/authenticator.ts';
import { Authority } from '../../../src/auth/authority.ts';
import { decodeCredential, encodeCredential } from '../../../src/auth/credential-codec.ts';
import type { Grant } from '../../../src/auth/grant.ts';
import { createJoinToken, hashSecret, matchesSecret, parseJoinToken } from '../../../src/auth/join-token.ts';
import { createIdentityKey, type IdentityKey, importIdentityKey, verifySignature } from '../../../src/auth/key-pair.ts';
import { createProof, verifyProof } from '../../../src/auth/proof.ts';
import { BUNDLE_LIFE_MS, bundleEnded, endOf } from '../../../src/auth/signed-bundle.ts';
import { parseTrustBundle, type TrustBundle } from '../../../src/auth/trust-bundle.ts';
import { parseWayIn } from '../../../src/auth/way-in.ts';
import { type Bytes, encodeUtf8, equalBytes } from '../../../src/core/bytes.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { toHubId, toWorkloadId } from '../../../src/core/spiffe-id.ts';
import { nodeCrypto } from '../../../src/runtime/node-compat/crypto.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import type { Authenticator, PeerIdentity } from '../../../src/tunnel/handshake.ts';

const TD = 'test.mesh';
const clock = new VirtualClock();
const random = new SeededRandom(3);
const HASH: Bytes = new Uint8Array(32).fill(9);

interface World {
  readonly authority: Authority;
  readonly hub: OwnCredential;
}

async function createWorld(): Promise<World> {
  const authority = await Authority.create({ trustDomain: TD, clock });
  return { authority, hub: await createMember(authority, toHubId(TD)) };
}

async function createMember(
  authority: Authority,
  id = toWorkloadId(TD, 'default', 'api'),
  services: string[] = [],
): Promise<OwnCredential> {
  const key = await createIdentityKey();
  return { key, wit: await authority.issueWit({ id, publicJwk: key.publicJwk, services }) };
}

function member(
  world: World,
  own: OwnCredential,
  expect?: Parameters<typeof createMemberAuthenticator>[0]['expect'],
): Authenticator {
  return createMemberAuthenticator({
    credential: () => own,
    bundle: () => world.authority.bundle(),
    trustDomain: TD,
    clock,
    expect,
  });
}

/** What `prover` shows in `role`, verified by `verifier`. */
async function meet(
  prover: Authenticator,
  verifier: Authenticator,
  role: 'initiator' | 'responder' = 'initiator',
  hash = HASH,
): Promise<PeerIdentity> {
  return verifier.verify(role, hash, await prover.prove(role, HASH));
}

describe('Member authenticator', () => {
  it('is known to another member, with what it may serve', async () => {
    const world = await createWorld();
    const api = await createMember(world.authority, undefined, ['api.default']);
    const peer = await meet(member(world, api), member(world, await createMember(world.authority)));
    assert.equal(peer.id.uri, 'spiffe://test.mesh/ns/default/sa/api');
    const grant = peer.grant as Grant;
    assert.deepEqual([grant.kind, grant.services, grant.thumbprint], ['member', ['api.default'], api.key.thumbprint]);
  });

  it('is refused when it is not who was dialled', async () => {
    const world = await createWorld();
    const api = member(world, await createMember(world.authority));
    const dialled = member(world, world.hub, expectPeer('spiffe://test.mesh/ns/default/sa/pay'));
    await assert.rejects(meet(api, dialled, 'responder'), { code: 'SKEIN_IDENTITY' });
    await assert.rejects(meet(api, member(world, world.hub, expectHub(TD)), 'responder'), { code: 'SKEIN_IDENTITY' });
    await meet(
      member(world, world.hub),
      member(world, await createMember(world.authority), expectHub(TD)),
      'responder',
    );
  });

  it('is refused with the WIT-SVID of another, in another role, and in another handshake', async () => {
    const world = await createWorld();
    const victim = await createMember(world.authority);
    const verifier = member(world, world.hub);
    const thief = member(world, { wit: victim.wit, key: await createIdentityKey() });
    await assert.rejects(meet(thief, verifier), { code: 'SKEIN_IDENTITY' });
    const payload = await member(world, victim).prove('initiator', HASH);
    await assert.rejects(verifier.verify('responder', HASH, payload), { code: 'SKEIN_IDENTITY' });
    await assert.rejects(verifier.verify('initiator', new Uint8Array(32), payload), { code: 'SKEIN_IDENTITY' });
    await verifier.verify('initiator', HASH, payload);
  });

  it('refuses every payload with a byte changed, or cut', async () => {
    const world = await createWorld();
    const verifier = member(world, world.hub);
    const payload = await member(world, await createMember(world.authority)).prove('initiator', HASH);
    for (let i = 0; i < payload.length; i += 7) {
      const changed = payload.slice();
      changed[i] = (changed[i] as number) ^ (1 << (i % 8));
      await assert.rejects(verifier.verify('initiator', HASH, changed), { code: 'SKEIN_IDENTITY' }, `byte ${i}`);
      await assert.rejects(
        verifier.verify('initiator', HASH, payload.subarray(0, i)),
        { code: 'SKEIN_IDENTITY' },
        `cut at ${i}`,
      );
    }
  });
});

describe('Newcomer and hub authenticators', () => {
  async function createHub(
    world: World,
    log: string[] = [],
  ): Promise<{ hub: Authenticator; token: ReturnType<typeof createJoinToken>; uses: string[] }> {
    const token = createJoinToken({ trustDomain: TD, issuerThumbprint: world.authority.thumbprint, random });
    const stored = hashSecret(nodeCrypto.sha256, token.secret.reveal());
    const hub = createHubAuthenticator({
      credential: () => world.hub,
      bundle: () => world.authority.bundle(),
      trustDomain: TD,
      clock,
      admit: async (presented, publicJwk) => {
        const { id, secret } = presented as PresentedJoinToken;
        if (id !== token.id || !matchesSecret(nodeCrypto.sha256, secret, stored))
          throw new SkeinError('SKEIN_TOKEN_INVALID', 'Cannot enrol: unknown token');
        if (log.length > 0) throw new SkeinError('SKEIN_TOKEN_USED', 'Cannot enrol: used');
        log.push(publicJwk.x);
        return { id: toWorkloadId(TD, 'default', 'api'), services: ['api.default'] };
      },
    });
    return { hub, token, uses: log };
  }

  function newcomer(text: string, key: IdentityKey, got: TrustBundle[] = []): Authenticator {
    return createNewcomerAuthenticator({
      wayIn: parseWayIn(text, { thumbprints: [], trustDomain: TD }, nodeCrypto.sha256),
      key,
      clock,
      onBundle: (bundle) => got.push(bundle),
    });
  }

  it('verify each other, and the newcomer takes the bundle home', async () => {
    const world = await createWorld();
    const { hub, token } = await createHub(world);
    const bundles: TrustBundle[] = [];
    const key = await createIdentityKey();
    const joining = newcomer(token.text, key, bundles);
    assert.equal((await meet(hub, joining, 'responder')).id.uri, toHubId(TD).uri);
    const peer = await meet(joining, hub);
    assert.equal(peer.id.serviceAccount, 'api');
    assert.deepEqual([(peer.grant as Grant).kind, (peer.grant as Grant).thumbprint], ['newcomer', key.thumbprint]);
    assert.deepEqual(bundles, [world.authority.bundle()]);
  });

  it('a newcomer shows its token to no hub of another issuer, and to no member', async () => {
    const world = await createWorld();
    const { token } = await createHub(world);
    const other = await createWorld();
    const { hub: foreign } = await createHub(other);
    const joining = newcomer(token.text, await createIdentityKey());
    await assert.rejects(meet(foreign, joining, 'responder'), { code: 'SKEIN_IDENTITY' });
    // a member that copied the hub's bundle has the right issuer, but not the hub's identity
    const impostor = createHubAuthenticator({
      credential: () => impostorCredential,
      bundle: () => world.authority.bundle(),
      trustDomain: TD,
      clock,
      admit: () => Promise.reject(new SkeinError('SKEIN_INTERNAL', 'unused')),
    });
    const impostorCredential = await createMember(world.authority);
    await assert.rejects(meet(impostor, joining, 'responder'), { code: 'SKEIN_IDENTITY' });
  });

  it('a hub that adds its own key to the issuer’s is still not believed', async () => {
    const world = await createWorld();
    const { token } = await createHub(world);
    const rogue = await Authority.create({ trustDomain: TD, clock });
    const credential = await createMember(rogue, toHubId(TD));
    const keys = [...world.authority.bundle().keys, ...rogue.bundle().keys];
    const hub = createHubAuthenticator({
      credential: () => credential,
      bundle: () => ({ ...world.authority.bundle(), keys }),
      trustDomain: TD,
      clock,
      admit: () => Promise.reject(new SkeinError('SKEIN_INTERNAL', 'unused')),
    });
    await assert.rejects(meet(hub, newcomer(token.text, await createIdentityKey()), 'responder'), {
      code: 'SKEIN_IDENTITY',
    });
  });

  it('who has a key that was removed, and the bundle of before, is a hub that issues for a day and no longer', async () => {
    const clock = new VirtualClock();
    const authority = await Authority.create({ trustDomain: TD, clock });
    const thief = await createMember(authority, toHubId(TD));
    const old = authority.bundle();
    const token = createJoinToken({ trustDomain: TD, issuerThumbprint: authority.thumbprint, random });
    const relay = await createIdentityKey();
    const roles = { id: toHubId(TD), publicJwk: relay.publicJwk, services: [], lifetimeMs: 10 * BUNDLE_LIFE_MS };
    const hubOf = (own: OwnCredential, bundle: TrustBundle): Authenticator =>
      createHubAuthenticator({
        ...{ credential: () => own, bundle: () => bundle, trustDomain: TD, clock },
        admit: () => Promise.reject(new SkeinError('SKEIN_INTERNAL', 'unused')),
      });
    const issuing = { key: thief.key, wit: await authority.issueWit({ ...roles, publicJwk: thief.key.publicJwk }) };
    const relaying = { key: relay, wit: await authority.issueWit({ ...roles, hubRoles: ['relay'] }) };
    const judge = (offered: unknown): SkeinError | undefined => {
      const bundle = parseTrustBundle(offered);
      return clock.epochMs() < endOf(bundle) ? undefined : bundleEnded(bundle, clock.epochMs());
    };
    const join = createNewcomerAuthenticator({
      ...{ wayIn: parseWayIn(token.text, { thumbprints: [], trustDomain: TD }, nodeCrypto.sha256), clock },
      ...{ key: await createIdentityKey(), onBundle: () => undefined },
    });
    const back = createMemberAuthenticator({
      ...{ credential: () => thief, bundle: () => old, trustDomain: TD, clock, expect: expectHub(TD) },
      onBundle: async (offered) => judge(offered),
    });
    const ended = { code: 'SKEIN_IDENTITY', message: /were good until .* and it is .* check the clock/ };
    clock.advance(BUNDLE_LIFE_MS - 1);
    await meet(hubOf(issuing, old), join, 'responder');
    await meet(hubOf(issuing, old), back, 'responder');
    clock.advance(1);
    await assert.rejects(meet(hubOf(issuing, old), join, 'responder'), ended);
    await assert.rejects(meet(hubOf(issuing, old), back, 'responder'), ended);
    // One that cannot sign must be of use while those that can are away.
    await meet(hubOf(relaying, old), back, 'responder');
    assert.equal(await authority.renewBundle(), true);
    await meet(hubOf(issuing, authority.bundle()), join, 'responder');
    await meet(hubOf(issuing, authority.bundle()), back, 'responder');
    assert.deepEqual(authority.bundle().keys, old.keys);
    assert.equal(await authority.renewBundle(), false);
  });

  it('the hub uses up no token for somebody who does not hold the key', async () => {
    const world = await createWorld();
    const { hub, token, uses } = await createHub(world);
    const payload = decodeCredential(await newcomer(token.text, await createIdentityKey()).prove('initiator', HASH));
    const stolen = encodeCredential({ ...payload, publicKey: JSON.stringify((await createIdentityKey()).publicJwk) });
    await assert.rejects(hub.verify('initiator', HASH, stolen), { code: 'SKEIN_IDENTITY' });
    assert.equal(uses.length, 0);
  });

  it('tells used and unknown tokens apart', async () => {
    const world = await createWorld();
    const { hub, token } = await createHub(world);
    await meet(newcomer(token.text, await createIdentityKey()), hub);
    await assert.rejects(meet(newcomer(token.text, await createIdentityKey()), hub), { code: 'SKEIN_TOKEN_USED' });
    const unknown = createJoinToken({ trustDomain: TD, issuerThumbprint: world.authority.thumbprint, random });
    await assert.rejects(meet(newcomer(unknown.text, await createIdentityKey()), hub), { code: 'SKEIN_TOKEN_INVALID' });
  });
});

describe('parseJoinToken', () => {
  const { text, id, secret } = createJoinToken({ trustDomain: TD, issuerThumbprint: 'A'.repeat(43), random });

  it('reads what createJoinToken wrote', () => {
    const token = parseJoinToken(`  ${text}\n`);
    assert.equal(token.id, id);
    assert.ok(equalBytes(token.secret.reveal(), secret.reveal()));
  });

  it('refuses every mutant, and never quotes it', () => {
    const mutants = [
      '',
      'skein_',
      text.slice(1),
      text.toUpperCase(),
      `${text}=`,
      text.slice(0, -3),
      `${text}AAAA`,
      'skein_e30',
      `skein_${'A'.repeat(5000)}`,
      text.replace('skein_', 'token_'),
    ];
    for (let i = 7; i < text.length; i++) mutants.push(text.slice(0, i) + text.slice(i + 1));
    for (const mutant of mutants) {
      assert.throws(
        () => parseJoinToken(mutant),
        (error) => {
          assert.ok(error instanceof SkeinError);
          assert.equal(error.code, 'SKEIN_TOKEN_INVALID');
          assert.ok(mutant.length < 8 || !error.message.includes(mutant.slice(0, 12)) || mutant.startsWith('skein'));
          return true;
        },
        mutant,
      );
    }
  });

  it('prints no secret', () => {
    const token = parseJoinToken(text);
    assert.ok(!JSON.stringify(token).includes('secret":"A') && JSON.stringify(token).includes('[redacted]'));
    assert.equal(`${token.secret}`, '[redacted]');
  });
});

describe('Identity keys and proofs', () => {
  it('survive the store', async () => {
    const key = await createIdentityKey();
    const again = await importIdentityKey(JSON.parse(JSON.stringify((await key.exportPrivate()).reveal())));
    assert.equal(again.thumbprint, key.thumbprint);
    assert.ok(await verifySignature(key.publicJwk, await again.sign(HASH), HASH));
    await assert.rejects((await createIdentityKey(false)).exportPrivate(), { code: 'SKEIN_CONFIG' });
    for (const bad of [undefined, null, {}, { ...key.publicJwk }, { ...key.publicJwk, d: 7 }, 'x']) {
      await assert.rejects(importIdentityKey(bad), { code: 'SKEIN_CONFIG' });
    }
  });

  it('a proof is good for one key, one role and one handshake', async () => {
    const key = await createIdentityKey();
    const proof = await createProof(key, 'initiator', HASH);
    assert.equal(proof.length, 64);
    const other = await createIdentityKey();
    assert.deepEqual(
      await Promise.all([
        verifyProof(key.publicJwk, proof, 'initiator', HASH),
        verifyProof(other.publicJwk, proof, 'initiator', HASH),
        verifyProof(key.publicJwk, proof, 'responder', HASH),
        verifyProof(key.publicJwk, proof, 'initiator', encodeUtf8('other')),
        verifyProof(key.publicJwk, new Uint8Array(64), 'initiator', HASH),
        verifyProof({ ...key.publicJwk, x: key.publicJwk.y }, proof, 'initiator', HASH),
      ]),
      [true, false, false, false, false, false],
    );
  });

  it('an issuer comes back from its state, and only in its own trust domain', async () => {
    const authority = await Authority.create({ trustDomain: TD, clock });
    const state = JSON.parse(JSON.stringify((await authority.exportState()).reveal())) as unknown;
    assert.equal((await Authority.create({ trustDomain: TD, clock, state })).thumbprint, authority.thumbprint);
    await assert.rejects(Authority.create({ trustDomain: 'other.mesh', clock, state }), { code: 'SKEIN_CONFIG' });
    await assert.rejects(Authority.create({ trustDomain: 'No Domain', clock }), { code: 'SKEIN_CONFIG' });
    assert.ok(!JSON.stringify(await authority.exportState()).includes('"d"'));
  });
});
