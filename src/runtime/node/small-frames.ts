/**
 * A small binary message and its WebSocket header (RFC 6455 §5.2) in one piece, for one `write` of the socket. ws hands over both apart: two
 * writes that are put together again, which costs a record of one request a fifth of what the write itself does.
 */

import { Buffer } from 'node:buffer';
import type { Bytes } from '../../core/bytes.ts';

/** Up to here a copy costs less than a second piece, and Node takes the memory for it from a pool. */
const MAX_FRAME_BYTES = 4_000;
const FINAL_BINARY = 0x82;
const MASKED = 0x80;
const MASK_BYTES = 4;
/** Longer messages have their length in two further bytes. */
const MAX_SHORT_BYTES = 125;
const TWO_BYTES_FOLLOW = 126;

/** How the frames of one end are masked: a server's are not; a client's with zeros where nothing needs more. `other`: that is left to ws. */
export type Masking = 'none' | 'zeros' | 'other';

/** undefined: it is too large, or must be masked in earnest. */
export function toSmallFrame(message: Bytes, masking: Masking): Buffer | undefined {
  if (masking === 'other' || message.length > MAX_FRAME_BYTES) return undefined;
  const maskBytes = masking === 'zeros' ? MASK_BYTES : 0;
  const isShort = message.length <= MAX_SHORT_BYTES;
  const headerBytes = (isShort ? 2 : 4) + maskBytes;
  const frame = Buffer.allocUnsafe(headerBytes + message.length);
  frame[0] = FINAL_BINARY;
  frame[1] = (maskBytes > 0 ? MASKED : 0) | (isShort ? message.length : TWO_BYTES_FOLLOW);
  if (!isShort) {
    frame[2] = message.length >> 8;
    frame[3] = message.length & 0xff;
  }
  for (let at = headerBytes - maskBytes; at < headerBytes; at++) frame[at] = 0;
  frame.set(message, headerBytes);
  return frame;
}
