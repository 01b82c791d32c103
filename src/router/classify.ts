/** What an attempt has shown about its endpoint: the one place that says which status or error is whose fault. */

import { ERROR_CODES, type ErrorCode, type SkeinError } from '../core/errors.ts';
import { type Fields, getField, type ResponseHead } from '../http/head.ts';
import { hasGrpcType } from '../http/reply.ts';

/**
 * `success`: the endpoint does its work. `failure`: it has failed at this request. `broken`: it, or the way to it, is in
 * trouble. `busy`: it has enough to do. `neutral`: nothing can be told.
 */
export type Outcome = 'success' | 'failure' | 'broken' | 'busy' | 'neutral';

const BY_STATUS: Readonly<Record<number, Outcome>> = {
  429: 'busy',
  500: 'failure',
  502: 'broken',
  503: 'broken',
  504: 'broken',
};

/** By final status. Of the 5xx only those count that an instance in trouble gives; 501 and 505 judge the request. */
export function classifyStatus(status: number): Outcome {
  return BY_STATUS[status] ?? 'success';
}

/** Of the codes of gRPC: what says as much as those statuses. A deadline is the caller's, and a denial is an answer. */
const BY_GRPC_STATUS: Readonly<Record<string, Outcome>> = {
  '2': 'failure', // UNKNOWN
  '8': 'busy', // RESOURCE_EXHAUSTED
  '13': 'failure', // INTERNAL
  '14': 'broken', // UNAVAILABLE
  '15': 'failure', // DATA_LOSS
};

/** By the fields that end an answer of gRPC, which has a status of HTTP that says nothing. */
export function classifyGrpc(fields: Fields): Outcome {
  const status = getField(fields, 'grpc-status');
  return status === undefined ? 'failure' : (BY_GRPC_STATUS[status] ?? 'success');
}

const UNREACHABLE = ERROR_CODES.SKEIN_ISSUER_UNREACHABLE.reason;

/** By the head of an answer; undefined where that of gRPC tells at its end. */
export function classifyHead(head: ResponseHead): Outcome | undefined {
  const { status, fields } = head;
  // Said by the sidecar of the callee: what is away is the issuer of the token, and any token may name one that is.
  if (status >= 200 && getField(fields, 'x-skein-reason') === UNREACHABLE) return 'neutral';
  if (status !== 200 || !hasGrpcType(fields)) return classifyStatus(status);
  return getField(fields, 'grpc-status') === undefined ? undefined : classifyGrpc(fields);
}

/** Refusals and cancellations: the endpoint did as it should, or nothing to do with it. */
const NEUTRAL: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'SKEIN_BAD_REQUEST',
  'SKEIN_CANCELLED',
  'SKEIN_DENIED',
  'SKEIN_HUB_UNREACHABLE',
  'SKEIN_MISDIRECTED',
  'SKEIN_OVERFLOW',
]);

export function classifyError(error: SkeinError): Outcome {
  return NEUTRAL.has(error.code) ? 'neutral' : 'broken';
}
