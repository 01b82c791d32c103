/**
 * BackendTrafficPolicy: how requests to a service are spread, tried again and held back. The members of Gateway API's
 * XBackendTrafficPolicy (GEP-3388, GEP-1619), and beside them those of the balancer, the breaker and outlier detection.
 */

import * as v from 'valibot';
import { fieldName } from './http-match.ts';
import { type Parsed, toIssues } from './issue.ts';
import { compareAge, duration, objectName } from './meta.ts';
import type { Manifest } from './resource.ts';
import { tryParseServiceName } from './service.ts';
import { tryParseSpiffePattern } from './spiffe-pattern.ts';

export const BACKEND_TRAFFIC_POLICY = 'BackendTrafficPolicy';
const MAX_TARGETS = 16;
const MAX_COUNT = 1_000_000;
const HOUR_MS = 3_600_000;

const targetRef = v.strictObject({
  group: v.optional(v.literal('', 'is not "": only services can be targets'), ''),
  kind: v.optional(v.literal('Service', 'is not Service: nothing else can be a target'), 'Service'),
  name: objectName,
});

const percent = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(100));
const count = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(MAX_COUNT));
const positive = v.pipe(
  duration,
  v.check((ms) => ms > 0, 'is no time at all'),
);
const interval = v.pipe(
  duration,
  v.check((ms) => ms >= 1000 && ms <= HOUR_MS, 'is not between 1s and 1h'),
);

const HASH_SOURCES = { Header: 'header', Cookie: 'cookie', QueryParam: 'queryParam' } as const;

const consistentHash = v.pipe(
  v.strictObject({
    type: v.picklist(['Header', 'Cookie', 'QueryParam']),
    header: v.optional(v.strictObject({ name: fieldName })),
    cookie: v.optional(v.strictObject({ name: fieldName })),
    queryParam: v.optional(v.strictObject({ name: v.pipe(v.string(), v.minLength(1), v.maxLength(256)) })),
  }),
  v.check(
    (value) =>
      Object.entries(HASH_SOURCES).every(([type, member]) => (type === value.type) === (value[member] !== undefined)),
    ({ input }) => `must give ${HASH_SOURCES[input.type]}, and none of the other sources`,
  ),
);

const loadBalancer = v.pipe(
  v.strictObject({
    type: v.optional(v.picklist(['PeakEwma', 'ConsistentHash']), 'PeakEwma'),
    consistentHash: v.optional(consistentHash),
    slowStart: v.optional(v.strictObject({ window: positive })),
  }),
  v.check(
    (value) => (value.type === 'ConsistentHash') === (value.consistentHash !== undefined),
    'must give consistentHash with type ConsistentHash, and only then',
  ),
);

const retryConstraint = v.strictObject({
  budget: v.optional(v.strictObject({ percent: v.optional(percent, 20), interval: v.optional(interval, '10s') }), {}),
  minRetryRate: v.optional(v.strictObject({ count: v.optional(count, 10), interval: v.optional(interval, '1s') }), {}),
});

const circuitBreaker = v.strictObject({ maxRequests: v.optional(count), maxConnections: v.optional(count) });

const outlierDetection = v.pipe(
  v.strictObject({
    consecutiveFailures: v.optional(count),
    interval: v.optional(positive),
    baseEjectionTime: v.optional(positive),
    maxEjectionTime: v.optional(positive),
    maxEjectionPercent: v.optional(percent),
  }),
  v.check(
    ({ baseEjectionTime = 0, maxEjectionTime = Number.POSITIVE_INFINITY }) => baseEjectionTime <= maxEjectionTime,
    'gives baseEjectionTime longer than maxEjectionTime',
  ),
);

const health = v.strictObject({ panicThreshold: v.optional(percent), maxRetryAfter: v.optional(positive) });

