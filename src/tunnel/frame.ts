/** Inner frames: the one place that knows their bytes. */

import type { Bytes } from '../core/bytes.ts';
import { ByteReader, writeVarint } from '../core/varint.ts';

/*
 * byte0 = type(4) | flags(4), varint stream id or value, then a varint length where a body follows.
 *
 *  0 DATA         id, len, bytes                                             flags 1 END
 *  1 OPEN         id, len, kind u8, urgency u8, varint credit, varint deadlineMs, meta   1 END
 *  2 HEADERS      id, len, block                                             1 END  2 TRAILERS  4 INFORMATIONAL
 *  3 CREDIT       id (0 = session), varint absolute offset
 *  4 RESET        id, varint code, varint final size                         1 NOT_PROCESSED
 *  5 STOP         id, varint code
 *  6 PING         8 bytes                                                    1 ACK
 *  7 GOAWAY       varint code, varint last accepted id, varint retryAfterMs, len, text   1 DRAIN
 *  8 ACK          varint next expected sequence
 *  9 MAX_STREAMS  varint cumulative count
 * 12 PATH         varint length, bytes: of the layer above                   1 FENCE (empty: what came before has arrived)
 * 15 EXT          varint type, len, bytes                                    1 CRITICAL
 */
const DATA = 0;
const OPEN = 1;
const HEADERS = 2;
const CREDIT = 3;
const RESET = 4;
const STOP = 5;
const PING = 6;
const GOAWAY = 7;
const ACK = 8;
const MAX_STREAMS = 9;
const PATH = 12;
const EXT = 15;

export const FLAG_END = 1;
const FLAG_ACK = 1;
const FLAG_NOT_PROCESSED = 1;
const FLAG_DRAIN = 1;
const FLAG_FENCE = 1;
const FLAG_CRITICAL = 1;

/** Flags each type may carry; another one is a protocol error, because a peer that sets it means something we would miss. */
const ALLOWED_FLAGS: readonly number[] = [1, 1, 7, 0, 1, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 1];

export const PING_BYTES = 8;
/** Most bytes in front of a frame's body: type, stream id and length. */
export const FRAME_HEADER_BYTES = 13;
/** Most bytes of a frame without a body. */
export const CONTROL_FRAME_BYTES = 25;
/** What OPEN adds to its meta, at most. */
export const OPEN_OVERHEAD_BYTES = FRAME_HEADER_BYTES + 18;

/** Appends frames to a record's plaintext. The caller checks `room` first. */
export class FrameWriter {
  readonly bytes: Bytes;
  length = 0;
  limit: number;
  /** Whether anything was written that the peer acknowledges soon, and not just with data of its own. */
  elicitsAck = false;

  constructor(bytes: Bytes) {
    this.bytes = bytes;
    this.limit = bytes.length;
  }

  get room(): number {
    return this.limit - this.length;
  }

  reset(limit: number): void {
    this.length = 0;
    this.limit = Math.min(limit, this.bytes.length);
    this.elicitsAck = false;
  }

  data(id: number, end: boolean, chunk: Bytes, from: number, length: number): void {
    this.#start(DATA, end ? FLAG_END : 0, id);
    this.#varint(length);
    this.bytes.set(from === 0 && length === chunk.length ? chunk : chunk.subarray(from, from + length), this.length);
    this.length += length;
    this.elicitsAck = true;
  }

  open(id: number, end: boolean, kind: number, credit: number, meta: Bytes): void {
    this.#start(OPEN, end ? FLAG_END : 0, id);
    const overhead = 3 + (credit < 0x40 ? 1 : credit < 0x4000 ? 2 : credit < 0x4000_0000 ? 4 : 8);
    this.#varint(overhead + meta.length);
    this.bytes[this.length++] = kind;
    this.bytes[this.length++] = DEFAULT_URGENCY;
    this.#varint(credit);
    this.#varint(0); // no deadline
    this.bytes.set(meta, this.length);
    this.length += meta.length;
    this.elicitsAck = true;
  }

  headers(id: number, flags: number, block: Bytes): void {
    this.#start(HEADERS, flags, id);
    this.#varint(block.length);
    this.bytes.set(block, this.length);
    this.length += block.length;
    this.elicitsAck = true;
  }

  credit(id: number, offset: number): void {
    this.#start(CREDIT, 0, id);
    this.#varint(offset);
    this.elicitsAck = true;
  }

  resetStream(id: number, code: number, finalSize: number, notProcessed: boolean): void {
    this.#start(RESET, notProcessed ? FLAG_NOT_PROCESSED : 0, id);
    this.#varint(code);
    this.#varint(finalSize);
    this.elicitsAck = true;
  }

  ping(ack: boolean, body: Bytes): void {
    this.bytes[this.length++] = (PING << 4) | (ack ? FLAG_ACK : 0);
    this.bytes.set(body, this.length);
    this.length += PING_BYTES;
  }

  goAway(code: number, lastAcceptedId: number, drain: boolean, text: Bytes): void {
    this.#start(GOAWAY, drain ? FLAG_DRAIN : 0, code);
    this.#varint(lastAcceptedId);
    this.#varint(0);
    this.#varint(text.length);
    this.bytes.set(text, this.length);
    this.length += text.length;
    this.elicitsAck = true;
  }

  ack(nextExpected: number): void {
    this.#start(ACK, 0, nextExpected);
  }

  maxStreams(count: number): void {
    this.#start(MAX_STREAMS, 0, count);
    this.elicitsAck = true;
  }

