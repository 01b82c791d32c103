/** The retry rule as a table: only what certainly was not seen, only what can be sent again, never a verdict. */
import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import { ERROR_CODES, type ErrorCode, SkeinError } from '../../../src/core/errors.ts';
import { classifyError, classifyStatus } from '../../../src/router/classify.ts';
import { type AttemptFacts, mayRepeat, mayRetry } from '../../../src/router/retry.ts';

function facts(code: ErrorCode, change: Partial<AttemptFacts> & { notProcessed?: boolean } = {}): AttemptFacts {
  const { notProcessed, ...rest } = change;
  const error = new SkeinError(code, 'Cannot test: as planned', notProcessed === undefined ? {} : { notProcessed });
  return { error, attempts: 1, maxAttempts: 3, isReplayable: true, hasAnswered: false, ...rest };
}

const cases: readonly [what: string, facts: AttemptFacts, expected: boolean][] = [
  ['refused by the peer', facts('SKEIN_REFUSED'), true],
  ['a draining peer', facts('SKEIN_DRAINING'), true],
  ['an application that is down', facts('SKEIN_APP_UNREACHABLE'), true],
  ['a peer that cannot be reached', facts('SKEIN_PEER_UNREACHABLE'), true],
  ['a service the peer has stopped to serve', facts('SKEIN_NO_SUCH_SERVICE'), true],
  ['a session lost after the request was sent', facts('SKEIN_SESSION_LOST'), false],
  ['a session lost before', facts('SKEIN_SESSION_LOST', { notProcessed: true }), true],
  ['a reset that says nothing', facts('SKEIN_STREAM_RESET'), false],
  ['a reset by a peer that did not take it', facts('SKEIN_STREAM_RESET', { notProcessed: true }), true],
  ['a body that is gone', facts('SKEIN_REFUSED', { isReplayable: false }), false],
  ['an answer that has begun', facts('SKEIN_REFUSED', { hasAnswered: true }), false],
  ['the last attempt', facts('SKEIN_REFUSED', { attempts: 3 }), false],
  ['the last but one', facts('SKEIN_REFUSED', { attempts: 2 }), true],
  ['a denial', facts('SKEIN_DENIED'), false],
  ['a bad request', facts('SKEIN_BAD_REQUEST'), false],
  ['a misdirected request', facts('SKEIN_MISDIRECTED'), false],
  ['a caller that gave up', facts('SKEIN_CANCELLED', { notProcessed: true }), false],
];
for (const [what, given, expected] of cases)
  test(`${what}: ${expected ? 'again' : 'no more'}`, () => equal(mayRetry(given), expected));

test('nothing that may have been seen is sent again, whatever the code', () => {
  for (const code of Object.keys(ERROR_CODES) as ErrorCode[])
    equal(mayRetry(facts(code, { notProcessed: false })), false, code);
});

test('the same endpoint is asked again only when its session broke or is being replaced', () => {
  for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
    equal(mayRepeat(facts(code).error), ['SKEIN_SESSION_LOST', 'SKEIN_DRAINING'].includes(code), code);
  }
});

const statuses: readonly [status: number, outcome: string][] = [
  [200, 'success'],
  [101, 'success'],
  [304, 'success'],
  [404, 'success'],
  [429, 'busy'],
  [501, 'success'],
  [500, 'failure'],
  [502, 'broken'],
  [503, 'broken'],
  [504, 'broken'],
];
test('statuses are whose fault', () => {
  for (const [status, outcome] of statuses) equal(classifyStatus(status), outcome, String(status));
});

test('a denial or a cancellation says nothing about the endpoint', () => {
  equal(classifyError(facts('SKEIN_DENIED').error), 'neutral');
  equal(classifyError(facts('SKEIN_CANCELLED').error), 'neutral');
  equal(classifyError(facts('SKEIN_STREAM_RESET').error), 'broken');
});
