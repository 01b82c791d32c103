/** Variable-length integers of RFC 9000 §16, limited to 2^53-1 so that every value is a safe JavaScript number. */

import type { Bytes } from './bytes.ts';

export const MAX_VARINT = Number.MAX_SAFE_INTEGER;

/** Bytes that `writeVarint` will take: 1, 2, 4 or 8. */
export function varintLength(value: number): number {
  return value < 0x40 ? 1 : value < 0x4000 ? 2 : value < 0x4000_0000 ? 4 : 8;
}

/** Writes `value` (integer, 0..2^53-1) at `offset` and returns the offset behind it. */
export function writeVarint(out: Bytes, offset: number, value: number): number {
  if (value < 0x40) {
    out[offset] = value;
    return offset + 1;
  }
  if (value < 0x4000) {
    out[offset] = 0x40 | (value >> 8);
    out[offset + 1] = value & 0xff;
    return offset + 2;
  }
  if (value < 0x4000_0000) {
    out[offset] = 0x80 | (value >>> 24);
    out[offset + 1] = (value >>> 16) & 0xff;
    out[offset + 2] = (value >>> 8) & 0xff;
    out[offset + 3] = value & 0xff;
    return offset + 4;
  }
  const high = Math.floor(value / 0x1_0000_0000);
  const low = value >>> 0;
  out[offset] = 0xc0 | (high >>> 24);
  out[offset + 1] = (high >>> 16) & 0xff;
  out[offset + 2] = (high >>> 8) & 0xff;
  out[offset + 3] = high & 0xff;
  out[offset + 4] = low >>> 24;
  out[offset + 5] = (low >>> 16) & 0xff;
  out[offset + 6] = (low >>> 8) & 0xff;
  out[offset + 7] = low & 0xff;
  return offset + 8;
}

/**
 * A cursor over bytes of a peer. Reading past the end, or a value above 2^53-1, sets `failed` and returns 0:
 * the caller checks once at the end instead of at each field, and no exception is built for hostile input.
 */
export class ByteReader {
  offset: number;
  failed = false;
  readonly bytes: Bytes;
  readonly end: number;

  constructor(bytes: Bytes, offset = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.offset = offset;
    this.end = end;
  }

  get remaining(): number {
    return this.end - this.offset;
  }

  u8(): number {
    if (this.offset >= this.end) return this.#fail();
    return this.bytes[this.offset++] as number;
  }

  u16(): number {
    return this.u8() * 0x100 + this.u8();
  }

  u32(): number {
    return this.u16() * 0x1_0000 + this.u16();
  }

  varint(): number {
    if (this.offset >= this.end) return this.#fail();
    const first = this.bytes[this.offset] as number;
    if (first < 0x40) {
      this.offset++;
      return first;
    }
    const length = 1 << (first >> 6);
    if (this.offset + length > this.end) return this.#fail();
    let value = first & 0x3f;
    for (let i = 1; i < length; i++) value = value * 0x100 + (this.bytes[this.offset + i] as number);
    this.offset += length;
    return value > MAX_VARINT ? this.#fail() : value;
  }

  /** The next `length` bytes as a view, not a copy. */
  take(length: number): Bytes {
    if (length < 0 || this.offset + length > this.end) {
      this.#fail();
      return this.bytes.subarray(0, 0);
    }
    const view = this.bytes.subarray(this.offset, this.offset + length);
    this.offset += length;
    return view;
  }

  #fail(): 0 {
    this.failed = true;
    this.offset = this.end;
    return 0;
  }
}
