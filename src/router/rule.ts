/** One rule of a route, compiled: what it is called, what it does to a request, and where that goes. */

import type { Exports } from '../catalog/export.ts';
import type { HttpFilter } from '../catalog/http-filter.ts';
import type { HttpRetry } from '../catalog/http-retry.ts';
import type { BackendObjectRef } from '../catalog/meta.ts';
import { type AttachedRoute, describeRef, isPermitted, toServiceKey } from '../catalog/reference.ts';
import { SkeinError } from '../core/errors.ts';
import type { AttemptPlan } from './attempt-plan.ts';
import { type Destination, SERVICE_PORT, toDestination } from './destination.ts';
import type { Filter } from './filters/filter.ts';
import { compileFilters, type FilterPlace, type FindExtension } from './filters/index.ts';
import { ROUTER_DEFAULTS } from './options.ts';
import type { RetryPolicy } from './retry.ts';
import { WeightedChoice } from './weighted.ts';

/** A backendRef. */
export interface RuleBackend {
  readonly weight: number;
  /** As it was written, for those who look for the reason. */
  readonly label: string;
  /** Why it can take nothing, so that its share of the requests fails. */
  readonly destination: Destination | { readonly fault: string };
  readonly filters: readonly Filter[];
  readonly plan: AttemptPlan;
}

export interface Rule {
  /** `HTTPRoute/<namespace>/<name> rules[0]`, or the rule's own name instead of its place. */
  readonly id: string;
  readonly filters: readonly Filter[];
  /** Time of a request, from its head to the end of its answer; 0: any; undefined: what holds without a rule. */
  readonly timeoutMs: number | undefined;
  readonly backends: WeightedChoice<RuleBackend>;
}

/** What the rules of all kinds of routes have in common, as far as each has it. */
export interface RuleSource {
  readonly name?: string | undefined;
  readonly filters?: readonly HttpFilter[];
  readonly backendRefs: readonly BackendSource[];
  readonly timeouts?: { readonly request?: number | undefined; readonly backendRequest?: number | undefined };
  readonly retry?: HttpRetry | undefined;
}

interface BackendSource extends BackendObjectRef {
  readonly weight: number;
  readonly filters?: readonly HttpFilter[];
}

/** What routes refer to, beside services. */
export interface References {
  readonly find: FindExtension;
  readonly exports: Exports;
}

/** @param prefix the prefix that the rule matches, if it is its only match */
export function compileRule(
  route: AttachedRoute,
  rule: RuleSource,
  index: number,
  prefix: string,
  { find, exports }: References,
): Rule {
  const { namespace } = route;
  const permits = (service: string): boolean => isPermitted(route, service, exports);
  const place = { namespace, prefix, find, permits };
  const filters = compileFilters(rule.filters ?? [], place);
  const plan: AttemptPlan = {
    retry: toRetryPolicy(rule.retry),
    timeoutMs: rule.timeouts?.backendRequest ?? 0,
    filters: filters.attempt,
  };
  return {
    id: `${route.kind}/${route.namespace}/${route.name} ${rule.name ?? `rules[${index}]`}`,
    filters: filters.request,
    // Who limits each attempt has limited all of them.
    timeoutMs: rule.timeouts?.request ?? (rule.timeouts?.backendRequest === undefined ? undefined : 0),
    backends: new WeightedChoice(rule.backendRefs.map((ref) => toRuleBackend(ref, plan, place))),
  };
}

/** A `retry` that gives no number means as many as without it. */
function toRetryPolicy(retry: HttpRetry | undefined): RetryPolicy {
  return {
    retries: retry?.attempts ?? ROUTER_DEFAULTS.maxAttempts - 1,
    codes: new Set(retry?.codes),
    backoffMs: retry?.backoff ?? 0,
    isAsked: retry !== undefined,
  };
}

function toRuleBackend(ref: BackendSource, plan: AttemptPlan, place: FilterPlace): RuleBackend {
  const service = toServiceKey(ref, place.namespace);
  const label = service ?? describeRef(ref);
  const filters = compileFilters(ref.filters ?? [], place);
  return {
    weight: ref.weight,
    label,
    destination: toBackendDestination(service, ref, label, place),
    filters: filters.request,
    plan: filters.attempt.length === 0 ? plan : { ...plan, filters: [...plan.filters, ...filters.attempt] },
  };
}

function toBackendDestination(
  service: string | undefined,
  { port = SERVICE_PORT }: BackendSource,
  label: string,
  { namespace, permits }: FilterPlace,
): RuleBackend['destination'] {
  if (service === undefined) return { fault: `${label} is no service of a mesh` };
  if (!permits(service)) return { fault: `no Export lets routes of namespace "${namespace}" refer to ${label}` };
  return toDestination(service, port);
}

/** @throws SkeinError SKEIN_ROUTE_INVALID */
export function chooseBackend(rule: Rule): RuleBackend & { readonly destination: Destination } {
  return checkBackend(rule, rule.backends.next());
}

/** @throws SkeinError SKEIN_ROUTE_INVALID */
export function checkBackend(
  rule: Rule,
  backend: RuleBackend | undefined,
): RuleBackend & { readonly destination: Destination } {
  if (backend === undefined) throw invalidBackend(rule, 'it has no backend');
  const { destination } = backend;
  if ('fault' in destination) throw invalidBackend(rule, destination.fault);
  return { ...backend, destination };
}

export function invalidBackend({ id }: Rule, state: string): SkeinError {
  return new SkeinError('SKEIN_ROUTE_INVALID', `Cannot route request by ${id}: ${state}`);
}
