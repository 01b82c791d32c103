/** `H1Writer`: framing from what is known, nothing that could hold a second message, and the parser reads all of it. */
import { deepEqual, equal, match, throws } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Bytes, concatBytes } from '../../../src/core/bytes.ts';
import { H1Writer } from '../../../src/http/h1-writer.ts';
import type { Fields, RequestHead, ResponseHead } from '../../../src/http/head.ts';
import { parseRequests, parseResponse } from '../../support/h1.ts';
import { latin1, requestHead, responseHead, toText } from '../../support/http.ts';
import { cutBy, fieldList, someBody, someCuts, someRequest, someResponse } from '../../support/http-arbitraries.ts';

interface Written {
  readonly bytes: Bytes;
  readonly text: string;
  readonly pieces: number;
  readonly keepAlive: boolean;
}

function written(run: (writer: H1Writer) => void): Written {
  const chunks: Bytes[] = [];
  const writer = new H1Writer({ write: (chunk) => chunks.push(chunk) > 0 });
  run(writer);
  const bytes = concatBytes(...chunks);
  return { bytes, text: toText(bytes), pieces: chunks.length, keepAlive: writer.keepAlive };
}

const LIVE = { method: 'GET', minorVersion: 1, keepAlive: true };

const requests: readonly [name: string, head: RequestHead, complete: boolean, text: string][] = [
  [
    'GET',
    requestHead({ path: '/a', fields: ['accept', '*/*'] }),
    true,
    'GET /a HTTP/1.1\r\nhost: api.mesh\r\naccept: */*\r\n\r\n',
  ],
  [
    'POST without a body',
    requestHead({ method: 'POST' }),
    true,
    'POST / HTTP/1.1\r\nhost: api.mesh\r\ncontent-length: 0\r\n\r\n',
  ],
  [
    'POST of length nought',
    requestHead({ method: 'POST', fields: ['content-length', '0'] }),
    true,
    'POST / HTTP/1.1\r\nhost: api.mesh\r\ncontent-length: 0\r\n\r\n',
  ],
  [
    'POST of known length',
    requestHead({ method: 'POST', fields: ['content-length', '5'] }),
    false,
    'POST / HTTP/1.1\r\nhost: api.mesh\r\ncontent-length: 5\r\n\r\n',
  ],
  [
    'POST of unknown length',
    requestHead({ method: 'POST' }),
    false,
    'POST / HTTP/1.1\r\nhost: api.mesh\r\ntransfer-encoding: chunked\r\n\r\n',
  ],
  [
    'an upgrade',
    requestHead({ upgrade: 'websocket' }),
    false,
    'GET / HTTP/1.1\r\nhost: api.mesh\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
  ],
  [
    'CONNECT',
    requestHead({ method: 'CONNECT', authority: 'a:1', path: '' }),
    false,
    'CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n',
  ],
  ['OPTIONS *', requestHead({ method: 'OPTIONS', path: '*' }), true, 'OPTIONS * HTTP/1.1\r\nhost: api.mesh\r\n\r\n'],
  [
    'te',
    requestHead({ fields: ['te', 'trailers'] }),
    true,
    'GET / HTTP/1.1\r\nhost: api.mesh\r\nte: trailers\r\nconnection: te\r\n\r\n',
  ],
];

for (const [name, head, complete, text] of requests) {
  test(`H1Writer writes a request: ${name}`, () =>
    equal(written((writer) => writer.request(head, complete)).text, text));
}

