/** Status of resources: every reason with what brings it about, and conditions that follow the catalogue and know since when. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import {
  type AncestorStatus,
  type DatedCondition,
  type ParentStatus,
  summarizeStatus,
} from '../../../src/catalog/condition.ts';
import type { AppProtocol, Endpoint } from '../../../src/catalog/endpoint.ts';
import { type Manifest, type Resource, resourceKey } from '../../../src/catalog/resource.ts';
import { Snapshot } from '../../../src/catalog/snapshot.ts';
import { StatusBoard } from '../../../src/hub/status-board.ts';
import { nodePlatform } from '../../../src/runtime/node/platform.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { manifest } from '../../support/routes.ts';

const { sha256 } = nodePlatform().crypto;

/** A catalogue whose every change the board is told of, a minute after the one before. */
class Bench {
  readonly clock = new VirtualClock();
  readonly board = new StatusBoard(this.clock);
  snapshot = Snapshot.empty(1);
  readonly #startMs = this.clock.epochMs();

  put(...upserts: Resource[]): void {
    this.#step({ upserts, removals: [] }, upserts.map(resourceKey));
  }

  remove(...removals: string[]): void {
    this.#step({ upserts: [], removals }, removals);
  }

  conditions(resource: Manifest): DatedCondition[] {
    const { parents, ancestors, conditions = [] } = this.board.statusOf(resource) ?? {};
    return [...[...(parents ?? []), ...(ancestors ?? [])].flatMap((each) => each.conditions), ...conditions];
  }

  /** `Accepted`, or every condition that is not good, as `type reason`. */
  faults(resource: Manifest): string[] {
    return this.conditions(resource)
      .filter(({ type, status }) => (status === 'True') === (type === 'PartiallyInvalid'))
      .map(({ type, reason }) => `${type} ${reason}`);
  }

  messages(resource: Manifest): string[] {
    return this.conditions(resource).map(({ message }) => message);
  }

  /** Minutes after the beginning at which each condition became what it is. */
  since(resource: Manifest): number[] {
    return this.conditions(resource).map(
      ({ lastTransitionTime }) => (Date.parse(lastTransitionTime) - this.#startMs) / 60_000,
    );
  }

  #step(change: { upserts: Resource[]; removals: string[] }, keys: string[]): void {
    this.clock.advance(60_000);
    this.snapshot = this.snapshot.with(change, sha256, this.snapshot.revision + 1);
    this.board.follow(this.snapshot, keys);
  }
}

function serve(service: string, port = 80, protocol: AppProtocol = 'http', instance = 'i1'): Endpoint {
  const rest = { labels: {}, region: '', zone: '', healthy: true, weight: 1, id: 'spiffe://m/ns/default/sa/x' };
  return { kind: 'Endpoint', service, instance, port, protocol, ...rest };
}

const to = (name: string, more: object = {}): object => ({ backendRefs: [{ name, port: 80, ...more }] });
const http = (rule: object, spec: object = {}, meta: object = {}): Manifest =>
  manifest('HTTPRoute', { rules: [rule], ...spec }, { name: 'http', ...meta });
const tcp = (spec: object = {}): Manifest => manifest('TCPRoute', { rules: [to('db')], ...spec }, { name: 'tcp' });
const parent = (more: object): object => ({ parentRefs: [{ group: '', kind: 'Service', name: 'api', ...more }] });
const mirrored = (name: string): object => ({
  ...to('v1'),
  filters: [{ type: 'RequestMirror', requestMirror: { backendRef: { name, port: 80 } } }],
});
const extended = (kind: string, group = 'skein.dev'): object => ({
  ...to('v1'),
  filters: [{ type: 'ExtensionRef', extensionRef: { group, kind, name: 'x' } }],
});
const exported = (to: string): Manifest => ({
  kind: 'Export',
  metadata: { name: 'e', namespace: 'bank' },
  spec: { from: [{ namespace: 'default' }], to: [{ name: to }] },
});
const fault: Manifest = {
  kind: 'FaultInjection',
  metadata: { name: 'x', namespace: 'default' },
  spec: { abort: { status: 503 } },
};
const policy = (name: string, targets: string[], more: object = {}, creationTimestamp?: string): Manifest => ({
  kind: 'BackendTrafficPolicy',
  metadata: { name, namespace: 'default', ...(creationTimestamp === undefined ? {} : { creationTimestamp }) },
  spec: { targetRefs: targets.map((target) => ({ name: target })), ...more },
});
const rbac = (spec: object): Manifest => ({
  kind: 'AuthorizationPolicy',
  metadata: { name: 'p', namespace: 'default' },
  spec,
});

