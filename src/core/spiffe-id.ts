/** SPIFFE ids and trust domains: parse, compare, print (SPIFFE-ID §2). An id that is not canonical is refused, never folded. */

import { SkeinError } from './errors.ts';

/** A valid id as text; only `parseSpiffeId` and the functions here make one. */
export interface SpiffeId {
  /** `spiffe://<trust domain><path>` */
  readonly uri: string;
  readonly trustDomain: string;
  /** Segments of the path, without the slashes; may be empty. */
  readonly segments: readonly string[];
  /** `<ns>` of `/ns/<ns>/sa/<sa>`, or undefined where the path has another shape. */
  readonly namespace: string | undefined;
  /** `<sa>` of `/ns/<ns>/sa/<sa>`. */
  readonly serviceAccount: string | undefined;
}

/** The specification asks to accept 2048 bytes and never to issue more. */
const MAX_ID_BYTES = 2048;
const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/;
const SEGMENT = /^[a-zA-Z0-9._-]+$/;

export function isTrustDomain(text: string): boolean {
  return TRUST_DOMAIN.test(text);
}

/** @throws SkeinError SKEIN_IDENTITY */
export function parseSpiffeId(text: string): SpiffeId {
  const id = tryParseSpiffeId(text);
  if (id === undefined) throw new SkeinError('SKEIN_IDENTITY', 'Cannot read SPIFFE id: malformed text');
  return id;
}

export function tryParseSpiffeId(text: string): SpiffeId | undefined {
  if (text.length > MAX_ID_BYTES || !text.startsWith('spiffe://')) return undefined;
  const slash = text.indexOf('/', 9);
  const trustDomain = slash < 0 ? text.slice(9) : text.slice(9, slash);
  if (!isTrustDomain(trustDomain)) return undefined;
  const segments = slash < 0 ? [] : text.slice(slash + 1).split('/');
  for (const segment of segments) {
    if (!SEGMENT.test(segment) || segment === '.' || segment === '..') return undefined;
  }
  const workload = segments.length === 4 && segments[0] === 'ns' && segments[2] === 'sa';
  return {
    uri: text,
    trustDomain,
    segments,
    namespace: workload ? segments[1] : undefined,
    serviceAccount: workload ? segments[3] : undefined,
  };
}

/** `spiffe://<td>/ns/<namespace>/sa/<serviceAccount>` */
export function toWorkloadId(trustDomain: string, namespace: string, serviceAccount: string): SpiffeId {
  return parseSpiffeId(`spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`);
}

export const DEFAULT_TRUST_DOMAIN = 'skein.mesh';

/** Namespace and service account of every hub; no join token can be bound to it. */
export const RESERVED_NAMESPACE = 'skein';

export function toHubId(trustDomain: string): SpiffeId {
  return toWorkloadId(trustDomain, RESERVED_NAMESPACE, 'hub');
}
