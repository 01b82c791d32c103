/** Error codes of HTTP/2 (RFC 9113 §7), and what they mean for a request. */

import { SkeinError } from '../core/errors.ts';

export const H2_CODE = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  connectError: 10,
  enhanceYourCalm: 11,
} as const;

/** The peer broke the protocol. It ends the connection, or the stream where one is named; it never leaves this folder. */
export class H2Violation extends Error {
  override readonly name = 'H2Violation';
  readonly code: number;
  /** The stream at fault; 0: the connection. */
  readonly streamId: number;

  constructor(code: number, message: string, streamId = 0) {
    super(message);
    this.code = code;
    this.streamId = streamId;
  }
}

/** What a RST_STREAM of the other end says of its request. */
export function toResetError(code: number, who: string): SkeinError {
  if (code === H2_CODE.refusedStream) {
    return new SkeinError('SKEIN_REFUSED', `Cannot perform request: ${who} refused its stream`);
  }
  const isCancelled = code === H2_CODE.cancel;
  const state = isCancelled ? 'cancelled it' : `reset its stream with code ${code}`;
  return new SkeinError(
    isCancelled ? 'SKEIN_CANCELLED' : 'SKEIN_STREAM_RESET',
    `Cannot perform request: ${who} ${state}`,
  );
}

/** What to tell the other end of a request that failed here. */
export function toResetCode(error: SkeinError): number {
  if (error.code === 'SKEIN_CANCELLED') return H2_CODE.cancel;
  return error.notProcessed ? H2_CODE.refusedStream : H2_CODE.internalError;
}
