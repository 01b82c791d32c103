/**
 * A strict HTTP/1.1 message parser (RFC 9112) as a pure machine: bytes in, heads, body chunks and trailers out.
 * It stops behind each message; what follows belongs to its owner, who decides whether there is a next one.
 */

import { type Bytes, EMPTY } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import type { DecodeLatin1 } from '../core/text.ts';
import { stripTrailers } from './fields.ts';
import { ChunkLine } from './h1-chunk-line.ts';
import { type H1Framing, readRequestFraming, readResponseFraming } from './h1-framing.ts';
import { H1Scanner, INCOMPLETE, malformed } from './h1-scanner.ts';
import { type Fields, NO_FIELDS, type RequestHead, type ResponseHead } from './head.ts';
import { parseTarget, tryParseAuthority } from './target.ts';

export const MAX_HEAD_BYTES = 32 * 1024;
export const MAX_TRAILER_BYTES = 8 * 1024;

const CR = 13;
const LF = 10;

interface BodyEvents {
  /** Part of the body; a view of the pushed bytes. */
  onData(chunk: Bytes): void;
  /** The body is whole; not called when the head said that there is none. */
  onEnd(trailers: Fields): void;
}

export interface H1RequestEvents extends BodyEvents {
  onRequest(head: RequestHead, complete: boolean): void;
}

export interface H1ResponseEvents extends BodyEvents {
  /** Also called for 1xx, which are complete and followed by another head. */
  onResponse(head: ResponseHead, complete: boolean): void;
}

/** `done`: stopped behind a message. `raw`: what follows the head is not HTTP any more. */
export type H1State = 'head' | 'length' | 'chunk-line' | 'chunk-data' | 'trailers' | 'until-close' | 'raw' | 'done';

export class H1Parser {
  /** HTTP/1.x of the last head. */
  minorVersion = 1;
  /** Whether the last head lets the connection carry another message. */
  keepAlive = false;
  /** Whether the last request waits for a 100 before it sends its body. */
  expectsContinue = false;

  readonly #request: H1RequestEvents | undefined;
  readonly #response: H1ResponseEvents | undefined;
  readonly #scanner: H1Scanner;
  readonly #scheme: string;
  readonly #chunk = new ChunkLine();
  #state: H1State = 'head';
  /** Bytes of the body or of the chunk still to come. */
  #left = 0;
  /** The start of a head or a trailer section that did not arrive in one piece. */
  #pending: Bytes = EMPTY;
  #pendingLength = 0;
  /** An empty line before a request is skipped once (RFC 9112 §2.2): 0 not seen, 1 its CR, 2 all of it. */
  #leading: 0 | 1 | 2 = 0;
  #requestMethod = '';
  #requestUpgrade: string | undefined;
  #validHost: string | undefined;

  private constructor(
    request: H1RequestEvents | undefined,
    response: H1ResponseEvents | undefined,
    decodeLatin1: DecodeLatin1,
    scheme: string,
  ) {
    this.#request = request;
    this.#response = response;
    this.#scanner = new H1Scanner(decodeLatin1);
    this.#scheme = scheme;
  }

  /** A parser of requests; `scheme` is that of requests in origin-form. Errors have the code SKEIN_BAD_REQUEST. */
  static forRequests(events: H1RequestEvents, decodeLatin1: DecodeLatin1, scheme = 'http'): H1Parser {
    return new H1Parser(events, undefined, decodeLatin1, scheme);
  }

  /** A parser of responses, to be told by `expect` what each one answers. Errors have the code SKEIN_APP_PROTOCOL. */
  static forResponses(events: H1ResponseEvents, decodeLatin1: DecodeLatin1): H1Parser {
    return new H1Parser(undefined, events, decodeLatin1, '');
  }

  get state(): H1State {
    return this.#state;
  }

  /** True between messages, as long as nothing of the next one has arrived. */
  get isIdle(): boolean {
    return this.#state === 'head' && this.#pendingLength === 0 && this.#leading !== 1;
  }

  /** The next response answers a request of this method, which did or did not ask for an upgrade. */
  expect(method: string, upgrade: string | undefined): void {
    this.#requestMethod = method;
    this.#requestUpgrade = upgrade;
    this.next();
  }

  /** Goes on with the next message. */
  next(): void {
    this.#state = 'head';
    this.#leading = 0;
  }

