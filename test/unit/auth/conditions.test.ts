/** Conditions of rules: what each takes, that `not…` is its opposite, and what is decided in doubt; policies that decide nothing. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type AccessRequest, Authorizer, type HttpAccess } from '../../../src/auth/authorizer.ts';
import { type AuthorizationPolicy, parseAuthorizationPolicy } from '../../../src/catalog/authorization-policy.ts';
import { parseSpiffeId, toWorkloadId } from '../../../src/core/spiffe-id.ts';

const WEB = toWorkloadId('test.mesh', 'default', 'web');
const PARTNER = parseSpiffeId('spiffe://partner.example/ns/default/sa/web');

function policy(namespace: string, spec: unknown, name = 'p'): AuthorizationPolicy {
  const parsed = parseAuthorizationPolicy({ kind: 'AuthorizationPolicy', metadata: { name, namespace }, spec });
  assert.ok('value' in parsed, JSON.stringify(parsed));
  return parsed.value;
}

type Parts = Partial<HttpAccess> & Partial<Pick<AccessRequest, 'caller' | 'port'>>;

function access({ caller = WEB, port = 80, ...http }: Parts = {}): AccessRequest {
  const asked = { method: 'GET', path: '/orders/7', host: 'api.mesh', fields: [], ...http };
  return { caller, service: 'api.default', port, http: asked };
}

const CALL = { method: 'POST', path: '/hello.Greeter/SayHello', fields: ['content-type', 'application/grpc+proto'] };

interface Case {
  readonly rule: object;
  readonly yes: readonly Parts[];
  readonly no: readonly Parts[];
}

const CASES: readonly Case[] = [
  {
    rule: { to: [{ notHosts: ['*.internal', 'admin.mesh'] }] },
    yes: [{}, { host: 'admin.mesh.example' }, { host: '' }],
    no: [{ host: 'a.internal' }, { host: 'ADMIN.mesh:80' }, { host: 'admin.mesh.' }],
  },
  { rule: { to: [{ ports: [80, 443] }] }, yes: [{}, { port: 443 }], no: [{ port: 81 }] },
  { rule: { to: [{ notPorts: [9000] }] }, yes: [{}], no: [{ port: 9000 }] },
  {
    rule: { to: [{ headers: [{ name: 'x-env', notValues: ['test*'] }] }] },
    yes: [{}, { fields: ['x-env', 'prod'] }],
    no: [{ fields: ['x-env', 'testing'] }, { fields: ['x-env', 'prod', 'x-env', 'test'] }],
  },
  {
    rule: { to: [{ headers: [{ name: 'x-env', values: ['*'], notValues: ['test'] }] }] },
    yes: [{ fields: ['x-env', 'prod'] }],
    no: [{}, { fields: ['x-env', ''] }, { fields: ['x-env', 'test'] }],
  },
  {
    rule: { to: [{ grpc: [{ service: 'hello.Greeter', method: 'SayHello' }] }] },
    yes: [
      CALL,
      { ...CALL, fields: ['content-type', 'application/grpc'] },
      { ...CALL, path: '/hello.Greeter/Say%48ello' },
    ],
    no: [
      {},
      { ...CALL, path: '/hello.Greeter/Other' },
      { ...CALL, path: '/hello.Greeter/sayhello' },
      { ...CALL, path: '/hello.Greeter/SayHello/' },
      { ...CALL, path: '/x/../hello.Greeter/SayHello' },
      { ...CALL, method: 'GET' },
      { ...CALL, fields: ['content-type', 'application/json'] },
      { ...CALL, fields: ['content-type', 'application/grpcweb'] },
    ],
  },
  {
    rule: { to: [{ grpc: [{ service: 'hello.Greeter' }, { method: 'Check' }] }] },
    yes: [CALL, { ...CALL, path: '/hello.Greeter/Any' }, { ...CALL, path: '/grpc.health.v1.Health/Check' }],
    no: [
      { ...CALL, path: '/hello.Other/Any' },
      { ...CALL, path: '/hello.Greeter/' },
      { ...CALL, path: '/a/b/Check' },
    ],
  },
  { rule: { from: [{ trustDomains: ['partner.example'] }] }, yes: [{ caller: PARTNER }], no: [{}] },
  { rule: { from: [{ notTrustDomains: ['partner.example'] }] }, yes: [{}], no: [{ caller: PARTNER }] },
  {
    rule: { from: [{ claims: { role: ['admin', 'ops-*'], tenant: ['*'] } }] },
    yes: [
      { claims: { role: 'admin', tenant: 'a' } },
      { claims: { role: ['guest', 'ops-1'], tenant: ['b'], more: 'c' } },
    ],
    no: [
      {},
      { claims: {} },
      { claims: { role: 'admin' } },
      { claims: { role: 'admin', tenant: '' } },
      { claims: { role: 'admins', tenant: 'a' } },
      { claims: { role: [], tenant: 'a' } },
    ],
  },
  {
    rule: { from: [{ namespaces: ['shop'] }, { namespaces: ['default'], claims: { role: ['admin'] } }] },
    yes: [{ claims: { role: 'admin' } }, { caller: toWorkloadId('test.mesh', 'shop', 'a') }],
    no: [{}, { claims: { role: 'admin' }, caller: toWorkloadId('test.mesh', 'other', 'a') }],
  },
  {
    rule: { when: [{ key: 'request.headers[X-Env]', values: ['prod', 'stag*'], notValues: ['staging-2'] }] },
    yes: [{ fields: ['x-env', 'prod'] }, { fields: ['x-env', 'staging'] }],
    no: [{}, { fields: ['x-env', 'staging-2'] }, { fields: ['x-env', 'prod', 'x-env', 'staging-2'] }],
  },
  {
    rule: { when: [{ key: 'request.auth.claims[groups]', values: ['dev'], notValues: ['left'] }] },
    yes: [{ claims: { groups: ['ops', 'dev'] } }],
    no: [{}, { claims: { groups: ['dev', 'left'] } }],
  },
  {
    rule: {
      when: [
        { key: 'source.namespace', values: ['$same'] },
        { key: 'destination.port', notValues: ['81'] },
      ],
    },
    yes: [{}],
    no: [{ port: 81 }, { caller: toWorkloadId('test.mesh', 'shop', 'web') }],
  },
  { rule: { when: [{ key: 'destination.port', values: ['80'] }] }, yes: [{}], no: [{ port: 8080 }] },
  {
    rule: { when: [{ key: 'source.namespace', notValues: ['shop'] }] },
    yes: [{}],
    no: [{ caller: toWorkloadId('t.m', 'shop', 'a') }],
  },
  {
    rule: { when: [{ key: 'source.principal', values: ['spiffe://test.mesh/ns/default/**'] }] },
    yes: [{}],
    no: [{ caller: PARTNER }],
  },
];

describe('Conditions', () => {
  for (const { rule, yes, no } of CASES) {
    it(`of an allowing rule: ${JSON.stringify(rule)}`, () => {
      const authorizer = new Authorizer([policy('default', { allow: [rule] })]);
      for (const each of yes) assert.equal(authorizer.decide(access(each)).allow, true, JSON.stringify(each));
      for (const each of no) assert.equal(authorizer.decide(access(each)).allow, false, JSON.stringify(each));
    });
  }

  it('of a denying rule take at least what they take where they allow', () => {
    for (const { rule, yes } of CASES) {
      const authorizer = new Authorizer([policy('default', { allow: [{}], deny: [rule] })]);
      for (const each of yes) assert.equal(authorizer.decide(access(each)).allow, false, JSON.stringify([rule, each]));
    }
  });

  it('on calls deny them in whatever protocol they come', () => {
    const authorizer = new Authorizer([
      policy('default', { allow: [{}], deny: [{ to: [{ grpc: [{ service: 'hello.Greeter' }] }] }] }),
    ]);
    const json = {
      method: 'GET',
      path: '/hello.Greeter/SayHello?message=1',
      fields: ['content-type', 'application/json'],
    };
    const paths = ['/hello.Greeter/SayHello/', '/HELLO.greeter/x', '/a/../hello.Greeter/x', '/hello.Greeter%2fx'];
    for (const each of [CALL, json, ...paths.map((path) => ({ ...CALL, path }))]) {
      assert.equal(authorizer.decide(access(each)).allow, false, JSON.stringify(each));
    }
    assert.equal(authorizer.decide(access({ ...CALL, path: '/hello.Other/x' })).allow, true);
  });

  it('that only requests can meet never allow a raw stream, and deny it; those on its ends are decided', () => {
    const raw = (caller = WEB): AccessRequest => ({ caller, service: 'api.default', port: 5432, http: undefined });
    const onRequests = [
      ...['methods', 'notMethods'].map((name) => ({ to: [{ [name]: ['GET'] }] })),
      ...['paths', 'notPaths'].map((name) => ({ to: [{ [name]: ['/a'] }] })),
      ...['hosts', 'notHosts'].map((name) => ({ to: [{ [name]: ['a'] }] })),
      ...[{ name: 'x' }, { name: 'x', values: ['1'] }, { name: 'x', notValues: ['1'] }].map((header) => ({
        to: [{ headers: [header] }],
      })),
      { to: [{ grpc: [{ method: 'M' }] }] },
      { to: [{ ports: [5432], methods: ['GET'] }] },
      { from: [{ claims: { role: ['a'] } }] },
      { when: [{ key: 'request.headers[x]', values: ['1'] }] },
      { when: [{ key: 'request.auth.claims[x]', notValues: ['1'] }] },
    ];
    for (const rule of onRequests) {
      const text = JSON.stringify(rule);
      assert.equal(new Authorizer([policy('default', { allow: [rule] })]).decide(raw()).allow, false, text);
      const denying = new Authorizer([policy('default', { allow: [{}], deny: [rule] })]);
      assert.equal(denying.decide(raw()).allow, false, text);
    }
    const others = [{ to: [{ ports: [80], methods: ['GET'] }] }, { to: [{ notPorts: [5432], paths: ['/a'] }] }];
    for (const rule of others) {
      assert.equal(new Authorizer([policy('default', { allow: [{}], deny: [rule] })]).decide(raw()).allow, true);
    }
    const onEnds = [{ to: [{ ports: [5432] }] }, { when: [{ key: 'source.namespace', values: ['default'] }] }];
    for (const rule of onEnds) {
      assert.equal(new Authorizer([policy('default', { allow: [rule] })]).decide(raw()).allow, true);
      assert.equal(new Authorizer([policy('default', { allow: [rule] })]).decide(raw(PARTNER)).allow, true);
    }
  });
});

describe('Claims of which nobody has looked for a token', () => {
  it('never allow, and always deny; where there is no token they are not there', () => {
    const rules = [
      { from: [{ claims: { role: ['admin'] } }] },
      { when: [{ key: 'request.auth.claims[role]', values: ['admin'] }] },
      { when: [{ key: 'request.auth.claims[role]', notValues: ['guest'] }] },
    ];
    for (const [i, rule] of rules.entries()) {
      const allowing = new Authorizer([policy('default', { allow: [rule] })]);
      const denying = new Authorizer([policy('default', { allow: [{}], deny: [rule] })]);
      assert.deepEqual(
        [allowing, denying].map((each) => each.decide(access()).allow),
        [false, false],
      );
      const isNegative = i === 2;
      const found = [allowing, denying].map((each) => each.decide(access({ claims: {} })).allow);
      assert.deepEqual(found, [isNegative, !isNegative]);
    }
  });
});

describe('Policies that audit, and a permissive mesh', () => {
  const all = [{}];
  const name = (text: string): string => `AuthorizationPolicy/${text}`;

  it('decide in one order for each of 128 combinations', () => {
    for (let bits = 0; bits < 128; bits++) {
      const [meshDeny, deny, allow, shadow, trialDeny, trialAllow, permissive] = [0, 1, 2, 3, 4, 5, 6].map(
        (bit) => ((bits >> bit) & 1) === 1,
      );
      const policies = [
        ...(meshDeny ? [policy('mesh', { deny: all }, 'm')] : []),
        ...(deny ? [policy('default', { deny: all }, 'd')] : []),
        ...(allow ? [policy('default', { allow: all }, 'a')] : []),
        ...(shadow ? [policy('default', { shadowDeny: all }, 's')] : []),
        ...(trialDeny ? [policy('default', { deny: all, mode: 'audit' }, 'td')] : []),
        ...(trialAllow ? [policy('default', { allow: all, mode: 'audit' }, 'ta')] : []),
        ...(permissive ? [policy('mesh', { permissive: true }, 'p')] : []),
      ];
      const isDenied = meshDeny || deny;
      const isDecided = isDenied || allow || shadow;
      const rule = meshDeny
        ? name('mesh/m deny[0]')
        : deny
          ? name('default/d deny[0]')
          : allow
            ? name('default/a allow[0]')
            : shadow
              ? name('default/s shadowDeny[0]')
              : permissive
                ? name('mesh/p permissive')
                : 'default-deny';
      const counted = [
        ...(shadow ? [name('default/s shadowDeny[0]')] : []),
        ...(trialDeny && isDecided ? [name('default/td deny[0]')] : []),
        ...(!isDecided && permissive ? ['default-deny'] : []),
      ];
      const isAllowed = !isDenied && (isDecided || permissive);
      const would = !isDecided && !permissive && trialAllow && !trialDeny;
      const expected = {
        allow: isAllowed,
        rule,
        shadow: isAllowed ? counted : [],
        ...(would ? { wouldAllow: name('default/ta allow[0]') } : {}),
      };
      for (const list of [policies, [...policies].reverse()]) {
        assert.deepEqual(new Authorizer(list).decide(access()), expected, `combination ${bits}`);
      }
    }
  });

  it('count only what their rules match', () => {
    const authorizer = new Authorizer([
      policy('default', { allow: all }, 'a'),
      policy('default', { deny: [{ to: [{ methods: ['POST'] }] }], mode: 'audit' }, 't'),
      policy('mesh', { shadowDeny: [{ to: [{ paths: ['/old*'] }] }] }, 's'),
    ]);
    const shadowOf = (parts: Parts): readonly string[] => authorizer.decide(access(parts)).shadow;
    assert.deepEqual(shadowOf({}), []);
    assert.deepEqual(shadowOf({ method: 'POST' }), [name('default/t deny[0]')]);
    assert.deepEqual(shadowOf({ method: 'POST', path: '/old/x' }), [
      name('mesh/s shadowDeny[0]'),
      name('default/t deny[0]'),
    ]);
  });

  it('a policy that audits and says "permissive" lets nothing pass', () => {
    const authorizer = new Authorizer([policy('mesh', { permissive: true, mode: 'audit' })]);
    assert.deepEqual(authorizer.decide(access()), { allow: false, rule: 'default-deny', shadow: [] });
  });
});
