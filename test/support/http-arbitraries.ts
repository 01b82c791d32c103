/** Random HTTP heads for fast-check: all that is valid, the odd things included. */
import fc from 'fast-check';
import { STATIC_NAMES } from '../../src/http/field-names.ts';
import type { RequestHead, ResponseHead } from '../../src/http/head.ts';

const token = fc.string({
  unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz0123456789-_.!#'),
  minLength: 1,
  maxLength: 40,
});

const RESERVED = ['te', 'content-length', 'expect', 'host', 'connection', 'upgrade', 'keep-alive'];

const fieldName = fc.oneof(
  fc.constantFrom(...STATIC_NAMES.filter((name) => !RESERVED.includes(name))),
  token.filter((name) => !RESERVED.includes(name)),
);

const fieldValue = fc
  .string({
    unit: fc
      .integer({ min: 0x20, max: 0xff })
      .filter((code) => code !== 0x7f)
      .map((code) => String.fromCharCode(code)),
    maxLength: 300,
  })
  .map((text) => text.replace(/^ +| +$/g, ''));

/** Names and values; none that frames a message. */
export const fieldList: fc.Arbitrary<string[]> = fc
  .array(fc.tuple(fieldName, fieldValue), { maxLength: 30 })
  .map((pairs) => pairs.flat());

const path = fc
  .string({ unit: fc.constantFrom(...'abcXYZ019-._~%/?&=;:@!$()*+,{}|\\"<>^`[]'), maxLength: 400 })
  .map((text) => `/${text}`);

export const someRequest: fc.Arbitrary<RequestHead> = fc.record(
  {
    method: fc.oneof(
      fc.constantFrom('GET', 'POST', 'QUERY', 'PATCH', 'HEAD', 'OPTIONS'),
      token.map((name) => name.toUpperCase()).filter((name) => name !== 'CONNECT'),
    ),
    scheme: fc.constantFrom('http', 'https'),
    authority: fc.constantFrom('api.mesh', 'a:80', '[::1]:8080'),
    path,
    fields: fieldList,
    upgrade: fc.constantFrom(undefined, 'websocket', 'foo/2'),
    service: fc.constantFrom('', 'api.default:80', 'db.shop:5432'),
  },
  { noNullPrototype: true },
);

export const someResponse: fc.Arbitrary<ResponseHead> = fc.record(
  {
    status: fc.integer({ min: 200, max: 599 }).filter((status) => status !== 204 && status !== 304),
    fields: fieldList,
    upgrade: fc.constant(undefined),
  },
  { noNullPrototype: true },
);

/** Body chunks, with small, empty and larger ones. */
export const someBody: fc.Arbitrary<Uint8Array[]> = fc.array(fc.uint8Array({ maxLength: 5000 }), { maxLength: 6 });

/** Where to cut bytes: sizes used in turn. */
export const someCuts: fc.Arbitrary<number[]> = fc.array(fc.integer({ min: 1, max: 2000 }), {
  minLength: 1,
  maxLength: 8,
});

export function cutBy(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] as number;
    pieces.push(bytes.slice(at, at + size));
    at += size;
  }
  return pieces;
}
