/**
 * Scans HTTP/1.1 heads and trailer sections in contiguous bytes: every byte is looked at once, the text is decoded
 * once, and each string is a part of it. What RFC 9112 calls invalid or leaves to tolerance is refused.
 */

import type { Bytes } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import type { DecodeLatin1 } from '../core/text.ts';
import { findNameId, fromNameId, isLocalId, NAME_ID, TOKEN_LOWER } from './field-names.ts';
import { MAX_FIELDS, MAX_NAME_BYTES, MAX_VALUE_BYTES, splitList, VALUE_CHAR } from './fields.ts';
import { type Fields, NO_FIELDS } from './head.ts';
import { TARGET_CHAR } from './target.ts';

const CR = 13;
const LF = 10;
const SP = 32;
const HTAB = 9;
const COLON = 58;

/** Returned by the scan functions when the bytes end before the section does. */
export const INCOMPLETE = -1;

/** `HTTP/1.` */
const VERSION = Uint8Array.of(0x48, 0x54, 0x54, 0x50, 0x2f, 0x31, 0x2e);

/** The result of the last scan, overwritten by the next: one scanner serves one connection. */
export class H1Scanner {
  minorVersion = 1;
  method = '';
  target = '';
  status = 0;
  /** Without the fields of the connection; `host` is in `host`. */
  fields: Fields = NO_FIELDS;
  host = '';
  hostCount = 0;
  /** As written; checked by the framing rules. */
  contentLength = '';
  contentLengthCount = 0;
  transferEncoding = '';
  transferEncodingCount = 0;
  upgrade = '';
  /** Options of `Connection`, lower case. */
  connection: readonly string[] = NO_OPTIONS;
  /** Whether `Expect` was there. */
  expects = false;

  readonly #decodeLatin1: DecodeLatin1;
  /** Per field: id or 0, and the bounds of name and value, relative to the scanned section. */
  readonly #bounds = new Int32Array(MAX_FIELDS * FIELD_STRIDE);
  #count = 0;

  constructor(decodeLatin1: DecodeLatin1) {
    this.#decodeLatin1 = decodeLatin1;
  }

  /** Scans a request's head; returns the offset behind it. @throws SkeinError SKEIN_BAD_REQUEST with 400, 414, 431 or 505 */
  scanRequest(bytes: Bytes, start: number, end: number): number {
    let at = start;
    while (at < end && TOKEN_LOWER[bytes[at] as number] !== 0) at++;
    if (at - start > MAX_NAME_BYTES) throw malformed('method is too long', 501);
    if (at === end) return INCOMPLETE;
    if (at === start || bytes[at] !== SP) throw malformed('method is not a token');
    const methodEnd = at++;
    const targetStart = at;
    while (at < end && TARGET_CHAR[bytes[at] as number] === 1) at++;
    if (at - targetStart > MAX_VALUE_BYTES) throw malformed('request target is too long', 414);
    if (at === end) return INCOMPLETE;
    if (at === targetStart || bytes[at] !== SP)
      throw malformed('request target holds a character that no target may hold');
    const targetEnd = at++;
    at = this.#scanVersion(bytes, at, end);
    if (at === INCOMPLETE) return INCOMPLETE;
    at = scanLineEnd(bytes, at, end);
    if (at === INCOMPLETE) return INCOMPLETE;
    at = this.#scanFields(bytes, start, at, end);
    if (at === INCOMPLETE) return INCOMPLETE;
    const text = this.#decodeLatin1(bytes, start, at);
    this.method = isGet(bytes, start, methodEnd) ? 'GET' : text.slice(0, methodEnd - start);
    this.target = text.slice(targetStart - start, targetEnd - start);
    this.#readFields(bytes, start, text);
    return at;
  }

