/** Authorizer against tables: each combination of what a mesh may have, and which pattern takes which value. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Authorizer } from '../../../src/auth/authorizer.ts';
import {
  type AuthorizationPolicy,
  type PolicySpec,
  parseAuthorizationPolicy,
} from '../../../src/catalog/authorization-policy.ts';
import { toWorkloadId } from '../../../src/core/spiffe-id.ts';
import { printFigures } from '../../support/figures.ts';

const WEB = toWorkloadId('test.mesh', 'default', 'web');

function policy(namespace: string, name: string, spec: PolicySpec): AuthorizationPolicy {
  const parsed = parseAuthorizationPolicy({ kind: 'AuthorizationPolicy', metadata: { name, namespace }, spec });
  assert.ok('value' in parsed, JSON.stringify(parsed));
  return parsed.value;
}

function decide(policies: readonly AuthorizationPolicy[], fields: readonly string[] = []) {
  const http = { method: 'GET', path: '/', host: 'api.mesh', fields };
  return new Authorizer(policies).decide({ caller: WEB, service: 'api.default', port: 80, http });
}

const SCOPES = ['mesh', 'default'] as const;
const PARTS = ['deny', 'allow', 'shadowDeny'] as const;
const PLACES = SCOPES.flatMap((scope) => PARTS.map((part) => ({ scope, part, name: part.toLowerCase() })));
/** What may stand in each place: nothing; a rule for others, for another method, of another service; one that matches. */
const STATES: readonly (PolicySpec['allow'] | undefined)[] = [
  undefined,
  [{ from: [{ namespaces: ['shop'] }] }, { to: [{ methods: ['POST'] }] }],
  [{ from: [{ namespaces: ['shop'] }] }, { from: [{ namespaces: ['default'] }], to: [{ methods: ['GET'] }] }],
];
const MATCHING = 2;

describe('Decision table', () => {
  it('Each of 729 combinations of deny, allow and shadowDeny, absent, for others or matching, in mesh and namespace', () => {
    const count = STATES.length ** PLACES.length;
    for (let index = 0; index < count; index++) {
      const states = PLACES.map((_, i) => Math.floor(index / STATES.length ** i) % STATES.length);
      const policies = PLACES.flatMap(({ scope, part, name }, i) => {
        const rules = STATES[states[i] as number];
        return rules === undefined ? [] : [policy(scope, name, { [part]: rules })];
      });
      const matching = PLACES.filter((_, i) => states[i] === MATCHING).map(
        ({ scope, part, name }) => [part, `AuthorizationPolicy/${scope}/${name} ${part}[1]`] as const,
      );
      const of = (wanted: string): string[] => matching.filter(([part]) => part === wanted).map(([, rule]) => rule);
      const [denies, allows, shadows] = PARTS.map(of) as [string[], string[], string[]];
      const expected =
        denies.length > 0
          ? { allow: false, rule: denies[0], shadow: [] }
          : {
              allow: allows.length + shadows.length > 0,
              rule: [...allows, ...shadows, 'default-deny'][0],
              shadow: shadows,
            };
      const where = policies.map(({ namespace, name }, i) => `${namespace}/${name}=${states[i]}`).join(' ');
      for (const list of [policies, [...policies].reverse()]) assert.deepEqual(decide(list), expected, where);
    }
    printFigures('decision table', { combinations: count });
  });
});

const VALUES = [
  ...['', 'a', 'A', 'ab', 'abc', 'abcd', 'xabc', 'b', 'a*', '*', '**', 'a.c', 'a/b/c', 'bc', ' abc'],
] as const;
/** Pattern → those of the values that it takes. */
const GLOBS: readonly (readonly [pattern: string, ...taken: (typeof VALUES)[number][]])[] = [
  ['*', 'a', 'A', 'ab', 'abc', 'abcd', 'xabc', 'b', 'a*', '*', '**', 'a.c', 'a/b/c', 'bc', ' abc'],
  ['a', 'a'],
  ['A', 'A'],
  ['b', 'b'],
  ['ab', 'ab'],
  ['abc', 'abc'],
  ['a.c', 'a.c'],
  ['.', ...[]],
  ['a*', 'a', 'ab', 'abc', 'abcd', 'a*', 'a.c', 'a/b/c'],
  ['A*', 'A'],
  ['ab*', 'ab', 'abc', 'abcd'],
  ['abc*', 'abc', 'abcd'],
  ['abcd*', 'abcd'],
  ['abcde*', ...[]],
  ['a/*', 'a/b/c'],
  ['*c', 'abc', 'xabc', 'a.c', 'a/b/c', 'bc', ' abc'],
  ['*bc', 'abc', 'xabc', 'bc', ' abc'],
  ['*abc', 'abc', 'xabc', ' abc'],
  ['*.c', 'a.c'],
  ['*C', ...[]],
];

describe('Globs', () => {
  it(`Each of ${GLOBS.length * VALUES.length} pairs of pattern and value, where it allows and where it denies`, () => {
    for (const [pattern, ...taken] of GLOBS) {
      const rules = [{ to: [{ headers: [{ name: 'x-team', values: [pattern] }] }] }];
      const allowing = [policy('default', 'a', { allow: rules })];
      const denying = [policy('default', 'a', { allow: [{}] }), policy('default', 'd', { deny: rules })];
      for (const value of VALUES) {
        const matches = (taken as readonly string[]).includes(value);
        const where = `${pattern} and ${JSON.stringify(value)}`;
        assert.equal(decide(allowing, ['x-team', value]).allow, matches, where);
        assert.equal(decide(denying, ['x-team', value]).allow, !matches, where);
      }
    }
    printFigures('globs', { pairs: GLOBS.length * VALUES.length });
  });
});
