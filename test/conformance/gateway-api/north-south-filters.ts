/** Cases for gateways about filters. */
import { equal } from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Case, GatewayMesh } from './harness.ts';
import { httpRoute, SHARED } from './north-south.ts';
import type { Report } from './origin.ts';

const [V1, V2, V3] = ['infra-backend-v1', 'infra-backend-v2', 'infra-backend-v3'];
const MIRRORED = 500;

const set = (field: string): string => `set=${encodeURIComponent(field)}`;

/** Waits for the copies of one request, each of which says the same as what the backend got. */
async function checkCopies(mesh: GatewayMesh, path: string, mirrors: readonly string[]): Promise<void> {
  const isIt = (report: Report): boolean => report.path === path;
  for (const name of mirrors) {
    const origin = mesh.origin(name);
    await origin.waitFor(1, isIt);
    const copies = origin.seen.filter(isIt);
    equal(copies.length, 1);
    equal(copies[0]?.host, 'same-namespace');
  }
}

/** 500 requests, of which each mirror gets its part within three standard deviations. Three tries of what is right fail once in 10^7. */
async function checkParts(
  mesh: GatewayMesh,
  t: TestContext,
  path: string,
  ratios: Readonly<Record<string, number>>,
  isRight: (copy: Report) => boolean = () => true,
): Promise<void> {
  for (let tries = 3; ; tries--) {
    const mine = `${path}?try=${tries}`;
    for (let sent = 0; sent < MIRRORED; sent += 10) {
      const answers = await Promise.all(Array.from({ length: 10 }, () => mesh.ask({ ...SHARED, path: mine })));
      for (const { status } of answers) equal(status, 200);
    }
    const isIt = (report: Report): boolean => report.path === mine;
    let isGood = true;
    for (const [name, ratio] of Object.entries(ratios)) {
      const origin = mesh.origin(name);
      const spread = 3 * Math.sqrt(MIRRORED * ratio * (1 - ratio));
      const least = Math.ceil(MIRRORED * ratio - spread);
      // What is behind the last copy on the same way has not overtaken it by much; too few shows as a timeout.
      await origin.waitFor(least, isIt);
      const copies = origin.seen.filter(isIt);
      t.diagnostic(`${path}: ${copies.length} of ${MIRRORED} to ${name}`);
      equal(copies.every(isRight), true);
      isGood &&= copies.length <= MIRRORED * ratio + spread;
    }
    if (isGood) return;
    equal(tries > 1, true, 'too many copies in each of three tries');
  }
}

