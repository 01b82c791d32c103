/** parseManifest: a policy is taken whole or refused whole, with every issue and where it is. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { STARTER_POLICY } from '../../../src/catalog/authorization-policy.ts';
import { parseManifest } from '../../../src/catalog/parse.ts';

const base = (spec: unknown, metadata: unknown = { name: 'p', namespace: 'default' }): unknown => ({
  apiVersion: 'skein.dev/v1',
  kind: 'AuthorizationPolicy',
  metadata,
  spec,
});

describe('parseManifest', () => {
  const good: unknown[] = [
    STARTER_POLICY,
    base({ allow: [{}] }),
    base({ deny: [] }),
    base({
      allow: [
        {
          from: [{ ids: ['spiffe://a.b/ns/*/sa/**'] }],
          to: [
            {
              methods: ['GET'],
              paths: ['/a', '/b*', '*c', '/{*}/{**}', '/a/{id}', '/.well-known/x', '/100%', '/a b', '/...', '/'],
              hosts: ['*'],
              headers: [{ name: 'x-a', values: ['1*'] }],
            },
          ],
        },
      ],
    }),
    base({ allow: [{}], mode: 'audit', targets: [{ service: 'api', ports: [80] }] }, { name: 'p' }),
    base({
      deny: [
        {
          from: [{ notTrustDomains: ['a.b'], claims: { role: ['admin', 'x*'], 'https://a/b': ['*'] } }],
          to: [
            {
              notHosts: ['*.internal'],
              ports: [80],
              notPorts: [81],
              headers: [{ name: 'x', notValues: ['1'] }],
              grpc: [{ service: 'a.B', method: 'C' }, { method: 'C' }],
            },
          ],
          when: [
            { key: 'request.headers[X-Env]', values: ['a*'] },
            { key: 'request.auth.claims[sub]', notValues: ['*b'] },
            { key: 'source.namespace', values: ['$same', 'shop'] },
            { key: 'source.principal', values: ['spiffe://a.b/**'] },
            { key: 'destination.port', values: ['80'], notValues: ['81'] },
          ],
        },
      ],
      targets: [{ service: 'api' }, { service: 'web' }],
      tests: [
        { from: 'spiffe://a.b/ns/x/sa/y', service: 'api', expect: 'deny' },
        { from: 'spiffe://a.b/x', claims: { role: ['a', 'b'] }, service: 'web.default', request: {}, expect: 'allow' },
        { from: 'spiffe://a.b/x', service: 'api', port: 81, request: { grpc: { method: 'C' } }, expect: 'deny' },
      ],
    }),
    base({ permissive: true }, { name: 'p', namespace: 'mesh' }),
  ];
  it('takes what is right, and fills a silent namespace', () => {
    for (const value of good) assert.ok('value' in parseManifest(value), JSON.stringify(parseManifest(value)));
    const parsed = parseManifest(good[4]);
    assert.equal('value' in parsed && parsed.value.metadata.namespace, 'default');
  });

  const bad: [what: string, value: unknown, path: string][] = [
    ['nothing', undefined, ''],
    ['null', null, ''],
    ['a list', [], 'kind'],
    ['text', 'kind: x', ''],
    ['no kind', { metadata: { name: 'p' } }, 'kind'],
    ['an unknown kind', { kind: 'Deployment', metadata: { name: 'p' }, spec: {} }, 'kind'],
    ['a kind of the prototype', { kind: 'constructor', metadata: { name: 'p' }, spec: {} }, 'kind'],
    ['no metadata', { kind: 'AuthorizationPolicy', spec: {} }, 'metadata'],
    ['a bad name', base({ allow: [{}] }, { name: 'P!' }), 'metadata.name'],
    ['a reserved namespace', base({ allow: [{}] }, { name: 'p', namespace: 'skein' }), 'metadata.namespace'],
    ['an unknown member on top', { ...(base({ allow: [{}] }) as object), extra: 1 }, 'extra'],
    ['no spec', { kind: 'AuthorizationPolicy', metadata: { name: 'p' } }, 'spec'],
    ['an empty spec', base({}), 'spec'],
    ['an unknown member of spec', base({ allow: [{}], alow: [] }), 'spec.alow'],
    ['an unknown member of a rule', base({ allow: [{ form: [] }] }), 'spec.allow[0].form'],
    [
      'an unknown member of a source',
      base({ allow: [{ from: [{ namespace: ['a'] }] }] }),
      'spec.allow[0].from[0].namespace',
    ],
    ['an empty list, which Istio would take for everything', base({ allow: [{ from: [] }] }), 'spec.allow[0].from'],
    ['an empty list of values', base({ allow: [{ to: [{ methods: [] }] }] }), 'spec.allow[0].to[0].methods'],
    ['a bad id pattern', base({ allow: [{ from: [{ ids: ['spiffe://a.b/**/x'] }] }] }), 'spec.allow[0].from[0].ids[0]'],
    ['an id without scheme', base({ allow: [{ from: [{ ids: ['a.b/ns/x'] }] }] }), 'spec.allow[0].from[0].ids[0]'],
    ['a star in the middle', base({ allow: [{ to: [{ paths: ['/a*b'] }] }] }), 'spec.allow[0].to[0].paths[0]'],
    ['a path without a slash', base({ allow: [{ to: [{ paths: ['a'] }] }] }), 'spec.allow[0].to[0].paths[0]'],
    [
      'a template whose {**} is not last',
      base({ allow: [{ to: [{ paths: ['/{**}/a'] }] }] }),
      'spec.allow[0].to[0].paths[0]',
    ],
    [
      'a template with half a segment',
      base({ allow: [{ to: [{ paths: ['/a{*}'] }] }] }),
      'spec.allow[0].to[0].paths[0]',
    ],
    ...['/a//b', '/a/../b', '/a/.', '/a;b', '/a?b', '/a#b', '/a\\b', '/%61', '*%2F', '/a/..', '/{x}/../b', '/\n'].map(
      (path): [string, unknown, string] => [
        `${JSON.stringify(path)}, which matches nothing`,
        base({ deny: [{ to: [{ paths: [path] }] }] }),
        'spec.deny[0].to[0].paths[0]',
      ],
    ),
    ...['api.mesh:80', 'api.mesh.', '*:80'].map((host): [string, unknown, string] => [
      `the host ${host}, which matches nothing`,
      base({ deny: [{ to: [{ hosts: [host] }] }] }),
      'spec.deny[0].to[0].hosts[0]',
    ]),
    ['a method in small letters', base({ deny: [{ to: [{ methods: ['get'] }] }] }), 'spec.deny[0].to[0].methods[0]'],
    [
      'a name that is no name in braces',
      base({ allow: [{ to: [{ paths: ['/{1}'] }] }] }),
      'spec.allow[0].to[0].paths[0]',
    ],
    [
      'a field name in capitals',
      base({ allow: [{ to: [{ headers: [{ name: 'X-A' }] }] }] }),
      'spec.allow[0].to[0].headers[0].name',
    ],
    [
      'a port out of range',
      base({ allow: [{}], targets: [{ service: 'api', ports: [0] }] }),
      'spec.targets[0].ports[0]',
    ],
    ['a mode that is not one', base({ allow: [{}], mode: 'Audit' }), 'spec.mode'],
    ['a number for text', base({ allow: [{ to: [{ methods: [1] }] }] }), 'spec.allow[0].to[0].methods[0]'],
    ...(
      [
        ['request.url', ['a'], 'key'],
        ['request.headers[]', ['a'], 'key'],
        ['request.auth.claims[a][b]', ['a'], 'key'],
        ['source.ip', ['10.0.0.0/8'], 'key'],
        ['source.namespace', ['A'], 'values'],
        ['source.principal', ['a.b/ns/x'], 'values'],
        ['destination.port', ['http'], 'values'],
        ['request.headers[x]', ['a*b'], 'values'],
      ] as const
    ).map(([key, values, member]): [string, unknown, string] => [
      `the condition ${key} ${values}`,
      base({ deny: [{ when: [{ key, values }] }] }),
      `spec.deny[0].when[0].${member}`,
    ]),
    ['a condition without values', base({ deny: [{ when: [{ key: 'source.namespace' }] }] }), 'spec.deny[0].when[0]'],
    [
      'a claim whose name would be lost',
      base({ allow: [{ from: [{ claims: { role: ['a'], constructor: ['b'] } }] }] }),
      'spec.allow[0].from[0].claims',
    ],
    ['no claims', base({ allow: [{ from: [{ claims: {} }] }] }), 'spec.allow[0].from[0].claims'],
    ['a claim without values', base({ allow: [{ from: [{ claims: { a: [] } }] }] }), 'spec.allow[0].from[0].claims.a'],
    ['a call of nothing', base({ allow: [{ to: [{ grpc: [{}] }] }] }), 'spec.allow[0].to[0].grpc[0]'],
    [
      'a call with a slash',
      base({ allow: [{ to: [{ grpc: [{ method: 'a/b' }] }] }] }),
      'spec.allow[0].to[0].grpc[0].method',
    ],
    ['"permissive" of one namespace', base({ permissive: true }), 'spec.permissive'],
    ...(
      [
        [{ from: 'spiffe://a.b/*', service: 'api', expect: 'deny' }, 'from'],
        [{ from: 'web', service: 'api', expect: 'deny' }, 'from'],
        [{ from: 'spiffe://a.b/x', expect: 'deny' }, 'service'],
        [{ from: 'spiffe://a.b/x', service: 'api.shop', expect: 'deny' }, 'service'],
        [{ from: 'spiffe://a.b/x', service: 'api', expect: 'denied' }, 'expect'],
        [{ from: 'spiffe://a.b/x', service: 'api', request: { path: 'x' }, expect: 'deny' }, 'request.path'],
        [
          { from: 'spiffe://a.b/x', service: 'api', request: { grpc: { method: 'M' }, path: '/' }, expect: 'deny' },
          'request',
        ],
      ] as const
    ).map(([test, member]): [string, unknown, string] => [
      `the test ${JSON.stringify(test)}`,
      base({ allow: [{}], tests: [test] }),
      `spec.tests[0].${member}`,
    ]),
    [
      'a test of the whole mesh that names no namespace',
      base(
        { deny: [{}], tests: [{ from: 'spiffe://a.b/x', service: 'api', expect: 'deny' }] },
        { name: 'p', namespace: 'mesh' },
      ),
      'spec.tests[0].service',
    ],
    ['too many rules', base({ allow: Array.from({ length: 513 }, () => ({})) }), 'spec.allow'],
  ];
  for (const [what, value, path] of bad) {
    it(`refuses ${what}`, () => {
      const parsed = parseManifest(value);
      assert.ok('issues' in parsed);
      assert.ok(
        parsed.issues.some((issue) => issue.path === path),
        `${path} in ${JSON.stringify(parsed.issues)}`,
      );
    });
  }

  it('lists every issue, not the first', () => {
    const parsed = parseManifest(base({ allow: [{ to: [{ methods: ['G T'], paths: ['x'] }] }], deny: [{ nope: 1 }] }));
    assert.ok('issues' in parsed);
    assert.equal(parsed.issues.length, 3);
  });
});
