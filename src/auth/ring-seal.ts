/**
 * How a key ring lies where others may read and write: sealed (AES-256-GCM) under a key that is derived (HKDF-SHA-256) from the private
 * anchor, which every hub that issues holds in a file of its own. So who has the store has no key, and cannot put one there.
 */

import { type Bytes, concatBytes, decodeUtf8, encodeUtf8, fromBase64Url, toBase64Url } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import type { Random } from '../core/random.ts';
import { type IdentityKey, importIdentityKey, type PrivateJwk } from './key-pair.ts';
import type { KeyRing, KeyState, RingKey } from './key-ring.ts';
import type { KeyUse } from './trust-bundle.ts';

/** A ring as text. */
interface StoredRing {
  readonly sequence: number;
  readonly removed: readonly string[];
  readonly keys: readonly (Omit<RingKey, 'key'> & { readonly jwk: PrivateJwk })[];
}

const NONCE_BYTES = 12;
const INFO = 'skein/1 key ring';

export async function sealRing(
  { sequence, removed, keys }: KeyRing,
  anchor: IdentityKey,
  random: Random,
): Promise<string> {
  const stored: StoredRing = {
    sequence,
    removed,
    keys: await Promise.all(
      keys.map(async ({ key, ...rest }) => ({ ...rest, jwk: (await key.exportPrivate()).reveal() })),
    ),
  };
  const nonce = random.bytes(NONCE_BYTES).slice();
  const sealed = await crypto.subtle.encrypt(
    { name: 'AES-GCM', iv: nonce },
    await deriveKey(anchor),
    encodeUtf8(JSON.stringify(stored)).slice(),
  );
  return toBase64Url(concatBytes(nonce, new Uint8Array(sealed)));
}

/** @throws SkeinError SKEIN_STORE when it was sealed under another anchor, or altered */
export async function openRing(text: string, anchor: IdentityKey): Promise<KeyRing> {
  try {
    const bytes = fromBase64Url(text).slice();
    const opened = await crypto.subtle.decrypt(
      { name: 'AES-GCM', iv: bytes.subarray(0, NONCE_BYTES) },
      await deriveKey(anchor),
      bytes.subarray(NONCE_BYTES),
    );
    const { sequence, removed, keys } = JSON.parse(decodeUtf8(new Uint8Array(opened))) as StoredRing;
    return {
      sequence,
      removed,
      keys: await Promise.all(
        keys.map(async ({ jwk, ...rest }) => ({
          ...(rest as { readonly use: KeyUse; readonly state: KeyState; readonly announcedAtMs: number }),
          key: await importIdentityKey(jwk),
        })),
      ),
    };
  } catch (cause) {
    throw new SkeinError('SKEIN_STORE', 'Cannot read the keys of the issuer: they were not sealed by its anchor', {
      cause,
    });
  }
}

async function deriveKey(anchor: IdentityKey): Promise<CryptoKey> {
  const { d } = (await anchor.exportPrivate()).reveal();
  const secret: Bytes = fromBase64Url(d);
  const base = await crypto.subtle.importKey('raw', secret.slice(), 'HKDF', false, ['deriveKey']);
  return crypto.subtle.deriveKey(
    { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(0), info: encodeUtf8(INFO).slice() },
    base,
    { name: 'AES-GCM', length: 256 },
    false,
    ['encrypt', 'decrypt'],
  );
}
