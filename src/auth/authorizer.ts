/**
 * Compiled policies: (caller, stream) → verdict with the rule's name. Evaluated at the callee for every stream. Total
 * order, no other inputs: mesh deny → namespace deny → allow (with shadow deny) → deny, or allow in a permissive mesh.
 */

import type { AuthorizationPolicy } from '../catalog/authorization-policy.ts';
import { MESH_NAMESPACE, namespaceOf } from '../catalog/service.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';
import { toDecisionPath } from './decision-path.ts';
import type { Claims, HttpView } from './match.ts';
import { compileRules, isAlways, matchesRule, type OpenRule, openRule, type Rule } from './rule.ts';

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
  /** What a token in the request has proven about the end user, empty when there is none; undefined: nobody has looked, and a condition on claims is in doubt. */
  readonly claims?: Claims | undefined;
}

export interface Verdict {
  readonly allow: boolean;
  /** `AuthorizationPolicy/<namespace>/<name> deny[0]`, or `default-deny` when nothing allows. */
  readonly rule: string;
  /** What would have denied it and does not: shadowDeny rules, rules of policies that audit, `default-deny` in a permissive mesh. */
  readonly shadow: readonly string[];
  /** The rule of a policy that audits which would have allowed what is denied because no rule allows it. */
  readonly wouldAllow?: string;
}

/** The rules that one caller can meet at one service, in order. */
interface Plan {
  readonly deny: readonly OpenRule[];
  readonly allow: readonly OpenRule[];
  /** Those that count alone; `trialDeny` and `trialAllow` are of policies that audit. */
  readonly shadow: readonly OpenRule[];
  readonly trialDeny: readonly OpenRule[];
  readonly trialAllow: readonly OpenRule[];
  readonly readsPath: boolean;
  /** The verdict, where the stream does not matter. */
  readonly constant: Verdict | undefined;
}

const NO_NAMES: readonly string[] = [];
const NO_RULES: readonly Rule[] = [];
export const DEFAULT_DENY = 'default-deny';
const DENIED: Verdict = { allow: false, rule: DEFAULT_DENY, shadow: NO_NAMES };
/** Callers whose plans are kept per service; with more, all are made anew, which costs little and bounds the memory. */
const MAX_PLANS = 4096;

export class Authorizer {
  /** What a permissive mesh lets pass because no rule decides it, with the name of who says so; undefined: the mesh is not. */
  readonly permissive: string | undefined;
  /** By namespace: rules that deny, then those that allow, then those that only count. */
  readonly #rules: ReadonlyMap<string, readonly Rule[]>;
  /** Service → caller → plan. Sound, because neither the policies nor what an id means can change. */
  readonly #plans = new Map<string, Map<string, Plan>>();
  readonly #verdicts = new Map<string, Verdict>();
  readonly #undecided: Verdict;

