/**
 * Tokens of a platform — Kubernetes, a CI system, a cloud — by which a workload shows once where it runs. Bearer tokens of
 * somebody else's issuer: verified with its keys and only for the audience that is meant for this mesh.
 */

import { compactVerify } from 'jose';
import type { Clock } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import { tryParseCompactJws } from './compact-jws.ts';
import { readAudience } from './jwt-svid.ts';
import type { SigningKeys } from './signing-keys.ts';
import { checkValidity, isTime } from './validity.ts';

export type Claims = Readonly<Record<string, unknown>>;

export interface PlatformToken {
  readonly subject: string;
  readonly expiresAtMs: number;
  readonly claims: Claims;
  /** What was signed: two spellings of one signature are one token. */
  readonly signed: string;
}

/** What issuers send beside what is needed, and nobody reads here. */
const HEADER_MEMBERS = new Set(['alg', 'kid', 'typ', 'x5t', 'x5t#S256']);
const TYPES = new Set<unknown>([undefined, 'JWT', 'JOSE']);
/** One that is good for longer shows that its holder was there once, not that it is there now. */
const MAX_LIFETIME_MS = 24 * 3_600_000;

/** Issuer and key that a token claims, unverified: to choose what to verify it with, never to believe it. */
export function readClaimedIssuer(token: string): { readonly issuer: string; readonly keyId: string } | undefined {
  const jws = tryParseCompactJws(token);
  const [issuer, keyId] = [jws?.claims.iss, jws?.header.kid];
  return typeof issuer === 'string' && typeof keyId === 'string' ? { issuer, keyId } : undefined;
}

export interface PlatformTokenVerification {
  readonly clock: Clock;
  readonly issuer: string;
  readonly audience: string;
  readonly keys: SigningKeys;
}

/**
 * Every refusal has one text, but for the time of what its issuer has signed.
 * @throws SkeinError SKEIN_TOKEN_INVALID, SKEIN_TOKEN_EXPIRED
 */
export async function verifyPlatformToken(token: string, options: PlatformTokenVerification): Promise<PlatformToken> {
  const found = await tryVerify(token, options);
  if (found === undefined)
    throw new SkeinError(
      'SKEIN_TOKEN_INVALID',
      'Cannot enrol with this token: no trusted issuer has made it for this mesh',
    );
  try {
    checkValidity(found, options.clock);
  } catch (cause) {
    throw new SkeinError('SKEIN_TOKEN_EXPIRED', 'Cannot enrol with this token: its time is not now', { cause });
  }
  return found;
}

async function tryVerify(
  token: string,
  { clock, issuer, audience, keys }: PlatformTokenVerification,
): Promise<(PlatformToken & { readonly notBeforeMs: number }) | undefined> {
  const jws = tryParseCompactJws(token);
  if (jws === undefined) return undefined;
  const { alg, kid, typ } = jws.header;
  if (typeof alg !== 'string' || typeof kid !== 'string' || !TYPES.has(typ)) return undefined;
  if (Object.keys(jws.header).some((name) => !HEADER_MEMBERS.has(name))) return undefined;
  const { iss, sub, aud, exp, iat, nbf, cnf } = jws.claims;
  if (iss !== issuer || typeof sub !== 'string' || sub === '' || !isTime(exp) || cnf !== undefined) return undefined;
  if ((iat !== undefined && !isTime(iat)) || (nbf !== undefined && !isTime(nbf))) return undefined;
  if (readAudience(aud)?.includes(audience) !== true) return undefined;
  if (exp * 1000 - clock.epochMs() > MAX_LIFETIME_MS) return undefined;
  const key = keys.find(kid);
  if (key === undefined || !key.algorithms.includes(alg)) return undefined;
  try {
    await compactVerify(token, await key.load(alg), { algorithms: [alg] });
  } catch {
    return undefined;
  }
  return {
    subject: sub,
    notBeforeMs: isTime(nbf) ? nbf * 1000 : 0,
    expiresAtMs: exp * 1000,
    claims: jws.claims,
    signed: token.slice(0, token.lastIndexOf('.')),
  };
}
