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
  /** Room for the unfinished message and its length; it doubles, so that each byte is copied a few times, however small the pieces. */
  #held: Bytes = EMPTY;
  #heldBytes = 0;

  /**
   * Calls `onMessage` for every message that `chunk` completes, until it returns false.
   * @returns how much of the chunk was read
   * @throws SkeinError SKEIN_PROTOCOL when a length is zero or beyond the limit
   */
  push(chunk: Bytes, onMessage: (message: Bytes) => boolean): number {
    let at = 0;
    while (at < chunk.length) {
      if (this.#heldBytes > 0) {
        at += this.#fill(chunk, at);
        const message = this.#takeHeld();
        if (message !== undefined && !onMessage(message)) return at;
        continue;
      }
      const end = at + PREFIX_BYTES + (readLength(chunk, at) ?? chunk.length);
      if (end > chunk.length) {
        this.#hold(chunk, at, chunk.length);
        return chunk.length;
      }
      const start = at + PREFIX_BYTES;
      at = end;
      if (!onMessage(chunk.subarray(start, end))) return at;
    }
    return at;
  }

  /** True in the middle of a message. */
  get isInside(): boolean {
    return this.#heldBytes > 0;
  }

  /** Takes from `chunk` what the held message lacks, as far as that is known; returns how much that was. */
  #fill(chunk: Bytes, from: number): number {
    const length = readLength(this.#held, 0, this.#heldBytes) ?? 0;
    const lacking = PREFIX_BYTES + length - this.#heldBytes;
    const taken = Math.min(lacking, chunk.length - from);
    this.#hold(chunk, from, from + taken);
    return taken;
  }

  #takeHeld(): Bytes | undefined {
    const length = readLength(this.#held, 0, this.#heldBytes);
    if (length === undefined || this.#heldBytes < PREFIX_BYTES + length) return undefined;
    const message = this.#held.subarray(PREFIX_BYTES, this.#heldBytes);
    this.#held = EMPTY;
    this.#heldBytes = 0;
    return message;
  }

  #hold(chunk: Bytes, from: number, to: number): void {
    const bytes = this.#heldBytes + to - from;
    if (bytes > this.#held.length) {
      const larger = new Uint8Array(Math.max(bytes, 2 * this.#held.length));
      larger.set(this.#held.subarray(0, this.#heldBytes));
      this.#held = larger;
    }
    this.#held.set(chunk.subarray(from, to), this.#heldBytes);
    this.#heldBytes = bytes;
  }
}

/** The length that stands at `at`, or undefined when it is not whole. @throws SkeinError SKEIN_PROTOCOL */
function readLength(bytes: Bytes, at: number, end: number = bytes.length): number | undefined {
  if (end - at < PREFIX_BYTES) return undefined;
  const length = new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0);
  if (length > 0 && length <= MAX_MESSAGE_BYTES) return length;
  throw new SkeinError('SKEIN_PROTOCOL', `Cannot read control message: its length is ${length}`);
}
