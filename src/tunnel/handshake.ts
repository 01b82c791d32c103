/** Noise HandshakeState for `Noise_XX_25519_AESGCM_SHA256`, unmodified (Noise §5.3, §7.5), and the port for its payloads. */

import { type Bytes, concatBytes, EMPTY, encodeUtf8 } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import type { Crypto, X25519KeyPair } from '../core/platform.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';
import { CipherState } from './cipher-state.ts';
import { TAG_BYTES } from './record.ts';

export type HandshakeRole = 'initiator' | 'responder';

/** Who a verified peer is. `grant` is whatever the authenticator hands upward; the tunnel never looks into it. */
export interface PeerIdentity {
  readonly id: SpiffeId;
  readonly grant: unknown;
}

/** Makes and checks the credentials inside the handshake; `auth/authenticator.ts` implements it. */
export interface Authenticator {
  /**
   * Own credential: payload 2 as responder, payload 3 as initiator; at most 16 KiB. `handshakeHash` is the hash just
   * before that payload is encrypted: it covers the prologue, both ephemerals and the own static key.
   */
  prove(role: HandshakeRole, handshakeHash: Bytes): Promise<Bytes>;
  /** Checks the credential of a peer in `role`. @throws SkeinError SKEIN_IDENTITY, SKEIN_TOKEN_INVALID, SKEIN_TOKEN_USED, SKEIN_TOKEN_EXPIRED */
  verify(role: HandshakeRole, handshakeHash: Bytes, payload: Bytes): Promise<PeerIdentity>;
  /** What this end remembers of the peer, beside what it can prove. @default nothing */
  readonly tickets?: Tickets;
}

/** Longer than any that a responder seals. */
export const MAX_TICKET_BYTES = 4096;

/** Of a handshake that is over: by what both ends know each other again. */
export interface Remembered {
  /** The session's id, 16 bytes, or what the responder has sealed; who looks on may know it. */
  readonly id: Bytes;
  /** Nobody else knows it. */
  readonly secret: Bytes;
  readonly peer: PeerIdentity;
}

/** Resume tickets, of one handshake (`auth/resume-tickets.ts`). */
export interface Tickets {
  /** For how long this end, as responder, remembers who wants that; as initiator above 0 if it does. 0: not at all. */
  readonly seconds: number;
  /** Initiator: what it names in payload 1. */
  offer(): Bytes | undefined;
  /** Responder: what the peer names. One that it does not know changes nothing. */
  present(id: Bytes): void;
  /** The handshake is over, and well; both ends remember this session for `seconds`, 0: not by itself. */
  keep(session: Remembered, seconds: number): void;
}

type Token = 'e' | 's' | 'ee' | 'es' | 'se';

/** XX: -> e / <- e, ee, s, es / -> s, se */
const PATTERN: readonly (readonly Token[])[] = [['e'], ['e', 'ee', 's', 'es'], ['s', 'se']];

const PROTOCOL_NAME = encodeUtf8('Noise_XX_25519_AESGCM_SHA256');
const KEY_BYTES = 32;

export interface HandshakeStateOptions {
  readonly crypto: Crypto;
  readonly role: HandshakeRole;
  readonly prologue: Bytes;
  /** Static key pair; fresh per process in skein. */
  readonly staticKey: X25519KeyPair;
  /** Ephemeral key pair; made here unless a test vector fixes it. */
  readonly ephemeralKey?: X25519KeyPair;
}

/** Keys of the two directions after the handshake (Noise §5.2 Split). */
export interface SplitKeys {
  readonly send: Bytes;
  readonly receive: Bytes;
  /** For keys of other uses than records: a further output of the HKDF that makes the two, equal at both ends. */
  readonly exporter: Bytes;
}

/**
 * One handshake. Writing and reading have two steps each, because the payload depends on the hash between them:
 * `beginWrite` → `hash` → `finishWrite(payload)`, and `beginRead(message)` → `hash` → `finishRead()`.
 */
export class HandshakeState {
  readonly #crypto: Crypto;
  readonly #role: HandshakeRole;
  readonly #static: X25519KeyPair;
  readonly #ephemeral: X25519KeyPair;
  #remoteStatic: Bytes | undefined;
  #remoteEphemeral: Bytes | undefined;
  #chainingKey: Bytes;
  #hash: Bytes;
  #cipher: CipherState | undefined;
  #step = 0;
  #open: Bytes | undefined;

  constructor(options: HandshakeStateOptions) {
    this.#crypto = options.crypto;
    this.#role = options.role;
    this.#static = options.staticKey;
    this.#ephemeral = options.ephemeralKey ?? options.crypto.createX25519();
    // Noise §5.2 InitializeSymmetric: a name of at most HASHLEN bytes is padded with zeros
    this.#hash = concatBytes(PROTOCOL_NAME, new Uint8Array(KEY_BYTES - PROTOCOL_NAME.length));
    this.#chainingKey = this.#hash;
    this.#mixHash(options.prologue);
  }

