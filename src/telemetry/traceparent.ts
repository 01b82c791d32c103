/** W3C Trace Context, level 1: the `traceparent` field, read strictly, kept when valid, made when absent. */

import { toHex } from '../core/bytes.ts';
import type { Random } from '../core/random.ts';

export interface TraceParent {
  /** 32 hexadecimal digits, not all zero. */
  readonly traceId: string;
  /** Id of the sender's span: 16 hexadecimal digits, not all zero. */
  readonly parentId: string;
  readonly sampled: boolean;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const NO_TRACE = '0'.repeat(32);
const NO_PARENT = '0'.repeat(16);
const SAMPLED = 1;

/** Undefined when the value is not valid: a new trace is begun then (W3C Trace Context §3.2, §4.3). */
export function parseTraceParent(value: string): TraceParent | undefined {
  const match = TRACEPARENT.exec(value);
  if (match === null) return undefined;
  const [, version = '', traceId = '', parentId = '', flags = '', rest] = match;
  // Version 00 ends with the flags; a later one may go on; ff is forbidden.
  if (version === 'ff' || (version === '00' && rest !== undefined)) return undefined;
  if (traceId === NO_TRACE || parentId === NO_PARENT) return undefined;
  return { traceId, parentId, sampled: (Number.parseInt(flags, 16) & SAMPLED) !== 0 };
}

/** A span of the same trace, or of a new one. */
export function createTraceParent(random: Random, parent?: TraceParent, sampled = true): TraceParent {
  if (parent !== undefined) {
    const { traceId, sampled: isSampled } = parent;
    return { traceId, parentId: createSpanId(random), sampled: isSampled };
  }
  // Both ids of one draw: each request begins so.
  const digits = toHex(random.bytes(24));
  const traceId = digits.slice(0, NO_TRACE.length);
  const parentId = digits.slice(NO_TRACE.length);
  if (traceId === NO_TRACE || parentId === NO_PARENT) return createTraceParent(random, parent, sampled);
  return { traceId, parentId, sampled };
}

export function formatTraceParent({ traceId, parentId, sampled }: TraceParent): string {
  return `00-${traceId}-${parentId}-${sampled ? '01' : '00'}`;
}

function createSpanId(random: Random): string {
  const id = toHex(random.bytes(8));
  return id === NO_PARENT ? createSpanId(random) : id;
}
