/** Latin-1 text from bytes: the fast way is the platform's, the neutral way is here. */

import type { Bytes } from './bytes.ts';

/** Bytes [start, end) as one character each. HTTP heads are latin-1 until somebody asks for more (RFC 9110 §5.5). */
export type DecodeLatin1 = (bytes: Bytes, start: number, end: number) => string;

const CHUNK = 4096;

export const decodeLatin1: DecodeLatin1 = (bytes, start, end) => {
  if (end - start <= CHUNK) return String.fromCharCode(...bytes.subarray(start, end));
  let text = '';
  for (let at = start; at < end; at += CHUNK)
    text += String.fromCharCode(...bytes.subarray(at, Math.min(end, at + CHUNK)));
  return text;
};