  constructor(policies: readonly AuthorizationPolicy[]) {
    const byNamespace = new Map<string, AuthorizationPolicy[]>();
    for (const policy of policies) {
      const list = byNamespace.get(policy.namespace);
      if (list === undefined) byNamespace.set(policy.namespace, [policy]);
      else list.push(policy);
    }
    this.#rules = new Map(
      [...byNamespace].map(([namespace, list]) => [
        namespace,
        (['deny', 'allow', 'shadowDeny'] as const).flatMap((part) => list.flatMap((each) => compileRules(each, part))),
      ]),
    );
    this.permissive = findPermissive(policies);
    this.#undecided =
      this.permissive === undefined ? DENIED : { allow: true, rule: this.permissive, shadow: [DEFAULT_DENY] };
  }

  /** Whom no rule concerns pays little: the common case allocates nothing. */
  decide(request: AccessRequest): Verdict {
    const plan = this.#plans.get(request.service)?.get(request.caller.uri) ?? this.#plan(request);
    if (plan.constant !== undefined) return plan.constant;
    const { port } = request;
    const http = request.http && toView(request.http, plan.readsPath);
    const denied = findRule(plan.deny, port, http);
    if (denied !== undefined) return this.#verdict(denied.name, false);
    const allowed = findRule(plan.allow, port, http);
    const counted = namesOf(plan.shadow, port, http);
    const trial = namesOf(plan.trialDeny, port, http);
    const rule = allowed?.name ?? counted[0];
    if (rule === undefined) return this.#decideUndecided(plan, trial, port, http);
    if (counted.length + trial.length === 0) return this.#verdict(rule, true);
    return { allow: true, rule, shadow: [...counted, ...trial] };
  }

  /** Every rule that concerns streams to `service`, in the order in which they are asked. */
  rulesFor(service: string): readonly Rule[] {
    const sets = [MESH_NAMESPACE, namespaceOf(service)].map((namespace) => this.#rules.get(namespace) ?? NO_RULES);
    return (['deny', 'allow', 'shadowDeny'] as const).flatMap((part) =>
      sets.flatMap((rules) => rules.filter((rule) => rule.part === part)),
    );
  }

  #decideUndecided(plan: Plan, trial: readonly string[], port: number, http: HttpView | undefined): Verdict {
    if (trial.length > 0) return this.#undecided;
    const would = findRule(plan.trialAllow, port, http);
    return would === undefined || this.#undecided.allow ? this.#undecided : { ...DENIED, wouldAllow: would.name };
  }

  #plan({ service, caller }: AccessRequest): Plan {
    let plans = this.#plans.get(service);
    if (plans === undefined || plans.size >= MAX_PLANS) {
      plans = new Map();
      this.#plans.set(service, plans);
    }
    const plan = this.#createPlan(service, caller);
    plans.set(caller.uri, plan);
    return plan;
  }

  #createPlan(service: string, caller: SpiffeId): Plan {
    const namespace = namespaceOf(service);
    const rules = this.rulesFor(service).flatMap((rule) => {
      const open = openRule(rule, service, namespace, caller);
      return open === undefined ? [] : [{ rule, open }];
    });
    const choose = (isWanted: (rule: Rule) => boolean): OpenRule[] =>
      rules.flatMap(({ rule, open }) => (isWanted(rule) ? [open] : []));
    const plan = {
      deny: choose(({ part, isTrial }) => part === 'deny' && !isTrial),
      allow: choose(({ part, isTrial }) => part === 'allow' && !isTrial),
      shadow: choose(({ part, isTrial }) => part === 'shadowDeny' && !isTrial),
      trialDeny: choose(({ part, isTrial }) => part !== 'allow' && isTrial),
      trialAllow: choose(({ part, isTrial }) => part === 'allow' && isTrial),
      readsPath: rules.some(({ open }) => open.readsPath),
    };
    return { ...plan, constant: this.#findConstant(plan) };
  }

  #findConstant({ deny, allow, shadow, trialDeny, trialAllow }: Omit<Plan, 'constant'>): Verdict | undefined {
    const always = (rule: OpenRule | undefined, isAllowed: boolean): Verdict | undefined =>
      rule !== undefined && isAlways(rule) ? this.#verdict(rule.name, isAllowed) : undefined;
    if (deny.length > 0) return always(deny[0], false);
    if (shadow.length + trialDeny.length > 0) return undefined;
    if (allow.length > 0) return always(allow[0], true);
    return trialAllow.length === 0 ? this.#undecided : undefined;
  }

  /** The same object every time: a rule says it for many streams. */
  #verdict(rule: string, allow: boolean): Verdict {
    let verdict = this.#verdicts.get(rule);
    if (verdict === undefined) {
      verdict = { allow, rule, shadow: NO_NAMES };
      this.#verdicts.set(rule, verdict);
    }
    return verdict;
  }
}

/** Who says that the mesh is permissive, as verdicts name it; undefined when it is not. */
export function findPermissive(policies: readonly AuthorizationPolicy[]): string | undefined {
  const found = policies
    .filter(({ namespace, spec }) => namespace === MESH_NAMESPACE && spec.permissive === true && spec.mode !== 'audit')
    .map(({ name }) => name)
    .sort()[0];
  return found === undefined ? undefined : `AuthorizationPolicy/${MESH_NAMESPACE}/${found} permissive`;
}

function findRule(rules: readonly OpenRule[], port: number, http: HttpView | undefined): OpenRule | undefined {
  for (const rule of rules) if (matchesRule(rule, port, http)) return rule;
  return undefined;
}

function namesOf(rules: readonly OpenRule[], port: number, http: HttpView | undefined): readonly string[] {
  if (rules.length === 0) return NO_NAMES;
  return rules.filter((rule) => matchesRule(rule, port, http)).map(({ name }) => name);
}

/** The decision path is worked out only where a rule reads it. */
export function toView({ method, path, host, fields, claims }: HttpAccess, needsPath: boolean): HttpView {
  const { path: decisionPath, ambiguous } = needsPath ? toDecisionPath(path) : UNREAD;
  return { method, path: decisionPath, pathAmbiguous: ambiguous, host: toHost(host), fields, claims };
}

const UNREAD = { path: '', ambiguous: true } as const;

/** Without port and without the dot of a fully qualified name, both of which mean the same host. */
function toHost(authority: string): string {
  const colon = authority.startsWith('[') ? authority.indexOf(']:') + 1 : authority.lastIndexOf(':');
  const host = (colon > 0 ? authority.slice(0, colon) : authority).toLowerCase();
  return host.endsWith('.') ? host.slice(0, -1) : host;
}
