/** The static table of field names: its wire ids for the head codec, and the lookup from bytes for the HTTP/1.1 parser. */

import type { Bytes } from '../core/bytes.ts';

/**
 * Names that travel as one byte: the id is the position here plus one. The order is part of the wire format; it is
 * never changed and only extended together with docs/protocol.md.
 */
export const STATIC_NAMES: readonly string[] = [
  'accept',
  'accept-charset',
  'accept-encoding',
  'accept-language',
  'accept-ranges',
  'access-control-allow-credentials',
  'access-control-allow-headers',
  'access-control-allow-methods',
  'access-control-allow-origin',
  'access-control-expose-headers',
  'access-control-max-age',
  'access-control-request-headers',
  'access-control-request-method',
  'age',
  'allow',
  'alt-svc',
  'authorization',
  'baggage',
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-length',
  'content-range',
  'content-security-policy',
  'content-type',
  'cookie',
  'date',
  'etag',
  'expect',
  'expires',
  'grpc-accept-encoding',
  'grpc-encoding',
  'grpc-message',
  'grpc-status',
  'grpc-timeout',
  'idempotency-key',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'last-event-id',
  'last-modified',
  'link',
  'location',
  'origin',
  'priority',
  'range',
  'referer',
  'retry-after',
  'sec-websocket-accept',
  'sec-websocket-extensions',
  'sec-websocket-key',
  'sec-websocket-protocol',
  'sec-websocket-version',
  'server',
  'set-cookie',
  'te',
  'traceparent',
  'tracestate',
  'trailer',
  'user-agent',
  'vary',
  'x-request-id',
  'x-skein-client-id',
];

/** Names that belong to one connection or to the start line: they are known to the parser and have no wire id. */
const LOCAL_NAMES: readonly string[] = [
  'host',
  'connection',
  'transfer-encoding',
  'upgrade',
  'keep-alive',
  'proxy-connection',
  'http2-settings',
  'proxy-authorization',
];

const ALL_NAMES: readonly string[] = [...STATIC_NAMES, ...LOCAL_NAMES];

const IDS: ReadonlyMap<string, number> = new Map(ALL_NAMES.map((name, i) => [name, i + 1]));

/** The id of a lower-case name, or 0. Ids above `STATIC_NAMES.length` never travel. */
export function toNameId(name: string): number {
  return IDS.get(name) ?? 0;
}

/** The name of an id that `toNameId` or `findNameId` gave, or undefined. */
export function fromNameId(id: number): string | undefined {
  return ALL_NAMES[id - 1];
}

const idOf = (name: string): number => IDS.get(name) ?? 0;

export const NAME_ID = {
  contentLength: idOf('content-length'),
  expect: idOf('expect'),
  te: idOf('te'),
  host: idOf('host'),
  connection: idOf('connection'),
  transferEncoding: idOf('transfer-encoding'),
  upgrade: idOf('upgrade'),
} as const;

/** True for ids of names that end at this hop. */
export function isLocalId(id: number): boolean {
  return id > STATIC_NAMES.length;
}

/** Lower-cased code of a token character (RFC 9110 §5.6.2), 0 for every other byte. */
export const TOKEN_LOWER: Uint8Array = buildTokenTable();

function buildTokenTable(): Uint8Array {
  const table = new Uint8Array(256);
  for (const c of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") table[c.charCodeAt(0)] = c.charCodeAt(0);
  for (let c = 0x41; c <= 0x5a; c++) table[c] = c + 0x20;
  return table;
}

/** Open addressing, twice the room it needs; the hash reads three characters because names differ in those. */
const SLOTS = 256;
const slotIds: Uint8Array = buildSlots();

function buildSlots(): Uint8Array {
  const slots = new Uint8Array(SLOTS);
  for (let id = 1; id <= ALL_NAMES.length; id++) {
    const name = ALL_NAMES[id - 1] as string;
    const last = name.length - 1;
    let slot = hash(name.charCodeAt(0), name.charCodeAt(last >> 1), name.charCodeAt(last), name.length);
    while (slots[slot] !== 0) slot = (slot + 1) & (SLOTS - 1);
    slots[slot] = id;
  }
  return slots;
}

function hash(first: number, middle: number, last: number, length: number): number {
  return (first * 5 + middle * 3 + last * 17 + length * 29) & (SLOTS - 1);
}

/** The id of the name in `bytes[start..end)`, in any case, or 0. The caller has checked that it is a token. */
export function findNameId(bytes: Bytes, start: number, end: number): number {
  const length = end - start;
  const lower = TOKEN_LOWER;
  const at = (i: number): number => lower[bytes[i] as number] as number;
  let slot = hash(at(start), at(start + ((length - 1) >> 1)), at(end - 1), length);
  for (;;) {
    const id = slotIds[slot] as number;
    if (id === 0) return 0;
    const name = ALL_NAMES[id - 1] as string;
    if (name.length === length) {
      let i = 0;
      while (i < length && at(start + i) === name.charCodeAt(i)) i++;
      if (i === length) return id;
    }
    slot = (slot + 1) & (SLOTS - 1);
  }
}
