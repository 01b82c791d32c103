/** Status of any resource: a pure function of the resource, of how it can be read, and of what the mesh holds beside it. */

import { AUTHORIZATION_POLICY, type AuthorizationPolicy } from './authorization-policy.ts';
import { BACKEND_TRAFFIC_POLICY, type BackendTrafficPolicy, targetsOf } from './backend-traffic-policy.ts';
import { accepted, type Condition, refused, type Subject } from './condition.ts';
import { EXPORT, type Export } from './export.ts';
import type { Issue } from './issue.ts';
import type { MeshView } from './mesh-view.ts';
import { subjectsOf } from './reference.ts';
import { REQUEST_AUTHENTICATION, type RequestAuthentication } from './request-authentication.ts';
import type { Manifest } from './resource.ts';
import { isRouteKind, type Route } from './route.ts';
import { assessRoute, dependenciesOf, toExportsKey } from './route-status.ts';
import { MESH_NAMESPACE, tryParseServiceName } from './service.ts';

/** How a hub of this version understands a manifest. */
export interface Reading {
  /** What it says or, when that cannot be read, what the last version of it said that could be. */
  readonly value: unknown;
  /** Why it cannot be read; empty when it can. */
  readonly issues: readonly Issue[];
}

export interface Assessment {
  readonly subjects: readonly Subject[];
  /** Services and keys of resources whose change may change it. */
  readonly dependsOn: readonly string[];
}

export function assess(manifest: Manifest, { value, issues }: Reading, view: MeshView): Assessment {
  const found = value === undefined ? assessUnread(manifest) : assessRead(manifest, value, view);
  if (issues.length === 0) return found;
  const lines = issues.map(({ path, message }) => `${path}: ${message}`).join('; ');
  if (value === undefined) {
    const condition = refused('UnsupportedValue', `this version cannot read it, ${unreadMeans(manifest)}: ${lines}`);
    return { ...found, subjects: found.subjects.map(({ ref }) => ({ ref, conditions: [condition] })) };
  }
  const fallBack: Condition = {
    ...{ type: 'PartiallyInvalid', status: 'True', reason: 'UnsupportedValue' },
    message: `Fall Back to the last version that can be read: ${lines}`,
  };
  return {
    ...found,
    subjects: found.subjects.map(({ ref, conditions }) => ({ ref, conditions: [...conditions, fallBack] })),
  };
}

/** Kinds that have a say in who may call: one that cannot be read closes its namespace, whatever its last version was. */
export const DECIDING_KINDS: readonly string[] = [AUTHORIZATION_POLICY, REQUEST_AUTHENTICATION];

function unreadMeans({ kind }: Manifest): string {
  if (DECIDING_KINDS.includes(kind)) return 'services of its namespace take no calls';
  return isRouteKind(kind) ? 'requests to its services fail' : 'it has no effect';
}

function assessRead(manifest: Manifest, value: unknown, view: MeshView): Assessment {
  if (isRouteKind(manifest.kind)) {
    const route = value as Route;
    return { subjects: assessRoute(route, view), dependsOn: dependenciesOf(route) };
  }
  switch (manifest.kind) {
    case BACKEND_TRAFFIC_POLICY:
      return assessTrafficPolicy(value as BackendTrafficPolicy, view);
    case AUTHORIZATION_POLICY:
      return assessAuthorizationPolicy(value as AuthorizationPolicy, view);
    case REQUEST_AUTHENTICATION:
      return assessAuthentication(value as RequestAuthentication, view);
    case EXPORT:
      return assessExport(value as Export, view);
    default:
      return whole([accepted('can be referred to')]);
  }
}

/** What can be said of a manifest without reading it: what it is attached to. */
function assessUnread(manifest: Manifest): Assessment {
  const services = subjectsOf(manifest);
  if (services === undefined) return whole([]);
  return { subjects: services.map((service) => ({ ref: toRef(service), conditions: [] })), dependsOn: services };
}

function assessTrafficPolicy(policy: BackendTrafficPolicy, view: MeshView): Assessment {
  const targets = targetsOf(policy);
  const subjects = targets.map((service): Subject => {
    const holder = view.policy(service);
    const ref = toRef(service);
    if (view.ports(service) === undefined) {
      return { ref, conditions: [refused('TargetNotFound', `nobody serves ${service}`)] };
    }
    if (holder !== undefined && holder.name !== policy.name) {
      const state = `BackendTrafficPolicy/${holder.name} holds for ${service}: it is older, or first by name`;
      return { ref, conditions: [refused('Conflicted', state)] };
    }
    return { ref, conditions: [accepted(`holds for every caller of ${service}`)] };
  });
  return { subjects, dependsOn: targets };
}

function assessAuthorizationPolicy({ namespace, spec: { targets } }: AuthorizationPolicy, view: MeshView): Assessment {
  return assessCallee(
    (targets ?? []).map(({ service }) => service),
    namespace,
    view,
  );
}

function assessAuthentication({ namespace, spec }: RequestAuthentication, view: MeshView): Assessment {
  return assessCallee(
    (spec.targetRefs ?? []).map(({ name }) => name),
    namespace,
    view,
  );
}

/** What holds where requests arrive: at the services of these names, or at all. */
function assessCallee(names: readonly string[], namespace: string, view: MeshView): Assessment {
  const services = names.flatMap((name) => tryParseServiceName(`${name}.${namespace}`)?.key ?? []);
  const missing = services.filter((service) => view.ports(service) === undefined);
  const range = namespace === MESH_NAMESPACE ? 'mesh' : 'namespace';
  const isIdle = services.length > 0 && missing.length === services.length;
  const condition = isIdle
    ? refused('TargetNotFound', `nobody serves ${missing.join(', ')}`)
    : accepted(services.length === 0 ? `holds for every service of the ${range}` : 'holds for its targets');
  return { ...whole([condition]), dependsOn: services };
}

function assessExport({ namespace, spec: { to } }: Export, view: MeshView): Assessment {
  const services = to.flatMap(({ name }) =>
    name === undefined ? [] : (tryParseServiceName(`${name}.${namespace}`)?.key ?? []),
  );
  const missing = services.filter((service) => view.ports(service) === undefined);
  const resolved: Condition =
    missing.length === 0
      ? { type: 'ResolvedRefs', status: 'True', reason: 'ResolvedRefs', message: 'all services are there' }
      : {
          ...{ type: 'ResolvedRefs', status: 'False', reason: 'BackendNotFound' },
          message: `nobody serves ${missing.join(', ')}`,
        };
  return {
    ...whole([accepted('lets routes of other namespaces refer to its services'), resolved]),
    dependsOn: services,
  };
}

/** Everything that a change of a manifest itself may change: its own services, those who refer to it. */
export function affectedBy(manifest: Manifest): readonly string[] {
  const { kind, metadata } = manifest;
  if (kind === EXPORT) return [toExportsKey(metadata.namespace)];
  return subjectsOf(manifest) ?? [];
}

function whole(conditions: readonly Condition[]): Assessment {
  return { subjects: [{ ref: undefined, conditions }], dependsOn: [] };
}

function toRef(service: string): object {
  const { name = '', namespace = '' } = tryParseServiceName(service) ?? {};
  return { group: '', kind: 'Service', namespace, name };
}
