/**
 * Sealed tickets: what a hub would have to remember of a member to know it again, sealed under a key of its own and carried by the member. So a hub
 * that was killed and started again knows all its members, however many, and holds nothing of any of them.
 */

import { type Bytes, concatBytes, decodeUtf8, encodeUtf8, fromBase64Url, toBase64Url, toHex } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import type { Aead, Crypto } from '../core/platform.ts';
import type { Random } from '../core/random.ts';
import { parseSpiffeId } from '../core/spiffe-id.ts';
import { MAX_TICKET_BYTES, type PeerIdentity, type Remembered } from '../tunnel/handshake.ts';
import type { Grant } from './grant.ts';
import { HUB_ROLES, type HubRole } from './hub-role.ts';
import type { GivenTickets } from './resume-tickets.ts';
import type { TrustBundle } from './trust-bundle.ts';

/*
 *  version u8 | period u32 | nonce 12 | AES-256-GCM of what is remembered, as JSON | tag 16
 *
 * Under the key of that period; head, keys of the issuer and roles of the hub are associated data.
 */
const VERSION = 1;
const HEAD_BYTES = 5;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const TEXT_AT = HEAD_BYTES + NONCE_BYTES;
const LABEL = encodeUtf8('skein/1 sealed ticket|');
const KEY_LABEL = encodeUtf8('skein/1 ticket key|');
/** A key seals for an hour, and opens what it has sealed for as long as that is good. */
const PERIOD_MS = 3_600_000;

/**
 * Members have their SVID renewed every hour, prove their key then, and are given another ticket: one is good for an hour of a hub's absence
 * behind that. docs/decisions/0029 says why it need not be less.
 */
export const SEALED_LIFE_MS = 2 * PERIOD_MS;

export interface SealedTicketsOptions {
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly random: Random;
  /** The secret of this hub, 32 bytes, the same behind each start. */
  readonly root: Bytes;
  /** What it shows: who was told of other keys must be told of these. */
  readonly bundle: () => TrustBundle;
  /** What this hub does for members: who was told of other roles must be told of these. */
  readonly roles: readonly HubRole[];
}

/** In the order of the text. */
type Sealed = [
  untilMs: number,
  secret: string,
  id: string,
  thumbprint: string,
  grant: Pick<Grant, 'services' | 'publicJwk' | 'joinedAtMs' | 'expiresAtMs' | 'hubRoles' | 'keyId'>,
];

export interface GivenTicket {
  readonly ticket: Bytes;
  readonly seconds: number;
}

export class SealedTickets implements GivenTickets {
  /** It remembers nothing of what both ends of a handshake have agreed on. */
  readonly seconds = 0;
  readonly #options: SealedTicketsOptions;
  readonly #keys = new Map<number, Aead>();
  #bundle: TrustBundle | undefined;
  #era = '';

  constructor(options: SealedTicketsOptions) {
    this.#options = options;
  }

  get era(): string {
    const { crypto, roles } = this.#options;
    const bundle = this.#options.bundle();
    if (bundle !== this.#bundle) {
      this.#bundle = bundle;
      const keys = bundle.keys.map(({ kid, use }) => [kid, use]);
      const shown = [bundle.spiffe_sequence, keys, HUB_ROLES.filter((role) => roles.includes(role))];
      this.#era = toHex(crypto.sha256(encodeUtf8(JSON.stringify(shown))));
    }
    return this.#era;
  }

  /** One for `peer`, a member. undefined: it has no SVID that lasts, or too many services for a ticket. */
  give(peer: PeerIdentity, secret: Bytes): GivenTicket | undefined {
    const { clock, random } = this.#options;
    const { thumbprint, services, publicJwk, joinedAtMs, expiresAtMs, hubRoles, keyId } = peer.grant as Grant;
    const nowMs = clock.epochMs();
    const untilMs = Math.min(nowMs + SEALED_LIFE_MS, expiresAtMs);
    if (untilMs <= nowMs) return undefined;
    const period = Math.floor(nowMs / PERIOD_MS);
    const nonce = random.bytes(NONCE_BYTES);
    const grant = { services, publicJwk, joinedAtMs, expiresAtMs, hubRoles, keyId };
    const sealed: Sealed = [untilMs, toBase64Url(secret), peer.id.uri, thumbprint, grant];
    const text = encodeUtf8(JSON.stringify(sealed));
    const ticket = new Uint8Array(TEXT_AT + text.length + TAG_BYTES);
    if (ticket.length > MAX_TICKET_BYTES) return undefined;
    ticket[0] = VERSION;
    new DataView(ticket.buffer).setUint32(1, period);
    ticket.set(nonce, HEAD_BYTES);
    this.#key(period).seal(nonce, this.#associated(ticket), text, ticket, TEXT_AT);
    return { ticket, seconds: Math.floor((untilMs - nowMs) / 1000) };
  }

  recall(ticket: Bytes): Remembered | undefined {
    if (ticket.length <= TEXT_AT + TAG_BYTES || ticket.length > MAX_TICKET_BYTES || ticket[0] !== VERSION)
      return undefined;
    const nowMs = this.#options.clock.epochMs();
    const period = new DataView(ticket.buffer, ticket.byteOffset).getUint32(1);
    const age = Math.floor(nowMs / PERIOD_MS) - period;
    if (age < 0 || age > SEALED_LIFE_MS / PERIOD_MS) return undefined; // before it costs anything
    const nonce = ticket.subarray(HEAD_BYTES, TEXT_AT);
    const text = this.#key(period).open(nonce, this.#associated(ticket), ticket.subarray(TEXT_AT));
    if (text === undefined) return undefined;
    const [untilMs, secret, id, thumbprint, grant] = JSON.parse(decodeUtf8(text)) as Sealed;
    // A clock that was ahead has given it for longer than any.
    if (nowMs >= untilMs || untilMs > nowMs + SEALED_LIFE_MS) return undefined;
    const { hubRoles } = grant;
    const member: Grant = { kind: 'member', ...grant, hubRoles, thumbprint };
    return { id: ticket, secret: fromBase64Url(secret), peer: { id: parseSpiffeId(id), grant: member } };
  }

  #associated(ticket: Bytes): Bytes {
    return concatBytes(LABEL, ticket.subarray(0, HEAD_BYTES), encodeUtf8(this.era));
  }

  #key(period: number): Aead {
    let key = this.#keys.get(period);
    if (key === undefined) {
      const { crypto, root } = this.#options;
      for (const other of this.#keys.keys()) if (Math.abs(other - period) > 2) this.#keys.delete(other);
      const number = new Uint8Array(4);
      new DataView(number.buffer).setUint32(0, period);
      key = crypto.createAead(crypto.hmacSha256(root, KEY_LABEL, number));
      this.#keys.set(period, key);
    }
    return key;
  }
}
