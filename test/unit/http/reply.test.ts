/** Answers made by the mesh: status, reason and remedy for HTTP, trailers-only for gRPC. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { decodeUtf8 } from '../../../src/core/bytes.ts';
import { ERROR_CODES, isErrorCode, SkeinError } from '../../../src/core/errors.ts';
import { isFieldName, isFieldValue } from '../../../src/http/fields.ts';
import { getField } from '../../../src/http/head.ts';
import { isGrpc, makeReply } from '../../../src/http/reply.ts';
import { requestHead } from '../../support/http.ts';

const GRPC = requestHead({ method: 'POST', fields: ['content-type', 'application/grpc+proto'] });

test('makeReply has an answer with a remedy for every code', () => {
  for (const code of Object.keys(ERROR_CODES)) {
    ok(isErrorCode(code));
    const { head, body } = makeReply(new SkeinError(code, 'Cannot do it: broken'), requestHead());
    equal(head.status, ERROR_CODES[code].status);
    equal(getField(head.fields, 'x-skein-reason'), ERROR_CODES[code].reason);
    equal(getField(head.fields, 'content-length'), String(body.length));
    match(decodeUtf8(body), /^Cannot do it: broken\n.{10,}\.\n$/);
  }
});

test('makeReply keeps the status of the error', () => {
  equal(
    makeReply(new SkeinError('SKEIN_BAD_REQUEST', 'Cannot read: long', { status: 431 }), requestHead()).head.status,
    431,
  );
});

test('makeReply says whether the application may have seen the request, as the error knows', () => {
  for (const notProcessed of [true, false]) {
    for (const request of [requestHead(), GRPC]) {
      const { head } = makeReply(
        new SkeinError('SKEIN_SESSION_LOST', 'Cannot answer: lost', { notProcessed }),
        request,
      );
      equal(getField(head.fields, 'x-skein-processed'), notProcessed ? 'no' : 'maybe');
    }
  }
});

test('makeReply gives no body to HEAD', () => {
  const { head, body } = makeReply(new SkeinError('SKEIN_DENIED', 'Cannot call: no'), requestHead({ method: 'HEAD' }));
  equal(body.length, 0);
  ok(Number(getField(head.fields, 'content-length')) > 0);
});

test('makeReply answers gRPC with trailers only', () => {
  const { head, body } = makeReply(new SkeinError('SKEIN_DENIED', 'Cannot call: 100 % nein, \u00fc\r\n'), GRPC);
  equal(head.status, 200);
  equal(body.length, 0);
  deepEqual(head.fields, [
    'content-type',
    'application/grpc',
    'grpc-status',
    '7',
    'grpc-message',
    'Cannot call: 100 %25 nein, %C3%BC%0D%0A',
    'x-skein-reason',
    'authz',
    'x-skein-processed',
    'no',
  ]);
});

test('makeReply never makes a field that could not be sent', () => {
  for (const request of [requestHead(), GRPC]) {
    const { head } = makeReply(new SkeinError('SKEIN_INTERNAL', '\0\r\n\u{1f600}'), request);
    for (let i = 0; i < head.fields.length; i += 2)
      ok(isFieldName(head.fields[i]!) && isFieldValue(head.fields[i + 1]!));
  }
});

test('isGrpc knows gRPC from gRPC-Web', () => {
  const types: readonly [string, boolean][] = [
    ['application/grpc', true],
    ['application/grpc+json', true],
    ['application/grpc; charset=utf-8', true],
    ['application/grpc-web', false],
    ['application/grpc-web+proto', false],
    ['application/json', false],
  ];
  for (const [type, expected] of types) equal(isGrpc(requestHead({ fields: ['content-type', type] })), expected, type);
});
