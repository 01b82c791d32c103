/** Sealed tickets inside real handshakes: a hub that has forgotten everything knows its members again, and nobody else. */

import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { createMemberAuthenticator, type OwnCredential } from '../../../src/auth/authenticator.ts';
import { Authority } from '../../../src/auth/authority.ts';
import type { Grant } from '../../../src/auth/grant.ts';
import { HUB_ROLES } from '../../../src/auth/hub-role.ts';
import { createIdentityKey } from '../../../src/auth/key-pair.ts';
import { removeFromRing } from '../../../src/auth/key-ring.ts';
import { ResumingAuthenticator, TicketBook } from '../../../src/auth/resume-tickets.ts';
import { SEALED_LIFE_MS, SealedTickets } from '../../../src/auth/sealed-tickets.ts';
import type { SessionProof } from '../../../src/auth/session-proof.ts';
import { type Bytes, decodeUtf8, equalBytes, fromBase64Url } from '../../../src/core/bytes.ts';
import type { SkeinError } from '../../../src/core/errors.ts';
import { toHubId, toWorkloadId } from '../../../src/core/spiffe-id.ts';
import { nodeCrypto } from '../../../src/runtime/node-compat/crypto.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { type Authenticator, MAX_TICKET_BYTES, type PeerIdentity } from '../../../src/tunnel/handshake.ts';
import type { SessionKeys } from '../../../src/tunnel/session-handshake.ts';
import { counting, createHandshake, idsOf, type Met, meet } from '../../support/handshakes.ts';

const TD = 'test.mesh';
const HUB = 'spiffe://test.mesh/ns/skein/sa/hub';
const EDGE = 'spiffe://test.mesh/ns/default/sa/edge';
const BOTH = [HUB, EDGE];
const HOUR_MS = 3_600_000;

const random = new SeededRandom(7);
let clock: VirtualClock;
let authority: Authority;
let edge: OwnCredential;
let other: OwnCredential;
let hubOwn: OwnCredential;
let root: Bytes;
/** Of a hub that is killed by making another one. */
let tickets: SealedTickets;
let taken: TicketBook;
let signatures: number;
let revoked: Set<string>;

async function issue(id = toWorkloadId(TD, 'default', 'edge'), services: string[] = []): Promise<OwnCredential> {
  const key = await createIdentityKey();
  return { key, wit: await authority.issueWit({ id, publicJwk: key.publicJwk, services }) };
}

const startHub = (secret = root, roles = HUB_ROLES): SealedTickets =>
  new SealedTickets({ crypto: nodeCrypto, clock, random, root: secret, bundle: () => authority.bundle(), roles });

beforeEach(async () => {
  clock = new VirtualClock();
  authority = await Authority.create({ trustDomain: TD, clock });
  edge = await issue();
  other = await issue(toWorkloadId(TD, 'default', 'other'));
  hubOwn = await issue(toHubId(TD));
  root = random.bytes(32);
  tickets = startHub();
  taken = new TicketBook(clock);
  signatures = 0;
  revoked = new Set();
});

function bySignatures(own: OwnCredential): Authenticator {
  const inner = createMemberAuthenticator({
    ...{ credential: () => own, bundle: () => authority.bundle(), trustDomain: TD, clock },
  });
  return counting(inner, () => signatures++);
}

const isGood = ({ id }: PeerIdentity): boolean => !revoked.has(id.uri);

const member = (own = edge, book = taken): ResumingAuthenticator =>
  new ResumingAuthenticator(bySignatures(own), {
    ...{ crypto: nodeCrypto, isGood, isLasting: true, taken: { book, name: 'hub' } },
  });

const hub = (given = tickets): ResumingAuthenticator =>
  new ResumingAuthenticator(bySignatures(hubOwn), { crypto: nodeCrypto, isGood, isLasting: true, given });

/** What the hub hands over behind a handshake with signatures. */
function hand(from: ResumingAuthenticator, to: ResumingAuthenticator, { initiator, responder }: Met): Bytes {
  const given = tickets.give(responder.outcome as PeerIdentity, (from.session as SessionProof).ticketSecret);
  assert.ok(given !== undefined);
  const { ticket: id, seconds } = given;
  const session = to.session as SessionProof;
  const peer = initiator.outcome as PeerIdentity;
  taken.keep('hub', { id, secret: session.ticketSecret, peer }, seconds * 1000);
  session.note(id);
  from.session?.note(id);
  return id;
}

async function join(): Promise<Bytes> {
  const [from, to] = [hub(), member()];
  const met = await meet(to, from, TD);
  assert.deepEqual(idsOf(met), BOTH);
  const ticket = hand(from, to, met);
  signatures = 0;
  return ticket;
}

/** A member that names what it likes. */
class Naming extends ResumingAuthenticator {
  readonly #ticket: Bytes;

