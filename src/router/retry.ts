/**
 * May a failed attempt be followed by another? Always where the application certainly saw nothing of the request. What it may
 * have seen is repeated only if its method allows that (RFC 9110 §9.2.2), whatever a route says: nothing is done twice.
 */

import { type ErrorCode, SkeinError } from '../core/errors.ts';
import type { Random } from '../core/random.ts';

/** What is tried again, compiled from a rule's `retry`, or the default. */
export interface RetryPolicy {
  /** Attempts after the first. */
  readonly retries: number;
  /** Statuses of an answer that count as failures. */
  readonly codes: ReadonlySet<number>;
  /** Least time before another attempt. */
  readonly backoffMs: number;
  /** A route asks for it; then attempts that took too long are repeated too, and the last failure is told as 503. */
  readonly isAsked: boolean;
}

/** What has happened to a request when an attempt fails. */
export interface AttemptFacts {
  /** Attempts made, this one included. */
  readonly attempts: number;
  /** The method may be repeated. */
  readonly isIdempotent: boolean;
  /** All of the request that was sent can be sent again. */
  readonly isReplayable: boolean;
  /** Part of an answer has been passed on. */
  readonly hasAnswered: boolean;
}

/** `free`: costs the application nothing, because it saw nothing. `budgeted`: it may do the same work again. */
export type RetryVerdict = 'no' | 'free' | 'budgeted';

/** Verdicts on the request itself: every other endpoint would say the same. */
const FINAL: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'SKEIN_BAD_REQUEST',
  'SKEIN_CANCELLED',
  'SKEIN_DENIED',
  'SKEIN_MISDIRECTED',
  'SKEIN_NOT_A_MESH_NAME',
  'SKEIN_ROUTE_INVALID',
]);

/** The connection broke under the request. */
const BROKEN: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'SKEIN_REVOKED',
  'SKEIN_SESSION_LOST',
  'SKEIN_STREAM_RESET',
]);

export function judgeError(policy: RetryPolicy, error: SkeinError, facts: AttemptFacts): RetryVerdict {
  if (!mayGoOn(policy, facts) || FINAL.has(error.code)) return 'no';
  if (error.notProcessed) return 'free';
  if (!facts.isIdempotent) return 'no';
  if (BROKEN.has(error.code)) return 'budgeted';
  return policy.isAsked && (error.code === 'SKEIN_DEADLINE' || error.code === 'SKEIN_APP_PROTOCOL') ? 'budgeted' : 'no';
}

export function judgeStatus(policy: RetryPolicy, status: number, facts: AttemptFacts): RetryVerdict {
  return policy.codes.has(status) && facts.isIdempotent && mayGoOn(policy, facts) ? 'budgeted' : 'no';
}

function mayGoOn({ retries }: RetryPolicy, { attempts, isReplayable, hasAnswered }: AttemptFacts): boolean {
  return attempts <= retries && isReplayable && !hasAnswered;
}

/**
 * May the same endpoint be asked again when there is no other? Its session broke or is being replaced, which says nothing
 * about the instance; one that refuses or cannot be reached would only do so again.
 */
export function mayRepeat(error: SkeinError): boolean {
  return error.code === 'SKEIN_SESSION_LOST' || error.code === 'SKEIN_DRAINING';
}

/** What the client is told when no further attempt follows: of broken connections that a route wanted repeated, 503. */
export function toLastError({ isAsked, retries }: RetryPolicy, error: SkeinError, attempts: number): SkeinError {
  if (!isAsked || attempts <= retries || !BROKEN.has(error.code)) return error;
  const { code, message, notProcessed } = error;
  return new SkeinError(code, `${message} (${attempts} attempts)`, { cause: error, status: 503, notProcessed });
}

/** There was nobody who could have been asked; one who refuses for want of room, or whose application is down, was there. */
const NOBODY_THERE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'SKEIN_DRAINING',
  'SKEIN_NO_ENDPOINT',
  'SKEIN_PEER_UNREACHABLE',
  'SKEIN_SESSION_LOST',
]);
/** Of one request. Each costs a question to a hub and is at an endpoint that was not tried before. */
const MAX_UNCOUNTED = 16;

/**
 * Is a failed attempt not to be counted, if another endpoint can be asked? A hub that was restarted believes for a while in all whom it
 * knew: those who do not come back should not use up what a request has for the failures of others.
 * @param uncounted how many there were before
 */
export function ledNowhere({ retries }: RetryPolicy, error: SkeinError, uncounted: number): boolean {
  return retries > 0 && uncounted < MAX_UNCOUNTED && error.notProcessed && NOBODY_THERE.has(error.code);
}

/** Growth of the wait: Envoy's base interval, and ten times that as its cap (full jitter). */
const BASE_MS = 25;
const CAP_MS = 250;

/**
 * Milliseconds before the attempt that follows `attempts` others: the least time that the policy gives, and a chance part above
 * it, so that those who failed together do not come back together.
 */
export function chooseBackoffMs({ backoffMs }: RetryPolicy, attempts: number, random: Random): number {
  return backoffMs + random.ratio() * Math.min(CAP_MS, BASE_MS * 2 ** Math.min(attempts - 1, 10));
}

/** That the last attempt came to nothing says nothing of those before. */
export function toPossiblyDone(error: SkeinError): SkeinError {
  if (!error.notProcessed) return error;
  const { code, message, status, details } = error;
  return new SkeinError(code, message, { cause: error, status, details, notProcessed: false });
}

/** The service has used up what its retries may be. */
export function overBudget(cause: SkeinError | undefined, upstreamStatus: number | undefined): SkeinError {
  return new SkeinError('SKEIN_RETRY_BUDGET', 'Cannot try again: the service fails too often', {
    cause,
    details: upstreamStatus === undefined ? {} : { upstreamStatus },
  });
}