  /** Scans a response's head; returns the offset behind it. @throws SkeinError SKEIN_BAD_REQUEST */
  scanResponse(bytes: Bytes, start: number, end: number): number {
    let at = this.#scanVersion(bytes, start, end);
    if (at === INCOMPLETE) return INCOMPLETE;
    if (at === end) return INCOMPLETE;
    if (bytes[at++] !== SP) throw malformed('status line has no space after the version');
    let status = 0;
    for (let i = 0; i < 3; i++, at++) {
      if (at === end) return INCOMPLETE;
      const digit = (bytes[at] as number) - 48;
      if (digit < 0 || digit > 9) throw malformed('status is not three digits');
      status = status * 10 + digit;
    }
    if (status < 100 || status > 599) throw malformed(`status ${status} does not exist`);
    if (at === end) return INCOMPLETE;
    // The space before an empty reason phrase is left out by many servers; nothing is ambiguous without it.
    if (bytes[at] === SP) while (at < end && VALUE_CHAR[bytes[at] as number] === 1) at++;
    at = scanLineEnd(bytes, at, end);
    if (at === INCOMPLETE) return INCOMPLETE;
    at = this.#scanFields(bytes, start, at, end);
    if (at === INCOMPLETE) return INCOMPLETE;
    this.status = status;
    this.#readFields(bytes, start, this.#decodeLatin1(bytes, start, at));
    return at;
  }

  /** Scans a trailer section; returns the offset behind it. @throws SkeinError SKEIN_BAD_REQUEST */
  scanTrailers(bytes: Bytes, start: number, end: number): number {
    const at = this.#scanFields(bytes, start, start, end);
    if (at === INCOMPLETE) return INCOMPLETE;
    if (this.#count === 0) this.fields = NO_FIELDS;
    else this.#readFields(bytes, start, this.#decodeLatin1(bytes, start, at));
    return at;
  }

  #scanVersion(bytes: Bytes, start: number, end: number): number {
    for (let i = 0; i < VERSION.length; i++) {
      if (start + i === end) return INCOMPLETE;
      // RFC 9110 §15.6.6: a major version we do not speak is no syntax error.
      if (bytes[start + i] !== VERSION[i])
        throw i === 5 ? otherMajor(bytes, start, end) : malformed('version is not HTTP/1.x');
    }
    const at = start + VERSION.length;
    if (at === end) return INCOMPLETE;
    const minor = (bytes[at] as number) - 48;
    if (minor < 0 || minor > 9) throw malformed('version is not HTTP/1.x');
    if (minor > 1) throw malformed(`HTTP/1.${minor} is not spoken here`, 505);
    this.minorVersion = minor;
    return at + 1;
  }

  /** Field lines up to and with the empty line; only offsets are kept. */
  #scanFields(bytes: Bytes, base: number, start: number, end: number): number {
    const bounds = this.#bounds;
    let at = start;
    let count = 0;
    for (;;) {
      if (at === end) return INCOMPLETE;
      const nameStart = at;
      while (at < end && TOKEN_LOWER[bytes[at] as number] !== 0) at++;
      if (at - nameStart > MAX_NAME_BYTES) throw malformed('field name is too long', 431);
      if (at === end) return INCOMPLETE;
      const nameEnd = at;
      if (nameEnd === nameStart) {
        if (bytes[at] !== CR) throw malformed('field line is folded or has no name');
        this.#count = count;
        return scanLineEnd(bytes, at, end);
      }
      if (bytes[at] !== COLON) throw malformed('field name is not a token followed by a colon');
      at++;
      while (at < end && (bytes[at] === SP || bytes[at] === HTAB)) at++;
      const valueStart = at;
      while (at < end && VALUE_CHAR[bytes[at] as number] === 1) at++;
      if (at - valueStart > MAX_VALUE_BYTES) throw malformed('field value is too long', 431);
      let valueEnd = at;
      at = scanLineEnd(bytes, at, end);
      if (at === INCOMPLETE) return INCOMPLETE;
      while (valueEnd > valueStart && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === HTAB)) valueEnd--;
      if (count === MAX_FIELDS) throw malformed(`more than ${MAX_FIELDS} fields`, 431);
      const slot = count++ * FIELD_STRIDE;
      bounds[slot] = nameStart - base;
      bounds[slot + 1] = nameEnd - base;
      bounds[slot + 2] = valueStart - base;
      bounds[slot + 3] = valueEnd - base;
    }
  }

  /** Makes the strings of the scanned fields and sorts out those of the connection. */
  #readFields(bytes: Bytes, base: number, text: string): void {
    this.host = '';
    this.hostCount = 0;
    this.contentLengthCount = 0;
    this.transferEncodingCount = 0;
    this.upgrade = '';
    this.connection = NO_OPTIONS;
    this.expects = false;
    const bounds = this.#bounds;
    const fields: string[] = [];
    for (let slot = 0; slot < this.#count * FIELD_STRIDE; slot += FIELD_STRIDE) {
      const nameStart = bounds[slot] as number;
      const nameEnd = bounds[slot + 1] as number;
      const value = text.slice(bounds[slot + 2], bounds[slot + 3]);
      const id = findNameId(bytes, base + nameStart, base + nameEnd);
      if (id !== 0 && !this.#isKept(id, value)) continue;
      fields.push(fromNameId(id) ?? text.slice(nameStart, nameEnd).toLowerCase(), value);
    }
    this.fields = this.connection === NO_OPTIONS ? fields : withoutNamed(fields, this.connection);
  }

  /** Notes what framing and the connection need; false for what ends at this hop. */
  #isKept(id: number, value: string): boolean {
    switch (id) {
      case NAME_ID.contentLength:
        this.contentLength = value;
        this.contentLengthCount++;
        return true;
      case NAME_ID.expect:
        this.expects = true;
        return true;
      case NAME_ID.host:
        this.host = value;
        this.hostCount++;
        return false;
      case NAME_ID.transferEncoding:
        this.transferEncoding = value;
        this.transferEncodingCount++;
        return false;
      case NAME_ID.connection:
        this.connection = joinOptions(this.connection, value);
        return false;
      case NAME_ID.upgrade:
        this.upgrade = this.upgrade === '' ? value : `${this.upgrade},${value}`;
        return false;
      case NAME_ID.te:
        return value === 'trailers';
      default:
        return !isLocalId(id);
    }
  }
}