/** In a mesh where api, v1 and pay.bank take requests at 80, and db connections at 80. */
const cases: readonly [what: string, resource: Manifest, faults: readonly string[], beside?: readonly Resource[]][] = [
  ['all is well', http(to('v1')), []],
  ['a port that is there', http(to('v1'), parent({ port: 80 })), []],
  ['a service that nobody serves', http(to('v1'), parent({ name: 'nobody' })), ['Accepted NoMatchingParent']],
  ['a port that nobody serves', http(to('v1'), parent({ port: 81 })), ['Accepted NoMatchingParent']],
  ['a section', http(to('v1'), parent({ sectionName: 'http' })), ['Accepted NoMatchingParent']],
  ['a Gateway alone', http(to('v1'), { parentRefs: [{ name: 'g' }] }), []],
  ['requests where connections are taken', http(to('v1'), parent({ name: 'db' })), ['Accepted NotAllowedByListeners']],
  ['connections where requests are taken', tcp(), ['Accepted NotAllowedByListeners']],
  ['connections to connections', tcp(parent({ name: 'db' })), []],
  [
    'a more particular kind beside it',
    http(to('v1')),
    ['Accepted Conflicted'],
    [manifest('GRPCRoute', { rules: [to('v1')] })],
  ],
  ['a less particular kind beside it', http(to('v1')), [], [tcp()]],
  [
    'a more particular kind at another port',
    http(to('v1')),
    [],
    [manifest('GRPCRoute', { ...parent({ port: 81 }), rules: [to('v1')] })],
  ],
  [
    'a more particular kind for callers of another namespace',
    http(to('v1')),
    [],
    [manifest('GRPCRoute', { ...parent({ namespace: 'default' }), rules: [to('v1')] }, { namespace: 'web' })],
  ],
  ['a backend that nobody serves', http(to('nobody')), ['ResolvedRefs BackendNotFound']],
  ['a port of a backend that nobody serves', http(to('v1', { port: 81 })), ['ResolvedRefs BackendNotFound']],
  ['a backend of another kind', http(to('v1', { kind: 'Bucket', group: 's3' })), ['ResolvedRefs InvalidKind']],
  ['a backend that takes connections', http(to('db')), ['ResolvedRefs UnsupportedProtocol']],
  [
    'a backend that takes requests',
    tcp({ ...parent({ name: 'db' }), rules: [to('v1')] }),
    ['ResolvedRefs UnsupportedProtocol'],
  ],
  ['a backend elsewhere', http(to('pay', { namespace: 'bank' })), ['ResolvedRefs RefNotPermitted']],
  ['a backend elsewhere that nobody serves', http(to('no', { namespace: 'bank' })), ['ResolvedRefs RefNotPermitted']],
  ['a backend elsewhere that is exported', http(to('pay', { namespace: 'bank' })), [], [exported('pay')]],
  [
    'a backend elsewhere beside one that is exported',
    http(to('pay', { namespace: 'bank' })),
    ['ResolvedRefs RefNotPermitted'],
    [exported('ledger')],
  ],
  ['copies to nobody', http(mirrored('nobody')), ['ResolvedRefs BackendNotFound']],
  ['a filter that is not there', http(extended('FaultInjection')), ['ResolvedRefs BackendNotFound']],
  ['a filter that is there', http(extended('FaultInjection')), [], [fault]],
  ['code of a member', http(extended('Middleware')), []],
  ['a filter of others', http(extended('Wasm', 'istio.io')), ['ResolvedRefs InvalidKind']],
  ['what nobody can read', http({ fromTheFuture: 1 }), ['Accepted UnsupportedValue']],
  ['a policy for all', rbac({ allow: [{}] }), []],
  ['a policy for nobody', rbac({ targets: [{ service: 'nobody' }], allow: [{}] }), ['Accepted TargetNotFound']],
  ['a policy for one of two', rbac({ targets: [{ service: 'nobody' }, { service: 'api' }], allow: [{}] }), []],
  ['a policy that nobody can read', rbac({ fromTheFuture: 1 }), ['Accepted UnsupportedValue']],
  ['an export', exported('pay'), []],
  ['an export of what is not there', exported('ledger'), ['ResolvedRefs BackendNotFound']],
  ['a filter', fault, []],
  ['a traffic policy', policy('p', ['api']), []],
  ['a traffic policy for nobody', policy('p', ['api', 'nobody']), ['Accepted TargetNotFound']],
  [
    'a traffic policy beside one that is first by name',
    policy('p', ['api']),
    ['Accepted Conflicted'],
    [policy('a', ['api'])],
  ],
  [
    'a traffic policy beside a younger one',
    policy('p', ['api'], {}, '2026-01-01T00:00:00.000Z'),
    [],
    [policy('a', ['api'], {}, '2026-01-02T00:00:00.000Z')],
  ],
];
for (const [what, resource, faults, beside = []] of cases) {
  test(`${resource.kind}: ${what} is ${faults.join(', ') || 'Accepted'}`, () => {
    const present = [serve('api.default'), serve('v1.default'), serve('pay.bank'), serve('db.default', 80, 'tcp')];
    const bench = new Bench();
    bench.put(...present, ...beside, resource);
    deepEqual(bench.faults(resource), faults, bench.messages(resource).join('\n'));
    // In whatever order they come.
    const later = new Bench();
    later.put(resource);
    for (const each of [...beside, ...present].reverse()) later.put(each);
    deepEqual(later.faults(resource), faults, later.messages(resource).join('\n'));
    deepEqual(later.messages(resource), bench.messages(resource));
    const earlier = new Bench();
    for (const each of [...beside, ...present]) earlier.put(each);
    earlier.put(resource);
    deepEqual(earlier.messages(resource), bench.messages(resource));
  });
}

