/**
 * Compiled policies: (caller, stream) → verdict with the rule's name. Evaluated at the callee for every stream. Total
 * order, no other inputs: mesh deny → namespace deny → allow (with shadow deny) → deny (DESIGN D8).
 */

import type { AuthorizationPolicy, PolicyRule } from '../catalog/authorization-policy.ts';
import { MESH_NAMESPACE, namespaceOf } from '../catalog/service.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';
import { toDecisionPath } from './decision-path.ts';
import {
  compileOperation,
  compileSource,
  type HttpView,
  isUnconditional,
  type OperationTest,
  readsPath,
  type SourceTest,
} from './match.ts';

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

type Part = 'deny' | 'allow' | 'shadowDeny';

/** A rule of a policy, compiled once. */
interface Rule {
  readonly targets: PolicyTargets;
  /** Empty: everybody in the mesh. */
  readonly from: readonly SourceTest[];
  /** Empty: every stream. */
  readonly to: readonly OperationTest[];
  readonly readsPath: boolean;
  /** What it says when it matches; the same object every time. */
  readonly verdict: Verdict;
}

type PolicyTargets = AuthorizationPolicy['spec']['targets'];
type RuleSet = Readonly<Record<Part, readonly Rule[]>>;

/** A rule as far as it is still open once caller and service are known. */
interface OpenRule extends Pick<Rule, 'to' | 'verdict'> {
  readonly ports: ReadonlySet<number> | undefined;
}

/** The rules that one caller can meet at one service, in order. */
interface Plan {
  readonly deny: readonly OpenRule[];
  readonly allow: readonly OpenRule[];
  readonly shadow: readonly OpenRule[];
  readonly readsPath: boolean;
  /** The verdict, where the stream does not matter. */
  readonly constant: Verdict | undefined;
}

const NO_NAMES: readonly string[] = [];
const NO_RULES: RuleSet = { deny: [], allow: [], shadowDeny: [] };
const DEFAULT_DENY: Verdict = { allow: false, rule: 'default-deny', shadow: NO_NAMES };
/** Callers whose plans are kept per service; with more, all are made anew, which costs little and bounds the memory. */
const MAX_PLANS = 4096;

export class Authorizer {
  readonly #rules: ReadonlyMap<string, RuleSet>;
  /** Service → caller → plan. Sound, because neither the policies nor what an id means can change. */
  readonly #plans = new Map<string, Map<string, Plan>>();

  constructor(policies: readonly AuthorizationPolicy[]) {
    const byNamespace = new Map<string, AuthorizationPolicy[]>();
    for (const policy of policies) {
      if (policy.spec.mode === 'audit') continue; // decides nothing
      byNamespace.set(policy.namespace, [...(byNamespace.get(policy.namespace) ?? []), policy]);
    }
    this.#rules = new Map([...byNamespace].map(([namespace, list]) => [namespace, compileSet(list)]));
  }

  /** `bench/authorizer.ts` measures it: the common case allocates nothing. */
  decide(request: AccessRequest): Verdict {
    const plan = this.#plans.get(request.service)?.get(request.caller.uri) ?? this.#plan(request);
    if (plan.constant !== undefined) return plan.constant;
    const http = request.http && toView(request.http, plan.readsPath);
    const denied = findRule(plan.deny, request.port, http);
    if (denied !== undefined) return denied.verdict;
    const allowed = findRule(plan.allow, request.port, http);
    const shadow = namesOf(plan.shadow, request.port, http);
    const [first] = shadow;
    if (first === undefined) return allowed?.verdict ?? DEFAULT_DENY;
    return { allow: true, rule: allowed?.verdict.rule ?? first, shadow };
  }

  #plan({ service, caller }: AccessRequest): Plan {
    let plans = this.#plans.get(service);
    if (plans === undefined || plans.size >= MAX_PLANS) {
      plans = new Map();
      this.#plans.set(service, plans);
    }
    const plan = createPlan(this.#rules, service, caller);
    plans.set(caller.uri, plan);
    return plan;
  }
}

function compileSet(policies: readonly AuthorizationPolicy[]): RuleSet {
  const compile = (part: Part): Rule[] =>
    policies.flatMap((policy) => (policy.spec[part] ?? []).map((rule, i) => compileRule(policy, part, rule, i)));
  return { deny: compile('deny'), allow: compile('allow'), shadowDeny: compile('shadowDeny') };
}

