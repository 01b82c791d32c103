/**
 * Session proof: in a session that lasts, what a proof of identity is about, and what the tickets are worth that follow on one. Both ends know it, and
 * nobody else.
 */

import { type Bytes, encodeUtf8 } from '../core/bytes.ts';
import type { Crypto } from '../core/platform.ts';

const PROOF_LABEL = encodeUtf8('skein/1 proof in session|');
const TICKET_LABEL = encodeUtf8('skein/1 sealed ticket secret|');
const NEXT_LABEL = encodeUtf8('skein/1 next proof in session|');

export class SessionProof {
  readonly #crypto: Crypto;
  /** Of the handshake, and of the ticket that was given last: no proof is good behind another one. */
  #secret: Bytes;
  #isFresh: boolean;
  #isProven: boolean;

  /** @param isFresh the handshake had signatures */
  constructor(crypto: Crypto, secret: Bytes, isFresh: boolean) {
    this.#crypto = crypto;
    this.#secret = secret;
    this.#isFresh = isFresh;
    this.#isProven = isFresh;
  }

  /** Both ends have proven by signatures who they are, and no ticket was given since. */
  get isFresh(): boolean {
    return this.#isFresh;
  }

  /**
   * The initiator has proven its key in this session, by its handshake or since. A ticket says who it was: it may be in other hands, and made by
   * who has the key of the responder.
   */
  get isProven(): boolean {
    return this.#isProven;
  }

  /** In place of the handshake hash, in a proof of now. */
  get hash(): Bytes {
    return this.#crypto.hmacSha256(this.#secret, PROOF_LABEL);
  }

  /** That of the next ticket. */
  get ticketSecret(): Bytes {
    return this.#crypto.hmacSha256(this.#secret, TICKET_LABEL);
  }

  /** The initiator has proven its key, by `hash`. */
  noteProof(): void {
    this.#isProven = true;
  }

  /** `ticket` was given, or taken. */
  note(ticket: Bytes): void {
    this.#secret = this.#crypto.hmacSha256(this.#secret, NEXT_LABEL, ticket);
    this.#isFresh = false;
  }
}
