/** Tokens of end users: bearer tokens that somebody's issuer has made for this service, as access tokens of OAuth 2 or as JWT-SVIDs. */

import type { Clock } from '../core/clock.ts';
import { type Claims, type TokenFault, verifyIssuerToken } from './issuer-token.ts';
import { type JwtSvidVerification, tryVerifyJwtSvid } from './jwt-svid.ts';
import type { SigningKeys } from './signing-keys.ts';
import { whyUntimely } from './validity.ts';

export interface UserToken {
  readonly claims: Claims;
  readonly expiresAtMs: number;
}

export type UserTokenFault = TokenFault | 'early' | 'expired' | 'revoked';

/** RFC 9068 §2.1 beside those of any JWT. */
const TYPES = new Set<unknown>([undefined, 'JWT', 'JOSE', 'at+jwt', 'application/at+jwt']);

/** JWT-SVIDs as tokens of users: of one trust domain, whose name is a claim beside those of the token. */
export async function verifyUserSvid(
  token: string,
  trustDomain: string,
  {
    clock,
    isRevoked,
    ...checks
  }: Pick<JwtSvidVerification, 'clock' | 'isRevoked'> & Parameters<typeof tryVerifyJwtSvid>[1],
): Promise<UserToken | UserTokenFault> {
  const svid = await tryVerifyJwtSvid(token, checks);
  if (svid === undefined || svid.id.trustDomain !== trustDomain) return 'svid';
  const claims = { ...svid.claims, spiffe: { trust_domain: trustDomain, claimed: svid.claims.spiffe } };
  const why = whyUntimely(svid, clock.epochMs());
  if (why === undefined && trustDomain === checks.trustDomain && isRevoked(svid.holder)) return 'revoked';
  return why ?? { claims, expiresAtMs: svid.expiresAtMs };
}

export interface UserTokenVerification {
  readonly clock: Clock;
  readonly issuer: string;
  readonly audiences: readonly string[];
  readonly keys: SigningKeys;
}

export async function verifyUserToken(
  token: string,
  { clock, ...checks }: UserTokenVerification,
): Promise<UserToken | UserTokenFault> {
  const found = await verifyIssuerToken(token, { ...checks, types: TYPES });
  return typeof found === 'string' ? found : (whyUntimely(found, clock.epochMs()) ?? found);
}
