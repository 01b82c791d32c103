/** Byte arrays and their text forms; everything above speaks `Bytes`, never a runtime's own buffer class. */

/** A plain array of bytes, whatever memory it views. */
export type Bytes = Uint8Array<ArrayBufferLike>;

export const EMPTY: Bytes = new Uint8Array(0);

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function concatBytes(...parts: readonly Bytes[]): Bytes {
  let length = 0;
  for (const part of parts) length += part.length;
  return joinBytes(parts, length);
}

/** The same of a list, which may be longer than a call takes arguments. @param length of all of them together */
export function joinBytes(parts: readonly Bytes[], length: number): Bytes {
  const out = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

/** Compares in time that depends on the lengths only, so that a secret leaks nothing by how early it differs. */
export function equalBytes(a: Bytes, b: Bytes): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= (a[i] as number) ^ (b[i] as number);
  return difference === 0;
}

export function encodeUtf8(text: string): Bytes {
  return encoder.encode(text);
}

/**
 * A byte order mark stays part of the text, so that one text has one form in bytes.
 * @throws TypeError when the bytes are not UTF-8: undecodable input is refused, never replaced.
 */
export function decodeUtf8(bytes: Bytes): string {
  return decoder.decode(bytes);
}

/** The two digits of each byte: half the pieces, and half the time, of joining digits. */
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

export function toHex(bytes: Bytes): string {
  let text = '';
  // Each request has ids made here: iterators of typed arrays cost JavaScriptCore more than the digits do.
  for (let i = 0; i < bytes.length; i++) text += HEX[bytes[i] as number] as string;
  return text;
}

/** @throws SyntaxError when the text is not an even count of hexadecimal digits. */
export function fromHex(text: string): Bytes {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) throw new SyntaxError('Cannot read hex: malformed text');
  const out = new Uint8Array(text.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(text.slice(i * 2, i * 2 + 2), 16);
  return out;
}

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const BASE64URL_VALUE = new Int8Array(128).fill(-1);
for (let i = 0; i < BASE64URL.length; i++) BASE64URL_VALUE[BASE64URL.charCodeAt(i)] = i;

/** Base64url without padding (RFC 4648 §5). */
export function toBase64Url(bytes: Bytes): string {
  let text = '';
  let i = 0;
  for (; i + 2 < bytes.length; i += 3) {
    const word = ((bytes[i] as number) << 16) | ((bytes[i + 1] as number) << 8) | (bytes[i + 2] as number);
    text +=
      (BASE64URL[word >> 18] as string) +
      (BASE64URL[(word >> 12) & 63] as string) +
      (BASE64URL[(word >> 6) & 63] as string) +
      (BASE64URL[word & 63] as string);
  }
  const left = bytes.length - i;
  if (left === 1) {
    const word = (bytes[i] as number) << 4;
    text += (BASE64URL[word >> 6] as string) + (BASE64URL[word & 63] as string);
  } else if (left === 2) {
    const word = ((bytes[i] as number) << 10) | ((bytes[i + 1] as number) << 2);
    text +=
      (BASE64URL[word >> 12] as string) + (BASE64URL[(word >> 6) & 63] as string) + (BASE64URL[word & 63] as string);
  }
  return text;
}

/**
 * Reads base64url strictly: no padding, no other alphabet, and the unused trailing bits must be zero, so that
 * one value has exactly one text form.
 * @throws SyntaxError
 */
export function fromBase64Url(text: string): Bytes {
  const rest = text.length % 4;
  if (rest === 1) throw new SyntaxError('Cannot read base64url: impossible length');
  const out = new Uint8Array((text.length * 3) >> 2);
  let word = 0;
  let bits = 0;
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const value = code < 128 ? (BASE64URL_VALUE[code] as number) : -1;
    if (value < 0) throw new SyntaxError('Cannot read base64url: character outside the alphabet');
    word = (word << 6) | value;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out[at++] = (word >> bits) & 255;
      word &= (1 << bits) - 1;
    }
  }
  if (word !== 0) throw new SyntaxError('Cannot read base64url: trailing bits are not zero');
  return out;
}
