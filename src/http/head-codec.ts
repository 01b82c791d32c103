/**
 * The head codec: heads and trailers ↔ compact binary blocks, stateless, with a static name table.
 *
 * ```
 * request   | method u8 (id, 0 = text) | flags u8 | [method] | authority | path | [upgrade] | [service] | fields |
 *             flags: 1 https, 2 upgrade present, 4 service present
 * response  | flags u8 | status u16 | [upgrade] | fields |
 *             flags: 1 no body follows, 2 upgrade present
 * trailers  | fields |
 * fields    | count u8 (0..128) | count × (name, value) |
 * name      | id u8 1..64 |  or  | 0 | text |
 * text      | length (RFC 9000 §16 varint) | latin-1 bytes |        value, authority, path, … are texts
 * ```
 * A block is at most 32 KiB and ends where its last field ends. The decoder refuses the whole on anything it would not
 * have written itself: that guard is what keeps a hostile peer from smuggling a second message into an application.
 */

import type { Bytes } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import type { DecodeLatin1 } from '../core/text.ts';
import { varintLength, writeVarint } from '../core/varint.ts';
import { fromNameId, isLocalId, NAME_ID, STATIC_NAMES, TOKEN_LOWER, toNameId } from './field-names.ts';
import { isConnectionSpecific, MAX_FIELDS, MAX_NAME_BYTES, MAX_VALUE_BYTES, VALUE_CHAR } from './fields.ts';
import { type Fields, NO_FIELDS, type RequestHead, type ResponseHead } from './head.ts';
import { METHODS, toMethodId } from './methods.ts';
import { AUTHORITY_CHAR, TARGET_CHAR } from './target.ts';

export const MAX_BLOCK_BYTES = 32 * 1024;

const REQUEST_HTTPS = 1;
const REQUEST_UPGRADE = 2;
const REQUEST_SERVICE = 4;
const RESPONSE_COMPLETE = 1;
const RESPONSE_UPGRADE = 2;

/** Writes the block of a request into `out` (≥ 32 KiB) and returns its length. @throws SkeinError SKEIN_LIMIT, SKEIN_BAD_REQUEST */
export function encodeRequestHead(out: Bytes, head: RequestHead): number {
  const method = toMethodId(head.method);
  out[0] = method;
  out[1] =
    (head.scheme === 'https' ? REQUEST_HTTPS : 0) |
    (head.upgrade === undefined ? 0 : REQUEST_UPGRADE) |
    (head.service === '' ? 0 : REQUEST_SERVICE);
  let at = 2;
  if (method === 0) at = writeText(out, at, head.method, TOKEN_CHAR);
  at = writeText(out, at, head.authority, AUTHORITY_CHAR);
  at = writeText(out, at, head.path, TARGET_CHAR);
  if (head.upgrade !== undefined) at = writeText(out, at, head.upgrade, TARGET_CHAR);
  if (head.service !== '') at = writeText(out, at, head.service, TARGET_CHAR);
  return writeFields(out, at, head.fields);
}

/** `complete` tells the reader that no body follows. @throws SkeinError SKEIN_LIMIT, SKEIN_BAD_REQUEST */
export function encodeResponseHead(out: Bytes, head: ResponseHead, complete = false): number {
  out[0] = (complete ? RESPONSE_COMPLETE : 0) | (head.upgrade === undefined ? 0 : RESPONSE_UPGRADE);
  out[1] = head.status >> 8;
  out[2] = head.status & 0xff;
  let at = 3;
  if (head.upgrade !== undefined) at = writeText(out, at, head.upgrade, TARGET_CHAR);
  return writeFields(out, at, head.fields);
}

/** @throws SkeinError SKEIN_LIMIT, SKEIN_BAD_REQUEST */
export function encodeTrailers(out: Bytes, trailers: Fields): number {
  return writeFields(out, 0, trailers);
}

