/** Matches and rules that no request can reach: found where they are, and nothing else is. */
import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import type { Route } from '../../../src/catalog/route.ts';
import { findUnreachable } from '../../../src/router/unreachable.ts';
import { grpcRoute, httpRoute, tcpRoute } from '../../support/routes.ts';

const at = (value: string, more: object = {}): object => ({ path: { value }, ...more });
const pattern = (value: string): object => ({ path: { type: 'RegularExpression', value } });
const exact = (value: string): object => ({ path: { type: 'Exact', value } });
const header = (name: string, value = '1'): object => ({ headers: [{ name, value }] });
const http = (...rules: readonly (readonly object[])[]): Route =>
  httpRoute({ rules: rules.map((matches) => ({ matches })) });
const other = (spec: object): Route => httpRoute(spec, { name: 's' });

const cases: readonly [what: string, routes: readonly Route[], found: readonly string[]][] = [
  ['one rule', [http([])], []],
  ['different paths', [http([at('/a')], [at('/b')])], []],
  ['a longer prefix behind a shorter one', [http([at('/')], [at('/a')])], []],
  ['the same prefix twice', [http([at('/a')], [at('/a/')])], ['r spec.rules[1] by spec.rules[0].matches[0]']],
  [
    'one of two matches twice',
    [http([at('/a')], [at('/a'), at('/b')])],
    ['r spec.rules[1].matches[0] by spec.rules[0].matches[0]'],
  ],
  [
    'the same match twice in a rule',
    [http([at('/a'), at('/a')])],
    ['r spec.rules[0].matches[1] by spec.rules[0].matches[0]'],
  ],
  ['more conditions come first', [http([at('/a')], [at('/a', header('x'))])], []],
  [
    'the same conditions in another order',
    [
      http(
        [
          at('/a', {
            headers: [
              { name: 'X', value: '1' },
              { name: 'y', value: '2' },
            ],
          }),
        ],
        [
          at('/a', {
            headers: [
              { name: 'Y', value: '2' },
              { name: 'x', value: '1' },
            ],
          }),
        ],
      ),
    ],
    ['r spec.rules[1] by spec.rules[0].matches[0]'],
  ],
  ['conditions that differ', [http([at('/a', header('x', '1'))], [at('/a', header('x', '2'))])], []],
  ['another method', [http([at('/a', { method: 'GET' })], [at('/a', { method: 'PUT' })], [at('/a')])], []],
  [
    'prefixes behind a pattern for all',
    [http([at('/a')], [pattern('/.*')], [exact('/b')])],
    ['r spec.rules[0] by spec.rules[1].matches[0]'],
  ],
  ['a pattern that may take less', [http([at('/a')], [pattern('/a.*')])], []],
  [
    'the same pattern twice',
    [http([pattern('/a.*')], [pattern('/a.*')])],
    ['r spec.rules[1] by spec.rules[0].matches[0]'],
  ],
  ['everything twice', [http([]), other({ rules: [{}] })], ['s spec.rules[0] by spec.rules[0].matches[0]']],
  [
    'another port',
    [http([]), other({ parentRefs: [{ group: '', kind: 'Service', name: 'api', port: 81 }] })],
    ['s spec.rules[0] by spec.rules[0].matches[0]'],
  ],
  [
    'one port of it',
    [other({ parentRefs: [{ group: '', kind: 'Service', name: 'api', port: 81 }] }), httpRoute({}, { name: 't' })],
    [],
  ],
  ['another service', [http([]), other({ parentRefs: [{ group: '', kind: 'Service', name: 'web' }] })], []],
  [
    'one of two services',
    [http([]), other({ parentRefs: ['api', 'web'].map((name) => ({ group: '', kind: 'Service', name })) })],
    [],
  ],
  [
    'callers of another namespace',
    [
      http([]),
      httpRoute(
        { parentRefs: [{ group: '', kind: 'Service', name: 'api', namespace: 'default' }] },
        { namespace: 'web' },
      ),
    ],
    [],
  ],
  [
    'calls twice',
    [
      grpcRoute({
        rules: [
          { matches: [{ method: { service: 'a' } }] },
          { matches: [{ method: { service: 'a', method: 'b' } }, { method: { service: 'a' } }] },
        ],
      }),
    ],
    ['r spec.rules[1].matches[1] by spec.rules[0].matches[0]'],
  ],
  [
    'two rules of a TCPRoute',
    [tcpRoute({ rules: ['a', 'b'].map((name) => ({ backendRefs: [{ name, port: 1 }] })) })],
    ['r spec.rules[1] by spec.rules[0]'],
  ],
];
for (const [what, routes, found] of cases) {
  test(`${what}: ${found.join() || 'nothing'}`, () => {
    deepEqual(
      findUnreachable(routes).map(({ route, path, by }) => `${route.name} ${path} by ${by.split(' ')[1]}`),
      found,
    );
    deepEqual(
      findUnreachable(routes.toReversed())
        .map(({ route, path }) => `${route.name} ${path}`)
        .sort(),
      found.map((each) => each.split(' by ')[0]).sort(),
      'in any order',
    );
  });
}
