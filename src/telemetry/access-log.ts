/** Access log: one JSON line per request, when it is over. The query of the path is left out: it holds what people must not read. */

/** One request, when it is over. */
export interface AccessRecord {
  /** Wall time of the request head, in milliseconds since 1970. */
  readonly atMs: number;
  /** Did a request come from the mesh, or go there? */
  readonly direction: 'inbound' | 'outbound';
  /** SPIFFE id of the caller; for `outbound` the own one. */
  readonly caller: string;
  /** `name.namespace` */
  readonly service: string;
  /** Instance that answered, or empty. */
  readonly instance: string;
  /** As it was sent: `GET`. */
  readonly method: string;
  /** With its query, which `createAccessLog` leaves out. */
  readonly path: string;
  /** 0 when the connection ended without an answer. */
  readonly status: number;
  /** Why the mesh itself answered or gave up, as in `x-skein-reason`; empty for the application's own answer. */
  readonly reason: string;
  /** For `inbound` the rule of a policy that decided; for `outbound` the rule of a route that took the request, if there was one. */
  readonly rule?: string;
  /** From the head of the request to the end of the answer. */
  readonly durationMs: number;
  /** Of its body, as far as it came. */
  readonly requestBytes: number;
  /** Of the body of its answer. */
  readonly responseBytes: number;
  /** How often it was tried; for `outbound`. */
  readonly attempts?: number;
  /** 32 hexadecimal digits, as in `traceparent`. */
  readonly traceId?: string;
}

/** Is told of each request when it is over; it must not throw. */
export type AccessLog = (record: AccessRecord) => void;

/**
 * An access log of JSON lines.
 * @param write takes a whole line with its end, and keeps lines apart
 */
export function createAccessLog(write: (line: string) => void): AccessLog {
  return (record) => {
    const { atMs, path, durationMs, ...rest } = record;
    const line = {
      event: 'request',
      at: new Date(atMs).toISOString(),
      ...rest,
      path: withoutQuery(path),
      durationMs: Math.round(durationMs * 1000) / 1000,
    };
    write(`${JSON.stringify(line)}\n`);
  };
}

function withoutQuery(path: string): string {
  const query = path.indexOf('?');
  return query < 0 ? path : path.slice(0, query);
}