  /** A message about ways to the peer. */
  path(message: Bytes): void {
    this.#start(PATH, 0, message.length);
    this.bytes.set(message, this.length);
    this.length += message.length;
    this.elicitsAck = true;
  }

  /** Its ACK tells that the path in use is empty. */
  fence(): void {
    this.#start(PATH, FLAG_FENCE, 0);
    this.elicitsAck = true;
  }

  #start(type: number, flags: number, value: number): void {
    this.bytes[this.length++] = (type << 4) | flags;
    this.#varint(value);
  }

  #varint(value: number): void {
    this.length = writeVarint(this.bytes, this.length, value);
  }
}

/** Frames that nobody waits for; the next record that is due anyway acknowledges them (RFC 9000 §13.2.1). */
const UNHURRIED: ReadonlySet<number> = new Set([PING, ACK]);

/** RFC 9218 §4.1 */
export const DEFAULT_URGENCY = 3;

/** What the frames of a record say, in order. Every body is a view into the record. */
export interface FrameHandler {
  onData(id: number, end: boolean, chunk: Bytes): void;
  onOpen(
    id: number,
    end: boolean,
    kind: number,
    urgency: number,
    credit: number,
    deadlineMs: number,
    meta: Bytes,
  ): void;
  onHeaders(id: number, flags: number, block: Bytes): void;
  onCredit(id: number, offset: number): void;
  onReset(id: number, code: number, finalSize: number, notProcessed: boolean): void;
  onStop(id: number, code: number): void;
  onPing(ack: boolean, body: Bytes): void;
  onGoAway(code: number, lastAcceptedId: number, retryAfterMs: number, drain: boolean, text: Bytes): void;
  onAck(nextExpected: number): void;
  onMaxStreams(count: number): void;
  onPath(message: Bytes): void;
  onFence(): void;
  /** False stops reading: the session is over. */
  readonly isReading: boolean;
  /** Set by `readFrames` when a frame came for which the peer waits; an ACK for anything less would itself be acknowledged, for ever. */
  elicitsAck: boolean;
}

/** Reads one record's plaintext. Returns what is wrong with it, or undefined. */
export function readFrames(plaintext: Bytes, handler: FrameHandler): string | undefined {
  const reader = new ByteReader(plaintext);
  while (reader.offset < reader.end) {
    const first = reader.u8();
    const type = first >> 4;
    const flags = first & 15;
    if ((flags & ~(ALLOWED_FLAGS[type] as number)) !== 0) return 'a frame has an unknown flag';
    if (!UNHURRIED.has(type)) handler.elicitsAck = true;
    const problem = readFrame(type, flags, reader, handler);
    if (problem !== undefined) return problem;
    if (!handler.isReading) return undefined;
  }
  return undefined;
}

const TRUNCATED = 'a frame is truncated';

function readFrame(type: number, flags: number, reader: ByteReader, handler: FrameHandler): string | undefined {
  if (type === PING) {
    const body = reader.take(PING_BYTES);
    if (reader.failed) return TRUNCATED;
    handler.onPing((flags & FLAG_ACK) !== 0, body);
    return undefined;
  }
  const value = reader.varint();
  switch (type) {
    case DATA: {
      const chunk = reader.take(reader.varint());
      if (reader.failed) return TRUNCATED;
      handler.onData(value, (flags & FLAG_END) !== 0, chunk);
      return undefined;
    }
    case OPEN: {
      const body = new ByteReader(reader.take(reader.varint()));
      const kind = body.u8();
      const urgency = body.u8();
      const credit = body.varint();
      const deadlineMs = body.varint();
      if (reader.failed || body.failed) return TRUNCATED;
      handler.onOpen(value, (flags & FLAG_END) !== 0, kind, urgency, credit, deadlineMs, body.take(body.remaining));
      return undefined;
    }
    case HEADERS: {
      const block = reader.take(reader.varint());
      if (reader.failed) return TRUNCATED;
      handler.onHeaders(value, flags, block);
      return undefined;
    }
    case CREDIT: {
      const offset = reader.varint();
      if (reader.failed) return TRUNCATED;
      handler.onCredit(value, offset);
      return undefined;
    }
    case RESET: {
      const code = reader.varint();
      const finalSize = reader.varint();
      if (reader.failed) return TRUNCATED;
      handler.onReset(value, code, finalSize, (flags & FLAG_NOT_PROCESSED) !== 0);
      return undefined;
    }
    case STOP: {
      const code = reader.varint();
      if (reader.failed) return TRUNCATED;
      handler.onStop(value, code);
      return undefined;
    }
    case GOAWAY: {
      const lastAcceptedId = reader.varint();
      const retryAfterMs = reader.varint();
      const text = reader.take(reader.varint());
      if (reader.failed) return TRUNCATED;
      handler.onGoAway(value, lastAcceptedId, retryAfterMs, (flags & FLAG_DRAIN) !== 0, text);
      return undefined;
    }
    case ACK:
      if (reader.failed) return TRUNCATED;
      handler.onAck(value);
      return undefined;
    case MAX_STREAMS:
      if (reader.failed) return TRUNCATED;
      handler.onMaxStreams(value);
      return undefined;
    case PATH: {
      const message = reader.take(value);
      if (reader.failed) return TRUNCATED;
      if ((flags & FLAG_FENCE) === 0) handler.onPath(message);
      else handler.onFence();
      return undefined;
    }
    case EXT: {
      reader.take(reader.varint());
      if (reader.failed) return TRUNCATED;
      return (flags & FLAG_CRITICAL) === 0 ? undefined : 'a critical extension is unknown';
    }
    default:
      return 'a frame has an unknown type';
  }
}
