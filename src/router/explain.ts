/**
 * What would happen to a request, and why: the walk of dispatch.ts and call.ts with the same parts in the same order, but
 * nothing is sent, nothing is counted, and nobody's turn is taken.
 */

import type { Clock } from '../core/clock.ts';
import { ERROR_CODES, SkeinError, toSkeinError } from '../core/errors.ts';
import { withTimeLeft } from '../http/deadline.ts';
import type { RequestHead } from '../http/head.ts';
import { isIdempotent } from '../http/methods.ts';
import type { AttemptPlan } from './attempt-plan.ts';
import type { Backend } from './backend.ts';
import type { EndpointStatus } from './backend-status.ts';
import type { Backends } from './backends.ts';
import { checkServed, noRoute, outOfTime, timeAskedFor, waitsForEvents } from './call.ts';
import type { Avoidance } from './candidates.ts';
import { type Destination, takesBytes } from './destination.ts';
import type { Dispatcher } from './dispatch.ts';
import type { EndpointLoad } from './endpoint-load.ts';
import { explainMatches, explainRoutes } from './explain-routes.ts';
import type { ExplainedBackend, ExplainedHead, ExplainedTimes, Explanation, Outcome, Refusal } from './explanation.ts';
import type { FilterContext } from './filters/filter.ts';
import { describeFilters, type Traced, traceFilters } from './filters/trace.ts';
import { type Locality, measureDistance } from './locality.ts';
import type { RouterOptions } from './options.ts';
import { checkBackend, type Rule, type RuleBackend } from './rule.ts';
import type { RouteSource } from './table.ts';

/** What the explanation is made from: the parts of a member, or what a file says. */
export interface ExplainSources {
  readonly routes: RouteSource;
  /** Namespace of the caller. */
  readonly namespace: string;
  readonly clock: Clock;
  readonly limits: RouterOptions;
  /** How requests are tried that no route says anything about. */
  readonly plan: AttemptPlan;
  readonly filters: FilterContext;
  /** undefined: who serves what is not known. */
  readonly mesh: { readonly backends: Backends; readonly connector: Avoidance; readonly here: Locality } | undefined;
}

const DISTANCES = ['same zone', 'same region', 'elsewhere'] as const;

/**
 * What `dispatcher` would do with a request, and why; nothing is sent.
 * @param namespace of the caller, whose routes these are
 */
export async function explainDispatch(
  dispatcher: Dispatcher,
  head: RequestHead,
  namespace: string,
  here: Locality,
): Promise<Explanation> {
  const { options, routes, filters, plan } = dispatcher.environment;
  const { clock, limits, backends, connector } = options;
  let destination: Destination;
  try {
    destination = dispatcher.destinationOf(head);
  } catch (thrown) {
    return explainRefusal(head, namespace, toSkeinError(thrown));
  }
  const sources = { routes, namespace, clock, limits, plan, filters, mesh: { backends, connector, here } };
  return explainRequest(sources, { ...head, service: destination.key }, destination);
}

/** @param head with its destination in `service` */
export async function explainRequest(
  sources: ExplainSources,
  head: RequestHead,
  destination: Destination,
): Promise<Explanation> {
  const { routes: source, namespace, mesh } = sources;
  // What is known of the service comes with its routes.
  const own = await findBackend(mesh, destination);
  const { table } = source;
  const found = table.find(destination);
  const chosen = found?.match(head);
  const about = {
    ...{ request: toHead(head), destination, namespace },
    routes: explainRoutes(table.attached(destination.service), found, destination, namespace),
    matches: found === undefined ? [] : explainMatches(found, head, chosen),
  };
  const askedMs = timeAskedFor(head);
  const error =
    askedMs !== undefined && askedMs <= 0 ? outOfTime(askedMs) : own instanceof SkeinError ? own : undefined;
  // Then no rule is looked for: the one that would take it has not.
  if (error !== undefined) return { ...about, ...NO_WAY, rule: undefined, outcome: toRefusal(error) };
  const backend = own instanceof SkeinError ? undefined : own;
  if (found === undefined) return { ...about, rule: undefined, ...explainDirect(sources, head, destination, backend) };
  const rule = chosen?.rule;
  if (rule === undefined) return { ...about, ...NO_WAY, rule, outcome: toRefusal(noRoute(destination)) };
  return { ...about, rule: rule.id, ...(await explainRule(sources, head, rule)) };
}

