/**
 * Statements of the issuer that are no identities: signed with its key under a type of their own, so that none can be taken for
 * another, or for an SVID. Parsed and refused as strictly as SVIDs are.
 */

import { compactVerify, SignJWT } from 'jose';
import { tryParseCompactJws } from './compact-jws.ts';
import type { IdentityKey } from './key-pair.ts';
import { findKey, type TrustBundle, toCryptoKey } from './trust-bundle.ts';

/** `skein-seal+jwt`: what the resources of the mesh are at a revision. */
export type StatementType = 'skein-seal+jwt';

export type Claims = Readonly<Record<string, string | number>>;

const HEADER_MEMBERS = new Set(['alg', 'kid', 'typ']);

export function signStatement(key: IdentityKey, keyId: string, type: StatementType, claims: Claims): Promise<string> {
  return new SignJWT({ ...claims }).setProtectedHeader({ alg: 'ES256', kid: keyId, typ: type }).sign(key.privateKey);
}

/** What it says; undefined when no key of `bundle` has signed it as that. */
export async function verifyStatement(
  token: string,
  type: StatementType,
  bundle: TrustBundle,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  const jws = tryParseCompactJws(token);
  if (jws === undefined) return undefined;
  const { header, claims } = jws;
  if (header.alg !== 'ES256' || header.typ !== type || typeof header.kid !== 'string') return undefined;
  if (Object.keys(header).some((name) => !HEADER_MEMBERS.has(name))) return undefined;
  const key = findKey(bundle, header.kid, 'wit-svid');
  if (key === undefined) return undefined;
  try {
    await compactVerify(token, await toCryptoKey(key), { algorithms: ['ES256'] });
    return claims;
  } catch {
    return undefined;
  }
}
