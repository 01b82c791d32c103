/**
 * Rules that ask for what is not there. On ports that take bytes nothing of a request can be seen, so that what denies by it denies every
 * connection; where nobody looks for tokens there are no claims. Whoever wrote such a rule hardly meant that.
 */

import type { AuthorizationPolicy } from './authorization-policy.ts';
import type { Issue } from './issue.ts';
import type { ServicePorts } from './mesh-view.ts';
import { needsRequests, type PolicyRule, tryParseConditionKey } from './policy-rule.ts';
import { looksForTokens, type RequestAuthentication } from './request-authentication.ts';
import { MESH_NAMESPACE, namespaceOf } from './service.ts';

/** A rule that denies all connections to some ports. */
export interface DeniedBytes extends Issue {
  /** It was named, and denies there by nothing else: a mistake in any case. */
  readonly isCertain: boolean;
}

/** At most so many ports are named. */
const MAX_NAMED = 4;

/** @param services by `name.namespace`, as far as it is known what they speak */
export function findDeniedBytes(
  { namespace, spec }: AuthorizationPolicy,
  services: ReadonlyMap<string, ServicePorts>,
): readonly DeniedBytes[] {
  const concerned = [...services].filter(([key]) => namespace === MESH_NAMESPACE || namespaceOf(key) === namespace);
  return (['deny', 'shadowDeny'] as const).flatMap((part) =>
    (spec[part] ?? []).flatMap((rule, i) => {
      if (!needsRequests(rule)) return [];
      const reached = concerned.flatMap(([key, ports]) =>
        [...ports].flatMap(([port, protocol]) =>
          reaches(spec.targets, rule, key, port) ? [{ key, port, protocol }] : [],
        ),
      );
      const bytes = reached.filter(({ protocol }) => protocol === 'tcp');
      if (bytes.length === 0) return [];
      const isCertain = spec.targets !== undefined && reached.length === bytes.length;
      const named = bytes.slice(0, MAX_NAMED).map(({ key, port }) => `${key}:${port}`);
      const more = bytes.length > named.length ? ` and ${bytes.length - named.length} more` : '';
      const what = `${part === 'deny' ? 'denies' : 'counts'} every connection to ${named.join(', ')}${more}`;
      const message = `${what}, where bytes are taken and nothing of a request is seen: name other ports, or no conditions on requests`;
      return [{ path: `spec.${part}[${i}]`, message, rule: 'denies-bytes', isCertain }];
    }),
  );
}

/**
 * Rules that ask for claims at services where nobody looks for tokens: those that allow never match, and those that deny match as though
 * they had no such condition.
 */
export function findUnreadClaims(
  { namespace, spec }: AuthorizationPolicy,
  authentications: readonly RequestAuthentication[],
): readonly Issue[] {
  const isFor = ({ targets = [] }: AuthorizationPolicy['spec']): boolean =>
    namespace === MESH_NAMESPACE
      ? authentications.length > 0
      : targets.length === 0
        ? authentications.some((each) => each.namespace === namespace || each.namespace === MESH_NAMESPACE)
        : targets.every(({ service }) => looksForTokens(authentications, `${service}.${namespace}`));
  if (isFor(spec)) return [];
  return (['deny', 'allow', 'shadowDeny'] as const).flatMap((part) =>
    (spec[part] ?? []).flatMap((rule, i) => {
      if (!asksForClaims(rule)) return [];
      const means = part === 'allow' ? 'never allows' : 'denies with and without them';
      const message = `asks for claims where nobody looks for tokens, and ${means}: apply a RequestAuthentication`;
      return [{ path: `spec.${part}[${i}]`, message, rule: 'unread-claims' }];
    }),
  );
}

function asksForClaims({ from = [], when = [] }: PolicyRule): boolean {
  return (
    from.some(({ claims }) => claims !== undefined) ||
    when.some(({ key }) => tryParseConditionKey(key)?.kind === 'claim')
  );
}

function reaches(
  targets: AuthorizationPolicy['spec']['targets'],
  { to = [], when = [] }: PolicyRule,
  service: string,
  port: number,
): boolean {
  const name = service.slice(0, service.indexOf('.'));
  const isTarget =
    targets?.some((each) => each.service === name && (each.ports === undefined || each.ports.includes(port))) ?? true;
  const isMeant = ({ ports, notPorts }: NonNullable<PolicyRule['to']>[number]): boolean =>
    (ports === undefined || ports.includes(port)) && notPorts?.includes(port) !== true;
  return (
    isTarget &&
    (to.length === 0 || to.some(isMeant)) &&
    when.every(
      ({ key, values, notValues }) =>
        tryParseConditionKey(key)?.kind !== 'port' ||
        (values?.includes(String(port)) !== false && notValues?.includes(String(port)) !== true),
    )
  );
}
