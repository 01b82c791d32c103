/** Why a stream is allowed or denied: what every rule that concerns the service makes of it, by the same rules that decide. */

import { namespaceOf } from '../catalog/service.ts';
import { type AccessRequest, type Authorizer, toView, type Verdict } from './authorizer.ts';
import type { Check, Checks, HttpView } from './match.ts';
import { matchesRule, openRule, type Rule, type RulePart, toPorts } from './rule.ts';

export interface ExplainedRule {
  /** `AuthorizationPolicy/<namespace>/<name> deny[0]` */
  readonly rule: string;
  readonly part: RulePart;
  /** Its policy audits, and decides nothing. */
  readonly isTrial: boolean;
  readonly matches: boolean;
  /** Conditions that do not hold, of the source and the operation that come nearest; empty when it matches. */
  readonly missing: readonly string[];
}

export interface AccessExplanation {
  readonly verdict: Verdict;
  /** In the order in which they are asked. */
  readonly rules: readonly ExplainedRule[];
}

export function explainAccess(authorizer: Authorizer, request: AccessRequest): AccessExplanation {
  const { service, caller, port } = request;
  const namespace = namespaceOf(service);
  const http = request.http && toView(request.http, true);
  const rules = authorizer.rulesFor(service).flatMap((rule): ExplainedRule[] => {
    if (toPorts(rule.targets, service) === 'none') return [];
    const open = openRule(rule, service, namespace, caller);
    const matches = open !== undefined && matchesRule(open, port, http);
    const { name, part, isTrial } = rule;
    return [
      { rule: name, part, isTrial, matches, missing: matches ? [] : findMissing(rule, request, namespace, http) },
    ];
  });
  return { verdict: authorizer.decide(request), rules };
}

function findMissing(
  rule: Rule,
  { service, caller, port }: AccessRequest,
  namespace: string,
  http: HttpView | undefined,
): readonly string[] {
  const ports = toPorts(rule.targets, service);
  const failing = (checks: Checks): string[] =>
    checks.filter((check: Check) => !check.holds(port, http)).map(({ name }) => name);
  const from = rule.from.map(({ tests, claims }) => [
    ...tests.filter(({ holds }) => !holds(caller, namespace)).map(({ name }) => name),
    ...failing(claims),
  ]);
  return [
    ...(typeof ports === 'object' && !ports.has(port) ? ['targets.ports'] : []),
    ...nearest('from', from),
    ...nearest('to', rule.to.map(failing)),
    ...rule.when.callers.filter(({ holds }) => !holds(caller, namespace)).map(({ name }) => `when ${name}`),
    ...failing(rule.when.checks).map((name) => `when ${name}`),
  ];
}

/** What is missing in the alternative that lacks least: the first of them. */
function nearest(what: string, alternatives: readonly (readonly string[])[]): readonly string[] {
  const least = Math.min(...alternatives.map(({ length }) => length));
  const at = alternatives.findIndex(({ length }) => length === least);
  return (alternatives[at] ?? []).map((name) => `${what}[${at}].${name}`);
}
