/**
 * AuthorizationPolicy: who may call what. The parser refuses the whole policy on any bad entry, because a policy that
 * loses a line means something else (docs/security.md). Unknown members are refused for the same reason.
 */

import * as v from 'valibot';
import { type Parsed, toIssues } from './issue.ts';
import { list, port, rules, SAME_NAMESPACE } from './policy-rule.ts';
import { findTestFaults, tests } from './policy-test.ts';
import type { Manifest } from './resource.ts';
import { isLabel, MESH_NAMESPACE } from './service.ts';

export const AUTHORIZATION_POLICY = 'AuthorizationPolicy';

const label = v.pipe(v.string(), v.check(isLabel, 'is not a DNS label'));

const spec = v.pipe(
  v.strictObject({
    targets: list(v.strictObject({ service: label, ports: list(port) })),
    deny: rules,
    allow: rules,
    shadowDeny: rules,
    /** Only in the namespace `mesh`: what no rule decides is allowed, and counted as what would be denied. */
    permissive: v.optional(v.boolean()),
    mode: v.optional(v.picklist(['enforce', 'audit'])),
    tests,
  }),
  v.check(
    ({ deny, allow, shadowDeny, permissive }) => (deny ?? allow ?? shadowDeny ?? permissive) !== undefined,
    'has none of deny, allow and shadowDeny',
  ),
);

export type PolicySpec = v.InferOutput<typeof spec>;

export interface AuthorizationPolicy {
  readonly name: string;
  readonly namespace: string;
  readonly spec: PolicySpec;
}

/** Every issue, or the policy. `metadata` was checked by `parse.ts`. */
export function parseAuthorizationPolicy(manifest: Manifest): Parsed<AuthorizationPolicy> {
  const result = v.safeParse(spec, manifest.spec);
  if (!result.success) return { issues: toIssues(result.issues, 'spec') };
  const { name, namespace } = manifest.metadata;
  const policy = { name, namespace, spec: result.output };
  const issues = [...findTestFaults(policy)];
  if (policy.spec.permissive !== undefined && namespace !== MESH_NAMESPACE) {
    const message = `is for the whole mesh: only a policy of the namespace "${MESH_NAMESPACE}" may say it`;
    issues.push({ path: 'spec.permissive', message, rule: 'mesh-only' });
  }
  return issues.length > 0 ? { issues } : { value: policy };
}

/** What a new hub holds: members of the namespace `default` may call each other, nobody else may. */
export const STARTER_POLICY: Manifest = {
  apiVersion: 'skein.dev/v1',
  kind: AUTHORIZATION_POLICY,
  metadata: { name: 'allow-same-namespace', namespace: 'default' },
  spec: { allow: [{ from: [{ namespaces: [SAME_NAMESPACE] }] }] },
};

/** What a hub holds that was told to be permissive: what no policy decides is allowed, and counted. */
export const PERMISSIVE_POLICY: Manifest = {
  apiVersion: 'skein.dev/v1',
  kind: AUTHORIZATION_POLICY,
  metadata: { name: 'permissive', namespace: MESH_NAMESPACE },
  spec: { permissive: true },
};
