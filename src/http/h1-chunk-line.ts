/** Reads the lines between chunk data (RFC 9112 §7.1): the CR LF after a chunk, its size, and extensions, which are dropped. */

import type { Bytes } from '../core/bytes.ts';
import { VALUE_CHAR } from './fields.ts';
import { malformed } from './h1-scanner.ts';

/** Sizes up to 4 GiB; a sender of larger chunks only wants to see whether our numbers overflow. */
const MAX_SIZE_DIGITS = 8;
/** Over a whole message: extensions mean nothing to us and cost their sender next to nothing. */
const MAX_EXTENSION_BYTES = 4096;

const CR = 13;
const LF = 10;
const SEMICOLON = 59;

export class ChunkLine {
  /** The size of the next chunk, once `done`. */
  size = 0;
  done = false;
  #state: 'size' | 'extension' | 'size-lf' | 'data-cr' | 'data-lf' = 'size';
  #digits = 0;
  #extensionBytes = 0;

  /** Before the first chunk of a message. */
  reset(): void {
    this.#extensionBytes = 0;
    this.#expect('size');
  }

  /** Before every further chunk. */
  afterData(): void {
    this.#expect('data-cr');
  }

  #expect(state: 'size' | 'data-cr'): void {
    this.#state = state;
    this.done = false;
    this.size = 0;
    this.#digits = 0;
  }

  /** Reads until the line is whole (`done`) or the bytes end; returns the offset behind what it took. */
  push(bytes: Bytes, start: number, end: number): number {
    let at = start;
    while (at < end) {
      const byte = bytes[at++] as number;
      switch (this.#state) {
        case 'data-cr':
          if (byte !== CR) throw malformed('chunk is longer than its size says');
          this.#state = 'data-lf';
          break;
        case 'data-lf':
          if (byte !== LF) throw malformed('chunk data does not end with CR LF');
          this.#state = 'size';
          break;
        case 'size':
          this.#pushSize(byte);
          break;
        case 'extension':
          if (byte === CR) this.#state = 'size-lf';
          else if (VALUE_CHAR[byte] !== 1) throw malformed('chunk extension holds a control character');
          else if (++this.#extensionBytes > MAX_EXTENSION_BYTES) throw malformed('chunk extensions are too long');
          break;
        case 'size-lf':
          if (byte !== LF) throw malformed('chunk size line does not end with CR LF');
          this.done = true;
          return at;
      }
    }
    return at;
  }

  #pushSize(byte: number): void {
    const digit = hexDigit(byte);
    if (digit >= 0) {
      if (++this.#digits > MAX_SIZE_DIGITS) throw malformed('chunk size is too large');
      this.size = this.size * 16 + digit;
      return;
    }
    if (this.#digits === 0) throw malformed('chunk size is missing');
    if (byte === CR) this.#state = 'size-lf';
    else if (byte === SEMICOLON) this.#state = 'extension';
    else throw malformed('chunk size is not a hexadecimal number');
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
