/** Heads as HTTP/2 carries them (RFC 9113 §8): pseudo-fields before the others, checked strictly, and written. */

import { isConnectionSpecific, isFieldName, isFieldValue, isToken, MAX_FIELDS } from './fields.ts';
import { type Fields, getField, type RequestHead, type ResponseHead } from './head.ts';

/** What a request's block says; a text tells what makes it malformed (§8.1.1). */
export function parseH2Request(block: readonly string[]): RequestHead | string {
  const parts = split(block, REQUEST_PSEUDO);
  if (typeof parts === 'string') return parts;
  const { pseudo, fields } = parts;
  const { ':method': method = '', ':scheme': scheme = '', ':path': path = '' } = pseudo;
  if (!isToken(method)) return 'no method';
  const authority = pseudo[':authority'] ?? getField(block, 'host') ?? '';
  if (method === 'CONNECT') return 'CONNECT, which needs a connection of its own';
  if (scheme !== 'http' && scheme !== 'https') return 'no scheme of the web';
  const isOptions = method === 'OPTIONS' && path === '*';
  if (!isOptions && !/^\/[!-"$-~]*$/.test(path)) return 'no path';
  return { method, scheme, authority, path, fields, upgrade: undefined, service: '' };
}

/** What an answer's block says; a text tells what makes it malformed. */
export function parseH2Response(block: readonly string[]): ResponseHead | string {
  const parts = split(block, RESPONSE_PSEUDO);
  if (typeof parts === 'string') return parts;
  const status = parts.pseudo[':status'] ?? '';
  // 101 has no meaning here (§8.6).
  if (!/^[1-5]\d\d$/.test(status) || status === '101') return 'no status';
  return { status: Number(status), fields: parts.fields, upgrade: undefined };
}

/** Fields behind a body; a text tells what makes them malformed. */
export function parseH2Trailers(block: readonly string[]): Fields | string {
  const parts = split(block, NO_PSEUDO);
  return typeof parts === 'string' ? parts : parts.fields;
}

export function toH2Request({ method, scheme, authority, path, fields }: RequestHead): Fields {
  return [':method', method, ':scheme', scheme, ':authority', authority, ':path', path, ...fields];
}

export function toH2Response({ status, fields }: ResponseHead): Fields {
  return [':status', String(status), ...fields];
}

const REQUEST_PSEUDO: ReadonlySet<string> = new Set([':method', ':scheme', ':authority', ':path']);
const RESPONSE_PSEUDO: ReadonlySet<string> = new Set([':status']);
const NO_PSEUDO: ReadonlySet<string> = new Set();

interface Parts {
  readonly pseudo: Readonly<Record<string, string>>;
  readonly fields: Fields;
}

function split(block: readonly string[], allowed: ReadonlySet<string>): Parts | string {
  const pseudo: Record<string, string> = {};
  const fields: string[] = [];
  let cookie = -1;
  for (let i = 0; i < block.length; i += 2) {
    const name = block[i] as string;
    const value = block[i + 1] as string;
    if (!isFieldValue(value)) return 'a value that no field may have';
    if (name.startsWith(':')) {
      if (!allowed.has(name) || Object.hasOwn(pseudo, name) || fields.length > 0) return `a misplaced ${name}`;
      pseudo[name] = value;
      continue;
    }
    if (!isFieldName(name)) return 'a name that no field may have';
    if (name === 'host') {
      if (value !== (pseudo[':authority'] ?? value)) return 'two names of its host';
      continue;
    }
    if (isConnectionSpecific(name, value)) return `a ${name} field, which belongs to a connection`;
    // Crumbs are one field again, as every other hop knows it (§8.2.3).
    if (name === 'cookie' && cookie >= 0) fields[cookie] += `; ${value}`;
    else if (name === 'cookie') cookie = fields.push(name, value) - 1;
    else fields.push(name, value);
  }
  return fields.length / 2 > MAX_FIELDS ? 'too many fields' : { pseudo, fields };
}
