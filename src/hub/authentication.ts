/** How this hub and whoever dials it show each other who they are: by signatures, or by the ticket that it has given. */

import { createHubAuthenticator } from '../auth/authenticator.ts';
import { ResumingAuthenticator, TicketBook } from '../auth/resume-tickets.ts';
import type { Clock } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import type { Crypto } from '../core/platform.ts';
import type { Authenticator, PeerIdentity } from '../tunnel/handshake.ts';
import type { Enrolment } from './enroll.ts';
import type { HubIssuer } from './issuer.ts';
import type { RevocationBoard } from './revocations.ts';
import type { HubStanding } from './standing.ts';

export interface AuthenticationOptions {
  readonly clock: Clock;
  readonly crypto: Crypto;
  readonly standing: HubStanding;
  readonly issuer: Pick<HubIssuer, 'holders'> | undefined;
  readonly enrolment: Enrolment;
  readonly revocations: RevocationBoard;
  /** Does this hub take newcomers? */
  readonly isIssuer: boolean;
}

export class Authentication {
  readonly #crypto: Crypto;
  readonly #revocations: RevocationBoard;
  readonly #tickets: TicketBook;
  readonly #bySignatures: Authenticator;

  constructor({ clock, crypto, standing, issuer, enrolment, revocations, isIssuer }: AuthenticationOptions) {
    this.#crypto = crypto;
    this.#revocations = revocations;
    this.#tickets = new TicketBook(clock);
    this.#bySignatures = createHubAuthenticator({
      credential: () => standing.credential(),
      bundle: () => standing.bundle(),
      trustDomain: standing.trustDomain,
      clock,
      check: (peer) => revocations.known.check(peer),
      recall: async (thumbprint) => issuer?.holders.recall(thumbprint),
      admit: async (presented, publicJwk) => {
        // Before the token is used up: the newcomer may take it to another hub.
        if (!isIssuer) throw new SkeinError('SKEIN_REFUSED', 'Cannot enrol: this hub does not play "issuer"');
        return enrolment.admit(presented, publicJwk);
      },
    });
  }

  /** For one handshake. */
  create(): Authenticator {
    const isGood = (peer: PeerIdentity): boolean => !this.#revocations.known.has(peer);
    return new ResumingAuthenticator(this.#bySignatures, { crypto: this.#crypto, given: this.#tickets, isGood });
  }

  /** The keys that this hub shows are others, or signed anew: who was told of those before must be told of these. */
  forgetTickets(): void {
    this.#tickets.clear();
  }
}