const FIELD_STRIDE = 4;
const NO_OPTIONS: readonly string[] = [];

const KEEP_ALIVE: readonly string[] = ['keep-alive'];
const CLOSE: readonly string[] = ['close'];

/** Nearly every `Connection` is one of four texts, which cost no list of their own. */
function joinOptions(options: readonly string[], value: string): readonly string[] {
  if (options === NO_OPTIONS) {
    if (value === 'keep-alive' || value === 'Keep-Alive') return KEEP_ALIVE;
    if (value === 'close' || value === 'Close') return CLOSE;
  }
  return [...options, ...splitList(value.toLowerCase())];
}

/** Options that every peer sends and that name no field we would have kept; `te: trailers` passes although it must be listed. */
const PLAIN_OPTIONS: ReadonlySet<string> = new Set(['close', 'keep-alive', 'upgrade', 'te']);

function withoutNamed(fields: string[], options: readonly string[]): Fields {
  if (options === KEEP_ALIVE || options === CLOSE) return fields;
  const named = options.filter((option) => !PLAIN_OPTIONS.has(option));
  if (named.length === 0) return fields;
  const kept: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (!named.includes(name)) kept.push(name, fields[i + 1] as string);
  }
  return kept;
}

/** CR LF and nothing else: a bare one of either, or a control character before them, is refused (RFC 9112 §2.2). */
function scanLineEnd(bytes: Bytes, at: number, end: number): number {
  if (at === end) return INCOMPLETE;
  if (bytes[at] !== CR) throw malformed('line holds a control character or a bare line feed');
  if (at + 1 === end) return INCOMPLETE;
  if (bytes[at + 1] !== LF) throw malformed('carriage return without line feed');
  return at + 2;
}

function isGet(bytes: Bytes, start: number, end: number): boolean {
  return end - start === 3 && bytes[start] === 0x47 && bytes[start + 1] === 0x45 && bytes[start + 2] === 0x54;
}

function otherMajor(bytes: Bytes, start: number, end: number): SkeinError {
  const digit = start + 5 < end ? (bytes[start + 5] as number) - 48 : -1;
  const isDigit = digit >= 0 && digit <= 9;
  return isDigit ? malformed(`HTTP/${digit} is not spoken here`, 505) : malformed('version is not HTTP/1.x');
}

/** A message that cannot be read. The parser turns it into the code of its role. */
export function malformed(state: string, status = 400): SkeinError {
  return new SkeinError('SKEIN_BAD_REQUEST', `Cannot read message: ${state}`, { status });
}