  /** Nothing more will be read; also stops a `push` in progress. */
  stop(): void {
    this.#state = 'done';
    this.#pending = EMPTY;
    this.#pendingLength = 0;
  }

  /**
   * Reads `bytes` from `offset`; returns the offset behind what it took, which is short of the end only in the states
   * `done` and `raw`. Events must not throw.
   * @throws SkeinError when the message is refused; the connection cannot be read any further then
   */
  push(bytes: Bytes, offset = 0): number {
    try {
      let at = offset;
      const end = bytes.length;
      while (at < end && this.#state !== 'done' && this.#state !== 'raw') at = this.#step(bytes, at, end);
      return at;
    } catch (error) {
      this.stop();
      throw this.#inRole(error);
    }
  }

  /** The bytes have ended. @throws SkeinError when they ended within a message */
  end(): void {
    const state = this.#state;
    if (state === 'until-close') {
      this.stop();
      this.#events.onEnd(NO_FIELDS);
    } else if (state !== 'done' && state !== 'raw' && !this.isIdle) {
      this.stop();
      throw this.#inRole(malformed('it ends too early'));
    }
  }

  get #events(): BodyEvents {
    return (this.#request ?? this.#response) as BodyEvents;
  }

  #inRole(error: unknown): unknown {
    if (this.#request !== undefined || !(error instanceof SkeinError)) return error;
    return new SkeinError('SKEIN_APP_PROTOCOL', error.message, { cause: error });
  }

  #step(bytes: Bytes, at: number, end: number): number {
    switch (this.#state) {
      case 'head':
        return this.#leading !== 2 && this.#request !== undefined
          ? this.#skipEmptyLine(bytes, at, end)
          : this.#pushSection(bytes, at, end);
      case 'trailers':
        return this.#pushSection(bytes, at, end);
      case 'chunk-line':
        return this.#pushChunkLine(bytes, at, end);
      case 'until-close':
        this.#events.onData(at === 0 ? bytes : bytes.subarray(at));
        return end;
      default:
        return this.#pushCounted(bytes, at, end);
    }
  }

  /** Body bytes whose number is known. */
  #pushCounted(bytes: Bytes, at: number, end: number): number {
    const next = Math.min(end, at + this.#left);
    this.#left -= next - at;
    const chunk = at === 0 && next === bytes.length ? bytes : bytes.subarray(at, next);
    if (this.#left > 0) {
      this.#events.onData(chunk);
    } else if (this.#state === 'chunk-data') {
      this.#state = 'chunk-line';
      this.#chunk.afterData();
      this.#events.onData(chunk);
    } else {
      // The owner may stop the parser while it takes the chunk; then nothing has ended.
      this.#events.onData(chunk);
      if (this.#state !== 'length') return next;
      this.#state = 'done';
      this.#events.onEnd(NO_FIELDS);
    }
    return next;
  }

  #pushChunkLine(bytes: Bytes, at: number, end: number): number {
    const next = this.#chunk.push(bytes, at, end);
    if (this.#chunk.done) {
      this.#left = this.#chunk.size;
      this.#state = this.#left > 0 ? 'chunk-data' : 'trailers';
    }
    return next;
  }

