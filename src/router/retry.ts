/** May a failed attempt be followed by another? Only where the application certainly saw nothing of the request. */

import type { ErrorCode, SkeinError } from '../core/errors.ts';

/** What has happened to a request when an attempt fails. */
export interface AttemptFacts {
  readonly error: SkeinError;
  /** Attempts made, this one included. */
  readonly attempts: number;
  readonly maxAttempts: number;
  /** All of the request that was sent can be sent again. */
  readonly isReplayable: boolean;
  /** Part of an answer has been passed on. */
  readonly hasAnswered: boolean;
}

/** Verdicts on the request itself: every other endpoint would say the same. */
const FINAL: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'SKEIN_BAD_REQUEST',
  'SKEIN_CANCELLED',
  'SKEIN_DENIED',
  'SKEIN_MISDIRECTED',
  'SKEIN_NOT_A_MESH_NAME',
  'SKEIN_OVERFLOW',
]);

export function mayRetry({ error, attempts, maxAttempts, isReplayable, hasAnswered }: AttemptFacts): boolean {
  return error.notProcessed && isReplayable && !hasAnswered && attempts < maxAttempts && !FINAL.has(error.code);
}

/**
 * May the same endpoint be asked again when there is no other? Its session broke or is being replaced, which says nothing
 * about the instance; one that refuses or cannot be reached would only do so again.
 */
export function mayRepeat(error: SkeinError): boolean {
  return error.code === 'SKEIN_SESSION_LOST' || error.code === 'SKEIN_DRAINING';
}
