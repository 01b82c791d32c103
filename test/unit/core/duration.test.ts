/** Durations against the table of GEP-2257. */
import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatDuration, tryParseDuration } from '../../../src/core/duration.ts';

const valid: readonly [text: string, canonical: string][] = [
  ['0h', '0s'],
  ['0s', '0s'],
  ['0h0m0s', '0s'],
  ['1h', '1h'],
  ['30m', '30m'],
  ['10s', '10s'],
  ['500ms', '500ms'],
  ['2h30m', '2h30m'],
  ['150m', '2h30m'],
  ['7230s', '2h30s'],
  ['1h30m10s', '1h30m10s'],
  ['10s30m1h', '1h30m10s'],
  ['100ms200ms300ms', '600ms'],
];
for (const [text, canonical] of valid) {
  test(`${text} is ${canonical}`, () => equal(formatDuration(tryParseDuration(text) ?? -1), canonical));
}

for (const text of ['', '1', '1m1', '1h30m10s20ms50h', '999999h', '1.5h', '-15m', '1d', ' 1s', '1s ', '1S', '1us']) {
  test(`"${text}" is no duration`, () => equal(tryParseDuration(text), undefined));
}

test('what formatDuration writes means the same', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 99_999 * 3_600_000 }), (ms) => {
      equal(tryParseDuration(formatDuration(ms)), ms);
    }),
  );
});
