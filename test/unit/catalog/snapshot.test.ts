/** Snapshots, digests, deltas and interest. */

import { deepEqual, equal, notEqual, ok } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { applyDelta, type Delta, diffSnapshots } from '../../../src/catalog/delta.ts';
import { type Sha256, toCanonicalJson } from '../../../src/catalog/digest.ts';
import type { Endpoint } from '../../../src/catalog/endpoint.ts';
import { createInterest, isOfInterest } from '../../../src/catalog/interest.ts';
import { type Manifest, type Resource, resourceKey } from '../../../src/catalog/resource.ts';
import { parseServiceName, tryParseServiceName } from '../../../src/catalog/service.ts';
import { Snapshot } from '../../../src/catalog/snapshot.ts';

const sha256: Sha256 = (...parts) => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

function endpoint(service: string, instance: string, more: Partial<Endpoint> = {}): Endpoint {
  return {
    kind: 'Endpoint',
    service,
    instance,
    id: 'spiffe://mesh.test/ns/default/sa/api',
    port: 80,
    protocol: 'http',
    labels: {},
    region: '',
    zone: '',
    healthy: true,
    weight: 1,
    ...more,
  };
}

function policy(namespace: string, name: string, spec: unknown = {}): Manifest {
  return { kind: 'AuthorizationPolicy', metadata: { namespace, name }, spec };
}

const NAMES: readonly [text: string, key: string | undefined][] = [
  ['api', 'api.default'],
  ['api.shop', 'api.shop'],
  ['a-1.b-2', 'a-1.b-2'],
  ['', undefined],
  ['API', undefined],
  ['api.', undefined],
  ['.shop', undefined],
  ['api.shop.mesh', undefined],
  ['-api', undefined],
  ['api-', undefined],
  ['a_b', undefined],
  ['ä', undefined],
  ['a'.repeat(63), `${'a'.repeat(63)}.default`],
  ['a'.repeat(64), undefined],
];

for (const [text, key] of NAMES) {
  test(`Service name "${text.slice(0, 20)}" is ${key === undefined ? 'refused' : 'read'}`, () => {
    equal(tryParseServiceName(text, 'default')?.key, key);
  });
}

test('A service name without a namespace belongs to default', () => {
  deepEqual(parseServiceName('api'), { name: 'api', namespace: 'default', key: 'api.default' });
});

test('Canonical JSON sorts members, keeps arrays and leaves undefined out', () => {
  equal(toCanonicalJson({ b: [2, { y: 1, x: undefined }], a: 'ü"' }), '{"a":"ü\\"","b":[2,{"y":1}]}');
});

test('The digest depends on contents, not on their order or history', () => {
  const a = endpoint('api.default', 'a');
  const b = endpoint('db.default', 'b');
  const once = Snapshot.empty().with({ upserts: [a, b], removals: [] }, sha256, 1);
  const stepwise = Snapshot.empty()
    .with({ upserts: [b, endpoint('x.default', 'x')], removals: [] }, sha256, 1)
    .with({ upserts: [{ ...a, healthy: false }], removals: ['Endpoint/x.default/x/80'] }, sha256, 2)
    .with({ upserts: [a], removals: ['Endpoint/nobody.default/n/80'] }, sha256, 3);
  equal(once.digest, stepwise.digest);
  notEqual(once.digest, once.with({ upserts: [{ ...a, healthy: false }], removals: [] }, sha256, 2).digest);
  equal(Snapshot.empty().digest, '0'.repeat(32));
});

test('The endpoints of a service stay the same array until one of them changes', () => {
  const a = endpoint('api.default', 'a');
  const before = Snapshot.empty().with({ upserts: [a, endpoint('db.default', 'b')], removals: [] }, sha256, 1);
  const after = before.with({ upserts: [endpoint('db.default', 'c'), { ...a }], removals: [] }, sha256, 2);
  equal(after.endpoints('api.default'), before.endpoints('api.default'));
  equal(after.endpoints('db.default').length, 2);
  const gone = after.with({ upserts: [], removals: ['Endpoint/api.default/a/80'] }, sha256, 3);
  equal(gone.service('api.default'), undefined);
  deepEqual(gone.endpoints('api.default'), []);
  equal(before.endpoints('api.default').length, 1);
});

test('One instance may serve a service on two ports', () => {
  const snapshot = Snapshot.empty().with(
    { upserts: [endpoint('api.default', 'a'), endpoint('api.default', 'a', { port: 81 })], removals: [] },
    sha256,
    1,
  );
  equal(snapshot.endpoints('api.default').length, 2);
});

test('Manifests are listed by kind in the order of their keys', () => {
  const snapshot = Snapshot.empty().with(
    { upserts: [policy('shop', 'b'), policy('default', 'z'), policy('shop', 'a')], removals: [] },
    sha256,
    1,
  );
  deepEqual(snapshot.manifests('AuthorizationPolicy').map(resourceKey), [
    'AuthorizationPolicy/default/z',
    'AuthorizationPolicy/shop/a',
    'AuthorizationPolicy/shop/b',
  ]);
  deepEqual(snapshot.manifests('HTTPRoute'), []);
});

const base = Snapshot.empty(7, 3).with({ upserts: [endpoint('api.default', 'a')], removals: [] }, sha256, 4);
const next = base.with({ upserts: [endpoint('api.default', 'b')], removals: [] }, sha256, 6);
const delta: Delta = { ...diffSnapshots(base, next), epoch: 7, revision: 6, base: 4, digest: next.digest, full: false };

