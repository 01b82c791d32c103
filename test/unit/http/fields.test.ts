/** Field hygiene: validity, what belongs to one connection, and the forty spellings of headers nobody outside may set. */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { isUntrusted } from '../../../src/core/reserved-fields.ts';
import {
  isFieldName,
  isFieldValue,
  isToken,
  removeConnectionSpecific,
  removeField,
  stripTrailers,
  stripUntrusted,
} from '../../../src/http/fields.ts';

const names: readonly [string, boolean][] = [
  ['accept', true],
  ['x-a_b.c', true],
  ['__proto__', true],
  ['a'.repeat(256), true],
  ['', false],
  ['a'.repeat(257), false],
  ['Accept', false],
  ['a b', false],
  ['a:', false],
  ['a\r\n', false],
  ['\u0161', false],
  ['a\u0100', false],
];

for (const [name, valid] of names) {
  test(`isFieldName says ${valid} to ${JSON.stringify(name.slice(0, 20))} (${name.length})`, () => {
    equal(isFieldName(name), valid);
  });
}

const values: readonly [string, boolean][] = [
  ['', true],
  ['a b\tc', true],
  ['\u00e9\u00ff', true],
  ['x'.repeat(16_384), true],
  ['x'.repeat(16_385), false],
  [' a', false],
  ['a\t', false],
  ['a\0', false],
  ['a\r', false],
  ['a\nb', false],
  ['a\x7f', false],
  ['\u010a', false],
  ['\u{1f600}', false],
];

for (const [value, valid] of values) {
  test(`isFieldValue says ${valid} to ${JSON.stringify(value.slice(0, 20))} (${value.length})`, () => {
    equal(isFieldValue(value), valid);
  });
}

test('isToken knows the tokens of RFC 9110', () => {
  for (const text of ['GET', "!#$%&'*+-.^_`|~", 'a1']) equal(isToken(text), true, text);
  for (const text of ['', 'a b', 'a/b', '"a"', '(', '\u00e9', '\u0147']) equal(isToken(text), false, text);
});

test('removeConnectionSpecific drops what one connection carries, and what Connection names', () => {
  const fields = [
    'connection',
    'X-Hop, close',
    'x-hop',
    '1',
    'keep-alive',
    '5',
    'te',
    'gzip',
    'te',
    'trailers',
    'upgrade',
    'a',
  ];
  deepEqual(removeConnectionSpecific([...fields, 'x-stay', '2', 'transfer-encoding', 'chunked', 'host', 'a']), [
    'te',
    'trailers',
    'x-stay',
    '2',
  ]);
});

test('removeField and the strip functions give back the same list when there is nothing to drop', () => {
  const fields = ['accept', 'a', 'x-request-id', 'b'];
  for (const strip of [removeConnectionSpecific, stripUntrusted, stripTrailers]) equal(strip(fields), fields);
  equal(removeField(fields, 'cookie'), fields);
  deepEqual(removeField(fields, 'accept'), ['x-request-id', 'b']);
});

const untrusted = [
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-forwarded-port',
  'x-forwarded-prefix',
  'x-forwarded-client-cert',
  'x-forwarded-user',
  'x-forwarded',
  'x_forwarded_for',
  'x-forwarded_for',
  'x_forwarded-for',
  'x_forwarded_client_cert',
  'forwarded',
  'forwarded-bin',
  'x-real-ip',
  'x_real_ip',
  'x-real_ip',
  'x-real-ip-bin',
  'x-envoy-external-address',
  'x-envoy-internal',
  'x_envoy_original_path',
  'x-envoy-',
  'x-skein-client-id',
  'x-skein-reason',
  'x-skein-deadline',
  'x_skein_client_id',
  'x-skein_client-id',
  'x-skein-client-id-bin',
  'x_skein_client_id-bin',
  'x-skein-client-id_bin',
  'x-skein-',
  'x-original-url',
  'x_original_url',
  'x-rewrite-url',
  'x_rewrite_url',
  'x-http-method-override',
  'x_http_method_override',
  'x-http_method-override',
  'via',
  'via-bin',
];

test('isUntrusted knows forty spellings', () => {
  equal(untrusted.length, 40);
  for (const name of untrusted) equal(isUntrusted(name), true, name);
});

test('isUntrusted lets others pass', () => {
  for (const name of [
    'x-request-id',
    'x-skeins',
    'x-forward',
    'from',
    'vary',
    'x-real-ipx',
    'xvia',
    'x',
    'traceparent',
    '_',
    '-bin',
  ]) {
    equal(isUntrusted(name), false, name);
  }
});

test('stripUntrusted leaves exactly what was not forged, duplicates included', () => {
  const forged = untrusted.flatMap((name) => [name, 'forged', 'accept', 'kept', name, 'forged again']);
  deepEqual(
    stripUntrusted(forged),
    untrusted.flatMap(() => ['accept', 'kept']),
  );
});

test('stripTrailers drops framing, routing and authentication', () => {
  deepEqual(stripTrailers(['content-length', '5', 'grpc-status', '0', 'host', 'a', 'cookie', 'b', 'te', 'trailers']), [
    'grpc-status',
    '0',
  ]);
});
