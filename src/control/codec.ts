/** Messages ↔ MessagePack; the only door to msgpackr. Nothing is unpacked before it was looked through. */

import { Packr } from 'msgpackr';
import type { Bytes } from '../core/bytes.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import { MAX_MESSAGE_BYTES } from './limits.ts';
import { scanMessage } from './prescan.ts';

// `skipValues` is missing from msgpackr's types: undefined members are left out, as in JSON.
const options = { useRecords: false, mapsAsObjects: true, int64AsType: 'number', skipValues: [undefined] } as const;
const packr = new Packr(options);

/** Bytes that belong to the caller. @throws SkeinError SKEIN_LIMIT when there are more than one message may have. */
export function encodeMessage(message: unknown): Bytes {
  const packed: Bytes = packr.pack(message);
  if (packed.length > MAX_MESSAGE_BYTES) {
    throw new SkeinError('SKEIN_LIMIT', `Cannot send control message: ${packed.length} bytes`, {
      details: { limitBytes: MAX_MESSAGE_BYTES },
    });
  }
  // A copy: msgpackr packs into a pool that it goes on using.
  return new Uint8Array(packed);
}

/** @throws SkeinError SKEIN_PROTOCOL */
export function decodeMessage(bytes: Bytes): unknown {
  if (bytes.length > MAX_MESSAGE_BYTES) throw malformed('too long');
  const scan = scanMessage(bytes);
  if (scan.refusal !== undefined) throw malformed(scan.refusal);
  let value: unknown;
  try {
    value = packr.unpack(bytes);
  } catch (thrown) {
    throw new SkeinError('SKEIN_PROTOCOL', 'Cannot read control message: malformed MessagePack', {
      cause: toSkeinError(thrown),
    });
  }
  // The last of two members of one name would silently win.
  if (countMembers(value) !== scan.members) throw malformed('a key occurs twice');
  return value;
}

/** Bytes that `value` takes in a message. */
export function measureMessage(value: unknown): number {
  return packr.pack(value).length;
}

function countMembers(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const children = Array.isArray(value) ? value : Object.values(value);
  let count = Array.isArray(value) ? 0 : children.length;
  for (const child of children) count += countMembers(child);
  return count;
}

function malformed(why: string): SkeinError {
  return new SkeinError('SKEIN_PROTOCOL', `Cannot read control message: ${why}`);
}
