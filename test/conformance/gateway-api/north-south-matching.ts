/** Cases for gateways about which rule takes a request, with a Service as the parent. */
import { equal } from 'node:assert/strict';
import { callGrpc } from './grpc.ts';
import type { Case, GatewayMesh } from './harness.ts';
import { httpRoute, SHARED } from './north-south.ts';

const [V1, V2, V3] = ['infra-backend-v1', 'infra-backend-v2', 'infra-backend-v3'];
const GRPC = '/gateway_api_conformance.echo_basic.grpcecho.GrpcEcho';

/** backend of each call, or the gRPC status where nobody is asked */
async function checkCalls(
  mesh: GatewayMesh,
  t: Parameters<GatewayMesh['connect']>[0],
  calls: readonly (readonly [method: string, headers: Record<string, string>, wanted: string | number])[],
): Promise<void> {
  const session = mesh.connect(t, 'infra');
  for (const [method, headers, wanted] of calls) {
    const path = `${GRPC}/${method}`;
    const { grpcStatus, report } = await callGrpc(session, 'same-namespace', path, headers);
    equal(grpcStatus === 0 ? report?.backend : grpcStatus, wanted, `${method} ${JSON.stringify(headers)}`);
    if (report !== undefined) equal(`${report.method} ${report.host}${report.path}`, `POST same-namespace${path}`);
  }
}

