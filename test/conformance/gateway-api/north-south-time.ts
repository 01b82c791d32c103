/** Cases for gateways about timeouts and retries. */
import type { Case, Row } from './harness.ts';
import { httpRoute, SHARED } from './north-south.ts';

const V1 = 'infra-backend-v1';

function timeoutCase(id: string, timeout: string): Case {
  return {
    id,
    ...SHARED,
    manifests: httpRoute(
      id.slice('httproute-'.length),
      `
    - matches: [{ path: { type: PathPrefix, value: /limited } }]
      backendRefs: [{ name: ${V1}, port: 8080 }]
      timeouts: { ${timeout}: 500ms }
    - matches: [{ path: { type: PathPrefix, value: /disabled } }]
      backendRefs: [{ name: ${V1}, port: 8080 }]
      timeouts: { ${timeout}: 0s }`,
    ),
    rows: [
      { path: '/limited', backend: V1, isTimed: true },
      { path: '/limited?delay=1000', status: 504, answer: { 'x-skein-reason': 'deadline' } },
      { path: '/disabled?delay=1000', backend: V1 },
    ],
  };
}

/** The first `fail` attempts end with `code`; then 200. */
function failing(path: string, fail: number, code: number | 'reset', expected: Partial<Row>): Row {
  return { path: `${path}?fail=${fail}&code=${code}&key=KEY`, ...expected };
}

export const NORTH_SOUTH_TIME: readonly Case[] = [
  timeoutCase('httproute-timeout-request', 'request'),
  timeoutCase('httproute-timeout-backend-request', 'backendRequest'),
  {
    id: 'httproute-retry',
    ...SHARED,
    manifests: httpRoute(
      'retry',
      `
    - matches: [{ path: { type: PathPrefix, value: /only-500 } }]
      backendRefs: [{ name: ${V1}, port: 8080 }]
      retry: { attempts: 3, codes: [500] }
    - matches: [{ path: { type: PathPrefix, value: /all } }]
      backendRefs: [{ name: ${V1}, port: 8080 }]
      retry: { attempts: 2, codes: [500, 502, 503, 504] }`,
    ),
    rows: [
      failing('/only-500', 2, 500, { backend: V1, attempts: 3 }),
      failing('/only-500', 4, 500, { status: 500, attempts: 4 }),
      failing('/only-500', 1, 503, { status: 503, attempts: 1 }),
      ...[500, 502, 503, 504].flatMap((code) => [
        failing('/all', 1, code, { backend: V1, attempts: 2 }),
        failing('/all', 3, code, { status: code, attempts: 3 }),
      ]),
    ],
  },
  {
    id: 'httproute-retry-connection-error',
    ...SHARED,
    manifests: httpRoute(
      'retry-connection-error',
      `
    - backendRefs: [{ name: ${V1}, port: 8080 }]
      retry: { attempts: 3 }`,
    ),
    rows: [
      // On a connection that was kept the first reset looks like its end: the other sidecar asks again by itself.
      failing('/', 2, 'reset', { backend: V1 }),
      failing('/', 99, 'reset', { status: [500, 503], attempts: 4 }),
    ],
  },
  {
    id: 'httproute-retry-with-timeouts',
    ...SHARED,
    manifests: httpRoute(
      'retry-with-timeouts',
      `
    - matches: [{ path: { type: PathPrefix, value: /backend-timeout } }]
      backendRefs: [{ name: ${V1}, port: 8080 }]
      timeouts: { backendRequest: 200ms }
      retry: { attempts: 2 }
    - matches: [{ path: { type: PathPrefix, value: /request-timeout } }]
      backendRefs: [{ name: ${V1}, port: 8080 }]
      timeouts: { request: 400ms }
      retry: { attempts: 5, codes: [500] }`,
    ),
    rows: [
      { path: '/backend-timeout?fail=2&slow=300&key=KEY', backend: V1, attempts: 3, isTimed: true },
      { path: '/backend-timeout?fail=3&slow=300&key=KEY', status: 504, attempts: 3, isTimed: true },
      { path: '/request-timeout?fail=1&code=500&key=KEY', backend: V1, attempts: 2, isTimed: true },
      { path: '/request-timeout?fail=4&code=500&slow=100&key=KEY', status: 504 },
    ],
  },
];
