/** Frames of HTTP/2 (RFC 9113 §4 and §6): cut out of a stream of bytes, and written. */

import { type Bytes, concatBytes, EMPTY } from '../core/bytes.ts';
import { H2_CODE, H2Violation } from './h2-code.ts';

/*
 *  length u24 | type u8 | flags u8 | R, stream id u31 | payload
 */
export const H2_FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
export const H2_FLAG = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 0x20 } as const;
export const H2_SETTING = {
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const;

export const H2_HEADER_BYTES = 9;
/** SETTINGS_MAX_FRAME_SIZE that nobody may undercut: what is sent here is never larger, and what is taken neither. */
export const H2_MAX_PAYLOAD_BYTES = 16_384;

export interface H2FrameHandler {
  /** `payload` is a view, valid until this returns unless it is DATA, which is given away. @throws H2Violation */
  onFrame(type: number, flags: number, streamId: number, payload: Bytes): void;
  /** Nothing more is wanted. */
  readonly isReading: boolean;
}

export class H2FrameReader {
  #held: Bytes = EMPTY;

  /** @throws H2Violation */
  push(chunk: Bytes, handler: H2FrameHandler): void {
    let bytes = this.#held.length === 0 ? chunk : concatBytes(this.#held, chunk);
    while (handler.isReading && bytes.length >= H2_HEADER_BYTES) {
      const view = new DataView(bytes.buffer, bytes.byteOffset, H2_HEADER_BYTES);
      const length = view.getUint32(0) >>> 8;
      if (length > H2_MAX_PAYLOAD_BYTES)
        throw new H2Violation(H2_CODE.frameSizeError, 'Cannot read frame: it is too large');
      if (bytes.length < H2_HEADER_BYTES + length) break;
      const payload = bytes.subarray(H2_HEADER_BYTES, H2_HEADER_BYTES + length);
      bytes = bytes.subarray(H2_HEADER_BYTES + length);
      handler.onFrame(view.getUint8(3), view.getUint8(4), view.getUint32(5) & 0x7fffffff, payload);
    }
    // A copy: half a frame must not hold all that came with it.
    this.#held = bytes.length === 0 ? EMPTY : bytes.slice();
  }
}

export function encodeFrame(type: number, flags: number, streamId: number, payload: Bytes): Bytes {
  const out = new Uint8Array(H2_HEADER_BYTES + payload.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, (payload.length << 8) | type);
  view.setUint8(4, flags);
  view.setUint32(5, streamId);
  out.set(payload, H2_HEADER_BYTES);
  return out;
}

export function encodeSettings(settings: readonly (readonly [id: number, value: number])[]): Bytes {
  const payload = new Uint8Array(settings.length * 6);
  const view = new DataView(payload.buffer);
  for (const [i, [id, value]] of settings.entries()) {
    view.setUint16(i * 6, id);
    view.setUint32(i * 6 + 2, value);
  }
  return encodeFrame(H2_FRAME.settings, 0, 0, payload);
}

/** A frame whose payload is one number, or two. */
export function encodeNumbers(type: number, streamId: number, ...numbers: readonly number[]): Bytes {
  const payload = new Uint8Array(numbers.length * 4);
  const view = new DataView(payload.buffer);
  for (const [i, number] of numbers.entries()) view.setUint32(i * 4, number);
  return encodeFrame(type, 0, streamId, payload);
}

/** HEADERS, and CONTINUATION for what does not fit into one frame. */
export function encodeHeaders(streamId: number, block: Bytes, isEnd: boolean): Bytes[] {
  const frames: Bytes[] = [];
  for (let at = 0; at === 0 || at < block.length; at += H2_MAX_PAYLOAD_BYTES) {
    const part = block.subarray(at, at + H2_MAX_PAYLOAD_BYTES);
    const isLast = at + H2_MAX_PAYLOAD_BYTES >= block.length;
    const flags = (isLast ? H2_FLAG.endHeaders : 0) | (at === 0 && isEnd ? H2_FLAG.endStream : 0);
    frames.push(encodeFrame(at === 0 ? H2_FRAME.headers : H2_FRAME.continuation, flags, streamId, part));
  }
  return frames;
}

/** The payload without its padding. @throws H2Violation */
export function unpad(flags: number, payload: Bytes): Bytes {
  if ((flags & H2_FLAG.padded) === 0) return payload;
  const padding = payload[0];
  if (padding === undefined || padding >= payload.length) {
    throw new H2Violation(H2_CODE.protocolError, 'Cannot read frame: more padding than payload');
  }
  return payload.subarray(1, payload.length - padding);
}