/** undefined: who serves what is not known. */
async function findBackend(
  mesh: ExplainSources['mesh'],
  destination: Destination,
): Promise<Backend | SkeinError | undefined> {
  try {
    return await mesh?.backends.find(destination);
  } catch (thrown) {
    return toSkeinError(thrown);
  }
}

/** What is told of a request that names no service of the mesh. */
export function explainRefusal(head: RequestHead, namespace: string, error: SkeinError): Explanation {
  const about = { request: toHead(head), destination: undefined, namespace, rule: undefined, routes: [], matches: [] };
  return { ...about, ...NO_WAY, outcome: toRefusal(error) };
}

type Way = Pick<Explanation, 'filters' | 'backends' | 'times' | 'retries' | 'outcome'>;

const NO_WAY = { filters: [], backends: [], times: undefined, retries: undefined } as const;

function explainDirect(
  sources: ExplainSources,
  head: RequestHead,
  destination: Destination,
  backend: Backend | undefined,
): Way {
  const { plan } = sources;
  const asked = askBackend(sources, head, backend);
  const isForwarded = asked.outcome === undefined || asked.outcome.kind === 'forwarded';
  const isRaw = isForwarded && backend?.protocol === 'tcp';
  const outcome = isRaw ? toRefusal(takesBytes(destination.key)) : (asked.outcome ?? forwarded(destination, undefined));
  const only: ExplainedBackend = {
    ...{ label: destination.service, destination, weight: 1, share: 100, isNext: true, filters: [] },
    ...{ attemptFilters: describeFilters(plan.filters), sent: toSent(head, undefined), ...asked, outcome },
  };
  const times = explainTimes(sources, head, undefined, plan);
  return { filters: [], backends: [only], times, retries: explainRetries(plan, head), outcome };
}

async function explainRule(sources: ExplainSources, head: RequestHead, rule: Rule): Promise<Way> {
  const traced = await traceFilters(rule.filters, head, sources.filters);
  const next = rule.backends.peek();
  const backends = await Promise.all(
    rule.backends.all.map((each) => explainRuleBackend(sources, rule, each, each === next, { head, traced })),
  );
  const tried = next?.plan ?? sources.plan;
  const turn = backends.find(({ isNext }) => isNext);
  return {
    filters: describeFilters(rule.filters),
    backends,
    times: explainTimes(sources, head, rule, tried),
    retries: explainRetries(tried, head),
    outcome: toOutcome(traced) ?? turn?.outcome ?? toRefusal(failureOf(() => checkBackend(rule, undefined))),
  };
}

async function explainRuleBackend(
  sources: ExplainSources,
  rule: Rule,
  backend: RuleBackend,
  isNext: boolean,
  { head, traced: before }: { readonly head: RequestHead; readonly traced: Traced },
): Promise<ExplainedBackend> {
  const { weight, label, destination: target, plan } = backend;
  const common = {
    ...{ label, weight, isNext, share: rule.backends.total === 0 ? 0 : (weight * 100) / rule.backends.total },
    filters: describeFilters(backend.filters),
    attemptFilters: describeFilters(plan.filters),
  };
  const nobody = { endpoints: undefined, isPanicking: false, isBound: false, sent: undefined };
  if ('fault' in target) {
    const outcome = toRefusal(failureOf(() => checkBackend(rule, backend)));
    return { ...common, ...nobody, destination: undefined, outcome };
  }
  const all = [...rule.filters, ...backend.filters];
  const traced = 'head' in before ? await traceFilters(all, head, sources.filters) : before;
  const ended = toOutcome(traced);
  if (ended !== undefined || !('head' in traced)) {
    return { ...common, ...nobody, destination: target, outcome: ended ?? forwarded(target, undefined) };
  }
  const { mesh } = sources;
  const sent = toSent(traced.head, rule);
  try {
    const found = await mesh?.backends.find(target);
    const asked = askBackend(sources, traced.head, found);
    if (found !== undefined) checkServed(rule, found);
    return { ...common, ...asked, destination: target, sent, outcome: asked.outcome ?? forwarded(target, undefined) };
  } catch (thrown) {
    return { ...common, ...nobody, destination: target, outcome: toRefusal(toSkeinError(thrown)) };
  }
}

