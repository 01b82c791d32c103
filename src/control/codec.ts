/** Messages ↔ MessagePack, within the limits of the control protocol. */

import type { Bytes } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import { MAX_MESSAGE_BYTES } from './limits.ts';
import { malformed, readMessagePack } from './msgpack-reader.ts';
import { MessagePackWriter } from './msgpack-writer.ts';

const writer = new MessagePackWriter();

/** Bytes that belong to the caller. @throws SkeinError SKEIN_LIMIT when there are more than one message may have. */
export function encodeMessage(message: unknown): Bytes {
  const bytes = writer.write(message);
  if (bytes.length > MAX_MESSAGE_BYTES) {
    throw new SkeinError('SKEIN_LIMIT', `Cannot send control message: ${bytes.length} bytes`, {
      details: { limitBytes: MAX_MESSAGE_BYTES },
    });
  }
  return bytes;
}

/** @throws SkeinError SKEIN_PROTOCOL */
export function decodeMessage(bytes: Bytes): unknown {
  if (bytes.length > MAX_MESSAGE_BYTES) throw malformed('too long');
  return readMessagePack(bytes);
}

/** Bytes that `value` takes in a message. */
export function measureMessage(value: unknown): number {
  return writer.measure(value);
}
