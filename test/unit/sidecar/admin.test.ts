/** The admin port of a sidecar when something fails: who asks is told what concerns it, and nothing else. */
import { deepEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { SkeinError } from '../../../src/core/errors.ts';
import { Redacted } from '../../../src/core/redacted.ts';
import { hostPlatform } from '../../../src/runtime/bun/platform.ts';
import { createAdminApp } from '../../../src/sidecar/admin.ts';
import { Metrics } from '../../../src/telemetry/prometheus.ts';
import { EventLog } from '../../support/event-log.ts';

const nothing = (): object => ({});

async function explainWith(thrown: unknown): Promise<{ answer: unknown; log: EventLog }> {
  const log = new EventLog();
  const token = new Redacted('t0ken');
  const app = createAdminApp({
    ...{ token, crypto: hostPlatform().crypto },
    ...{ log, metrics: new Metrics(), isReady: () => true, status: nothing, paths: nothing, backends: nothing },
    explain: () => Promise.reject(thrown),
    issueToken: async () => nothing(),
    verifyToken: async () => nothing(),
    policies: () => ({}),
    audit: async () => ({ entries: [] }),
    permissive: () => undefined,
  });
  const request = new Request('http://localhost/v1/explain', {
    method: 'POST',
    headers: { host: 'localhost', authorization: 'Bearer t0ken', 'content-type': 'application/json' },
    body: '{}',
  });
  const response = await app.fetch(request);
  return { answer: [response.status, await response.json()], log };
}

test('What is wrong with a question is told, with its code', async () => {
  const { answer } = await explainWith(new SkeinError('SKEIN_BAD_REQUEST', 'Cannot explain: no method'));
  deepEqual(answer, [400, { code: 'SKEIN_BAD_REQUEST', message: 'Cannot explain: no method' }]);
});

test('What is wrong inside is told to the log, and not to who asks', async () => {
  const { answer, log } = await explainWith(new TypeError('Cannot read properties of /home/mesh/secret'));
  deepEqual(answer, [500, { code: 'SKEIN_INTERNAL', message: 'Cannot answer: internal error' }]);
  const [line] = log.of('admin-request-failed');
  deepEqual([line?.level, line?.fields.path], ['error', '/v1/explain']);
  ok(String(line?.fields.error).includes('Cannot read properties'));
});
