/** Patterns over SPIFFE ids, matched segment by segment: `spiffe://td/ns/pay/**` never matches `ns/pay-evil`. */

import { isTrustDomain, type SpiffeId } from '../core/spiffe-id.ts';

export interface SpiffePattern {
  readonly trustDomain: string;
  /** Undefined stands for `*`: any one segment. */
  readonly segments: readonly (string | undefined)[];
  /** Ends in `**`: any number of further segments, also none. */
  readonly open: boolean;
}

const SEGMENT = /^[a-zA-Z0-9._-]+$/;

/** Undefined when the text is no pattern. */
export function tryParseSpiffePattern(text: string): SpiffePattern | undefined {
  if (!text.startsWith('spiffe://') || text.length > 2048) return undefined;
  const [trustDomain = '', ...rest] = text.slice(9).split('/');
  if (!isTrustDomain(trustDomain)) return undefined;
  const open = rest[rest.length - 1] === '**';
  const named = open ? rest.slice(0, -1) : rest;
  for (const segment of named) {
    if (segment !== '*' && (!SEGMENT.test(segment) || segment === '.' || segment === '..')) return undefined;
  }
  return { trustDomain, segments: named.map((segment) => (segment === '*' ? undefined : segment)), open };
}

export function matchesSpiffePattern(pattern: SpiffePattern, id: SpiffeId): boolean {
  if (pattern.trustDomain !== id.trustDomain) return false;
  const { segments } = pattern;
  if (pattern.open ? id.segments.length < segments.length : id.segments.length !== segments.length) return false;
  for (let i = 0; i < segments.length; i++) {
    const wanted = segments[i];
    if (wanted !== undefined && wanted !== id.segments[i]) return false;
  }
  return true;
}
