/** GRPCRoute and TCPRoute: what is accepted, and where the issues of the rest are. */
import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { parseManifest } from '../../../src/catalog/parse.ts';

const a = { name: 'a', port: 80 };
const many = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
const match = (value: object): object => ({ rules: [{ matches: [value], backendRefs: [a] }] });

const cases: readonly [kind: string, what: string, spec: unknown, paths: readonly string[]][] = [
  ['GRPCRoute', 'nothing', {}, []],
  [
    'GRPCRoute',
    'all that there is',
    {
      parentRefs: [{ group: '', kind: 'Service', name: 'api', port: 7070 }],
      hostnames: ['*.example.com'],
      rules: [
        {
          name: 'one',
          matches: [
            {
              method: { type: 'Exact', service: 'pkg.v1.Orders', method: 'List_2' },
              headers: [{ name: 'V', value: '1' }],
            },
            { method: { service: '.pkg.Orders' } },
            { method: { type: 'RegularExpression', method: 'Get.*' } },
          ],
          filters: [
            { type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: 'a', value: '1' }] } },
            { type: 'ResponseHeaderModifier', responseHeaderModifier: { remove: ['b'] } },
            { type: 'RequestMirror', requestMirror: { backendRef: a, percent: 1 } },
            { type: 'ExtensionRef', extensionRef: { group: 'skein.dev', kind: 'FaultInjection', name: 'x' } },
          ],
          backendRefs: [
            { ...a, weight: 70 },
            { ...a, name: 'b', weight: 0 },
          ],
        },
      ],
    },
    [],
  ],
  ['GRPCRoute', 'an empty method', match({ method: {} }), ['spec.rules[0].matches[0].method']],
  ['GRPCRoute', 'empty names', match({ method: { service: '', method: '' } }), ['spec.rules[0].matches[0].method']],
  [
    'GRPCRoute',
    'a service that is none',
    match({ method: { service: 'a/b' } }),
    ['spec.rules[0].matches[0].method.service'],
  ],
  [
    'GRPCRoute',
    'a method that is none',
    match({ method: { method: 'a.b' } }),
    ['spec.rules[0].matches[0].method.method'],
  ],
  [
    'GRPCRoute',
    'a bad pattern',
    match({ method: { type: 'RegularExpression', method: '(' } }),
    ['spec.rules[0].matches[0].method.method'],
  ],
  ['GRPCRoute', 'a path', match({ path: { value: '/' } }), ['spec.rules[0].matches[0].path']],
  [
    'GRPCRoute',
    'a rewrite',
    { rules: [{ filters: [{ type: 'URLRewrite', urlRewrite: {} }] }] },
    ['spec.rules[0].filters[0].type'],
  ],
  [
    'GRPCRoute',
    'a filter twice',
    { rules: [{ filters: many(2, () => ({ type: 'RequestHeaderModifier', requestHeaderModifier: {} })) }] },
    ['spec.rules[0].filters'],
  ],
  ['GRPCRoute', 'a timeout', { rules: [{ timeouts: {} }] }, ['spec.rules[0].timeouts']],
  ['GRPCRoute', '17 rules', { rules: many(17, () => ({})) }, ['spec.rules']],
  ['GRPCRoute', '129 matches', { rules: many(3, () => ({ matches: many(43, () => ({})) })) }, ['spec.rules']],
  ['GRPCRoute', 'a name twice', { rules: [{ name: 'x' }, { name: 'x' }] }, ['spec.rules']],
  [
    'GRPCRoute',
    'a service without port',
    { rules: [{ backendRefs: [{ name: 'a' }] }] },
    ['spec.rules[0].backendRefs[0]'],
  ],
  ['TCPRoute', 'two rules', { rules: [{ name: 'x', backendRefs: [{ ...a, weight: 90 }] }, { backendRefs: [a] }] }, []],
  ['TCPRoute', 'nothing', undefined, ['spec']],
  ['TCPRoute', 'no rules', { rules: [] }, ['spec.rules']],
  ['TCPRoute', 'a rule without backends', { rules: [{}] }, ['spec.rules[0].backendRefs']],
  ['TCPRoute', 'an empty list of them', { rules: [{ backendRefs: [] }] }, ['spec.rules[0].backendRefs']],
  ['TCPRoute', '17 backends', { rules: [{ backendRefs: many(17, () => a) }] }, ['spec.rules[0].backendRefs']],
  ['TCPRoute', 'matches', { rules: [{ matches: [], backendRefs: [a] }] }, ['spec.rules[0].matches']],
  ['TLSRoute', 'a kind that this version does not have', { rules: [] }, ['kind']],
];
for (const [kind, what, spec, expected] of cases) {
  test(`${kind}: ${what}`, () => {
    const parsed = parseManifest({ kind, metadata: { name: 'x' }, spec });
    deepEqual('value' in parsed ? [] : parsed.issues.map(({ path }) => path), expected);
  });
}
