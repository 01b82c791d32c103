/** Request targets: the four forms of RFC 9112 §3.2, and authorities. What is not plainly one of them is refused. */

import { SkeinError } from '../core/errors.ts';

export interface RequestTarget {
  readonly form: 'origin' | 'absolute' | 'authority' | 'asterisk';
  /** `http` or `https` of the absolute form, else empty. */
  readonly scheme: string;
  /** Of the absolute and the authority form, else empty. */
  readonly authority: string;
  /** Origin-form (`/path?query`), `*`, or empty for the authority form. */
  readonly path: string;
}

export interface Authority {
  /** As sent; IPv6 addresses in brackets. */
  readonly host: string;
  readonly port: number | undefined;
}

/** 1 for a byte that a target may hold: VCHAR without `#`, since a fragment never travels (RFC 9112 §3.2). */
export const TARGET_CHAR: Uint8Array = new Uint8Array(256).fill(1, 0x21, 0x7f).fill(0, 0x23, 0x24);

/** 1 for a byte of `host[:port]`: no percent sign, no `@`, no path. */
export const AUTHORITY_CHAR: Uint8Array = TARGET_CHAR.map((_, code) =>
  Number(/[A-Za-z0-9._:[\]-]/.test(String.fromCharCode(code))),
);

/** Letters, digits, `-`, `.`, `_`: what registered names and IPv4 addresses are made of. Percent signs and the like only hide names. */
const REGISTERED_NAME = /^[A-Za-z0-9._-]{1,255}$/;
const IP_LITERAL = /^\[[0-9A-Fa-f:.]{2,45}\]$/;
const PORT = /^[0-9]{1,5}$/;

/** `host[:port]` or undefined; user information, paths, empty hosts and impossible ports are refused. */
export function tryParseAuthority(text: string): Authority | undefined {
  const colon = text.lastIndexOf(':');
  const hasPort = colon >= 0 && colon > text.lastIndexOf(']');
  const host = hasPort ? text.slice(0, colon) : text;
  if (!REGISTERED_NAME.test(host) && !IP_LITERAL.test(host)) return undefined;
  if (!hasPort) return { host, port: undefined };
  const digits = text.slice(colon + 1);
  const port = Number(digits);
  return PORT.test(digits) && port <= 65_535 ? { host, port } : undefined;
}

/** @throws SkeinError SKEIN_BAD_REQUEST */
export function parseAuthority(text: string): Authority {
  const authority = tryParseAuthority(text);
  if (authority === undefined)
    throw badRequest(`Cannot read authority: ${JSON.stringify(text.slice(0, 80))} is not host[:port]`);
  return authority;
}

/** True for `/path?query` of bytes a target may hold. */
export function isOriginForm(text: string): boolean {
  return text.charCodeAt(0) === 0x2f && isTargetText(text);
}

function isTargetText(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (TARGET_CHAR[text.charCodeAt(i)] !== 1) return false;
  return true;
}

/** Reads a request target. @throws SkeinError SKEIN_BAD_REQUEST */
export function parseTarget(method: string, target: string): RequestTarget {
  if (!isTargetText(target)) throw badRequest('Cannot read request target: it holds a character no target may hold');
  if (method === 'CONNECT') {
    if (parseAuthority(target).port === undefined) throw badRequest('Cannot read CONNECT target: port is missing');
    return { form: 'authority', scheme: '', authority: target, path: '' };
  }
  if (target.charCodeAt(0) === 0x2f) return { form: 'origin', scheme: '', authority: '', path: target };
  if (target === '*') {
    if (method !== 'OPTIONS') throw badRequest(`Cannot read request target: "*" belongs to OPTIONS, not ${method}`);
    return { form: 'asterisk', scheme: '', authority: '', path: '*' };
  }
  return parseAbsoluteForm(method, target);
}

const ABSOLUTE = /^(https?):\/\/([^/?]*)(.*)$/i;

function parseAbsoluteForm(method: string, target: string): RequestTarget {
  const match = ABSOLUTE.exec(target);
  if (match === null) throw badRequest('Cannot read request target: it has none of the four forms');
  const [, scheme = '', authority = '', rest = ''] = match;
  parseAuthority(authority);
  // RFC 9112 §3.2.4: OPTIONS without path and query means the server as a whole.
  const empty = method === 'OPTIONS' ? '*' : '/';
  const path = rest === '' ? empty : rest.startsWith('?') ? `/${rest}` : rest;
  return { form: 'absolute', scheme: scheme.toLowerCase(), authority, path };
}

function badRequest(message: string): SkeinError {
  return new SkeinError('SKEIN_BAD_REQUEST', message);
}
