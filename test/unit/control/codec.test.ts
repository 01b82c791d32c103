/** The control codec: what it carries, and what it refuses before building anything from it. */

import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeMessage, encodeMessage } from '../../../src/control/codec.ts';
import { MAX_DEPTH, MAX_MESSAGE_BYTES } from '../../../src/control/limits.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';

const bytes = (...parts: (number | string | Uint8Array)[]): Uint8Array => {
  const chunks = parts.map((part) =>
    typeof part === 'number' ? Uint8Array.of(part) : typeof part === 'string' ? new TextEncoder().encode(part) : part,
  );
  const out = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    out.set(chunk, at);
    at += chunk.length;
  }
  return out;
};
const repeat = (byte: number, count: number): Uint8Array => new Uint8Array(count).fill(byte);

const BOMBS: readonly [name: string, message: Uint8Array][] = [
  ['nothing', bytes()],
  ['arrays nested 17 deep', bytes(repeat(0x91, MAX_DEPTH + 1), 0xc0)],
  ['arrays nested 60 000 deep', bytes(repeat(0x91, 60_000), 0xc0)],
  ['maps nested 30 000 deep', bytes(...Array.from({ length: 30_000 }, () => bytes(0x81, 0xa0)), 0xc0)],
  ['an array of 4 G values', bytes(0xdd, repeat(0xff, 4))],
  ['an array of 65 535 values that are not there', bytes(0xdc, 0xff, 0xff, 0xc0)],
  ['a map of 4 G members', bytes(0xdf, repeat(0xff, 4))],
  ['a string of 4 G bytes', bytes(0xdb, repeat(0xff, 4), 'x')],
  ['60 000 values', bytes(0xdc, 0xea, 0x60, repeat(0xc0, 60_000))],
  ['binary', bytes(0xc4, 1, 0)],
  ['long binary', bytes(0xc6, repeat(0xff, 4))],
  ['a fixed extension: undefined', bytes(0xd4, 0, 0)],
  ['a fixed extension: record definition', bytes(0xd4, 0x72, 0x40, 0x91, 0xa1, 'a')],
  ['a timestamp', bytes(0xd6, 0xff, repeat(0, 4))],
  ['a regular expression', bytes(0xc7, 4, 0x78, 0x92, 0xa1, 'a', 0xa0)],
  ['an error', bytes(0xc7, 3, 0x65, 0x93, 0xa0, 0xa0)],
  ['a set', bytes(0xc7, 0, 0x73)],
  ['a cyclic reference', bytes(0xd6, 0x69, repeat(0, 4), 0x91, 0xd6, 0x70, repeat(0, 4))],
  ['0xc1', bytes(0xc1)],
  ['a number as key', bytes(0x81, 1, 1)],
  ['nil as key', bytes(0x81, 0xc0, 1)],
  ['a map as key', bytes(0x81, 0x80, 1)],
  ['the same key twice', bytes(0x82, 0xa1, 'a', 1, 0xa1, 'a', 2)],
  ['a string that is no UTF-8', bytes(0xa2, 0xc3, 0x28)],
  ['a key that is no UTF-8', bytes(0x81, 0xa1, 0xff, 1)],
  ['a lone surrogate', bytes(0xa3, 0xed, 0xa0, 0x80)],
  ['two values', bytes(0xc0, 0xc0)],
  ['half a number', bytes(0xcd, 1)],
  ['half a string', bytes(0xa5, 'ab')],
  ['half an array', bytes(0x92, 1)],
  ['half a map', bytes(0x81, 0xa1, 'a')],
  ['more than 64 KiB', bytes(0xdb, 0, 1, 0, 0, repeat(0x20, 65_536))],
];

for (const [name, message] of BOMBS) {
  test(`Codec refuses ${name}`, () => {
    throws(() => decodeMessage(message), { name: 'SkeinError', code: 'SKEIN_PROTOCOL' });
  });
}

test('Codec carries JSON-like values unchanged, in memory of their own', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      const plain = JSON.parse(JSON.stringify(value));
      const encoded = encodeMessage(plain);
      equal(encoded.buffer.byteLength, encoded.length);
      equal(encoded.constructor, Uint8Array);
      deepEqual(decodeMessage(encoded), plain);
    }),
  );
});

test('Codec leaves undefined members out', () => {
  deepEqual(decodeMessage(encodeMessage({ a: undefined, b: [1] })), { b: [1] });
});

test('Codec carries the numbers of the protocol exactly', () => {
  const numbers = [0, 127, 128, 65_536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER, -1, -33, -(2 ** 31), 1.5];
  deepEqual(decodeMessage(encodeMessage(numbers)), numbers);
});

test('Codec takes 64-bit integers of other implementations as numbers', () => {
  deepEqual(decodeMessage(bytes(0x92, 0xcf, repeat(0, 7), 9, 0xd3, repeat(0xff, 8))), [9, -1]);
});

