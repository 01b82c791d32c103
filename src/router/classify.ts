/** What an attempt has shown about its endpoint: the one place that says which status or error is whose fault. */

import type { ErrorCode, SkeinError } from '../core/errors.ts';

/** `success`: the endpoint does its work. `failure`: it, or the way to it, is at fault. `neutral`: nothing can be told. */
export type Outcome = 'success' | 'failure' | 'neutral';

/** By final status. Of the 5xx only those that gateways give for an instance in trouble count; 501 and 505 judge the request. */
export function classifyStatus(status: number): Outcome {
  return status === 500 || status === 502 || status === 503 || status === 504 ? 'failure' : 'success';
}

/** Refusals and cancellations: the endpoint did as it should, or nothing to do with it. */
const NEUTRAL: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'SKEIN_BAD_REQUEST',
  'SKEIN_CANCELLED',
  'SKEIN_DENIED',
  'SKEIN_HUB_UNREACHABLE',
  'SKEIN_MISDIRECTED',
]);

export function classifyError(error: SkeinError): Outcome {
  return NEUTRAL.has(error.code) ? 'neutral' : 'failure';
}
