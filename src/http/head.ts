/** Heads of HTTP messages as data: the form every codec reads into and writes from. */

/**
 * Fields in order, duplicates kept, as a flat list: name, value, name, value … Names are lower case; values hold one
 * character per byte (latin-1), without CR, LF and NUL. Connection-specific fields never appear here: framing is
 * regenerated at each hop.
 */
export type Fields = readonly string[];

export const NO_FIELDS: Fields = [];

export interface RequestHead {
  readonly method: string;
  readonly scheme: string;
  /** Host and optional port as the client sent it; may be empty (HTTP/1.0). */
  readonly authority: string;
  /** Origin-form (`/path?query`) or `*`; empty for CONNECT. Bytes as the client sent them. */
  readonly path: string;
  readonly fields: Fields;
  /** Protocol asked for by `Upgrade` ("websocket"); the two directions become raw bytes after a 101. */
  readonly upgrade: string | undefined;
  /** Destination inside the mesh, `name.namespace:port`; empty until the router has decided. */
  readonly service: string;
  /** Who asks wants to know by which way the answer comes. Stays in this process. @default false */
  readonly asksPath?: boolean;
  /** Milliseconds that who asks gives it, from now. Stays in this process. @default as many as it takes */
  readonly timeLeftMs?: number;
}

export interface ResponseHead {
  /** 100..599 */
  readonly status: number;
  readonly fields: Fields;
  /** Protocol of a 101 answer. */
  readonly upgrade: string | undefined;
}

/** The value of the first field called `name` (lower case), or undefined. */
export function getField(fields: Fields, name: string): string | undefined {
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) return fields[i + 1];
  return undefined;
}
