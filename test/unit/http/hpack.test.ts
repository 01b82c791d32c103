/** HPACK: the examples of RFC 7541 Appendix C, what our encoder writes, and blocks that nobody may send. */
import { deepEqual, equal, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { concatBytes, fromHex } from '../../../src/core/bytes.ts';
import { decodeLatin1 } from '../../../src/core/text.ts';
import { encodeHpack, HpackDecoder } from '../../../src/http/hpack.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { effort } from '../../support/effort.ts';

const MUTANTS = effort(100_000);
const LIMITS = { maxFields: 133, maxBytes: 32 * 1024 };
const decoder = (): HpackDecoder => new HpackDecoder(LIMITS, decodeLatin1);
const hex = (text: string): Uint8Array<ArrayBuffer> => fromHex(text.replaceAll(' ', '')) as Uint8Array<ArrayBuffer>;

const FIRST = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'www.example.com'];
const SECOND = [...FIRST, 'cache-control', 'no-cache'];
const THIRD = [
  ':method',
  'GET',
  ':scheme',
  'https',
  ':path',
  '/index.html',
  ':authority',
  'www.example.com',
  'custom-key',
  'custom-value',
];

const sequences: readonly [section: string, blocks: readonly string[]][] = [
  [
    'C.3',
    [
      '828684410f7777772e6578616d706c652e636f6d',
      '828684be58086e6f2d6361636865',
      '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565',
    ],
  ],
  [
    'C.4',
    [
      '828684418cf1e3c2e5f23a6ba0ab90f4ff',
      '828684be5886a8eb10649cbf',
      '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf',
    ],
  ],
];
for (const [section, blocks] of sequences) {
  test(`RFC 7541 ${section}: three requests on one connection`, () => {
    const one = decoder();
    for (const [i, fields] of [FIRST, SECOND, THIRD].entries()) {
      deepEqual(one.decode(hex(blocks[i]!)), { fields, isTooLarge: false });
    }
  });
}

test('RFC 7541 C.2: a literal with indexing, without, never, and an index', () => {
  deepEqual(decoder().decode(hex('400a637573746f6d2d6b65790d637573746f6d2d686561646572')).fields, [
    'custom-key',
    'custom-header',
  ]);
  deepEqual(decoder().decode(hex('040c2f73616d706c652f70617468')).fields, [':path', '/sample/path']);
  deepEqual(decoder().decode(hex('100870617373776f726406736563726574')).fields, ['password', 'secret']);
  deepEqual(decoder().decode(hex('82')).fields, [':method', 'GET']);
});

const broken: readonly [what: string, block: string][] = [
  ['index 0', '80'],
  ['an index beyond both tables', 'be'],
  ['a string that ends in the air', '400a6375'],
  ['an integer that never ends', '7fffffffffff0f'],
  ['an integer that is too large', '7fffffff7f'],
  ['padding of zeros', '4085f1e3c2e500 00'],
  ['padding of a whole byte', '0082ffff00'],
  ['EOS within a string', '0084ffffffff00'],
  ['a change of size behind a field', '8220'],
  ['a table larger than allowed', '3fe21f'],
];
for (const [what, block] of broken) {
  test(`A block with ${what} ends the connection`, () => throws(() => decoder().decode(hex(block)), { code: 9 }));
}

test('A block that is too large is read to its end, so that the tables stay the same', () => {
  const many = concatBytes(...Array.from({ length: 200 }, () => hex('82')), hex('400161 0162'));
  const one = decoder();
  const { fields, isTooLarge } = one.decode(many);
  deepEqual([fields.length / 2, isTooLarge], [133, true]);
  deepEqual(one.decode(hex('be')).fields, ['a', 'b']);
});

test('The dynamic table forgets the oldest, and all when it is made smaller', () => {
  const one = decoder();
  const long = 'v'.repeat(1500);
  const literal = (name: string): Uint8Array =>
    concatBytes(hex('40'), Uint8Array.of(1, name.charCodeAt(0)), hex('7fdd0a'), new TextEncoder().encode(long));
  for (const name of ['a', 'b', 'c'])
    deepEqual(one.decode(literal(name) as Uint8Array<ArrayBuffer>).fields, [name, long]);
  deepEqual(one.decode(hex('be')).fields, ['c', long]);
  deepEqual(one.decode(hex('bf')).fields, ['b', long]);
  throws(() => one.decode(hex('c0')), { code: 9 }, 'the third did not fit');
  const other = decoder();
  other.decode(literal('a') as Uint8Array<ArrayBuffer>);
  throws(() => other.decode(hex('20be')), { code: 9 });
});

test('What our encoder writes is read again, whatever it is', (t) => {
  const random = new SeededRandom();
  t.diagnostic(`seed ${random.seed}`);
  const one = decoder();
  const names = [':status', ':path', 'accept', 'x-own', 'set-cookie', 'grpc-status'];
  for (let round = 0; round < 2_000; round++) {
    const fields = Array.from({ length: 1 + Math.floor(random.ratio() * 12) }, () => {
      const length = Math.floor(random.ratio() ** 3 * 900);
      const value = Array.from({ length }, () => String.fromCharCode(1 + Math.floor(random.ratio() * 255))).join('');
      return [names[Math.floor(random.ratio() * names.length)]!, random.ratio() < 0.2 ? '200' : value];
    }).flat();
    deepEqual(one.decode(encodeHpack(fields)).fields, fields);
  }
  equal(encodeHpack([':status', '200']).length, 1);
});

test('Mutated blocks are read or refused, and nothing else happens', (t) => {
  const random = new SeededRandom();
  t.diagnostic(`seed ${random.seed}`);
  const whole = hex(sequences[1]![1].join(''));
  let refused = 0;
  for (let i = 0; i < MUTANTS; i++) {
    const block = whole.slice(0, Math.floor(random.ratio() * whole.length) + 1);
    for (let flips = 1 + Math.floor(random.ratio() * 3); flips > 0; flips--)
      block[Math.floor(random.ratio() * block.length)] = Math.floor(random.ratio() * 256);
    try {
      decoder().decode(block);
    } catch (thrown) {
      equal((thrown as Error).name, 'H2Violation');
      refused++;
    }
  }
  t.diagnostic(`${refused} of ${MUTANTS} refused`);
});
