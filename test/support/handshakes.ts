/** Handshakes of sessions without a network: two authenticators meet, and whoever tests may hold on to what one has sent. */
import { type Bytes, EMPTY } from '../../src/core/bytes.ts';
import { SkeinError } from '../../src/core/errors.ts';
import type { Random } from '../../src/core/random.ts';
import { nodeCrypto } from '../../src/runtime/node-compat/crypto.ts';
import { SeededRandom } from '../../src/testing/seeded-random.ts';
import type { Authenticator, HandshakeRole } from '../../src/tunnel/handshake.ts';
import { resolveTunnelOptions } from '../../src/tunnel/options.ts';
import { SessionHandshake, type SessionKeys } from '../../src/tunnel/session-handshake.ts';

const random = new SeededRandom(5);
const staticKey = nodeCrypto.createX25519();

export function createHandshake(
  role: HandshakeRole,
  authenticator: Authenticator,
  trustDomain: string,
  chance: Random = random,
): SessionHandshake {
  return new SessionHandshake({
    ...{ role, authenticator, crypto: nodeCrypto, random: chance, trustDomain },
    limits: resolveTunnelOptions(undefined),
    ...{ localInstance: role, remoteInstance: '', binding: EMPTY, staticKey },
  });
}

export interface Met {
  /** What went over the wire. */
  readonly messages: readonly Bytes[];
  readonly initiator: SessionKeys;
  readonly responder: SessionKeys;
}

export async function meet(initiating: Authenticator, responding: Authenticator, trustDomain: string): Promise<Met> {
  const initiator = createHandshake('initiator', initiating, trustDomain);
  const responder = createHandshake('responder', responding, trustDomain);
  const first = initiator.start();
  const second = (await responder.receive(first)) as Bytes;
  const third = (await initiator.receive(second)) as Bytes;
  await responder.receive(third);
  return {
    messages: [first, second, third],
    initiator: initiator.result as SessionKeys,
    responder: responder.result as SessionKeys,
  };
}

/** Whom each end takes the other for, or why it refuses it. */
export const idsOf = ({ initiator, responder }: Met): (string | undefined)[] =>
  [initiator, responder].map(({ outcome }) => (outcome instanceof SkeinError ? outcome.code : outcome.id.uri));

/** `inner`, with a word for each proof that was made, and each that was verified. */
export function counting(inner: Authenticator, onDone: () => void): Authenticator {
  const count = <T>(done: T): T => {
    onDone();
    return done;
  };
  return {
    prove: async (role, hash) => count(await inner.prove(role, hash)),
    verify: async (role, hash, payload) => count(await inner.verify(role, hash, payload)),
  };
}
