/**
 * Deadlines that travel with a request: `grpc-timeout` (gRPC over HTTP/2, Requests), and `x-skein-deadline` for all of HTTP.
 * Between members the latter is the time that is left, `1s500ms`, because their clocks differ. An application reads the
 * moment itself, in milliseconds since 1970, so that it can hand the field on to what it calls, however long it took until then.
 */

import { formatDuration, tryParseDuration } from '../core/duration.ts';
import { removeField } from './fields.ts';
import { type Fields, getField, type RequestHead } from './head.ts';
import { isGrpc } from './reply.ts';

export const DEADLINE_FIELD = 'x-skein-deadline';
const GRPC_TIMEOUT = 'grpc-timeout';

/** A value that is no deadline. */
export const NO_DEADLINE = 'invalid';

/** Milliseconds of the units of `grpc-timeout`. */
const GRPC_UNITS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };
/** At most eight digits. */
const GRPC_VALUE = /^([0-9]{1,8})([HMSmun])$/;
const MAX_GRPC_DIGITS = 99_999_999;

/** Milliseconds that are left by `x-skein-deadline`; undefined where there is none. */
export function readDeadline(fields: Fields, epochMs: number): number | typeof NO_DEADLINE | undefined {
  const value = getField(fields, DEADLINE_FIELD);
  if (value === undefined) return undefined;
  if (/^[0-9]{13}$/.test(value)) return Math.max(0, Number(value) - epochMs);
  return tryParseDuration(value) ?? NO_DEADLINE;
}

/** Milliseconds that the caller of a method of gRPC gives it; undefined for all else, and for what is no timeout. */
export function readGrpcTimeout(head: RequestHead): number | undefined {
  const value = getField(head.fields, GRPC_TIMEOUT);
  return value === undefined || !isGrpc(head) ? undefined : parseGrpcTimeout(value);
}

/** Milliseconds, not always whole. */
export function parseGrpcTimeout(value: string): number | undefined {
  const [, digits, unit] = GRPC_VALUE.exec(value) ?? [];
  return digits === undefined || unit === undefined ? undefined : Number(digits) * (GRPC_UNITS[unit] ?? 0);
}

/** The finest unit that takes the number, rounded down: nobody gets more time than there is. */
export function formatGrpcTimeout(ms: number): string {
  if (ms * 1000 <= MAX_GRPC_DIGITS) return `${Math.floor(ms * 1000)}u`;
  if (ms <= MAX_GRPC_DIGITS) return `${Math.floor(ms)}m`;
  return `${Math.min(MAX_GRPC_DIGITS, Math.floor(ms / 1000))}S`;
}

/** The same request with `leftMs` to go, as other members read it. */
export function withTimeLeft(head: RequestHead, leftMs: number): RequestHead {
  const left = formatDuration(Math.ceil(leftMs));
  const fields = [...removeField(head.fields, DEADLINE_FIELD), DEADLINE_FIELD, left];
  if (isGrpc(head)) {
    for (let i = 0; i < fields.length; i += 2)
      if (fields[i] === GRPC_TIMEOUT) fields[i + 1] = formatGrpcTimeout(leftMs);
  }
  return { ...head, fields };
}

/** What an application reads. */
export function toDeadlineField(leftMs: number, epochMs: number): Fields {
  return [DEADLINE_FIELD, String(Math.floor(epochMs + leftMs))];
}
