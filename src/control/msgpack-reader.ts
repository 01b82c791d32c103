/**
 * Reads MessagePack from whoever sent it, in one go: a value of plain JSON-like types, or why not. Nothing is built that goes beyond the
 * limits.
 */

import { type Bytes, decodeUtf8 } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import { MAX_DEPTH, MAX_ITEMS } from './limits.ts';

/** Longer texts are decoded by the runtime. */
const SHORT_TEXT = 32;
const TWO_TO_32 = 2 ** 32;
const OWN = { configurable: true, enumerable: true, writable: true } as const;

/**
 * Allowed: nil, booleans, integers, floats, UTF-8 strings, arrays, maps with string keys; exactly one value.
 * Refused: binary and extension types, a key that comes twice, anything deeper or more than the limits, lengths past the end, trailing bytes.
 * @throws SkeinError SKEIN_PROTOCOL
 */
export function readMessagePack(bytes: Bytes): unknown {
  const reader = new Reader(bytes);
  const value = reader.value(0);
  reader.end();
  return value;
}

class Reader {
  readonly #bytes: Bytes;
  #view: DataView | undefined;
  #at = 0;
  #items = 0;

  constructor(bytes: Bytes) {
    this.#bytes = bytes;
  }

  /** @param depth containers around it */
  value(depth: number): unknown {
    if (++this.#items > MAX_ITEMS) throw malformed('too many values');
    const type = this.#take(1);
    if (type <= 0x7f) return type;
    if (type >= 0xe0) return type - 0x100;
    if (type <= 0x8f) return this.#map(type & 15, depth);
    if (type <= 0x9f) return this.#array(type & 15, depth);
    if (type <= 0xbf) return this.#text(type & 31);
    switch (type) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xca:
        return this.#float(4);
      case 0xcb:
        return this.#float(8);
      case 0xcc:
      case 0xcd:
      case 0xce:
        return this.#take(1 << (type - 0xcc));
      case 0xcf:
        return this.#take(4) * TWO_TO_32 + this.#take(4);
      case 0xd0:
        return (this.#take(1) << 24) >> 24;
      case 0xd1:
        return (this.#take(2) << 16) >> 16;
      case 0xd2:
        return this.#take(4) | 0;
      case 0xd3:
        return (this.#take(4) | 0) * TWO_TO_32 + this.#take(4);
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#text(this.#take(1 << (type - 0xd9)));
      case 0xdc:
      case 0xdd:
        return this.#array(this.#take(2 << (type - 0xdc)), depth);
      case 0xde:
      case 0xdf:
        return this.#map(this.#take(2 << (type - 0xde)), depth);
      default:
        throw malformed(`it holds type 0x${type.toString(16)}`);
    }
  }

  /** Nothing may follow. */
  end(): void {
    if (this.#at !== this.#bytes.length) throw malformed('bytes follow it');
  }

  /** An unsigned integer of 1, 2 or 4 bytes. */
  #take(width: number): number {
    const bytes = this.#bytes;
    const at = this.#claim(width);
    if (width === 1) return bytes[at] as number;
    const upper = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
    if (width === 2) return upper;
    return upper * 0x10000 + (((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number));
  }

  #float(width: 4 | 8): number {
    const bytes = this.#bytes;
    this.#view ??= new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const at = this.#claim(width);
    return width === 4 ? this.#view.getFloat32(at) : this.#view.getFloat64(at);
  }

  #array(length: number, depth: number): unknown[] {
    this.#enter(length, depth);
    const array: unknown[] = [];
    for (let i = 0; i < length; i++) array.push(this.value(depth + 1));
    return array;
  }

  #map(length: number, depth: number): object {
    this.#enter(length * 2, depth);
    const map: Record<string, unknown> = {};
    for (let i = 0; i < length; i++) {
      const key = this.#key();
      // The last of two members of one name would silently win.
      if (Object.hasOwn(map, key)) throw malformed('a key occurs twice');
      const value = this.value(depth + 1);
      // To assign this one would change what the object inherits.
      if (key === '__proto__') Object.defineProperty(map, key, { ...OWN, value });
      else map[key] = value;
    }
    return map;
  }

  #key(): string {
    if (++this.#items > MAX_ITEMS) throw malformed('too many values');
    const type = this.#take(1);
    let length: number;
    if (type >= 0xa0 && type <= 0xbf) length = type & 31;
    else if (type >= 0xd9 && type <= 0xdb) length = this.#take(1 << (type - 0xd9));
    else throw malformed('a key is no string');
    return this.#text(length);
  }

  /** Each child takes at least one byte, so a count beyond the rest of the message is a lie. */
  #enter(children: number, depth: number): void {
    if (children > this.#bytes.length - this.#at) throw malformed('it ends early');
    if (children > 0 && depth >= MAX_DEPTH) throw malformed('it is nested too deeply');
  }

  #text(length: number): string {
    const bytes = this.#bytes;
    const at = this.#claim(length);
    if (length <= SHORT_TEXT) {
      let text = '';
      let i = at;
      for (; i < this.#at; i++) {
        const byte = bytes[i] as number;
        if (byte > 0x7f) break;
        text += String.fromCharCode(byte);
      }
      if (i === this.#at) return text;
    }
    try {
      return decodeUtf8(bytes.subarray(at, this.#at));
    } catch {
      throw malformed('a string is no UTF-8');
    }
  }

  /** @returns where the next `length` bytes begin */
  #claim(length: number): number {
    const at = this.#at;
    if (length > this.#bytes.length - at) throw malformed('it ends early');
    this.#at = at + length;
    return at;
  }
}

export function malformed(why: string): SkeinError {
  return new SkeinError('SKEIN_PROTOCOL', `Cannot read control message: ${why}`);
}
