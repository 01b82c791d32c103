/** SPIFFE bundle of one trust domain: the keys that may have signed its SVIDs (SPIFFE Trust Domain and Bundle §4). */

import { SkeinError } from '../core/errors.ts';
import { MAX_TOKEN_CHARS, tryParseCompactJws } from './compact-jws.ts';
import { importPublicKey, type PublicJwk, toPublicJwk } from './key-pair.ts';
import { isCount } from './validity.ts';

/** Which tokens a key signs; a key of one use verifies nothing of the other. */
export type KeyUse = 'wit-svid' | 'jwt-svid';

export interface BundleKey extends PublicJwk {
  readonly kid: string;
  readonly use: KeyUse;
}

/** The JWK Set as it is published. */
export interface TrustBundle {
  readonly keys: readonly BundleKey[];
  /** Grows with each change. */
  readonly spiffe_sequence: number;
  /** Seconds after which to ask again. */
  readonly spiffe_refresh_hint: number;
  /** The issuer's signature over the rest (`signed-bundle.ts`); other readers of SPIFFE bundles pass over it. */
  readonly skein_signature?: string | undefined;
}

const MAX_KEYS = 100;
const MAX_KID_CHARS = 128;
const DEFAULT_REFRESH_SECONDS = 300;

/**
 * Reads a bundle. Entries of a kind we do not know are left out, as the standard asks; a known one that is malformed, and
 * a key id that stands for two keys, refuse the whole.
 * @throws SkeinError SKEIN_IDENTITY
 */
export function parseTrustBundle(value: unknown): TrustBundle {
  if (typeof value !== 'object' || value === null || !('keys' in value) || !Array.isArray(value.keys)) {
    throw refused('it has no list of keys');
  }
  if (value.keys.length > MAX_KEYS) throw refused('it has too many keys');
  const keys: BundleKey[] = [];
  for (const entry of value.keys as unknown[]) {
    const key = toBundleKey(entry);
    if (key === undefined) continue;
    if (keys.some((other) => other.kid === key.kid)) throw refused('a key id stands for two keys');
    keys.push(key);
  }
  const { spiffe_sequence: sequence = 0, spiffe_refresh_hint: hint = DEFAULT_REFRESH_SECONDS } = value as Record<
    string,
    unknown
  >;
  if (!isCount(sequence) || !isCount(hint)) throw refused('its sequence or refresh hint is not a count');
  const signature = (value as Record<string, unknown>).skein_signature;
  const isSigned = typeof signature === 'string' && signature.length <= MAX_TOKEN_CHARS;
  return {
    keys,
    spiffe_sequence: sequence,
    spiffe_refresh_hint: hint,
    ...(isSigned ? { skein_signature: signature } : {}),
  };
}

/** The key that has signed `bundle`, as it says itself; undefined when nobody has. */
export function anchorOf(bundle: TrustBundle): BundleKey | undefined {
  const { skein_signature: signature } = bundle;
  const kid = signature === undefined ? undefined : tryParseCompactJws(signature)?.header.kid;
  return typeof kid === 'string' ? findKey(bundle, kid, 'wit-svid') : undefined;
}

export function findKey(bundle: Pick<TrustBundle, 'keys'>, kid: string, use: KeyUse): BundleKey | undefined {
  return bundle.keys.find((key) => key.kid === kid && key.use === use);
}

/** Keys of bundles in use; importing one costs as much as verifying with it. */
const imported = new WeakMap<BundleKey, Promise<CryptoKey>>();

/** The key as Web Crypto and jose take it. @throws when it is no point of the curve */
export function toCryptoKey(key: BundleKey): Promise<CryptoKey> {
  let handle = imported.get(key);
  if (handle === undefined) {
    handle = importPublicKey(key);
    imported.set(key, handle);
  }
  return handle;
}

function toBundleKey(entry: unknown): BundleKey | undefined {
  if (typeof entry !== 'object' || entry === null) throw refused('an entry is not an object');
  const { use, kid, kty } = entry as Record<string, unknown>;
  if (kty !== 'EC' || (use !== 'wit-svid' && use !== 'jwt-svid')) return undefined;
  const jwk = toPublicJwk(entry);
  if (jwk === undefined || typeof kid !== 'string' || kid === '' || kid.length > MAX_KID_CHARS)
    throw refused('a key is malformed');
  return { ...jwk, kid, use };
}

function refused(state: string): SkeinError {
  return new SkeinError('SKEIN_IDENTITY', `Cannot read trust bundle: ${state}`);
}
