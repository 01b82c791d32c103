/** Cases for gateways about backends: shares, those that are no backends, and what they speak. */
import { deepEqual } from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { echo, openWebSocket } from '../../support/load.ts';
import { type Case, type ClientName, CONSUMER, type GatewayMesh, INFRA, MESH } from './harness.ts';
import { httpRoute, SHARED } from './north-south.ts';
import { checkGrpcShares, checkHttpShares } from './shares.ts';

const [V1, V2, V3] = ['infra-backend-v1', 'infra-backend-v2', 'infra-backend-v3'];
const INVALID = { status: 500, answer: { 'x-skein-reason': 'route-invalid' } };

const ACCEPTED = 'Accepted True Accepted';
const RESOLVED = 'ResolvedRefs True ResolvedRefs';

function tcpRoute(name: string, backendRefs: string, parent = 'port: 9090'): string {
  return `
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: { name: ${name} }
spec:
  parentRefs: [{ group: "", kind: Service, name: same-namespace, ${parent} }]
  rules:
    - backendRefs: ${backendRefs}
`;
}

/** Who greets on each of `count` connections; `none` where it ends without a word. */
async function greet(mesh: GatewayMesh, port: number, count: number): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const { hostname, port: local } = new URL(`tcp://${mesh.localAddress('infra', `same-namespace:${port}`)}`);
  for (let i = 0; i < count; i++) {
    const socket = connectTcp(Number(local), hostname);
    socket.on('error', () => undefined);
    const who = await new Promise<string>((resolve) => {
      socket.once('data', (chunk) => resolve(String(chunk).trim()));
      socket.once('close', () => resolve('none'));
    });
    socket.destroy();
    counts[who] = (counts[who] ?? 0) + 1;
  }
  return counts;
}

/** What an HTTP client of the suite gets, in 10 requests. */
async function statuses(
  mesh: GatewayMesh,
  from: ClientName,
  to: string,
  count: number,
): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (let i = 0; i < count; i++) {
    const { status } = await mesh.ask({ from, to });
    counts[status] = (counts[status] ?? 0) + 1;
  }
  return counts;
}

