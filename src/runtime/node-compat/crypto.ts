/** `Crypto` on node:crypto: AES-256-GCM under a KeyObject, SHA-256, HMAC, and X25519 with raw keys. */

import { Buffer } from 'node:buffer';
import {
  type CipherGCM,
  createCipheriv,
  createDecipheriv,
  createHash,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  type DecipherGCM,
  diffieHellman,
  generateKeyPairSync,
  hash,
  type KeyObject,
} from 'node:crypto';
import { type Bytes, concatBytes, equalBytes, fromBase64Url, toBase64Url } from '../../core/bytes.ts';
import { SkeinError } from '../../core/errors.ts';
import type { Aead, Crypto, X25519KeyPair } from '../../core/platform.ts';
import { freeBuffer, noteFreshBuffer } from './fresh-buffers.ts';

const CIPHER = 'aes-256-gcm';
const TAG_LENGTH = 16;
const TAG_OPTIONS = { authTagLength: TAG_LENGTH };
const KEY_LENGTH = 32;
const NO_SECRET: Bytes = new Uint8Array(KEY_LENGTH);

/** DER up to the 32 raw bytes of a private key (RFC 8410 §7): a JWK would need the public key beside it. */
const PKCS8_PREFIX = Uint8Array.of(
  0x30,
  0x2e,
  0x02,
  0x01,
  0x00,
  0x30,
  0x05,
  0x06,
  0x03,
  0x2b,
  0x65,
  0x6e,
  0x04,
  0x22,
  0x04,
  0x20,
);

const HASH_BLOCK_LENGTH = 64;

export const nodeCrypto: Crypto = {
  createAead(key) {
    return new NodeAead(key);
  },

  sha256(...parts) {
    const length = gather(parts, 0);
    if (length < 0) return sha256InParts(parts);
    const digest = new Uint8Array(HASH_LENGTH);
    digestInto(digest, 0, length);
    return digest;
  },

  hmacSha256(key, ...parts) {
    // RFC 2104 on two hashes: `createHmac` with a raw key costs 25 µs on Node 24.
    const short = key.length > HASH_BLOCK_LENGTH ? nodeCrypto.sha256(key) : key;
    const length = gather(parts, HASH_BLOCK_LENGTH);
    fillBlock(short, 0x36);
    let inner: Bytes | undefined;
    if (length < 0) inner = sha256InParts([GATHERED.slice(0, HASH_BLOCK_LENGTH), ...parts]);
    else digestInto(GATHERED, HASH_BLOCK_LENGTH, length);
    fillBlock(short, 0x5c);
    if (inner !== undefined) GATHERED.set(inner, HASH_BLOCK_LENGTH);
    const code = new Uint8Array(HASH_LENGTH);
    digestInto(code, 0, HASH_BLOCK_LENGTH + HASH_LENGTH);
    return code;
  },

  createX25519(privateKey) {
    return new NodeX25519(privateKey);
  },
};

/** What is hashed in one call lies here: a handshake hashes some 50 times, and a `Hash` object takes as long as the hashing. Nobody waits between. */
const GATHERED: Bytes = new Uint8Array(1024);
const HASH_LENGTH = 32;

/** Writes all parts one after the other from `at` on. @returns where they end; -1: they have no room, and nothing is written */
function gather(parts: readonly Bytes[], at: number): number {
  let length = at;
  for (const part of parts) length += part.length;
  if (length > GATHERED.length) return -1;
  let to = at;
  for (const part of parts) {
    GATHERED.set(part, to);
    to += part.length;
  }
  return length;
}

/** The digest of what is gathered up to `length`; as text, which takes half as long as a buffer of its own. */
function digestInto(out: Bytes, at: number, length: number): void {
  const text = hash('sha256', GATHERED.subarray(0, length), 'binary');
  for (let i = 0; i < HASH_LENGTH; i++) out[at + i] = text.charCodeAt(i);
}

function sha256InParts(parts: readonly Bytes[]): Bytes {
  const whole = createHash('sha256');
  for (const part of parts) whole.update(part);
  return toBytes(whole.digest());
}

function fillBlock(key: Bytes, pad: number): void {
  for (let i = 0; i < HASH_BLOCK_LENGTH; i++) GATHERED[i] = (key[i] ?? 0) ^ pad;
}

/** A cipher that was made before its message was there; for one message, as any. */
interface Ready<Cipher> {
  readonly nonce: Bytes;
  readonly cipher: Cipher;
}

class NodeAead implements Aead {
  /** A raw key would be parsed again at each call: 16 µs against 4 µs on Node 24. */
  readonly #key: KeyObject;
  #sealing: Ready<CipherGCM> | undefined;
  #opening: Ready<DecipherGCM> | undefined;

  constructor(key: Bytes) {
    if (key.length !== KEY_LENGTH) throw new RangeError(`Cannot create cipher: key has ${key.length} bytes, not 32`);
    this.#key = createSecretKey(key);
  }

  prepareSeal(nonce: Bytes | undefined): void {
    this.#sealing = nonce === undefined ? undefined : { nonce: nonce.slice(), cipher: this.#createCipher(nonce) };
  }

