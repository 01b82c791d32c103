/** Where frames of a WebSocket begin and end in its bytes (RFC 6455 §5.2): between two of them a close frame may be put. */

import { type Bytes, concatBytes, encodeUtf8 } from '../core/bytes.ts';

/** Of the longest head: two bytes, eight of length, four of mask. */
const MAX_HEAD = 14;
/** Payload of a control frame (§5.5), without the code. */
const MAX_REASON = 123;

/** Follows the frames of one direction. */
export class WebSocketFrames {
  readonly #head = new Uint8Array(MAX_HEAD);
  #headBytes = 0;
  /** Bytes of the payload that have not come yet. */
  #left = 0;

  /** No frame is under way. */
  get isBetween(): boolean {
    return this.#headBytes === 0 && this.#left === 0;
  }

  push(chunk: Bytes): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#left > 0) {
        const taken = Math.min(this.#left, chunk.length - at);
        this.#left -= taken;
        at += taken;
        continue;
      }
      this.#head[this.#headBytes++] = chunk[at++] as number;
      if (this.#headBytes < headLength(this.#head, this.#headBytes)) continue;
      this.#left = payloadLength(this.#head);
      this.#headBytes = 0;
    }
  }
}

/** A close frame as servers send it: without a mask. */
export function encodeCloseFrame(code: number, reason: string): Bytes {
  const text = encodeUtf8(reason).subarray(0, MAX_REASON);
  return concatBytes(new Uint8Array([0x88, 2 + text.length, code >> 8, code & 0xff]), text);
}

function headLength(head: Bytes, known: number): number {
  if (known < 2) return 2;
  const second = head[1] as number;
  return 2 + lengthBytes(second & 0x7f) + (second & 0x80 ? 4 : 0);
}

function lengthBytes(short: number): number {
  return short === 126 ? 2 : short === 127 ? 8 : 0;
}

function payloadLength(head: Bytes): number {
  const short = (head[1] as number) & 0x7f;
  const bytes = lengthBytes(short);
  let length = bytes === 0 ? short : 0;
  // More than 2^53 nobody lives to see.
  for (let i = 0; i < bytes; i++) length = length * 256 + (head[2 + i] as number);
  return length;
}
