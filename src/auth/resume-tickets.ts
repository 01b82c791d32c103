/**
 * Resume tickets: two that have verified each other know each other again for some minutes, without signatures, by a secret that came out of
 * their handshake. The key agreement is whole each time, with fresh keys of both ends: a ticket says who somebody is, and opens nothing.
 */

import { type Bytes, concatBytes, encodeUtf8, equalBytes, toHex } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import type { Crypto } from '../core/platform.ts';
import type { Authenticator, HandshakeRole, PeerIdentity, Remembered, Tickets } from '../tunnel/handshake.ts';
import type { Grant } from './grant.ts';

/** As long as a bearer token is good. What ends an identity before that ends its tickets as well. */
export const TICKET_LIFE_MS = 5 * 60_000;
/** Each takes some 1 KiB; the oldest makes room. */
const MAX_TICKETS = 1_000;
/** First byte of a payload that proves by a ticket; a credential begins with another. */
const PROOF_VERSION = 2;
const LABEL = 'skein/1 ticket-proof';

interface Ticket extends Remembered {
  readonly untilMs: number;
}

/** Tickets by name, for as long as they are good. */
export class TicketBook {
  readonly #clock: Clock;
  /** The oldest first. */
  readonly #tickets = new Map<string, Ticket>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#tickets.size;
  }

  keep(name: string, ticket: Remembered, lifeMs: number): void {
    const { expiresAtMs } = ticket.peer.grant as Grant;
    const leftMs = Math.min(lifeMs, TICKET_LIFE_MS, expiresAtMs - this.#clock.epochMs());
    this.#tickets.delete(name);
    const [oldest] = this.#tickets.keys();
    if (oldest !== undefined && this.#tickets.size >= MAX_TICKETS) this.#tickets.delete(oldest);
    if (leftMs > 0) this.#tickets.set(name, { ...ticket, untilMs: this.#clock.monotonicMs() + leftMs });
  }

  find(name: string): Remembered | undefined {
    const ticket = this.#tickets.get(name);
    if (ticket === undefined || this.#clock.monotonicMs() < ticket.untilMs) return ticket;
    this.#tickets.delete(name);
    return undefined;
  }

  forget(name: string): void {
    this.#tickets.delete(name);
  }

  clear(): void {
    this.#tickets.clear();
  }
}

export interface ResumingOptions {
  readonly crypto: Crypto;
  /** As responder: what was given to others. */
  readonly given?: TicketBook | undefined;
  /** As initiator: what others have given, and the name of the one for this handshake: who this end is, and who it dials. */
  readonly taken?: { readonly book: TicketBook; readonly name: string } | undefined;
  /** Who was verified once may be good no more. */
  readonly isGood: (peer: PeerIdentity) => boolean;
}

/** For one handshake: by a ticket, if both ends hold it, else as `inner` does. */
export class ResumingAuthenticator implements Authenticator, Tickets {
  readonly #inner: Authenticator;
  readonly #options: ResumingOptions;
  #ticket: Remembered | undefined;

  constructor(inner: Authenticator, options: ResumingOptions) {
    this.#inner = inner;
    this.#options = options;
  }

  get tickets(): Tickets {
    return this;
  }

  get seconds(): number {
    const { given, taken } = this.#options;
    return given === undefined && taken === undefined ? 0 : TICKET_LIFE_MS / 1000;
  }

  offer(): Bytes | undefined {
    const { taken } = this.#options;
    this.#ticket = this.#choose(taken?.book.find(taken.name));
    return this.#ticket?.id;
  }

  present(id: Bytes): void {
    this.#ticket = this.#choose(this.#options.given?.find(toHex(id)));
  }

  keep(session: Remembered, seconds: number): void {
    const { given, taken } = this.#options;
    // What was proven by a ticket is good for as long as that one: signatures are asked for again. A newcomer has no SVID yet.
    if (this.#ticket !== undefined || (session.peer.grant as Grant).kind !== 'member') return;
    given?.keep(toHex(session.id), session, seconds * 1000);
    taken?.book.keep(taken.name, session, seconds * 1000);
  }

  async prove(role: HandshakeRole, hash: Bytes): Promise<Bytes> {
    return this.#ticket === undefined ? this.#inner.prove(role, hash) : this.#proof(this.#ticket, role, hash);
  }

  async verify(role: HandshakeRole, hash: Bytes, payload: Bytes): Promise<PeerIdentity> {
    const ticket = this.#ticket;
    if (payload[0] !== PROOF_VERSION) {
      // As initiator: the other end has forgotten it. As responder it has been used for a proof already.
      if (ticket !== undefined && role === 'initiator') throw refused('it does not hold the ticket that it has named');
      this.#ticket = undefined;
      return this.#inner.verify(role, hash, payload);
    }
    if (ticket === undefined || !equalBytes(payload, this.#proof(ticket, role, hash))) {
      const { taken } = this.#options;
      taken?.book.forget(taken.name);
      throw refused('its proof by a ticket is wrong');
    }
    return ticket.peer;
  }

  #choose(ticket: Remembered | undefined): Remembered | undefined {
    return ticket !== undefined && this.#options.isGood(ticket.peer) ? ticket : undefined;
  }

  /** The hash covers the prologue, both ephemerals and the prover's static key, so that it fits no other handshake. */
  #proof({ secret }: Remembered, role: HandshakeRole, hash: Bytes): Bytes {
    const mac = this.#options.crypto.hmacSha256(secret, encodeUtf8(`${LABEL}|${role}|`), hash);
    return concatBytes(new Uint8Array([PROOF_VERSION]), mac);
  }
}

function refused(state: string): SkeinError {
  return new SkeinError('SKEIN_IDENTITY', `Cannot trust peer: ${state}`);
}
