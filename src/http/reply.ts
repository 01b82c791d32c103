/**
 * Answers made by the mesh itself: a status, `x-skein-reason`, whether the application may have seen the request
 * (`x-skein-processed`), and a short text that names the remedy.
 */

import { type Bytes, EMPTY, encodeUtf8 } from '../core/bytes.ts';
import { ERROR_CODES, type ErrorCode, type SkeinError } from '../core/errors.ts';
import { type Fields, getField, type RequestHead, type ResponseHead } from './head.ts';

export interface Reply {
  readonly head: ResponseHead;
  /** Empty where the request wants none; the answer is complete with its head then. */
  readonly body: Bytes;
}

/** What a reader of the answer can do; the full text is docs/reference/errors.md. */
const REMEDIES: Readonly<Record<ErrorCode, string>> = {
  SKEIN_BAD_REQUEST: 'Send a well-formed request.',
  SKEIN_NOT_A_MESH_NAME: 'Use a name of the mesh: http://<service>.mesh/.',
  SKEIN_USER_TOKEN_INVALID:
    'Get a new token of the end user, made for this service; the log of the callee says what is wrong.',
  SKEIN_DENIED: 'Ask for an AuthorizationPolicy that allows this caller; the log of the callee says why.',
  SKEIN_NO_SUCH_SERVICE: 'Check the name with `skein services`.',
  SKEIN_NO_ROUTE: 'Check the routes of the service: `skein get HTTPRoute`.',
  SKEIN_ROUTE_INVALID: 'Correct the route: `skein get HTTPRoute`.',
  SKEIN_MISDIRECTED: 'Send the Host of the service that was dialled.',
  SKEIN_CANCELLED: 'The caller gave up; nothing is to be done here.',
  SKEIN_INTERNAL: 'Report this with the log of the sidecar.',
  SKEIN_STREAM_RESET: 'Try again if the request may be repeated.',
  SKEIN_SESSION_LOST: 'Try again if the request may be repeated; see `skein services`.',
  SKEIN_APP_UNREACHABLE: 'Start the application, or correct the target of --expose.',
  SKEIN_APP_PROTOCOL: 'The application does not speak HTTP correctly; look into its log.',
  SKEIN_NO_ENDPOINT: 'Start the application of an instance, or another instance; see `skein services`.',
  SKEIN_PEER_UNREACHABLE: 'Check the sidecar of the service; see `skein services`.',
  SKEIN_HUB_UNREACHABLE: 'Check the hub and the way to it.',
  SKEIN_ISSUER_UNREACHABLE:
    'Try again; the sidecar of the service cannot get the keys of the issuer, and its log says why.',
  SKEIN_REFUSED: 'Try again; the other side did not take the request.',
  SKEIN_OVERFLOW: 'Try again later; too much is under way to this service from here.',
  SKEIN_DRAINING: 'Try again; this instance is shutting down.',
  SKEIN_LIMIT: 'Send less at once, or raise the limit named here.',
  SKEIN_RATE_LIMITED: 'Send less, or wait as long as Retry-After says.',
  SKEIN_RETRY_BUDGET: 'Find out why the service fails; try again later, and less often.',
  SKEIN_DEADLINE: 'Allow more time, or find out what is slow.',
  SKEIN_PROTOCOL: 'Run compatible versions of skein on both sides.',
  SKEIN_FLOW_CONTROL: 'Run compatible versions of skein on both sides.',
  SKEIN_HANDSHAKE: 'Check clocks and versions of both sides.',
  SKEIN_REVOKED: 'An administrator has revoked this identity; `skein revoke --list` tells why.',
  SKEIN_IDENTITY: 'Check the identities of both sides with `skein status`.',
  SKEIN_TOKEN_INVALID: 'Create a new token with `skein token create`.',
  SKEIN_TOKEN_USED: 'Create a new token with `skein token create`; each works once.',
  SKEIN_TOKEN_EXPIRED: 'Create a new token with `skein token create`.',
  SKEIN_NAME_NOT_GRANTED: 'Create a token that names this service.',
  SKEIN_RESOURCE_INVALID: 'Correct what the message names.',
  SKEIN_CONFLICT: 'Read the resource again and repeat the change.',
  SKEIN_CONFIG: 'Correct the configuration.',
  SKEIN_STORE: 'Check the disk or the store of the hub.',
};

