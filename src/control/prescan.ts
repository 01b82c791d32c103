/**
 * Looks through MessagePack before anything is built from it: depth, count, lengths, and only plain JSON-like types.
 * msgpackr has no depth limit of its own and decodes extension types (dates, errors, references) whatever its options.
 */

import { type Bytes, decodeUtf8 } from '../core/bytes.ts';
import { MAX_DEPTH, MAX_ITEMS } from './limits.ts';

/** What was found, or why the bytes are refused. */
export type Scan =
  | { readonly refusal: undefined /** Members of all maps together. */; readonly members: number }
  | { readonly refusal: string; readonly members: 0 };

/**
 * Allowed: nil, booleans, integers, floats, UTF-8 strings, arrays, maps with string keys; exactly one value.
 * Refused: binary and extension types, anything deeper or more than the limits, lengths past the end, trailing bytes.
 */
export function scanMessage(bytes: Bytes): Scan {
  /** Per open container, how many values are still to come; for maps keys and values are counted one by one. */
  const open: number[] = [];
  const isMap: boolean[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const end = bytes.length;
  let at = 0;
  let items = 0;
  let members = 0;
  for (;;) {
    if (++items > MAX_ITEMS) return refuse('too many values');
    if (at >= end) return refuse('it ends early');
    const type = bytes[at] as number;
    const level = open.length - 1;
    const isKey = level >= 0 && isMap[level] === true && (open[level] as number) % 2 === 0;
    at++;
    let children = 0;
    let map = false;
    let text = -1;
    if (type <= 0x7f || type >= 0xe0) {
      // fixint
    } else if (type <= 0x8f) {
      map = true;
      children = (type & 15) * 2;
    } else if (type <= 0x9f) {
      children = type & 15;
    } else if (type <= 0xbf) {
      text = type & 31;
    } else {
      const width = HEADER[type - 0xc0] as number;
      if (width < 0) return refuse(`it holds type 0x${type.toString(16)}`);
      if (at + width > end) return refuse('it ends early');
      if (type >= 0xd9 && type <= 0xdb) text = readLength(view, at, width);
      else if (type >= 0xdc && type <= 0xdd) children = readLength(view, at, width);
      else if (type >= 0xde) {
        map = true;
        children = readLength(view, at, width) * 2;
      }
      at += width;
    }
    if (isKey && text < 0) return refuse('a key is no string');
    if (text >= 0) {
      if (at + text > end) return refuse('it ends early');
      if (!isUtf8(bytes.subarray(at, at + text))) return refuse('a string is no UTF-8');
      at += text;
    }
    if (level >= 0) open[level] = (open[level] as number) - 1;
    if (map) members += children / 2;
    // Each child takes at least one byte, so a count beyond the rest of the message is a lie.
    if (children > end - at) return refuse('it ends early');
    if (children > 0) {
      if (open.length >= MAX_DEPTH) return refuse('it is nested too deeply');
      open.push(children);
      isMap.push(map);
      continue;
    }
    while (open.length > 0 && open[open.length - 1] === 0) {
      open.pop();
      isMap.pop();
    }
    if (open.length > 0) continue;
    return at === end ? { refusal: undefined, members } : refuse('bytes follow it');
  }
}

/** Bytes behind the type byte 0xc0 + index that belong to it (a number, or a length); -1: the type is refused. */
const HEADER: readonly number[] = [
  0,
  -1,
  0,
  0,
  -1,
  -1,
  -1,
  -1,
  -1,
  -1,
  4,
  8,
  1,
  2,
  4,
  8, // nil, -, false, true, bin*3, ext*3, float*2, uint*4
  1,
  2,
  4,
  8,
  -1,
  -1,
  -1,
  -1,
  -1,
  1,
  2,
  4,
  2,
  4,
  2,
  4, // int*4, fixext*5, str*3, array*2, map*2
];

function readLength(view: DataView, at: number, width: number): number {
  return width === 1 ? view.getUint8(at) : width === 2 ? view.getUint16(at) : view.getUint32(at);
}

function isUtf8(bytes: Bytes): boolean {
  for (const byte of bytes) {
    if (byte < 0x80) continue;
    try {
      decodeUtf8(bytes);
      return true;
    } catch {
      return false;
    }
  }
  return true;
}

function refuse(refusal: string): Scan {
  return { refusal, members: 0 };
}
