/** Authorizer: the order of decision, matching by segment, paths that two servers could read differently, and its laws. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Authorizer } from '../../../src/auth/authorizer.ts';
import { toDecisionPath } from '../../../src/auth/decision-path.ts';
import {
  type AuthorizationPolicy,
  type PolicySpec,
  parseAuthorizationPolicy,
  STARTER_POLICY,
} from '../../../src/catalog/authorization-policy.ts';
import { parseManifest } from '../../../src/catalog/parse.ts';
import { toWorkloadId } from '../../../src/core/spiffe-id.ts';

const WEB = toWorkloadId('test.mesh', 'default', 'web');
const SHOP = toWorkloadId('test.mesh', 'shop', 'web');

function policy(namespace: string, spec: PolicySpec, name = 'p'): AuthorizationPolicy {
  const parsed = parseAuthorizationPolicy({ kind: 'AuthorizationPolicy', metadata: { name, namespace }, spec });
  assert.ok('value' in parsed, JSON.stringify(parsed));
  return parsed.value;
}

const request = (more: Partial<{ method: string; path: string; host: string; fields: string[] }> = {}) => ({
  caller: WEB,
  service: 'api.default',
  port: 80,
  http: { method: 'GET', path: '/orders/7', host: 'api.mesh', fields: [], ...more },
});

describe('Authorizer', () => {
  it('decides in one order for every combination of what is there', () => {
    const all = [{}];
    for (let bits = 0; bits < 16; bits++) {
      const [meshDeny, deny, allow, shadow] = [1, 2, 4, 8].map((bit) => (bits & bit) !== 0);
      const policies: AuthorizationPolicy[] = [];
      if (meshDeny) policies.push(policy('mesh', { deny: all }));
      if (deny) policies.push(policy('default', { deny: all }, 'd'));
      if (allow) policies.push(policy('default', { allow: all }, 'a'));
      if (shadow) policies.push(policy('default', { shadowDeny: all }, 's'));
      const verdict = new Authorizer(policies).decide(request());
      const expected = meshDeny
        ? 'AuthorizationPolicy/mesh/p deny[0]'
        : deny
          ? 'AuthorizationPolicy/default/d deny[0]'
          : allow
            ? 'AuthorizationPolicy/default/a allow[0]'
            : shadow
              ? 'AuthorizationPolicy/default/s shadowDeny[0]'
              : 'default-deny';
      assert.equal(verdict.rule, expected);
      assert.equal(verdict.allow, !meshDeny && !deny && (allow || shadow));
      assert.equal(verdict.shadow.length, shadow && !meshDeny && !deny ? 1 : 0);
    }
  });

  it('denies everything without policies, and the starter policy allows its own namespace only', () => {
    assert.equal(new Authorizer([]).decide(request()).allow, false);
    const parsed = parseManifest(STARTER_POLICY);
    assert.ok('value' in parsed);
    const starter = policy('default', STARTER_POLICY.spec as PolicySpec, 'allow-same-namespace');
    const authorizer = new Authorizer([starter]);
    assert.equal(authorizer.decide(request()).allow, true);
    assert.equal(authorizer.decide({ ...request(), caller: SHOP }).allow, false);
    assert.equal(authorizer.decide({ ...request(), service: 'api.shop', caller: SHOP }).allow, false);
  });

  it('ignores a policy that only audits', () => {
    assert.equal(new Authorizer([policy('default', { allow: [{}], mode: 'audit' })]).decide(request()).allow, false);
  });

  const rules: { name: string; to?: object; from?: object; yes?: object[]; no?: object[] }[] = [
    { name: 'methods', to: { methods: ['GET', 'HEAD'] }, yes: [{}], no: [{ method: 'POST' }, { method: 'get' }] },
    { name: 'notMethods', to: { notMethods: ['DELETE'] }, yes: [{}], no: [{ method: 'DELETE' }] },
    {
      name: 'exact path',
      to: { paths: ['/orders/7'] },
      yes: [{}, { path: '/orders/7?x=1' }, { path: '/orders//7' }, { path: '/orders/%37' }],
      no: [{ path: '/orders/70' }, { path: '/orders/7/' }, { path: '/ORDERS/7' }, { path: '//orders/7' }],
    },
    {
      name: 'prefix path',
      to: { paths: ['/orders/*'] },
      yes: [{}, { path: '/orders/a/b' }],
      no: [{ path: '/order' }, { path: '/x/../admin' }],
    },
    { name: 'suffix path', to: { paths: ['*.css'] }, yes: [{ path: '/a/b.css' }], no: [{}] },
    {
      name: 'template',
      to: { paths: ['/orders/{*}/items'] },
      yes: [{ path: '/orders/7/items' }],
      no: [{ path: '/orders/7/8/items' }, { path: '/orders//items' }],
    },
    {
      name: 'open template',
      to: { paths: ['/orders/{*}/{**}'] },
      yes: [{ path: '/orders/7/8/9' }, { path: '/orders/7/8' }],
      no: [{ path: '/orders' }],
    },
    {
      name: 'notPaths',
      to: { notPaths: ['/admin*'] },
      yes: [{}],
      no: [
        { path: '/admin' },
        { path: '/%61dmin' },
        { path: '/x/../admin/y' },
        { path: '/admin;a=b' },
        { path: '/Admin' },
      ],
    },
    {
      name: 'hosts',
      to: { hosts: ['api.mesh', '*.example'] },
      yes: [{}, { host: 'API.mesh:80' }, { host: 'x.example' }, { host: 'api.mesh.:80' }],
      no: [{ host: 'api.mesh.evil' }],
    },
    {
      name: 'headers',
      to: { headers: [{ name: 'x-team', values: ['blue', 're*'] }] },
      yes: [{ fields: ['x-team', 'red'] }, { fields: ['x-team', 'x', 'x-team', 'blue'] }],
      no: [{}, { fields: ['x-team', 'green'] }],
    },
    { name: 'header present', to: { headers: [{ name: 'x-team' }] }, yes: [{ fields: ['x-team', ''] }], no: [{}] },
  ];
  for (const { name, to, yes = [], no = [] } of rules) {
    it(`matches ${name}`, () => {
      const authorizer = new Authorizer([policy('default', { allow: [{ to: [to as never] }] })]);
      for (const more of yes) assert.equal(authorizer.decide(request(more)).allow, true, JSON.stringify(more));
      for (const more of no) assert.equal(authorizer.decide(request(more)).allow, false, JSON.stringify(more));
    });
  }

  it('matches SPIFFE ids by segment, never by prefix of text', () => {
    const cases: [pattern: string, id: ReturnType<typeof toWorkloadId>, matches: boolean][] = [
      ['spiffe://test.mesh/ns/pay/**', toWorkloadId('test.mesh', 'pay', 'a'), true],
      ['spiffe://test.mesh/ns/pay/**', toWorkloadId('test.mesh', 'pay-evil', 'a'), false],
      ['spiffe://test.mesh/ns/*/sa/web', SHOP, true],
      ['spiffe://test.mesh/ns/*/sa/web', toWorkloadId('test.mesh', 'shop', 'web2'), false],
      ['spiffe://test.mesh/**', WEB, true],
      ['spiffe://test.mesh.evil/**', WEB, false],
      ['spiffe://test.mesh/ns/default/sa/web', WEB, true],
      ['spiffe://test.mesh/ns/default/sa', WEB, false],
    ];
    for (const [pattern, caller, matches] of cases) {
      const authorizer = new Authorizer([policy('default', { allow: [{ from: [{ ids: [pattern] }] }] })]);
      assert.equal(authorizer.decide({ ...request(), caller }).allow, matches, `${pattern} ${caller.uri}`);
      const without = new Authorizer([policy('default', { allow: [{ from: [{ notIds: [pattern] }] }] })]);
      assert.equal(without.decide({ ...request(), caller }).allow, !matches, `not ${pattern} ${caller.uri}`);
    }
  });

  it('on a raw stream, conditions on HTTP never allow and always deny', () => {
    const raw = { ...request(), http: undefined };
    const condition = [{ to: [{ methods: ['GET'] }] }];
    assert.equal(new Authorizer([policy('default', { allow: condition })]).decide(raw).allow, false);
    const both = [policy('default', { allow: [{}] }, 'a'), policy('default', { deny: condition }, 'd')];
    assert.equal(new Authorizer(both).decide(raw).rule, 'AuthorizationPolicy/default/d deny[0]');
  });

  it('denies an ambiguous path where a rule depends on it, and only there', () => {
    const byPath = [policy('default', { allow: [{ to: [{ paths: ['/public/*'] }] }] })];
    const byMethod = [policy('default', { allow: [{ to: [{ methods: ['GET'] }] }] })];
    const denyPath = [
      policy('default', { allow: [{}] }, 'a'),
      policy('default', { deny: [{ to: [{ paths: ['/admin/*'] }] }] }, 'd'),
    ];
    for (const path of [
      '/public%2f..%2fadmin',
      '/public/%00',
      '/public\\..\\admin',
      '/public/%252f',
      '/public/%c0%ae',
      '/public/%',
    ]) {
      assert.equal(new Authorizer(byPath).decide(request({ path })).allow, false, path);
      assert.equal(new Authorizer(denyPath).decide(request({ path })).allow, false, path);
      assert.equal(new Authorizer(byMethod).decide(request({ path })).allow, true, path);
    }
  });

  it('targets services and ports', () => {
    const authorizer = new Authorizer([policy('default', { targets: [{ service: 'api', ports: [80] }], allow: [{}] })]);
    assert.equal(authorizer.decide(request()).allow, true);
    assert.equal(authorizer.decide({ ...request(), port: 81 }).allow, false);
    assert.equal(authorizer.decide({ ...request(), service: 'web.default' }).allow, false);
  });
});