const responses: readonly [
  name: string,
  head: ResponseHead,
  complete: boolean,
  context: Partial<typeof LIVE>,
  text: string,
  keepAlive: boolean,
][] = [
  [
    'known length',
    responseHead(200, ['content-length', '5']),
    false,
    {},
    'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n',
    true,
  ],
  ['unknown length', responseHead(200), false, {}, 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n', true],
  [
    'no body',
    responseHead(302, ['location', '/']),
    true,
    {},
    'HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n',
    true,
  ],
  ['a status without a phrase', responseHead(299), true, {}, 'HTTP/1.1 299 \r\ncontent-length: 0\r\n\r\n', true],
  ['204', responseHead(204, ['content-length', '0']), true, {}, 'HTTP/1.1 204 No Content\r\n\r\n', true],
  [
    '304 keeps the length of what it stands for',
    responseHead(304, ['content-length', '5']),
    true,
    {},
    'HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n',
    true,
  ],
  [
    'HEAD keeps the length',
    responseHead(200, ['content-length', '5']),
    true,
    { method: 'HEAD' },
    'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n',
    true,
  ],
  ['HEAD without a length', responseHead(200), true, { method: 'HEAD' }, 'HTTP/1.1 200 OK\r\n\r\n', true],
  ['103', responseHead(103, ['link', '</a>']), true, {}, 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n', true],
  [
    '101',
    responseHead(101, [], 'websocket'),
    false,
    {},
    'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
    true,
  ],
  ['CONNECT', responseHead(200), false, { method: 'CONNECT' }, 'HTTP/1.1 200 OK\r\n\r\n', true],
  [
    'the last one',
    responseHead(200),
    true,
    { keepAlive: false },
    'HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n',
    false,
  ],
  [
    'HTTP/1.0, known length',
    responseHead(200, ['content-length', '1']),
    false,
    { minorVersion: 0 },
    'HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: keep-alive\r\n\r\n',
    true,
  ],
  [
    'HTTP/1.0, unknown length',
    responseHead(200),
    false,
    { minorVersion: 0 },
    'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n',
    false,
  ],
];

for (const [name, head, complete, context, text, keepAlive] of responses) {
  test(`H1Writer writes a response: ${name}`, () => {
    const result = written((writer) => writer.response(head, complete, { ...LIVE, ...context }));
    equal(result.text, text);
    equal(result.keepAlive, keepAlive);
  });
}

test('H1Writer writes a small chunk in one piece, a large one without copying it, and drops empty ones', () => {
  const large = new Uint8Array(10_000);
  const pieces: Bytes[] = [];
  const writer = new H1Writer({ write: (chunk) => pieces.push(chunk) > 0 });
  writer.response(responseHead(200), false, LIVE);
  pieces.length = 0;
  writer.data(latin1('hello'));
  equal(toText(...pieces), '5\r\nhello\r\n');
  equal(pieces.length, 1);
  writer.data(latin1(''));
  equal(pieces.length, 1);
  writer.data(large);
  equal(toText(pieces[1]!), '2710\r\n');
  equal(pieces[2], large);
  writer.end(['grpc-status', '0']);
  equal(toText(...pieces.slice(3)), '\r\n0\r\ngrpc-status: 0\r\n\r\n');
});

test('H1Writer drops trailers where the framing has no place for them, and a body where there is none', () => {
  const known = written((writer) => {
    writer.response(responseHead(200, ['content-length', '1']), false, LIVE);
    writer.data(latin1('a'));
    writer.end(['a', 'b']);
  });
  match(known.text, /\r\n\r\na$/);
  const head = written((writer) => {
    writer.response(responseHead(200), false, { ...LIVE, method: 'HEAD' });
    writer.data(latin1('a'));
    writer.end();
  });
  match(head.text, /\r\n\r\n$/);
});

const unsendable: readonly [name: string, run: (writer: H1Writer) => void][] = [
  ['CR LF in a value', (writer) => writer.request(requestHead({ fields: ['a', 'b\r\nc: d'] }), true)],
  ['CR LF in a path', (writer) => writer.request(requestHead({ path: '/a\r\nb' }), true)],
  ['a space in a path', (writer) => writer.request(requestHead({ path: '/a b' }), true)],
  ['a space in a method', (writer) => writer.request(requestHead({ method: 'GET /' }), true)],
  ['CR LF in an authority', (writer) => writer.request(requestHead({ authority: 'a\r\nb' }), true)],
  ['CR LF in a protocol', (writer) => writer.request(requestHead({ upgrade: 'a\r\nb' }), false)],
  ['CR LF in a name', (writer) => writer.request(requestHead({ fields: ['a\r\nb', 'c'] }), true)],
  [
    'a character that would become LF if cut to a byte',
    (writer) => writer.request(requestHead({ fields: ['a', '\u010a'] }), true),
  ],
  [
    'transfer-encoding of its own',
    (writer) => writer.response(responseHead(200, ['transfer-encoding', 'chunked']), false, LIVE),
  ],
  ['connection of its own', (writer) => writer.response(responseHead(200, ['connection', 'close']), false, LIVE)],
  [
    'two lengths',
    (writer) => writer.response(responseHead(200, ['content-length', '1', 'content-length', '1']), false, LIVE),
  ],
  ['a length that is none', (writer) => writer.response(responseHead(200, ['content-length', '1, 1']), false, LIVE)],
  ['a length without a body', (writer) => writer.response(responseHead(200, ['content-length', '1']), true, LIVE)],
  [
    'a length without a body in a request',
    (writer) => writer.request(requestHead({ fields: ['content-length', '1'] }), true),
  ],
  ['status 99', (writer) => writer.response(responseHead(99), true, LIVE)],
  ['status 600', (writer) => writer.response(responseHead(600), true, LIVE)],
];

for (const [name, run] of unsendable) {
  test(`H1Writer writes nothing of ${name}`, () => {
    const chunks: Bytes[] = [];
    const writer = new H1Writer({ write: (chunk) => chunks.push(chunk) > 0 });
    throws(() => run(writer), { name: 'SkeinError', code: 'SKEIN_BAD_REQUEST' });
    equal(chunks.length, 0);
  });
}

test('H1Writer holds a body to its stated length', () => {
  const start = (writer: H1Writer): H1Writer => {
    writer.response(responseHead(200, ['content-length', '3']), false, LIVE);
    return writer;
  };
  throws(() => written((writer) => start(writer).data(latin1('abcd'))), { code: 'SKEIN_BAD_REQUEST' });
  throws(
    () =>
      written((writer) => {
        start(writer).data(latin1('ab'));
        writer.end();
      }),
    { code: 'SKEIN_BAD_REQUEST' },
  );
});

interface Message {
  readonly body: Uint8Array[];
  readonly isLengthKnown: boolean;
  readonly trailers: Fields;
}

const someMessage: fc.Arbitrary<Message> = fc.record({
  body: someBody,
  isLengthKnown: fc.boolean(),
  trailers: fieldList,
});
const DROPPED = /^(authorization|cache-control|content-(encoding|range|type)|cookie|range|set-cookie|trailer)$/;

/** The trailers that survive. */
function plain(trailers: Fields, isLengthKnown: boolean): string[] {
  const kept: string[] = [];
  for (let i = 0; i < trailers.length && !isLengthKnown; i += 2) {
    if (!DROPPED.test(trailers[i]!)) kept.push(trailers[i]!, trailers[i + 1]!);
  }
  return kept;
}

function withLength(fields: Fields, { body, isLengthKnown }: Message): Fields {
  return isLengthKnown ? [...fields, 'content-length', String(concatBytes(...body).length)] : fields;
}

test('The parser reads back every request that the writer wrote, however it is cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(someRequest, someMessage), { minLength: 1, maxLength: 3 }),
      someCuts,
      (messages, cuts) => {
        const heads = messages.map(([head, message]) => ({
          ...head,
          scheme: 'http',
          service: '',
          upgrade: undefined,
          fields: withLength(head.fields, message),
        }));
        const { bytes } = written((writer) => {
          for (const [i, [, { body, trailers }]] of messages.entries()) {
            writer.request(heads[i]!, false);
            for (const chunk of body) writer.data(chunk);
            writer.end(trailers);
          }
        });
        const parsed = parseRequests(cutBy(bytes, cuts), true);
        equal(parsed.error, undefined);
        deepEqual(parsed.heads, heads);
        deepEqual(
          parsed.bodies,
          messages.map(([, { body }]) => toText(...body)),
        );
        deepEqual(
          parsed.trailers,
          messages.map(([, { trailers, isLengthKnown }]) => plain(trailers, isLengthKnown)),
        );
      },
    ),
    { numRuns: 300 },
  );
});

test('The parser reads back every response that the writer wrote, however it is cut', () => {
  fc.assert(
    fc.property(someResponse, someMessage, someCuts, fc.constantFrom(0, 1), (head, message, cuts, minorVersion) => {
      const sent = { ...head, fields: withLength(head.fields, message) };
      const { bytes } = written((writer) => {
        writer.response(sent, false, { ...LIVE, minorVersion });
        for (const chunk of message.body) writer.data(chunk);
        writer.end(message.trailers);
      });
      const parsed = parseResponse(cutBy(bytes, cuts));
      equal(parsed.error, undefined);
      deepEqual(parsed.heads, [sent]);
      equal(parsed.bodies[0], toText(...message.body));
      deepEqual(parsed.trailers[0], plain(message.trailers, message.isLengthKnown || minorVersion === 0));
      equal(parsed.keepAlive[0], minorVersion === 1 || message.isLengthKnown);
    }),
    { numRuns: 300 },
  );
});
