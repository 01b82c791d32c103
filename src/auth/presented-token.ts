/** Where requests bring the tokens of end users, and what they bring. */

import type { JwtRule } from '../catalog/request-authentication.ts';
import type { Fields } from '../http/head.ts';

/** A field that may hold a token, behind `prefix`. */
export interface TokenLocation {
  readonly name: string;
  readonly prefix: string;
}

/** RFC 6750 §2.1. */
const BEARER: TokenLocation = { name: 'authorization', prefix: 'Bearer ' };

export function locationsOf({ fromHeaders = [BEARER] }: Pick<JwtRule, 'fromHeaders'>): readonly TokenLocation[] {
  return fromHeaders;
}

export interface PresentedToken {
  readonly token: string;
  readonly location: TokenLocation;
}

/**
 * Every field at one of `locations` that begins as it should, each once: at the location with the longest prefix. One that is empty behind
 * that is a token, and a bad one.
 */
export function readPresented(fields: Fields, locations: readonly TokenLocation[]): readonly PresentedToken[] {
  const found: PresentedToken[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    let best: PresentedToken | undefined;
    for (const location of locations) {
      if (location.name !== name) continue;
      const token = readToken(fields[i + 1] as string, location);
      if (token !== undefined && (best === undefined || location.prefix.length > best.location.prefix.length))
        best = { token, location };
    }
    if (best !== undefined) found.push(best);
  }
  return found;
}

function readToken(value: string, { name, prefix }: TokenLocation): string | undefined {
  if (name !== BEARER.name || prefix !== BEARER.prefix) {
    return value.startsWith(prefix) ? value.slice(prefix.length) : undefined;
  }
  // The scheme has no case (RFC 9110 §11.1), and servers are lenient about what follows it.
  const [scheme] = /^bearer(?:[ \t]+|$)/i.exec(value) ?? [];
  return scheme === undefined ? undefined : value.slice(scheme.length);
}
