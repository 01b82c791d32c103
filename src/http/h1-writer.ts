/**
 * Writes HTTP/1.1 messages (RFC 9112): framing is made here from what is known about the body and never taken over
 * from another hop. Every character is checked while it is written, so that no head from anywhere can hold two.
 */

import type { Bytes } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import { BytePool } from './byte-pool.ts';
import { isLocalId, NAME_ID, TOKEN_LOWER, toNameId } from './field-names.ts';
import { VALUE_CHAR } from './fields.ts';
import { type Fields, NO_FIELDS, type RequestHead, type ResponseHead } from './head.ts';
import { toReasonPhrase } from './methods.ts';
import { AUTHORITY_CHAR, TARGET_CHAR } from './target.ts';

/** Where the bytes go: a `ByteStream`, or whatever collects them. */
export interface H1Out {
  /** Takes ownership of `chunk`; false asks to stop for a while. */
  write(chunk: Bytes): boolean;
}

/** What a response must know of its request. */
export interface H1ResponseContext {
  readonly method: string;
  readonly minorVersion: number;
  /** Whether the connection may go on after this message. */
  readonly keepAlive: boolean;
}

/** Chunks up to this size are copied behind their size line: one piece to send instead of three. */
const COPY_BYTES = 2048;

const pool = new BytePool();

export class H1Writer {
  /** Whether the connection may go on after the message last begun. */
  keepAlive = true;
  readonly #out: H1Out;
  #body: 'none' | 'length' | 'chunked' | 'until-close' | 'raw' = 'none';
  #left = 0;

  constructor(out: H1Out) {
    this.#out = out;
  }

  /** `complete`: there is no body. Nothing is written when it throws. @throws SkeinError SKEIN_BAD_REQUEST */
  request(head: RequestHead, complete: boolean): void {
    const { method, path, authority, fields, upgrade } = head;
    const isConnect = method === 'CONNECT';
    const target = isConnect ? authority : path;
    pool.reserve(
      method.length + target.length + authority.length + (upgrade ?? '').length + sizeOf(fields) + FIXED_BYTES,
    );
    const out = pool.bytes;
    let at = writeChecked(out, pool.at, method, TOKEN_LOWER, 'method');
    out[at++] = SP;
    at = writeChecked(out, at, target, isConnect ? AUTHORITY_CHAR : TARGET_CHAR, 'path');
    at = writeAscii(out, at, ' HTTP/1.1\r\nhost: ');
    at = writeChecked(out, at, authority, AUTHORITY_CHAR, 'authority');
    at = writeAscii(out, at, '\r\n');
    if (upgrade !== undefined) at = writeUpgrade(out, at, upgrade);
    const length = checkFields(fields);
    at = writeFields(out, at, fields, false);
    let body: 'none' | 'length' | 'chunked' = 'none';
    if (complete) {
      if (length > 0) throw unsendable(`content-length ${length} without a body`);
      // RFC 9110 §8.6: where a method usually has a body, its absence is said.
      if (length < 0 && (method === 'POST' || method === 'PUT' || method === 'PATCH'))
        at = writeAscii(out, at, NO_LENGTH);
    } else if (upgrade === undefined && !isConnect) {
      body = length >= 0 ? 'length' : 'chunked';
      if (body === 'chunked') at = writeAscii(out, at, CHUNKED);
    }
    this.#begin(body, length, at, true);
  }

  /**
   * `complete`: there is no body. Nothing is written when it throws.
   * @throws SkeinError SKEIN_BAD_REQUEST
   */
  response(head: ResponseHead, complete: boolean, context: H1ResponseContext): void {
    const { status, fields, upgrade } = head;
    const reason = toReasonPhrase(status);
    if (!Number.isInteger(status) || status < 100 || status > 599) throw unsendable(`status ${status}`);
    pool.reserve(reason.length + (upgrade ?? '').length + sizeOf(fields) + FIXED_BYTES);
    const out = pool.bytes;
    let at = writeAscii(out, pool.at, 'HTTP/1.1 ');
    at = writeAscii(out, at, `${status} `);
    at = writeAscii(out, at, reason);
    at = writeAscii(out, at, '\r\n');
    const isRaw = status === 101 || (context.method === 'CONNECT' && status >= 200 && status < 300);
    const isBare = status < 200 || status === 204 || isRaw;
    const length = checkFields(fields);
    at = writeFields(out, at, fields, isBare);
    let keepAlive = context.keepAlive;
    let body: 'none' | 'length' | 'chunked' | 'until-close' | 'raw' = 'none';
    if (isRaw) {
      body = 'raw';
      if (upgrade !== undefined) at = writeUpgrade(out, at, upgrade);
    } else if (!isBare && context.method !== 'HEAD' && status !== 304) {
      if (complete && length > 0) throw unsendable(`content-length ${length} without a body`);
      if (complete && length < 0) at = writeAscii(out, at, NO_LENGTH);
      if (!complete) body = length >= 0 ? 'length' : context.minorVersion === 1 ? 'chunked' : 'until-close';
      if (body === 'chunked') at = writeAscii(out, at, CHUNKED);
      if (body === 'until-close') keepAlive = false;
    }
    if (!isRaw && status >= 200) {
      if (!keepAlive) at = writeAscii(out, at, 'connection: close\r\n');
      else if (context.minorVersion === 0) at = writeAscii(out, at, 'connection: keep-alive\r\n');
    }
    this.#begin(body, length, at, keepAlive);
  }

