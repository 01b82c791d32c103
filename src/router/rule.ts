/** One rule of an HTTPRoute, compiled: what it is called, and where its requests go. */

import type { HttpBackendRef, HttpRoute, HttpRule } from '../catalog/http-route.ts';
import { toServiceKey } from '../catalog/reference.ts';
import { type Destination, SERVICE_PORT, toDestination } from './destination.ts';
import { WeightedChoice } from './weighted.ts';

/** A backendRef. */
export interface RuleBackend {
  readonly weight: number;
  /** As it was written, for those who look for the reason. */
  readonly label: string;
  /** undefined: it can be nothing in this mesh, and its share of the requests fails. */
  readonly destination: Destination | undefined;
}

export interface Rule {
  /** `HTTPRoute/<namespace>/<name> rules[0]`, or the rule's own name instead of its place. */
  readonly id: string;
  readonly backends: WeightedChoice<RuleBackend>;
}

export function compileRule(route: HttpRoute, rule: HttpRule, index: number): Rule {
  return {
    id: `${route.kind}/${route.namespace}/${route.name} ${rule.name ?? `rules[${index}]`}`,
    backends: new WeightedChoice(rule.backendRefs.map((ref) => toRuleBackend(ref, route.namespace))),
  };
}

function toRuleBackend(ref: HttpBackendRef, namespace: string): RuleBackend {
  const service = toServiceKey(ref, namespace);
  const kind = ref.group === '' ? ref.kind : `${ref.kind}.${ref.group}`;
  return {
    weight: ref.weight,
    label: service ?? `${kind} "${ref.name}"`,
    destination: service === undefined ? undefined : toDestination(service, ref.port ?? SERVICE_PORT),
  };
}
