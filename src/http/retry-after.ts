/** When to come back: the Retry-After field (RFC 9110 §10.2.3), and what gRPC has instead (gRFC A6, Pushback). */

import { type Fields, getField } from './head.ts';

/** Milliseconds to wait by what an answer says, in its head or at its end; undefined when it says nothing. */
export function readRetryAfter(fields: Fields, epochMs: number): number | undefined {
  const pushback = getField(fields, 'grpc-retry-pushback-ms');
  if (pushback !== undefined && /^\d{1,9}$/.test(pushback)) return Number(pushback);
  return parseRetryAfter(getField(fields, 'retry-after') ?? '', epochMs);
}

/** Milliseconds to wait, 0 or more; undefined when `value` is neither a number of seconds nor a date. */
export function parseRetryAfter(value: string, epochMs: number): number | undefined {
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  // IMF-fixdate alone: the other two forms of HTTP-date are obsolete, and Date.parse reads much that is no date of HTTP.
  if (!/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(value)) return undefined;
  const atMs = Date.parse(value);
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - epochMs);
}
