/** One entry for what people apply: unknown value → manifest that its kind's parser accepts, or every issue. */

import * as v from 'valibot';
import { RESERVED_NAMESPACE } from '../core/spiffe-id.ts';
import { AUTHORIZATION_POLICY, parseAuthorizationPolicy } from './authorization-policy.ts';
import { BACKEND_TRAFFIC_POLICY, parseBackendTrafficPolicy } from './backend-traffic-policy.ts';
import { EXPORT, parseExport } from './export.ts';
import { DIRECT_RESPONSE, FAULT_INJECTION, parseDirectResponse, parseFaultInjection } from './extension.ts';
import { FEDERATED_TRUST_DOMAIN, parseFederatedTrustDomain } from './federated-trust-domain.ts';
import { type Parsed, toIssues } from './issue.ts';
import { RE2 } from './re2.ts';
import { parseRequestAuthentication, REQUEST_AUTHENTICATION } from './request-authentication.ts';
import type { Manifest } from './resource.ts';
import { ROUTE_PARSERS } from './route.ts';
import { DEFAULT_NAMESPACE, isLabel } from './service.ts';

/** Parser of each kind; a new kind is a new line. */
const KINDS: Readonly<Record<string, (manifest: Manifest, expressions: typeof RE2) => Parsed<unknown>>> = {
  [AUTHORIZATION_POLICY]: parseAuthorizationPolicy,
  [REQUEST_AUTHENTICATION]: parseRequestAuthentication,
  [FEDERATED_TRUST_DOMAIN]: parseFederatedTrustDomain,
  ...ROUTE_PARSERS,
  [DIRECT_RESPONSE]: parseDirectResponse,
  [FAULT_INJECTION]: parseFaultInjection,
  [EXPORT]: parseExport,
  [BACKEND_TRAFFIC_POLICY]: parseBackendTrafficPolicy,
};

const label = v.pipe(v.string(), v.check(isLabel, 'is not a DNS label'));

/** What a server writes beside the words of a manifest: accepted, because `skein get` prints it, and not looked at. */
const written = v.optional(v.unknown());

const frame = v.strictObject({
  apiVersion: v.optional(v.pipe(v.string(), v.maxLength(128))),
  kind: v.string(),
  metadata: v.strictObject({
    name: label,
    namespace: v.optional(label, DEFAULT_NAMESPACE),
    labels: v.optional(v.record(v.string(), v.string())),
    annotations: v.optional(v.record(v.string(), v.string())),
    /** The version that the writer has seen; the hub compares it. */
    resourceVersion: v.optional(v.pipe(v.string(), v.maxLength(64))),
    ...{ creationTimestamp: written, generation: written, managedFields: written, selfLink: written, uid: written },
  }),
  spec: v.optional(v.unknown()),
  status: written,
});

/** A silent namespace becomes `default`. Whatever is not understood is an issue, never dropped. */
export function parseManifest(value: unknown): Parsed<Manifest> {
  const result = v.safeParse(frame, value);
  if (!result.success) return { issues: toIssues(result.issues, '') };
  const manifest = toOwnWords(result.output);
  if (manifest.metadata.namespace === RESERVED_NAMESPACE) {
    return {
      issues: [{ path: 'metadata.namespace', message: `"${RESERVED_NAMESPACE}" is reserved`, rule: 'reserved' }],
    };
  }
  const parsed = parseKind(manifest);
  return 'issues' in parsed ? parsed : { value: manifest };
}

/** The specification of a manifest as this version understands it, defaults filled in. */
export function parseSpec(manifest: Manifest): Parsed<unknown> {
  const parsed = parseKind(manifest);
  if ('issues' in parsed) return parsed;
  const { kind, name, namespace, createdAt, ...spec } = Object(parsed.value) as Readonly<Record<string, unknown>>;
  return { value: 'spec' in spec ? spec.spec : spec };
}

/** What a manifest says in the form of its kind; the frame around it was checked. */
export function parseKind(manifest: Manifest): Parsed<unknown> {
  const parser = Object.hasOwn(KINDS, manifest.kind) ? KINDS[manifest.kind] : undefined;
  if (parser !== undefined) return parser(manifest, RE2);
  const message = `"${manifest.kind}" is not a kind this version knows (${Object.keys(KINDS).join(', ')})`;
  return { issues: [{ path: 'kind', message, rule: 'unknown-kind' }] };
}

/** A manifest as its author would write it. */
export function toOwnWords({ apiVersion, kind, metadata, spec }: Manifest): Manifest {
  const { name, namespace, labels, annotations } = metadata;
  return {
    ...(apiVersion === undefined ? {} : { apiVersion }),
    kind,
    metadata: {
      ...{ name, namespace },
      ...(labels === undefined ? {} : { labels }),
      ...(annotations === undefined ? {} : { annotations }),
    },
    ...(spec === undefined ? {} : { spec }),
  };
}
