/** Resume tickets inside real handshakes: who holds one, who has only seen one, and what ends them. */

import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { createMemberAuthenticator, type OwnCredential } from '../../../src/auth/authenticator.ts';
import { Authority } from '../../../src/auth/authority.ts';
import { createIdentityKey } from '../../../src/auth/key-pair.ts';
import { ResumingAuthenticator, TICKET_LIFE_MS, TicketBook } from '../../../src/auth/resume-tickets.ts';
import { type Bytes, concatBytes, decodeUtf8, EMPTY, fromBase64Url, toHex } from '../../../src/core/bytes.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import type { Random } from '../../../src/core/random.ts';
import { toWorkloadId } from '../../../src/core/spiffe-id.ts';
import { nodeCrypto } from '../../../src/runtime/node-compat/crypto.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import {
  type Authenticator,
  type HandshakeRole,
  MAX_TICKET_BYTES,
  type PeerIdentity,
  type Remembered,
} from '../../../src/tunnel/handshake.ts';
import type { SessionHandshake } from '../../../src/tunnel/session-handshake.ts';
import { counting, createHandshake as handshakeOf, idsOf, type Met, meet as meetIn } from '../../support/handshakes.ts';

const TD = 'test.mesh';
const random = new SeededRandom(5);

let clock: VirtualClock;
let authority: Authority;
let [edge, api, other]: OwnCredential[] = [];
let given: TicketBook;
let taken: TicketBook;
/** Signatures made and verified. */
let signatures: number;

async function createMember(name: string): Promise<OwnCredential> {
  const key = await createIdentityKey();
  const id = toWorkloadId(TD, 'default', name);
  return { key, wit: await authority.issueWit({ id, publicJwk: key.publicJwk, services: [] }) };
}

beforeEach(async () => {
  clock = new VirtualClock();
  authority = await Authority.create({ trustDomain: TD, clock });
  [edge, api, other] = await Promise.all(['edge', 'api', 'other'].map(createMember));
  given = new TicketBook(clock);
  taken = new TicketBook(clock);
  signatures = 0;
});

/** By signatures, counted. */
function bySignatures(own: OwnCredential): Authenticator {
  const inner = createMemberAuthenticator({
    ...{ credential: () => own, bundle: () => authority.bundle(), trustDomain: TD, clock },
  });
  return counting(inner, () => signatures++);
}

const anybody = (): boolean => true;

function caller(own = edge!, isGood: (peer: PeerIdentity) => boolean = anybody): ResumingAuthenticator {
  const crypto = nodeCrypto;
  return new ResumingAuthenticator(bySignatures(own), { crypto, isGood, taken: { book: taken, name: 'api' } });
}

function callee(isGood: (peer: PeerIdentity) => boolean = anybody): ResumingAuthenticator {
  return new ResumingAuthenticator(bySignatures(api!), { crypto: nodeCrypto, isGood, given });
}

const createHandshake = (role: HandshakeRole, authenticator: Authenticator, chance?: Random): SessionHandshake =>
  handshakeOf(role, authenticator, TD, chance);
const meet = (initiating: Authenticator, responding: Authenticator): Promise<Met> => meetIn(initiating, responding, TD);

const BOTH = ['spiffe://test.mesh/ns/default/sa/api', 'spiffe://test.mesh/ns/default/sa/edge'];

/** A caller that says what it likes about tickets. */
class Impostor extends ResumingAuthenticator {
  readonly #id: Bytes;

  constructor(id: Bytes, own = other!) {
    super(bySignatures(own), { crypto: nodeCrypto, isGood: anybody });
    this.#id = id;
  }

  override offer(): Bytes {
    return this.#id;
  }
}

/** A caller that holds the id of a ticket, which anybody has seen, and not its secret. */
function guesser(id: Bytes, peer: PeerIdentity, secret: Bytes = new Uint8Array(32)): ResumingAuthenticator {
  taken.keep('api', { id, secret, peer }, TICKET_LIFE_MS);
  return caller(other);
}

