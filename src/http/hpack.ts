/**
 * HPACK (RFC 7541): blocks of fields to flat lists and back. The decoder keeps the dynamic table that the peer fills; the
 * encoder fills none and uses no Huffman code, so that it has no state: it speaks to applications on this machine.
 */

import type { Bytes } from '../core/bytes.ts';
import type { DecodeLatin1 } from '../core/text.ts';
import { H2_CODE, H2Violation } from './h2-code.ts';
import type { Fields } from './head.ts';
import { decodeHuffman } from './hpack-huffman.ts';
import { type HpackEntry, HpackTable, hpackSize, STATIC_ENTRIES } from './hpack-table.ts';

/** SETTINGS_HEADER_TABLE_SIZE that applies when nobody says otherwise (RFC 9113 §6.5.2). */
const TABLE_BYTES = 4_096;
/** An integer that needs more bytes than this is beyond all limits. */
const MAX_INTEGER_BYTES = 4;

export interface HpackLimits {
  /** Fields of one block. */
  readonly maxFields: number;
  /** Their size as RFC 9113 §6.5.2 counts it: names, values, and 32 bytes for each. */
  readonly maxBytes: number;
}

export interface HpackBlock {
  /** Name, value, name, value … */
  readonly fields: readonly string[];
  /** There were more than the limits allow: those that are here are not all. */
  readonly isTooLarge: boolean;
}

export class HpackDecoder {
  readonly #limits: HpackLimits;
  readonly #decodeLatin1: DecodeLatin1;
  readonly #table = new HpackTable(TABLE_BYTES);
  readonly #scratch: Bytes;
  #block: Bytes = new Uint8Array(0);
  #at = 0;

  constructor(limits: HpackLimits, decodeLatin1: DecodeLatin1) {
    this.#limits = limits;
    this.#decodeLatin1 = decodeLatin1;
    this.#scratch = new Uint8Array(limits.maxBytes);
  }

  /** @throws H2Violation COMPRESSION_ERROR: the connection cannot go on, because the tables differ from here on */
  decode(block: Bytes): HpackBlock {
    this.#block = block;
    this.#at = 0;
    const fields: string[] = [];
    let bytes = 0;
    let isTooLarge = false;
    while (this.#at < block.length) {
      const first = block[this.#at] as number;
      if ((first & 0xe0) === 0x20) {
        // A change of the table's size stands before the first field (§4.2).
        if (fields.length > 0 || isTooLarge) throw broken('a change of size behind a field');
        const size = this.#readInteger(5);
        if (size > TABLE_BYTES) throw broken('a table larger than allowed');
        this.#table.resize(size);
        continue;
      }
      const entry = this.#readEntry(first);
      bytes += hpackSize(entry);
      isTooLarge ||= bytes > this.#limits.maxBytes || fields.length / 2 >= this.#limits.maxFields;
      if (!isTooLarge) fields.push(entry.name, entry.value);
    }
    return { fields, isTooLarge };
  }

  #readEntry(first: number): HpackEntry {
    if ((first & 0x80) !== 0) return this.#find(this.#readInteger(7));
    const isIndexed = (first & 0x40) !== 0;
    const index = this.#readInteger(isIndexed ? 6 : 4);
    const name = index === 0 ? this.#readString() : this.#find(index).name;
    const entry = { name, value: this.#readString() };
    if (isIndexed) this.#table.add(entry);
    return entry;
  }

  #find(index: number): HpackEntry {
    const entry = index === 0 ? undefined : this.#table.at(index);
    if (entry === undefined) throw broken('an index that names nothing');
    return entry;
  }

  /** §5.1 */
  #readInteger(prefixBits: number): number {
    const mask = (1 << prefixBits) - 1;
    let value = this.#byte() & mask;
    if (value < mask) return value;
    for (let shift = 0; ; shift += 7) {
      if (shift === 7 * MAX_INTEGER_BYTES) throw broken('an integer that is too large');
      const byte = this.#byte();
      value += (byte & 0x7f) * 2 ** shift;
      if ((byte & 0x80) === 0) return value;
    }
  }

  /** §5.2 */
  #readString(): string {
    const isHuffman = ((this.#block[this.#at] ?? 0) & 0x80) !== 0;
    const length = this.#readInteger(7);
    if (length > this.#block.length - this.#at) throw broken('a string that ends in the air');
    const bytes = this.#block.subarray(this.#at, this.#at + length);
    this.#at += length;
    if (!isHuffman) return this.#decodeLatin1(bytes, 0, length);
    const decoded = decodeHuffman(bytes, this.#scratch);
    if (decoded < 0) throw broken('no Huffman code, or one that is too long');
    return this.#decodeLatin1(this.#scratch, 0, decoded);
  }

  #byte(): number {
    const byte = this.#block[this.#at++];
    if (byte === undefined) throw broken('a block that ends in the air');
    return byte;
  }
}

function broken(what: string): H2Violation {
  return new H2Violation(H2_CODE.compressionError, `Cannot read fields: ${what}`);
}

/** By name, and by name and value: index in the static table. */
let staticIndexes: ReadonlyMap<string, number> | undefined;

/** Values of one character per byte. */
export function encodeHpack(fields: Fields): Bytes {
  staticIndexes ??= indexStatic();
  let length = 0;
  for (const text of fields) length += text.length + 6;
  const out = new Uint8Array(length);
  let at = 0;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    const whole = staticIndexes.get(`${name}\n${value}`);
    if (whole !== undefined) {
      out[at++] = 0x80 | whole;
      continue;
    }
    const index = staticIndexes.get(name) ?? 0;
    at = writeInteger(out, at, index, 4); // a literal that is not added to the table
    if (index === 0) at = writeString(out, at, name);
    at = writeString(out, at, value);
  }
  return out.subarray(0, at);
}

function indexStatic(): Map<string, number> {
  const indexes = new Map<string, number>();
  for (const [i, { name, value }] of STATIC_ENTRIES.entries()) {
    if (!indexes.has(name)) indexes.set(name, i + 1);
    if (value !== '') indexes.set(`${name}\n${value}`, i + 1);
  }
  return indexes;
}

function writeString(out: Bytes, start: number, text: string): number {
  let at = writeInteger(out, start, text.length, 7);
  for (let i = 0; i < text.length; i++) out[at++] = text.charCodeAt(i);
  return at;
}

function writeInteger(out: Bytes, start: number, value: number, prefixBits: number): number {
  const mask = (1 << prefixBits) - 1;
  if (value < mask) {
    out[start] = value;
    return start + 1;
  }
  let at = start;
  out[at++] = mask;
  let rest = value - mask;
  while (rest >= 0x80) {
    out[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  out[at++] = rest;
  return at;
}