  #begin(
    body: 'none' | 'length' | 'chunked' | 'until-close' | 'raw',
    length: number,
    end: number,
    keepAlive: boolean,
  ): void {
    this.#out.write(pool.take(writeAscii(pool.bytes, end, '\r\n')));
    this.#body = body;
    this.#left = body === 'length' ? length : 0;
    this.keepAlive = keepAlive;
  }

  /** From now on data goes out as it is: the other end has answered 101 or accepted CONNECT. */
  switchToRaw(): void {
    this.#body = 'raw';
  }

  /**
   * Part of the body; false asks to stop for a while. A message without a body drops it.
   * @throws SkeinError SKEIN_BAD_REQUEST when the body is longer than its head said
   */
  data(chunk: Bytes): boolean {
    const length = chunk.length;
    switch (this.#body) {
      case 'none':
        return true;
      case 'length':
        if (length > this.#left) throw unsendable('body is longer than its content-length');
        this.#left -= length;
        return this.#out.write(chunk);
      case 'chunked':
        // An empty chunk would end the body.
        return length === 0 ? true : this.#writeChunk(chunk);
      default:
        return this.#out.write(chunk);
    }
  }

  #writeChunk(chunk: Bytes): boolean {
    const length = chunk.length;
    const isCopied = length <= COPY_BYTES;
    pool.reserve(CHUNK_LINE_BYTES + (isCopied ? length : 0));
    const out = pool.bytes;
    let at = writeHex(out, pool.at, length);
    at = writeAscii(out, at, '\r\n');
    if (isCopied) {
      out.set(chunk, at);
      return this.#out.write(pool.take(writeAscii(out, at + length, '\r\n')));
    }
    this.#out.write(pool.take(at));
    this.#out.write(chunk);
    return this.#out.write(crlf());
  }

  /**
   * Ends the message; trailers are dropped where the framing has no place for them.
   * @throws SkeinError SKEIN_BAD_REQUEST when the body is shorter than its head said
   */
  end(trailers: Fields = NO_FIELDS): void {
    const body = this.#body;
    this.#body = 'none';
    if (this.#left > 0) throw unsendable('body is shorter than its content-length');
    if (body !== 'chunked') return;
    checkFields(trailers);
    pool.reserve(sizeOf(trailers) + FIXED_BYTES);
    const at = writeFields(pool.bytes, writeAscii(pool.bytes, pool.at, '0\r\n'), trailers, true);
    this.#out.write(pool.take(writeAscii(pool.bytes, at, '\r\n')));
  }
}

const SP = 32;
/** Room for everything in a head that is neither a name nor a value: version, status, our own framing fields. */
const FIXED_BYTES = 256;
const CHUNK_LINE_BYTES = 16;
const CHUNKED = 'transfer-encoding: chunked\r\n';
const NO_LENGTH = 'content-length: 0\r\n';
const LENGTH = /^[0-9]{1,15}$/;

/** The stated content-length, or -1. @throws where a field belongs to one connection, or the length is no number */
function checkFields(fields: Fields): number {
  let length = -1;
  for (let i = 0; i < fields.length; i += 2) {
    const id = toNameId(fields[i] as string);
    if (isLocalId(id)) throw unsendable(`field "${fields[i]}" belongs to one connection`);
    if (id !== NAME_ID.contentLength) continue;
    const value = fields[i + 1] as string;
    if (length >= 0 || !LENGTH.test(value)) throw unsendable('content-length is not one number');
    length = Number(value);
  }
  return length;
}

function sizeOf(fields: Fields): number {
  let size = fields.length * 2;
  for (let i = 0; i < fields.length; i++) size += (fields[i] as string).length;
  return size;
}

function writeFields(out: Bytes, offset: number, fields: Fields, isBare: boolean): number {
  let at = offset;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (isBare && name === 'content-length') continue;
    at = writeName(out, at, name);
    out[at++] = 58;
    out[at++] = SP;
    at = writeChecked(out, at, fields[i + 1] as string, VALUE_CHAR, 'field value');
    out[at++] = 13;
    out[at++] = 10;
    if (name === 'te') at = writeAscii(out, at, 'connection: te\r\n');
  }
  return at;
}

function writeName(out: Bytes, offset: number, name: string): number {
  const length = name.length;
  if (length === 0) throw unsendable('field without a name');
  for (let i = 0; i < length; i++) {
    const code = name.charCodeAt(i);
    if (TOKEN_LOWER[code] !== code) throw unsendable(`character ${code} in a field name`);
    out[offset + i] = code;
  }
  return offset + length;
}

function writeUpgrade(out: Bytes, offset: number, upgrade: string): number {
  const at = writeChecked(
    out,
    writeAscii(out, offset, 'connection: upgrade\r\nupgrade: '),
    upgrade,
    TARGET_CHAR,
    'protocol',
  );
  return writeAscii(out, at, '\r\n');
}

/** `allowed` holds a non-zero value for every byte that may be written; characters above 0xff have none. */
function writeChecked(out: Bytes, offset: number, text: string, allowed: Uint8Array, what: string): number {
  const length = text.length;
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    if (!allowed[code]) throw unsendable(`character ${code} in ${what}`);
    out[offset + i] = code;
  }
  return offset + length;
}

function writeAscii(out: Bytes, offset: number, text: string): number {
  const length = text.length;
  for (let i = 0; i < length; i++) out[offset + i] = text.charCodeAt(i);
  return offset + length;
}

function writeHex(out: Bytes, offset: number, value: number): number {
  return writeAscii(out, offset, value.toString(16));
}

function crlf(): Bytes {
  pool.reserve(2);
  return pool.take(writeAscii(pool.bytes, pool.at, '\r\n'));
}

function unsendable(state: string): SkeinError {
  return new SkeinError('SKEIN_BAD_REQUEST', `Cannot write message: ${state}`);
}
