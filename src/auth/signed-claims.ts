/** What the issuer has signed under one type: the checks that SVIDs of sessions and other statements of the issuer share. */

import { compactVerify } from 'jose';
import { type CompactJws, tryParseCompactJws } from './compact-jws.ts';
import { findKey, type TrustBundle, toCryptoKey } from './trust-bundle.ts';

/** Header members there may be; `crit`, `jku`, `jwk`, `x5u`, `x5c` and the rest would each be a way around the bundle. */
const HEADER_MEMBERS = new Set(['alg', 'kid', 'typ']);

export interface SignedClaims {
  readonly claims: CompactJws['claims'];
  readonly keyId: string;
}

/** Undefined unless `token` is of this type, in canonical form, and signed with ES256 by a key of `bundle`. */
export async function tryReadSigned(
  token: string,
  type: string,
  bundle: Pick<TrustBundle, 'keys'>,
): Promise<SignedClaims | undefined> {
  const jws = tryParseCompactJws(token);
  if (jws === undefined) return undefined;
  const { header, claims } = jws;
  if (header.alg !== 'ES256' || header.typ !== type || typeof header.kid !== 'string') return undefined;
  if (Object.keys(header).some((name) => !HEADER_MEMBERS.has(name))) return undefined;
  const key = findKey(bundle, header.kid, 'wit-svid');
  if (key === undefined) return undefined;
  try {
    await compactVerify(token, await toCryptoKey(key), { algorithms: ['ES256'] });
    return { claims, keyId: header.kid };
  } catch {
    return undefined;
  }
}