  constructor(ticket: Bytes) {
    super(bySignatures(other), { crypto: nodeCrypto, isGood });
    this.#ticket = ticket;
  }

  override offer(): Bytes {
    return this.#ticket;
  }
}

describe('A sealed ticket', () => {
  it('Is known by a hub that was started anew and remembers nothing, without a signature of either end', async () => {
    await join();
    tickets = startHub();
    const [from, to] = [hub(), member()];
    const met = await meet(to, from, TD);
    assert.deepEqual(idsOf(met), BOTH);
    assert.equal(signatures, 0);
    assert.deepEqual([from.session?.isFresh, to.session?.isFresh], [false, false], 'and is worth no other ticket');
  });

  it('Says all that the SVID has said', async () => {
    edge = await issue(undefined, ['edge.default', 'more.default']);
    const [from, to] = [hub(), member()];
    const met = await meet(to, from, TD);
    hand(from, to, met);
    tickets = startHub();
    assert.deepEqual((await meet(member(), hub(), TD)).responder.outcome, met.responder.outcome);
  });

  it('Is used by two at once, and each session has keys of its own', async () => {
    await join();
    const met = await Promise.all([meet(member(), hub(), TD), meet(member(), hub(), TD)]);
    assert.equal(signatures, 0);
    for (const { initiator, responder } of met) assert.deepEqual(initiator.keys.send, responder.keys.receive);
    assert.notDeepEqual(met[0].initiator.keys.send, met[1].initiator.keys.send);
  });

  it('Is good for two hours, over all changes of the sealing key, and not a moment longer', async () => {
    clock.advance(HOUR_MS - 1 - (clock.epochMs() % HOUR_MS));
    await join();
    for (const stepMs of [1, HOUR_MS - 1, HOUR_MS - 1]) {
      clock.advance(stepMs);
      assert.deepEqual(idsOf(await meet(member(), hub(), TD)), BOTH);
      assert.equal(signatures, 0);
    }
    clock.advance(1);
    assert.equal(taken.find('hub'), undefined, 'nobody names it any more');
    assert.equal(SEALED_LIFE_MS, 2 * HOUR_MS);
  });

  it('Is of no use to who still names it then', async () => {
    const ticket = await join();
    clock.advance(SEALED_LIFE_MS);
    assert.equal(tickets.recall(ticket), undefined);
  });

  it('Ends no later than the SVID', async () => {
    const { exp } = JSON.parse(decodeUtf8(fromBase64Url(edge.wit.split('.')[1] as string))) as { exp: number };
    clock.advance(exp * 1000 - clock.epochMs() - 60_000);
    hubOwn = await issue(toHubId(TD));
    const ticket = await join();
    clock.advance(59_999);
    assert.notEqual(tickets.recall(ticket), undefined);
    clock.advance(1);
    assert.equal(tickets.recall(ticket), undefined);
  });

  it('Is not believed where the clock was ahead when it was given, or is behind', async () => {
    const ticket = await join();
    for (const backMs of [1, HOUR_MS, 24 * HOUR_MS]) {
      clock.shiftEpoch(-backMs);
      assert.equal(tickets.recall(ticket), undefined, `${backMs} ms`);
    }
  });

  it('Is not given to who has more services than it holds, nor to who has no SVID', async () => {
    const services = Array.from({ length: 160 }, (_, i) => `service-number-${i}.default`);
    edge = await issue(undefined, services);
    const { responder } = await meet(member(), hub(), TD);
    assert.equal(tickets.give(responder.outcome as PeerIdentity, root), undefined);
    const peer = responder.outcome as PeerIdentity;
    const newcomer = { id: peer.id, grant: { ...(peer.grant as Grant), services: [], expiresAtMs: 0 } };
    assert.equal(tickets.give(newcomer, root), undefined);
  });

  it('Is another one each time, of a secret of its own', async () => {
    const [from, to] = [hub(), member()];
    const met = await meet(to, from, TD);
    const secrets = [from.session?.ticketSecret, to.session?.ticketSecret] as [Bytes, Bytes];
    assert.ok(equalBytes(...secrets));
    const hashes = [from.session?.hash];
    const first = hand(from, to, met);
    hashes.push(from.session?.hash);
    const second = hand(from, to, met);
    assert.ok(!equalBytes(first, second));
    assert.ok(!equalBytes(secrets[0], from.session?.ticketSecret as Bytes));
    assert.notDeepEqual(hashes[0], hashes[1], 'what was proven before it is no proof behind it');
    assert.deepEqual(from.session?.hash, to.session?.hash);
  });
});

