/**
 * `Crypto` of a browser, whose own does nothing without waiting: AES-256-GCM, SHA-256, HMAC and X25519 by the noble packages; the only
 * door to them. The key that proves who somebody is is none of these: the browser keeps it (Web Crypto).
 */

import { gcm } from '@noble/ciphers/aes.js';
import { x25519 } from '@noble/curves/ed25519.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import type { Bytes } from '../../core/bytes.ts';
import { SkeinError } from '../../core/errors.ts';
import type { Aead, Crypto, X25519KeyPair } from '../../core/platform.ts';
import { browserRandom } from './random.ts';

const TAG_LENGTH = 16;
const KEY_LENGTH = 32;

export const browserCrypto: Crypto = {
  createAead(key) {
    return new NobleAead(key);
  },

  sha256(...parts) {
    const hash = sha256.create();
    for (const part of parts) hash.update(part);
    return hash.digest();
  },

  hmacSha256(key, ...parts) {
    const mac = hmac.create(sha256, key);
    for (const part of parts) mac.update(part);
    return mac.digest();
  },

  createX25519(privateKey = browserRandom.bytes(KEY_LENGTH)) {
    return new NobleX25519(privateKey);
  },
};

class NobleAead implements Aead {
  readonly #key: Bytes;

  constructor(key: Bytes) {
    if (key.length !== KEY_LENGTH) throw new RangeError(`Cannot create cipher: key has ${key.length} bytes, not 32`);
    this.#key = key.slice();
  }

  seal(nonce: Bytes, aad: Bytes, plaintext: Bytes, out: Bytes, offset: number): void {
    out.set(gcm(this.#key, nonce, aad).encrypt(plaintext), offset);
  }

  open(nonce: Bytes, aad: Bytes, sealed: Bytes): Bytes | undefined {
    if (sealed.length < TAG_LENGTH) return undefined;
    try {
      return gcm(this.#key, nonce, aad).decrypt(sealed);
    } catch {
      return undefined;
    }
  }
}

class NobleX25519 implements X25519KeyPair {
  readonly publicKey: Bytes;
  readonly #privateKey: Bytes;

  constructor(privateKey: Bytes) {
    if (privateKey.length !== KEY_LENGTH) {
      throw new RangeError(`Cannot import X25519 key: ${privateKey.length} bytes, not 32`);
    }
    this.#privateKey = privateKey.slice();
    this.publicKey = x25519.getPublicKey(this.#privateKey);
  }

  diffieHellman(peerPublicKey: Bytes): Bytes {
    if (peerPublicKey.length !== KEY_LENGTH) {
      throw new SkeinError(
        'SKEIN_HANDSHAKE',
        `Cannot agree on a key: peer key has ${peerPublicKey.length} bytes, not 32`,
      );
    }
    try {
      // Refuses keys of low order itself (RFC 7748 §6.1).
      return x25519.getSharedSecret(this.#privateKey, peerPublicKey);
    } catch (cause) {
      throw new SkeinError('SKEIN_HANDSHAKE', 'Cannot agree on a key: peer key was refused', { cause });
    }
  }
}
