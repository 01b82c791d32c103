/**
 * Buffers of large records, used again once the peer has acknowledged what was in them. Fresh ones cost a bulk transfer more
 * than its encryption: each is filled with zeros, and their sum makes V8 collect the whole heap every 64 MiB.
 */

import type { Bytes } from '../core/bytes.ts';

/** A full record with its headers. */
const SLAB_BYTES = 65 * 1024;
/** Smaller records get an exact buffer: they are many, short-lived, and would waste a slab each. */
const LARGE_BYTES = 16 * 1024;
/** Slabs kept for all sessions together: 4 MiB. */
const MAX_FREE = 64;

export class MessagePool {
  readonly #free: ArrayBufferLike[] = [];

  /** A buffer of `length` bytes; what is in it is undefined. */
  take(length: number): Bytes {
    if (length < LARGE_BYTES || length > SLAB_BYTES) return new Uint8Array(length);
    return new Uint8Array(this.#free.pop() ?? new ArrayBuffer(SLAB_BYTES), 0, length);
  }

  /** Nobody reads this message any more: it was acknowledged, so that it has left every queue here. */
  give({ buffer }: Bytes): void {
    if (buffer.byteLength === SLAB_BYTES && this.#free.length < MAX_FREE) this.#free.push(buffer);
  }
}
