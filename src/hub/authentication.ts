/** How this hub and whoever dials it show each other who they are: by signatures, or by a ticket that it has sealed. */

import { createHubAuthenticator } from '../auth/authenticator.ts';
import { decodeCredential } from '../auth/credential-codec.ts';
import type { Grant } from '../auth/grant.ts';
import type { HubRole } from '../auth/hub-role.ts';
import type { IdentityKey } from '../auth/key-pair.ts';
import { ResumingAuthenticator } from '../auth/resume-tickets.ts';
import { SealedTickets } from '../auth/sealed-tickets.ts';
import type { TrustBundle } from '../auth/trust-bundle.ts';
import { type Bytes, encodeUtf8, equalBytes, fromBase64Url } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import type { Crypto } from '../core/platform.ts';
import type { Random } from '../core/random.ts';
import type { Authenticator, PeerIdentity } from '../tunnel/handshake.ts';
import type { Enrolment } from './enroll.ts';
import { isVouchedFor } from './holders.ts';
import type { HubIssuer } from './issuer.ts';
import type { RevocationBoard } from './revocations.ts';
import type { HubStanding } from './standing.ts';

export interface AuthenticationOptions {
  readonly clock: Clock;
  readonly crypto: Crypto;
  readonly random: Random;
  readonly standing: HubStanding;
  readonly issuer: Pick<HubIssuer, 'holders'> | undefined;
  readonly enrolment: Enrolment;
  readonly revocations: RevocationBoard;
  /** What this hub does for members; who issues takes newcomers. */
  readonly roles: readonly HubRole[];
  /** As `toTicketRoot` gives it. */
  readonly ticketRoot: Bytes;
}

/** What is told to who asks for a ticket. */
export interface TicketAnswer {
  /** None: there is none for this caller. */
  readonly ticket?: Bytes;
  readonly seconds: number;
  /** Of the hub, where the caller has shown its own. */
  readonly credential?: Bytes;
}

const ROOT_LABEL = encodeUtf8('skein/1 ticket root');

/** From the own key, which a hub with a folder keeps: tickets are good at the hub that has given them, for as long as it is the same. */
export async function toTicketRoot(key: IdentityKey, crypto: Crypto, random: Random): Promise<Bytes> {
  try {
    return crypto.hmacSha256(fromBase64Url((await key.exportPrivate()).reveal().d), ROOT_LABEL);
  } catch {
    return random.bytes(32); // one that its runtime keeps: tickets end with this start
  }
}

export class Authentication {
  /** Of others, to this hub: how often by what. */
  readonly proven = { signatures: 0, ticket: 0 };
  ticketsGiven = 0;
  readonly #crypto: Crypto;
  readonly #revocations: RevocationBoard;
  readonly #bundle: () => TrustBundle;
  readonly #tickets: SealedTickets;
  readonly #bySignatures: Authenticator;

  constructor(options: AuthenticationOptions) {
    const { clock, crypto, random, standing, issuer, enrolment, revocations, roles, ticketRoot } = options;
    this.#crypto = crypto;
    this.#revocations = revocations;
    this.#bundle = () => standing.bundle();
    this.#tickets = new SealedTickets({ crypto, clock, random, root: ticketRoot, bundle: this.#bundle, roles });
    this.#bySignatures = createHubAuthenticator({
      credential: () => standing.credential(),
      bundle: this.#bundle,
      trustDomain: standing.trustDomain,
      clock,
      check: (peer) => revocations.known.check(peer),
      recall: async (thumbprint) => issuer?.holders.recall(thumbprint),
      admit: async (presented, publicJwk) => {
        // Before the token is used up: the newcomer may take it to another hub.
        if (!roles.includes('issuer'))
          throw new SkeinError('SKEIN_REFUSED', 'Cannot enrol: this hub does not play "issuer"');
        return enrolment.admit(presented, publicJwk);
      },
    });
  }

  /** For one handshake. */
  create(): ResumingAuthenticator {
    return new ResumingAuthenticator(this.#bySignatures, {
      ...{ crypto: this.#crypto, given: this.#tickets, isLasting: true },
      isGood: (peer) => !this.#revocations.known.has(peer),
      onProven: (by) => this.proven[by]++,
    });
  }

  /**
   * For who has just proven its key by a signature: in the handshake that `authenticator` was for, or by `credential` in the session that
   * followed, which this hub answers with its own. So whoever gets at a secret of before has it for as long as that ticket is good.
   * @param peer whose session it is, with the end of its SVID as it is now
   * @throws SkeinError SKEIN_IDENTITY, SKEIN_REVOKED
   */
  async giveTicket(
    { session }: ResumingAuthenticator,
    peer: PeerIdentity,
    credential: Bytes | undefined,
  ): Promise<TicketAnswer> {
    const hash = session?.hash;
    if (session === undefined || hash === undefined || (credential === undefined && !session.isFresh))
      throw refused('the caller has to prove its key');
    const isAnew = credential !== undefined;
    const shown = isAnew ? await this.#verifyAnew(hash, peer, credential) : peer;
    const own = isAnew ? await this.#bySignatures.prove('responder', hash) : undefined;
    this.#revocations.known.check(peer);
    if (!equalBytes(hash, session.hash)) throw refused('two calls show one proof');
    if (isAnew) session.noteProof();
    // Who goes on by its own key, where that of its SVID has been removed, is judged anew when it comes again; and so is who only seems to.
    const isVouched = isVouchedFor(this.#bundle(), shown);
    const given = isVouched ? this.#tickets.give(shown, session.ticketSecret) : undefined;
    if (given === undefined) return { seconds: 0 };
    session.note(given.ticket);
    this.ticketsGiven++;
    return { ...given, ...(own === undefined ? {} : { credential: own }) };
  }

  async #verifyAnew(hash: Bytes, before: PeerIdentity, credential: Bytes): Promise<PeerIdentity> {
    // A token would be used up.
    if (decodeCredential(credential).wit === undefined) throw refused('the caller shows no WIT-SVID');
    const peer = await this.#bySignatures.verify('initiator', hash, credential);
    const [now, then] = [peer, before].map(({ id, grant }) => `${id.uri} ${(grant as Grant).thumbprint}`);
    if (now !== then) throw refused('the caller is somebody else');
    return peer;
  }
}

function refused(state: string): SkeinError {
  return new SkeinError('SKEIN_IDENTITY', `Cannot give ticket: ${state}`);
}
