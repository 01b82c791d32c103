/**
 * Statements of the issuer that are no identities: signed with its anchor key, which does not change, under a type of their own, so that
 * none can be taken for another, or for an SVID. Parsed and refused as strictly as SVIDs are.
 */

import { SignJWT } from 'jose';
import type { IdentityKey } from './key-pair.ts';
import { anchorOf } from './signed-bundle.ts';
import { tryReadSigned } from './signed-claims.ts';
import type { TrustBundle } from './trust-bundle.ts';

/**
 * `skein-seal+jwt`: what the resources of the mesh are at a revision. `skein-revocations+jwt`: which identities are good no more.
 * `skein-audit+jwt`: how far the log of issuances has come.
 */
export type StatementType = 'skein-seal+jwt' | 'skein-revocations+jwt' | 'skein-audit+jwt';

export type Claims = Readonly<Record<string, string | number>>;

export function signStatement(key: IdentityKey, keyId: string, type: StatementType, claims: Claims): Promise<string> {
  return new SignJWT({ ...claims }).setProtectedHeader({ alg: 'ES256', kid: keyId, typ: type }).sign(key.privateKey);
}

/** What it says; undefined when the anchor of `bundle` has not signed it as that. */
export async function verifyStatement(
  token: string,
  type: StatementType,
  bundle: TrustBundle,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  const anchor = anchorOf(bundle);
  return anchor === undefined ? undefined : (await tryReadSigned(token, type, { keys: [anchor] }))?.claims;
}
