/**
 * WIT-SVID, the credential of a session: mint, and verify strictly (SPIFFE WIT-SVID; docs/security.md). It proves nothing
 * without the signature of its `cnf` key over a handshake (`proof.ts`), so a stolen one is useless.
 */

import { SignJWT } from 'jose';
import type { Clock } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import { parseSpiffeId, type SpiffeId, tryParseSpiffeId } from '../core/spiffe-id.ts';
import { tryParseCompactJws } from './compact-jws.ts';
import { type HubRole, tryReadRoles } from './hub-role.ts';
import { type IdentityKey, type PublicJwk, toPublicJwk } from './key-pair.ts';
import { tryReadSigned } from './signed-claims.ts';
import type { TrustBundle } from './trust-bundle.ts';
import { checkValidity, isTime, TOLERATED_SKEW_MS, type Validity } from './validity.ts';

/** What a verified WIT-SVID says. */
export interface Wit extends Validity {
  readonly id: SpiffeId;
  /** The key whose holder the token names. */
  readonly publicJwk: PublicJwk;
  /** Services its holder may serve, as `name.namespace`. */
  readonly services: readonly string[];
  readonly issuedAtMs: number;
  /** When its holder joined the mesh; of one that does not say it, when it was issued. */
  readonly joinedAtMs: number;
  /** Of one that does not say it: as if it were ours. */
  readonly notBeforeMs: number;
  readonly keyId: string;
  /** Of a hub: what it may do. undefined in those of members, and of hubs from before there were roles, which do everything. */
  readonly hubRoles: readonly HubRole[] | undefined;
}

export interface WitClaims {
  readonly id: SpiffeId;
  readonly publicJwk: PublicJwk;
  readonly services: readonly string[];
  readonly joinedAtMs: number;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
  readonly hubRoles?: readonly HubRole[] | undefined;
}

const WIT_TYPE = 'wit+jwt';
const MAX_SERVICES = 256;
const SERVICE_KEY = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * It is good from `TOLERATED_SKEW_MS` before its issue: a verifier whose clock is behind must not refuse what was issued
 * just now. Public and Kubernetes authorities backdate what they sign in the same way.
 */
export function mintWit(signingKey: IdentityKey, keyId: string, claims: WitClaims): Promise<string> {
  const { alg: _alg, ...jwk } = claims.publicJwk;
  return new SignJWT({
    cnf: { jwk: { ...jwk, alg: 'ES256' } },
    skein: {
      services: [...claims.services],
      joined: claims.joinedAtMs,
      ...(claims.hubRoles === undefined ? {} : { hub: [...claims.hubRoles] }),
    },
  })
    .setProtectedHeader({ alg: 'ES256', kid: keyId, typ: WIT_TYPE })
    .setSubject(claims.id.uri)
    .setIssuedAt(Math.floor(claims.issuedAtMs / 1000))
    .setNotBefore(Math.floor((claims.issuedAtMs - TOLERATED_SKEW_MS) / 1000))
    .setExpirationTime(Math.floor(claims.expiresAtMs / 1000))
    .sign(signingKey.privateKey);
}

/**
 * Every refusal has one text: whoever tries tokens learns nothing from the answer. Only of what the issuer has signed it is
 * said that its time is not now.
 * @throws SkeinError SKEIN_IDENTITY
 */
export async function verifyWit(
  token: string,
  bundle: TrustBundle,
  options: {
    readonly clock: Clock;
    readonly trustDomain: string;
    readonly hubAheadMs?: (() => number | undefined) | undefined;
  },
): Promise<Wit> {
  const wit = await tryVerifyWit(token, bundle, options.trustDomain);
  if (wit === undefined)
    throw new SkeinError('SKEIN_IDENTITY', 'Cannot trust credential: it is not a valid WIT-SVID of this trust domain');
  checkValidity(wit, options.clock, options.hubAheadMs?.());
  return wit;
}

async function tryVerifyWit(token: string, bundle: TrustBundle, trustDomain: string): Promise<Wit | undefined> {
  const signed = await tryReadSigned(token, WIT_TYPE, bundle);
  const wit = signed === undefined ? undefined : readClaims(signed.claims, signed.keyId);
  return wit?.id.trustDomain === trustDomain ? wit : undefined;
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
  const joined = skein === undefined ? undefined : member(skein, 'joined');
  if (joined !== undefined && !(Number.isSafeInteger(joined) && (joined as number) >= 0)) return undefined;
  const hub = skein === undefined ? undefined : member(skein, 'hub');
  const hubRoles = hub === undefined ? undefined : tryReadRoles(hub);
  if (hub !== undefined && hubRoles === undefined) return undefined;
  return {
    id,
    hubRoles,
    publicJwk,
    services: services as string[],
    issuedAtMs: isTime(iat) ? iat * 1000 : 0,
    joinedAtMs: (joined as number | undefined) ?? (isTime(iat) ? iat * 1000 : 0),
    notBeforeMs: isTime(nbf) ? nbf * 1000 : isTime(iat) ? iat * 1000 - TOLERATED_SKEW_MS : 0,
    expiresAtMs: exp * 1000,
    keyId,
  };
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

/** The key whose holder a token claims to name, and the key it claims to be signed by, unverified. */
export function readClaimedHolder(token: string): Pick<Wit, 'publicJwk' | 'keyId'> | undefined {
  const jws = tryParseCompactJws(token);
  const publicJwk = toPublicJwk(member(jws?.claims.cnf, 'jwk'));
  const keyId = jws?.header.kid;
  return publicJwk === undefined || typeof keyId !== 'string' ? undefined : { publicJwk, keyId };
}

/** When a token claims to have been issued, unverified; undefined where it does not say it. */
export function readClaimedTime(token: string): number | undefined {
  const iat = tryParseCompactJws(token)?.claims.iat;
  return isTime(iat) ? iat * 1000 : undefined;
}

/** The id a token claims, unverified: to choose what to do next, never to believe it. */
export function readClaimedId(token: string): SpiffeId | undefined {
  const sub = tryParseCompactJws(token)?.claims.sub;
  return typeof sub === 'string' && tryParseSpiffeId(sub) !== undefined ? parseSpiffeId(sub) : undefined;
}
