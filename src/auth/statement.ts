/**
 * Statements of the issuer that are no identities: signed with its anchor key, which does not change, under a type of their own, so that
 * none can be taken for another, or for an SVID. Parsed and refused as strictly as SVIDs are.
 */

import { SignJWT } from 'jose';
import { encodeUtf8, toBase64Url } from '../core/bytes.ts';
import type { IdentityKey } from './key-pair.ts';
import { tryReadSigned } from './signed-claims.ts';
import { anchorOf, type TrustBundle } from './trust-bundle.ts';

/**
 * `skein-seal+jwt`: what the resources of the mesh are at a revision. `skein-revocations+jwt`: which identities are good no more.
 * `skein-audit+jwt`: how far the log of issuances has come. `skein-bundle+jwt`: which keys the issuer has.
 */
export type StatementType = 'skein-seal+jwt' | 'skein-revocations+jwt' | 'skein-audit+jwt' | 'skein-bundle+jwt';

export type Claims = Readonly<Record<string, string | number>>;

/** Signs as the issuer; resolves with the token. */
export type SignStatement = (type: StatementType, claims: Claims) => Promise<string>;

export function signStatement(anchor: IdentityKey, type: StatementType, claims: Claims): Promise<string> {
  const header = { alg: 'ES256', kid: anchor.thumbprint, typ: type };
  return new SignJWT({ ...claims }).setProtectedHeader(header).sign(anchor.privateKey);
}

/** SHA-256, base64url: how a statement names what is too long for it. */
export async function digestText(text: string): Promise<string> {
  return toBase64Url(new Uint8Array(await crypto.subtle.digest('SHA-256', encodeUtf8(text).slice())));
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
