/** What would happen to a request, policies included: what a member knows of its own requests, or what files say. */

import type { Authorizer, Verdict } from '../auth/authorizer.ts';
import { assumeClaims, type Claims } from '../auth/match.ts';
import type { RegularExpressions } from '../catalog/regular-expression.ts';
import type { Manifest } from '../catalog/resource.ts';
import { namespaceOf, tryParseServiceName } from '../catalog/service.ts';
import { Snapshot } from '../catalog/snapshot.ts';
import { toSkeinError } from '../core/errors.ts';
import { SILENT_LOGGER } from '../core/log.ts';
import type { Platform } from '../core/platform.ts';
import { type SpiffeId, toWorkloadId, tryParseSpiffeId } from '../core/spiffe-id.ts';
import type { RequestHead } from '../http/head.ts';
import { toDefaultPlan } from '../router/attempt-plan.ts';
import { type Destination, parseDestination, tryParseDestination } from '../router/destination.ts';
import { explainRefusal, explainRequest } from '../router/explain.ts';
import type { ExplainedBackend, Explanation } from '../router/explanation.ts';
import type { FilterContext } from '../router/filters/filter.ts';
import { ROUTER_DEFAULTS } from '../router/options.ts';
import { Routing } from './routing.ts';

export interface MemberExplanation extends Explanation {
  /** SPIFFE id of the caller; undefined: nobody was named. */
  readonly caller: string | undefined;
  /** One for each backend, in their order; null where nothing is sent, or the policies are not known here. */
  readonly verdicts: readonly (Verdict | null)[];
}

/** What decides at services: policies, and whether anybody looks there for tokens of end users. */
export interface Judge {
  readonly authorizer: Authorizer;
  readonly looks: (service: string) => boolean;
}

/**
 * @param judgeOf undefined: the policies of that namespace are not known here
 * @param claims of an end user whose token is believed; undefined: no token comes
 */
export function addVerdicts(
  explanation: Explanation,
  caller: SpiffeId | undefined,
  judgeOf: (namespace: string) => Judge | undefined,
  claims: Claims | undefined,
  claimed: (backend: ExplainedBackend) => readonly Destination[] = () => [],
): MemberExplanation {
  const verdicts = explanation.backends.map((backend) => {
    const { destination } = backend;
    const found = destination && judgeOf(namespaceOf(destination.service));
    if (destination === undefined || found === undefined || caller === undefined) return null;
    return judge(found, caller, { backend, claims }, [destination, ...claimed(backend)]);
  });
  return { ...explanation, caller: caller?.uri, verdicts };
}

/** A caller as people name it: a SPIFFE id, or a service account, `web` of the given namespace or `web.shop`. */
export function tryParseCaller(text: string, trustDomain: string, namespace: string): SpiffeId | undefined {
  const account = tryParseServiceName(text, namespace);
  return tryParseSpiffeId(text) ?? (account && toWorkloadId(trustDomain, account.namespace, account.name));
}

/** As `Inbound` decides: it must be allowed for each of `destinations`. */
function judge(
  { authorizer, looks }: Judge,
  caller: SpiffeId,
  { backend: { sent }, claims }: { readonly backend: ExplainedBackend; readonly claims: Claims | undefined },
  destinations: readonly Destination[],
): Verdict | null {
  if (sent === undefined) return null;
  const { method, path, authority: host, fields } = sent;
  const verdicts = destinations.map(({ service, port }) => {
    const http = { method, path, host, fields, claims: assumeClaims(claims, looks(service)) };
    return authorizer.decide({ caller, service, port, http });
  });
  return verdicts.find(({ allow }) => !allow) ?? verdicts[0] ?? null;
}

/** Other services that a request names by its authority and that some of those who would be asked serve too. */
export function findClaimed(
  { sent, destination, outcome }: ExplainedBackend,
  endpoints: (
    service: string,
  ) => readonly { readonly instance: string; readonly port: number; readonly service: string }[],
): readonly Destination[] {
  if (sent === undefined || destination === undefined || outcome.kind !== 'forwarded') return [];
  const namespace = namespaceOf(destination.service);
  const named = tryParseDestination(sent.authority, { namespace, allowShort: true, port: destination.port });
  if (named === undefined || named.service === destination.service) return [];
  return endpoints(named.service)
    .filter(({ instance }) => outcome.instances?.includes(instance))
    .map(({ service, port }) => ({ service, port, key: `${service}:${port}` }));
}

export interface OfflineQuery {
  readonly head: RequestHead;
  readonly manifests: readonly Manifest[];
  /** Namespace of the caller, and of names that give none. */
  readonly namespace: string;
  readonly expressions: RegularExpressions;
}

/** By manifests alone: who serves what, and how they are, is not known. */
export function explainOffline(
  platform: Platform,
  { head, manifests, namespace, expressions }: OfflineQuery,
): Promise<Explanation> {
  const { clock, random, crypto } = platform;
  const routing = new Routing({ log: SILENT_LOGGER, namespace: () => namespace, expressions });
  routing.onSnapshot(Snapshot.empty().with({ upserts: manifests, removals: [] }, crypto.sha256, 1));
  const limits = ROUTER_DEFAULTS;
  // What code a member has is not known: it is taken for there.
  const middleware: FilterContext['middleware'] = () => (next) => next;
  const filters = { clock, random, mirror: () => undefined, middleware };
  const sources = {
    routes: routing,
    namespace,
    clock,
    limits,
    plan: toDefaultPlan(limits),
    filters,
    mesh: undefined,
  };
  try {
    const destination = parseDestination(head.authority, { namespace, allowShort: true });
    return explainRequest(sources, { ...head, service: destination.key }, destination);
  } catch (thrown) {
    return Promise.resolve(explainRefusal(head, namespace, toSkeinError(thrown)));
  }
}