test('a status has the form of Gateway API', () => {
  const bench = new Bench();
  const route = http(to('v1'), parent({ port: 80 }), { generation: 3 } as object);
  bench.put(serve('api.default'), route);
  const at = { observedGeneration: 3, lastTransitionTime: new Date(bench.clock.epochMs()).toISOString() };
  deepEqual(bench.board.statusOf(route), {
    parents: [
      {
        parentRef: { group: '', kind: 'Service', name: 'api', port: 80 },
        controllerName: 'skein.dev/mesh',
        conditions: [
          {
            type: 'Accepted',
            status: 'True',
            reason: 'Accepted',
            message: 'holds for every caller of api.default',
            ...at,
          },
          {
            type: 'ResolvedRefs',
            status: 'False',
            reason: 'BackendNotFound',
            message: 'spec.rules[0].backendRefs[0]: nobody serves v1.default',
            ...at,
          },
        ],
      },
    ],
  });
  const [parentStatus] = (bench.board.statusOf(route)?.parents ?? []) as [ParentStatus];
  deepEqual(Object.keys(parentStatus), ['parentRef', 'controllerName', 'conditions']);
  bench.put(policy('p', ['api']));
  const [ancestor] = (bench.board.statusOf(policy('p', ['api']))?.ancestors ?? []) as [AncestorStatus];
  deepEqual(ancestor.ancestorRef, { group: '', kind: 'Service', namespace: 'default', name: 'api' });
});

