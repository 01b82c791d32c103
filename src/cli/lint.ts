/** Everything that can be said about resources in files without a mesh: what is no YAML, what the hub would refuse, what is likely a mistake. */

import { runPolicyTests } from '../auth/policy-tests.ts';
import {
  AUTHORIZATION_POLICY,
  type AuthorizationPolicy,
  parseAuthorizationPolicy,
} from '../catalog/authorization-policy.ts';
import type { Issue } from '../catalog/issue.ts';
import type { ServicePorts } from '../catalog/mesh-view.ts';
import { parseKind } from '../catalog/parse.ts';
import { findDeniedBytes, findUnreadClaims } from '../catalog/policy-reach.ts';
import { readAuthentications } from '../catalog/request-authentication.ts';
import type { Manifest } from '../catalog/resource.ts';
import { isRouteKind, type Route } from '../catalog/route.ts';
import { findWarnings } from '../catalog/warning.ts';
import { findUnreachable } from '../router/unreachable.ts';
import { checkSources, type Finding, toFinding } from './checked-sources.ts';
import type { SourcedManifest } from './manifest.ts';

/** @param services by `name.namespace` those that there are, with what their ports take, as far as that is said; undefined when nobody says */
export function lint(
  sources: readonly SourcedManifest[],
  services?: ReadonlyMap<string, ServicePorts>,
): readonly Finding[] {
  const { valid, errors } = checkSources(sources);
  const manifests = valid.map(({ manifest }) => manifest);
  const names = services && new Set(services.keys());
  const found = [
    ...findWarnings(manifests, names).map((each) => ({ ...each, severity: 'warning' as const })),
    ...findShadowed(manifests).map((each) => ({ ...each, severity: 'warning' as const })),
    ...findPolicyFaults(manifests, services ?? new Map()),
  ].flatMap(({ index, severity, ...issue }) => {
    const from = valid[index];
    return from === undefined ? [] : [toFinding(severity, from.source, issue)];
  });
  const order = new Map([...new Set(sources.map(({ file }) => file))].map((file, i) => [file, i]));
  return [...errors, ...found].sort(
    (a, b) => (order.get(a.file) ?? 0) - (order.get(b.file) ?? 0) || a.line - b.line || a.column - b.column,
  );
}

function findShadowed(manifests: readonly Manifest[]): readonly (Issue & { readonly index: number })[] {
  const places = new Map<Route, number>();
  for (const [index, manifest] of manifests.entries()) {
    const parsed = isRouteKind(manifest.kind) ? parseKind(manifest) : undefined;
    if (parsed !== undefined && 'value' in parsed) places.set(parsed.value as Route, index);
  }
  return findUnreachable([...places.keys()]).map(({ route, path, by }) => ({
    index: places.get(route) ?? -1,
    path,
    message: `is never reached: ${by} takes all of its requests`,
    rule: path.endsWith(']') && path.includes('.matches') ? 'shadowed-match' : 'unreachable-rule',
  }));
}

/** Tests that policies fail, judged by the policies at hand, and rules that deny what they cannot look into. */
function findPolicyFaults(
  manifests: readonly Manifest[],
  services: ReadonlyMap<string, ServicePorts>,
): readonly (Issue & { readonly index: number; readonly severity: Finding['severity'] })[] {
  const places = new Map<AuthorizationPolicy, number>();
  for (const [index, manifest] of manifests.entries()) {
    const parsed = manifest.kind === AUTHORIZATION_POLICY ? parseAuthorizationPolicy(manifest) : undefined;
    if (parsed !== undefined && 'value' in parsed) places.set(parsed.value, index);
  }
  const policies = [...places.keys()];
  const authentications = readAuthentications(manifests);
  return [
    ...runPolicyTests(policies, policies, authentications).map(({ policy, path, message }) => ({
      ...{ index: places.get(policy) ?? -1, severity: 'error' as const, path, message, rule: 'failing-test' },
    })),
    ...policies.flatMap((policy) =>
      findUnreadClaims(policy, authentications).map((issue) => ({
        ...{ index: places.get(policy) ?? -1, severity: 'warning' as const, ...issue },
      })),
    ),
    ...policies.flatMap((policy) =>
      findDeniedBytes(policy, services).map(({ isCertain, ...issue }) => ({
        ...{
          index: places.get(policy) ?? -1,
          severity: isCertain ? ('error' as const) : ('warning' as const),
          ...issue,
        },
      })),
    ),
  ];
}
