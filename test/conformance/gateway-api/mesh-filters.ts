/** Cases about filters: what a backend is asked, and where a client is sent. */
import type { Case, Row } from './harness.ts';

const MODIFIERS = `
- matches: [{ path: { type: PathPrefix, value: /set } }]
  filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: { set: [{ name: X-Header-Set, value: set-overwrites-values }] }
- matches: [{ path: { type: PathPrefix, value: /add } }]
  filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: { add: [{ name: X-Header-Add, value: add-appends-values }] }
- matches: [{ path: { type: PathPrefix, value: /remove } }]
  filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: { remove: [X-Header-Remove] }
- matches: [{ path: { type: PathPrefix, value: /multiple } }]
  filters:
    - type: RequestHeaderModifier
      requestHeaderModifier:
        set: [{ name: X-Header-Set-1, value: header-set-1 }, { name: X-Header-Set-2, value: header-set-2 }]
        add:
          - { name: X-Header-Add-1, value: header-add-1 }
          - { name: X-Header-Add-2, value: header-add-2 }
          - { name: X-Header-Add-3, value: header-add-3 }
        remove: [X-Header-Remove-1, X-Header-Remove-2]
- matches: [{ path: { type: PathPrefix, value: /case-insensitivity } }]
  filters:
    - type: RequestHeaderModifier
      requestHeaderModifier:
        set: [{ name: X-Header-Set, value: header-set }]
        add: [{ name: X-Header-Add, value: header-add }]
        remove: [X-Header-Remove]
`;

/** The rules of MODIFIERS, with the filters on the rule or on its backendRef. */
function rulesWith(place: 'rule' | 'backendRef'): string {
  return MODIFIERS.trim()
    .split(/^(?=- )/m)
    .flatMap((rule) => {
      const [matches = '', ...filters] = rule.trimEnd().split('\n');
      if (place === 'rule') return [matches, ...filters, '  backendRefs: [{ name: echo-v1, port: 8080 }]'];
      return [
        matches,
        '  backendRefs:',
        '    - name: echo-v1',
        '      port: 8080',
        ...filters.map((line) => `    ${line}`),
      ];
    })
    .map((line) => `    ${line}`)
    .join('\n');
}

const MODIFIED_ROWS: readonly Row[] = [
  {
    path: '/set',
    headers: { 'Some-Other-Header': 'val' },
    arrives: { headers: { 'X-Header-Set': 'set-overwrites-values' } },
  },
  {
    path: '/set',
    headers: { 'Some-Other-Header': 'val', 'X-Header-Set': 'some-other-value' },
    arrives: { headers: { 'X-Header-Set': 'set-overwrites-values' } },
  },
  {
    path: '/add',
    headers: { 'Some-Other-Header': 'val' },
    arrives: { headers: { 'X-Header-Add': 'add-appends-values' } },
  },
  {
    path: '/add',
    headers: { 'X-Header-Add': 'some-other-value' },
    arrives: { headers: { 'X-Header-Add': 'some-other-value,add-appends-values' } },
  },
  {
    path: '/remove',
    headers: { 'X-Header-Remove': 'val', Stays: 'yes' },
    arrives: { headers: { 'X-Header-Remove': null } },
  },
  {
    path: '/multiple',
    headers: {
      'X-Header-Set-2': 'set-val-2',
      'X-Header-Add-2': 'add-val-2',
      'X-Header-Remove-2': 'remove-val-2',
      'Another-Header': 'another-header-val',
    },
    arrives: {
      headers: {
        'X-Header-Set-1': 'header-set-1',
        'X-Header-Set-2': 'header-set-2',
        'X-Header-Add-1': 'header-add-1',
        'X-Header-Add-2': 'add-val-2,header-add-2',
        'X-Header-Add-3': 'header-add-3',
        'X-Header-Remove-1': null,
        'X-Header-Remove-2': null,
      },
    },
  },
  {
    path: '/case-insensitivity',
    headers: {
      'x-header-set': 'original-val-set',
      'x-header-add': 'original-val-add',
      'x-header-remove': 'original-val-remove',
      'Another-Header': 'another-header-val',
    },
    arrives: {
      headers: { 'X-Header-Set': 'header-set', 'X-Header-Add': 'original-val-add,header-add', 'X-Header-Remove': null },
    },
  },
];
const MODIFIED = MODIFIED_ROWS.map((row) => ({ ...row, backend: 'echo-v1' }));

/** A redirect to `location`, with `status`; nobody is asked. */
function redirected(path: string, location: string, status = 302): Row {
  return { path, status, answer: { location } };
}