describe('A resume ticket', () => {
  it('Takes the place of all signatures, and both ends know each other as before', async () => {
    const first = await meet(caller(), callee());
    assert.deepEqual(idsOf(first), BOTH);
    assert.equal(signatures, 4);
    const again = await meet(caller(), callee());
    assert.deepEqual(idsOf(again), BOTH);
    assert.equal(signatures, 4);
    assert.deepEqual(again.initiator.outcome, first.initiator.outcome);
    assert.deepEqual(again.responder.outcome, first.responder.outcome);
  });

  it('Opens nothing: keys of sessions by one ticket are those of a key agreement of their own', async () => {
    await meet(caller(), callee());
    const met = [await meet(caller(), callee()), await meet(caller(), callee())];
    for (const { initiator, responder } of met) assert.deepEqual(initiator.keys.send, responder.keys.receive);
    assert.notDeepEqual(met[0]!.initiator.keys.send, met[1]!.initiator.keys.send);
  });

  it('Is good for five minutes, however often it is used, and then signatures are asked for', async () => {
    await meet(caller(), callee());
    clock.advance(TICKET_LIFE_MS - 1);
    assert.deepEqual(idsOf(await meet(caller(), callee())), BOTH);
    assert.equal(signatures, 4);
    clock.advance(1);
    assert.deepEqual(idsOf(await meet(caller(), callee())), BOTH);
    assert.equal(signatures, 8);
  });

  it('Lets signatures prove, with no message more, when the other end holds it no more', async () => {
    await meet(caller(), callee());
    given = new TicketBook(clock);
    const again = await meet(caller(), callee());
    assert.equal(again.messages.length, 3);
    assert.deepEqual(idsOf(again), BOTH);
    assert.equal(signatures, 8);
    await meet(caller(), callee());
    assert.equal(signatures, 8);
  });

  it('Ends no later than the SVID that was shown', async () => {
    const { wit } = edge!;
    const claims = JSON.parse(decodeUtf8(fromBase64Url(wit.split('.')[1] ?? ''))) as { exp: number };
    clock.advance(claims.exp * 1000 - clock.epochMs() - 60_000);
    await meet(caller(), callee());
    assert.equal(given.size, 1);
    clock.advance(60_000);
    const before = signatures;
    await meet(caller(), callee());
    assert.equal(signatures, before + 4, 'within the leeway of clocks it has to show the SVID again');
  });

  it('Is not asked for by who does not want one, and not given to who does not hold an SVID', async () => {
    await meet(bySignatures(edge!), callee());
    await meet(caller(), bySignatures(api!));
    assert.deepEqual([given.size, taken.size], [0, 0]);
    const id = random.bytes(16);
    const newcomer = { id: toWorkloadId(TD, 'default', 'new'), grant: { kind: 'newcomer', expiresAtMs: 0 } };
    callee().keep({ id, secret: id, peer: newcomer }, 300);
    assert.equal(given.size, 0);
  });

  it('Is one of a thousand: the oldest makes room', async () => {
    const { responder } = await meet(caller(), callee());
    const peer = responder.outcome as PeerIdentity;
    for (let i = 0; i < 1_000; i++) given.keep(`${i}`, { id: EMPTY, secret: EMPTY, peer }, TICKET_LIFE_MS);
    assert.equal(given.size, 1_000);
    assert.equal(given.find(toHex(responder.sessionId)), undefined);
    assert.notEqual(given.find('0'), undefined);
  });
});