test('a condition changes with what it depends on, and remembers since when', () => {
  const bench = new Bench();
  const route = http(to('v1'));
  bench.put(serve('api.default')); // minute 1
  bench.put(route);
  deepEqual([bench.faults(route), bench.since(route)], [['ResolvedRefs BackendNotFound'], [2, 2]]);
  bench.put(serve('v1.default')); // 3
  deepEqual([bench.faults(route), bench.since(route)], [[], [2, 3]]);
  bench.put(serve('v1.default', 80, 'http', 'i2'), serve('other.default')); // 4: another instance changes nothing
  bench.remove('Endpoint/v1.default/i1/80'); // 5
  deepEqual([bench.faults(route), bench.since(route)], [[], [2, 3]]);
  bench.remove('Endpoint/v1.default/i2/80'); // 6
  deepEqual([bench.faults(route), bench.since(route)], [['ResolvedRefs BackendNotFound'], [2, 6]]);
  const other = http(to('v2'));
  bench.put(other); // 7: another reason, the same status
  deepEqual([bench.faults(other), bench.since(other)], [['ResolvedRefs BackendNotFound'], [2, 6]]);
  bench.remove('HTTPRoute/default/http'); // 8
  equal(bench.board.statusOf(route), undefined);
  bench.put(route); // 9
  deepEqual(bench.since(route), [9, 9]);
});

test('of a route that cannot be read any more the last version holds, and its status says so', () => {
  const bench = new Bench();
  const unread = http({ fromTheFuture: 1 });
  bench.put(serve('api.default'), serve('v1.default'), http(to('v1')));
  bench.put(unread);
  deepEqual(bench.faults(unread), ['PartiallyInvalid UnsupportedValue']);
  const [, , message] = bench.messages(unread);
  equal(
    message,
    'Fall Back to the last version that can be read: spec.rules[0].fromTheFuture: is not a member that this version knows',
  );
  bench.remove('Endpoint/v1.default/i1/80');
  deepEqual(bench.faults(unread), ['ResolvedRefs BackendNotFound', 'PartiallyInvalid UnsupportedValue']);
  bench.put(http(to('v1')));
  deepEqual(bench.faults(unread), ['ResolvedRefs BackendNotFound']);
});

test('a change of one of many routes of a service reads each of them a few times, however many there are', () => {
  const bench = new Bench();
  let reads = 0;
  const routes = Array.from({ length: 300 }, (_, i) => {
    const { kind, ...rest } = http(to('v1'), {}, { name: `r${i}` });
    return {
      ...rest,
      get kind() {
        reads++;
        return kind;
      },
    };
  });
  bench.put(serve('api.default'), serve('v1.default'), ...routes);
  reads = 0;
  bench.put(http(to('v2'), {}, { name: 'r0' }));
  ok(reads <= 20 * routes.length, `${reads} reads of ${routes.length} routes`);
});

test('in a few words a status is what is wrong with it', () => {
  const bench = new Bench();
  const route = http(to('v1'), {
    parentRefs: [80, 81].map((port) => ({ group: '', kind: 'Service', name: 'api', port })),
  });
  const words = (resource: Manifest): string => summarizeStatus(bench.board.statusOf(resource) ?? {});
  bench.put(serve('api.default'), route);
  equal(words(route), 'BackendNotFound, NoMatchingParent');
  bench.put(serve('api.default', 81), serve('v1.default'));
  equal(words(route), 'Accepted');
  const foreign = http(to('v1'), { parentRefs: [{ name: 'gateway' }] });
  bench.put(foreign);
  equal(words(foreign), 'Unattached');
  equal(words(rbac({})), '');
});
