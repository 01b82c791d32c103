/** Join tokens: single use, short-lived, bound to names; the text carries the issuer's thumbprint, the hub stores a hash. */

import { type Bytes, decodeUtf8, encodeUtf8, equalBytes, fromBase64Url, toBase64Url } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import type { Random } from '../core/random.ts';
import { Redacted } from '../core/redacted.ts';
import { isTrustDomain } from '../core/spiffe-id.ts';
import { parseStrictJson } from './strict-json.ts';

const PREFIX = 'skein_';
const MAX_TEXT_CHARS = 2048;
const ID_BYTES = 12;
/** 192 bits: far beyond guessing, and short enough to paste. */
const SECRET_BYTES = 24;

export interface JoinToken {
  readonly trustDomain: string;
  /** RFC 7638 thumbprint of the issuer's signing key, base64url. */
  readonly issuerThumbprint: string;
  readonly id: string;
  readonly secret: Redacted<Bytes>;
}

export interface NewJoinToken {
  /** What the operator hands over; shown once, never stored. */
  readonly text: string;
  readonly id: string;
  readonly secret: Redacted<Bytes>;
}

export function createJoinToken(options: {
  readonly trustDomain: string;
  readonly issuerThumbprint: string;
  readonly random: Random;
}): NewJoinToken {
  const id = toBase64Url(options.random.bytes(ID_BYTES));
  const secret = options.random.bytes(SECRET_BYTES);
  const body = JSON.stringify({ d: options.trustDomain, k: options.issuerThumbprint, i: id, s: toBase64Url(secret) });
  return { text: PREFIX + toBase64Url(encodeUtf8(body)), id, secret: new Redacted(secret) };
}

/** @throws SkeinError SKEIN_TOKEN_INVALID; the message never quotes the text */
export function parseJoinToken(text: string): JoinToken {
  try {
    const trimmed = text.trim();
    if (!trimmed.startsWith(PREFIX) || trimmed.length > MAX_TEXT_CHARS) throw new SyntaxError('not a join token');
    const { d, k, i, s } = parseStrictJson(decodeUtf8(fromBase64Url(trimmed.slice(PREFIX.length)))) as Record<
      string,
      unknown
    >;
    if (typeof d !== 'string' || !isTrustDomain(d) || typeof i !== 'string' || fromBase64Url(i).length !== ID_BYTES) {
      throw new SyntaxError('malformed body');
    }
    if (typeof k !== 'string' || fromBase64Url(k).length !== 32 || typeof s !== 'string')
      throw new SyntaxError('malformed body');
    const secret = fromBase64Url(s);
    if (secret.length !== SECRET_BYTES) throw new SyntaxError('malformed body');
    return { trustDomain: d, issuerThumbprint: k, id: i, secret: new Redacted(secret) };
  } catch {
    throw new SkeinError(
      'SKEIN_TOKEN_INVALID',
      'Cannot read join token: it is not the text that "skein token create" printed',
    );
  }
}

/** What the hub keeps of a secret. */
export function hashSecret(sha256: (...parts: readonly Bytes[]) => Bytes, secret: Bytes): string {
  return toBase64Url(sha256(encodeUtf8('skein/1 join-token'), secret));
}

/** Compares in constant time. */
export function matchesSecret(
  sha256: (...parts: readonly Bytes[]) => Bytes,
  secret: Bytes,
  storedHash: string,
): boolean {
  return equalBytes(encodeUtf8(hashSecret(sha256, secret)), encodeUtf8(storedHash));
}
