/** ES256 identity keys (P-256): make, keep, sign, verify, and their RFC 7638 thumbprints. */

import { calculateJwkThumbprint } from 'jose';
import { type Bytes, fromBase64Url, toBase64Url } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import { Redacted } from '../core/redacted.ts';

/** The public half as `cnf.jwk` carries it. */
export interface PublicJwk {
  readonly kty: 'EC';
  readonly crv: 'P-256';
  /** Base64url, 32 bytes each. */
  readonly x: string;
  readonly y: string;
  readonly alg: 'ES256';
}

/** The private half as a 0600 file keeps it. */
export interface PrivateJwk extends PublicJwk {
  readonly d: string;
}

export interface IdentityKey {
  readonly publicJwk: PublicJwk;
  /** Base64url SHA-256 of the canonical public key (RFC 7638). */
  readonly thumbprint: string;
  /** ES256 over `data`: r ‖ s, 64 bytes. */
  sign(data: Bytes): Promise<Bytes>;
  /** For the store. @throws SkeinError SKEIN_CONFIG when the key was made non-extractable */
  exportPrivate(): Promise<Redacted<PrivateJwk>>;
  /** For jose, which signs tokens with it. */
  readonly privateKey: CryptoKey;
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const;

/**
 * Keys leave it as bytes, not as JWKs: Node 20 holds the mutex of a key while it builds a JWK in the heap, and a collection
 * that this sets off may destroy the job that made the key, which wants the same mutex. Bytes it builds on another thread.
 *
 * @param extractable false where the runtime keeps keys itself; such a key cannot be stored. @default true
 */
export async function createIdentityKey(extractable = true): Promise<IdentityKey> {
  const pair = await crypto.subtle.generateKey(ALGORITHM, extractable, ['sign', 'verify']);
  return wrap(pair.privateKey, toJwk(new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey))));
}

/** @throws SkeinError SKEIN_CONFIG when the stored key is not an ES256 private key */
export async function importIdentityKey(stored: unknown): Promise<IdentityKey> {
  const jwk = toPublicJwk(stored);
  const d = typeof stored === 'object' && stored !== null && 'd' in stored ? stored.d : undefined;
  if (jwk === undefined || typeof d !== 'string') {
    throw new SkeinError('SKEIN_CONFIG', 'Cannot read identity key: it is not an ES256 private key');
  }
  const { alg: _alg, ...curve } = jwk;
  const privateKey = await crypto.subtle.importKey('jwk', { ...curve, d }, ALGORITHM, true, ['sign']);
  return wrap(privateKey, jwk);
}

/**
 * A key that its runtime keeps, with its public half: it signs, and leaves by nothing.
 * @throws SkeinError SKEIN_CONFIG when they are no such pair
 */
export async function holdIdentityKey(privateKey: unknown, publicJwk: unknown): Promise<IdentityKey> {
  const jwk = toPublicJwk(publicJwk);
  const key = jwk && isSigningKey(privateKey) ? await wrap(privateKey, jwk) : undefined;
  const probe = new Uint8Array(32);
  if (key === undefined || !(await verifySignature(key.publicJwk, await key.sign(probe), probe))) {
    throw new SkeinError('SKEIN_CONFIG', 'Cannot read identity key: it is not an ES256 key pair');
  }
  return key;
}

function isSigningKey(value: unknown): value is CryptoKey {
  if (!(value instanceof CryptoKey)) return false;
  const { name, namedCurve } = value.algorithm as KeyAlgorithm & { readonly namedCurve?: string };
  return name === ALGORITHM.name && namedCurve === ALGORITHM.namedCurve && value.usages.includes('sign');
}

/** An ES256 public key, strictly: the right members, 32 bytes each; undefined otherwise. Members it does not know are dropped. */
export function toPublicJwk(value: unknown): PublicJwk | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { kty, crv, x, y } = value as Record<string, unknown>;
  if (kty !== 'EC' || crv !== 'P-256' || !isCoordinate(x) || !isCoordinate(y)) return undefined;
  return { kty, crv, x, y, alg: 'ES256' };
}

export function toThumbprint(jwk: PublicJwk): Promise<string> {
  return calculateJwkThumbprint({ kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y }, 'sha256');
}

/** Whether `signature` (r ‖ s) is by the private half of `jwk` over `data`. A key that is no point of the curve verifies nothing. */
export async function verifySignature(jwk: PublicJwk, signature: Bytes, data: Bytes): Promise<boolean> {
  try {
    return await crypto.subtle.verify(SIGNATURE, await importPublicKey(jwk), toBuffer(signature), toBuffer(data));
  } catch {
    return false;
  }
}

/** The point in its raw form, which Node 20 reads in half the time of a JWK. @throws when it is no point of the curve */
export function importPublicKey(jwk: PublicJwk): Promise<CryptoKey> {
  const point = new Uint8Array(65);
  point[0] = 4; // uncompressed (SEC 1 §2.3.3)
  point.set(fromBase64Url(jwk.x), 1);
  point.set(fromBase64Url(jwk.y), 33);
  return crypto.subtle.importKey('raw', point, ALGORITHM, false, ['verify']);
}

async function wrap(privateKey: CryptoKey, publicJwk: PublicJwk): Promise<IdentityKey> {
  return {
    publicJwk,
    privateKey,
    thumbprint: await toThumbprint(publicJwk),
    async sign(data) {
      return new Uint8Array(await crypto.subtle.sign(SIGNATURE, privateKey, toBuffer(data)));
    },
    async exportPrivate() {
      if (!privateKey.extractable)
        throw new SkeinError('SKEIN_CONFIG', 'Cannot store identity key: it is not extractable');
      const der = new Uint8Array(await crypto.subtle.exportKey('pkcs8', privateKey));
      return new Redacted({ ...publicJwk, d: toBase64Url(readScalar(der)) });
    },
  };
}

/** @param point uncompressed, 65 bytes (SEC 1 §2.3.3) */
function toJwk(point: Bytes): PublicJwk {
  const [x, y] = [toBase64Url(point.subarray(1, 33)), toBase64Url(point.subarray(33))];
  return { kty: 'EC', crv: 'P-256', x, y, alg: 'ES256' };
}

/** Where the private key of P-256 stands in its PKCS #8 form: version 1, then 32 bytes (RFC 5915 §3). */
const SCALAR_BEHIND = [0x02, 0x01, 0x01, 0x04, 0x20];

function readScalar(der: Bytes): Bytes {
  const at = der.findIndex((_, start) => SCALAR_BEHIND.every((byte, i) => der[start + i] === byte));
  if (at < 0) throw new SkeinError('SKEIN_INTERNAL', 'Cannot store identity key: its encoding is unknown');
  return der.subarray(at + SCALAR_BEHIND.length, at + SCALAR_BEHIND.length + 32);
}

function isCoordinate(value: unknown): value is string {
  if (typeof value !== 'string' || value.length !== 43) return false;
  try {
    return fromBase64Url(value).length === 32;
  } catch {
    return false;
  }
}

/** WebCrypto takes only views of plain buffers. */
function toBuffer(bytes: Bytes): Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes);
}