export const NORTH_SOUTH_MATCHING: readonly Case[] = [
  {
    id: 'httproute-exact-path-matching',
    ...SHARED,
    manifests: httpRoute(
      'exact-matching',
      `
    - matches: [{ path: { type: Exact, value: /one } }]
      backendRefs: [{ name: ${V1}, port: 8080 }]
    - matches: [{ path: { type: Exact, value: /two } }]
      backendRefs: [{ name: ${V2}, port: 8080 }]`,
    ),
    rows: [
      { path: '/one', backend: V1 },
      { path: '/two', backend: V2 },
      { path: '/two?q=1', backend: V2 },
      ...['/', '/one/example', '/one/', '/two/', '/Two', '/%6fne'].map((path) => ({ path, status: 404 })),
    ],
  },
  {
    id: 'httproute-path-match-order',
    ...SHARED,
    manifests: httpRoute(
      'path-matching-order',
      `
    - matches: [{ path: { type: Exact, value: /match/exact/one } }]
      backendRefs: [{ name: ${V3}, port: 8080 }]
    - matches: [{ path: { type: Exact, value: /match/exact } }]
      backendRefs: [{ name: ${V2}, port: 8080 }]
    - matches: [{ path: { type: Exact, value: /match } }]
      backendRefs: [{ name: ${V1}, port: 8080 }]
    - matches: [{ path: { type: PathPrefix, value: /match/prefix/one } }]
      backendRefs: [{ name: ${V2}, port: 8080 }]
    - matches: [{ path: { type: PathPrefix, value: /match/prefix/ } }]
      backendRefs: [{ name: ${V1}, port: 8080 }]
    - matches: [{ path: { type: PathPrefix, value: /match/ } }]
      backendRefs: [{ name: ${V3}, port: 8080 }]`,
    ),
    rows: [
      { path: '/match/exact/one', backend: V3 },
      { path: '/match/exact', backend: V2 },
      { path: '/match', backend: V1 },
      { path: '/match/prefix/one/any', backend: V2 },
      { path: '/match/prefix/any', backend: V1 },
      { path: '/match/any', backend: V3 },
      { path: '/matches', status: 404 },
    ],
  },
  {
    id: 'httproute-matching-across-routes',
    ...SHARED,
    // The hosts are those of upstream. In a mesh they have no say (GEP-1294), so that all rules meet.
    manifests: [
      httpRoute(
        'matching-part1',
        `
    - matches:
        - path: { type: PathPrefix, value: / }
        - headers: [{ name: version, value: one }]
      backendRefs: [{ name: ${V1}, port: 8080 }]`,
        'hostnames: [example.com, example.net]',
      ),
      httpRoute(
        'matching-part2',
        `
    - matches:
        - path: { type: PathPrefix, value: /v2 }
        - headers: [{ name: version, value: two }]
      backendRefs: [{ name: ${V2}, port: 8080 }]`,
        'hostnames: [example.com]',
      ),
    ].join('---'),
    rows: [
      { path: '/', backend: V1 },
      { path: '/example', backend: V1 },
      { path: '/', headers: { version: 'one' }, backend: V1 },
      { path: '/v2example', backend: V1 },
      { path: '/foo/v2/example', backend: V1 },
      { path: '/v2', backend: V2 },
      { path: '/v2/', backend: V2 },
      { path: '/v2', headers: { version: 'one' }, backend: V2 },
      { path: '/', headers: { version: 'two' }, backend: V2 },
    ],
  },
  {
    id: 'httproute-header-matching',
    ...SHARED,
    manifests: httpRoute(
      'header-matching',
      `
    - matches: [{ headers: [{ name: version, value: one }] }]
      backendRefs: [{ name: ${V1}, port: 8080 }]
    - matches: [{ headers: [{ name: version, value: two }] }]
      backendRefs: [{ name: ${V2}, port: 8080 }]
    - matches: [{ headers: [{ name: version, value: two }, { name: color, value: orange }] }]
      backendRefs: [{ name: ${V1}, port: 8080 }]
    - matches: [{ headers: [{ name: color, value: blue }] }, { headers: [{ name: color, value: green }] }]
      backendRefs: [{ name: ${V1}, port: 8080 }]
    - matches: [{ headers: [{ name: color, value: red }] }, { headers: [{ name: color, value: yellow }] }]
      backendRefs: [{ name: ${V2}, port: 8080 }]`,
    ),
    rows: [
      { headers: { Version: 'one' }, backend: V1 },
      { headers: { Version: 'two' }, backend: V2 },
      { headers: { Version: 'two', Color: 'orange' }, backend: V1 },
      ...['blue', 'green'].map((Color) => ({ headers: { Color }, backend: V1 })),
      ...['red', 'yellow'].map((Color) => ({ headers: { Color }, backend: V2 })),
      { headers: { Color: 'orange' }, status: 404 },
      { headers: { Color: 'Blue' }, status: 404 },
      { headers: { 'some-other-header': 'one' }, status: 404 },
      { status: 404 },
    ],
  },
  {
    id: 'httproute-method-matching',
    ...SHARED,
    manifests: httpRoute(
      'method-matching',
      `
    - matches: [{ method: POST }]
      backendRefs: [{ name: ${V1}, port: 8080 }]
    - matches: [{ method: GET }]
      backendRefs: [{ name: ${V2}, port: 8080 }]
    - matches: [{ path: { type: PathPrefix, value: /path1 }, method: GET }]
      backendRefs: [{ name: ${V1}, port: 8080 }]
    - matches: [{ headers: [{ name: version, value: one }], method: PUT }]
      backendRefs: [{ name: ${V2}, port: 8080 }]
    - matches:
        - path: { type: PathPrefix, value: /path2 }
          headers: [{ name: version, value: two }]
          method: POST
      backendRefs: [{ name: ${V3}, port: 8080 }]
    - matches:
        - { path: { type: PathPrefix, value: /path3 }, method: PATCH }
        - { path: { type: PathPrefix, value: /path4 }, headers: [{ name: version, value: three }], method: DELETE }
      backendRefs: [{ name: ${V1}, port: 8080 }]
    - matches: [{ path: { type: PathPrefix, value: /path5 } }]
      backendRefs: [{ name: ${V1}, port: 8080 }]
    - matches: [{ method: PATCH }]
      backendRefs: [{ name: ${V2}, port: 8080 }]
    - matches: [{ headers: [{ name: version, value: four }] }]
      backendRefs: [{ name: ${V1}, port: 8080 }]`,
    ),
    rows: [
      { method: 'POST', path: '/', backend: V1 },
      { method: 'GET', path: '/', backend: V2 },
      { method: 'HEAD', path: '/', status: 404 },
      { method: 'GET', path: '/path1', backend: V1 },
      { method: 'PUT', path: '/', headers: { version: 'one' }, backend: V2 },
      { method: 'POST', path: '/path2', headers: { version: 'two' }, backend: V3 },
      { method: 'PATCH', path: '/path3', backend: V1 },
      { method: 'DELETE', path: '/path4', headers: { version: 'three' }, backend: V1 },
      { method: 'PUT', path: '/', status: 404 },
      { method: 'DELETE', path: '/path4', status: 404 },
      { method: 'PATCH', path: '/path5', backend: V1 },
      { method: 'PATCH', path: '/', headers: { version: 'four' }, backend: V2 },
      { method: 'GET', path: '/', headers: { version: 'four' }, backend: V2 },
      { method: 'PUT', path: '/', headers: { version: 'four' }, backend: V1 },
    ],
  },
  {
    id: 'grpcroute-exact-method-matching',
    ...SHARED,
    manifests: `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: { name: exact-matching }
spec:
  parentRefs: [{ group: "", kind: Service, name: same-namespace }]
  rules:
    - matches: [{ method: { service: gateway_api_conformance.echo_basic.grpcecho.GrpcEcho, method: Echo } }]
      backendRefs: [{ name: grpc-${V1}, port: 8080 }]
    - matches: [{ method: { service: gateway_api_conformance.echo_basic.grpcecho.GrpcEcho, method: EchoTwo } }]
      backendRefs: [{ name: grpc-${V2}, port: 8080 }]
`,
    check: (mesh, t) =>
      checkCalls(mesh, t, [
        ['Echo', {}, V1],
        ['EchoTwo', {}, V2],
        ['EchoThree', {}, 12],
        ['echo', {}, 12],
      ]),
  },
  {
    id: 'grpcroute-header-matching',
    ...SHARED,
    manifests: `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: { name: grpc-header-matching }
spec:
  parentRefs: [{ group: "", kind: Service, name: same-namespace }]
  rules:
    - matches: [{ headers: [{ name: version, value: one }] }]
      backendRefs: [{ name: grpc-${V1}, port: 8080 }]
    - matches: [{ headers: [{ name: version, value: two }] }]
      backendRefs: [{ name: grpc-${V2}, port: 8080 }]
    - matches: [{ headers: [{ name: version, value: two }, { name: color, value: orange }] }]
      backendRefs: [{ name: grpc-${V1}, port: 8080 }]
    - matches: [{ headers: [{ name: color, value: blue }] }, { headers: [{ name: color, value: green }] }]
      backendRefs: [{ name: grpc-${V1}, port: 8080 }]
`,
    check: (mesh, t) =>
      checkCalls(mesh, t, [
        ['Echo', { version: 'one' }, V1],
        ['Echo', { version: 'two' }, V2],
        ['Echo', { version: 'two', color: 'orange' }, V1],
        ['Echo', { color: 'blue' }, V1],
        ['Echo', { color: 'green' }, V1],
        ['Echo', { color: 'orange' }, 12],
        ['Echo', { 'some-other-header': 'one' }, 12],
        ['Echo', {}, 12],
      ]),
  },
];
