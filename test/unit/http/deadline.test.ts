/** Deadlines in header fields: the grammar of gRPC, our own field as members and as applications read it, and what is handed on. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import {
  formatGrpcTimeout,
  NO_DEADLINE,
  parseGrpcTimeout,
  readDeadline,
  readGrpcTimeout,
  toDeadlineField,
  withTimeLeft,
} from '../../../src/http/deadline.ts';
import { requestHead } from '../../support/http.ts';

const timeouts: readonly [text: string, ms: number | undefined][] = [
  ['1H', 3_600_000],
  ['2M', 120_000],
  ['3S', 3_000],
  ['100m', 100],
  ['1500u', 1.5],
  ['2000000n', 2],
  ['0m', 0],
  ['99999999H', 99_999_999 * 3_600_000],
  ['100000000m', undefined],
  ['1s', undefined],
  ['-1S', undefined],
  ['1.5S', undefined],
  ['S', undefined],
  ['1', undefined],
  ['', undefined],
];
for (const [text, ms] of timeouts) {
  test(`grpc-timeout "${text}" is ${ms} ms`, () => equal(parseGrpcTimeout(text), ms));
}

test('a timeout of gRPC is written in at most eight digits, and never longer than it is', () => {
  for (const ms of [0, 0.25, 1.5, 999.999, 100_000.5, 99_999_999, 100_000_001, 5e12]) {
    const text = formatGrpcTimeout(ms);
    const back = parseGrpcTimeout(text);
    ok(back !== undefined && back <= ms, `${ms}: ${text}`);
    if (ms <= 99_999_999_000) ok(ms - back <= Math.max(0.001, ms / 10_000), `${ms}: ${text}`);
  }
});

test('a timeout counts only where the request is one of gRPC', () => {
  const fields = ['content-type', 'application/grpc+proto', 'grpc-timeout', '2S'];
  equal(readGrpcTimeout(requestHead({ fields })), 2_000);
  equal(readGrpcTimeout(requestHead({ fields: ['content-type', 'text/plain', 'grpc-timeout', '2S'] })), undefined);
  equal(readGrpcTimeout(requestHead()), undefined);
});

const NOW_MS = 1_700_000_000_000;
const deadlines: readonly [value: string, leftMs: number | typeof NO_DEADLINE][] = [
  ['250ms', 250],
  ['1m30s', 90_000],
  ['0s', 0],
  [String(NOW_MS + 1_200), 1_200],
  [String(NOW_MS - 1), 0],
  ['250', NO_DEADLINE],
  ['soon', NO_DEADLINE],
  ['-5s', NO_DEADLINE],
  ['1.5s', NO_DEADLINE],
  ['', NO_DEADLINE],
];
for (const [value, leftMs] of deadlines) {
  test(`x-skein-deadline "${value}" leaves ${leftMs}`, () =>
    equal(readDeadline(['x-skein-deadline', value], NOW_MS), leftMs));
}

test('what is left is handed on in both fields, and read back', () => {
  const fields = ['content-type', 'application/grpc', 'grpc-timeout', '10S', 'x-skein-deadline', '10s', 'a', 'b'];
  const head = withTimeLeft(requestHead({ fields }), 1_234.5);
  deepEqual(head.fields, [
    ...['content-type', 'application/grpc', 'grpc-timeout', '1234500u', 'a', 'b'],
    ...['x-skein-deadline', '1s235ms'],
  ]);
  equal(readDeadline(head.fields, NOW_MS), 1_235);
  equal(readDeadline(toDeadlineField(1_235, NOW_MS), NOW_MS + 235), 1_000, 'an application that took its time');
});