  prepareOpen(nonce: Bytes | undefined): void {
    this.#opening = nonce === undefined ? undefined : { nonce: nonce.slice(), cipher: this.#createDecipher(nonce) };
  }

  seal(nonce: Bytes, aad: Bytes, plaintext: Bytes, out: Bytes, offset: number): void {
    const ready = this.#sealing;
    this.#sealing = undefined;
    const cipher = ready !== undefined && equalBytes(ready.nonce, nonce) ? ready.cipher : this.#createCipher(nonce);
    if (aad.length > 0) cipher.setAAD(aad);
    if (plaintext.length > 0) {
      // node:crypto has no way to write into a given buffer; this copy is the only one.
      const sealed = cipher.update(plaintext);
      out.set(sealed, offset);
      freeBuffer(sealed);
    }
    cipher.final();
    out.set(cipher.getAuthTag(), offset + plaintext.length);
  }

  open(nonce: Bytes, aad: Bytes, sealed: Bytes): Bytes | undefined {
    const length = sealed.length - TAG_LENGTH;
    if (length < 0) return undefined;
    try {
      const ready = this.#opening;
      this.#opening = undefined;
      const isReady = ready !== undefined && equalBytes(ready.nonce, nonce);
      const decipher = isReady ? ready.cipher : this.#createDecipher(nonce);
      decipher.setAuthTag(sealed.subarray(length));
      if (aad.length > 0) decipher.setAAD(aad);
      const plaintext = decipher.update(sealed.subarray(0, length));
      noteFreshBuffer(length);
      decipher.final();
      return toBytes(plaintext);
    } catch {
      return undefined;
    }
  }

  #createCipher(nonce: Bytes): CipherGCM {
    return createCipheriv(CIPHER, this.#key, nonce, TAG_OPTIONS);
  }

  #createDecipher(nonce: Bytes): DecipherGCM {
    return createDecipheriv(CIPHER, this.#key, nonce, TAG_OPTIONS);
  }
}

class NodeX25519 implements X25519KeyPair {
  readonly publicKey: Bytes;
  readonly #privateKey: KeyObject;

  constructor(raw: Bytes | undefined) {
    const { privateKey, publicKey } = raw === undefined ? generatePair() : importPair(raw);
    this.#privateKey = privateKey;
    this.publicKey = publicKey;
  }

  diffieHellman(peerPublicKey: Bytes): Bytes {
    if (peerPublicKey.length !== KEY_LENGTH) {
      throw new SkeinError(
        'SKEIN_HANDSHAKE',
        `Cannot agree on a key: peer key has ${peerPublicKey.length} bytes, not 32`,
      );
    }
    let secret: Bytes;
    try {
      secret = toBytes(diffieHellman({ privateKey: this.#privateKey, publicKey: importPublic(peerPublicKey) }));
    } catch (cause) {
      throw new SkeinError('SKEIN_HANDSHAKE', 'Cannot agree on a key: peer key was refused', { cause });
    }
    // RFC 7748 §6.1: OpenSSL refuses keys of low order itself, other libraries return zeros.
    if (equalBytes(secret, NO_SECRET)) {
      throw new SkeinError('SKEIN_HANDSHAKE', 'Cannot agree on a key: peer key is of low order');
    }
    return secret;
  }
}

interface Pair {
  readonly privateKey: KeyObject;
  readonly publicKey: Bytes;
}

/**
 * The public key comes encoded with the pair. Exported as a JWK afterwards it would, in a key of some ten thousand, hang the
 * process on Node 20: the export holds the key's mutex while it allocates, a collection that this sets off destroys the job
 * that made the key, and that wants the same mutex. Here that job is still at work. As DER it would take twice as long as making the key.
 */
function generatePair(): Pair {
  // The typings have no overload for one key encoded and the other not.
  const options = { publicKeyEncoding: { format: 'jwk' } };
  const { privateKey, publicKey } = generateKeyPairSync('x25519', options as never) as unknown as {
    privateKey: KeyObject;
    publicKey: { readonly x: string };
  };
  return { privateKey, publicKey: fromBase64Url(publicKey.x) };
}

function importPair(raw: Bytes): Pair {
  if (raw.length !== KEY_LENGTH) throw new RangeError(`Cannot import X25519 key: ${raw.length} bytes, not 32`);
  const der = Buffer.from(concatBytes(PKCS8_PREFIX, raw));
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  // SubjectPublicKeyInfo ends with the 32 raw bytes (RFC 8410 §4).
  const publicDer = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  return { privateKey, publicKey: toBytes(publicDer).slice(-KEY_LENGTH) };
}

/** Handshakes agree with one key of the peer twice, one right behind the other. */
let imported: { readonly raw: Bytes; readonly key: KeyObject } | undefined;

/** As a JWK, not as DER: OpenSSL 3 takes 150 µs to find a decoder for DER, three times the agreement itself. */
function importPublic(raw: Bytes): KeyObject {
  if (imported !== undefined && equalBytes(imported.raw, raw)) return imported.key;
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x: toBase64Url(raw) }, format: 'jwk' });
  imported = { raw: raw.slice(), key };
  return key;
}

/** A plain view: `slice` of a Buffer would alias where neutral code expects a copy. */
function toBytes(buffer: Buffer): Bytes {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}
