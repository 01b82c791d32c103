/**
 * Resume tickets: two that have verified each other know each other again for a while, without signatures, by a secret that came out of
 * their handshake. The key agreement is whole each time, with fresh keys of both ends: a ticket says who somebody is, and opens nothing.
 */

import { type Bytes, concatBytes, encodeUtf8, equalBytes, toHex } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import type { Crypto } from '../core/platform.ts';
import type { Authenticator, HandshakeRole, PeerIdentity, Remembered, Tickets } from '../tunnel/handshake.ts';
import type { Grant } from './grant.ts';
import { SessionProof } from './session-proof.ts';

/** Between members: as long as a bearer token is good. What ends an identity before that ends its tickets as well. */
export const TICKET_LIFE_MS = 5 * 60_000;
/** Each takes some 1 KiB. Who holds most of them makes room, so that nobody makes others forgotten by coming often. */
const MAX_TICKETS = 1_000;
/** First byte of a payload that proves by a ticket; a credential begins with another. */
const PROOF_VERSION = 2;
const LABEL = 'skein/1 ticket-proof';

interface Ticket extends Remembered {
  readonly untilMs: number;
  failures: number;
}

/** What a responder has given. */
export interface GivenTickets {
  /** For so long it remembers who wants that, without a word more. 0: not at all. */
  readonly seconds: number;
  /** Another one as soon as nothing that was given before is good. */
  readonly era: unknown;
  /** undefined: it is none, or good no more. */
  recall(id: Bytes): Remembered | undefined;
  remember?(session: Remembered, seconds: number): void;
}

/** A dial may break off for many reasons, of which the ticket is one. */
const MAX_FAILURES = 2;

