/** Export: what is accepted, and which references across namespaces it permits. */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { Exports, parseExport } from '../../../src/catalog/export.ts';
import { valueOrThrow } from '../../../src/catalog/issue.ts';
import { parseManifest } from '../../../src/catalog/parse.ts';

const FROM = [{ namespace: 'web' }];
const TO = [{ name: 'api' }];

const specs: readonly [spec: unknown, paths: readonly string[]][] = [
  [{ from: FROM, to: TO }, []],
  [{ from: [{ namespace: '*' }], to: [{}] }, []],
  [
    {
      from: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: 'web' }],
      to: [{ group: '', kind: 'Service', name: 'api' }],
    },
    [],
  ],
  [undefined, ['spec']],
  [{}, ['spec.from', 'spec.to']],
  [{ from: [], to: [] }, ['spec.from', 'spec.to']],
  [{ from: FROM }, ['spec.to']],
  [{ from: [{}], to: TO }, ['spec.from[0].namespace']],
  [{ from: [{ namespace: 'We b' }], to: TO }, ['spec.from[0].namespace']],
  [{ from: [{ group: 'apps', namespace: 'web' }], to: TO }, ['spec.from[0].group']],
  [{ from: FROM, to: [{ kind: 'Secret' }] }, ['spec.to[0].kind']],
  [{ from: FROM, to: [{ group: 'x', name: '' }] }, ['spec.to[0].group', 'spec.to[0].name']],
  [{ from: Array(17).fill(FROM[0]), to: TO }, ['spec.from']],
  [{ from: FROM, to: TO, more: 1 }, ['spec.more']],
];
for (const [spec, paths] of specs) {
  test(`Export ${JSON.stringify(spec)?.slice(0, 90)}: ${paths.length === 0 ? 'accepted' : paths.join(', ')}`, () => {
    const parsed = parseManifest({ kind: 'Export', metadata: { name: 'x', namespace: 'shop' }, spec });
    deepEqual('value' in parsed ? [] : parsed.issues.map(({ path }) => path), paths);
  });
}

const exportsOf = (...list: readonly object[]): Exports =>
  new Exports(
    list.map((spec, i) =>
      valueOrThrow(parseExport({ kind: 'Export', metadata: { name: `e${i}`, namespace: 'shop' }, spec }), 'export'),
    ),
  );

const cases: readonly [spec: object, kind: string, from: string, service: string, permitted: boolean][] = [
  [{ from: FROM, to: TO }, 'HTTPRoute', 'web', 'api.shop', true],
  [{ from: FROM, to: TO }, 'TCPRoute', 'web', 'api.shop', true],
  [{ from: FROM, to: TO }, 'HTTPRoute', 'web', 'db.shop', false],
  [{ from: FROM, to: TO }, 'HTTPRoute', 'other', 'api.shop', false],
  [{ from: FROM, to: TO }, 'HTTPRoute', 'web', 'api.bank', false],
  [{ from: FROM, to: TO }, 'HTTPRoute', 'shop', 'db.shop', true],
  [{ from: FROM, to: [{}] }, 'HTTPRoute', 'web', 'db.shop', true],
  [{ from: [{ namespace: '*' }], to: TO }, 'HTTPRoute', 'anywhere', 'api.shop', true],
  [{ from: [{ kind: 'HTTPRoute', namespace: 'web' }], to: TO }, 'HTTPRoute', 'web', 'api.shop', true],
  [{ from: [{ kind: 'HTTPRoute', namespace: 'web' }], to: TO }, 'GRPCRoute', 'web', 'api.shop', false],
];
for (const [spec, kind, from, service, permitted] of cases) {
  test(`${JSON.stringify(spec)} ${permitted ? 'permits' : 'does not permit'} a ${kind} of ${from} to refer to ${service}`, () => {
    equal(exportsOf(spec).permits(kind, from, service), permitted);
    equal(exportsOf({ from: [{ namespace: 'nobody' }], to: [{}] }, spec).permits(kind, from, service), permitted);
  });
}