describe('toDecisionPath', () => {
  const cases: [target: string, path: string, ambiguous?: boolean][] = [
    ['/', '/'],
    ['/a/b?x=/../c', '/a/b'],
    ['/a//b', '/a/b'],
    ['/a/b/', '/a/b/'],
    ['/.well-known/x', '/.well-known/x'],
    ['/a/..b/c...', '/a/..b/c...'],
    ['/%61%2e%62', '/a.b'],
    ['/%2561', '/a'],
    ['/a;x=1/b;y', '/a/b'],
    ['/%C3%A9', '/é'],
    ['/100%25', '/100%'],
    ['*', '*'],
    ['', '', true],
    ['//a/b', '/a/b', true],
    ['/a/./b', '/a/b', true],
    ['/a/../b', '/b', true],
    ['/a//../b', '/b', true],
    ['/../../b', '/b', true],
    ['/a/..', '/', true],
    ['/a/b/.', '/a/b/', true],
    ['/a/%2e%2e/b', '/b', true],
    ['/a/%252e%252e/b', '/b', true],
    ['/a/..;x/b', '/b', true],
    ['/a/;x/b', '/a/b', true],
    ['/a%3fb', '/a%3fb', true],
    ['/a%3Bb', '/a%3Bb', true],
    ['/a#b', '/a#b', true],
    ['/\u00c3\u00a9', '/\u00c3\u00a9', true],
    ['/%0a', '/\n', true],
    ['/a%2fb', '/a%2fb', true],
    ['/a%5Cb', '/a%5Cb', true],
    ['/a%00', '/a%00', true],
    ['/a\\b', '/a/b', true],
    ['/%ff', '/%ff', true],
    ['/%zz', '/%zz', true],
    ['/a%252fb', '/a%2fb', true],
    ['/%2525252e', '/%252e', true],
    ['http://evil/', 'http://evil/', true],
    ['/a\u0001', '/a\u0001', true],
  ];
  for (const [target, path, ambiguous = false] of cases) {
    it(`${JSON.stringify(target)} → ${path}${ambiguous ? ', ambiguous' : ''}`, () => {
      assert.deepEqual(toDecisionPath(target), { path, ambiguous });
    });
  }

  it('is its own decision path, when it is not ambiguous', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('/', '.', '..', 'a', '%2e', '%61', ';x', '%25', '\\', '%2f', '~'), { maxLength: 12 }),
        (pieces) => {
          const { path, ambiguous } = toDecisionPath(`/${pieces.join('')}`);
          if (ambiguous || path.includes('%')) return;
          assert.deepEqual(toDecisionPath(path), { path, ambiguous: false });
          assert.ok(!path.split('/').includes('..') && !path.includes('//'));
        },
      ),
    );
  });
});

