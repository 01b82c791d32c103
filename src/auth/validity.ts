/** When a token is good: NumericDates as they are read, and the leeway for clocks that differ. */

import type { Clock } from '../core/clock.ts';
import { formatDuration } from '../core/duration.ts';
import { SkeinError } from '../core/errors.ts';

/** Of a WIT-SVID. Long, because hubs may be away for a night; renewed hourly, and ended early by revocation, not by expiry. */
export const WIT_LIFETIME_MS = 24 * 3_600_000;
/** By how much clocks of issuer and verifiers may differ without harm. */
export const TOLERATED_SKEW_MS = 300_000;
/** For whole seconds, and for what is under way; less than the skew, because it also lengthens the life of every token. */
const LEEWAY_MS = 30_000;

export interface Validity {
  readonly notBeforeMs: number;
  readonly expiresAtMs: number;
}

/** NumericDate in whole seconds, up to the year 9999. */
export function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < 253_402_300_800;
}

/** A number of things that are counted. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Why its time is not now, or undefined. */
export function whyUntimely({ notBeforeMs, expiresAtMs }: Validity, nowMs: number): 'early' | 'expired' | undefined {
  if (nowMs + LEEWAY_MS < notBeforeMs) return 'early';
  return nowMs - LEEWAY_MS >= expiresAtMs ? 'expired' : undefined;
}

/**
 * Only of what its issuer has signed may it be said that its time is not now.
 * @param hubAheadMs by how much the clock of a hub was seen to be ahead of this one, in milliseconds; undefined: it is not known
 * @throws SkeinError SKEIN_IDENTITY
 */
export function checkValidity(validity: Validity, clock: Clock, hubAheadMs?: number): void {
  const nowMs = clock.epochMs();
  const why = whyUntimely(validity, nowMs);
  if (why === 'early') throw untimely(`is good only from ${toTime(validity.notBeforeMs)} on`, nowMs, hubAheadMs);
  if (why === 'expired') throw untimely(`has expired at ${toTime(validity.expiresAtMs)}`, nowMs, hubAheadMs);
}

function untimely(state: string, nowMs: number, hubAheadMs: number | undefined): SkeinError {
  return new SkeinError(
    'SKEIN_IDENTITY',
    `Cannot trust credential: it ${state}, and it is ${toTime(nowMs)} here; check the clock${describeOffset(hubAheadMs)}`,
    {
      details: {
        ...(hubAheadMs === undefined ? {} : { hubAheadMs }),
        remedy: `Set the clock of this machine and that of the hub, with NTP: they may differ by ${TOLERATED_SKEW_MS / 60_000} min.`,
      },
    },
  );
}

/** In whole seconds: the times of SVIDs are. */
function describeOffset(hubAheadMs: number | undefined): string {
  if (hubAheadMs === undefined) return '';
  const seconds = Math.round(Math.abs(hubAheadMs) / 1000);
  if (seconds < 2) return ', which agrees with that of the hub here: the other one is wrong';
  return `, which is ${formatDuration(seconds * 1000)} ${hubAheadMs > 0 ? 'behind' : 'ahead of'} that of the hub`;
}

function toTime(ms: number): string {
  return new Date(ms).toISOString();
}