export const NORTH_SOUTH_BACKENDS: readonly Case[] = [
  {
    id: 'httproute-omitted-backendrefs',
    ...SHARED,
    manifests: httpRoute(
      'omitted-backendrefs',
      `
    - matches: [{ path: { type: PathPrefix, value: /omitted } }]
    - matches: [{ path: { type: PathPrefix, value: /empty } }]
      backendRefs: []`,
    ),
    rows: [
      { path: '/omitted', ...INVALID },
      { path: '/empty', ...INVALID },
    ],
  },
  {
    id: 'httproute-invalid-nonexistent-backendref',
    ...SHARED,
    manifests: httpRoute(
      'invalid-nonexistent-backend-ref',
      `
    - backendRefs: [{ name: nonexistent, port: 8080 }]`,
    ),
    status: { 'HTTPRoute/invalid-nonexistent-backend-ref': [ACCEPTED, 'ResolvedRefs False BackendNotFound'] },
    rows: [{ path: '/', ...INVALID }],
  },
  {
    id: 'httproute-invalid-backendref-unknown-kind',
    ...SHARED,
    manifests: httpRoute(
      'invalid-backend-ref-unknown-kind',
      `
    - backendRefs: [{ group: unknownkind.example.com, kind: NonExistent, name: ${V1}, port: 8080 }]`,
    ),
    status: { 'HTTPRoute/invalid-backend-ref-unknown-kind': [ACCEPTED, 'ResolvedRefs False InvalidKind'] },
    rows: [{ path: '/', ...INVALID }],
  },
  {
    id: 'httproute-weight',
    manifests: httpRoute(
      'weighted-backends',
      `
    - backendRefs:
        - { name: ${V1}, port: 8080, weight: 50 }
        - { name: ${V2}, port: 8080, weight: 30 }
        - { name: nonexistent, port: 8080, weight: 20 }
        - { name: ${V3}, port: 8080, weight: 0 }`,
    ),
    ...SHARED,
    check: (mesh, t) => checkHttpShares(mesh, t, { ...SHARED, wanted: { [V1]: 50, [V2]: 30, 500: 20 } }),
  },
  {
    id: 'grpcroute-weight',
    ...SHARED,
    manifests: `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: { name: weighted-backends }
spec:
  parentRefs: [{ group: "", kind: Service, name: same-namespace }]
  rules:
    - backendRefs:
        - { name: grpc-${V1}, port: 8080, weight: 70 }
        - { name: grpc-${V2}, port: 8080, weight: 30 }
        - { name: grpc-${V3}, port: 8080, weight: 0 }
`,
    check: (mesh, t) => checkGrpcShares(mesh, t, { ...SHARED, wanted: { [V1]: 70, [V2]: 30 } }),
  },
  {
    id: 'httproute-backend-protocol-h2c',
    ...SHARED,
    manifests: httpRoute(
      'backend-protocol-h2c',
      `
    - backendRefs: [{ name: grpc-${V1}, port: 8080 }]`,
    ),
    rows: [{ path: '/backend-protocol-h2c?q=1', backend: V1, protocol: 'h2c' }],
  },
  {
    id: 'httproute-backend-protocol-websocket',
    ...SHARED,
    manifests: httpRoute(
      'backend-protocol-ws',
      `
    - backendRefs: [{ name: ${V1}, port: 8080 }]`,
    ),
    check: async (mesh, t) => {
      const socket = await openWebSocket({ through: mesh.client('infra').sidecar.proxy, host: 'same-namespace' });
      t.after(() => socket.terminate());
      await echo(socket, Buffer.from([0, 1, 2, 255]));
      const answered = once(socket, 'message');
      socket.send('Hello WebSocket!');
      const [data, isBinary] = await answered;
      deepEqual([String(data), isBinary], ['Hello WebSocket!', false]);
    },
  },
  {
    id: 'tcproute-weighted-routing',
    ...SHARED,
    manifests: tcpRoute(
      'tcp-weighted-route',
      `[{ name: tcp-${V1}, port: 8080, weight: 70 }, { name: tcp-${V2}, port: 8080, weight: 30 }, { name: tcp-${V3}, port: 8080, weight: 0 }]`,
    ),
    check: async (mesh) => deepEqual(await greet(mesh, 9090, 100), { [V1]: 70, [V2]: 30 }),
  },
  {
    id: 'tcproute-invalid-backendref',
    ...SHARED,
    manifests: `${tcpRoute('invalid-tcp-route', `[{ name: nonexistent, port: 8080 }]`)}---${tcpRoute(
      'partly-invalid-tcp-route',
      `[{ name: tcp-${V1}, port: 8080, weight: 1 }, { name: nonexistent, port: 8080, weight: 1 }]`,
      'port: 9091',
    )}`,
    check: async (mesh) => {
      deepEqual(await greet(mesh, 9090, 4), { none: 4 });
      deepEqual(await greet(mesh, 9091, 10), { [V1]: 5, none: 5 });
    },
  },
  {
    id: 'httproute-reference-grant',
    ...SHARED,
    // An Export says what a ReferenceGrant would.
    manifests: `
apiVersion: skein.dev/v1
kind: Export
metadata: { name: reference-grant, namespace: ${CONSUMER} }
spec:
  from: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: ${INFRA} }]
  to: [{ group: "", kind: Service, name: web-backend }]
---${httpRoute(
      'reference-grant',
      `
    - matches: [{ path: { type: PathPrefix, value: /granted } }]
      backendRefs: [{ name: web-backend, namespace: ${CONSUMER}, port: 8080 }]
    - matches: [{ path: { type: PathPrefix, value: /other } }]
      backendRefs: [{ name: kept-backend, namespace: ${CONSUMER}, port: 8080 }]`,
    )}`,
    status: { 'HTTPRoute/reference-grant': [ACCEPTED, 'ResolvedRefs False RefNotPermitted'] },
    rows: [
      { path: '/granted', backend: 'web-backend' },
      { path: '/other', ...INVALID },
    ],
  },
  {
    id: 'kuma#17979 cross-namespace reference',
    to: 'echo',
    manifests: `
apiVersion: skein.dev/v1
kind: Export
metadata: { name: for-another-kind, namespace: ${CONSUMER} }
spec: { from: [{ kind: GRPCRoute, namespace: ${MESH} }, { namespace: ${INFRA} }], to: [{ name: web-backend }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: cross-namespace }
spec:
  parentRefs: [{ group: "", kind: Service, name: echo }]
  rules:
    - backendRefs:
        - { name: web-backend, namespace: ${CONSUMER}, port: 8080, weight: 1 }
        - { name: echo-v1, port: 8080, weight: 3 }
`,
    // What is not granted fails with its share; the rest stays as it is.
    check: async (mesh) => deepEqual(await statuses(mesh, 'mesh', 'echo', 40), { 200: 30, 500: 10 }),
  },
  {
    id: 'kuma#17979 parent status',
    ...SHARED,
    manifests: `
kind: GRPCRoute
metadata: { name: wins }
spec:
  parentRefs: [{ group: "", kind: Service, name: same-namespace, port: 80 }]
  rules: [{ backendRefs: [{ name: grpc-${V1}, port: 8080 }] }]
---
kind: HTTPRoute
metadata: { name: loses }
spec:
  parentRefs: [{ group: "", kind: Service, name: same-namespace }]
  rules: [{ backendRefs: [{ name: ${V1}, port: 8080 }] }]
---
kind: HTTPRoute
metadata: { name: nowhere }
spec:
  parentRefs:
    - { group: "", kind: Service, name: same-namespace, port: 9999 }
    - { group: "", kind: Service, name: nonexistent, port: 80 }
    - { name: a-gateway }
  rules: [{ backendRefs: [{ name: nonexistent, port: 8080 }] }]
`,
    // Of a parent that is no Service somebody else tells.
    status: {
      'GRPCRoute/wins': [ACCEPTED, RESOLVED],
      'HTTPRoute/loses': ['Accepted False Conflicted', RESOLVED],
      'HTTPRoute/nowhere': [
        ...['Accepted False NoMatchingParent', 'ResolvedRefs False BackendNotFound'],
        ...['Accepted False NoMatchingParent', 'ResolvedRefs False BackendNotFound'],
      ],
    },
    rows: [{ path: '/', status: 404, answer: { 'x-skein-reason': 'no-route' } }],
  },
  {
    id: 'kuma#17979 unresolvable backendRef share',
    ...SHARED,
    manifests: httpRoute(
      'unresolvable-share',
      `
    - backendRefs: [{ name: ${V1}, port: 8080, weight: 9 }, { name: nonexistent, port: 8080, weight: 1 }]`,
    ),
    check: async (mesh) => deepEqual(await statuses(mesh, SHARED.from, SHARED.to, 100), { 200: 90, 500: 10 }),
  },
];
