/** DirectResponse and FaultInjection: what is accepted, and where the issues of the rest are. */
import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { parseManifest } from '../../../src/catalog/parse.ts';

const cases: readonly [kind: string, spec: unknown, paths: readonly string[]][] = [
  ['DirectResponse', { status: 200 }, []],
  [
    'DirectResponse',
    { status: 503, body: 'x', contentType: 'text/html', headers: [{ name: 'Retry-After', value: '9' }] },
    [],
  ],
  ['DirectResponse', undefined, ['spec']],
  ['DirectResponse', {}, ['spec.status']],
  ['DirectResponse', { status: 101 }, ['spec.status']],
  ['DirectResponse', { status: 200, body: 'x'.repeat(16_385) }, ['spec.body']],
  ['DirectResponse', { status: 200, contentType: 'a\r\nb: c' }, ['spec.contentType']],
  ['DirectResponse', { status: 200, headers: [{ name: 'x-skein-reason', value: 'x' }] }, ['spec.headers[0].name']],
  ['DirectResponse', { status: 200, file: '/etc/passwd' }, ['spec.file']],
  ['FaultInjection', { delay: { duration: '1s' } }, []],
  ['FaultInjection', { delay: { duration: '1s', percent: 0.1 }, abort: { status: 503, percent: 50 } }, []],
  ['FaultInjection', { abort: { grpcStatus: 14 } }, []],
  ['FaultInjection', {}, ['spec']],
  ['FaultInjection', { delay: { duration: 1 } }, ['spec.delay.duration']],
  ['FaultInjection', { abort: {} }, ['spec.abort']],
  ['FaultInjection', { abort: { status: 503, grpcStatus: 14 } }, ['spec.abort']],
  ['FaultInjection', { abort: { status: 200 } }, ['spec.abort.status']],
  ['FaultInjection', { abort: { status: 503, percent: 101 } }, ['spec.abort.percent']],
];
for (const [kind, spec, expected] of cases) {
  test(`${kind} ${JSON.stringify(spec)?.slice(0, 80)}`, () => {
    const parsed = parseManifest({ kind, metadata: { name: 'x' }, spec });
    deepEqual('value' in parsed ? [] : parsed.issues.map(({ path }) => path), expected);
  });
}
