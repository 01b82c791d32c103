/** Noise CipherState over the one synchronous AEAD (Noise §5.1), and the keys of a session's records. */

import { type Bytes, EMPTY } from '../core/bytes.ts';
import type { Aead, Crypto } from '../core/platform.ts';
import { EPOCH_COUNT, RECORD_HEADER_BYTES, SESSION_ID_BYTES, TAG_BYTES } from './record.ts';

const NONCE_BYTES = 12;
const ZEROS_32 = new Uint8Array(32);

/** 32 zero bits and the big-endian counter: AESGCM's nonce form (Noise §12.3). `out` is reused by the caller. */
function writeNonce(out: Bytes, counter: number): Bytes {
  const high = Math.floor(counter / 0x1_0000_0000);
  const low = counter >>> 0;
  out[4] = high >>> 24;
  out[5] = (high >>> 16) & 0xff;
  out[6] = (high >>> 8) & 0xff;
  out[7] = high & 0xff;
  out[8] = low >>> 24;
  out[9] = (low >>> 16) & 0xff;
  out[10] = (low >>> 8) & 0xff;
  out[11] = low & 0xff;
  return out;
}

/** REKEY(k): the first 32 bytes of ENCRYPT(k, 2^64-1, zerolen, zeros) (Noise §4.2). */
function rekey(aead: Aead): Bytes {
  const nonce = new Uint8Array(NONCE_BYTES).fill(0xff, 4);
  const out = new Uint8Array(ZEROS_32.length + TAG_BYTES);
  aead.seal(nonce, EMPTY, ZEROS_32, out, 0);
  return out.subarray(0, 32);
}

/** Of the record that is sealed or opened just now, by whichever session: both are done at once, and keep neither. */
const recordNonce = new Uint8Array(NONCE_BYTES);
const recordAad = new Uint8Array(RECORD_HEADER_BYTES + SESSION_ID_BYTES);
/** Whose id stands in it. */
let aadSessionId: Bytes | undefined;

function writeAad(sessionId: Bytes, message: Bytes, headerOffset: number): Bytes {
  for (let i = 0; i < RECORD_HEADER_BYTES; i++) recordAad[i] = message[headerOffset + i] as number;
  if (aadSessionId !== sessionId) recordAad.set(sessionId, RECORD_HEADER_BYTES);
  aadSessionId = sessionId;
  return recordAad;
}

/** Cipher of the handshake: its own counter, associated data given by the caller. */
export class CipherState {
  readonly #aead: Aead;
  readonly #nonce = new Uint8Array(NONCE_BYTES);
  #counter = 0;

  constructor(crypto: Crypto, key: Bytes) {
    this.#aead = crypto.createAead(key);
  }

  encryptWithAd(ad: Bytes, plaintext: Bytes): Bytes {
    const out = new Uint8Array(plaintext.length + TAG_BYTES);
    this.#aead.seal(writeNonce(this.#nonce, this.#counter++), ad, plaintext, out, 0);
    return out;
  }

  /** undefined when the tag is wrong; the counter then stays where it is (Noise §5.1). */
  decryptWithAd(ad: Bytes, sealed: Bytes): Bytes | undefined {
    const plaintext = this.#aead.open(writeNonce(this.#nonce, this.#counter), ad, sealed);
    if (plaintext !== undefined) this.#counter++;
    return plaintext;
  }
}

/**
 * Cipher of one direction of a session. The record sequence is the nonce and never resets; a new epoch changes the key
 * only. The associated data is the record header and the session id, so a record fits one place in one session.
 */
export class RecordCipher {
  readonly #crypto: Crypto;
  readonly #sessionId: Bytes;
  #aead: Aead;
  #epoch = 0;

  constructor(crypto: Crypto, key: Bytes, sessionId: Bytes) {
    this.#crypto = crypto;
    this.#sessionId = sessionId;
    this.#aead = crypto.createAead(key);
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** Moves to the next epoch: forward only, so an old key cannot be had from a new one. */
  advance(): void {
    this.#aead = this.#next();
    this.#epoch = this.#following;
  }

  /** Seals behind the header that stands at `out[headerOffset]`. */
  seal(sequence: number, plaintext: Bytes, out: Bytes, headerOffset: number): void {
    const aad = writeAad(this.#sessionId, out, headerOffset);
    this.#aead.seal(writeNonce(recordNonce, sequence), aad, plaintext, out, headerOffset + RECORD_HEADER_BYTES);
  }

  /** The record `sequence` is the next to be sealed; undefined: none is, for a while. */
  prepareSeal(sequence: number | undefined): void {
    this.#aead.prepareSeal?.(sequence === undefined ? undefined : writeNonce(recordNonce, sequence));
  }

  /** The record `sequence` is the next to be opened; undefined: none is, for a while. */
  prepareOpen(sequence: number | undefined): void {
    this.#aead.prepareOpen?.(sequence === undefined ? undefined : writeNonce(recordNonce, sequence));
  }

  /** Whether records of `epoch` may be opened: of this one, or of the one that follows. */
  canOpen(epoch: number): boolean {
    return epoch === this.#epoch || epoch === this.#following;
  }

  /** undefined when the record is not what the peer sealed under this number. Changes nothing: see `moveTo`. */
  open(sequence: number, epoch: number, message: Bytes, headerOffset: number): Bytes | undefined {
    if (!this.canOpen(epoch)) return undefined;
    const aead = epoch === this.#epoch ? this.#aead : this.#next();
    return aead.open(
      writeNonce(recordNonce, sequence),
      writeAad(this.#sessionId, message, headerOffset),
      message.subarray(headerOffset + RECORD_HEADER_BYTES),
    );
  }

  /** A record of `epoch` was opened, and none before it is missing: an unauthenticated byte changes nothing. */
  moveTo(epoch: number): void {
    if (epoch === this.#following) this.advance();
  }

  /** Of the epoch that follows: whoever has the key of an epoch has all that come after it. */
  #next(): Aead {
    return this.#crypto.createAead(rekey(this.#aead));
  }

  get #following(): number {
    return (this.#epoch + 1) % EPOCH_COUNT;
  }
}
