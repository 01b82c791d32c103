/** Messages on a byte stream: a length of 32 bits before each. */

import { type Bytes, EMPTY } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import { MAX_MESSAGE_BYTES } from './limits.ts';

const PREFIX_BYTES = 4;

/** @returns length and message in one buffer, for one `write` */
export function frameMessage(message: Bytes): Bytes {
  const out = new Uint8Array(PREFIX_BYTES + message.length);
  new DataView(out.buffer).setUint32(0, message.length);
  out.set(message, PREFIX_BYTES);
  return out;
}

/** Cuts what arrives into messages; holds at most one unfinished message. */
export class MessageReader {
  #held: Bytes = EMPTY;

  /**
   * Calls `onMessage` for every message that `chunk` completes, until it returns false.
   * @throws SkeinError SKEIN_PROTOCOL when a length is zero or beyond the limit
   */
  push(chunk: Bytes, onMessage: (message: Bytes) => boolean): void {
    let bytes = chunk;
    if (this.#held.length > 0) {
      bytes = new Uint8Array(this.#held.length + chunk.length);
      bytes.set(this.#held);
      bytes.set(chunk, this.#held.length);
    }
    let at = 0;
    while (bytes.length - at >= PREFIX_BYTES) {
      const length = new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0);
      if (length === 0 || length > MAX_MESSAGE_BYTES) {
        throw new SkeinError('SKEIN_PROTOCOL', `Cannot read control message: its length is ${length}`);
      }
      if (bytes.length - at - PREFIX_BYTES < length) break;
      const start = at + PREFIX_BYTES;
      at = start + length;
      if (!onMessage(bytes.subarray(start, at))) return;
    }
    this.#held = at === bytes.length ? EMPTY : bytes.slice(at);
  }

  /** True in the middle of a message. */
  get isInside(): boolean {
    return this.#held.length > 0;
  }
}