const GRPC_CONTENT = 'application/grpc';

export function isGrpc(request: RequestHead): boolean {
  return hasGrpcType(request.fields);
}

/** Is it a message of gRPC, in whatever encoding? */
export function hasGrpcType(fields: Fields): boolean {
  const type = getField(fields, 'content-type');
  return type?.startsWith(GRPC_CONTENT) === true && /^$|^[+;]/.test(type.slice(GRPC_CONTENT.length).trimStart());
}

/** The answer to `request` that says `error`; gRPC gets a trailers-only answer (gRPC over HTTP/2, Responses). */
export function makeReply(error: SkeinError, request: RequestHead): Reply {
  const meaning = ERROR_CODES[error.code];
  if (isGrpc(request)) {
    const fields = ['content-type', GRPC_CONTENT, ...makeGrpcTrailers(error)];
    return { head: { status: 200, fields, upgrade: undefined }, body: EMPTY };
  }
  const body = encodeUtf8(`${error.message}\n${REMEDIES[error.code]}\n`);
  const fields = [
    'content-type',
    'text/plain; charset=utf-8',
    'content-length',
    String(body.length),
    'cache-control',
    'no-store',
    'x-skein-reason',
    meaning.reason,
    ...toProcessedField(error),
    ...toStatusField(error),
    ...toRetryAfterField(error),
    ...toChallengeField(error),
  ];
  const head: ResponseHead = { status: error.status, fields, upgrade: undefined };
  return { head, body: request.method === 'HEAD' ? EMPTY : body };
}

/** Whoever asked knows by it whether any method may be asked again. */
function toProcessedField({ notProcessed }: SkeinError): readonly string[] {
  return ['x-skein-processed', notProcessed ? 'no' : 'maybe'];
}

/** The status that the application answered last, where the mesh answers in its place. */
function toStatusField({ details: { upstreamStatus } }: SkeinError): readonly string[] {
  return typeof upstreamStatus === 'number' ? ['x-skein-upstream-status', String(upstreamStatus)] : [];
}

/** How to come in (RFC 6750 §3.1). */
function toChallengeField({ code }: SkeinError): readonly string[] {
  return code === 'SKEIN_USER_TOKEN_INVALID' ? ['www-authenticate', 'Bearer error="invalid_token"'] : [];
}

/** When it may go better (RFC 9110 §10.2.3), in whole seconds. */
function toRetryAfterField({ details: { retryAfterMs } }: SkeinError): readonly string[] {
  return typeof retryAfterMs === 'number' ? ['retry-after', String(Math.ceil(retryAfterMs / 1000))] : [];
}

/** The same in the words of gRPC (gRFC A6, Pushback). */
function toPushback({ details: { retryAfterMs } }: SkeinError): readonly string[] {
  return typeof retryAfterMs === 'number' ? ['grpc-retry-pushback-ms', String(Math.ceil(retryAfterMs))] : [];
}

/** The end of a gRPC answer that says `error`. */
export function makeGrpcTrailers(error: SkeinError): Fields {
  const { grpcStatus, reason } = ERROR_CODES[error.code];
  return [
    'grpc-status',
    String(grpcStatus),
    'grpc-message',
    encodeGrpcMessage(error.message),
    'x-skein-reason',
    reason,
    ...toProcessedField(error),
    ...toStatusField(error),
    ...toPushback(error),
  ];
}

/** Percent-encoding of everything but printable ASCII, as gRPC's `Status-Message` wants it. */
function encodeGrpcMessage(message: string): string {
  let text = '';
  for (const byte of encodeUtf8(message)) {
    const isPlain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    text += isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return text;
}
