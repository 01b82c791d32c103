/** A rule of a policy: compiled once, then narrowed to one caller at one service, then asked for each stream. */

import type { AuthorizationPolicy } from '../catalog/authorization-policy.ts';
import type { PolicyRule } from '../catalog/policy-rule.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';
import {
  type Checks,
  compileClaims,
  compileCondition,
  compileOperation,
  compileSource,
  type HttpView,
  isUnconditional,
  readsPath,
  type SourceTest,
} from './match.ts';

export type RulePart = 'deny' | 'allow' | 'shadowDeny';

export interface Rule {
  readonly part: RulePart;
  /** `AuthorizationPolicy/<namespace>/<name> deny[0]` */
  readonly name: string;
  /** Its policy decides nothing. */
  readonly isTrial: boolean;
  readonly targets: PolicyTargets;
  /** One of them; empty: everybody in the mesh. */
  readonly from: readonly Source[];
  /** One of them; empty: every stream. */
  readonly to: readonly Checks[];
  /** All of them. */
  readonly when: { readonly callers: readonly NamedSourceTest[]; readonly checks: Checks };
  readonly readsPath: boolean;
}

type PolicyTargets = AuthorizationPolicy['spec']['targets'];

interface NamedSourceTest {
  readonly name: string;
  readonly holds: SourceTest;
}

interface Source {
  readonly tests: readonly NamedSourceTest[];
  /** What the request must say about its end user. */
  readonly claims: Checks;
}

/** A rule as far as it is still open once caller and service are known. */
export interface OpenRule {
  readonly name: string;
  readonly ports: ReadonlySet<number> | undefined;
  /** One of them; empty: the caller was enough. */
  readonly from: readonly Checks[];
  readonly to: readonly Checks[];
  readonly when: Checks;
  readonly readsPath: boolean;
}

const NO_CHECKS: readonly Checks[] = [];

export function compileRules(policy: AuthorizationPolicy, part: RulePart): readonly Rule[] {
  return (policy.spec[part] ?? []).map((rule, at) => compileRule(policy, part, rule, at));
}

function compileRule(
  { namespace, name, spec: { targets, mode } }: AuthorizationPolicy,
  part: RulePart,
  { from = [], to = [], when = [] }: PolicyRule,
  at: number,
): Rule {
  const denies = part !== 'allow';
  const operations = to.some(isUnconditional) ? [] : to;
  const conditions = when.map((each) => ({ name: each.key, ...compileCondition(each, denies) }));
  return {
    part,
    name: `AuthorizationPolicy/${namespace}/${name} ${part}[${at}]`,
    isTrial: mode === 'audit',
    targets,
    from: from.map((source) => ({ tests: compileSource(source), claims: compileClaims(source, denies) })),
    to: operations.map((operation) => compileOperation(operation, denies)),
    when: {
      callers: conditions.flatMap((each) => ('caller' in each ? [{ name: each.name, holds: each.caller }] : [])),
      checks: conditions.flatMap((each) => ('checks' in each ? each.checks : [])),
    },
    readsPath: operations.some(readsPath),
  };
}

/** What is left of a rule for `caller` at `service`; undefined when it cannot match there. */
export function openRule(rule: Rule, service: string, namespace: string, caller: SpiffeId): OpenRule | undefined {
  const ports = toPorts(rule.targets, service);
  if (ports === 'none') return undefined;
  const sources = rule.from.filter(({ tests }) => tests.every(({ holds }) => holds(caller, namespace)));
  if (rule.from.length > 0 && sources.length === 0) return undefined;
  if (!rule.when.callers.every(({ holds }) => holds(caller, namespace))) return undefined;
  return {
    name: rule.name,
    ports: ports === 'all' ? undefined : ports,
    from: sources.some(({ claims }) => claims.length === 0) ? NO_CHECKS : sources.map(({ claims }) => claims),
    to: rule.to,
    when: rule.when.checks,
    readsPath: rule.readsPath,
  };
}

export function matchesRule(rule: OpenRule, port: number, http: HttpView | undefined): boolean {
  if (rule.ports !== undefined && !rule.ports.has(port)) return false;
  return (
    (rule.to.length === 0 || holdsAny(rule.to, port, http)) &&
    (rule.from.length === 0 || holdsAny(rule.from, port, http)) &&
    (rule.when.length === 0 || holdsAll(rule.when, port, http))
  );
}

/** Matches whatever the stream is. */
export function isAlways({ ports, from, to, when }: OpenRule): boolean {
  return ports === undefined && from.length + to.length + when.length === 0;
}

function holdsAny(alternatives: readonly Checks[], port: number, http: HttpView | undefined): boolean {
  for (const checks of alternatives) if (holdsAll(checks, port, http)) return true;
  return false;
}

function holdsAll(checks: Checks, port: number, http: HttpView | undefined): boolean {
  for (const { holds } of checks) if (!holds(port, http)) return false;
  return true;
}

/** A target names a service of the policy's own namespace; in the namespace `mesh`, of any. */
export function toPorts(targets: PolicyTargets, service: string): ReadonlySet<number> | 'all' | 'none' {
  if (targets === undefined) return 'all';
  const name = service.slice(0, service.indexOf('.'));
  const own = targets.filter((target) => target.service === name);
  if (own.length === 0) return 'none';
  return own.some(({ ports }) => ports === undefined) ? 'all' : new Set(own.flatMap(({ ports }) => ports ?? []));
}
