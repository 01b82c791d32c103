/** Warnings about one route: what it refers to, and what of it can have no effect. */

import type { Exports } from './export.ts';
import { EXTENSION_GROUP, MIDDLEWARE } from './extension.ts';
import type { ValueMatch } from './http-match.ts';
import type { Issue } from './issue.ts';
import { describeRef, isAttached, isPermitted, toServiceKey } from './reference.ts';
import { manifestKey } from './resource.ts';
import { ROUTE_KINDS, type Route } from './route.ts';
import { backendReferences, extensionReferences } from './route-reference.ts';
import { namespaceOf } from './service.ts';
import { TCP_ROUTE } from './tcp-route.ts';

/** The resources beside a route. */
export interface RouteSurroundings {
  /** Of every resource, `Kind/namespace/name`. */
  readonly keys: ReadonlySet<string>;
  readonly exports: Exports;
  readonly routes: readonly Route[];
  /** Services that there are; undefined when nobody says. */
  readonly services: ReadonlySet<string> | undefined;
}

export function findRouteWarnings(route: Route, surroundings: RouteSurroundings): readonly Issue[] {
  return [
    ...checkParents(route, surroundings),
    ...checkRules(route),
    ...checkBackends(route, surroundings),
    ...checkExtensions(route, surroundings),
    ...checkConditions(route),
  ];
}

function checkParents(route: Route, { routes, services }: RouteSurroundings): Issue[] {
  const issues: Issue[] = [];
  const warn = (path: string, rule: string, message: string): void => void issues.push({ path, message, rule });
  if (route.parentRefs.length === 0) warn('spec', 'no-parent', 'is attached to nothing: parentRefs is missing');
  if ('hostnames' in route && route.hostnames.length > 0) {
    warn('spec.hostnames', 'hostnames-ignored', 'has no effect in a mesh: match the header Host instead (GEP-1294)');
  }
  for (const [i, ref] of route.parentRefs.entries()) {
    const path = `spec.parentRefs[${i}]`;
    const service = toServiceKey(ref, route.namespace);
    if (service === undefined) {
      warn(path, 'parent-kind', `is a ${ref.kind}, which a mesh does not have: give group "" and kind Service`);
      continue;
    }
    if (ref.sectionName !== undefined) {
      warn(`${path}.sectionName`, 'section-name', 'is attached to nothing: ports have numbers here and no names');
    }
    if (services?.has(service) === false) warn(path, 'unknown-service', `there is no service ${service}`);
    const stronger = findStronger(route, service, ref.port, routes);
    if (stronger !== undefined) warn(path, 'conflicted', `${stronger} is of a more particular kind, and holds alone`);
  }
  return issues;
}

/** A route of a more particular kind that takes everything which this one would take at a parent. */
function findStronger(
  route: Route,
  service: string,
  port: number | undefined,
  routes: readonly Route[],
): string | undefined {
  const rank = ROUTE_KINDS.indexOf(route.kind);
  const found = routes.find(
    (other) =>
      other.namespace === route.namespace && ROUTE_KINDS.indexOf(other.kind) < rank && isAttached(other, service, port),
  );
  return found === undefined ? undefined : `${found.kind}/${found.name}`;
}

function checkRules(route: Route): Issue[] {
  return route.rules.flatMap((rule, i) => {
    const path = `spec.rules[${i}]`;
    const { backendRefs } = rule;
    if (backendRefs.length > 0 && backendRefs.every(({ weight }) => weight === 0)) {
      return [{ path: `${path}.backendRefs`, message: 'all weights are 0: every request fails', rule: 'weight-zero' }];
    }
    const answers =
      'filters' in rule && rule.filters.some(({ type }) => type === 'RequestRedirect' || type === 'ExtensionRef');
    if (backendRefs.length > 0 || answers) return [];
    return [{ path, message: 'has no backendRefs: every request fails', rule: 'no-backend' }];
  });
}

function checkBackends(route: Route, { exports, services }: RouteSurroundings): Issue[] {
  return backendReferences(route).flatMap(({ path, ref }) => {
    const service = toServiceKey(ref, route.namespace);
    if (service === undefined) {
      return [{ path, message: `${describeRef(ref)} is no service of a mesh`, rule: 'backend-kind' }];
    }
    const issues: Issue[] = [];
    if (services?.has(service) === false) {
      issues.push({ path, message: `there is no service ${service}`, rule: 'unknown-backend' });
    }
    if (!isPermitted(route, service, exports)) {
      const state = `needs an Export of namespace ${namespaceOf(service)} to ${route.namespace}, which is not among these resources`;
      issues.push({ path, message: state, rule: 'not-exported' });
    }
    return issues;
  });
}

function checkExtensions(route: Route, { keys }: RouteSurroundings): Issue[] {
  return extensionReferences(route).flatMap(({ path, ref: { group, kind, name } }) => {
    if (group !== EXTENSION_GROUP) {
      return [{ path, message: `there is no ${kind}.${group} in a mesh: requests fail`, rule: 'extension-kind' }];
    }
    if (kind === MIDDLEWARE || keys.has(manifestKey(kind, route.namespace, name))) return [];
    return [{ path, message: `${kind}/${name} is not among these resources`, rule: 'unknown-extension' }];
  });
}

/** Of conditions on one name only the first counts. */
function checkConditions(route: Route): Issue[] {
  if (route.kind === TCP_ROUTE) return [];
  return route.rules.flatMap(({ matches }, i) =>
    matches.flatMap((match, j) => {
      const path = `spec.rules[${i}].matches[${j}]`;
      return [
        ...findRepeated(match.headers, `${path}.headers`, (name) => name.toLowerCase()),
        ...('queryParams' in match ? findRepeated(match.queryParams, `${path}.queryParams`, (name) => name) : []),
      ];
    }),
  );
}

function findRepeated(values: readonly ValueMatch[], path: string, toKey: (name: string) => string): Issue[] {
  const seen = new Set<string>();
  return values.flatMap(({ name }, i) => {
    const key = toKey(name);
    if (seen.has(key)) {
      const message = `is not looked at: of two conditions on "${name}" the first counts`;
      return [{ path: `${path}[${i}]`, message, rule: 'condition-ignored' }];
    }
    seen.add(key);
    return [];
  });
}