describe('Authorizer laws', () => {
  const source = fc.record({
    namespaces: fc.option(fc.constant(['default']), { nil: undefined }),
    ids: fc.option(fc.constantFrom(['spiffe://test.mesh/ns/*/sa/web'], ['spiffe://test.mesh/ns/shop/**']), {
      nil: undefined,
    }),
  });
  const operation = fc.record({
    methods: fc.option(fc.constantFrom(['GET'], ['POST']), { nil: undefined }),
    paths: fc.option(fc.constantFrom(['/a*'], ['*z'], ['/{*}/b']), { nil: undefined }),
  });
  const rule = fc.record({
    from: fc.option(fc.array(source, { minLength: 1, maxLength: 2 }), { nil: undefined }),
    to: fc.option(fc.array(operation, { minLength: 1, maxLength: 2 }), { nil: undefined }),
  });
  const spec = fc.oneof(
    fc.record({ allow: fc.array(rule, { maxLength: 3 }) }),
    fc.record({ deny: fc.array(rule, { maxLength: 3 }) }),
  );
  const policies = fc.array(fc.tuple(fc.constantFrom('mesh', 'default', 'shop'), spec), { maxLength: 5 });
  const access = fc.record({
    caller: fc.constantFrom(WEB, SHOP),
    method: fc.constantFrom('GET', 'POST'),
    path: fc.constantFrom('/a', '/x/b', '/xyz', '/a%2fz'),
    raw: fc.boolean(),
  });
  const build = (list: [string, object][]) =>
    list.map(([namespace, value], i) => policy(namespace, value as PolicySpec, `p${i}`));
  const decide = (list: AuthorizationPolicy[], a: { caller: typeof WEB; method: string; path: string; raw: boolean }) =>
    new Authorizer(list).decide({
      caller: a.caller,
      service: 'api.default',
      port: 80,
      http: a.raw ? undefined : { method: a.method, path: a.path, host: 'api.mesh', fields: [] },
    });

  it('adding a deny never allows, removing an allow never allows more, and order does not matter', () => {
    fc.assert(
      fc.property(policies, spec, access, fc.nat(), (list, extra, a, at) => {
        const base = build(list as [string, object][]);
        const verdict = decide(base, a);
        assert.equal(decide([...base].reverse(), a).allow, verdict.allow);
        if ('deny' in extra && decide([...base, policy('default', extra as PolicySpec, 'extra')], a).allow)
          assert.ok(verdict.allow);
        const removable = base.filter(({ spec: { allow } }) => allow !== undefined);
        const victim = removable[at % Math.max(1, removable.length)];
        if (
          victim !== undefined &&
          decide(
            base.filter((other) => other !== victim),
            a,
          ).allow
        )
          assert.ok(verdict.allow);
      }),
      { numRuns: 2_000 },
    );
  });

  it('holds them for single rules too, in any order, where one policy allows, denies and shadows at once', () => {
    const rules = fc.array(rule, { maxLength: 3 });
    const mixed = fc.record({ deny: rules, allow: rules, shadowDeny: rules });
    const list = fc.array(fc.tuple(fc.constantFrom('mesh', 'default', 'shop'), mixed), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(list, rule, access, fc.infiniteStream(fc.nat()), (specs, extra, a, chance) => {
        const pick = (below: number): number => (chance.next().value as number) % Math.max(1, below);
        const shuffle = <T>(items: readonly T[]): T[] =>
          items.reduce<T[]>((out, item) => out.toSpliced(pick(out.length + 1), 0, item), []);
        const allows = (changed: typeof specs): boolean => decide(build(changed as [string, object][]), a).allow;
        const isAllowed = allows(specs);
        const mixedUp = specs.map(([namespace, { deny, allow, shadowDeny }]): (typeof specs)[number] => [
          namespace,
          { deny: shuffle(deny), allow: shuffle(allow), shadowDeny: shuffle(shadowDeny) },
        ]);
        assert.equal(allows(shuffle(mixedUp)), isAllowed);
        const at = pick(specs.length);
        const change = (edit: (spec: (typeof specs)[number][1]) => object): typeof specs =>
          specs.map(([namespace, value], i) => [namespace, i === at ? { ...value, ...edit(value) } : value]);
        if (allows(change(({ deny }) => ({ deny: [...deny, extra] })))) assert.ok(isAllowed);
        if (allows(change(({ allow }) => ({ allow: allow.toSpliced(pick(allow.length), 1) })))) assert.ok(isAllowed);
        if (isAllowed) assert.ok(allows(change(({ allow }) => ({ allow: [...allow, extra] }))));
      }),
      { numRuns: 2_000 },
    );
  });
});
