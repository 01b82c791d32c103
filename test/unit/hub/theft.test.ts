/** What a thief can copy — an SVID, a recorded handshake, a join token — opens nothing: not once in a thousand attempts. */

import { deepEqual, equal, notEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { createMemberAuthenticator, expectMember } from '../../../src/auth/authenticator.ts';
import { Authority } from '../../../src/auth/authority.ts';
import { decodeCredential, encodeCredential } from '../../../src/auth/credential-codec.ts';
import type { Grant } from '../../../src/auth/grant.ts';
import { createIdentityKey, type IdentityKey } from '../../../src/auth/key-pair.ts';
import { type Bytes, fromBase64Url, fromHex, toBase64Url, toHex } from '../../../src/core/bytes.ts';
import type { MessagePipe } from '../../../src/core/platform.ts';
import { toWorkloadId } from '../../../src/core/spiffe-id.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import type { PeerIdentity } from '../../../src/tunnel/handshake.ts';
import { printFigures } from '../../support/figures.ts';
import { createIdentity, HubClient } from '../../support/hub-client.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

const TRUST_DOMAIN = 'test.mesh';
const COPIES = 600;
const REPLAYS = 200;
const REUSES = 200;
/** Order of P-256 (FIPS 186-5, SP 800-186 §3.2.1.3). */
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

async function createVictim() {
  const clock = new VirtualClock();
  const authority = await Authority.create({ trustDomain: TRUST_DOMAIN, clock });
  const key = await createIdentityKey();
  const id = toWorkloadId(TRUST_DOMAIN, 'default', 'api');
  const wit = await authority.issueWit({ id, publicJwk: key.publicJwk, services: [] });
  const as = (shown: string, by: IdentityKey) =>
    createMemberAuthenticator({
      ...{ clock, trustDomain: TRUST_DOMAIN, bundle: () => authority.bundle(), expect: expectMember(TRUST_DOMAIN) },
      credential: () => ({ wit: shown, key: by }),
    });
  return { wit, key, as };
}

/** The other signature that verifies wherever (r, s) does: (r, n - s). */
function turn(signature: Bytes): Bytes {
  const s = BigInt(`0x${toHex(signature.subarray(32))}`);
  const other = (ORDER - s).toString(16).padStart(64, '0');
  return new Uint8Array([...signature.subarray(0, 32), ...fromHex(other)]);
}

/** The same token with the other signature. */
function turnToken(token: string): string {
  const [header = '', claims = '', signature = ''] = token.split('.');
  return `${header}.${claims}.${toBase64Url(turn(fromBase64Url(signature)))}`;
}

test('A copied SVID, and a proof of another handshake, are refused every time', async (t) => {
  const random = new SeededRandom();
  t.diagnostic(`seed ${random.seed}`);
  const { wit, key, as } = await createVictim();
  const verifier = as(wit, key);
  const thiefKey = await createIdentityKey();
  let accepted = 0;
  for (let i = 0; i < COPIES; i++) {
    const [recorded, now] = [random.bytes(32), random.bytes(32)];
    const shown = Math.floor(i / 4) % 2 === 0 ? wit : turnToken(wit);
    const proof = decodeCredential(await as(wit, key).prove('initiator', recorded)).proof as Bytes;
    const attempts: (readonly [role: 'initiator' | 'responder', hash: Bytes, payload: Bytes])[] = [
      ['initiator', now, await as(shown, thiefKey).prove('initiator', now)],
      ['initiator', now, encodeCredential({ wit: shown, proof })],
      ['initiator', now, encodeCredential({ wit: shown, proof: turn(proof) })],
      ['responder', recorded, encodeCredential({ wit: shown, proof })],
    ];
    const [role, hash, payload] = attempts[i % attempts.length] ?? ['initiator', now, new Uint8Array(0)];
    await verifier.verify(role, hash, payload).then(
      () => accepted++,
      () => undefined,
    );
  }
  printFigures('stolen SVIDs', { attempts: COPIES, accepted });
  equal(accepted, 0);
});

test('Another spelling of a signature makes no other identity: nothing is known by the text of a token', async () => {
  const { wit, key, as } = await createVictim();
  const other = turnToken(wit);
  notEqual(other, wit);
  const hash = new Uint8Array(32).fill(7);
  const [first, second] = await Promise.all(
    [wit, other].map(async (shown) =>
      as(wit, key).verify('initiator', hash, await as(shown, key).prove('initiator', hash)),
    ),
  );
  const meaning = ({ id, grant }: PeerIdentity) => {
    const { thumbprint, joinedAtMs, expiresAtMs } = grant as Grant;
    return [id.uri, thumbprint, joinedAtMs, expiresAtMs];
  };
  ok(first !== undefined && second !== undefined);
  deepEqual(meaning(second), meaning(first));
});

test('A recorded handshake lets nobody in, and no token lets in a second one', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const member = await createIdentity();
  const token = await mesh.token('api');
  (await mesh.run(HubClient.connect(mesh.platform, mesh.hub.url, member, token))).close();
  const recorded: Bytes[] = [];
  const record = async (url: string): Promise<MessagePipe> => {
    const pipe = await mesh.network.dial(url);
    const send = pipe.send.bind(pipe);
    pipe.send = (message) => {
      recorded.push(message.slice());
      send(message);
    };
    return pipe;
  };
  const again = await mesh.run(HubClient.connect(mesh.platform, mesh.hub.url, member, undefined, record));
  // The hub may still be verifying what this end has said last.
  await mesh.until(() => mesh.log.of('sidecar-joined').length === 2);
  again.close();
  await mesh.until(() => mesh.log.of('sidecar-left').length === 2);
  const joined = (): number => mesh.log.of('sidecar-joined').length;
  equal(joined(), 2);
  ok(recorded.length >= 4, 'HELLO, both messages of the handshake, and what was said after it');

  for (let i = 0; i < REPLAYS; i++) {
    const pipe = await mesh.network.dial(mesh.hub.url);
    let isOver = false;
    pipe.attach({
      onMessage: () => undefined,
      onProgress: () => undefined,
      onClose: () => {
        isOver = true;
      },
    });
    for (const message of recorded) if (!isOver) pipe.send(message.slice());
    await mesh.until(() => isOver);
  }
  equal(joined(), 2);

  let accepted = 0;
  for (let i = 0; i < REUSES; i++) {
    const thief = await createIdentity();
    const attempt = HubClient.connect(mesh.platform, mesh.hub.url, thief, token).then(
      () => accepted++,
      () => undefined,
    );
    await mesh.run(attempt);
  }
  printFigures('stolen handshakes and tokens', { replays: REPLAYS, reuses: REUSES, accepted: accepted + joined() - 2 });
  equal(accepted, 0);
  equal(joined(), 2);
});
