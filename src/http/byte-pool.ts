/** Small pieces of shared slabs, for heads and chunk lines: a slab per hundred pieces instead of an allocation for each. */

import { type Bytes, EMPTY } from '../core/bytes.ts';

/** A slab lives as long as the longest-held of its pieces, so it is not larger than what one flush usually carries. */
const SLAB_BYTES = 32 * 1024;

export class BytePool {
  /** Where to write, from `at` on, after `reserve`. */
  bytes: Bytes = EMPTY;
  at = 0;

  /** Makes room for `length` bytes at `at`. */
  reserve(length: number): void {
    if (this.bytes.length - this.at >= length) return;
    this.bytes = new Uint8Array(Math.max(SLAB_BYTES, length));
    this.at = 0;
  }

  /** The piece from `at` to `end`; it belongs to the caller and is never handed out again. */
  take(end: number): Bytes {
    const piece = this.bytes.subarray(this.at, end);
    this.at = end;
    return piece;
  }
}
