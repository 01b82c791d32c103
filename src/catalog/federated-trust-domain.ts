/**
 * FederatedTrustDomain: the keys by which JWT-SVIDs of another trust domain are believed, as a hub has got them from its bundle endpoint.
 * A resource like policies, so that it is sealed, kept, and told to members as they are; for the whole mesh, in its namespace.
 */

import * as v from 'valibot';
import { isTrustDomain } from '../core/spiffe-id.ts';
import { type Parsed, toIssues } from './issue.ts';
import type { Manifest } from './resource.ts';
import { MESH_NAMESPACE } from './service.ts';

export const FEDERATED_TRUST_DOMAIN = 'FederatedTrustDomain';

const MAX_KEYS = 100;
const text = v.pipe(v.string(), v.minLength(1), v.maxLength(2048));
const count = v.pipe(v.number(), v.integer(), v.minValue(0));

/** Public members alone: one that holds a private key is refused whole. */
const key = v.strictObject({
  kty: text,
  use: v.literal('jwt-svid'),
  kid: v.pipe(v.string(), v.minLength(1), v.maxLength(256)),
  alg: v.optional(text),
  crv: v.optional(text),
  x: v.optional(text),
  y: v.optional(text),
  n: v.optional(text),
  e: v.optional(text),
});

const spec = v.strictObject({
  trustDomain: v.pipe(v.string(), v.check(isTrustDomain, 'is not a trust domain')),
  bundle: v.strictObject({
    /** None: everything of that domain is refused. */
    keys: v.pipe(
      v.array(key),
      v.maxLength(MAX_KEYS),
      v.check((keys) => new Set(keys.map(({ kid }) => kid)).size === keys.length, 'gives one kid to two keys'),
    ),
    spiffe_sequence: v.optional(count, 0),
  }),
});

export type FederatedKey = v.InferOutput<typeof key>;

export interface FederatedTrustDomain {
  readonly name: string;
  readonly namespace: string;
  readonly spec: v.InferOutput<typeof spec>;
}

/** Every issue, or the resource. `metadata` was checked by `parse.ts`. */
export function parseFederatedTrustDomain(manifest: Manifest): Parsed<FederatedTrustDomain> {
  const result = v.safeParse(spec, manifest.spec);
  if (!result.success) return { issues: toIssues(result.issues, 'spec') };
  const { name, namespace } = manifest.metadata;
  if (namespace !== MESH_NAMESPACE) {
    const message = `is for the whole mesh: write it into the namespace "${MESH_NAMESPACE}"`;
    return { issues: [{ path: 'metadata.namespace', message, rule: 'mesh-only' }] };
  }
  return { value: { name, namespace, spec: result.output } };
}
