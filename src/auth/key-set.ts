/** Public keys of issuers that are not ours, as JWK Sets tell them: RSA and EC, with the nine algorithms that SPIFFE allows. */

import { importJWK } from 'jose';
import { fromBase64Url } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import type { SigningKey, SigningKeys } from './signing-keys.ts';

/** JWT-SVID §2.1; what is left out on purpose: `none`, HMAC, whose key would be public, and EdDSA. */
export const SPIFFE_ALGORITHMS: readonly string[] = [
  ...['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512'],
];

const RSA_ALGORITHMS = SPIFFE_ALGORITHMS.filter((name) => !name.startsWith('ES'));
const EC_ALGORITHMS: Readonly<Record<string, string>> = { 'P-256': 'ES256', 'P-384': 'ES384', 'P-521': 'ES512' };
const MAX_KEYS = 100;
const MAX_KID_CHARS = 256;
/** Below it a modulus can be factored; above it verifying is work that somebody else would choose for us. */
const MIN_RSA_BYTES = 256;
const MAX_RSA_BYTES = 1024;
const MAX_EXPONENT_BYTES = 4;

export interface KeySetOptions {
  /** Algorithms this issuer may sign with. @default all of `SPIFFE_ALGORITHMS` */
  readonly algorithms?: readonly string[];
  /** Whether an entry with this `use` is for the tokens in question. */
  readonly isFor: (use: unknown) => boolean;
}

/**
 * Entries of a kind or use that is not wanted here, and such as are malformed or too weak, are left out: the issuer has them
 * for others. A key id that stands for two of the rest refuses the whole.
 * @throws SkeinError SKEIN_IDENTITY
 */
export function parseKeySet(value: unknown, { algorithms = SPIFFE_ALGORITHMS, isFor }: KeySetOptions): SigningKeys {
  const entries = typeof value === 'object' && value !== null && 'keys' in value ? value.keys : undefined;
  if (!Array.isArray(entries)) throw refused('it has no list of keys');
  if (entries.length > MAX_KEYS) throw refused('it has too many keys');
  const keys = new Map<string, SigningKey>();
  for (const entry of entries as unknown[]) {
    if (typeof entry !== 'object' || entry === null) throw refused('an entry is not an object');
    const jwk = entry as Record<string, unknown>;
    const { kid, use } = jwk;
    if (!isFor(use) || typeof kid !== 'string' || kid === '' || kid.length > MAX_KID_CHARS) continue;
    const key = toSigningKey(jwk, algorithms);
    if (key === undefined) continue;
    if (keys.has(kid)) throw refused('a key id stands for two keys');
    keys.set(kid, key);
  }
  return { find: (keyId) => keys.get(keyId) };
}

function toSigningKey(jwk: Readonly<Record<string, unknown>>, allowed: readonly string[]): SigningKey | undefined {
  const { kty, crv, alg, x, y, n, e } = jwk;
  let possible: readonly string[] = [];
  let publicJwk: Record<string, string> = {};
  if (kty === 'EC' && typeof crv === 'string' && Object.hasOwn(EC_ALGORITHMS, crv)) {
    if (typeof x !== 'string' || typeof y !== 'string') return undefined;
    possible = [EC_ALGORITHMS[crv] as string];
    publicJwk = { kty, crv, x, y };
  } else if (kty === 'RSA' && typeof n === 'string' && typeof e === 'string') {
    const [modulus, exponent] = [countBytes(n), countBytes(e)];
    if (modulus < MIN_RSA_BYTES || modulus > MAX_RSA_BYTES || exponent < 1 || exponent > MAX_EXPONENT_BYTES)
      return undefined;
    possible = RSA_ALGORITHMS;
    publicJwk = { kty, n, e };
  }
  const algorithms = possible.filter((name) => allowed.includes(name) && (alg === undefined || alg === name));
  if (algorithms.length === 0) return undefined;
  const imported = new Map<string, Promise<CryptoKey>>();
  return {
    algorithms,
    load(algorithm) {
      const key = imported.get(algorithm) ?? importPublicJwk(publicJwk, algorithm);
      imported.set(algorithm, key);
      return key;
    },
  };
}

async function importPublicJwk(jwk: Readonly<Record<string, string>>, algorithm: string): Promise<CryptoKey> {
  const key = await importJWK(jwk, algorithm);
  if (key instanceof Uint8Array) throw new TypeError('Cannot import key: it is a shared secret');
  return key;
}

/** Significant bytes of a Base64urlUInt (RFC 7518 §2); 0 where it is none. */
function countBytes(text: string): number {
  try {
    const bytes = fromBase64Url(text);
    const first = bytes.findIndex((byte) => byte !== 0);
    return first < 0 ? 0 : bytes.length - first;
  } catch {
    return 0;
  }
}

function refused(state: string): SkeinError {
  return new SkeinError('SKEIN_IDENTITY', `Cannot read key set: ${state}`);
}
