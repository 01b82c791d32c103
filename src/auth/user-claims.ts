/** Claims of an end user as policies and applications see them: values that are text, by the path of their names. */

import { toByteText } from '../core/text.ts';
import { isFieldValue } from '../http/fields.ts';
import { findClaim } from './claim-mapping.ts';
import type { Claims as TokenClaims } from './issuer-token.ts';
import type { Claims } from './match.ts';

/** Lists that are written as one text with spaces between (RFC 8693 §4.2), in the reading of Istio. */
const SPACED: ReadonlySet<string> = new Set(['scope', 'permission']);

/**
 * `{"realm_access": {"roles": ["a"]}}` gives `realm_access.roles`. Numbers and booleans become text; what is neither a value nor a list of
 * values is left out. @returns undefined where two claims have one path: who asked for one could be given the other
 */
export function flattenClaims(claims: TokenClaims): Claims | undefined {
  const flat = new Map<string, string | readonly string[]>();
  return addClaims(flat, '', claims) ? Object.fromEntries(flat) : undefined;
}

function addClaims(flat: Map<string, string | readonly string[]>, prefix: string, claims: TokenClaims): boolean {
  return Object.entries(claims).every(([name, value]) => {
    const path = prefix + name;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return addClaims(flat, `${path}.`, value as TokenClaims);
    }
    if (flat.has(path)) return false;
    const isSpaced = typeof value === 'string' && SPACED.has(path);
    const found = isSpaced ? value.split(' ').filter((word) => word !== '') : toValue(value);
    if (found !== undefined) flat.set(path, found);
    return true;
  });
}

function toValue(value: unknown): string | readonly string[] | undefined {
  return Array.isArray(value) ? value.flatMap((each) => toText(each) ?? []) : toText(value);
}

function toText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}

/**
 * A claim as a field tells it, in UTF-8; a list with commas between. Undefined where there is none, or where it could be read in two
 * ways there: a member with a comma in it, a control character, space around.
 */
export function toFieldValue(claims: TokenClaims, claim: string): string | undefined {
  const value = toValue(findClaim(claims, claim));
  if (value === undefined) return undefined;
  if (typeof value !== 'string' && (value.length === 0 || value.some((each) => each.includes(',')))) return undefined;
  const told = toByteText(typeof value === 'string' ? value : value.join(','));
  return told !== '' && isFieldValue(told) ? told : undefined;
}
