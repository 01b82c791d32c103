/** `H1Parser`: what RFC 9112 allows is read, in one piece and byte by byte, and the same comes out. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import process from 'node:process';
import { test } from 'node:test';
import { decodeLatin1 } from '../../../src/core/text.ts';
import { H1Parser } from '../../../src/http/h1-parser.ts';
import { lacking } from '../../runtime/capabilities.ts';
import { cut, type Parsed, parseRequests, parseResponse } from '../../support/h1.ts';
import { latin1 } from '../../support/http.ts';

const HOST = 'Host: api.mesh\r\n';

interface RequestCase {
  readonly name: string;
  readonly text: string;
  readonly method?: string;
  readonly authority?: string;
  readonly scheme?: string;
  readonly path?: string;
  readonly fields?: readonly string[];
  readonly upgrade?: string;
  readonly body?: string;
  readonly trailers?: readonly string[];
  readonly keepAlive?: boolean;
  /** Messages in the text. */
  readonly count?: number;
}

const requests: readonly RequestCase[] = [
  { name: 'the shortest request', text: `GET / HTTP/1.1\r\n${HOST}\r\n`, fields: [] },
  {
    name: 'names in any case',
    text: 'GET / HTTP/1.1\r\nhOsT: api.mesh\r\nACCEPT: a\r\nX-Own: b\r\n\r\n',
    fields: ['accept', 'a', 'x-own', 'b'],
  },
  {
    name: 'duplicates and order kept',
    text: `GET / HTTP/1.1\r\nCookie: a\r\n${HOST}Accept: x\r\nCookie: b\r\n\r\n`,
    fields: ['cookie', 'a', 'accept', 'x', 'cookie', 'b'],
  },
  { name: 'white space around a value', text: `GET / HTTP/1.1\r\n${HOST}A: \t v w \t\r\n\r\n`, fields: ['a', 'v w'] },
  { name: 'no white space before a value', text: `GET / HTTP/1.1\r\n${HOST}A:v\r\n\r\n`, fields: ['a', 'v'] },
  { name: 'an empty value', text: `GET / HTTP/1.1\r\n${HOST}A:\r\nB: \r\n\r\n`, fields: ['a', '', 'b', ''] },
  { name: 'obs-text in a value', text: `GET / HTTP/1.1\r\n${HOST}A: caf\u00e9\r\n\r\n`, fields: ['a', 'caf\u00e9'] },
  {
    name: 'names that are also in Object.prototype',
    text: `GET / HTTP/1.1\r\n${HOST}__proto__: a\r\nconstructor: b\r\n\r\n`,
    fields: ['__proto__', 'a', 'constructor', 'b'],
  },
  { name: 'one empty line before the request', text: `\r\nGET / HTTP/1.1\r\n${HOST}\r\n` },
  { name: 'an own method', text: `BREW-IT! / HTTP/1.1\r\n${HOST}\r\n`, method: 'BREW-IT!' },
  { name: 'methods are case-sensitive', text: `get / HTTP/1.1\r\n${HOST}\r\n`, method: 'get' },
  {
    name: 'a path byte for byte',
    text: `GET /a%2fb//../c;d?e=%20&f|{} HTTP/1.1\r\n${HOST}\r\n`,
    path: '/a%2fb//../c;d?e=%20&f|{}',
  },
  { name: 'a path of two slashes', text: `GET //evil/x HTTP/1.1\r\n${HOST}\r\n`, path: '//evil/x' },
  {
    name: 'absolute-form wins over Host',
    text: 'GET http://b.mesh:81/x?y HTTP/1.1\r\nHost: a.mesh\r\n\r\n',
    authority: 'b.mesh:81',
    path: '/x?y',
    scheme: 'http',
  },
  {
    name: 'absolute-form without a path',
    text: 'GET HTTP://b.mesh?q HTTP/1.1\r\nHost: a.mesh\r\n\r\n',
    authority: 'b.mesh',
    path: '/?q',
  },
  {
    name: 'absolute-form of https',
    text: 'GET https://b.mesh/ HTTP/1.1\r\nHost: b.mesh\r\n\r\n',
    authority: 'b.mesh',
    scheme: 'https',
  },
  {
    name: 'absolute-form of OPTIONS *',
    text: 'OPTIONS http://b.mesh HTTP/1.1\r\nHost: b.mesh\r\n\r\n',
    method: 'OPTIONS',
    authority: 'b.mesh',
    path: '*',
  },
  { name: 'asterisk-form', text: `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`, method: 'OPTIONS', path: '*' },
  {
    name: 'authority-form',
    text: 'CONNECT db.mesh:5432 HTTP/1.1\r\nHost: db.mesh:5432\r\n\r\n',
    method: 'CONNECT',
    authority: 'db.mesh:5432',
    path: '',
  },
  { name: 'a host with a port', text: 'GET / HTTP/1.1\r\nHost: api.mesh:8080\r\n\r\n', authority: 'api.mesh:8080' },
  { name: 'an IPv6 host', text: 'GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n', authority: '[::1]:80' },
  {
    name: 'content of known length',
    text: `POST / HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nhello`,
    method: 'POST',
    body: 'hello',
    fields: ['content-length', '5'],
  },
  {
    name: 'content of length nought',
    text: `POST / HTTP/1.1\r\n${HOST}Content-Length: 0\r\n\r\n`,
    method: 'POST',
    fields: ['content-length', '0'],
  },
  {
    name: 'a length with leading noughts',
    text: `POST / HTTP/1.1\r\n${HOST}Content-Length: 005\r\n\r\nhello`,
    method: 'POST',
    body: 'hello',
  },
  {
    name: 'chunked content',
    text: `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n`,
    method: 'POST',
    body: 'hello world',
    fields: [],
  },
  {
    name: 'Chunked in capitals',
    text: `POST / HTTP/1.1\r\n${HOST}TRANSFER-ENCODING: CHUNKED\r\n\r\n0\r\n\r\n`,
    method: 'POST',
    body: '',
  },
  {
    name: 'sizes in either case and with noughts',
    text: `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0A\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n`,
    method: 'POST',
    body: '01234567890123456789',
  },
  {
    name: 'chunk extensions are dropped',
    text: `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n5;a=b;c="d e"\r\nhello\r\n0;x\r\n\r\n`,
    method: 'POST',
    body: 'hello',
  },
  {
    name: 'content that looks like a request',
    text: `POST / HTTP/1.1\r\n${HOST}Content-Length: 18\r\n\r\nGET / HTTP/1.1\r\n\r\n`,
    method: 'POST',
    body: 'GET / HTTP/1.1\r\n\r\n',
  },
  {
    name: 'trailers',
    text: `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nTrailer: Digest\r\n\r\n1\r\na\r\n0\r\nDigest: x\r\nGrpc-Status: 0\r\n\r\n`,
    method: 'POST',
    body: 'a',
    trailers: ['digest', 'x', 'grpc-status', '0'],
  },
  {
    name: 'trailers that may not be trailers are dropped',
    text: `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\nHost: evil\r\nTransfer-Encoding: chunked\r\nAuthorization: x\r\nA: b\r\n\r\n`,
    method: 'POST',
    trailers: ['a', 'b'],
  },
  {
    name: 'two requests in one piece',
    text: `GET / HTTP/1.1\r\n${HOST}\r\nPOST / HTTP/1.1\r\n${HOST}Content-Length: 2\r\n\r\nab`,
    count: 2,
  },
  {
    name: 'an empty line between two requests',
    text: `POST / HTTP/1.1\r\n${HOST}Content-Length: 2\r\n\r\nab\r\nGET / HTTP/1.1\r\n${HOST}\r\n`,
    method: 'POST',
    body: 'ab',
    count: 2,
  },
  {
    name: 'Connection: close',
    text: `GET / HTTP/1.1\r\n${HOST}Connection: Close\r\n\r\n`,
    keepAlive: false,
    fields: [],
  },
  {
    name: 'Connection: close among others',
    text: `GET / HTTP/1.1\r\n${HOST}Connection: foo , close\r\n\r\n`,
    keepAlive: false,
  },
  { name: 'HTTP/1.0 closes', text: 'GET / HTTP/1.0\r\n\r\n', authority: '', keepAlive: false },
  { name: 'HTTP/1.0 keep-alive', text: `GET / HTTP/1.0\r\n${HOST}Connection: keep-alive\r\n\r\n`, keepAlive: true },
  {
    name: 'HTTP/1.0 cannot expect',
    text: `POST / HTTP/1.0\r\n${HOST}Expect: 100-continue\r\nContent-Length: 1\r\n\r\na`,
    method: 'POST',
    body: 'a',
    keepAlive: false,
    fields: ['content-length', '1'],
  },
  {
    name: 'fields of the connection are dropped',
    text: `GET / HTTP/1.1\r\n${HOST}Connection: x-hop, keep-alive\r\nKeep-Alive: timeout=5\r\nProxy-Connection: a\r\nX-Hop: 1\r\nProxy-Authorization: b\r\nX-Stay: 2\r\n\r\n`,
    fields: ['x-stay', '2'],
  },
  {
    name: 'te: trailers stays, other te goes',
    text: `GET / HTTP/1.1\r\n${HOST}Connection: te\r\nTE: trailers\r\nTE: gzip\r\n\r\n`,
    fields: ['te', 'trailers'],
  },
  {
    name: 'an upgrade',
    text: `GET /ws HTTP/1.1\r\n${HOST}Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n\r\n`,
    path: '/ws',
    upgrade: 'websocket',
    fields: ['sec-websocket-version', '13'],
  },
  {
    name: 'an upgrade that Connection does not name',
    text: `GET / HTTP/1.1\r\n${HOST}Upgrade: websocket\r\n\r\n`,
    fields: [],
  },
  {
    name: 'an upgrade to h2c',
    text: `GET / HTTP/1.1\r\n${HOST}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n`,
    fields: [],
  },
  {
    name: 'an upgrade to h2c or websocket',
    text: `GET / HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n\r\n`,
    upgrade: 'websocket',
  },
  {
    name: 'an upgrade with content',
    text: `POST / HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: foo\r\nContent-Length: 1\r\n\r\na`,
    method: 'POST',
    body: 'a',
  },
];

