/** `SkeinError` and the one closed registry of its stable codes: what each means on HTTP, on gRPC and for a retry. */

/** What a code means outside. */
export interface ErrorMeaning {
  /** HTTP status of an answer that the mesh itself makes. */
  readonly status: number;
  /** Number in the gRPC status registry, of the same answer to a gRPC call. */
  readonly grpcStatus: number;
  /** The value of `x-skein-reason`. */
  readonly reason: string;
  /** The request certainly did not reach the application, so that any method may be tried again. */
  readonly notProcessed: boolean;
}

/** All codes there are, each with its meaning; `docs/reference/errors.md` has the cause and the fix of each. */
export const ERROR_CODES = {
  SKEIN_BAD_REQUEST: { status: 400, grpcStatus: 13, reason: 'bad-request', notProcessed: true },
  SKEIN_NOT_A_MESH_NAME: { status: 403, grpcStatus: 7, reason: 'not-a-mesh-name', notProcessed: true },
  SKEIN_USER_TOKEN_INVALID: { status: 401, grpcStatus: 16, reason: 'user-token-invalid', notProcessed: true },
  SKEIN_DENIED: { status: 403, grpcStatus: 7, reason: 'authz', notProcessed: true },
  SKEIN_NO_SUCH_SERVICE: { status: 404, grpcStatus: 12, reason: 'no-such-service', notProcessed: true },
  SKEIN_NO_ROUTE: { status: 404, grpcStatus: 12, reason: 'no-route', notProcessed: true },
  SKEIN_ROUTE_INVALID: { status: 500, grpcStatus: 14, reason: 'route-invalid', notProcessed: true },
  SKEIN_MISDIRECTED: { status: 421, grpcStatus: 14, reason: 'misdirected', notProcessed: true },
  SKEIN_CANCELLED: { status: 499, grpcStatus: 1, reason: 'cancelled', notProcessed: false },
  SKEIN_INTERNAL: { status: 500, grpcStatus: 13, reason: 'internal', notProcessed: false },
  SKEIN_STREAM_RESET: { status: 502, grpcStatus: 14, reason: 'stream-reset', notProcessed: false },
  SKEIN_SESSION_LOST: { status: 502, grpcStatus: 14, reason: 'session-lost', notProcessed: false },
  SKEIN_APP_UNREACHABLE: { status: 502, grpcStatus: 14, reason: 'app-unreachable', notProcessed: true },
  SKEIN_APP_PROTOCOL: { status: 502, grpcStatus: 14, reason: 'app-protocol', notProcessed: false },
  SKEIN_NO_ENDPOINT: { status: 503, grpcStatus: 14, reason: 'no-endpoint', notProcessed: true },
  SKEIN_PEER_UNREACHABLE: { status: 503, grpcStatus: 14, reason: 'peer-unreachable', notProcessed: true },
  SKEIN_HUB_UNREACHABLE: { status: 503, grpcStatus: 14, reason: 'hub-unreachable', notProcessed: true },
  SKEIN_ISSUER_UNREACHABLE: { status: 503, grpcStatus: 14, reason: 'issuer-unreachable', notProcessed: true },
  SKEIN_REFUSED: { status: 503, grpcStatus: 14, reason: 'refused', notProcessed: true },
  SKEIN_DRAINING: { status: 503, grpcStatus: 14, reason: 'draining', notProcessed: true },
  SKEIN_OVERFLOW: { status: 503, grpcStatus: 14, reason: 'overflow', notProcessed: true },
  SKEIN_LIMIT: { status: 503, grpcStatus: 8, reason: 'limit', notProcessed: true },
  SKEIN_RATE_LIMITED: { status: 429, grpcStatus: 8, reason: 'rate-limited', notProcessed: true },
  SKEIN_RETRY_BUDGET: { status: 503, grpcStatus: 14, reason: 'retry-budget', notProcessed: false },
  SKEIN_DEADLINE: { status: 504, grpcStatus: 4, reason: 'deadline', notProcessed: false },
  SKEIN_PROTOCOL: { status: 502, grpcStatus: 13, reason: 'protocol', notProcessed: false },
  SKEIN_FLOW_CONTROL: { status: 502, grpcStatus: 13, reason: 'flow-control', notProcessed: false },
  SKEIN_HANDSHAKE: { status: 503, grpcStatus: 14, reason: 'handshake', notProcessed: true },
  SKEIN_IDENTITY: { status: 403, grpcStatus: 16, reason: 'identity', notProcessed: true },
  SKEIN_REVOKED: { status: 403, grpcStatus: 16, reason: 'revoked', notProcessed: true },
  SKEIN_TOKEN_INVALID: { status: 401, grpcStatus: 16, reason: 'token-invalid', notProcessed: true },
  SKEIN_TOKEN_USED: { status: 401, grpcStatus: 16, reason: 'token-used', notProcessed: true },
  SKEIN_TOKEN_EXPIRED: { status: 401, grpcStatus: 16, reason: 'token-expired', notProcessed: true },
  SKEIN_NAME_NOT_GRANTED: { status: 403, grpcStatus: 7, reason: 'name-not-granted', notProcessed: true },
  SKEIN_RESOURCE_INVALID: { status: 422, grpcStatus: 3, reason: 'resource-invalid', notProcessed: true },
  SKEIN_CONFLICT: { status: 409, grpcStatus: 10, reason: 'conflict', notProcessed: true },
  SKEIN_CONFIG: { status: 500, grpcStatus: 9, reason: 'config', notProcessed: true },
  SKEIN_STORE: { status: 500, grpcStatus: 15, reason: 'store', notProcessed: false },
} as const satisfies Record<string, ErrorMeaning>;

