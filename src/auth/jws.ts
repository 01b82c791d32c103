/**
 * Signatures of compact JWS (RFC 7515, RFC 7518 §3) by WebCrypto: signing with ES256, and the algorithms that SPIFFE allows to verify
 * with. What a token says of itself is judged before (`compact-jws.ts` and those who call it): the algorithm comes from the issuer's keys,
 * and a header is only compared with it.
 */

import { type Bytes, encodeUtf8, fromBase64Url, toBase64Url } from '../core/bytes.ts';

interface Algorithm {
  /** For `importKey`. */
  readonly key: EcKeyImportParams | RsaHashedImportParams;
  /** For `sign` and `verify`. */
  readonly signature: AlgorithmIdentifier | EcdsaParams | RsaPssParams;
}

function ecdsa(namedCurve: string, bits: number): Algorithm {
  return { key: { name: 'ECDSA', namedCurve }, signature: { name: 'ECDSA', hash: `SHA-${bits}` } };
}

function rsa(bits: number): Algorithm {
  const name = 'RSASSA-PKCS1-v1_5';
  return { key: { name, hash: `SHA-${bits}` }, signature: { name } };
}

function pss(bits: number): Algorithm {
  const name = 'RSA-PSS';
  return { key: { name, hash: `SHA-${bits}` }, signature: { name, saltLength: bits / 8 } };
}

/** JWT-SVID §2.1; what is left out on purpose: `none`, HMAC, whose key would be public, and EdDSA. */
const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map([
  ['RS256', rsa(256)],
  ['RS384', rsa(384)],
  ['RS512', rsa(512)],
  ['ES256', ecdsa('P-256', 256)],
  ['ES384', ecdsa('P-384', 384)],
  ['ES512', ecdsa('P-521', 512)],
  ['PS256', pss(256)],
  ['PS384', pss(384)],
  ['PS512', pss(512)],
]);

/** Names of all algorithms that a signature may be verified with. */
export const SPIFFE_ALGORITHMS: readonly string[] = [...ALGORITHMS.keys()];

/** @param jwk the public half. @throws when it is no key of that algorithm */
export function importVerifyKey(jwk: JsonWebKey, algorithm: string): Promise<CryptoKey> {
  return crypto.subtle.importKey('jwk', jwk, find(algorithm).key, false, ['verify']);
}

/** Is `token`, whose form was checked, signed with this algorithm by the private half of the key? One that is none has signed nothing. */
export async function isSignedBy(token: string, load: () => Promise<CryptoKey>, algorithm: string): Promise<boolean> {
  const end = token.lastIndexOf('.');
  const signature = toBuffer(fromBase64Url(token.slice(end + 1)));
  const signed = toBuffer(encodeUtf8(token.slice(0, end)));
  try {
    return await crypto.subtle.verify(find(algorithm).signature, await load(), signature, signed);
  } catch {
    return false;
  }
}

/** A token that says `claims`, signed with ES256. */
export async function signToken(
  header: Readonly<Record<string, unknown>>,
  claims: Readonly<Record<string, unknown>>,
  key: CryptoKey,
): Promise<string> {
  const signed = `${encode({ alg: 'ES256', ...header })}.${encode(claims)}`;
  const signature = await crypto.subtle.sign(find('ES256').signature, key, toBuffer(encodeUtf8(signed)));
  return `${signed}.${toBase64Url(new Uint8Array(signature))}`;
}

function encode(value: object): string {
  return toBase64Url(encodeUtf8(JSON.stringify(value)));
}

function find(name: string): Algorithm {
  const algorithm = ALGORITHMS.get(name);
  if (algorithm === undefined) throw new TypeError(`Cannot use algorithm "${name}"`);
  return algorithm;
}

/** WebCrypto takes only views of plain buffers. */
export function toBuffer(bytes: Bytes): Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes);
}
