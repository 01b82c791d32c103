/**
 * Compact JWS, canonical form only: what two readers could read differently is refused before any key is used.
 * Closes what jose leaves open (spaces inside a segment, non-zero trailing bits): a cache or a deny list keyed on the
 * text of a token would otherwise be bypassed by another spelling of it.
 */

import { decodeUtf8, fromBase64Url } from '../core/bytes.ts';
import { parseStrictJson } from './strict-json.ts';

/** Longer tokens are refused before they are looked at. */
export const MAX_TOKEN_CHARS = 8 * 1024;

export interface CompactJws {
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
}

/** Has this text the form of a JWT? A join token has not. */
export function looksLikeJwt(text: string): boolean {
  return /^eyJ[\w-]*\.[\w-]+\.[\w-]+$/.test(text);
}

/** undefined on anything that is not the one canonical spelling. The signature is not checked here. */
export function tryParseCompactJws(token: string): CompactJws | undefined {
  if (token.length > MAX_TOKEN_CHARS) return undefined;
  const segments = token.split('.');
  const [header, claims, signature] = segments;
  if (segments.length !== 3 || !header || !claims || !signature) return undefined;
  try {
    fromBase64Url(signature);
    const head = toObject(header);
    const body = toObject(claims);
    return head === undefined || body === undefined ? undefined : { header: head, claims: body };
  } catch {
    return undefined;
  }
}

function toObject(segment: string): Readonly<Record<string, unknown>> | undefined {
  const value = parseStrictJson(decodeUtf8(fromBase64Url(segment)));
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}
