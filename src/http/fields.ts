/** Field hygiene: which names and values are valid, which belong to one connection, and which nobody outside may set. */

import { CONNECTION_FIELDS, isUntrusted } from '../core/reserved-fields.ts';
import { TOKEN_LOWER } from './field-names.ts';
import type { Fields } from './head.ts';

/** Limits of one head, the same on every wire. */
export const MAX_FIELDS = 128;
export const MAX_NAME_BYTES = 256;
export const MAX_VALUE_BYTES = 16 * 1024;

/** 1 for a byte that a field value may hold: HTAB, SP, VCHAR, obs-text (RFC 9110 §5.5). Other controls are refused. */
export const VALUE_CHAR: Uint8Array = new Uint8Array(256).fill(1, 9, 10).fill(1, 0x20, 0x7f).fill(1, 0x80);

/** True for a token (RFC 9110 §5.6.2): methods, field names. */
export function isToken(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (!TOKEN_LOWER[text.charCodeAt(i)]) return false;
  return text.length > 0;
}

/** True for a token without capitals. */
export function isFieldName(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (TOKEN_LOWER[code] !== code) return false;
  }
  return text.length > 0 && text.length <= MAX_NAME_BYTES;
}

/** True when every character is one byte that a value may hold, without white space around. */
export function isFieldValue(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (VALUE_CHAR[text.charCodeAt(i)] !== 1) return false;
  return text.length <= MAX_VALUE_BYTES && !isPadded(text);
}

function isPadded(text: string): boolean {
  const isBlank = (code: number): boolean => code === 0x20 || code === 9;
  return text.length > 0 && (isBlank(text.charCodeAt(0)) || isBlank(text.charCodeAt(text.length - 1)));
}

/**
 * Fields of one connection (RFC 9110 §7.6.1), and `host` and `proxy-authorization`, which this hop has used up.
 * `te` stays where it says `trailers` only, as in RFC 9113 §8.2.2: gRPC wants it end to end.
 */
export function isConnectionSpecific(name: string, value: string): boolean {
  return CONNECTION_FIELDS.has(name) || (name === 'te' && value !== 'trailers');
}

/** Without the fields of one connection, those named by `Connection` included; the same array when there are none. */
export function removeConnectionSpecific(fields: Fields): Fields {
  const named = readConnectionOptions(fields);
  return keepOnly(fields, (name, value) => !isConnectionSpecific(name, value) && !named.includes(name));
}

function readConnectionOptions(fields: Fields): readonly string[] {
  const named: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] === 'connection') named.push(...splitList((fields[i + 1] as string).toLowerCase()));
  }
  return named;
}

/** The members of a comma-separated list of tokens, empty ones left out (RFC 9110 §5.6.1.2). */
export function splitList(value: string): string[] {
  return value
    .split(',')
    .map((member) => member.trim())
    .filter((member) => member !== '');
}

/**
 * Without the fields only the mesh may set. Used where a message enters from an application and where it arrives from
 * the mesh, on heads, trailers and 1xx alike; the same array when there are none.
 */
export function stripUntrusted(fields: Fields): Fields {
  return keepOnly(fields, (name) => !isUntrusted(name));
}

/** Without every field called `name`; the same array when there is none. */
export function removeField(fields: Fields, name: string): Fields {
  return keepOnly(fields, (other) => other !== name);
}

/** Without the fields whose name is one of those; the same array when there is none. */
export function removeFields(fields: Fields, isRemoved: (name: string) => boolean): Fields {
  return keepOnly(fields, (name) => !isRemoved(name));
}

function keepOnly(fields: Fields, keep: (name: string, value: string) => boolean): Fields {
  for (let i = 0; i < fields.length; i += 2) {
    if (keep(fields[i] as string, fields[i + 1] as string)) continue;
    const kept = fields.slice(0, i);
    for (let j = i + 2; j < fields.length; j += 2) {
      const name = fields[j] as string;
      const value = fields[j + 1] as string;
      if (keep(name, value)) kept.push(name, value);
    }
    return kept;
  }
  return fields;
}

/** What a trailer may never carry: framing, routing, authentication, and how to read the content (RFC 9110 §6.5.1). */
const NOT_IN_TRAILERS: ReadonlySet<string> = new Set([
  'authorization',
  'cache-control',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'expect',
  'max-forwards',
  'range',
  'set-cookie',
  'te',
  'trailer',
]);

/** Without what no trailer may carry; the same array when there is nothing to drop. */
export function stripTrailers(fields: Fields): Fields {
  return keepOnly(fields, (name, value) => !NOT_IN_TRAILERS.has(name) && !isConnectionSpecific(name, value));
}