  #skipEmptyLine(bytes: Bytes, at: number, end: number): number {
    if (this.#leading === 1) {
      if (bytes[at] !== LF) throw malformed('carriage return without line feed');
      this.#leading = 2;
      return at + 1;
    }
    if (bytes[at] === CR) {
      this.#leading = 1;
      return at + 1;
    }
    this.#leading = 2;
    return this.#pushSection(bytes, at, end);
  }

  /** A head or a trailer section: scanned in place when it is whole, else collected first. */
  #pushSection(bytes: Bytes, at: number, end: number): number {
    const limit = this.#state === 'head' ? MAX_HEAD_BYTES : MAX_TRAILER_BYTES;
    if (this.#pendingLength > 0) return this.#collect(bytes, at, end, limit);
    const next = this.#scan(bytes, at, end);
    if ((next === INCOMPLETE ? end : next) - at > limit) throw malformed(`more than ${limit} bytes of fields`, 431);
    if (next === INCOMPLETE) {
      this.#keep(bytes, at, end);
      return end;
    }
    this.#finishSection();
    return next;
  }

  /**
   * Looks only for where the section ends or breaks the rules of line ends, so that a head that comes byte by byte
   * is scanned twice in all and not once per byte.
   */
  #collect(bytes: Bytes, start: number, end: number, limit: number): number {
    const length = this.#pendingLength;
    let before = length > 1 ? (this.#pending[length - 2] as number) : LF;
    let last = this.#pending[length - 1] as number;
    for (let at = start; at < end; at++) {
      const byte = bytes[at] as number;
      if (length + at - start >= limit) throw malformed(`more than ${limit} bytes of fields`, 431);
      if ((byte === LF && (last !== CR || before === LF)) || (last === CR && byte !== LF)) {
        this.#keep(bytes, start, at + 1);
        if (this.#scan(this.#pending, 0, this.#pendingLength) === INCOMPLETE)
          throw malformed('line ends are malformed');
        this.#pendingLength = 0;
        this.#pending = EMPTY;
        this.#finishSection();
        return at + 1;
      }
      before = last;
      last = byte;
    }
    this.#keep(bytes, start, end);
    return end;
  }

  #keep(bytes: Bytes, start: number, end: number): void {
    const needed = this.#pendingLength + end - start;
    if (this.#pending.length < needed) {
      const grown = new Uint8Array(Math.max(1024, needed, this.#pending.length * 2));
      grown.set(this.#pending.subarray(0, this.#pendingLength));
      this.#pending = grown;
    }
    this.#pending.set(bytes.subarray(start, end), this.#pendingLength);
    this.#pendingLength = needed;
  }

  #scan(bytes: Bytes, start: number, end: number): number {
    if (this.#state === 'trailers') return this.#scanner.scanTrailers(bytes, start, end);
    if (this.#request !== undefined) return this.#scanner.scanRequest(bytes, start, end);
    return this.#scanner.scanResponse(bytes, start, end);
  }

  #finishSection(): void {
    if (this.#state === 'trailers') {
      this.#state = 'done';
      this.#events.onEnd(stripTrailers(this.#scanner.fields));
    } else if (this.#request !== undefined) {
      this.#finishRequest(this.#request);
    } else if (this.#response !== undefined) {
      this.#finishResponse(this.#response);
    }
  }

  #finishRequest(events: H1RequestEvents): void {
    const { method, target, host, hostCount } = this.#scanner;
    const framing = readRequestFraming(this.#scanner);
    if (hostCount > 1 || (hostCount === 0 && framing.minorVersion === 1)) throw malformed(`${hostCount} Host fields`);
    if (hostCount === 1 && host !== this.#validHost) {
      if (tryParseAuthority(host) === undefined) throw malformed('Host is not host[:port]');
      this.#validHost = host;
    }
    const isOrigin = method !== 'CONNECT' && target.charCodeAt(0) === 0x2f;
    const form = isOrigin ? undefined : parseTarget(method, target);
    this.#start(framing);
    this.expectsContinue = framing.expectsContinue;
    const head: RequestHead = {
      method,
      scheme: form === undefined || form.scheme === '' ? this.#scheme : form.scheme,
      authority: form === undefined || form.authority === '' ? host : form.authority,
      path: form === undefined ? target : form.path,
      fields: framing.fields,
      upgrade: framing.upgrade,
      service: '',
    };
    events.onRequest(head, framing.kind === 'none');
  }

  #finishResponse(events: H1ResponseEvents): void {
    const { status } = this.#scanner;
    const framing = readResponseFraming(this.#scanner, this.#requestMethod, this.#requestUpgrade);
    this.#start(framing);
    if (status < 200 && status !== 101) this.#state = 'head';
    const head: ResponseHead = { status, fields: framing.fields, upgrade: framing.upgrade };
    events.onResponse(head, framing.kind === 'none');
  }

  #start(framing: H1Framing): void {
    this.minorVersion = framing.minorVersion;
    this.keepAlive = framing.keepAlive;
    this.#left = framing.length;
    switch (framing.kind) {
      case 'none':
        this.#state = 'done';
        break;
      case 'length':
        this.#state = 'length';
        break;
      case 'chunked':
        this.#state = 'chunk-line';
        this.#chunk.reset();
        break;
      case 'until-close':
        this.#state = 'until-close';
        break;
      case 'raw':
        this.#state = 'raw';
        break;
    }
  }
}
