/**
 * Bearer tokens of OpenID providers and others whose `iss` names them: what is the same whatever a token is shown for. The time is left
 * to the caller, who may speak of it because its issuer has signed it.
 */

import { compactVerify } from 'jose';
import { tryParseCompactJws } from './compact-jws.ts';
import { readAudience } from './jwt-svid.ts';
import type { SigningKeys } from './signing-keys.ts';
import { isTime, type Validity } from './validity.ts';

export type Claims = Readonly<Record<string, unknown>>;

export interface IssuerToken extends Validity {
  readonly subject: string;
  readonly claims: Claims;
  /** What was signed: two spellings of one signature are one token. */
  readonly signed: string;
}

/** What is wrong with a token, for logs alone: whoever shows it is told nothing of it. `svid`: it is no JWT-SVID that is good here. */
export type TokenFault = 'svid' | 'malformed' | 'header' | 'issuer' | 'claims' | 'audience' | 'key' | 'signature';

export interface IssuerTokenChecks {
  readonly issuer: string;
  /** One of them must be among those the token is for. */
  readonly audiences: readonly string[];
  readonly keys: SigningKeys;
  /** `typ` as it is written; undefined for none. */
  readonly types: ReadonlySet<unknown>;
}

/** What issuers send beside what is needed, and nobody reads here. */
const HEADER_MEMBERS = new Set(['alg', 'kid', 'typ', 'x5t', 'x5t#S256']);

/** Issuer and key that a token claims, unverified: to choose what to verify it with, never to believe it. */
export function readClaimedIssuer(token: string): { readonly issuer: string; readonly keyId: string } | undefined {
  const jws = tryParseCompactJws(token);
  const [issuer, keyId] = [jws?.claims.iss, jws?.header.kid];
  return typeof issuer === 'string' && typeof keyId === 'string' ? { issuer, keyId } : undefined;
}

export async function verifyIssuerToken(token: string, checks: IssuerTokenChecks): Promise<IssuerToken | TokenFault> {
  const { issuer, audiences, keys, types } = checks;
  const jws = tryParseCompactJws(token);
  if (jws === undefined) return 'malformed';
  const { alg, kid, typ } = jws.header;
  if (typeof alg !== 'string' || typeof kid !== 'string' || !types.has(typ)) return 'header';
  if (Object.keys(jws.header).some((name) => !HEADER_MEMBERS.has(name))) return 'header';
  const { iss, sub, aud, exp, iat, nbf, cnf } = jws.claims;
  if (iss !== issuer) return 'issuer';
  // One that names a key of its holder is no bearer token.
  if (typeof sub !== 'string' || sub === '' || !isTime(exp) || cnf !== undefined) return 'claims';
  if ((iat !== undefined && !isTime(iat)) || (nbf !== undefined && !isTime(nbf))) return 'claims';
  if (readAudience(aud)?.some((each) => audiences.includes(each)) !== true) return 'audience';
  const key = keys.find(kid);
  if (key === undefined || !key.algorithms.includes(alg)) return 'key';
  try {
    await compactVerify(token, await key.load(alg), { algorithms: [alg] });
  } catch {
    return 'signature';
  }
  return {
    subject: sub,
    notBeforeMs: isTime(nbf) ? nbf * 1000 : 0,
    expiresAtMs: exp * 1000,
    claims: jws.claims,
    signed: token.slice(0, token.lastIndexOf('.')),
  };
}
