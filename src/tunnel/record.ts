/** The record header: all that a relay can read of a session. */

import type { Bytes } from '../core/bytes.ts';
import { LINK_HEADER_BYTES } from './circuit.ts';

/*
 *  0        1                               7
 * +--------+-------------------------------+--------------------------+------------+
 * | t2|ep6 | seq u48                       | AES-256-GCM ciphertext   | tag 16     |
 * +--------+-------------------------------+--------------------------+------------+
 */
export const RECORD_HEADER_BYTES = 7;
export const TAG_BYTES = 16;
/** With the header it is what the tag covers beside the plaintext. */
export const SESSION_ID_BYTES = 16;
/** Everything around the plaintext of one record in its link message. */
export const MESSAGE_OVERHEAD_BYTES = LINK_HEADER_BYTES + RECORD_HEADER_BYTES + TAG_BYTES;

export const RECORD_HANDSHAKE = 0;
export const RECORD_DATA = 1;
/** Of a path, not of the session: authenticated and not sealed, with a counter of its own instead of the sequence. */
export const RECORD_PATH = 2;

export const EPOCH_COUNT = 64;
/** 2^48: no session lives so long, and the number must not wrap (it is the nonce). */
export const MAX_SEQUENCE = 2 ** 48 - 1;

/** Writes the header at `offset`. `sequence` is 0..2^48-1, `epoch` 0..63. */
export function writeRecordHeader(out: Bytes, offset: number, type: number, epoch: number, sequence: number): void {
  const high = Math.floor(sequence / 0x1_0000_0000);
  const low = sequence >>> 0;
  out[offset] = (type << 6) | epoch;
  out[offset + 1] = (high >>> 8) & 0xff;
  out[offset + 2] = high & 0xff;
  out[offset + 3] = low >>> 24;
  out[offset + 4] = (low >>> 16) & 0xff;
  out[offset + 5] = (low >>> 8) & 0xff;
  out[offset + 6] = low & 0xff;
}

export function readRecordType(bytes: Bytes, offset: number): number {
  return (bytes[offset] as number) >> 6;
}

export function readRecordEpoch(bytes: Bytes, offset: number): number {
  return (bytes[offset] as number) & 63;
}

export function readRecordSequence(bytes: Bytes, offset: number): number {
  let value = 0;
  for (let i = 1; i < RECORD_HEADER_BYTES; i++) value = value * 0x100 + (bytes[offset + i] as number);
  return value;
}
