/** Wire codes of RESET, STOP, GOAWAY and CLOSE, and the errors they become. Names follow RFC 9113 §7 where it has one. */

import { type Bytes, decodeUtf8 } from '../core/bytes.ts';
import { type ErrorCode, SkeinError } from '../core/errors.ts';

/** Code on the wire → error above. The numbers are frozen; docs/protocol.md §6 lists them. */
const WIRE_CODES = [
  [0, 'SKEIN_CANCELLED'],
  [1, 'SKEIN_PROTOCOL'],
  [2, 'SKEIN_INTERNAL'],
  [3, 'SKEIN_FLOW_CONTROL'],
  [4, 'SKEIN_DEADLINE'],
  [5, 'SKEIN_STREAM_RESET'],
  [6, 'SKEIN_REFUSED'],
  [7, 'SKEIN_DENIED'],
  [8, 'SKEIN_DRAINING'],
  [9, 'SKEIN_LIMIT'],
  [10, 'SKEIN_NO_SUCH_SERVICE'],
  [11, 'SKEIN_APP_UNREACHABLE'],
  [12, 'SKEIN_APP_PROTOCOL'],
  [13, 'SKEIN_IDENTITY'],
  [14, 'SKEIN_HANDSHAKE'],
  [15, 'SKEIN_PEER_UNREACHABLE'],
  [16, 'SKEIN_SESSION_LOST'],
  [17, 'SKEIN_TOKEN_INVALID'],
  [18, 'SKEIN_TOKEN_USED'],
  [19, 'SKEIN_TOKEN_EXPIRED'],
  [20, 'SKEIN_NAME_NOT_GRANTED'],
  [21, 'SKEIN_NO_ENDPOINT'],
  [22, 'SKEIN_BAD_REQUEST'],
  [23, 'SKEIN_MISDIRECTED'],
  [24, 'SKEIN_REVOKED'],
] as const satisfies readonly (readonly [number, ErrorCode])[];

const toWire = new Map<ErrorCode, number>(WIRE_CODES.map(([wire, code]) => [code, wire]));
const fromWire = new Map<number, ErrorCode>(WIRE_CODES);

/** A code without a number of its own travels as INTERNAL. */
export function toWireCode(code: ErrorCode): number {
  return toWire.get(code) ?? 2;
}

/** An unknown number becomes `SKEIN_STREAM_RESET`: a newer peer may know more reasons than we do. */
export function fromWireCode(wire: number): ErrorCode {
  return fromWire.get(wire) ?? 'SKEIN_STREAM_RESET';
}

export function protocolError(message: string): SkeinError {
  return new SkeinError('SKEIN_PROTOCOL', message);
}

/** The error of a stream whose session went away. That an end of it was revoked is no loss that may be waited out, so that it keeps its name. */
export function lostWith(cause: SkeinError, notProcessed: boolean): SkeinError {
  const code = cause.code === 'SKEIN_REVOKED' ? cause.code : 'SKEIN_SESSION_LOST';
  return new SkeinError(code, `Cannot use stream: its session ended (${cause.message})`, {
    cause,
    notProcessed,
  });
}

/** Text of a peer, made harmless for logs and terminals. */
export function toPrintable(text: Bytes): string {
  try {
    return decodeUtf8(text)
      .replace(/[^\x20-\x7e]/g, '?')
      .slice(0, 256);
  } catch {
    return 'unreadable reason';
  }
}
