/**
 * Warnings: what is accepted and is still likely a mistake, found in the resources alone, without a mesh. Each has the path
 * where it is and the stable name of its rule.
 */

import type { AuthorizationPolicy } from './authorization-policy.ts';
import { AUTHORIZATION_POLICY } from './authorization-policy.ts';
import { BACKEND_TRAFFIC_POLICY, type BackendTrafficPolicy, choosePolicies } from './backend-traffic-policy.ts';
import { EXPORT, type Export, Exports } from './export.ts';
import { EXTENSION_GROUP } from './extension.ts';
import type { Issue } from './issue.ts';
import { ROUTE_GROUP } from './meta.ts';
import { parseKind } from './parse.ts';
import { REQUEST_AUTHENTICATION, type RequestAuthentication } from './request-authentication.ts';
import { type Manifest, resourceKey } from './resource.ts';
import { isRouteKind, type Route } from './route.ts';
import { findRouteWarnings, type RouteSurroundings } from './route-warning.ts';
import { tryParseServiceName } from './service.ts';

/** A warning about one of the resources that were looked at, by its place among them. */
export interface Warning extends Issue {
  readonly index: number;
}

/** @param services `name.namespace` of those that there are; undefined when nobody says */
export function findWarnings(manifests: readonly Manifest[], services?: ReadonlySet<string>): readonly Warning[] {
  const values = manifests.map((manifest) => {
    const parsed = parseKind(manifest);
    return 'value' in parsed ? parsed.value : undefined;
  });
  const ofKind = <T>(kind: string): T[] =>
    values.filter((value, i) => value !== undefined && manifests[i]?.kind === kind) as T[];
  const surroundings: RouteSurroundings = {
    keys: new Set(manifests.map(resourceKey)),
    exports: new Exports(ofKind<Export>(EXPORT)),
    routes: values.filter((value, i) => value !== undefined && isRouteKind(manifests[i]?.kind ?? '')) as Route[],
    services,
  };
  const holders = choosePolicies(ofKind<BackendTrafficPolicy>(BACKEND_TRAFFIC_POLICY));
  return manifests.flatMap((manifest, index) => {
    const value = values[index];
    if (value === undefined) return [];
    const found = [
      ...checkVersion(manifest),
      ...(isRouteKind(manifest.kind) ? findRouteWarnings(value as Route, surroundings) : []),
      ...(manifest.kind === BACKEND_TRAFFIC_POLICY ? checkPolicy(value as BackendTrafficPolicy, holders) : []),
      ...checkNames(manifest, value, services),
    ];
    return found.map((issue) => ({ ...issue, index }));
  });
}

function checkVersion({ apiVersion, kind }: Manifest): Issue[] {
  const group = isRouteKind(kind) ? ROUTE_GROUP : EXTENSION_GROUP;
  if (apiVersion === undefined || apiVersion.startsWith(`${group}/`)) return [];
  return [{ path: 'apiVersion', message: `is of another group: a ${kind} is of ${group}`, rule: 'api-version' }];
}

function checkPolicy(
  policy: BackendTrafficPolicy,
  holders: ReadonlyMap<string, BackendTrafficPolicy>,
): readonly Issue[] {
  const issues: Issue[] = [];
  if (Object.values(policy.spec).filter((member) => member !== undefined).length === 1) {
    issues.push({ path: 'spec', message: 'says nothing about its targets', rule: 'without-effect' });
  }
  for (const [i, { name }] of policy.spec.targetRefs.entries()) {
    const service = tryParseServiceName(`${name}.${policy.namespace}`)?.key;
    const holder = service === undefined ? undefined : holders.get(service);
    if (holder === undefined || holder === policy) continue;
    const state = `BackendTrafficPolicy/${holder.name} holds for ${service}: of two as old the first by name`;
    issues.push({ path: `spec.targetRefs[${i}]`, message: state, rule: 'conflicted' });
  }
  return issues;
}

/** Services that a policy or an export names and nobody has said to exist. */
function checkNames(manifest: Manifest, value: unknown, services: ReadonlySet<string> | undefined): Issue[] {
  if (services === undefined) return [];
  return namesIn(manifest, value).flatMap(([path, name]) => {
    const key = tryParseServiceName(`${name}.${manifest.metadata.namespace}`)?.key ?? name;
    return services.has(key) ? [] : [{ path, message: `there is no service ${key}`, rule: 'unknown-service' }];
  });
}

function namesIn({ kind }: Manifest, value: unknown): readonly (readonly [path: string, name: string])[] {
  switch (kind) {
    case AUTHORIZATION_POLICY:
      return ((value as AuthorizationPolicy).spec.targets ?? []).map(({ service }, i) => [
        `spec.targets[${i}].service`,
        service,
      ]);
    case BACKEND_TRAFFIC_POLICY:
      return (value as BackendTrafficPolicy).spec.targetRefs.map(({ name }, i) => [`spec.targetRefs[${i}].name`, name]);
    case REQUEST_AUTHENTICATION:
      return ((value as RequestAuthentication).spec.targetRefs ?? []).map(({ name }, i) => [
        `spec.targetRefs[${i}].name`,
        name,
      ]);
    case EXPORT:
      return (value as Export).spec.to.flatMap(({ name }, i) =>
        name === undefined ? [] : [[`spec.to[${i}].name`, name] as const],
      );
    default:
      return [];
  }
}