/** @throws SkeinError SKEIN_PROTOCOL */
export function decodeRequestHead(block: Bytes, decodeLatin1: DecodeLatin1): RequestHead {
  const reader = new BlockReader(block, decodeLatin1);
  const id = reader.u8();
  const flags = reader.u8();
  if (id > METHODS.length || flags > 7) throw refused('unknown method id or flag');
  const method = id === 0 ? reader.text(TOKEN_CHAR, MAX_NAME_BYTES) : (METHODS[id - 1] as string);
  const authority = reader.text(AUTHORITY_CHAR, MAX_VALUE_BYTES);
  const path = reader.text(TARGET_CHAR, MAX_BLOCK_BYTES);
  const upgrade = flags & REQUEST_UPGRADE ? reader.text(TARGET_CHAR, MAX_NAME_BYTES) : undefined;
  const service = flags & REQUEST_SERVICE ? reader.text(TARGET_CHAR, MAX_NAME_BYTES) : '';
  const fields = reader.lastFields();
  if (method === '' || upgrade === '' || (service === '' && flags & REQUEST_SERVICE)) throw refused('empty text');
  if (id === 0 && toMethodId(method) !== 0) throw refused('known method as text');
  if (!isPathOf(method, path)) throw refused('path is neither origin-form nor "*"');
  return { method, scheme: flags & REQUEST_HTTPS ? 'https' : 'http', authority, path, fields, upgrade, service };
}

function isPathOf(method: string, path: string): boolean {
  if (method === 'CONNECT') return path === '';
  return path.charCodeAt(0) === 0x2f || (path === '*' && method === 'OPTIONS');
}

/** @throws SkeinError SKEIN_PROTOCOL */
export function decodeResponseHead(block: Bytes, decodeLatin1: DecodeLatin1): ResponseHead {
  const reader = new BlockReader(block, decodeLatin1);
  const flags = reader.u8();
  const status = reader.u8() * 0x100 + reader.u8();
  if (flags > 3 || status < 100 || status > 599) throw refused('unknown flag or impossible status');
  const upgrade = flags & RESPONSE_UPGRADE ? reader.text(TARGET_CHAR, MAX_NAME_BYTES) : undefined;
  const fields = reader.lastFields();
  if ((upgrade !== undefined) !== (status === 101) || upgrade === '')
    throw refused('101 and its protocol must go together');
  return { status, fields, upgrade };
}

/** Whether a response's block says that no body follows. */
export function isCompleteResponse(block: Bytes): boolean {
  return ((block[0] ?? 0) & RESPONSE_COMPLETE) !== 0;
}

/** @throws SkeinError SKEIN_PROTOCOL */
export function decodeTrailers(block: Bytes, decodeLatin1: DecodeLatin1): Fields {
  return new BlockReader(block, decodeLatin1).lastFields();
}

const TOKEN_CHAR: Uint8Array = TOKEN_LOWER.map((lower) => (lower === 0 ? 0 : 1));
/** 1 for the characters of a field name: tokens without capitals. */
const NAME_CHAR: Uint8Array = TOKEN_LOWER.map((lower, code) => (lower === code && lower !== 0 ? 1 : 0));

function writeFields(out: Bytes, offset: number, fields: Fields): number {
  if (fields.length > 2 * MAX_FIELDS) throw tooLarge(`${fields.length / 2} fields, ${MAX_FIELDS} allowed`);
  out[offset] = fields.length >> 1;
  let at = offset + 1;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const id = toNameId(name);
    if (id !== 0 && !isLocalId(id)) {
      out[at++] = id;
    } else {
      if (name.length > MAX_NAME_BYTES) throw tooLarge(`field name of ${name.length} bytes`);
      if (name === '' || isLocalId(id)) throw unsendable(`field ${JSON.stringify(name)} belongs to one connection`);
      out[at++] = 0;
      at = writeText(out, at, name, NAME_CHAR);
    }
    const value = fields[i + 1] as string;
    if (value.length > MAX_VALUE_BYTES) throw tooLarge(`field "${name}" of ${value.length} bytes`);
    if (id === NAME_ID.te && value !== 'trailers') throw unsendable('field "te" belongs to one connection');
    at = writeText(out, at, value, VALUE_CHAR);
  }
  return at;
}