function checkRequest(parsed: Parsed<ReturnType<typeof parseRequests>['heads'][number]>, expected: RequestCase): void {
  equal(parsed.error, undefined);
  equal(parsed.heads.length, expected.count ?? 1);
  equal(parsed.trailers.length, expected.count ?? 1, 'messages that ended');
  const head = parsed.heads[0]!;
  equal(head.method, expected.method ?? 'GET');
  equal(head.scheme, expected.scheme ?? 'http');
  equal(head.authority, expected.authority ?? 'api.mesh');
  equal(head.path, expected.path ?? '/');
  equal(head.upgrade, expected.upgrade);
  if (expected.fields !== undefined) deepEqual(head.fields, expected.fields);
  equal(parsed.bodies[0], expected.body ?? '');
  deepEqual(parsed.trailers[0], expected.trailers ?? []);
  equal(parsed.keepAlive[0], expected.keepAlive ?? true);
}

for (const expected of requests) {
  test(`H1Parser reads a request: ${expected.name}`, () => {
    const bytes = latin1(expected.text);
    for (const size of [bytes.length, 1, 2, 3, 7, 16]) checkRequest(parseRequests(cut(bytes, size), true), expected);
  });
}

interface ResponseCase {
  readonly name: string;
  readonly text: string;
  readonly method?: string;
  readonly upgrade?: string;
  readonly statuses?: readonly number[];
  readonly fields?: readonly string[];
  readonly body?: string;
  readonly trailers?: readonly string[];
  readonly keepAlive?: boolean;
  readonly surplus?: string;
  readonly state?: string;
}

