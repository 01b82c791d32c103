/** What a BackendTrafficPolicy says, in the words of the router; what it leaves open stays as the member has it. */

import type { BackendTrafficPolicy, BackendTrafficSpec } from '../catalog/backend-traffic-policy.ts';
import { hashText } from '../core/hash.ts';
import type { AffinityPolicy, HashSource } from './affinity.ts';
import type { RouterOptions } from './options.ts';
import type { PersistencePolicy } from './persistence.ts';
import type { Rate, RateLimitPolicy } from './rate-limit.ts';

export function limitsOf(policy: BackendTrafficPolicy | undefined, own: RouterOptions): RouterOptions {
  if (policy === undefined) return own;
  const { circuitBreaker, health, loadBalancer, outlierDetection, retryConstraint } = policy.spec;
  const { budget, minRetryRate } = retryConstraint ?? {};
  const said: Partial<Record<keyof RouterOptions, number | undefined>> = {
    retryBudgetPercent: budget?.percent,
    retryBudgetIntervalMs: budget?.interval,
    minRetriesPerSecond: minRetryRate && (minRetryRate.count * 1000) / minRetryRate.interval,
    maxPendingRequests: circuitBreaker?.maxRequests,
    maxConnections: circuitBreaker?.maxConnections,
    outlierFailures: outlierDetection?.consecutiveFailures,
    outlierIntervalMs: outlierDetection?.interval,
    outlierProbeMs: outlierDetection?.baseEjectionTime,
    maxOutlierProbeMs: outlierDetection?.maxEjectionTime,
    maxEjectedPercent: outlierDetection?.maxEjectionPercent,
    panicPercent: health?.panicThreshold,
    maxRestMs: health?.maxRetryAfter,
    warmUpMs: loadBalancer?.slowStart?.window,
  };
  const limits: Record<keyof RouterOptions, number> = { ...own };
  for (const [name, value] of Object.entries(said))
    if (value !== undefined) limits[name as keyof RouterOptions] = value;
  return limits;
}

/** What leads requests to the service to the same instance; undefined where nothing does. */
export function affinityOf(policy: BackendTrafficPolicy | undefined, service: string): AffinityPolicy | undefined {
  const { loadBalancer, sessionPersistence } = policy?.spec ?? {};
  const hashOn = loadBalancer?.consistentHash && toHashSource(loadBalancer.consistentHash);
  const persistence = sessionPersistence && toPersistence(sessionPersistence, service);
  return hashOn === undefined && persistence === undefined ? undefined : { hashOn, persistence };
}

/** How often callers may ask an instance of the service. */
export function rateLimitOf(policy: BackendTrafficPolicy | undefined): RateLimitPolicy | undefined {
  const limit = policy?.spec.rateLimit;
  if (limit === undefined) return undefined;
  return {
    total: limit.total && toRate(limit.total),
    perCaller: limit.perCaller && toRate(limit.perCaller),
    overrides: limit.overrides?.map((override) => ({ ids: override.ids, rate: toRate(override) })),
  };
}

function toRate({
  requests,
  interval,
  burst,
}: NonNullable<NonNullable<BackendTrafficSpec['rateLimit']>['total']>): Rate {
  return { requests, intervalMs: interval, burst };
}

function toHashSource({
  header,
  cookie,
  queryParam,
}: NonNullable<NonNullable<BackendTrafficSpec['loadBalancer']>['consistentHash']>): HashSource | undefined {
  if (header !== undefined) return { kind: 'header', name: header.name.toLowerCase() };
  if (cookie !== undefined) return { kind: 'cookie', name: cookie.name };
  return queryParam && { kind: 'queryParam', name: queryParam.name };
}

function toPersistence(
  session: NonNullable<BackendTrafficSpec['sessionPersistence']>,
  service: string,
): PersistencePolicy {
  const { sessionName, type, absoluteTimeout, idleTimeout, cookieConfig } = session;
  const kind = type === 'Cookie' ? 'cookie' : 'header';
  // Cookies of several services under one host must not be taken for each other.
  const named = sessionName ?? (kind === 'cookie' ? `mesh-session-${hashText(service).toString(36)}` : 'mesh-session');
  return {
    kind,
    name: kind === 'cookie' ? named : named.toLowerCase(),
    absoluteTimeoutMs: absoluteTimeout,
    idleTimeoutMs: idleTimeout,
    isPermanent: cookieConfig?.lifetimeType === 'Permanent',
  };
}
