/** Text of one character per byte (latin-1): the fast way from bytes is the platform's, the neutral way is here. */

import { type Bytes, encodeUtf8 } from './bytes.ts';

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

/** Any text as its UTF-8 bytes, one character each: how what a person has written appears in a head. */
export function toByteText(text: string): string {
  if (!/[^\0-\x7f]/.test(text)) return text;
  const bytes = encodeUtf8(text);
  return decodeLatin1(bytes, 0, bytes.length);
}
