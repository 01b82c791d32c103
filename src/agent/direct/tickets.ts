/** Tickets: by what somebody who connects shows to be the peer of a session. Issued over that session, good for one attempt. */

import { type Bytes, encodeUtf8, equalBytes, fromHex, toHex } from '../../core/bytes.ts';
import type { Crypto } from '../../core/platform.ts';
import type { HandshakeRole } from '../../tunnel/handshake.ts';
import type { Session } from '../../tunnel/session.ts';

/*
 *  ticket = hex of  | nonce of the attempt 16 | HMAC-SHA-256(secret, label, session id) 32 |
 *
 * Nonce and secret are of the end that is dialled, and reached the dialler inside the session. Who sees a ticket on the
 * way learns no secret; with a copy it gets a WebSocket, and ATTACH is not in it.
 */
const NONCE_HEX = 32;
const TICKET_HEX = NONCE_HEX + 64;
const LABELS: Readonly<Record<HandshakeRole, Bytes>> = {
  initiator: encodeUtf8('skein/1 ticket of the initiator'),
  responder: encodeUtf8('skein/1 ticket of the responder'),
};

/** What the end that is dialled has told. */
export interface TicketSource {
  /** Hexadecimal. */
  readonly nonce: string;
  readonly secret: string;
}

/** The ticket that `dialler`, one end of session `sessionId`, shows. */
export function createTicket(
  crypto: Crypto,
  { nonce, secret }: TicketSource,
  sessionId: string,
  dialler: HandshakeRole,
): string {
  return nonce + toHex(crypto.hmacSha256(fromHex(secret), LABELS[dialler], encodeUtf8(sessionId)));
}

export class Tickets {
  readonly #crypto: Crypto;
  /** By nonce. A session has one at most. */
  readonly #open = new Map<string, { readonly session: Session; readonly expected: Bytes }>();

  constructor(crypto: Crypto) {
    this.#crypto = crypto;
  }

  get size(): number {
    return this.#open.size;
  }

  /** From now on the other end of `session`, which has the role `dialler`, may come. */
  issue(source: TicketSource, session: Session, dialler: HandshakeRole): void {
    const expected = encodeUtf8(createTicket(this.#crypto, source, session.id, dialler));
    this.#open.set(source.nonce, { session, expected });
  }

  revoke(nonce: string): void {
    this.#open.delete(nonce);
  }

  /** The session whose peer shows `ticket`, or undefined. */
  find(ticket: string): Session | undefined {
    if (ticket.length !== TICKET_HEX) return undefined;
    const open = this.#open.get(ticket.slice(0, NONCE_HEX));
    if (open === undefined || !equalBytes(encodeUtf8(ticket), open.expected)) return undefined;
    return open.session;
  }
}