describe('Who abuses a sealed ticket', () => {
  /** It goes on by signatures, in the same three messages. */
  async function assertUnknown(ticket: Bytes, why: string): Promise<void> {
    assert.equal(tickets.recall(ticket), undefined, why);
    const met = await meet(new Naming(ticket), hub(), TD);
    assert.equal(idsOf(met)[1], 'spiffe://test.mesh/ns/default/sa/other', why);
  }

  it('Has nothing by one that is bent, half, or longer', async () => {
    const ticket = await join();
    for (let at = 0; at < ticket.length; at++) {
      const bent = ticket.slice();
      bent[at] = (bent[at] as number) ^ 1;
      assert.equal(tickets.recall(bent), undefined, `byte ${at}`);
    }
    for (const length of [17, 32, 33, 34, ticket.length - 1])
      await assertUnknown(ticket.subarray(0, length), `${length}`);
    const longer = new Uint8Array(ticket.length + 1);
    longer.set(ticket);
    await assertUnknown(longer, 'longer');
    await assertUnknown(random.bytes(MAX_TICKET_BYTES), 'as long as may be');
  });

  it('Has nothing by one of another hub, or of this one when it had another key', async () => {
    const ticket = await join();
    assert.equal(startHub(random.bytes(32)).recall(ticket), undefined);
  });

  it('Has nothing by one of when this hub had other roles, in whatever order they are named', async () => {
    const ticket = await join();
    assert.equal(startHub(root, HUB_ROLES.slice(1)).recall(ticket), undefined);
    assert.notEqual(startHub(root, HUB_ROLES.toReversed()).recall(ticket), undefined);
  });

  it('Has nothing by one of before the keys of the issuer changed, and is asked for signatures without another try', async () => {
    const ticket = await join();
    const [kid] = authority
      .bundle()
      .keys.filter(({ use }) => use === 'jwt-svid')
      .map((key) => key.kid);
    await authority.useRing(await removeFromRing(authority.ring, kid as string, clock.epochMs(), createIdentityKey));
    assert.equal(tickets.recall(ticket), undefined);
    const met = await meet(member(), hub(), TD);
    assert.deepEqual([...idsOf(met), met.messages.length], [...BOTH, 3]);
    assert.equal(signatures, 4);
  });

  it('Gains nothing by waiting with the proof, until the keys have changed or it is revoked', async () => {
    const ends = [
      async () => void revoked.add(EDGE),
      async () => {
        const [kid] = authority
          .bundle()
          .keys.filter(({ use }) => use === 'jwt-svid')
          .map((key) => key.kid);
        await authority.useRing(
          await removeFromRing(authority.ring, kid as string, clock.epochMs(), createIdentityKey),
        );
      },
    ];
    for (const end of ends) {
      await join();
      const [initiator, waiting] = [
        createHandshake('initiator', member(), TD),
        createHandshake('responder', hub(), TD),
      ];
      const third = await initiator.receive((await waiting.receive(initiator.start())) as Bytes);
      await end();
      await waiting.receive(third as Bytes);
      assert.equal(((waiting.result as SessionKeys).outcome as SkeinError).code, 'SKEIN_HANDSHAKE');
      revoked.clear();
    }
  });

  it('Is asked for signatures once it is revoked, and the member asks a hub that is', async () => {
    await join();
    revoked.add(EDGE);
    await meet(member(), hub(), TD);
    assert.equal(signatures, 4);
    revoked = new Set([HUB]);
    await meet(member(), hub(), TD);
    assert.equal(signatures, 8);
  });

  it('Is refused with one that it has seen on its way and whose secret it does not know', async () => {
    const ticket = await join();
    const { peer } = tickets.recall(ticket) as { peer: PeerIdentity };
    const book = new TicketBook(clock);
    book.keep('hub', { id: ticket, secret: random.bytes(32), peer }, HOUR_MS);
    await assert.rejects(meet(member(other, book), hub(), TD), { code: 'SKEIN_IDENTITY' });
    assert.equal(book.size, 0, 'it is forgotten');
    // It cannot check who answers; and if it passes over that, it is refused by its proof.
    class Deaf extends Naming {
      override verify(): Promise<PeerIdentity> {
        return Promise.resolve(peer);
      }
    }
    const deaf = await meet(new Deaf(ticket), hub(), TD);
    assert.equal((deaf.responder.outcome as SkeinError).code, 'SKEIN_IDENTITY');
  });

  it('Gets nowhere by what was sent before', async () => {
    await join();
    const { messages } = await meet(member(), hub(), TD);
    const responder = createHandshake('responder', hub(), TD);
    await responder.receive(messages[0] as Bytes);
    await assert.rejects(responder.receive(messages[2] as Bytes), { code: 'SKEIN_HANDSHAKE' });
  });

  it('Cannot answer for the hub: who has the ticket and not the key of the hub does not know its secret', async () => {
    await join();
    const liar = hub(startHub(random.bytes(32)));
    // By signatures it would have to be the hub; here it holds that key, so that what is looked at is the ticket.
    assert.deepEqual(idsOf(await meet(member(), liar, TD)), BOTH);
    assert.equal(signatures, 4);
  });
});
