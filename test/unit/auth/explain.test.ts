/** explainAccess: it says of every rule what the engine makes of it, and names what is missing exactly where something is. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type AccessRequest, Authorizer } from '../../../src/auth/authorizer.ts';
import { explainAccess } from '../../../src/auth/explain.ts';
import { type AuthorizationPolicy, parseAuthorizationPolicy } from '../../../src/catalog/authorization-policy.ts';
import { toWorkloadId } from '../../../src/core/spiffe-id.ts';

const WEB = toWorkloadId('test.mesh', 'default', 'web');

function policy(name: string, spec: unknown, namespace = 'default'): AuthorizationPolicy {
  const parsed = parseAuthorizationPolicy({ kind: 'AuthorizationPolicy', metadata: { name, namespace }, spec });
  assert.ok('value' in parsed, JSON.stringify(parsed));
  return parsed.value;
}

const request: AccessRequest = {
  caller: WEB,
  service: 'api.default',
  port: 80,
  http: { method: 'POST', path: '/orders/7', host: 'api.mesh', fields: [] },
};

describe('explainAccess', () => {
  it('names the rule that decides, and of the others what they miss, of the nearest source and operation', () => {
    const policies = [
      policy('guard', { deny: [{ to: [{ methods: ['DELETE'], paths: ['/orders/*'] }] }] }, 'mesh'),
      policy('read', {
        allow: [
          {
            from: [{ namespaces: ['shop'], trustDomains: ['x.y'] }, { namespaces: ['shop'] }],
            to: [{ methods: ['GET'], hosts: ['other'] }, { methods: ['GET'] }],
            when: [{ key: 'request.headers[x-env]', values: ['prod'] }],
          },
          {},
        ],
      }),
      policy('admin', { targets: [{ service: 'api', ports: [81] }], allow: [{ from: [{ claims: { role: ['a'] } }] }] }),
      policy('trial', { mode: 'audit', deny: [{ to: [{ notMethods: ['GET'] }] }] }),
      policy('elsewhere', { targets: [{ service: 'web' }], deny: [{}] }),
    ];
    const { verdict, rules } = explainAccess(new Authorizer(policies), request);
    assert.deepEqual(verdict, {
      allow: true,
      rule: 'AuthorizationPolicy/default/read allow[1]',
      shadow: ['AuthorizationPolicy/default/trial deny[0]'],
    });
    assert.deepEqual(
      rules.map(({ rule, isTrial, matches, missing }) => [rule.slice(20), isTrial, matches, ...missing]),
      [
        ['mesh/guard deny[0]', false, false, 'to[0].methods'],
        ['default/trial deny[0]', true, true],
        ['default/read allow[0]', false, false, 'from[1].namespaces', 'to[1].methods', 'when request.headers[x-env]'],
        ['default/read allow[1]', false, true],
        ['default/admin allow[0]', false, false, 'targets.ports', 'from[0].claims[role]'],
      ],
    );
  });

  it('finds something missing exactly in rules that do not match, and one that matches where it was allowed', () => {
    const some = <T>(...values: T[]) => fc.option(fc.constantFrom(...values), { nil: undefined });
    const rule = fc.record({
      from: fc.option(
        fc.array(fc.record({ namespaces: some(['default'], ['shop']), claims: some({ role: ['a'] }) }), {
          minLength: 1,
          maxLength: 2,
        }),
        { nil: undefined },
      ),
      to: fc.option(
        fc.array(
          fc.record({
            methods: some(['GET'], ['POST']),
            paths: some(['/a*'], ['/{*}/b']),
            notHosts: some(['api.mesh'], ['*.x']),
            ports: some([80], [81]),
          }),
          { minLength: 1, maxLength: 2 },
        ),
        { nil: undefined },
      ),
      when: some([{ key: 'source.namespace', values: ['default'] }], [{ key: 'request.headers[x]', values: ['1'] }]),
    });
    const rules = fc.array(rule, { maxLength: 3 });
    const spec = fc.record({ deny: rules, allow: rules, shadowDeny: rules, mode: some('audit', 'enforce') });
    const http = fc.option(
      fc.record({
        method: fc.constantFrom('GET', 'POST'),
        path: fc.constantFrom('/a', '/x/b', '/a%2fb'),
        host: fc.constantFrom('api.mesh', 'y.x'),
        fields: fc.constantFrom([], ['x', '1']),
        claims: some({ role: 'a' }),
      }),
      { nil: undefined },
    );
    fc.assert(
      fc.property(fc.array(spec, { maxLength: 3 }), http, (specs, asked) => {
        const authorizer = new Authorizer(specs.map((each, i) => policy(`p${i}`, each)));
        const { verdict, rules: told } = explainAccess(authorizer, { ...request, http: asked });
        for (const each of told) assert.equal(each.matches, each.missing.length === 0, JSON.stringify(each));
        const decisive = told.find(({ rule: name }) => name === verdict.rule);
        assert.equal(decisive?.matches ?? true, true);
        assert.equal(decisive === undefined, verdict.rule === 'default-deny');
        const denies = told.some(({ part, matches, isTrial }) => part === 'deny' && matches && !isTrial);
        assert.ok(!denies || !verdict.allow);
      }),
      { numRuns: 2_000 },
    );
  });
});