/** Tickets by name, for as long as they are good. */
export class TicketBook implements GivenTickets {
  readonly seconds = TICKET_LIFE_MS / 1000;
  readonly era = undefined;
  readonly #clock: Clock;
  readonly #tickets = new Map<string, Ticket>();
  /** Names by the key of the peer, each with the oldest first. */
  readonly #byKey = new Map<string, Set<string>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#tickets.size;
  }

  /** In the place of one of that name. */
  keep(name: string, ticket: Remembered, lifeMs: number): void {
    const { expiresAtMs, thumbprint } = ticket.peer.grant as Grant;
    const leftMs = Math.min(lifeMs, expiresAtMs - this.#clock.epochMs());
    this.forget(name);
    if (leftMs <= 0) return;
    if (this.#tickets.size >= MAX_TICKETS) this.#makeRoom();
    this.#tickets.set(name, { ...ticket, untilMs: this.#clock.monotonicMs() + leftMs, failures: 0 });
    const names = this.#byKey.get(thumbprint);
    if (names === undefined) this.#byKey.set(thumbprint, new Set([name]));
    else names.add(name);
  }

  find(name: string): Remembered | undefined {
    const ticket = this.#tickets.get(name);
    if (ticket === undefined) return undefined;
    // A machine that has slept counts no time, but the SVID has ended meanwhile.
    const isOver = this.#clock.epochMs() >= (ticket.peer.grant as Grant).expiresAtMs;
    if (!isOver && this.#clock.monotonicMs() < ticket.untilMs) return ticket;
    this.forget(name);
    return undefined;
  }

  forget(name: string): void {
    const ticket = this.#tickets.get(name);
    if (ticket === undefined) return;
    this.#tickets.delete(name);
    const { thumbprint } = ticket.peer.grant as Grant;
    const names = this.#byKey.get(thumbprint);
    names?.delete(name);
    if (names?.size === 0) this.#byKey.delete(thumbprint);
  }

  /** A handshake in which it was named has failed. */
  noteFailure(name: string): void {
    const ticket = this.#tickets.get(name);
    if (ticket !== undefined && ++ticket.failures >= MAX_FAILURES) this.forget(name);
  }

  recall(id: Bytes): Remembered | undefined {
    return this.find(toHex(id));
  }

  /** The id of a session is what its initiator says: that of another one's ticket takes nothing away. */
  remember(session: Remembered, seconds: number): void {
    const name = toHex(session.id);
    if (this.find(name) === undefined) this.keep(name, session, seconds * 1000);
  }

  #makeRoom(): void {
    let most: ReadonlySet<string> | undefined;
    for (const names of this.#byKey.values()) if (names.size > (most?.size ?? 0)) most = names;
    const [oldest] = most ?? [];
    if (oldest !== undefined) this.forget(oldest);
  }
}

export interface ResumingOptions {
  readonly crypto: Crypto;
  /** As responder: what was given to others. */
  readonly given?: GivenTickets | undefined;
  /** As initiator: what others have given, and the name of the one for this handshake: who this end is, and who it dials. */
  readonly taken?: { readonly book: TicketBook; readonly name: string } | undefined;
  /** Who was verified once may be good no more. */
  readonly isGood: (peer: PeerIdentity) => boolean;
  /** In the session that follows its ends may prove anew who they are. @default false */
  readonly isLasting?: boolean;
  /** The other end has proven who it is. */
  readonly onProven?: (by: 'signatures' | 'ticket') => void;
}

/** For one handshake: by a ticket, if both ends hold it, else as `inner` does. */
export class ResumingAuthenticator implements Authenticator, Tickets {
  readonly #inner: Authenticator;
  readonly #options: ResumingOptions;
  #ticket: Remembered | undefined;
  /** That of the tickets given when it was named. */
  #era: unknown;
  #session: SessionProof | undefined;

  constructor(inner: Authenticator, options: ResumingOptions) {
    this.#inner = inner;
    this.#options = options;
  }

  get tickets(): Tickets {
    return this;
  }

  get seconds(): number {
    const { given, taken } = this.#options;
    return given?.seconds ?? (taken === undefined ? 0 : taken.book.seconds);
  }

  /** Behind a handshake that was good, of a session that lasts. */
  get session(): SessionProof | undefined {
    return this.#session;
  }

  /** Was a ticket named that is good here? */
  get hasTicket(): boolean {
    return this.#ticket !== undefined;
  }

  offer(): Bytes | undefined {
    const { taken } = this.#options;
    this.#ticket = this.#choose(taken?.book.find(taken.name));
    return this.#ticket?.id;
  }

  present(id: Bytes): void {
    const { given } = this.#options;
    this.#ticket = this.#choose(given?.recall(id));
    this.#era = given?.era;
  }

  keep(session: Remembered, seconds: number): void {
    const { given, taken, crypto, isLasting } = this.#options;
    const isByTicket = this.#ticket !== undefined;
    // It holds on to the message in which it came.
    this.#ticket = undefined;
    if (isLasting === true) this.#session = new SessionProof(crypto, session.secret, !isByTicket);
    // What was proven by a ticket is good for as long as that one: signatures are asked for again. A newcomer has no SVID yet.
    if (isByTicket || seconds <= 0 || (session.peer.grant as Grant).kind !== 'member') return;
    given?.remember?.(session, seconds);
    taken?.book.keep(taken.name, session, seconds * 1000);
  }

  async prove(role: HandshakeRole, hash: Bytes): Promise<Bytes> {
    return this.#ticket === undefined ? this.#inner.prove(role, hash) : this.#proof(this.#ticket, role, hash);
  }

  async verify(role: HandshakeRole, hash: Bytes, payload: Bytes): Promise<PeerIdentity> {
    const { given, taken, isGood, onProven } = this.#options;
    const ticket = this.#ticket;
    if (payload[0] !== PROOF_VERSION) {
      // As initiator: the other end has forgotten it. As responder it has been used for a proof already.
      if (ticket !== undefined && role === 'initiator') throw refused('it does not hold the ticket that it has named');
      this.#ticket = undefined;
      const peer = await this.#inner.verify(role, hash, payload);
      onProven?.('signatures');
      return peer;
    }
    if (ticket === undefined || !equalBytes(payload, this.#proof(ticket, role, hash))) {
      taken?.book.forget(taken.name);
      throw refused('its proof by a ticket is wrong');
    }
    // Who has named it may have waited with the proof until it was taken away.
    if (!isGood(ticket.peer) || given?.era !== this.#era)
      throw new SkeinError('SKEIN_HANDSHAKE', 'Cannot complete handshake: the ticket is good no more');
    onProven?.('ticket');
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
