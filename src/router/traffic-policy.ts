/** What a BackendTrafficPolicy says, in the words of the router; what it leaves open stays as the member has it. */

import type { BackendTrafficPolicy } from '../catalog/backend-traffic-policy.ts';
import type { RouterOptions } from './options.ts';

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