  /** The handshake hash as it stands. */
  get hash(): Bytes {
    return this.#hash;
  }

  get isFinished(): boolean {
    return this.#step === PATTERN.length && this.#open === undefined;
  }

  /** Whether it is this end's turn to write. */
  get isWriter(): boolean {
    return (this.#step % 2 === 0) === (this.#role === 'initiator');
  }

  beginWrite(): void {
    let out: Bytes = EMPTY;
    for (const token of this.#tokens(true)) {
      if (token === 'e') {
        out = concatBytes(out, this.#ephemeral.publicKey);
        this.#mixHash(this.#ephemeral.publicKey);
      } else if (token === 's') {
        out = concatBytes(out, this.#encryptAndHash(this.#static.publicKey));
      } else {
        this.#mixDiffieHellman(token);
      }
    }
    this.#open = out;
  }

  finishWrite(payload: Bytes): Bytes {
    const prefix = this.#takeOpen();
    return concatBytes(prefix, this.#encryptAndHash(payload));
  }

  /** @throws SkeinError SKEIN_HANDSHAKE */
  beginRead(message: Bytes): void {
    let at = 0;
    const take = (length: number): Bytes => {
      if (at + length > message.length) throw failure('message is too short');
      const part = message.subarray(at, at + length);
      at += length;
      return part;
    };
    for (const token of this.#tokens(false)) {
      if (token === 'e') {
        this.#remoteEphemeral = take(KEY_BYTES).slice();
        this.#mixHash(this.#remoteEphemeral);
      } else if (token === 's') {
        this.#remoteStatic = this.#decryptAndHash(
          take(this.#cipher === undefined ? KEY_BYTES : KEY_BYTES + TAG_BYTES),
        ).slice();
      } else {
        this.#mixDiffieHellman(token);
      }
    }
    this.#open = message.subarray(at);
  }

  /** The payload of the message given to `beginRead`. @throws SkeinError SKEIN_HANDSHAKE */
  finishRead(): Bytes {
    return this.#decryptAndHash(this.#takeOpen());
  }

  split(): SplitKeys {
    if (!this.isFinished) throw failure('it is not finished');
    const { first, second, third } = this.#hkdf(EMPTY);
    const exporter = third();
    return this.#role === 'initiator'
      ? { send: first, receive: second, exporter }
      : { send: second, receive: first, exporter };
  }

  #tokens(writing: boolean): readonly Token[] {
    const tokens = PATTERN[this.#step];
    if (tokens === undefined || this.#open !== undefined || this.isWriter !== writing)
      throw failure('message out of turn');
    return tokens;
  }

  #takeOpen(): Bytes {
    const open = this.#open;
    if (open === undefined) throw failure('message out of turn');
    this.#open = undefined;
    this.#step++;
    return open;
  }

  /** "es" is initiator's ephemeral with responder's static, whoever computes it (Noise §5.3). */
  #mixDiffieHellman(token: 'ee' | 'es' | 'se'): void {
    const initiator = this.#role === 'initiator';
    const local = token === 'ee' || (token === 'es') === initiator ? this.#ephemeral : this.#static;
    const remote = token === 'ee' || (token === 'se') === initiator ? this.#remoteEphemeral : this.#remoteStatic;
    if (remote === undefined) throw failure('message out of turn');
    let shared: Bytes;
    try {
      shared = local.diffieHellman(remote);
    } catch (cause) {
      throw failure('the peer offers a key of low order', cause);
    }
    const { first, second } = this.#hkdf(shared);
    this.#chainingKey = first;
    this.#cipher = new CipherState(this.#crypto, second);
  }

  #encryptAndHash(plaintext: Bytes): Bytes {
    const out = this.#cipher === undefined ? plaintext : this.#cipher.encryptWithAd(this.#hash, plaintext);
    this.#mixHash(out);
    return out;
  }

  #decryptAndHash(sealed: Bytes): Bytes {
    const plaintext = this.#cipher === undefined ? sealed : this.#cipher.decryptWithAd(this.#hash, sealed);
    if (plaintext === undefined) throw failure('a message does not open');
    this.#mixHash(sealed);
    return plaintext;
  }

  #mixHash(data: Bytes): void {
    this.#hash = this.#crypto.sha256(this.#hash, data);
  }

  /** HKDF of Noise §4.3; the first two outputs do not depend on whether there is a third, which is made when it is wanted. */
  #hkdf(input: Bytes): { readonly first: Bytes; readonly second: Bytes; readonly third: () => Bytes } {
    const temporary = this.#crypto.hmacSha256(this.#chainingKey, input);
    const first = this.#crypto.hmacSha256(temporary, new Uint8Array([1]));
    const second = this.#crypto.hmacSha256(temporary, first, new Uint8Array([2]));
    return { first, second, third: () => this.#crypto.hmacSha256(temporary, second, new Uint8Array([3])) };
  }
}

function failure(state: string, cause?: unknown): SkeinError {
  return new SkeinError('SKEIN_HANDSHAKE', `Cannot complete handshake: ${state}`, { cause });
}
