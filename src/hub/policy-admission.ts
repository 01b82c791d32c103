/** Policies are taken only if the tests inside them, and those of the policies there are, agree with what will then be decided. */

import { runPolicyTests, type TestFailure } from '../auth/policy-tests.ts';
import { AUTHORIZATION_POLICY, type AuthorizationPolicy } from '../catalog/authorization-policy.ts';
import type { Issue } from '../catalog/issue.ts';
import type { ServicePorts } from '../catalog/mesh-view.ts';
import { parseKind } from '../catalog/parse.ts';
import { findDeniedBytes } from '../catalog/policy-reach.ts';
import { type Manifest, resourceKey } from '../catalog/resource.ts';
import { MESH_NAMESPACE } from '../catalog/service.ts';
import type { ResourceChange } from './journal.ts';

/** An issue of a resource that is, or would be, in the mesh. */
export interface ResourceIssue extends Issue {
  /** `Kind/namespace/name` */
  readonly resource: string;
}

export interface Admission {
  /** Tests that would fail. */
  readonly failures: readonly ResourceIssue[];
  /** What is a mistake whatever the tests say. */
  readonly errors: readonly ResourceIssue[];
  /** What is likely a mistake. */
  readonly warnings: readonly ResourceIssue[];
}

const NOTHING: Admission = { failures: [], errors: [], warnings: [] };

/** @param before every AuthorizationPolicy that there is */
export function judgePolicies(
  before: readonly Manifest[],
  changes: readonly ResourceChange[],
  services: () => ReadonlyMap<string, ServicePorts>,
): Admission {
  const changed = new Map(
    changes.filter(({ key }) => key.startsWith(`${AUTHORIZATION_POLICY}/`)).map((each) => [each.key, each.after]),
  );
  if (changed.size === 0) return NOTHING;
  const kept = read(before.filter((manifest) => !changed.has(resourceKey(manifest))));
  const given = read([...changed.values()].filter((manifest) => manifest !== undefined));
  // What was broken before is not broken by this change.
  const namespaces = new Set([...changed.keys()].map((key) => key.split('/')[1] ?? ''));
  const isTouched = ({ namespace }: AuthorizationPolicy): boolean =>
    namespace === MESH_NAMESPACE || namespaces.has(namespace) || namespaces.has(MESH_NAMESPACE);
  const tested = kept.filter((policy) => policy.spec.tests !== undefined && isTouched(policy));
  const own = runPolicyTests([...kept, ...given], given);
  const others = runPolicyTests([...kept, ...given], tested);
  const broken = others.length === 0 ? [] : runPolicyTests(read(before), tested);
  const isNew = ({ policy, path }: TestFailure): boolean =>
    !broken.some((each) => each.path === path && keyOf(each.policy) === keyOf(policy));
  const toIssue = ({ policy, path, message }: TestFailure): ResourceIssue => ({
    ...{ resource: keyOf(policy), path, message, rule: 'failing-test' },
  });
  const bytes = given.flatMap((policy) =>
    findDeniedBytes(policy, services()).map((each) => ({ ...each, resource: keyOf(policy) })),
  );
  const toPlain = ({ isCertain, ...issue }: (typeof bytes)[number]): ResourceIssue => issue;
  return {
    failures: [...own, ...others.filter(isNew)].map(toIssue),
    errors: bytes.filter(({ isCertain }) => isCertain).map(toPlain),
    warnings: bytes.filter(({ isCertain }) => !isCertain).map(toPlain),
  };
}

function keyOf({ namespace, name }: AuthorizationPolicy): string {
  return `${AUTHORIZATION_POLICY}/${namespace}/${name}`;
}

/** One that this version cannot read closes its namespace: nothing is allowed there, and sidecars do the same. */
function read(manifests: readonly Manifest[]): readonly AuthorizationPolicy[] {
  return manifests.map((manifest) => {
    const parsed = parseKind(manifest);
    if ('value' in parsed) return parsed.value as AuthorizationPolicy;
    const { name, namespace } = manifest.metadata;
    return { name, namespace, spec: { deny: [{}] } };
  });
}
