/**
 * JWT-SVID, the bearer token an application shows to somebody else: mint, and verify strictly (SPIFFE JWT-SVID §3-§5;
 * docs/security.md). Whoever holds one is taken for its subject, so it is short-lived, for one audience, and opens nothing
 * inside the mesh: links and sessions take WIT-SVIDs alone.
 */

import { compactVerify, SignJWT } from 'jose';
import type { Clock } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import { type SpiffeId, tryParseSpiffeId } from '../core/spiffe-id.ts';
import { tryParseCompactJws } from './compact-jws.ts';
import type { IdentityKey } from './key-pair.ts';
import { type Holder, revoked } from './revocation.ts';
import type { SigningKeys } from './signing-keys.ts';
import { checkValidity, isTime, type Validity } from './validity.ts';

/** What a verified JWT-SVID says. */
export interface JwtSvid extends Validity {
  readonly id: SpiffeId;
  readonly audience: readonly string[];
  readonly claims: Readonly<Record<string, unknown>>;
  /** Whom revocations would mean. */
  readonly holder: Holder;
}

export interface JwtSvidClaims {
  readonly id: SpiffeId;
  /** The one who shall take it: its SPIFFE id, or a URL that it knows itself by. */
  readonly audience: string;
  /** Tells this token from all others. */
  readonly tokenId: string;
  readonly issuedAtMs: number;
  /** Whom revocations mean: the thumbprint of the key by which the holder has asked for it, and when it has joined. */
  readonly holder: Omit<Holder, 'id'>;
}

/** The standard asks for minutes: a bearer token that was stolen is good until then. */
export const JWT_SVID_LIFETIME_MS = 300_000;
/** Header members a JWT-SVID may have; the standard forbids all others (§2), and each would be a way around the bundle. */
const HEADER_MEMBERS = new Set(['alg', 'kid', 'typ']);
const TYPES = new Set<unknown>([undefined, 'JWT', 'JOSE']);
const MAX_AUDIENCES = 16;

export function mintJwtSvid(signingKey: IdentityKey, keyId: string, claims: JwtSvidClaims): Promise<string> {
  const issuedAt = Math.floor(claims.issuedAtMs / 1000);
  const { key, joinedAtMs } = claims.holder;
  return new SignJWT({ skein: { key, joined: joinedAtMs } })
    .setProtectedHeader({ alg: 'ES256', kid: keyId, typ: 'JWT' })
    .setSubject(claims.id.uri)
    .setAudience(claims.audience)
    .setJti(claims.tokenId)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + JWT_SVID_LIFETIME_MS / 1000)
    .sign(signingKey.privateKey);
}

/** Whether a token may be made out to `audience`: short text without spaces, as a SPIFFE id and a URL are. */
export function isAudience(audience: string): boolean {
  return /^[\x21-\x7e]{1,512}$/.test(audience);
}

export interface JwtSvidVerification {
  readonly clock: Clock;
  /** The own trust domain, whose tokens have one form: ES256, one audience, 5 minutes. */
  readonly trustDomain: string;
  /** The keys that sign JWT-SVIDs of a trust domain; undefined for one that is not trusted. */
  readonly keysOf: (trustDomain: string) => SigningKeys | undefined;
  /** Of the own trust domain: is that holder good no more? */
  readonly isRevoked: (holder: Holder) => boolean;
  /** How the verifier knows itself. */
  readonly audience: string;
}

/**
 * Every refusal has one text, but for the time, and the end, of what its issuer has signed.
 * @throws SkeinError SKEIN_IDENTITY, SKEIN_REVOKED
 */
export async function verifyJwtSvid(token: string, options: JwtSvidVerification): Promise<JwtSvid> {
  const { audience, isRevoked, ...others } = options;
  const svid = await tryVerifyJwtSvid(token, { ...others, audiences: [audience] });
  if (svid === undefined)
    throw new SkeinError('SKEIN_IDENTITY', 'Cannot trust token: it is not a valid JWT-SVID for this audience');
  checkValidity(svid, options.clock);
  if (svid.id.trustDomain === options.trustDomain && isRevoked(svid.holder)) throw revoked(svid, 'Cannot trust token');
  return svid;
}

/** Whose it is, if it is good for one of `audiences` but for its time. */
export async function tryVerifyJwtSvid(
  token: string,
  options: Pick<JwtSvidVerification, 'trustDomain' | 'keysOf'> & { readonly audiences: readonly string[] },
): Promise<JwtSvid | undefined> {
  const jws = tryParseCompactJws(token);
  if (jws === undefined) return undefined;
  const { alg, kid, typ } = jws.header;
  if (typeof alg !== 'string' || typeof kid !== 'string' || !TYPES.has(typ)) return undefined;
  if (Object.keys(jws.header).some((name) => !HEADER_MEMBERS.has(name))) return undefined;
  const svid = readClaims(jws.claims, options.trustDomain);
  if (svid === undefined || !svid.audience.some((each) => options.audiences.includes(each))) return undefined;
  // The keys of its own trust domain and no others: who may sign for one domain says nothing about another.
  const key = options.keysOf(svid.id.trustDomain)?.find(kid);
  if (key === undefined || !key.algorithms.includes(alg)) return undefined;
  try {
    await compactVerify(token, await key.load(alg), { algorithms: [alg] });
    return svid;
  } catch {
    return undefined;
  }
}

function readClaims(claims: Readonly<Record<string, unknown>>, trustDomain: string): JwtSvid | undefined {
  const { sub, aud, exp, iat, nbf, cnf } = claims;
  // One that names a key of its holder is no bearer token.
  if (typeof sub !== 'string' || !isTime(exp) || cnf !== undefined) return undefined;
  if ((iat !== undefined && !isTime(iat)) || (nbf !== undefined && !isTime(nbf))) return undefined;
  const id = tryParseSpiffeId(sub);
  const audience = readAudience(aud);
  if (id === undefined || audience === undefined) return undefined;
  if (id.trustDomain === trustDomain) {
    const isOurs = audience.length === 1 && isTime(iat) && exp > iat && exp - iat <= JWT_SVID_LIFETIME_MS / 1000;
    if (!isOurs) return undefined;
  }
  const holder = readHolder(id, claims);
  return { id, audience, claims, holder, notBeforeMs: isTime(nbf) ? nbf * 1000 : 0, expiresAtMs: exp * 1000 };
}

/** One that does not say when its holder joined was made for who had by then. */
function readHolder({ uri }: SpiffeId, { iat, skein }: Readonly<Record<string, unknown>>): Holder {
  const { key, joined } = (typeof skein === 'object' && skein !== null ? skein : {}) as Record<string, unknown>;
  return {
    id: uri,
    key: typeof key === 'string' ? key : undefined,
    joinedAtMs: typeof joined === 'number' ? joined : isTime(iat) ? iat * 1000 : 0,
  };
}

/** RFC 7519 §4.1.3: one text, or a list of them. */
export function readAudience(aud: unknown): readonly string[] | undefined {
  const audience: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  if (audience.length === 0 || audience.length > MAX_AUDIENCES) return undefined;
  return audience.every((each) => typeof each === 'string' && each !== '') ? (audience as string[]) : undefined;
}
