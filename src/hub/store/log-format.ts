/** The file of the file store: a header and records, each with its length and checksum; writing, and reading after a crash. */

import { type Bytes, concatBytes, decodeUtf8, encodeUtf8 } from '../../core/bytes.ts';
import { ByteReader, varintLength, writeVarint } from '../../core/varint.ts';
import { crc32 } from './crc32.ts';

/*
 *  header   "SKEINST1"
 *  record   u32 length of payload | u32 CRC-32 of payload | payload
 *  payload  u8 kind | varint revision | varint length of key | key | value (the rest)
 */
export const LOG_HEADER: Bytes = encodeUtf8('SKEINST1');
const RECORD_HEADER_BYTES = 8;
/** A value holds one manifest or less; a longer record is a broken length. */
const MAX_RECORD_BYTES = 1024 * 1024;

const PUT = 1;
const DELETE = 2;
/** Revisions up to here were used: keeps them growing when the last change of a compacted file was a deletion. */
const FLOOR = 3;

export type LogRecord =
  | { readonly kind: 'put'; readonly revision: number; readonly key: string; readonly value: string }
  | { readonly kind: 'delete'; readonly revision: number; readonly key: string }
  | { readonly kind: 'floor'; readonly revision: number };

export function encodeRecord(record: LogRecord): Bytes {
  const key = record.kind === 'floor' ? new Uint8Array(0) : encodeUtf8(record.key);
  const value = record.kind === 'put' ? encodeUtf8(record.value) : new Uint8Array(0);
  const length = 1 + varintLength(record.revision) + varintLength(key.length) + key.length + value.length;
  const out = new Uint8Array(RECORD_HEADER_BYTES + length);
  out[RECORD_HEADER_BYTES] = record.kind === 'put' ? PUT : record.kind === 'delete' ? DELETE : FLOOR;
  let at = writeVarint(out, RECORD_HEADER_BYTES + 1, record.revision);
  at = writeVarint(out, at, key.length);
  out.set(key, at);
  out.set(value, at + key.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, length);
  view.setUint32(4, crc32(out.subarray(RECORD_HEADER_BYTES)));
  return out;
}

export function encodeLog(records: Iterable<LogRecord>): Bytes {
  return concatBytes(LOG_HEADER, ...[...records].map(encodeRecord));
}

/**
 * What a file holds. `whole`: every byte is accounted for. `torn`: the end is missing or half written, as after a crash.
 * `corrupt`: there are whole records behind a bad one, so it was no crash that broke it.
 */
export interface LogContents {
  readonly records: readonly LogRecord[];
  /** Bytes of the good prefix; 0 when not even the header is good. */
  readonly goodBytes: number;
  readonly state: 'whole' | 'torn' | 'corrupt';
}

export function readLog(bytes: Bytes): LogContents {
  const records: LogRecord[] = [];
  const header = bytes.subarray(0, LOG_HEADER.length);
  if (!LOG_HEADER.every((byte, index) => index >= header.length || byte === header[index])) {
    return { records, goodBytes: 0, state: 'corrupt' };
  }
  if (header.length < LOG_HEADER.length) return { records, goodBytes: 0, state: bytes.length === 0 ? 'whole' : 'torn' };
  let at = LOG_HEADER.length;
  let revision = 0;
  while (at < bytes.length) {
    const found = readRecord(bytes, at);
    if (found === undefined || found.record.revision <= revision) break;
    records.push(found.record);
    revision = found.record.revision;
    at = found.end;
  }
  const state = at === bytes.length ? 'whole' : hasRecordBehind(bytes, at) ? 'corrupt' : 'torn';
  return { records, goodBytes: at, state };
}

function readRecord(bytes: Bytes, at: number): { readonly record: LogRecord; readonly end: number } | undefined {
  const payload = readPayload(bytes, at);
  if (payload === undefined) return undefined;
  const reader = new ByteReader(payload);
  const kind = reader.u8();
  const revision = reader.varint();
  const key = reader.take(reader.varint());
  const value = reader.take(reader.remaining);
  const end = at + RECORD_HEADER_BYTES + payload.length;
  if (reader.failed) return undefined;
  try {
    if (kind === PUT) return { record: { kind: 'put', revision, key: decodeUtf8(key), value: decodeUtf8(value) }, end };
    if (kind === DELETE) return { record: { kind: 'delete', revision, key: decodeUtf8(key) }, end };
    return kind === FLOOR ? { record: { kind: 'floor', revision }, end } : undefined;
  } catch {
    return undefined;
  }
}

/** The payload of the record at `at`, when it is all there and its checksum is right. */
function readPayload(bytes: Bytes, at: number): Bytes | undefined {
  if (bytes.length - at < RECORD_HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at);
  const length = view.getUint32(0);
  if (length < 3 || length > MAX_RECORD_BYTES || length > bytes.length - at - RECORD_HEADER_BYTES) return undefined;
  const payload = bytes.subarray(at + RECORD_HEADER_BYTES, at + RECORD_HEADER_BYTES + length);
  return crc32(payload) === view.getUint32(4) ? payload : undefined;
}

/** Is there a whole record anywhere behind `at`? Tried at every byte, because a bad length hides where the next one begins. */
function hasRecordBehind(bytes: Bytes, at: number): boolean {
  for (let next = at + 1; next + RECORD_HEADER_BYTES <= bytes.length; next++) {
    if (readRecord(bytes, next) !== undefined) return true;
  }
  return false;
}