/** Writes and checks in one pass: a character that is not one byte, or that `allowed` does not hold, is refused. */
function writeText(out: Bytes, offset: number, text: string, allowed: Uint8Array): number {
  const length = text.length;
  // Two bytes are left for the id and the length of what may follow, so that no write falls outside `out`.
  if (offset + varintLength(length) + length > MAX_BLOCK_BYTES - 2)
    throw tooLarge(`more than ${MAX_BLOCK_BYTES} bytes`);
  const at = writeVarint(out, offset, length);
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    if (allowed[code] !== 1) throw unsendable(`character ${code} in ${JSON.stringify(text.slice(0, 40))}`);
    out[at + i] = code;
  }
  return at + length;
}

/** A cursor over one block: the latin-1 text is made once, and each string is a part of it. */
class BlockReader {
  readonly #bytes: Bytes;
  readonly #text: string;
  #at = 0;

  constructor(bytes: Bytes, decodeLatin1: DecodeLatin1) {
    if (bytes.length > MAX_BLOCK_BYTES) throw refused(`${bytes.length} bytes`);
    this.#bytes = bytes;
    this.#text = decodeLatin1(bytes, 0, bytes.length);
  }

  u8(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw refused('truncated');
    return byte;
  }

  text(allowed: Uint8Array, limit: number): string {
    const length = this.#length();
    const start = this.#at;
    const end = start + length;
    if (length > limit) throw refused(`text of ${length} bytes`);
    if (end > this.#bytes.length) throw refused('truncated');
    const bytes = this.#bytes;
    for (let i = start; i < end; i++) {
      if (allowed[bytes[i] as number] !== 1) throw refused(`byte ${bytes[i]} where it is not allowed`);
    }
    this.#at = end;
    return this.#text.slice(start, end);
  }

  /** A varint in its shortest form, so that one head has one block. */
  #length(): number {
    const first = this.u8();
    if (first < 0x40) return first;
    let value = (first & 0x3f) * 0x100 + this.u8();
    if (first < 0x80 && value >= 0x40) return value;
    value = (value * 0x100 + this.u8()) * 0x100 + this.u8();
    if (first >= 0x80 && first < 0xc0 && value >= 0x4000) return value;
    throw refused('length is too long or not in its shortest form');
  }

  /** The fields, which must end where the block ends. */
  lastFields(): Fields {
    const count = this.u8();
    if (count > MAX_FIELDS) throw refused(`${count} fields`);
    const fields: string[] = [];
    for (let i = 0; i < count; i++) {
      const id = this.u8();
      const name = id === 0 ? this.#literalName() : id <= STATIC_NAMES.length ? fromNameId(id) : undefined;
      if (name === undefined) throw refused(`unknown name id ${id}`);
      const value = this.text(VALUE_CHAR, MAX_VALUE_BYTES);
      if (id === 0 || id === NAME_ID.te) refuseConnectionSpecific(name, value);
      fields.push(name, value);
    }
    if (this.#at !== this.#bytes.length) throw refused('bytes after the last field');
    return count === 0 ? NO_FIELDS : fields;
  }

  #literalName(): string {
    const name = this.text(NAME_CHAR, MAX_NAME_BYTES);
    const id = toNameId(name);
    if (name === '' || (id !== 0 && !isLocalId(id))) throw refused('empty name, or known name as text');
    return name;
  }
}

function refuseConnectionSpecific(name: string, value: string): void {
  if (isConnectionSpecific(name, value)) throw refused(`field "${name}" belongs to one connection`);
}

function refused(state: string): SkeinError {
  return new SkeinError('SKEIN_PROTOCOL', `Cannot decode head: ${state}`);
}

function tooLarge(state: string): SkeinError {
  return new SkeinError('SKEIN_LIMIT', `Cannot encode head: ${state}`, { status: 431 });
}

function unsendable(state: string): SkeinError {
  return new SkeinError('SKEIN_BAD_REQUEST', `Cannot encode head: ${state}`);
}
