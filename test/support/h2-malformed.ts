/** Requests of HTTP/2 that are malformed (RFC 9113 §8.1.1), each on stream 1: they cost their stream, and nobody hears of them as whole. */

import { type Bytes, concatBytes } from '../../src/core/bytes.ts';
import { encodeFrame, encodeHeaders, encodeNumbers } from '../../src/http/h2-frame.ts';
import { encodeHpack } from '../../src/http/hpack.ts';

export interface MalformedH2 {
  readonly name: string;
  /** What the stream is reset with. */
  readonly code: number;
  readonly bytes: Bytes;
}

const PROTOCOL = 1;
const FLOW = 3;
const CALM = 11;

const head = (id: number, fields: readonly string[], isEnd = true): Bytes =>
  concatBytes(...encodeHeaders(id, encodeHpack(fields), isEnd));
const raw = (type: number, flags: number, id: number, ...payload: number[]): Bytes =>
  encodeFrame(type, flags, id, Uint8Array.from(payload));
const repeat = (count: number, make: (i: number) => Bytes): Bytes =>
  concatBytes(...Array.from({ length: count }, (_, i) => make(i)));

/** @param host whom they are for */
export function malformedH2(host: string): MalformedH2[] {
  const GET = [':method', 'GET', ':scheme', 'http', ':authority', host, ':path', '/'];
  const POST = [':method', 'POST', ...GET.slice(2)];
  const rows: readonly [name: string, code: number, bytes: Bytes][] = [
    ['no path', PROTOCOL, head(1, GET.slice(0, 6))],
    ['no method', PROTOCOL, head(1, GET.slice(2))],
    ['two paths', PROTOCOL, head(1, [...GET, ':path', '/other'])],
    ['a pseudo-field behind a field', PROTOCOL, head(1, [...GET.slice(0, 6), 'a', 'b', ':path', '/'])],
    ['an unknown pseudo-field', PROTOCOL, head(1, [...GET, ':status', '200'])],
    ['a capital in a name', PROTOCOL, head(1, [...GET, 'Accept', 'x'])],
    ['a line break in a value', PROTOCOL, head(1, [...GET, 'a', 'b\r\nc: d'])],
    ['a NUL in a value', PROTOCOL, head(1, [...GET, 'a', '\0'])],
    ['white space around a value', PROTOCOL, head(1, [...GET, 'a', ' b'])],
    ['connection: close', PROTOCOL, head(1, [...GET, 'connection', 'close'])],
    ['transfer-encoding', PROTOCOL, head(1, [...GET, 'transfer-encoding', 'chunked'])],
    ['te: gzip', PROTOCOL, head(1, [...GET, 'te', 'gzip'])],
    ['two hosts', PROTOCOL, head(1, [...GET, 'host', 'other.mesh'])],
    ['a path without a slash', PROTOCOL, head(1, [...GET.slice(0, 6), ':path', 'x'])],
    ['a blank in a path', PROTOCOL, head(1, [...GET.slice(0, 6), ':path', '/a b'])],
    ['CONNECT', PROTOCOL, head(1, [':method', 'CONNECT', ':authority', host])],
    [
      'a body shorter than it said',
      PROTOCOL,
      concatBytes(head(1, [...POST, 'content-length', '2'], false), raw(0, 1, 1, 65)),
    ],
    [
      'a body longer than it said',
      PROTOCOL,
      concatBytes(head(1, [...POST, 'content-length', '1'], false), raw(0, 0, 1, 65, 66)),
    ],
    ['a length that is no number', PROTOCOL, head(1, [...POST, 'content-length', '+1'], false)],
    ['a pseudo-field in trailers', PROTOCOL, concatBytes(head(1, POST, false), head(1, [':path', '/'], true))],
    ['trailers that end nothing', PROTOCOL, concatBytes(head(1, POST, false), head(1, ['a', 'b'], false))],
    [
      'more than its window',
      FLOW,
      concatBytes(
        head(1, [...POST, 'x-hold', '1'], false),
        repeat(17, () => encodeFrame(0, 0, 1, new Uint8Array(16_384))),
      ),
    ],
    ['WINDOW_UPDATE of nothing', PROTOCOL, concatBytes(head(1, POST, false), encodeNumbers(8, 1, 0))],
    ['a window beyond 2^31 - 1', FLOW, concatBytes(head(1, POST, false), encodeNumbers(8, 1, 0x7fffffff))],
    ['134 fields', CALM, head(1, [...GET, ...Array.from({ length: 134 }, (_, i) => [`a${i}`, 'b']).flat()])],
  ];
  return rows.map(([name, code, bytes]) => ({ name, code, bytes }));
}