describe('Who abuses a resume ticket', () => {
  it('Takes no place of another by calling its session as that ticket is called', async () => {
    const { responder } = await meet(caller(), callee());
    const { peer } = given.find(toHex(responder.sessionId)) as Remembered;
    const attacker = await createMember('attacker');
    const book = new TicketBook(clock);
    const own = new ResumingAuthenticator(bySignatures(attacker), {
      ...{ crypto: nodeCrypto, isGood: anybody, taken: { book, name: 'api' } },
    });
    const chosen: Random = { bytes: () => responder.sessionId.slice(), ratio: () => 0 };
    const initiator = createHandshake('initiator', own, chosen);
    const other = createHandshake('responder', callee());
    await other.receive((await initiator.receive((await other.receive(initiator.start()))!))!);
    assert.ok(!(other.result!.outcome instanceof SkeinError));
    assert.equal(given.find(toHex(responder.sessionId))?.peer, peer);
    assert.deepEqual(idsOf(await meet(caller(), callee())), BOTH);
  });

  it('Makes nobody else forgotten by coming a thousand times', async () => {
    const { responder } = await meet(caller(), callee());
    const peer = (await meet(bySignatures(other!), callee())).responder.outcome as PeerIdentity;
    for (let i = 0; i < 2_000; i++) given.keep(`${i}`, { id: EMPTY, secret: EMPTY, peer }, TICKET_LIFE_MS);
    assert.equal(given.size, 1_000);
    assert.notEqual(given.find(toHex(responder.sessionId)), undefined);
  });

  it('Gains nothing by waiting with the proof: revoked meanwhile, it is refused', async () => {
    const revokedIds = new Set<string>();
    const isGood = ({ id }: PeerIdentity): boolean => !revokedIds.has(id.uri);
    await meet(caller(), callee(isGood));
    const waiting = createHandshake('responder', callee(isGood));
    const caught = createHandshake('initiator', caller());
    const third = await caught.receive((await waiting.receive(caught.start()))!);
    revokedIds.add(BOTH[1]!);
    await waiting.receive(third!);
    // What is asked for next are signatures, which find out why.
    assert.equal((waiting.result!.outcome as SkeinError).code, 'SKEIN_HANDSHAKE');
    revokedIds.clear();
    const initiator = createHandshake('initiator', caller(edge, isGood));
    const second = await createHandshake('responder', callee()).receive(initiator.start());
    revokedIds.add(BOTH[0]!);
    await assert.rejects(initiator.receive(second!), { code: 'SKEIN_HANDSHAKE' });
  });

  it('Gets nowhere by what was sent before: the other end has other keys now', async () => {
    await meet(caller(), callee());
    const { messages } = await meet(caller(), callee());
    const responder = createHandshake('responder', callee());
    assert.notEqual(await responder.receive(messages[0]!), undefined);
    await assert.rejects(responder.receive(messages[2]!), { code: 'SKEIN_HANDSHAKE' });
  });

  it('Is refused with the ticket of somebody else, whose secret it does not know', async () => {
    const { responder } = await meet(caller(), callee());
    const peer = responder.outcome as PeerIdentity;
    const initiator = createHandshake('initiator', guesser(responder.sessionId, peer));
    const second = await createHandshake('responder', callee()).receive(initiator.start());
    await assert.rejects(initiator.receive(second!), { code: 'SKEIN_IDENTITY' }, 'nor can it check who answers');
  });

  it('Is refused when it names one and proves otherwise who it is', async () => {
    const { responder } = await meet(caller(), callee());
    // It passes over what it cannot check, and shows a good SVID of its own.
    class Deaf extends Impostor {
      override async verify(): Promise<PeerIdentity> {
        return responder.outcome as PeerIdentity;
      }
    }
    const deaf = await meet(new Deaf(responder.sessionId), callee());
    assert.equal((deaf.responder.outcome as SkeinError).code, 'SKEIN_IDENTITY');
    // Or a proof that is short, long, or of the other role.
    const right = given.find(toHex(responder.sessionId)) as Remembered;
    for (const bend of [
      (proof: Bytes) => proof.subarray(0, 32),
      (proof: Bytes) => concatBytes(proof, new Uint8Array(1)),
      (proof: Bytes) => proof.map((byte, i) => (i === 32 ? byte ^ 1 : byte)),
      () => new Uint8Array([2]),
    ]) {
      class Bent extends Deaf {
        override async prove(role: HandshakeRole, hash: Bytes): Promise<Bytes> {
          taken.keep('api', right, TICKET_LIFE_MS);
          const holder = caller();
          holder.offer();
          return bend(await holder.prove(role, hash));
        }
      }
      const bent = await meet(new Bent(responder.sessionId), callee());
      assert.equal((bent.responder.outcome as SkeinError).code, 'SKEIN_IDENTITY');
    }
    class OfOtherRole extends Deaf {
      override async prove(_: HandshakeRole, hash: Bytes): Promise<Bytes> {
        taken.keep('api', right, TICKET_LIFE_MS);
        const holder = caller();
        holder.offer();
        return holder.prove('responder', hash);
      }
    }
    const reflected = await meet(new OfOtherRole(responder.sessionId), callee());
    assert.equal((reflected.responder.outcome as SkeinError).code, 'SKEIN_IDENTITY');
  });

  it('Is taken for who it proves to be when it names one that nobody has given', async () => {
    for (const length of [16, 17, 200, MAX_TICKET_BYTES]) {
      const met = await meet(new Impostor(random.bytes(length)), callee());
      assert.equal(idsOf(met)[1], 'spiffe://test.mesh/ns/default/sa/other');
    }
  });

  it('Ends the handshake with a name that is short, or long', async () => {
    for (const length of [0, 15, MAX_TICKET_BYTES + 1]) {
      const first = createHandshake('initiator', new Impostor(random.bytes(length))).start();
      await assert.rejects(createHandshake('responder', callee()).receive(first), { code: 'SKEIN_HANDSHAKE' });
    }
  });

  it('Is asked for signatures once it is revoked, by the end that knows', async () => {
    await meet(caller(), callee());
    await meet(
      caller(),
      callee(() => false),
    );
    assert.equal(signatures, 8);
    await meet(
      caller(edge!, () => false),
      callee(),
    );
    assert.equal(signatures, 12);
  });

  it('Stands in for a callee in vain: the caller forgets the ticket, and asks for signatures the next time', async () => {
    const { initiator } = await meet(caller(), callee());
    const wrong = new TicketBook(clock);
    const peer = initiator.outcome as PeerIdentity;
    wrong.keep(toHex(initiator.sessionId), { id: initiator.sessionId, secret: random.bytes(32), peer }, TICKET_LIFE_MS);
    const liar = new ResumingAuthenticator(bySignatures(other!), { crypto: nodeCrypto, isGood: anybody, given: wrong });
    await assert.rejects(meet(caller(), liar), { code: 'SKEIN_IDENTITY' });
    assert.equal(taken.size, 0);
    assert.deepEqual(idsOf(await meet(caller(), callee())), BOTH);
  });
});