type Asked = Pick<ExplainedBackend, 'endpoints' | 'isPanicking' | 'isBound'> & {
  readonly outcome: Outcome | undefined;
};

/** @param backend undefined: who serves it is not known */
function askBackend({ mesh, clock }: ExplainSources, head: RequestHead, backend: Backend | undefined): Asked {
  if (mesh === undefined || backend === undefined) {
    return { endpoints: undefined, isPanicking: false, isBound: false, outcome: undefined };
  }
  const nowMs = clock.monotonicMs();
  const bond = backend.affinity?.read(head, clock.epochMs());
  let eligible: readonly EndpointLoad[] = [];
  let outcome: Outcome;
  try {
    eligible = backend.eligible(nowMs, mesh.connector, bond);
    backend.breaker.checkRequest();
    outcome = forwarded(backend.destination, eligible);
  } catch (thrown) {
    outcome = toRefusal(toSkeinError(thrown));
  }
  const { endpoints, isPanicking } = backend.describe(nowMs);
  const { connector, here } = mesh;
  return {
    endpoints: backend.endpoints.map((load, i) => ({
      ...(endpoints[i] as EndpointStatus),
      id: load.endpoint.id,
      distance: here.region === '' ? 'unknown' : DISTANCES[measureDistance(here, load.endpoint)],
      isSuspect: connector.isSuspect(load.endpoint),
      isEligible: eligible.includes(load),
    })),
    isPanicking,
    isBound: bond?.session !== undefined || bond?.key !== undefined,
    outcome,
  };
}

function explainTimes(
  { limits }: ExplainSources,
  head: RequestHead,
  rule: Rule | undefined,
  { timeoutMs: attemptMs }: AttemptPlan,
): ExplainedTimes {
  const given = timeGiven(head, rule);
  if (given !== undefined) return { ...given, attemptMs };
  if (rule?.timeoutMs === 0 || waitsForEvents(head)) return { requestMs: 0, requestFrom: 'nobody', attemptMs };
  return { requestMs: limits.requestTimeoutMs, requestFrom: 'the default', attemptMs };
}

/** The shorter of what the caller and the rule give it; undefined: neither says anything. */
function timeGiven(head: RequestHead, rule: Rule | undefined): Omit<ExplainedTimes, 'attemptMs'> | undefined {
  const askedMs = timeAskedFor(head) ?? Number.POSITIVE_INFINITY;
  const ruleMs = rule?.timeoutMs || Number.POSITIVE_INFINITY;
  if (Math.min(askedMs, ruleMs) === Number.POSITIVE_INFINITY) return undefined;
  return askedMs <= ruleMs
    ? { requestMs: askedMs, requestFrom: 'the caller' }
    : { requestMs: ruleMs, requestFrom: 'timeouts.request' };
}

/** As the first attempt has it, when all goes at once. */
function toSent(head: RequestHead, rule: Rule | undefined): ExplainedHead {
  const given = timeGiven(head, rule);
  return toHead(given === undefined ? head : withTimeLeft(head, given.requestMs));
}

function explainRetries({ retry }: AttemptPlan, { method }: RequestHead): Explanation['retries'] {
  const { retries, codes, backoffMs } = retry;
  return { retries, codes: [...codes], backoffMs, isRepeatable: isIdempotent(method) };
}

function toHead({ method, authority, path, fields }: RequestHead): ExplainedHead {
  return { method, authority, path, fields };
}

function forwarded({ key }: Destination, loads: readonly EndpointLoad[] | undefined): Outcome {
  return { kind: 'forwarded', service: key, instances: loads?.map(({ endpoint }) => endpoint.instance) };
}

function toOutcome(traced: Traced): Outcome | undefined {
  if ('answer' in traced) return traced.answer;
  return 'error' in traced ? toRefusal(traced.error) : undefined;
}

function toRefusal({ status, code, reason, message }: SkeinError): Refusal {
  return { kind: 'refused', status, grpcStatus: ERROR_CODES[code].grpcStatus, reason, message };
}

/** What a check throws that is known to fail. */
function failureOf(check: () => unknown): SkeinError {
  try {
    check();
  } catch (thrown) {
    return toSkeinError(thrown);
  }
  return toSkeinError(new Error('Cannot explain: nothing has failed'));
}
