/**
 * Compiled policies: (caller, stream) → verdict with the rule's name. Evaluated at the callee for every stream. Total
 * order, no other inputs: mesh deny → namespace deny → allow (with shadow deny) → deny (DESIGN D8).
 */

import type { AuthorizationPolicy, PolicyRule } from '../catalog/authorization-policy.ts';
import { MESH_NAMESPACE, namespaceOf } from '../catalog/service.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';
import { toDecisionPath } from './decision-path.ts';
import { type Access, type CompiledRule, compileRule, matchRule } from './match.ts';

export interface AccessRequest {
  readonly caller: SpiffeId;
  /** `name.namespace` of the service that is called. */
  readonly service: string;
  readonly port: number;
  /** undefined for a raw stream: conditions on HTTP then cannot allow, and do deny. */
  readonly http: HttpAccess | undefined;
}

export interface HttpAccess {
  readonly method: string;
  /** Request target as sent, with its query. */
  readonly path: string;
  /** Authority as sent, with its port. */
  readonly host: string;
  /** Flat name/value list; names lower case. */
  readonly fields: readonly string[];
}

export interface Verdict {
  readonly allow: boolean;
  /** `AuthorizationPolicy/<namespace>/<name> deny[0]`, or `default-deny` when nothing allows. */
  readonly rule: string;
  /** Names of the shadowDeny rules that would have denied. */
  readonly shadow: readonly string[];
}

interface NamedRule extends CompiledRule {
  readonly name: string;
  readonly targets:
    | readonly { readonly service: string; readonly ports: ReadonlySet<number> | undefined }[]
    | undefined;
}

interface RuleSet {
  readonly deny: readonly NamedRule[];
  readonly allow: readonly NamedRule[];
  readonly shadow: readonly NamedRule[];
}

const NO_NAMES: readonly string[] = [];
const DEFAULT_DENY: Verdict = { allow: false, rule: 'default-deny', shadow: NO_NAMES };

export class Authorizer {
  readonly #mesh: RuleSet;
  readonly #namespaces: ReadonlyMap<string, RuleSet>;

  constructor(policies: readonly AuthorizationPolicy[]) {
    const byNamespace = new Map<string, AuthorizationPolicy[]>();
    for (const policy of policies) {
      if (policy.spec.mode === 'audit') continue; // decides nothing
      byNamespace.set(policy.namespace, [...(byNamespace.get(policy.namespace) ?? []), policy]);
    }
    const compiled = new Map([...byNamespace].map(([namespace, list]) => [namespace, compileSet(list)]));
    this.#mesh = compiled.get(MESH_NAMESPACE) ?? EMPTY_SET;
    this.#namespaces = compiled;
  }

  decide(request: AccessRequest): Verdict {
    const namespace = namespaceOf(request.service);
    const own = this.#namespaces.get(namespace) ?? EMPTY_SET;
    const access = toAccess(request);
    const denied = findRule(this.#mesh.deny, request, access, true) ?? findRule(own.deny, request, access, true);
    if (denied !== undefined) return { allow: false, rule: denied.name, shadow: NO_NAMES };
    const shadow = namesOf(this.#mesh.shadow, own.shadow, request, access);
    const allowed = findRule(this.#mesh.allow, request, access, false) ?? findRule(own.allow, request, access, false);
    if (allowed !== undefined) return { allow: true, rule: allowed.name, shadow };
    const [first] = shadow;
    return first === undefined ? DEFAULT_DENY : { allow: true, rule: first, shadow };
  }
}

const EMPTY_SET: RuleSet = { deny: [], allow: [], shadow: [] };

function compileSet(policies: readonly AuthorizationPolicy[]): RuleSet {
  const compile = (part: 'deny' | 'allow' | 'shadowDeny'): NamedRule[] =>
    policies.flatMap((policy) => (policy.spec[part] ?? []).map((rule, i) => nameRule(policy, rule, `${part}[${i}]`)));
  return { deny: compile('deny'), allow: compile('allow'), shadow: compile('shadowDeny') };
}

function nameRule(policy: AuthorizationPolicy, rule: PolicyRule, position: string): NamedRule {
  return {
    ...compileRule(rule, policy.namespace),
    name: `AuthorizationPolicy/${policy.namespace}/${policy.name} ${position}`,
    targets: policy.spec.targets?.map(({ service, ports }) => ({ service, ports: ports && new Set(ports) })),
  };
}

/** `unknown` is the answer that is safe for the rule's kind: it denies, and it does not allow. */
function findRule(
  rules: readonly NamedRule[],
  request: AccessRequest,
  access: Access,
  unknown: boolean,
): NamedRule | undefined {
  for (const rule of rules) {
    if (!isTarget(rule, request)) continue;
    const match = matchRule(rule, access);
    if (match === 'yes' || (match === 'unknown' && unknown)) return rule;
  }
  return undefined;
}

function namesOf(
  mesh: readonly NamedRule[],
  own: readonly NamedRule[],
  request: AccessRequest,
  access: Access,
): readonly string[] {
  if (mesh.length === 0 && own.length === 0) return NO_NAMES;
  return [...mesh, ...own]
    .filter((rule) => isTarget(rule, request) && matchRule(rule, access) !== 'no')
    .map(({ name }) => name);
}

/** A target names a service of the policy's own namespace; in the namespace `mesh`, of any. */
function isTarget({ targets }: NamedRule, { service, port }: AccessRequest): boolean {
  if (targets === undefined) return true;
  const name = service.slice(0, service.indexOf('.'));
  return targets.some((target) => target.service === name && (target.ports === undefined || target.ports.has(port)));
}

function toAccess({ caller, http }: AccessRequest): Access {
  if (http === undefined)
    return { caller, method: undefined, path: undefined, pathAmbiguous: false, host: undefined, fields: undefined };
  const { path, ambiguous } = toDecisionPath(http.path);
  return { caller, method: http.method, path, pathAmbiguous: ambiguous, host: toHost(http.host), fields: http.fields };
}

function toHost(authority: string): string {
  const colon = authority.startsWith('[') ? authority.indexOf(']:') + 1 : authority.lastIndexOf(':');
  return (colon > 0 ? authority.slice(0, colon) : authority).toLowerCase();
}
