/**
 * WIT-SVID, the credential of a session: mint, and verify strictly (SPIFFE WIT-SVID; docs/security.md). It proves nothing
 * without the signature of its `cnf` key over a handshake (`proof.ts`), so a stolen one is useless.
 */

import { jwtVerify, SignJWT } from 'jose';
import type { Clock } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import { parseSpiffeId, type SpiffeId, tryParseSpiffeId } from '../core/spiffe-id.ts';
import { tryParseCompactJws } from './compact-jws.ts';
import { type IdentityKey, type PublicJwk, toPublicJwk } from './key-pair.ts';
import { findKey, type TrustBundle, toCryptoKey } from './trust-bundle.ts';

/** What a verified WIT-SVID says. */
export interface Wit {
  readonly id: SpiffeId;
  /** The key whose holder the token names. */
  readonly publicJwk: PublicJwk;
  /** Services its holder may serve, as `name.namespace`. */
  readonly services: readonly string[];
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
  readonly keyId: string;
}

export interface WitClaims {
  readonly id: SpiffeId;
  readonly publicJwk: PublicJwk;
  readonly services: readonly string[];
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

const WIT_TYPE = 'wit+jwt';
/** Header members a WIT-SVID may have; `crit`, `jku`, `jwk`, `x5u`, `x5c` and the rest would each be a way around the bundle. */
const HEADER_MEMBERS = new Set(['alg', 'kid', 'typ']);
/** Clocks of issuer and verifier may differ by this much. */
const LEEWAY_MS = 30_000;
const MAX_SERVICES = 256;
const SERVICE_KEY = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

export function mintWit(signingKey: IdentityKey, keyId: string, claims: WitClaims): Promise<string> {
  const { alg: _alg, ...jwk } = claims.publicJwk;
  return new SignJWT({ cnf: { jwk: { ...jwk, alg: 'ES256' } }, skein: { services: [...claims.services] } })
    .setProtectedHeader({ alg: 'ES256', kid: keyId, typ: WIT_TYPE })
    .setSubject(claims.id.uri)
    .setIssuedAt(Math.floor(claims.issuedAtMs / 1000))
    .setExpirationTime(Math.floor(claims.expiresAtMs / 1000))
    .sign(signingKey.privateKey);
}

/**
 * Every refusal has one text: whoever tries tokens learns nothing from the answer.
 * @throws SkeinError SKEIN_IDENTITY
 */
export async function verifyWit(
  token: string,
  bundle: TrustBundle,
  options: { readonly clock: Clock; readonly trustDomain: string },
): Promise<Wit> {
  const wit = await tryVerifyWit(token, bundle, options);
  if (wit === undefined)
    throw new SkeinError('SKEIN_IDENTITY', 'Cannot trust credential: it is not a valid WIT-SVID of this trust domain');
  return wit;
}

async function tryVerifyWit(
  token: string,
  bundle: TrustBundle,
  { clock, trustDomain }: { readonly clock: Clock; readonly trustDomain: string },
): Promise<Wit | undefined> {
  const jws = tryParseCompactJws(token);
  if (jws === undefined) return undefined;
  const { header, claims } = jws;
  if (header.alg !== 'ES256' || header.typ !== WIT_TYPE || typeof header.kid !== 'string') return undefined;
  if (Object.keys(header).some((name) => !HEADER_MEMBERS.has(name))) return undefined;
  const wit = readClaims(claims, header.kid);
  if (wit === undefined || wit.id.trustDomain !== trustDomain) return undefined;
  const nowMs = clock.epochMs();
  const notBefore = claims.nbf ?? claims.iat;
  if (nowMs - LEEWAY_MS >= wit.expiresAtMs || (isTime(notBefore) && notBefore * 1000 > nowMs + LEEWAY_MS))
    return undefined;
  const key = findKey(bundle, header.kid, 'wit-svid');
  if (key === undefined) return undefined;
  try {
    await jwtVerify(token, await toCryptoKey(key), {
      algorithms: ['ES256'],
      currentDate: new Date(nowMs),
      clockTolerance: LEEWAY_MS / 1000,
    });
    return wit;
  } catch {
    return undefined;
  }
}

function readClaims(claims: Readonly<Record<string, unknown>>, keyId: string): Wit | undefined {
  const { sub, exp, iat, nbf, aud, cnf, skein } = claims;
  if (typeof sub !== 'string' || !isTime(exp) || aud !== undefined) return undefined;
  if ((iat !== undefined && !isTime(iat)) || (nbf !== undefined && !isTime(nbf))) return undefined;
  const id = tryParseSpiffeId(sub);
  const jwk = member(cnf, 'jwk');
  const publicJwk = toPublicJwk(jwk);
  if (id === undefined || publicJwk === undefined || member(jwk, 'alg') !== 'ES256' || member(jwk, 'd') !== undefined)
    return undefined;
  const services = skein === undefined ? [] : member(skein, 'services');
  if (!Array.isArray(services) || services.length > MAX_SERVICES) return undefined;
  if (!services.every((name) => typeof name === 'string' && SERVICE_KEY.test(name))) return undefined;
  return {
    id,
    publicJwk,
    services: services as string[],
    issuedAtMs: isTime(iat) ? iat * 1000 : 0,
    expiresAtMs: exp * 1000,
    keyId,
  };
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

/** NumericDate in whole seconds, up to the year 9999. */
function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < 253_402_300_800;
}

/** The id a token claims, unverified: to choose what to do next, never to believe it. */
export function readClaimedId(token: string): SpiffeId | undefined {
  const sub = tryParseCompactJws(token)?.claims.sub;
  return typeof sub === 'string' && tryParseSpiffeId(sub) !== undefined ? parseSpiffeId(sub) : undefined;
}
