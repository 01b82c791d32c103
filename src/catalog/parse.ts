/** One entry for what people apply: unknown value → manifest that its kind's parser accepts, or every issue. */

import * as v from 'valibot';
import { RESERVED_NAMESPACE } from '../core/spiffe-id.ts';
import { AUTHORIZATION_POLICY, parseAuthorizationPolicy } from './authorization-policy.ts';
import { DIRECT_RESPONSE, FAULT_INJECTION, parseDirectResponse, parseFaultInjection } from './extension.ts';
import { type Parsed, toIssues } from './issue.ts';
import type { Manifest } from './resource.ts';
import { ROUTE_PARSERS } from './route.ts';
import { DEFAULT_NAMESPACE, isLabel } from './service.ts';

/** Parser of each kind; a new kind is a new line. */
const KINDS: Readonly<Record<string, (manifest: Manifest) => Parsed<unknown>>> = {
  [AUTHORIZATION_POLICY]: parseAuthorizationPolicy,
  ...ROUTE_PARSERS,
  [DIRECT_RESPONSE]: parseDirectResponse,
  [FAULT_INJECTION]: parseFaultInjection,
};

const label = v.pipe(v.string(), v.check(isLabel, 'is not a DNS label'));

const frame = v.strictObject({
  apiVersion: v.optional(v.pipe(v.string(), v.maxLength(128))),
  kind: v.string(),
  metadata: v.strictObject({
    name: label,
    namespace: v.optional(label, DEFAULT_NAMESPACE),
    labels: v.optional(v.record(v.string(), v.string())),
    /** The version that the writer has seen; the hub compares it. */
    resourceVersion: v.optional(v.pipe(v.string(), v.maxLength(64))),
    annotations: v.optional(v.record(v.string(), v.string())),
  }),
  spec: v.optional(v.unknown()),
});

/** A silent namespace becomes `default`. Whatever is not understood is an issue, never dropped. */
export function parseManifest(value: unknown): Parsed<Manifest> {
  const result = v.safeParse(frame, value);
  if (!result.success) return { issues: toIssues(result.issues, '') };
  const manifest: Manifest = result.output;
  const parser = Object.hasOwn(KINDS, manifest.kind) ? KINDS[manifest.kind] : undefined;
  if (parser === undefined) {
    return {
      issues: [
        {
          path: 'kind',
          message: `"${manifest.kind}" is not a kind this version knows (${Object.keys(KINDS).join(', ')})`,
          rule: 'unknown-kind',
        },
      ],
    };
  }
  if (manifest.metadata.namespace === RESERVED_NAMESPACE) {
    return {
      issues: [{ path: 'metadata.namespace', message: `"${RESERVED_NAMESPACE}" is reserved`, rule: 'reserved' }],
    };
  }
  const parsed = parser(manifest);
  return 'issues' in parsed ? parsed : { value: manifest };
}