const sessionPersistence = v.pipe(
  v.strictObject({
    sessionName: v.optional(v.pipe(fieldName, v.maxLength(128, 'is longer than 128 characters'))),
    absoluteTimeout: v.optional(positive),
    idleTimeout: v.optional(positive),
    type: v.optional(v.picklist(['Cookie', 'Header']), 'Cookie'),
    cookieConfig: v.optional(
      v.strictObject({ lifetimeType: v.optional(v.picklist(['Permanent', 'Session']), 'Session') }),
    ),
  }),
  v.check(
    ({ cookieConfig, absoluteTimeout }) => cookieConfig?.lifetimeType !== 'Permanent' || absoluteTimeout !== undefined,
    'has a permanent cookie without absoluteTimeout',
  ),
  v.check(
    ({ cookieConfig, type }) => cookieConfig === undefined || type === 'Cookie',
    'has cookieConfig with type Header',
  ),
);

const MAX_OVERRIDES = 64;
const rateMembers = { requests: count, interval: v.optional(interval, '1s'), burst: v.optional(count) };
const callerId = v.pipe(
  v.string(),
  v.check((text) => tryParseSpiffePattern(text) !== undefined, 'is not a SPIFFE id pattern'),
);
const callerIds = v.pipe(v.array(callerId), v.minLength(1, 'is empty'), v.maxLength(MAX_OVERRIDES));

/** Of each instance, by each instance: what it takes of its callers, whom it knows by their identities. */
const rateLimit = v.strictObject({
  total: v.optional(v.strictObject(rateMembers)),
  perCaller: v.optional(v.strictObject(rateMembers)),
  overrides: v.optional(
    v.pipe(v.array(v.strictObject({ ids: callerIds, ...rateMembers })), v.maxLength(MAX_OVERRIDES)),
  ),
});

const spec = v.strictObject({
  targetRefs: v.pipe(
    v.array(targetRef),
    v.minLength(1, 'is empty'),
    v.maxLength(MAX_TARGETS, `has more than ${MAX_TARGETS} entries`),
    v.check((refs) => new Set(refs.map(({ name }) => name)).size === refs.length, 'has one target twice'),
  ),
  loadBalancer: v.optional(loadBalancer),
  retryConstraint: v.optional(retryConstraint),
  circuitBreaker: v.optional(circuitBreaker),
  outlierDetection: v.optional(outlierDetection),
  health: v.optional(health),
  sessionPersistence: v.optional(sessionPersistence),
  rateLimit: v.optional(rateLimit),
});

export type BackendTrafficSpec = v.InferOutput<typeof spec>;

export interface BackendTrafficPolicy {
  readonly name: string;
  readonly namespace: string;
  /** RFC 3339; empty when nobody has written it down. */
  readonly createdAt: string;
  readonly spec: BackendTrafficSpec;
}

/** Every issue, or the policy. `metadata` was checked by `parse.ts`. */
export function parseBackendTrafficPolicy(manifest: Manifest): Parsed<BackendTrafficPolicy> {
  const result = v.safeParse(spec, manifest.spec);
  if (!result.success) return { issues: toIssues(result.issues, 'spec') };
  const { name, namespace, creationTimestamp } = manifest.metadata;
  const createdAt = typeof creationTimestamp === 'string' ? creationTimestamp : '';
  return { value: { name, namespace, createdAt, spec: result.output } };
}

/** The services that a policy is for: those of its own namespace. */
export function targetsOf({ namespace, spec: { targetRefs } }: BackendTrafficPolicy): readonly string[] {
  return targetRefs.flatMap(({ name }) => tryParseServiceName(`${name}.${namespace}`)?.key ?? []);
}

/** The policy of each service: of several the oldest, of two as old the first by name (GEP-713). */
export function choosePolicies(policies: Iterable<BackendTrafficPolicy>): ReadonlyMap<string, BackendTrafficPolicy> {
  const chosen = new Map<string, BackendTrafficPolicy>();
  for (const policy of [...policies].sort(compareAge)) {
    for (const service of targetsOf(policy)) if (!chosen.has(service)) chosen.set(service, policy);
  }
  return chosen;
}
