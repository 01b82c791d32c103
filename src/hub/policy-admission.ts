/** Policies are taken only if the tests inside them, and those of the policies there are, agree with what will then be decided. */

import { runPolicyTests, type TestFailure } from '../auth/policy-tests.ts';
import { AUTHORIZATION_POLICY, type AuthorizationPolicy } from '../catalog/authorization-policy.ts';
import type { Issue } from '../catalog/issue.ts';
import type { ServicePorts } from '../catalog/mesh-view.ts';
import { parseKind } from '../catalog/parse.ts';
import { findDeniedBytes, findUnreadClaims } from '../catalog/policy-reach.ts';
import { readAuthentications } from '../catalog/request-authentication.ts';
import { type Manifest, resourceKey } from '../catalog/resource.ts';
import { MESH_NAMESPACE } from '../catalog/service.ts';
import { DECIDING_KINDS } from '../catalog/status.ts';
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

/** @param all every resource of `DECIDING_KINDS` that there is */
export function judgePolicies(
  all: readonly Manifest[],
  changes: readonly ResourceChange[],
  services: () => ReadonlyMap<string, ServicePorts>,
): Admission {
  const isOf = (kind: string, key: string): boolean => key.startsWith(`${kind}/`);
  const touched = changes.filter(({ key }) => DECIDING_KINDS.some((kind) => isOf(kind, key)));
  if (touched.length === 0) return NOTHING;
  const changed = new Map(
    touched.filter(({ key }) => isOf(AUTHORIZATION_POLICY, key)).map((each) => [each.key, each.after]),
  );
  const before = all.filter(({ kind }) => kind === AUTHORIZATION_POLICY);
  const usersBefore = readAuthentications(all);
  const users = readAuthentications([
    ...all.filter((manifest) => !touched.some(({ key }) => key === resourceKey(manifest))),
    ...touched.flatMap(({ after }) => after ?? []),
  ]);
  const kept = read(before.filter((manifest) => !changed.has(resourceKey(manifest))));
  const given = read([...changed.values()].filter((manifest) => manifest !== undefined));
  // What was broken before is not broken by this change.
  const namespaces = new Set(touched.map(({ key }) => key.split('/')[1] ?? ''));
  const isTouched = ({ namespace }: AuthorizationPolicy): boolean =>
    namespace === MESH_NAMESPACE || namespaces.has(namespace) || namespaces.has(MESH_NAMESPACE);
  const tested = kept.filter((policy) => policy.spec.tests !== undefined && isTouched(policy));
  const own = runPolicyTests([...kept, ...given], given, users);
  const others = runPolicyTests([...kept, ...given], tested, users);
  const broken = others.length === 0 ? [] : runPolicyTests(read(before), tested, usersBefore);
  const isNew = ({ policy, path }: TestFailure): boolean =>
    !broken.some((each) => each.path === path && keyOf(each.policy) === keyOf(policy));
  const toIssue = ({ policy, path, message }: TestFailure): ResourceIssue => ({
    ...{ resource: keyOf(policy), path, message, rule: 'failing-test' },
  });
  const bytes = given.flatMap((policy) =>
    findDeniedBytes(policy, services()).map((each) => ({ ...each, resource: keyOf(policy) })),
  );
  const unread = given.flatMap((policy) =>
    findUnreadClaims(policy, users).map((each) => ({ ...each, resource: keyOf(policy) })),
  );
  const toPlain = ({ isCertain, ...issue }: (typeof bytes)[number]): ResourceIssue => issue;
  return {
    failures: [...own, ...others.filter(isNew)].map(toIssue),
    errors: bytes.filter(({ isCertain }) => isCertain).map(toPlain),
    warnings: [...bytes.filter(({ isCertain }) => !isCertain).map(toPlain), ...unread],
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
