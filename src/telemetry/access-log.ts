/** Access log: one JSON line per request, when it is over. The query of the path is left out: it holds what people must not read. */

export interface AccessRecord {
  /** Wall time of the request head, in milliseconds since 1970. */
  readonly atMs: number;
  readonly direction: 'inbound' | 'outbound';
  /** SPIFFE id of the caller; for `outbound` the own one. */
  readonly caller: string;
  /** `name.namespace` */
  readonly service: string;
  /** Instance that answered, or empty. */
  readonly instance: string;
  readonly method: string;
  readonly path: string;
  /** 0 when the connection ended without an answer. */
  readonly status: number;
  /** Why the mesh itself answered or gave up, as in `x-skein-reason`; empty for the application's own answer. */
  readonly reason: string;
  /** For `inbound` the rule of a policy that decided; for `outbound` the rule of a route that took the request, if there was one. */
  readonly rule?: string;
  readonly durationMs: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly attempts?: number;
  readonly traceId?: string;
}

export type AccessLog = (record: AccessRecord) => void;

/** @param write takes a whole line with its end, and keeps lines apart */
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