/** One rule for each path, with one RequestRedirect. */
function redirects(
  name: string,
  rules: readonly (readonly [path: string, redirect: string])[],
  port = ', port: 80',
): string {
  return `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name} }
spec:
  parentRefs: [{ group: "", kind: Service, name: echo${port} }]
  rules:
${rules
  .map(
    ([path, redirect]) => `    - matches: [{ path: { type: PathPrefix, value: ${path} } }]
      filters: [{ type: RequestRedirect, requestRedirect: ${redirect} }]`,
  )
  .join('\n')}
`;
}

const ORG = 'hostname: example.org';

/** Tests 20 to 22 are one with three statuses. */
function statusCase(status: number): Case {
  return {
    id: `MeshHTTPRoute${status}Redirect`,
    to: 'echo',
    manifests: redirects(`mesh-${status}-redirect`, [[`/${status}`, `{ statusCode: ${status} }`]]),
    rows: [redirected(`/${status}/a%20b?q=1`, `http://echo/${status}/a%20b?q=1`, status)],
  };
}

export const FILTER_CASES: readonly Case[] = [
  {
    id: 'MeshHTTPRouteRequestHeaderModifier',
    to: 'echo',
    manifests: `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: mesh-request-header-modifier }
spec:
  parentRefs: [{ group: "", kind: Service, name: echo, port: 80 }]
  rules:
${rulesWith('rule')}
`,
    rows: MODIFIED,
  },
  {
    id: 'MeshHTTPRouteBackendRequestHeaderModifier',
    to: 'echo',
    manifests: `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: mesh-backend-request-header-modifier }
spec:
  parentRefs: [{ group: "", kind: Service, name: echo, port: 80 }]
  rules:
${rulesWith('backendRef')}
    - matches: [{ path: { type: PathPrefix, value: /both } }]
      backendRefs:
        - name: echo-v1
          port: 8080
          filters: [{ type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: x-for-v1, value: "1" }] } }]
        - name: echo-v2
          port: 8080
          filters: [{ type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: x-for-v2, value: "2" }] } }]
`,
    rows: [
      ...MODIFIED,
      // Of two backends that take turns each sees its own filters alone.
      { path: '/both', backend: 'echo-v1', arrives: { headers: { 'x-for-v1': '1', 'x-for-v2': null } } },
      { path: '/both', backend: 'echo-v2', arrives: { headers: { 'x-for-v1': null, 'x-for-v2': '2' } } },
    ],
  },
  {
    id: 'MeshHTTPRouteRewritePath',
    to: 'echo',
    manifests: `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: mesh-rewrite-path }
spec:
  parentRefs: [{ group: "", kind: Service, name: echo, port: 80 }]
  rules:
${[
  ['/prefix/one', 'type: ReplacePrefixMatch, replacePrefixMatch: /one', ''],
  ['/strip-prefix', 'type: ReplacePrefixMatch, replacePrefixMatch: /', ''],
  ['/full/one', 'type: ReplaceFullPath, replaceFullPath: /one', ''],
  ['/full/rewrite-path-and-modify-headers', 'type: ReplaceFullPath, replaceFullPath: /test', 'set-by-full'],
  ['/prefix/rewrite-path-and-modify-headers', 'type: ReplacePrefixMatch, replacePrefixMatch: /prefix', 'set-by-prefix'],
]
  .map(
    ([prefix, path, value]) => `    - matches: [{ path: { type: PathPrefix, value: ${prefix} } }]
      filters:
        - { type: URLRewrite, urlRewrite: { path: { ${path} } } }${
          value === ''
            ? ''
            : `
        - type: RequestHeaderModifier
          requestHeaderModifier:
            set: [{ name: X-Header-Set, value: ${value} }]
            add: [{ name: X-Header-Add, value: added }]
            remove: [X-Header-Remove]`
        }
      backendRefs: [{ name: echo-v1, port: 8080 }]`,
  )
  .join('\n')}
`,
    rows: [
      ...[
        ['/prefix/one/two', '/one/two'],
        ['/prefix/one', '/one'],
        ['/prefix/one?q=1', '/one?q=1'],
        ['/prefix/one/%41%2f%20b?q=%31', '/one/%41%2f%20b?q=%31'],
        ['/strip-prefix/three', '/three'],
        ['/strip-prefix', '/'],
        ['/strip-prefix/', '/'],
        ['/strip-prefix?q=1', '/?q=1'],
        ['/full/one/two', '/one'],
        ['/full/one/two?q=1', '/one?q=1'],
      ].map(([path = '', arrived = '']) => ({ path, backend: 'echo-v1', arrives: { path: arrived } })),
      ...[
        ['/full/rewrite-path-and-modify-headers/test', '/test', 'set-by-full'],
        ['/prefix/rewrite-path-and-modify-headers/one', '/prefix/one', 'set-by-prefix'],
      ].map(([path = '', arrived = '', value = '']) => ({
        path,
        headers: { 'X-Header-Remove': 'remove-val', 'X-Header-Add': 'add-val', 'X-Header-Set': 'set-val' },
        backend: 'echo-v1',
        arrives: {
          path: arrived,
          headers: { 'X-Header-Remove': null, 'X-Header-Add': 'add-val,added', 'X-Header-Set': value },
        },
      })),
    ],
  },
  {
    id: 'MeshHTTPRouteRedirectHostAndStatus',
    to: 'echo',
    manifests: `${redirects('mesh-redirect-host-and-status', [
      ['/hostname-redirect', `{ ${ORG} }`],
      ['/host-and-status', `{ ${ORG}, statusCode: 301 }`],
    ])}---${redirects('mesh-redirect-host-and-status-8080', [['/hostname-redirect', `{ ${ORG} }`]], ', port: 8080')}`,
    rows: [
      redirected('/hostname-redirect', 'http://example.org/hostname-redirect'),
      redirected('/hostname-redirect/a%20b?q=1', 'http://example.org/hostname-redirect/a%20b?q=1'),
      redirected('/host-and-status', 'http://example.org/host-and-status', 301),
      // No port of its own, no scheme: that of the service, which is told unless it is the one of the scheme.
      { ...redirected('/hostname-redirect', 'http://example.org:8080/hostname-redirect'), to: 'echo:8080' },
    ],
  },
  {
    id: 'MeshHTTPRouteRedirectPath',
    to: 'echo',
    manifests: redirects('mesh-redirect-path', [
      ['/original-prefix', '{ path: { type: ReplacePrefixMatch, replacePrefixMatch: /replacement-prefix } }'],
      ['/full', '{ path: { type: ReplaceFullPath, replaceFullPath: /full-path-replacement } }'],
      ['/path-and-host', `{ ${ORG}, path: { type: ReplacePrefixMatch, replacePrefixMatch: /replacement-prefix } }`],
      [
        '/path-and-status',
        '{ path: { type: ReplacePrefixMatch, replacePrefixMatch: /replacement-prefix }, statusCode: 301 }',
      ],
      ['/full-path-and-host', `{ ${ORG}, path: { type: ReplaceFullPath, replaceFullPath: /replacement-full } }`],
      [
        '/full-path-and-status',
        '{ path: { type: ReplaceFullPath, replaceFullPath: /replacement-full }, statusCode: 301 }',
      ],
    ]),
    rows: [
      redirected('/original-prefix/lemon', 'http://echo/replacement-prefix/lemon'),
      redirected('/original-prefix', 'http://echo/replacement-prefix'),
      redirected('/original-prefix/lemon?q=1', 'http://echo/replacement-prefix/lemon?q=1'),
      redirected('/full/path/original', 'http://echo/full-path-replacement'),
      redirected('/path-and-host/lemon', 'http://example.org/replacement-prefix/lemon'),
      redirected('/path-and-status/lemon', 'http://echo/replacement-prefix/lemon', 301),
      redirected('/full-path-and-host/lemon', 'http://example.org/replacement-full'),
      redirected('/full-path-and-status/lemon', 'http://echo/replacement-full', 301),
    ],
  },
  {
    id: 'MeshHTTPRouteRedirectPort',
    to: 'echo',
    manifests: redirects('mesh-redirect-port', [
      ['/port', '{ port: 8083 }'],
      ['/port-and-host', `{ port: 8083, ${ORG} }`],
      ['/port-and-status', '{ port: 8083, statusCode: 301 }'],
      ['/port-and-host-and-status', `{ port: 8083, statusCode: 302, ${ORG} }`],
    ]),
    rows: [
      redirected('/port', 'http://echo:8083/port'),
      redirected('/port-and-host', 'http://example.org:8083/port-and-host'),
      redirected('/port-and-status', 'http://echo:8083/port-and-status', 301),
      redirected('/port-and-host-and-status', 'http://example.org:8083/port-and-host-and-status'),
    ],
  },
  {
    id: 'MeshHTTPRouteSchemeRedirect',
    to: 'echo',
    manifests: redirects('mesh-redirect-scheme', [
      ['/scheme', '{ scheme: https }'],
      ['/scheme-and-host', `{ scheme: https, ${ORG} }`],
      ['/scheme-and-status', '{ scheme: https, statusCode: 301 }'],
      ['/scheme-and-host-and-status', `{ scheme: https, statusCode: 302, ${ORG} }`],
    ]),
    rows: [
      redirected('/scheme', 'https://echo/scheme'),
      redirected('/scheme-and-host', 'https://example.org/scheme-and-host'),
      redirected('/scheme-and-status', 'https://echo/scheme-and-status', 301),
      redirected('/scheme-and-host-and-status', 'https://example.org/scheme-and-host-and-status'),
    ],
  },
  ...[303, 307, 308].map(statusCase),
];
