/** Cases about which rule takes a request. */
import { type Case, MESH } from './harness.ts';

const ONE = { version: 'one' };
const TWO = { version: 'two' };

export const MATCHING_CASES: readonly Case[] = [
  {
    id: 'MeshHTTPRouteMatching',
    to: 'echo',
    manifests: `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: mesh-matching }
spec:
  parentRefs: [{ group: "", kind: Service, name: echo, port: 80 }]
  rules:
    - matches:
        - path: { type: PathPrefix, value: / }
        - headers: [{ name: version, value: one }]
      backendRefs: [{ name: echo-v1, port: 8080 }]
    - matches:
        - path: { type: PathPrefix, value: /v2 }
        - headers: [{ name: version, value: two }]
      backendRefs: [{ name: echo-v2, port: 8080 }]
`,
    rows: [
      ...['/', '/example', '/v2example', '/foo/v2/example'].map((path) => ({ path, backend: 'echo-v1' })),
      { path: '/', headers: ONE, backend: 'echo-v1' },
      ...['/v2', '/v2/', '/v2/example'].map((path) => ({ path, backend: 'echo-v2' })),
      { path: '/', headers: TWO, backend: 'echo-v2' },
      { path: '/v2', headers: ONE, backend: 'echo-v2' },
    ],
  },
  {
    id: 'MeshHTTPRouteQueryParamMatching',
    to: 'echo',
    manifests: `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: mesh-query-param-matching }
spec:
  parentRefs: [{ group: "", kind: Service, name: echo }]
  rules:
    - matches: [{ queryParams: [{ name: animal, value: whale }] }]
      backendRefs: [{ name: echo-v1, port: 8080 }]
    - matches: [{ queryParams: [{ name: animal, value: dolphin }] }]
      backendRefs: [{ name: echo-v2, port: 8080 }]
    - matches:
        - path: { type: PathPrefix, value: /path1 }
          queryParams: [{ name: animal, value: whale }]
      backendRefs: [{ name: echo-v1, port: 8080 }]
    - matches:
        - headers: [{ name: version, value: one }]
          queryParams: [{ name: animal, value: whale }]
      backendRefs: [{ name: echo-v2, port: 8080 }]
    - matches:
        - path: { type: PathPrefix, value: /path3 }
          queryParams: [{ name: animal, value: shark }]
        - path: { type: PathPrefix, value: /path4 }
          headers: [{ name: version, value: three }]
          queryParams: [{ name: animal, value: kraken }]
      backendRefs: [{ name: echo-v1, port: 8080 }]
    - matches: [{ path: { type: PathPrefix, value: /path5 } }]
      backendRefs: [{ name: echo-v1, port: 8080 }]
    - matches: [{ queryParams: [{ name: animal, value: hydra }] }]
      backendRefs: [{ name: echo-v2, port: 8080 }]
`,
    rows: [
      { path: '/?animal=whale', backend: 'echo-v1' },
      { path: '/?animal=whale&otherparam=irrelevant', backend: 'echo-v1' },
      { path: '/?animal=dolphin', backend: 'echo-v2' },
      { path: '/?animal=dolphin&color=blue', backend: 'echo-v2' },
      ...['/?color=blue', '/?animal=dog', '/?animal=whaledolphin', '/'].map((path) => ({ path, status: 404 })),
      { path: '/path1?animal=whale', backend: 'echo-v1' },
      { path: '/?animal=whale', headers: ONE, backend: 'echo-v2' },
      { path: '/path3?animal=shark', backend: 'echo-v1' },
      { path: '/path4?animal=kraken', headers: { version: 'three' }, backend: 'echo-v1' },
      { path: '/?animal=shark', status: 404 },
      { path: '/path4?animal=kraken', status: 404 },
      { path: '/path5?animal=hydra', backend: 'echo-v1' },
      { path: '/?animal=hydra', backend: 'echo-v2' },
      // Names are compared as they are, the first value counts, and escapes are read.
      { path: '/?Animal=whale', status: 404 },
      { path: '/?animal=dog&animal=whale', status: 404 },
      { path: '/?animal=whale&animal=dog', backend: 'echo-v1' },
      { path: '/?animal=%77hale', backend: 'echo-v1' },
    ],
  },
  {
    id: 'MeshHTTPRouteNamedRule',
    to: 'echo',
    manifests: `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: mesh-named-rule }
spec:
  parentRefs: [{ group: "", kind: Service, name: echo, port: 80 }]
  rules:
    - name: named-rule
      matches: [{ path: { type: PathPrefix, value: /named } }]
      backendRefs: [{ name: echo-v1, port: 8080 }]
    - matches: [{ path: { type: PathPrefix, value: /unnamed } }]
      backendRefs: [{ name: echo-v2, port: 8080 }]
`,
    rows: [
      { path: '/named', backend: 'echo-v1', rule: `HTTPRoute/${MESH}/mesh-named-rule named-rule` },
      { path: '/unnamed', backend: 'echo-v2', rule: `HTTPRoute/${MESH}/mesh-named-rule rules[1]` },
    ],
  },
];
