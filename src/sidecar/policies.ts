/** What policies have denied at this sidecar of late, or would have, as its admin port tells it. */

import type { Agent } from '../agent/agent.ts';
import { MAX_WINDOW_MS, type PolicyReport, PolicyReporter } from '../agent/policy-report.ts';
import { tryParseDuration } from '../core/duration.ts';
import { SkeinError } from '../core/errors.ts';

/** Counts from now on. */
export function followPolicies({ clock, inboundEvents }: Agent): PolicyReporter {
  const reporter = new PolicyReporter(clock);
  inboundEvents.on('judged', (fact) => reporter.note(fact));
  return reporter;
}

/** @param window as `1h`. @throws SkeinError SKEIN_BAD_REQUEST */
export function describePolicies(reporter: PolicyReporter, window: string | undefined): PolicyReport {
  const windowMs = window === undefined ? MAX_WINDOW_MS : tryParseDuration(window);
  if (windowMs === undefined || windowMs <= 0 || windowMs > MAX_WINDOW_MS) {
    throw new SkeinError('SKEIN_BAD_REQUEST', 'Cannot report: the window is no duration of at most 24h');
  }
  return reporter.report(windowMs);
}