const DIVERGENCES: readonly [name: string, delta: Delta, divergence: string | undefined][] = [
  ['the next step', delta, undefined],
  ['another epoch', { ...delta, epoch: 8 }, 'epoch'],
  ['a lost step', { ...delta, base: 5 }, 'gap'],
  ['a step twice', { ...delta, base: 3 }, 'gap'],
  ['other contents', { ...delta, upserts: [] }, 'digest'],
  [
    'a whole catalogue of another epoch',
    { ...delta, epoch: 8, base: 0, full: true, digest: onlyB().digest },
    undefined,
  ],
  ['a whole catalogue with a wrong digest', { ...delta, full: true }, 'digest'],
];

function onlyB(): Snapshot {
  return Snapshot.empty().with({ upserts: [endpoint('api.default', 'b')], removals: [] }, sha256, 1);
}

for (const [name, each, divergence] of DIVERGENCES) {
  test(`Applying ${name}: ${divergence ?? 'fits'}`, () => {
    const applied = applyDelta(base, each, sha256);
    equal(applied.divergence, divergence);
    if (applied.snapshot !== undefined)
      deepEqual([applied.snapshot.revision, applied.snapshot.digest], [6, each.digest]);
  });
}

test('A whole catalogue keeps what did not change', () => {
  const whole = Snapshot.empty(8).with({ upserts: [endpoint('api.default', 'a')], removals: [] }, sha256, 1, 8);
  const applied = applyDelta(
    base,
    { ...diffSnapshots(Snapshot.empty(), whole), epoch: 8, revision: 1, base: 0, digest: whole.digest, full: true },
    sha256,
  );
  equal(applied.snapshot?.endpoints('api.default'), base.endpoints('api.default'));
});

const SPHERE: readonly [resource: Resource, interesting: boolean][] = [
  [endpoint('api.shop', 'a'), true],
  [endpoint('db.shop', 'a'), false],
  [endpoint('web.default', 'a'), false],
  [policy('default', 'p'), true],
  [policy('mesh', 'p'), true],
  [policy('shop', 'p'), false],
  [route('shop', { name: 'api' }), true],
  [route('shop', { name: 'db' }, { name: 'api', port: 80 }), true],
  [route('shop', { name: 'db' }), false],
  [route('shop', { name: 'api', kind: 'Gateway', group: 'gateway.networking.k8s.io' }), false],
  // A route of the member's own namespace for a service of others, and one of a third for the same.
  [route('default', { name: 'api', namespace: 'shop' }), true],
  [route('other', { name: 'api', namespace: 'shop' }), false],
  [route('default', { name: 'api' }), false],
  // Exports to the namespaces where routes for the member are, and policies for the services it calls.
  [exported('bank', 'shop'), true],
  [exported('bank', 'default'), true],
  [exported('bank', '*'), true],
  [exported('bank', 'other'), false],
  [trafficPolicy('shop', 'api'), true],
  [trafficPolicy('shop', 'db'), false],
  [trafficPolicy('default', 'api'), false],
  // What callers of its own services may do, it sees to itself.
  [trafficPolicy('default', 'web'), true],
  // What cannot be read names nothing.
  [route('shop', 'api'), false],
  [{ kind: 'HTTPRoute', metadata: { namespace: 'shop', name: 'r' } }, false],
  [{ kind: 'HTTPRoute', metadata: { namespace: 'shop', name: 'r' }, spec: { parentRefs: {} } }, false],
];

function route(namespace: string, ...refs: readonly (string | object)[]): Manifest {
  const parentRefs = refs.map((ref) => (typeof ref === 'string' ? ref : { group: '', kind: 'Service', ...ref }));
  return { kind: 'HTTPRoute', metadata: { namespace, name: 'r' }, spec: { parentRefs } };
}

function exported(namespace: string, to: string): Manifest {
  return { kind: 'Export', metadata: { namespace, name: 'e' }, spec: { from: [{ namespace: to }], to: [{}] } };
}

function trafficPolicy(namespace: string, target: string): Manifest {
  return { kind: 'BackendTrafficPolicy', metadata: { namespace, name: 'p' }, spec: { targetRefs: [{ name: target }] } };
}

test('Interest covers the services called with their routes, and the policies of the services served', () => {
  const interest = createInterest(['api.shop'], ['web.default'], 'default');
  for (const [resource, interesting] of SPHERE) {
    equal(isOfInterest(interest, resource), interesting, resourceKey(resource));
  }
});

const anyResource: fc.Arbitrary<Resource> = fc.oneof(
  fc
    .record({
      service: fc.constantFrom('a.default', 'b.default', 'c.shop'),
      instance: fc.constantFrom('1', '2', '3'),
      healthy: fc.boolean(),
      weight: fc.integer({ min: 1, max: 3 }),
    })
    .map(({ service, instance, healthy, weight }) => endpoint(service, instance, { healthy, weight })),
  fc
    .record({ name: fc.constantFrom('p', 'q'), spec: fc.jsonValue({ maxDepth: 2 }) })
    .map(({ name, spec }) => policy('default', name, spec)),
);

test('Any two catalogues: the difference leads from one to the other, and nowhere else', () => {
  fc.assert(
    fc.property(fc.array(anyResource), fc.array(anyResource), (before, after) => {
      const a = Snapshot.empty(1).with({ upserts: before, removals: [] }, sha256, 1);
      const b = Snapshot.empty(1).with({ upserts: after, removals: [] }, sha256, 2);
      const change = diffSnapshots(a, b);
      const step = { ...change, epoch: 1, revision: 2, base: 1, digest: b.digest, full: false };
      const applied = applyDelta(a, step, sha256);
      ok(applied.snapshot !== undefined);
      deepEqual(diffSnapshots(applied.snapshot, b), { upserts: [], removals: [] });
      equal(a.digest === b.digest, change.upserts.length + change.removals.length === 0);
    }),
  );
});
