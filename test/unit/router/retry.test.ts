/** The retry rule as a table: only what certainly was not seen, or what may be done twice; only what can be sent again; never a verdict. */
import { equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { ERROR_CODES, type ErrorCode, SkeinError } from '../../../src/core/errors.ts';
import { classifyError, classifyGrpc, classifyHead, classifyStatus } from '../../../src/router/classify.ts';
import {
  type AttemptFacts,
  chooseBackoffMs,
  judgeError,
  judgeStatus,
  mayRepeat,
  type RetryPolicy,
  toLastError,
} from '../../../src/router/retry.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';

const DEFAULT: RetryPolicy = { retries: 2, codes: new Set(), backoffMs: 0, isAsked: false };
const ASKED: RetryPolicy = { ...DEFAULT, codes: new Set([500, 503]), isAsked: true };
const GET: AttemptFacts = { attempts: 1, isIdempotent: true, isReplayable: true, hasAnswered: false };
const POST: AttemptFacts = { ...GET, isIdempotent: false };

function error(code: ErrorCode, notProcessed?: boolean): SkeinError {
  return new SkeinError(code, 'Cannot test: as planned', notProcessed === undefined ? {} : { notProcessed });
}

const cases: readonly [what: string, error: SkeinError, facts: AttemptFacts, byDefault: string, asked: string][] = [
  ['a GET refused by the peer', error('SKEIN_REFUSED'), GET, 'free', 'free'],
  ['a POST refused by the peer', error('SKEIN_REFUSED'), POST, 'free', 'free'],
  ['a POST to a draining peer', error('SKEIN_DRAINING'), POST, 'free', 'free'],
  ['a POST to an application that is down', error('SKEIN_APP_UNREACHABLE'), POST, 'free', 'free'],
  ['a POST to a peer that cannot be reached', error('SKEIN_PEER_UNREACHABLE'), POST, 'free', 'free'],
  ['a POST to a service the peer has stopped to serve', error('SKEIN_NO_SUCH_SERVICE'), POST, 'free', 'free'],
  ['a GET whose session was lost', error('SKEIN_SESSION_LOST'), GET, 'budgeted', 'budgeted'],
  ['a POST whose session was lost', error('SKEIN_SESSION_LOST'), POST, 'no', 'no'],
  ['a POST whose session was lost before it', error('SKEIN_SESSION_LOST', true), POST, 'free', 'free'],
  ['a GET that was reset', error('SKEIN_STREAM_RESET'), GET, 'budgeted', 'budgeted'],
  ['a POST that was reset', error('SKEIN_STREAM_RESET'), POST, 'no', 'no'],
  ['a GET that took too long', error('SKEIN_DEADLINE'), GET, 'no', 'budgeted'],
  ['a POST that took too long', error('SKEIN_DEADLINE'), POST, 'no', 'no'],
  ['a GET answered with nonsense', error('SKEIN_APP_PROTOCOL'), GET, 'no', 'budgeted'],
  ['a body that is gone', error('SKEIN_REFUSED'), { ...POST, isReplayable: false }, 'no', 'no'],
  ['an answer that has begun', error('SKEIN_STREAM_RESET'), { ...GET, hasAnswered: true }, 'no', 'no'],
  ['the last attempt', error('SKEIN_REFUSED'), { ...GET, attempts: 3 }, 'no', 'no'],
  ['the last but one', error('SKEIN_REFUSED'), { ...GET, attempts: 2 }, 'free', 'free'],
  ['a denial', error('SKEIN_DENIED'), GET, 'no', 'no'],
  ['a bad request', error('SKEIN_BAD_REQUEST'), GET, 'no', 'no'],
  ['a misdirected request', error('SKEIN_MISDIRECTED'), GET, 'no', 'no'],
  ['a caller that gave up', error('SKEIN_CANCELLED', true), GET, 'no', 'no'],
];
for (const [what, failed, facts, byDefault, asked] of cases) {
  test(`${what}: ${byDefault}, and ${asked} where a route asks`, () => {
    equal(judgeError(DEFAULT, failed, facts), byDefault);
    equal(judgeError(ASKED, failed, facts), asked);
  });
}

test('a POST that may have been seen is not sent again, whatever the code or the status', () => {
  for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
    for (const policy of [DEFAULT, ASKED]) equal(judgeError(policy, error(code, false), POST), 'no', code);
  }
  for (let status = 400; status < 600; status++) {
    equal(judgeStatus({ ...ASKED, codes: new Set([status]) }, status, POST), 'no');
  }
});