export const NORTH_SOUTH_FILTERS: readonly Case[] = [
  {
    id: 'httproute-request-mirror',
    ...SHARED,
    manifests: httpRoute(
      'request-mirror',
      `
    - matches: [{ path: { type: PathPrefix, value: /mirror } }]
      filters: [{ type: RequestMirror, requestMirror: { backendRef: { name: ${V2}, port: 8080 } } }]
      backendRefs: [{ name: ${V1}, port: 8080 }]
    - matches: [{ path: { type: PathPrefix, value: /mirror-and-modify-headers } }]
      filters:
        - type: RequestHeaderModifier
          requestHeaderModifier:
            set: [{ name: X-Header-Set, value: set-overwrites-values }]
            add: [{ name: X-Header-Add, value: header-val-1 }]
            remove: [X-Header-Remove]
        - { type: RequestMirror, requestMirror: { backendRef: { name: ${V2}, port: 8080 } } }
      backendRefs: [{ name: ${V1}, port: 8080 }]
    - matches: [{ path: { type: PathPrefix, value: /to-nobody } }]
      filters: [{ type: RequestMirror, requestMirror: { backendRef: { name: nonexistent, port: 8080 } } }]
      backendRefs: [{ name: ${V1}, port: 8080 }]`,
    ),
    rows: [
      { path: '/mirror?n=1', backend: V1 },
      {
        path: '/mirror-and-modify-headers?n=1',
        headers: { 'X-Header-Set': 'old', 'X-Header-Add': 'old', 'X-Header-Remove': 'old' },
        backend: V1,
        arrives: {
          headers: {
            'X-Header-Set': 'set-overwrites-values',
            'X-Header-Add': 'old,header-val-1',
            'X-Header-Remove': null,
          },
        },
      },
      { path: '/to-nobody', backend: V1 },
    ],
    check: async (mesh) => {
      await checkCopies(mesh, '/mirror?n=1', [V2]);
      await checkCopies(mesh, '/mirror-and-modify-headers?n=1', [V2]);
      const copy = mesh.origin(V2).seen.find(({ path }) => path === '/mirror-and-modify-headers?n=1');
      equal(copy?.headers['x-header-set'], 'set-overwrites-values');
      equal(copy?.headers['x-header-remove'], undefined);
    },
  },
  {
    id: 'httproute-request-multiple-mirrors',
    ...SHARED,
    manifests: httpRoute(
      'request-multiple-mirrors',
      `
    - matches: [{ path: { type: PathPrefix, value: /multi-mirror } }]
      filters:
        - { type: RequestMirror, requestMirror: { backendRef: { name: ${V2}, port: 8080 } } }
        - { type: RequestMirror, requestMirror: { backendRef: { name: ${V3}, port: 8080 } } }
      backendRefs: [{ name: ${V1}, port: 8080 }]`,
    ),
    rows: [{ path: '/multi-mirror?n=2', backend: V1 }],
    check: (mesh) => checkCopies(mesh, '/multi-mirror?n=2', [V2, V3]),
  },
  {
    id: 'httproute-request-percentage-mirror',
    ...SHARED,
    manifests: httpRoute(
      'request-percentage-mirror',
      `
    - matches: [{ path: { type: PathPrefix, value: /percent-mirror } }]
      filters: [{ type: RequestMirror, requestMirror: { percent: 20, backendRef: { name: ${V2}, port: 8080 } } }]
      backendRefs: [{ name: ${V1}, port: 8080 }]
    - matches: [{ path: { type: PathPrefix, value: /percent-mirror-fraction } }]
      filters:
        - type: RequestMirror
          requestMirror: { fraction: { numerator: 1, denominator: 4 }, backendRef: { name: ${V2}, port: 8080 } }
        - type: RequestMirror
          requestMirror: { fraction: { numerator: 50 }, backendRef: { name: ${V3}, port: 8080 } }
      backendRefs: [{ name: ${V1}, port: 8080 }]
    - matches: [{ path: { type: PathPrefix, value: /percent-mirror-and-modify-headers } }]
      filters:
        - type: RequestHeaderModifier
          requestHeaderModifier: { set: [{ name: X-Header-Set, value: set-overwrites-values }] }
        - { type: RequestMirror, requestMirror: { percent: 35, backendRef: { name: ${V2}, port: 8080 } } }
      backendRefs: [{ name: ${V1}, port: 8080 }]`,
    ),
    check: async (mesh, t) => {
      await checkParts(mesh, t, '/percent-mirror', { [V2]: 0.2 });
      await checkParts(mesh, t, '/percent-mirror-fraction', { [V2]: 0.25, [V3]: 0.5 });
      await checkParts(mesh, t, '/percent-mirror-and-modify-headers', { [V2]: 0.35 }, ({ headers }) => {
        return headers['x-header-set'] === 'set-overwrites-values';
      });
    },
  },
  {
    id: 'httproute-response-header-modifier',
    ...SHARED,
    manifests: httpRoute(
      'response-header-modifier',
      `
    - matches: [{ path: { type: PathPrefix, value: /set } }]
      filters:
        - type: ResponseHeaderModifier
          responseHeaderModifier: { set: [{ name: X-Header-Set, value: set-overwrites-values }] }
      backendRefs: [{ name: ${V1}, port: 8080 }]
    - matches: [{ path: { type: PathPrefix, value: /add } }]
      filters:
        - type: ResponseHeaderModifier
          responseHeaderModifier: { add: [{ name: X-Header-Add, value: add-appends-values }] }
      backendRefs: [{ name: ${V1}, port: 8080 }]
    - matches: [{ path: { type: PathPrefix, value: /remove } }]
      filters: [{ type: ResponseHeaderModifier, responseHeaderModifier: { remove: [X-Header-Remove] } }]
      backendRefs: [{ name: ${V1}, port: 8080 }]
    - matches: [{ path: { type: PathPrefix, value: /multiple } }]
      filters:
        - type: ResponseHeaderModifier
          responseHeaderModifier:
            set: [{ name: X-Header-Set-1, value: header-set-1 }, { name: X-Header-Set-2, value: header-set-2 }]
            add: [{ name: X-Header-Add-1, value: header-add-1 }, { name: X-Header-Add-2, value: header-add-2 }]
            remove: [X-Header-Remove-1, X-Header-Remove-2]
      backendRefs: [{ name: ${V1}, port: 8080 }]`,
    ),
    rows: [
      { path: '/set', backend: V1, answer: { 'x-header-set': 'set-overwrites-values' } },
      { path: `/set?${set('x-header-set:old')}`, backend: V1, answer: { 'x-header-set': 'set-overwrites-values' } },
      { path: '/add', backend: V1, answer: { 'x-header-add': 'add-appends-values' } },
      { path: `/add?${set('x-header-add:old')}`, backend: V1, answer: { 'x-header-add': 'old,add-appends-values' } },
      {
        path: `/remove?${set('x-header-remove:old')}&${set('stays:yes')}`,
        backend: V1,
        answer: { 'x-header-remove': null, stays: 'yes' },
      },
      {
        path: `/multiple?${['X-Header-Set-2:old', 'X-Header-Add-2:old', 'X-Header-Remove-2:old', 'Another:same'].map(set).join('&')}`,
        backend: V1,
        answer: {
          'x-header-set-1': 'header-set-1',
          'x-header-set-2': 'header-set-2',
          'x-header-add-1': 'header-add-1',
          'x-header-add-2': 'old,header-add-2',
          'x-header-remove-2': null,
          another: 'same',
        },
      },
    ],
  },
  {
    id: 'httproute-rewrite-host',
    ...SHARED,
    manifests: httpRoute(
      'rewrite-host',
      `
    - matches: [{ path: { type: PathPrefix, value: /one } }]
      filters: [{ type: URLRewrite, urlRewrite: { hostname: one.example.org } }]
      backendRefs: [{ name: ${V1}, port: 8080 }]
    - matches: [{ path: { type: PathPrefix, value: /two } }]
      backendRefs: [{ name: ${V2}, port: 8080 }]
    - matches: [{ path: { type: PathPrefix, value: /rewrite-host-and-modify-headers } }]
      filters:
        - { type: URLRewrite, urlRewrite: { hostname: test.example.org } }
        - type: RequestHeaderModifier
          requestHeaderModifier:
            set: [{ name: X-Header-Set, value: set-overwrites-values }]
            add: [{ name: X-Header-Add, value: header-val-1 }]
            remove: [X-Header-Remove]
      backendRefs: [{ name: ${V2}, port: 8080 }]`,
    ),
    rows: [
      { path: '/one?q=1', backend: V1, arrives: { host: 'one.example.org' } },
      { path: '/two', backend: V2 },
      {
        path: '/rewrite-host-and-modify-headers',
        headers: { 'X-Header-Remove': 'val', 'X-Header-Add': 'val', 'X-Header-Set': 'val' },
        backend: V2,
        arrives: {
          host: 'test.example.org',
          headers: {
            'X-Header-Remove': null,
            'X-Header-Add': 'val,header-val-1',
            'X-Header-Set': 'set-overwrites-values',
          },
        },
      },
    ],
  },
  {
    id: 'httproute-backend-url-rewrite',
    ...SHARED,
    manifests: httpRoute(
      'backend-url-rewrite',
      `
    - matches: [{ path: { type: PathPrefix, value: /full } }]
      backendRefs:
        - name: ${V1}
          port: 8080
          filters:
            - type: URLRewrite
              urlRewrite: { hostname: one.example.org, path: { type: ReplaceFullPath, replaceFullPath: /one } }
    - matches: [{ path: { type: PathPrefix, value: /prefix } }]
      backendRefs:
        - name: ${V1}
          port: 8080
          filters:
            - { type: URLRewrite, urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: /v1 } } }
        - name: ${V2}
          port: 8080
          filters:
            - { type: URLRewrite, urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: /v2 } } }`,
    ),
    rows: [
      { path: '/full/path?q=1', backend: V1, arrives: { host: 'one.example.org', path: '/one?q=1' } },
      { path: '/prefix/a', backend: V1, arrives: { path: '/v1/a' } },
      { path: '/prefix/a', backend: V2, arrives: { path: '/v2/a' } },
    ],
  },
  {
    id: 'httproute-backend-request-redirect',
    ...SHARED,
    manifests: httpRoute(
      'backend-request-redirect',
      `
    - matches: [{ path: { type: PathPrefix, value: /hostname-redirect } }]
      backendRefs:
        - name: ${V1}
          port: 8080
          filters: [{ type: RequestRedirect, requestRedirect: { hostname: example.org } }]
    - matches: [{ path: { type: PathPrefix, value: /host-and-status } }]
      backendRefs:
        - name: ${V1}
          port: 8080
          filters: [{ type: RequestRedirect, requestRedirect: { hostname: example.org, statusCode: 301 } }]`,
    ),
    rows: [
      {
        path: '/hostname-redirect?q=1',
        status: 302,
        answer: { location: 'http://example.org/hostname-redirect?q=1' },
      },
      { path: '/host-and-status', status: 301, answer: { location: 'http://example.org/host-and-status' } },
    ],
  },
  {
    id: 'httproute-cors',
    ...SHARED,
    manifests: httpRoute(
      'cors',
      `
    - matches: [{ path: { type: PathPrefix, value: /cors-1 } }]
      filters:
        - type: CORS
          cors:
            allowOrigins: ["https://www.foo.com", "https://*.bar.com"]
            allowMethods: [GET, OPTIONS]
            allowHeaders: [x-header-1, x-header-2]
            exposeHeaders: [x-header-3, x-header-4]
            allowCredentials: true
            maxAge: 3600
      backendRefs: [{ name: ${V1}, port: 8080 }]
    - matches: [{ path: { type: PathPrefix, value: /cors-wildcard } }]
      filters: [{ type: CORS, cors: { allowOrigins: ["*"], allowMethods: ["*"], allowHeaders: ["*"] } }]
      backendRefs: [{ name: ${V1}, port: 8080 }]
    - matches: [{ path: { type: PathPrefix, value: /cors-credentials-wildcard } }]
      filters:
        - type: CORS
          cors: { allowOrigins: ["*"], allowMethods: ["*"], allowHeaders: ["*"], allowCredentials: true }
      backendRefs: [{ name: ${V1}, port: 8080 }]`,
    ),
    rows: [
      ...['https://www.foo.com', 'https://a.b.bar.com', 'https://www.foo.com:443'].map((origin) => ({
        method: 'OPTIONS',
        path: '/cors-1',
        headers: {
          Origin: origin,
          'Access-Control-Request-Method': 'GET',
          'Access-Control-Request-Headers': 'x-header-1, x-header-2',
        },
        status: [200, 204],
        answer: {
          'access-control-allow-origin': origin,
          'access-control-allow-methods': 'GET, HEAD, POST, OPTIONS',
          'access-control-allow-headers': 'x-header-1, x-header-2',
          'access-control-allow-credentials': 'true',
          'access-control-max-age': '3600',
        },
      })),
      ...['https://bar.com', 'https://foobar.com', 'http://www.foo.com', 'https://www.foo.com:8443', 'null'].map(
        (origin) => ({
          method: 'OPTIONS',
          path: '/cors-1',
          headers: { Origin: origin, 'Access-Control-Request-Method': 'GET' },
          status: [200, 204, 403],
          answer: {
            'access-control-allow-origin': null,
            'access-control-allow-methods': null,
            'access-control-allow-headers': null,
            'access-control-allow-credentials': null,
          },
        }),
      ),
      {
        path: '/cors-1',
        headers: { Origin: 'https://www.foo.com' },
        backend: V1,
        answer: {
          'access-control-allow-origin': 'https://www.foo.com',
          'access-control-allow-credentials': 'true',
          'access-control-expose-headers': 'x-header-3, x-header-4',
        },
      },
      {
        path: '/cors-1',
        headers: { Origin: 'https://evil.example' },
        backend: V1,
        answer: { 'access-control-allow-origin': null, 'access-control-allow-credentials': null },
      },
      // What is no preflight goes to the service.
      { method: 'OPTIONS', path: '/cors-1', backend: V1, answer: { 'access-control-allow-origin': null } },
      {
        method: 'OPTIONS',
        path: '/cors-wildcard',
        headers: { Origin: 'https://x.example', 'Access-Control-Request-Method': 'PUT' },
        status: [200, 204],
        answer: {
          'access-control-allow-origin': '*',
          'access-control-allow-methods': '*',
          'access-control-allow-headers': '*',
          'access-control-allow-credentials': null,
          'access-control-max-age': '5',
        },
      },
      {
        method: 'OPTIONS',
        path: '/cors-credentials-wildcard',
        headers: {
          Origin: 'https://x.example',
          'Access-Control-Request-Method': 'PUT',
          'Access-Control-Request-Headers': 'x-header-1, x-header-2',
        },
        status: [200, 204],
        answer: {
          'access-control-allow-origin': 'https://x.example',
          'access-control-allow-methods': 'PUT',
          'access-control-allow-headers': 'x-header-1, x-header-2',
          'access-control-allow-credentials': 'true',
        },
      },
      {
        method: 'OPTIONS',
        path: '/cors-credentials-wildcard',
        headers: { Origin: 'https://x.example', 'Access-Control-Request-Method': 'PUT' },
        status: [200, 204],
        answer: { 'access-control-allow-methods': 'PUT', 'access-control-allow-headers': null },
      },
    ],
  },
];
