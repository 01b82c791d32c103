/** Writes JSON-like values as MessagePack, each in its shortest form; members that are undefined are left out, as in JSON. */

import type { Bytes } from '../core/bytes.ts';

/** A unit of UTF-16 takes at most three bytes of UTF-8. */
const BYTES_PER_UNIT = 3;
/** Type and value of a number, or type and length of anything else. */
const LONGEST_HEAD = 9;
/** Longer texts are encoded by the runtime. */
const SHORT_TEXT = 64;
const FIRST_ROOM = 4096;
const encoder = new TextEncoder();

/** One that is used again and again, so that only what is given away is made anew. */
export class MessagePackWriter {
  #room = new Uint8Array(FIRST_ROOM);
  #view = new DataView(this.#room.buffer);
  #at = 0;

  /** Bytes that belong to the caller. @throws TypeError on what JSON has not */
  write(value: unknown): Bytes {
    const length = this.measure(value);
    return this.#room.slice(0, length);
  }

  /** Bytes that `value` takes. */
  measure(value: unknown): number {
    this.#at = 0;
    this.#value(value);
    return this.#at;
  }

  #value(value: unknown): void {
    switch (typeof value) {
      case 'string':
        return this.#text(value);
      case 'number':
        return this.#number(value);
      case 'boolean':
        return this.#byte(value ? 0xc3 : 0xc2);
      case 'object':
        if (value === null) return this.#byte(0xc0);
        return Array.isArray(value) ? this.#array(value) : this.#map(value as Readonly<Record<string, unknown>>);
      // In an array: JSON has null there too.
      case 'undefined':
        return this.#byte(0xc0);
      default:
        throw new TypeError(`Cannot write ${typeof value} as MessagePack`);
    }
  }

  #array(array: readonly unknown[]): void {
    this.#length(array.length, 15, 0x90, 0xdc);
    for (const each of array) this.#value(each);
  }

  #map(map: Readonly<Record<string, unknown>>): void {
    let count = 0;
    for (const key in map) if (map[key] !== undefined) count++;
    this.#length(count, 15, 0x80, 0xde);
    for (const key in map) {
      const value = map[key];
      if (value === undefined) continue;
      this.#text(key);
      this.#value(value);
    }
  }

  /** Of an array or a map. */
  #length(length: number, most: number, short: number, long: number): void {
    this.#reserve(LONGEST_HEAD);
    const [room, at] = [this.#room, this.#at];
    if (length <= most) {
      room[at] = short | length;
      this.#at = at + 1;
    } else if (length <= 0xffff) {
      room[at] = long;
      this.#view.setUint16(at + 1, length);
      this.#at = at + 3;
    } else {
      room[at] = long + 1;
      this.#view.setUint32(at + 1, length);
      this.#at = at + 5;
    }
  }

  #text(text: string): void {
    const { length } = text;
    this.#reserve(LONGEST_HEAD + length * BYTES_PER_UNIT);
    if (length <= SHORT_TEXT && this.#ascii(text, length)) return;
    // Where the text begins depends on how many bytes it takes: it is written where it most likely will, and moved if it does not.
    const head = textHead(length);
    const start = this.#at;
    const { written } = encoder.encodeInto(text, this.#room.subarray(start + head));
    const needed = textHead(written);
    if (needed !== head) this.#room.copyWithin(start + needed, start + head, start + head + written);
    this.#textHead(start, written);
    this.#at = start + needed + written;
  }

  /** @returns whether it was */
  #ascii(text: string, length: number): boolean {
    const room = this.#room;
    let at = this.#at + textHead(length);
    for (let i = 0; i < length; i++) {
      const unit = text.charCodeAt(i);
      if (unit > 0x7f) return false;
      room[at++] = unit;
    }
    this.#textHead(this.#at, length);
    this.#at = at;
    return true;
  }

  #textHead(at: number, length: number): void {
    const room = this.#room;
    if (length <= 31) {
      room[at] = 0xa0 | length;
    } else if (length <= 0xff) {
      room[at] = 0xd9;
      room[at + 1] = length;
    } else if (length <= 0xffff) {
      room[at] = 0xda;
      this.#view.setUint16(at + 1, length);
    } else {
      room[at] = 0xdb;
      this.#view.setUint32(at + 1, length);
    }
  }

  #number(value: number): void {
    this.#reserve(LONGEST_HEAD);
    const at = this.#at;
    const view = this.#view;
    if (Number.isInteger(value) && value >= -0x80000000 && value <= 0xffffffff && !Object.is(value, -0)) {
      if (value >= 0 ? value <= 0x7f : value >= -32) {
        view.setInt8(at, value);
        this.#at = at + 1;
      } else if (value >= 0) {
        this.#unsigned(value);
      } else {
        this.#signed(value);
      }
      return;
    }
    view.setUint8(at, 0xcb);
    view.setFloat64(at + 1, value);
    this.#at = at + 9;
  }

  #unsigned(value: number): void {
    const at = this.#at;
    const view = this.#view;
    if (value <= 0xff) {
      view.setUint16(at, 0xcc00 | value);
      this.#at = at + 2;
    } else if (value <= 0xffff) {
      view.setUint8(at, 0xcd);
      view.setUint16(at + 1, value);
      this.#at = at + 3;
    } else {
      view.setUint8(at, 0xce);
      view.setUint32(at + 1, value);
      this.#at = at + 5;
    }
  }

  #signed(value: number): void {
    const at = this.#at;
    const view = this.#view;
    if (value >= -0x80) {
      view.setUint8(at, 0xd0);
      view.setInt8(at + 1, value);
      this.#at = at + 2;
    } else if (value >= -0x8000) {
      view.setUint8(at, 0xd1);
      view.setInt16(at + 1, value);
      this.#at = at + 3;
    } else {
      view.setUint8(at, 0xd2);
      view.setInt32(at + 1, value);
      this.#at = at + 5;
    }
  }

  #byte(byte: number): void {
    this.#reserve(1);
    this.#room[this.#at++] = byte;
  }

  #reserve(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#room.length) return;
    const room = new Uint8Array(Math.max(needed, this.#room.length * 2));
    room.set(this.#room.subarray(0, this.#at));
    this.#room = room;
    this.#view = new DataView(room.buffer);
  }
}

/** Bytes before a text that takes so many. */
function textHead(length: number): number {
  return length <= 31 ? 1 : length <= 0xff ? 2 : length <= 0xffff ? 3 : 5;
}