test('an answer counts as a failure by the codes that the route names', () => {
  equal(judgeStatus(ASKED, 503, GET), 'budgeted');
  equal(judgeStatus(ASKED, 502, GET), 'no');
  equal(judgeStatus(DEFAULT, 503, GET), 'no');
  equal(judgeStatus(ASKED, 503, { ...GET, attempts: 3 }), 'no');
  equal(judgeStatus(ASKED, 503, { ...GET, isReplayable: false }), 'no');
});

test('the same endpoint is asked again only when its session broke or is being replaced', () => {
  for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
    equal(mayRepeat(error(code)), ['SKEIN_SESSION_LOST', 'SKEIN_DRAINING'].includes(code), code);
  }
});

test('broken connections that a route wanted repeated end as 503, other failures as what they are', () => {
  equal(toLastError(ASKED, error('SKEIN_STREAM_RESET'), 3).status, 503);
  equal(toLastError(ASKED, error('SKEIN_STREAM_RESET'), 3).code, 'SKEIN_STREAM_RESET');
  equal(toLastError(ASKED, error('SKEIN_STREAM_RESET'), 1).status, 502, 'there was no other attempt');
  equal(toLastError(DEFAULT, error('SKEIN_STREAM_RESET'), 3).status, 502);
  equal(toLastError(ASKED, error('SKEIN_DEADLINE'), 3).status, 504);
});

test('the wait before another attempt is never less than the route says, and grows by chance above it to a cap', () => {
  const random = new SeededRandom(1);
  for (const backoffMs of [0, 100]) {
    for (let attempts = 1; attempts < 40; attempts++) {
      const most = Math.min(250, 25 * 2 ** (attempts - 1));
      const waits = Array.from(
        { length: 200 },
        () => chooseBackoffMs({ ...ASKED, backoffMs }, attempts, random) - backoffMs,
      );
      ok(Math.min(...waits) >= 0 && Math.max(...waits) <= most, `after ${attempts}`);
      ok(Math.max(...waits) > most * 0.8 && Math.min(...waits) < most * 0.2, `spread after ${attempts}`);
    }
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

const codes: readonly [code: string | undefined, outcome: string][] = [
  ['0', 'success'],
  ['1', 'success'],
  ['2', 'failure'],
  ['4', 'success'],
  ['5', 'success'],
  ['7', 'success'],
  ['8', 'busy'],
  ['12', 'success'],
  ['13', 'failure'],
  ['14', 'broken'],
  ['15', 'failure'],
  ['16', 'success'],
  [undefined, 'failure'],
];
test('codes of gRPC are whose fault, at the end of a call or in an answer of trailers only', () => {
  for (const [code, outcome] of codes) {
    const end = code === undefined ? [] : ['grpc-status', code];
    equal(classifyGrpc(end), outcome, code);
    const head = { status: 200, fields: ['content-type', 'application/grpc', ...end], upgrade: undefined };
    equal(classifyHead(head), code === undefined ? undefined : outcome, code);
  }
  equal(
    classifyHead({ status: 200, fields: ['content-type', 'text/plain', 'grpc-status', '14'], upgrade: undefined }),
    'success',
  );
});

test('a denial or a cancellation says nothing about the endpoint', () => {
  equal(classifyError(error('SKEIN_DENIED')), 'neutral');
  equal(classifyError(error('SKEIN_CANCELLED')), 'neutral');
  equal(classifyError(error('SKEIN_STREAM_RESET')), 'broken');
});