/** A code of the registry: the list is closed. */
export type ErrorCode = keyof typeof ERROR_CODES;

/** What a failure may tell beside its code and message. */
export interface SkeinErrorOptions {
  /** What was thrown below, and led to this. */
  readonly cause?: unknown;
  /** Data for programs; it is frozen and printed by logs, so it holds no secret. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** Overrides the registry where one code covers several HTTP statuses (400, 413, 431, 501, 505). */
  readonly status?: number;
  /** Overrides the registry when it is known that the application did, or did not, see the request. */
  readonly notProcessed?: boolean;
}

/** Every failure that crosses a folder. Programs branch on `code`, never on the message. */
export class SkeinError extends Error {
  /** For logs; to recognise one use `instanceof` or `code`. */
  override readonly name = 'SkeinError';
  /** What went wrong, for programs. */
  readonly code: ErrorCode;
  /** HTTP status that answers the request that failed so. */
  readonly status: number;
  /** The request certainly did not reach the application, so that any method may be tried again. */
  readonly notProcessed: boolean;
  /** Data for programs, frozen, no secrets. Empty when nothing was given. */
  readonly details: Readonly<Record<string, unknown>>;

  /**
   * A failure, with the meaning of its code but for what the options say.
   * @param message says what could not be done and why, for people: `Cannot open stream: session is draining`
   */
  constructor(code: ErrorCode, message: string, options: SkeinErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    const meaning = ERROR_CODES[code];
    this.code = code;
    this.status = options.status ?? meaning.status;
    this.notProcessed = options.notProcessed ?? meaning.notProcessed;
    this.details = Object.freeze({ ...options.details });
  }

  /** The value of `x-skein-reason`. */
  get reason(): string {
    return ERROR_CODES[this.code].reason;
  }
}

/** Is a text, from a log or another process, one of the codes? */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERROR_CODES, text);
}

/** Wraps whatever was thrown; a `SkeinError` passes through unchanged. */
export function toSkeinError(thrown: unknown, code: ErrorCode = 'SKEIN_INTERNAL'): SkeinError {
  if (thrown instanceof SkeinError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new SkeinError(code, message, { cause: thrown });
}
