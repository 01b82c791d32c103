/** The head codec: the bytes of the specification, round trips, and refusal of everything it would not write. */
import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromHex, toHex } from '../../../src/core/bytes.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { decodeLatin1 } from '../../../src/core/text.ts';
import { STATIC_NAMES } from '../../../src/http/field-names.ts';
import type { Fields, RequestHead, ResponseHead } from '../../../src/http/head.ts';
import {
  decodeRequestHead,
  decodeResponseHead,
  decodeTrailers,
  encodeRequestHead,
  encodeResponseHead,
  encodeTrailers,
  isCompleteResponse,
  MAX_BLOCK_BYTES,
} from '../../../src/http/head-codec.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { requestHead, responseHead } from '../../support/http.ts';
import { fieldList, someRequest, someResponse } from '../../support/http-arbitraries.ts';

const out = new Uint8Array(MAX_BLOCK_BYTES);

const encoded = (head: RequestHead): Uint8Array => out.slice(0, encodeRequestHead(out, head));
const encodedResponse = (head: ResponseHead, complete = false): Uint8Array =>
  out.slice(0, encodeResponseHead(out, head, complete));
const encodedTrailers = (fields: Fields): Uint8Array => out.slice(0, encodeTrailers(out, fields));

test('The head codec writes the bytes of the specification', () => {
  // method 1 GET, flags 0; authority "a"; path "/"; one field: id 1 accept "*".
  equal(toHex(encoded(requestHead({ authority: 'a', fields: ['accept', '*'] }))), '01000161012f0101012a');
  // method as text, https, upgrade, service; a field by name.
  const head = requestHead({
    method: 'BREW',
    scheme: 'https',
    authority: '',
    upgrade: 'foo',
    service: 'a.b:80',
    fields: ['x-own', ''],
  });
  equal(
    toHex(encoded(head)),
    '00070442524557' + '00' + '012f' + '03666f6f' + '06612e623a3830' + '01' + '0005782d6f776e' + '00',
  );
  equal(toHex(encodedResponse(responseHead(204), true)), '0100cc00');
  equal(toHex(encodedResponse(responseHead(101, [], 'websocket'))), '02006509776562736f636b657400');
  equal(toHex(encodedTrailers(['grpc-status', '0'])), '01230130');
});

test('The static name table has 64 names that no later version may move', () => {
  equal(STATIC_NAMES.length, 64);
  equal(new Set(STATIC_NAMES).size, 64);
  deepEqual(
    [STATIC_NAMES[0], STATIC_NAMES[25], STATIC_NAMES[34], STATIC_NAMES[63]],
    ['accept', 'content-type', 'grpc-status', 'x-skein-client-id'],
  );
});

test('The head codec gives back every request, response and trailer section', () => {
  fc.assert(
    fc.property(someRequest, (head) => deepEqual(decodeRequestHead(encoded(head), decodeLatin1), head)),
    { numRuns: 500 },
  );
  fc.assert(
    fc.property(someResponse, fc.boolean(), (head, complete) => {
      const block = encodedResponse(head, complete);
      deepEqual(decodeResponseHead(block, decodeLatin1), head);
      equal(isCompleteResponse(block), complete);
    }),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(fieldList, (fields) => deepEqual(decodeTrailers(encodedTrailers(fields), decodeLatin1), fields)),
    { numRuns: 300 },
  );
});

test('The head codec gives back long values and the longest path', () => {
  for (const length of [63, 64, 16_383, 16_384]) {
    const fields = ['x-own', 'v'.repeat(length)];
    deepEqual(decodeTrailers(encodedTrailers(fields), decodeLatin1), fields);
  }
  const head = requestHead({ path: `/${'p'.repeat(32_000)}` });
  deepEqual(decodeRequestHead(encoded(head), decodeLatin1), head);
});

const unsendable: readonly [name: string, head: RequestHead, code: string][] = [
  ['CR LF in a value', requestHead({ fields: ['a', 'b\r\nc'] }), 'SKEIN_BAD_REQUEST'],
  ['NUL in a value', requestHead({ fields: ['a', 'b\0'] }), 'SKEIN_BAD_REQUEST'],
  ['a character that would become LF if cut to a byte', requestHead({ fields: ['a', '\u010a'] }), 'SKEIN_BAD_REQUEST'],
  ['a capital in a name', requestHead({ fields: ['Accept', 'b'] }), 'SKEIN_BAD_REQUEST'],
  ['a space in a name', requestHead({ fields: ['a b', 'b'] }), 'SKEIN_BAD_REQUEST'],
  ['an empty name', requestHead({ fields: ['', 'b'] }), 'SKEIN_BAD_REQUEST'],
  ['a field of the connection', requestHead({ fields: ['transfer-encoding', 'chunked'] }), 'SKEIN_BAD_REQUEST'],
  ['te other than trailers', requestHead({ fields: ['te', 'gzip'] }), 'SKEIN_BAD_REQUEST'],
  ['a space in the path', requestHead({ path: '/a b' }), 'SKEIN_BAD_REQUEST'],
  ['a space in the method', requestHead({ method: 'A B' }), 'SKEIN_BAD_REQUEST'],
  ['user information', requestHead({ authority: 'u@a' }), 'SKEIN_BAD_REQUEST'],
  ['129 fields', requestHead({ fields: Array.from({ length: 258 }, () => 'a') }), 'SKEIN_LIMIT'],
  ['a value over 16 KiB', requestHead({ fields: ['a', 'x'.repeat(16_385)] }), 'SKEIN_LIMIT'],
  ['a name over 256 bytes', requestHead({ fields: ['x'.repeat(257), 'a'] }), 'SKEIN_LIMIT'],
  [
    'a block over 32 KiB',
    requestHead({ fields: ['a', 'x'.repeat(16_000), 'b', 'x'.repeat(16_000), 'c', 'x'.repeat(1000)] }),
    'SKEIN_LIMIT',
  ],
];

