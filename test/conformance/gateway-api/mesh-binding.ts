/** Cases about which routes hold for a request: by service, by port, by the caller's namespace, and never by Host. */
import { equal } from 'node:assert/strict';
import { ask } from '../../support/load.ts';
import { type Case, MESH } from './harness.ts';

const FRONTEND = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: mesh-frontend }
spec:
  parentRefs: [{ group: "", kind: Service, name: echo-v2 }]
  rules:
    - filters:
        - type: ResponseHeaderModifier
          responseHeaderModifier: { set: [{ name: x-header-set, value: set }] }
      backendRefs: [{ name: echo-v2, port: 8080 }]
`;

export const BINDING_CASES: readonly Case[] = [
  { id: 'MeshBasic', rows: [{ to: 'echo', backend: 'echo-v[12]' }] },
  {
    id: 'MeshTrafficSplit',
    to: 'echo',
    manifests: `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: mesh-split }
spec:
  parentRefs: [{ group: "", kind: Service, name: echo }]
  rules:
    - matches: [{ path: { type: Exact, value: /v1 } }]
      backendRefs: [{ name: echo-v1, port: 80 }]
    - matches: [{ path: { type: Exact, value: /v2 } }]
      backendRefs: [{ name: echo-v2, port: 80 }]
`,
    rows: [
      { path: '/v1', backend: 'echo-v1' },
      { path: '/v2', backend: 'echo-v2' },
      { path: '/v1/', status: 404 },
      { path: '/', status: 404 },
    ],
  },
  {
    id: 'MeshFrontend',
    manifests: FRONTEND,
    rows: [{ to: 'echo-v2', backend: 'echo-v2', answer: { 'x-header-set': 'set' } }],
    // What goes to an instance by its own address is no business of the routes.
    check: async (mesh) => {
      const { status, headers } = await ask({
        through: mesh.origin('echo-v2').http,
        host: 'echo-v2',
        form: 'host',
      });
      equal(status, 200);
      equal(headers['x-header-set'], undefined);
    },
  },
  {
    id: 'MeshFrontendHostname',
    manifests: FRONTEND,
    rows: [
      { to: 'echo-v2', host: 'echo-v1', backend: 'echo-v2', answer: { 'x-header-set': 'set' } },
      { to: 'echo-v1', host: 'echo-v2', backend: 'echo-v1', answer: { 'x-header-set': null } },
    ],
  },
  {
    id: 'MeshPorts',
    manifests: `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: mesh-ports }
spec:
  parentRefs: [{ group: "", kind: Service, name: echo-v1, port: 80 }]
  rules:
    - filters:
        - type: ResponseHeaderModifier
          responseHeaderModifier: { set: [{ name: x-header-set, value: v1 }] }
      backendRefs: [{ name: echo-v1, port: 80 }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: mesh-ports-v2 }
spec:
  parentRefs: [{ group: "", kind: Service, name: echo-v2 }]
  rules:
    - filters:
        - type: ResponseHeaderModifier
          responseHeaderModifier: { set: [{ name: x-header-set, value: v2 }] }
      backendRefs: [{ name: echo-v2, port: 80 }]
`,
    rows: [
      { to: 'echo-v1:80', backend: 'echo-v1', answer: { 'x-header-set': 'v1' } },
      { to: 'echo-v1:8080', backend: 'echo-v1', answer: { 'x-header-set': null } },
      { to: 'echo-v2:80', backend: 'echo-v2', answer: { 'x-header-set': 'v2' } },
      { to: 'echo-v2:8080', backend: 'echo-v2', answer: { 'x-header-set': 'v2' } },
    ],
  },
  {
    id: 'MeshConsumerRoute',
    from: 'consumer',
    to: `echo-v1.${MESH}.mesh`,
    manifests: `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: echo-v1 }
spec:
  parentRefs: [{ group: "", kind: Service, name: echo-v1, namespace: ${MESH} }]
  rules:
    - filters:
        - type: ResponseHeaderModifier
          responseHeaderModifier: { set: [{ name: x-header-set, value: set }] }
      backendRefs: [{ name: echo-v1, namespace: ${MESH}, port: 80 }]
`,
    rows: [
      { backend: 'echo-v1', answer: { 'x-header-set': 'set' } },
      { from: 'mesh', backend: 'echo-v1', answer: { 'x-header-set': null } },
    ],
  },
  {
    id: 'MeshHTTPRouteSimpleSameNamespace',
    to: 'echo',
    manifests: `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: mesh-simple-same-namespace }
spec:
  parentRefs: [{ group: "", kind: Service, name: echo, port: 80 }]
  rules:
    - backendRefs: [{ name: echo-v1, port: 8080 }]
`,
    rows: Array.from({ length: 10 }, (_, i) => ({ path: `/${i}?n=${i}`, backend: 'echo-v1' })),
  },
];
