/**
 * Tells whole binary messages of a WebSocket (RFC 6455 §5.2) from all else. What is not plainly one frame that is one message goes on to ws, byte by
 * byte and in order: control frames, texts, fragments, and whatever breaks the protocol, which ws answers as it always does.
 */

import type { Bytes } from '../../core/bytes.ts';

export interface FrameSplitterOptions {
  /** Whether the other end must mask (it is the client), or must not. */
  readonly isMasked: boolean;
  /** A frame with more is left to ws. */
  readonly maxWholeBytes: number;
  /** With more, ws will refuse it. */
  readonly maxPayloadBytes: number;
  /** A whole message, unmasked; a view of what is being read. */
  readonly onMessage: (message: Bytes) => void;
  /** Bytes for ws; a view of what is being read. */
  readonly onRest: (bytes: Bytes) => void;
}

/** FIN, and the opcode of a binary message. */
const WHOLE_BINARY = 0x82;
const FIN = 0x80;
const RSV_AND_OPCODE = 0x7f;
const CONTINUATION = 0;
const TEXT = 1;
const BINARY = 2;
/** Control frames have this opcode or a higher one. */
const CONTROL = 8;
const CLOSE = 8;
const PONG = 10;
const MAX_CONTROL_BYTES = 125;
const MASK = 0x80;
const MASK_BYTES = 4;
const FOR_WS = -1;
/** Of the longest header. */
const MAX_HEADER_BYTES = 14;

export class FrameSplitter {
  readonly #options: FrameSplitterOptions;
  /** Header of a frame that goes to ws, as far as it has come. */
  readonly #header = new Uint8Array(MAX_HEADER_BYTES);
  #headerBytes = 0;
  /** What ws is still to get of the frame behind it. */
  #restBytes = 0;
  /** A message in several frames is under way; ws has its beginning. */
  #isFragmented = false;
  /** What follows is for ws: a close message came, or something that is no frame. */
  #isOver = false;
  /** Whether messages are told of here; until then all goes to ws. */
  isOpen = false;

  constructor(options: FrameSplitterOptions) {
    this.#options = options;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * @param isLeft what is shown again is not waited for any longer: ws gets that frame
   * @returns how many bytes were dealt with: those behind are the beginning of a message, to be shown again with more
   */
  read(bytes: Bytes, isLeft = false): number {
    let at = 0;
    if (isLeft) this.#noteHeader(bytes[at++] as number);
    /** Where that begins which ws has to get. */
    let restAt = 0;
    while (at < bytes.length) {
      if (this.#isOver) at = bytes.length;
      else if (this.#restBytes > 0) at += this.#skip(bytes.length - at);
      else if (!this.#mayBeMessage(bytes, at)) this.#noteHeader(bytes[at++] as number);
      else {
        if (restAt < at) this.#options.onRest(bytes.subarray(restAt, at));
        restAt = at;
        const next = this.#readMessage(bytes, at);
        if (next === at) return at;
        if (next === FOR_WS) this.#noteHeader(bytes[at++] as number);
        else restAt = at = next;
      }
    }
    if (restAt < at) this.#options.onRest(bytes.subarray(restAt, at));
    return at;
  }

  #mayBeMessage(bytes: Bytes, at: number): boolean {
    return this.isOpen && this.#headerBytes === 0 && !this.#isFragmented && bytes[at] === WHOLE_BINARY;
  }

  /** @returns where the next frame begins, or `at` when not all of this one is there, or `FOR_WS` */
  #readMessage(bytes: Bytes, at: number): number {
    const there = bytes.length - at;
    if (there < 2) return at;
    const second = bytes[at + 1] as number;
    const { isMasked, maxWholeBytes, onMessage } = this.#options;
    if (((second & MASK) !== 0) !== isMasked) return FOR_WS;
    const from = at + headerLength(second);
    if (bytes.length < from) return at;
    const end = from + payloadLength(bytes, at);
    if (end - from > maxWholeBytes) return FOR_WS;
    if (bytes.length < end) return at;
    if (isMasked) unmask(bytes, from, end);
    onMessage(bytes.subarray(from, end));
    return end;
  }

  #skip(there: number): number {
    const skipped = Math.min(there, this.#restBytes);
    this.#restBytes -= skipped;
    return skipped;
  }

  #noteHeader(byte: number): void {
    const header = this.#header;
    header[this.#headerBytes++] = byte;
    if (this.#headerBytes < 2 || this.#headerBytes < headerLength(header[1] as number)) return;
    this.#headerBytes = 0;
    const first = header[0] as number;
    const opcode = first & RSV_AND_OPCODE; // with a reserved bit it is none that is known
    const length = payloadLength(header, 0);
    const isMasked = ((header[1] as number) & MASK) !== 0;
    this.#restBytes = length;
    const isFinal = (first & FIN) !== 0;
    const isBroken =
      isMasked !== this.#options.isMasked ||
      length > this.#options.maxPayloadBytes ||
      (opcode >= CONTROL ? opcode > PONG || !isFinal || length > MAX_CONTROL_BYTES : !this.#follows(opcode));
    // ws ends it at once, or takes no more: no message that follows may pass that by.
    this.#isOver = opcode === CLOSE || isBroken;
    if (opcode < CONTROL) this.#isFragmented = !isFinal;
  }

  /** Whether data of that kind may come now. */
  #follows(opcode: number): boolean {
    return this.#isFragmented ? opcode === CONTINUATION : opcode === TEXT || opcode === BINARY;
  }
}

function headerLength(second: number): number {
  const length = second & 0x7f;
  return 2 + (length === 126 ? 2 : length === 127 ? 8 : 0) + ((second & MASK) === 0 ? 0 : MASK_BYTES);
}

/** Of a header that is there as a whole. */
function payloadLength(bytes: Bytes, at: number): number {
  const short = (bytes[at + 1] as number) & 0x7f;
  if (short < 126) return short;
  let length = 0;
  for (let i = at + 2; i < at + (short === 126 ? 4 : 10); i++) length = length * 0x100 + (bytes[i] as number);
  return length;
}

/** In place; the key stands before. */
function unmask(bytes: Bytes, from: number, end: number): void {
  const key = bytes.subarray(from - MASK_BYTES, from);
  if (key.every((byte) => byte === 0)) return;
  for (let i = from; i < end; i++) bytes[i] = (bytes[i] as number) ^ (key[(i - from) & 3] as number);
}
