/** Cases about shares of requests, and those of gRPC. */
import { deepEqual, equal } from 'node:assert/strict';
import { callGrpc } from './grpc.ts';
import type { Case } from './harness.ts';
import { checkGrpcShares, checkHttpShares } from './shares.ts';

const ECHO = '/gateway_api_conformance.echo_basic.grpcecho.GrpcEcho/Echo';

/** x-test-case, fields sent, fields that arrive (null: none). */
const GRPC_MODIFIERS: readonly [string, Record<string, string>, Record<string, string | null>][] = [
  ['set', { 'x-header-set': 'old' }, { 'x-header-set': 'set-overwrites-values' }],
  ['set', {}, { 'x-header-set': 'set-overwrites-values' }],
  ['add', { 'x-header-add': 'old' }, { 'x-header-add': 'old,add-appends-values' }],
  ['add', {}, { 'x-header-add': 'add-appends-values' }],
  ['remove', { 'x-header-remove': 'val', stays: 'yes' }, { 'x-header-remove': null, stays: 'yes' }],
  [
    'multiple',
    { 'x-header-set-1': 'old', 'x-header-add-1': 'old', 'x-header-remove-1': 'old', another: 'same' },
    {
      'x-header-set-1': 'header-set-1',
      'x-header-set-2': 'header-set-2',
      'x-header-add-1': 'old,header-add-1',
      'x-header-add-2': 'header-add-2',
      'x-header-remove-1': null,
      another: 'same',
    },
  ],
];

export const TRAFFIC_CASES: readonly Case[] = [
  {
    id: 'MeshHTTPRouteWeight',
    manifests: `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: mesh-weighted-backends }
spec:
  parentRefs: [{ group: "", kind: Service, name: echo }]
  rules:
    - backendRefs:
        - { name: echo-v1, port: 80, weight: 70 }
        - { name: echo-v2, port: 80, weight: 30 }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: mesh-weight-zero }
spec:
  parentRefs: [{ group: "", kind: Service, name: echo-v2, port: 80 }]
  rules:
    - backendRefs:
        - { name: echo-v1, port: 80, weight: 1 }
        - { name: echo-v2, port: 80, weight: 0 }
`,
    check: async (mesh, t) => {
      await checkHttpShares(mesh, t, { from: 'mesh', to: 'echo', wanted: { 'echo-v1': 70, 'echo-v2': 30 } });
      await checkHttpShares(mesh, t, { from: 'mesh', to: 'echo-v2', wanted: { 'echo-v1': 100 } });
    },
  },
  {
    id: 'MeshGRPCRouteWeight',
    manifests: `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: { name: mesh-grpc-weight }
spec:
  parentRefs: [{ group: "", kind: Service, name: echo, port: 7070 }]
  rules:
    - backendRefs:
        - { name: echo-v1, port: 7070, weight: 70 }
        - { name: echo-v2, port: 7070, weight: 30 }
        - { name: echo, port: 7070, weight: 0 }
`,
    check: (mesh, t) =>
      checkGrpcShares(mesh, t, { from: 'mesh', to: 'echo:7070', wanted: { 'echo-v1': 70, 'echo-v2': 30 } }),
  },
  {
    id: 'MeshGRPCRouteRequestHeaderModifier',
    manifests: `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: { name: mesh-grpc-request-header-modifier }
spec:
  parentRefs: [{ group: "", kind: Service, name: echo, port: 7070 }]
  rules:
    - matches: [{ headers: [{ name: x-test-case, value: set }] }]
      filters:
        - type: RequestHeaderModifier
          requestHeaderModifier: { set: [{ name: X-Header-Set, value: set-overwrites-values }] }
      backendRefs: [{ name: echo-v1, port: 7070 }]
    - matches: [{ headers: [{ name: x-test-case, value: add }] }]
      filters:
        - type: RequestHeaderModifier
          requestHeaderModifier: { add: [{ name: X-Header-Add, value: add-appends-values }] }
      backendRefs: [{ name: echo-v1, port: 7070 }]
    - matches: [{ headers: [{ name: x-test-case, value: remove }] }]
      filters:
        - type: RequestHeaderModifier
          requestHeaderModifier: { remove: [X-Header-Remove] }
      backendRefs: [{ name: echo-v1, port: 7070 }]
    - matches: [{ headers: [{ name: x-test-case, value: multiple }] }]
      filters:
        - type: RequestHeaderModifier
          requestHeaderModifier:
            set: [{ name: X-Header-Set-1, value: header-set-1 }, { name: X-Header-Set-2, value: header-set-2 }]
            add: [{ name: X-Header-Add-1, value: header-add-1 }, { name: X-Header-Add-2, value: header-add-2 }]
            remove: [X-Header-Remove-1]
      backendRefs: [{ name: echo-v1, port: 7070 }]
`,
    check: async (mesh, t) => {
      const session = mesh.connect(t);
      for (const [name, headers, wanted] of GRPC_MODIFIERS) {
        const call = { 'x-test-case': name, ...headers };
        const { grpcStatus, report } = await callGrpc(session, 'echo:7070', ECHO, call);
        equal(grpcStatus, 0);
        const { backend, method, path, host, headers: arrived = {} } = report ?? {};
        deepEqual(
          { backend, method, path, host },
          { backend: 'echo-v1', method: 'POST', path: ECHO, host: 'echo:7070' },
        );
        for (const [field, value] of Object.entries(wanted)) equal(arrived[field] ?? null, value, `${name}: ${field}`);
      }
      equal((await callGrpc(session, 'echo:7070', ECHO)).grpcStatus, 12, 'no rule takes it');
    },
  },
];