for (const [name, head, code] of unsendable) {
  test(`The head codec does not write ${name}`, () =>
    throws(() => encodeRequestHead(out, head), { name: 'SkeinError', code }));
}

test('The head codec never writes outside its buffer', () => {
  const wide = new Uint8Array(MAX_BLOCK_BYTES + 1024).fill(0xaa);
  for (let length = 15_900; length < 16_384; length++) {
    try {
      encodeTrailers(wide, ['a', 'x'.repeat(16_384), 'b', 'x'.repeat(length)]);
    } catch (error) {
      ok(error instanceof SkeinError);
    }
  }
  ok(wide.subarray(MAX_BLOCK_BYTES).every((byte) => byte === 0xaa));
});

const refusedBlocks: readonly [name: string, hex: string][] = [
  ['nothing', ''],
  ['a block that ends within the head', '0100'],
  ['a block that ends within a value', '01000161012f0101052a'],
  ['a byte behind the last field', '01000161012f0101012a00'],
  ['an unknown method id', '20000161012f00'],
  ['an unknown flag', '01080161012f00'],
  ['a known method as text', '0000034745540161012f00'],
  ['an empty method', '0000000161012f00'],
  ['an unknown name id', '01000161012f0141012a'],
  ['a known name as text', '01000161012f0100066163636570' + '74012a'],
  ['a capital in a name', '01000161012f01000141012a'],
  ['an empty name', '01000161012f010000012a'],
  ['CR in a value', '01000161012f0101010d'],
  ['LF in a value', '01000161012f0101010a'],
  ['NUL in a value', '01000161012f01010100'],
  ['host', '01000161012f010004686f737401' + '61'],
  ['connection', '01000161012f01000a636f6e6e656374696f6e0161'],
  ['transfer-encoding', '01000161012f0100117472616e736665722d656e636f64696e670161'],
  ['te: gzip', '01000161012f013904677a6970'],
  ['a length that is not in its shortest form', '010040' + '01' + '61012f00'],
  ['a length of eight bytes', '0100c00000000000000161012f00'],
  ['a path without a slash', '01000161016100'],
  ['an empty path', '010001610000'],
  ['asterisk of GET', '01000161012a00'],
  ['CONNECT with a path', '06000161012f00'],
  ['user information', '010003754061012f00'],
  ['an empty upgrade', '01020161012f0000'],
  ['an empty service', '01040161012f0000'],
  ['129 fields', '01000161012f81'],
];

for (const [name, hex] of refusedBlocks) {
  test(`The head codec refuses ${name}`, () => {
    throws(() => decodeRequestHead(fromHex(hex), decodeLatin1), { name: 'SkeinError', code: 'SKEIN_PROTOCOL' });
  });
}

const refusedResponses: readonly [name: string, hex: string][] = [
  ['status 99', '00006300'],
  ['status 600', '00025800'],
  ['101 without its protocol', '00006500'],
  ['200 with a protocol', '0200c803666f6f00'],
  ['an unknown flag', '0400c800'],
];

for (const [name, hex] of refusedResponses) {
  test(`The head codec refuses a response: ${name}`, () => {
    throws(() => decodeResponseHead(fromHex(hex), decodeLatin1), { name: 'SkeinError', code: 'SKEIN_PROTOCOL' });
  });
}

test('The head codec throws nothing but SKEIN_PROTOCOL on a hundred thousand mutated blocks', (t) => {
  const random = new SeededRandom();
  t.diagnostic(random.toString());
  const seeds = [
    encoded(requestHead({ path: '/a?b=c', fields: ['accept', '*/*', 'x-own', 'value', 'cookie', 'a=b'] })),
    encoded(
      requestHead({ method: 'BREW', upgrade: 'websocket', service: 'api.default:80', fields: ['te', 'trailers'] }),
    ),
    encodedResponse(responseHead(200, ['content-type', 'text/plain', 'x-own', 'a'.repeat(100)])),
    encodedTrailers(['grpc-status', '0', 'grpc-message', '']),
  ];
  const decoders = [decodeRequestHead, decodeResponseHead, decodeTrailers];
  let accepted = 0;
  for (let i = 0; i < 100_000; i++) {
    const block = mutate(random, random.pick(seeds));
    try {
      const head: unknown = random.pick(decoders)(block, decodeLatin1);
      accepted++;
      checkClean(head);
    } catch (error) {
      ok(error instanceof SkeinError && error.code === 'SKEIN_PROTOCOL', `${random}: ${toHex(block)}: ${error}`);
    }
  }
  // Both sides of the border were seen.
  ok(accepted > 1000 && accepted < 99_000, `${accepted} accepted`);
});

/** What a decoder lets pass can be written as a message without a second one appearing in it. */
function checkClean(value: unknown): void {
  if (typeof value === 'string') equal([...value].filter((character) => '\r\n\0'.includes(character)).length, 0);
  else if (typeof value === 'object' && value !== null) for (const part of Object.values(value)) checkClean(part);
}

function mutate(random: SeededRandom, seed: Uint8Array): Uint8Array {
  const block = seed.slice();
  for (let n = random.integer(4); n >= 0; n--) block[random.integer(block.length)] = random.integer(256);
  return random.ratio() < 0.3 ? block.slice(0, random.integer(block.length)) : block;
}
