/** Keys of the store as keys of a NATS bucket, which take letters, digits and a few signs, and are split at dots. */

import { decodeUtf8, encodeUtf8 } from '../../core/bytes.ts';

const PLAIN = /[A-Za-z0-9/_-]/;

/** Other characters become `=` and two hexadecimal digits for each of their UTF-8 bytes, as in `=2E` for a dot. */
export function encodeKey(key: string): string {
  let encoded = '';
  for (const character of key) {
    if (PLAIN.test(character)) encoded += character;
    else for (const byte of encodeUtf8(character)) encoded += `=${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

/** Undefined when `encodeKey` cannot have made it: somebody else's. */
export function decodeKey(encoded: string): string | undefined {
  const bytes: number[] = [];
  for (let at = 0; at < encoded.length; at++) {
    const character = encoded.charAt(at);
    if (character !== '=') {
      bytes.push(character.charCodeAt(0));
      continue;
    }
    bytes.push(Number.parseInt(encoded.slice(at + 1, at + 3), 16));
    at += 2;
  }
  if (bytes.some((byte) => !(byte >= 0 && byte <= 255))) return undefined;
  try {
    const key = decodeUtf8(Uint8Array.from(bytes));
    return encodeKey(key) === encoded ? key : undefined;
  } catch {
    return undefined;
  }
}