test('Codec refuses to send more than 64 KiB', () => {
  throws(() => encodeMessage('x'.repeat(MAX_MESSAGE_BYTES)), { code: 'SKEIN_LIMIT' });
  equal(encodeMessage('x'.repeat(MAX_MESSAGE_BYTES - 3)).length, MAX_MESSAGE_BYTES);
});

test('A key called __proto__ pollutes nothing', () => {
  const value = decodeMessage(bytes(0x81, 0xa9, '__proto__', 0x81, 0xa1, 'x', 1)) as object;
  equal(Object.getPrototypeOf(value), Object.prototype);
  equal('x' in {}, false);
  deepEqual(Object.entries(value), [['__proto__', { x: 1 }]]);
});

test('100 000 mutants of honest messages and as many random ones: a value or SKEIN_PROTOCOL, nothing else', (t) => {
  const random = new SeededRandom();
  t.diagnostic(String(random));
  const honest = [
    encodeMessage([0, 7, 'watch', { services: ['api.default', 'db.shop'] }]),
    encodeMessage([
      3,
      'catalogue',
      { epoch: 3, revision: 9, digest: 'f'.repeat(32), upserts: [{ labels: { a: 'ü' } }] },
    ]),
    encodeMessage({
      a: [1, 2 ** 40, -5, 1.5, null, true, 'x'.repeat(300)],
      b: Array.from({ length: 40 }, (_, i) => i),
    }),
  ];
  let accepted = 0;
  let worstMs = 0;
  for (let round = 0; round < 200_000; round++) {
    const mutant = round % 2 === 0 ? mutate(random.pick(honest), random) : random.bytes(random.integer(64));
    const started = performance.now();
    try {
      decodeMessage(mutant);
      accepted++;
    } catch (thrown) {
      ok(thrown instanceof SkeinError && thrown.code === 'SKEIN_PROTOCOL', `${random}: ${thrown}`);
    }
    worstMs = Math.max(worstMs, performance.now() - started);
  }
  t.diagnostic(`${accepted} of 200000 accepted, worst ${worstMs.toFixed(2)} ms`);
  ok(accepted > 10_000);
});

function mutate(message: Uint8Array, random: SeededRandom): Uint8Array {
  const mutant = message.slice();
  for (let changes = 1 + random.integer(3); changes > 0; changes--) {
    mutant[random.integer(mutant.length)] = random.integer(256);
  }
  return random.integer(4) === 0 ? mutant.subarray(0, random.integer(mutant.length)) : mutant;
}

test('The deepest allowed message is read', () => {
  let value = decodeMessage(bytes(repeat(0x91, MAX_DEPTH), 0xc0));
  for (let depth = 0; depth < MAX_DEPTH; depth++) [value] = value as unknown[];
  equal(value, null);
});

test('Every value has its shortest form', () => {
  const text = (length: number): string => 'x'.repeat(length);
  const forms: readonly [value: unknown, form: Uint8Array][] = [
    [null, bytes(0xc0)],
    [false, bytes(0xc2)],
    [true, bytes(0xc3)],
    [127, bytes(0x7f)],
    [128, bytes(0xcc, 0x80)],
    [255, bytes(0xcc, 0xff)],
    [256, bytes(0xcd, 1, 0)],
    [65_535, bytes(0xcd, 0xff, 0xff)],
    [65_536, bytes(0xce, 0, 1, 0, 0)],
    [2 ** 32 - 1, bytes(0xce, repeat(0xff, 4))],
    [2 ** 32, bytes(0xcb, 0x41, 0xf0, repeat(0, 6))],
    [-32, bytes(0xe0)],
    [-33, bytes(0xd0, 0xdf)],
    [-128, bytes(0xd0, 0x80)],
    [-129, bytes(0xd1, 0xff, 0x7f)],
    [-32_769, bytes(0xd2, 0xff, 0xff, 0x7f, 0xff)],
    [1.5, bytes(0xcb, 0x3f, 0xf8, repeat(0, 6))],
    ['', bytes(0xa0)],
    [text(31), bytes(0xbf, text(31))],
    [text(32), bytes(0xd9, 32, text(32))],
    [text(255), bytes(0xd9, 0xff, text(255))],
    [text(256), bytes(0xda, 1, 0, text(256))],
    ['ü'.repeat(16), bytes(0xd9, 32, 'ü'.repeat(16))],
    ['€'.repeat(100), bytes(0xda, 1, 0x2c, '€'.repeat(100))],
    [Array(15).fill(0), bytes(0x9f, repeat(0, 15))],
    [Array(16).fill(0), bytes(0xdc, 0, 16, repeat(0, 16))],
    [{ a: 1 }, bytes(0x81, 0xa1, 'a', 1)],
  ];
  for (const [value, form] of forms) {
    deepEqual(encodeMessage(value), form, JSON.stringify(value));
    deepEqual(decodeMessage(form), value);
  }
});

test('Codec writes only what JSON has', () => {
  throws(() => encodeMessage({ at: () => 1 }), TypeError);
  throws(() => encodeMessage([1n]), TypeError);
});