function compileRule(policy: AuthorizationPolicy, part: Part, { from = [], to = [] }: PolicyRule, at: number): Rule {
  const operations = to.some(isUnconditional) ? [] : to;
  return {
    targets: policy.spec.targets,
    from: from.map(compileSource),
    to: operations.map((operation) => compileOperation(operation, part !== 'allow')),
    readsPath: operations.some(readsPath),
    verdict: {
      allow: part !== 'deny',
      rule: `AuthorizationPolicy/${policy.namespace}/${policy.name} ${part}[${at}]`,
      shadow: NO_NAMES,
    },
  };
}

function createPlan(rules: ReadonlyMap<string, RuleSet>, service: string, caller: SpiffeId): Plan {
  const namespace = namespaceOf(service);
  const sets = [rules.get(MESH_NAMESPACE) ?? NO_RULES, rules.get(namespace) ?? NO_RULES];
  let needsPath = false;
  const choose = (part: Part): OpenRule[] =>
    sets.flatMap((set) =>
      set[part].flatMap((rule) => {
        const ports = toPorts(rule.targets, service);
        if (ports === 'none') return [];
        if (rule.from.length > 0 && !rule.from.some((matches) => matches(caller, namespace))) return [];
        needsPath ||= rule.readsPath;
        return [{ to: rule.to, verdict: rule.verdict, ports: ports === 'all' ? undefined : ports }];
      }),
    );
  const [deny, allow, shadow] = [choose('deny'), choose('allow'), choose('shadowDeny')];
  return { deny, allow, shadow, readsPath: needsPath, constant: findConstant(deny, allow, shadow) };
}

/** A target names a service of the policy's own namespace; in the namespace `mesh`, of any. */
function toPorts(targets: PolicyTargets, service: string): ReadonlySet<number> | 'all' | 'none' {
  if (targets === undefined) return 'all';
  const name = service.slice(0, service.indexOf('.'));
  const own = targets.filter((target) => target.service === name);
  if (own.length === 0) return 'none';
  return own.some(({ ports }) => ports === undefined) ? 'all' : new Set(own.flatMap(({ ports }) => ports ?? []));
}

function findConstant(
  deny: readonly OpenRule[],
  allow: readonly OpenRule[],
  shadow: readonly OpenRule[],
): Verdict | undefined {
  const always = (rule: OpenRule | undefined): Verdict | undefined =>
    rule !== undefined && rule.ports === undefined && rule.to.length === 0 ? rule.verdict : undefined;
  if (deny.length > 0) return always(deny[0]);
  if (shadow.length > 0) return undefined;
  return allow.length === 0 ? DEFAULT_DENY : always(allow[0]);
}

function findRule(rules: readonly OpenRule[], port: number, http: HttpView | undefined): OpenRule | undefined {
  for (const rule of rules) if (matchesRule(rule, port, http)) return rule;
  return undefined;
}

function matchesRule({ ports, to }: OpenRule, port: number, http: HttpView | undefined): boolean {
  if (ports !== undefined && !ports.has(port)) return false;
  if (to.length === 0) return true;
  for (const matches of to) if (matches(http)) return true;
  return false;
}

function namesOf(rules: readonly OpenRule[], port: number, http: HttpView | undefined): readonly string[] {
  if (rules.length === 0) return NO_NAMES;
  return rules.filter((rule) => matchesRule(rule, port, http)).map(({ verdict }) => verdict.rule);
}

/** The decision path is worked out only where a rule reads it. */
function toView({ method, path, host, fields }: HttpAccess, needsPath: boolean): HttpView {
  const { path: decisionPath, ambiguous } = needsPath ? toDecisionPath(path) : UNREAD;
  return { method, path: decisionPath, pathAmbiguous: ambiguous, host: toHost(host), fields };
}

const UNREAD = { path: '', ambiguous: true } as const;

/** Without port and without the dot of a fully qualified name, both of which mean the same host. */
function toHost(authority: string): string {
  const colon = authority.startsWith('[') ? authority.indexOf(']:') + 1 : authority.lastIndexOf(':');
  const host = (colon > 0 ? authority.slice(0, colon) : authority).toLowerCase();
  return host.endsWith('.') ? host.slice(0, -1) : host;
}