const responses: readonly ResponseCase[] = [
  { name: 'of known length', text: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab', body: 'ab' },
  {
    name: 'chunked',
    text: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n',
    body: 'ab',
    fields: [],
  },
  {
    name: 'chunked with trailers',
    text: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nGrpc-Status: 0\r\n\r\n',
    body: 'ab',
    trailers: ['grpc-status', '0'],
  },
  { name: 'ended by close', text: 'HTTP/1.1 200 OK\r\n\r\nabc', body: 'abc', keepAlive: false },
  { name: 'ended by close, empty', text: 'HTTP/1.1 200 OK\r\n\r\n', keepAlive: false },
  { name: 'without a phrase', text: 'HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n' },
  { name: 'without the space before no phrase', text: 'HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n' },
  { name: 'a phrase of many words', text: 'HTTP/1.1 200 Alles in \u00d6rdnung\r\nContent-Length: 0\r\n\r\n' },
  { name: 'HTTP/1.0', text: 'HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na', body: 'a', keepAlive: false },
  {
    name: 'HTTP/1.0 keep-alive',
    text: 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na',
    body: 'a',
  },
  {
    name: 'to HEAD with a length',
    text: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
    method: 'HEAD',
    fields: ['content-length', '5'],
  },
  {
    name: 'to HEAD with chunked',
    text: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    method: 'HEAD',
    fields: [],
  },
  { name: '204', text: 'HTTP/1.1 204 No Content\r\n\r\n', statuses: [204] },
  {
    name: '204 with a length of nought',
    text: 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n',
    statuses: [204],
    fields: [],
  },
  {
    name: '304 with a length',
    text: 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n',
    statuses: [304],
    fields: ['content-length', '5'],
  },
  {
    name: '100, 103, then 200',
    text: 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na',
    statuses: [100, 103, 200],
    body: 'a',
  },
  {
    name: 'Connection: close',
    text: 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na',
    body: 'a',
    keepAlive: false,
  },
  {
    name: '101',
    text: 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nraw',
    upgrade: 'websocket',
    statuses: [101],
    surplus: 'raw',
    state: 'raw',
  },
  { name: '200 to CONNECT', text: 'HTTP/1.1 200 OK\r\n\r\nraw', method: 'CONNECT', surplus: 'raw', state: 'raw' },
  {
    name: '403 to CONNECT',
    text: 'HTTP/1.1 403 No\r\nContent-Length: 1\r\n\r\na',
    method: 'CONNECT',
    statuses: [403],
    body: 'a',
  },
  { name: 'bytes behind it', text: 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc', body: 'a', surplus: 'bc' },
];

for (const expected of responses) {
  test(`H1Parser reads a response: ${expected.name}`, () => {
    const bytes = latin1(expected.text);
    for (const size of [bytes.length, 1, 2, 5]) {
      const parsed = parseResponse(cut(bytes, size), {
        method: expected.method ?? 'GET',
        ...(expected.upgrade === undefined ? {} : { upgrade: expected.upgrade }),
      });
      equal(parsed.error, undefined);
      deepEqual(
        parsed.heads.map(({ status }) => status),
        expected.statuses ?? [200],
      );
      equal(parsed.bodies.at(-1) ?? '', expected.body ?? '');
      const head = parsed.heads.at(-1)!;
      if (expected.fields !== undefined) deepEqual(head.fields, expected.fields);
      equal(parsed.surplus, expected.surplus ?? '');
      equal(parsed.keepAlive.at(-1), expected.keepAlive ?? true);
      equal(parsed.state, expected.state ?? 'done');
      if (parsed.state === 'done') deepEqual(parsed.trailers, [expected.trailers ?? []]);
    }
  });
}

const refusedResponses: readonly [name: string, text: string, method?: string][] = [
  ['HTTP/2', 'HTTP/2 200\r\n\r\n'],
  ['HTTP/1.2', 'HTTP/1.2 200 OK\r\n\r\n'],
  ['status 099', 'HTTP/1.1 099 No\r\n\r\n'],
  ['status 600', 'HTTP/1.1 600 No\r\n\r\n'],
  ['status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
  ['status of four digits', 'HTTP/1.1 2000 OK\r\n\r\n'],
  ['an empty line first', '\r\nHTTP/1.1 200 OK\r\n\r\n'],
  ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na'],
  ['length and chunked', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['gzip, chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
  ['identity', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\na'],
  ['chunked in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['bare line feeds', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n'],
  ['a folded field', 'HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n'],
  ['204 with chunked', 'HTTP/1.1 204 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['204 with a length', 'HTTP/1.1 204 OK\r\nContent-Length: 1\r\n\r\na'],
  ['101 unasked', 'HTTP/1.1 101 OK\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n'],
  ['an end within the head', 'HTTP/1.1 200 O'],
  ['an end within the body', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc'],
  ['an end within a chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc'],
  ['an end before the last chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n'],
  ['an end within the trailers', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n'],
];

for (const [name, text, method = 'GET'] of refusedResponses) {
  test(`H1Parser refuses a response: ${name}`, () => {
    for (const size of [text.length, 1, 3]) {
      const { error } = parseResponse(cut(latin1(text), size), { method });
      equal(error?.code, 'SKEIN_APP_PROTOCOL');
    }
  });
}

const limits: readonly [name: string, text: string, status: number | undefined][] = [
  ['128 fields', `GET / HTTP/1.1\r\n${HOST}${'a: b\r\n'.repeat(127)}\r\n`, undefined],
  ['129 fields', `GET / HTTP/1.1\r\n${HOST}${'a: b\r\n'.repeat(128)}\r\n`, 431],
  ['a value of 16 KiB', `GET / HTTP/1.1\r\n${HOST}a: ${'x'.repeat(16_384)}\r\n\r\n`, undefined],
  ['a value of 16 KiB and a byte', `GET / HTTP/1.1\r\n${HOST}a: ${'x'.repeat(16_385)}\r\n\r\n`, 431],
  ['a name of 256 bytes', `GET / HTTP/1.1\r\n${HOST}${'x'.repeat(256)}: a\r\n\r\n`, undefined],
  ['a name of 257 bytes', `GET / HTTP/1.1\r\n${HOST}${'x'.repeat(257)}: a\r\n\r\n`, 431],
  ['a target of 16 KiB and a byte', `GET /${'x'.repeat(16_384)} HTTP/1.1\r\n${HOST}\r\n`, 414],
  ['a head of more than 32 KiB', `GET / HTTP/1.1\r\n${HOST}${`a: ${'x'.repeat(12_000)}\r\n`.repeat(3)}\r\n`, 431],
  ['a head without end', `GET / HTTP/1.1\r\n${HOST}${`a: ${'x'.repeat(1000)}\r\n`.repeat(33)}`, 431],
  ['a method of 300 bytes', `${'X'.repeat(300)} / HTTP/1.1\r\n${HOST}\r\n`, 501],
  [
    'trailers of more than 8 KiB',
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\na: ${'x'.repeat(8192)}\r\n\r\n`,
    431,
  ],
  [
    'chunk extensions without end',
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n1;${'x'.repeat(5000)}`,
    400,
  ],
];

for (const [name, text, status] of limits) {
  test(`H1Parser keeps its limits: ${name}`, () => {
    for (const size of [text.length, 1000, 1])
      equal(parseRequests(cut(latin1(text), size)).error?.status, status, `pieces of ${size}`);
  });
}

test('H1Parser reads a head that comes byte by byte in linear time', { skip: lacking('cpu time') }, () => {
  const head = latin1(`GET / HTTP/1.1\r\n${HOST}${`a: ${'x'.repeat(290)}\r\n`.repeat(105)}\r\n`);
  ok(head.length > 30_000 && head.length <= 32_768);
  const started = process.cpuUsage().user;
  for (let i = 0; i < 20; i++) equal(parseRequests(cut(head, 1)).heads.length, 1);
  // Twenty heads scanned anew at each byte would look at 10 GB. Time of this process alone: others may be busy.
  ok(process.cpuUsage().user - started < 5_000_000);
});

test('H1Parser hands on body bytes without copying them', () => {
  const chunks: Uint8Array[] = [];
  const parser = H1Parser.forRequests(
    { onRequest: () => undefined, onData: (chunk) => chunks.push(chunk), onEnd: () => undefined },
    decodeLatin1,
  );
  parser.push(latin1(`POST / HTTP/1.1\r\n${HOST}Content-Length: 10\r\n\r\n`));
  const first = latin1('0123');
  const second = latin1('456789GET');
  equal(parser.push(first), 4);
  equal(parser.push(second), 6);
  equal(chunks[0], first);
  equal(chunks[1]?.buffer, second.buffer);
  equal(parser.state, 'done');
});

test('H1Parser stops at once when its owner stops it within an event', () => {
  let ended = 0;
  const parser = H1Parser.forRequests(
    { onRequest: () => undefined, onData: () => parser.stop(), onEnd: () => ended++ },
    decodeLatin1,
  );
  const text = `POST / HTTP/1.1\r\n${HOST}Content-Length: 2\r\n\r\nabGET`;
  equal(parser.push(latin1(text)), text.length - 3);
  equal(ended, 0);
  equal(parser.state, 'done');
});

test('H1Parser says what it refused and with which status', () => {
  const { error } = parseRequests([latin1('GET / HTTP/1.1\r\nHost : a\r\n\r\n')]);
  equal(error?.code, 'SKEIN_BAD_REQUEST');
  equal(error?.status, 400);
  match(error?.message ?? '', /^Cannot read message: /);
});
