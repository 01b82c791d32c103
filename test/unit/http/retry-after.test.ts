/** Retry-After: seconds, an IMF-fixdate, and nothing that merely looks like one. */
import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import { parseRetryAfter } from '../../../src/http/retry-after.ts';

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);

const cases: readonly [value: string, waitMs: number | undefined][] = [
  ['0', 0],
  ['120', 120_000],
  ['Fri, 02 Jan 2026 03:04:15 GMT', 10_000],
  ['Fri, 02 Jan 2026 03:04:00 GMT', 0],
  ['', undefined],
  ['-1', undefined],
  ['1.5', undefined],
  ['12345678901', undefined],
  ['soon', undefined],
  ['2026', 2_026_000],
  ['2026-01-02T03:04:15Z', undefined],
  ['Friday, 02-Jan-26 03:04:15 GMT', undefined],
  ['Fri, 99 Jan 2026 03:04:15 GMT', undefined],
];
for (const [value, waitMs] of cases) {
  test(`Retry-After "${value}" → ${waitMs}`, () => equal(parseRetryAfter(value, NOW), waitMs));
}
