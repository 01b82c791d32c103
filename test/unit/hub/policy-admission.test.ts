/** Policies at the door of the hub: their tests, those of others, rules that deny what they cannot look into. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { Endpoint } from '../../../src/catalog/endpoint.ts';
import { resourceKey } from '../../../src/catalog/resource.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import type { Resources } from '../../../src/hub/resources.ts';
import { MemoryStore } from '../../../src/hub/store/memory.ts';
import { openResources } from '../../support/resources.ts';

const WEB = 'spiffe://skein.mesh/ns/default/sa/web';
const EVE = 'spiffe://skein.mesh/ns/default/sa/eve';

const policy = (name: string, spec: object, namespace = 'default') => ({
  kind: 'AuthorizationPolicy',
  metadata: { name, namespace },
  spec,
});

/** Only the caller `web` may, as its tests say. */
const ONLY_WEB = policy('only-web', {
  targets: [{ service: 'api' }],
  allow: [{ from: [{ ids: [WEB] }] }],
  tests: [
    { from: WEB, request: { path: '/orders' }, expect: 'allow' },
    { from: EVE, request: { path: '/orders' }, expect: 'deny' },
  ],
});

/** Path and message of each issue. */
async function issuesOf(change: Promise<unknown>): Promise<string[]> {
  const error = await change.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  ok(error instanceof SkeinError, String(error));
  equal(error.code, 'SKEIN_RESOURCE_INVALID');
  return (error.details.issues as { resource?: string; path: string; message: string }[]).map(
    ({ resource, path, message }) => `${resource === undefined ? '' : `${resource} `}${path}: ${message}`,
  );
}

async function stateOf(resources: Resources): Promise<string[]> {
  return (await resources.list()).map(resourceKey);
}

test('A policy whose tests fail is not taken, nor is anything that comes with it; each failing test is listed', async () => {
  const { resources } = await openResources(new MemoryStore());
  const wrong = policy('wrong', {
    targets: [{ service: 'api', ports: [8080] }],
    deny: [{ to: [{ paths: ['/admin*'] }] }],
    allow: [{ from: [{ namespaces: ['default'] }] }],
    tests: [
      { from: WEB, request: {}, expect: 'allow' },
      { from: WEB, request: { path: '/Admin' }, expect: 'allow' },
      { from: 'spiffe://skein.mesh/ns/shop/sa/web', request: {}, expect: 'allow' },
      { from: EVE, request: {}, expect: 'deny' },
      { from: EVE, port: 80, request: {}, expect: 'deny' },
    ],
  });
  deepEqual(await issuesOf(resources.apply([policy('other', { allow: [{}], targets: [{ service: 'web' }] }), wrong])), [
    `[1].spec.tests[1]: ${WEB} to api.default: expected allow, denied by AuthorizationPolicy/default/wrong deny[0]`,
    '[1].spec.tests[2]: spiffe://skein.mesh/ns/shop/sa/web to api.default: expected allow, denied by no rule that allows it',
    `[1].spec.tests[3]: ${EVE} to api.default: expected deny, allowed by AuthorizationPolicy/default/wrong allow[0]`,
  ]);
  deepEqual(await stateOf(resources), []);
});

test('Tests judge all policies as they would be after the change, those of the mesh and of the same change included', async () => {
  const { resources } = await openResources(new MemoryStore());
  const guarded = policy('guarded', {
    targets: [{ service: 'api' }],
    allow: [{}],
    tests: [{ from: EVE, request: { method: 'DELETE' }, expect: 'deny' }],
  });
  equal((await issuesOf(resources.apply([guarded]))).length, 1);
  const guard = policy('guard', { deny: [{ to: [{ methods: ['DELETE'] }] }] }, 'mesh');
  equal((await resources.apply([guarded, guard])).results.length, 2);
  const of = { resource: 'AuthorizationPolicy/default/guarded' };
  deepEqual(await issuesOf(resources.delete(['AuthorizationPolicy/mesh/guard'])), [
    `${of.resource} spec.tests[0]: ${EVE} to api.default: expected deny, allowed by AuthorizationPolicy/default/guarded allow[0]`,
  ]);
  // The test goes with its policy.
  await resources.delete(['AuthorizationPolicy/mesh/guard', 'AuthorizationPolicy/default/guarded']);
});

test('A later change that breaks a test of another policy is refused; what was broken before stands in nobody’s way', async () => {
  const { resources } = await openResources(new MemoryStore());
  await resources.apply([ONLY_WEB]);
  const wide = policy('wide', { allow: [{ from: [{ namespaces: ['$same'] }] }] });
  const expected = `AuthorizationPolicy/default/only-web spec.tests[1]: ${EVE} to api.default: expected deny, allowed by AuthorizationPolicy/default/wide allow[0]`;
  deepEqual(await issuesOf(resources.apply([wide])), [expected]);
  deepEqual(await issuesOf(resources.apply([wide], { dryRun: true })), [expected]);
  deepEqual(await stateOf(resources), ['AuthorizationPolicy/default/only-web']);
  // Of another namespace, or for another service, it concerns nobody's test.
  await resources.apply([{ ...wide, metadata: { name: 'wide', namespace: 'shop' } }]);
  await resources.apply([{ ...wide, spec: { ...wide.spec, targets: [{ service: 'web' }] } }]);
  await resources.apply([wide], { ignoreTests: true });
  await resources.apply([policy('more', { deny: [{ from: [{ namespaces: ['shop'] }] }] })]);
  deepEqual(
    (await issuesOf(resources.apply([policy('less', { deny: [{ from: [{ ids: [WEB] }] }] })]))).map((each) =>
      each.slice(0, 52),
    ),
    ['AuthorizationPolicy/default/only-web spec.tests[0]: '],
  );
  await resources.rollback(1);
  deepEqual(await stateOf(resources), ['AuthorizationPolicy/default/only-web']);
});

test('Tests of a policy that audits are judged as though it were in force, and of no mesh as though it were permissive', async () => {
  const { resources } = await openResources(new MemoryStore());
  await resources.apply([policy('open', { permissive: true }, 'mesh'), policy('all', { allow: [{}] })]);
  const trial = (expect: string) =>
    policy('trial', {
      targets: [{ service: 'api' }],
      mode: 'audit',
      deny: [{ to: [{ paths: ['/old/{**}'] }] }],
      tests: [{ from: WEB, request: { path: '/old/x' }, expect }],
    });
  equal((await issuesOf(resources.apply([trial('allow')]))).length, 1);
  await resources.apply([trial('deny')]);
  await resources.delete(['AuthorizationPolicy/default/all']);
  const inMesh = policy('tested', {
    targets: [{ service: 'api' }],
    deny: [],
    tests: [{ from: WEB, request: {}, expect: 'deny' }],
  });
  await resources.apply([inMesh]);
});

test('A test asks with fields, claims, calls of gRPC, or only as a connection', async () => {
  const { resources } = await openResources(new MemoryStore());
  await resources.apply([
    policy('parts', {
      targets: [{ service: 'api' }, { service: 'db', ports: [5432] }],
      allow: [
        { from: [{ claims: { role: ['admin'] } }], to: [{ ports: [80] }] },
        { to: [{ grpc: [{ service: 'a.B' }] }] },
        { to: [{ headers: [{ name: 'x-env', values: ['test'] }] }] },
        { to: [{ ports: [5432] }] },
        { to: [{ hosts: ['api.example'] }] },
      ],
      tests: [
        { service: 'api', from: WEB, request: {}, expect: 'deny' },
        { service: 'api', from: WEB, claims: { role: ['x', 'admin'] }, request: {}, expect: 'allow' },
        { service: 'api', from: WEB, request: { grpc: { service: 'a.B', method: 'C' } }, expect: 'allow' },
        { service: 'api', from: WEB, request: { grpc: { service: 'a.D' } }, expect: 'deny' },
        { service: 'api', from: WEB, request: { headers: [{ name: 'x-env', value: 'test' }] }, expect: 'allow' },
        { service: 'api', from: WEB, request: { host: 'api.example:80' }, expect: 'allow' },
        { service: 'api', from: WEB, expect: 'deny' },
        { service: 'db', from: WEB, expect: 'allow' },
        { service: 'db', from: WEB, port: 5433, expect: 'deny' },
      ],
    }),
  ]);
});

test('A rule that denies by requests where bytes are taken is an error when it can mean nothing else, else a warning', async () => {
  const { resources, publisher } = await openResources(new MemoryStore());
  const serve = (name: string, port: number, protocol: Endpoint['protocol']): void => {
    const endpoint: Endpoint = {
      ...{ kind: 'Endpoint' as const, service: `${name}.default`, instance: `${name}-${port}`, port, protocol },
      ...{ id: WEB, region: '', zone: '', labels: {}, healthy: true, weight: 1 },
    };
    publisher.change(resourceKey(endpoint), endpoint);
  };
  serve('db', 5432, 'tcp');
  serve('both', 5432, 'tcp');
  serve('both', 80, 'http');
  const deny = [{ to: [{ methods: ['POST'] }] }];
  const seenIn = async (spec: object): Promise<readonly string[] | undefined> =>
    (await resources.apply([policy('p', spec)], { dryRun: true })).warnings?.map(
      ({ path, message }) => `${path} ${message}`,
    );
  const why = 'where bytes are taken and nothing of a request is seen: name other ports, or no conditions on requests';
  deepEqual(await issuesOf(resources.apply([policy('p', { targets: [{ service: 'db' }], deny })])), [
    `spec.deny[0]: denies every connection to db.default:5432, ${why}`,
  ]);
  const named = { targets: [{ service: 'both', ports: [5432] }], shadowDeny: deny };
  deepEqual(await issuesOf(resources.apply([policy('p', named)], { ignoreTests: true })), [
    `spec.shadowDeny[0]: counts every connection to both.default:5432, ${why}`,
  ]);
  deepEqual(await seenIn({ targets: [{ service: 'both' }], deny }), [
    `spec.deny[0] denies every connection to both.default:5432, ${why}`,
  ]);
  deepEqual(await seenIn({ deny }), [
    `spec.deny[0] denies every connection to db.default:5432, both.default:5432, ${why}`,
  ]);
  for (const fine of [
    { targets: [{ service: 'both', ports: [80] }], deny },
    { deny: [{ to: [{ methods: ['POST'], ports: [80] }] }] },
    { deny: [{ to: [{ methods: ['POST'] }], when: [{ key: 'destination.port', notValues: ['5432'] }] }] },
    { deny: [{}] },
    { targets: [{ service: 'db' }], deny: [{ to: [{ methods: ['POST'] }, { ports: [5432] }] }] },
    { targets: [{ service: 'db' }], allow: deny },
    { targets: [{ service: 'later' }], deny },
  ]) {
    equal(await seenIn(fine), undefined, JSON.stringify(fine));
  }
});

test('A RequestAuthentication that changes what tests come to is judged by them, when it comes and when it goes', async () => {
  const { resources } = await openResources(new MemoryStore());
  const users = {
    kind: 'RequestAuthentication',
    metadata: { name: 'users', namespace: 'default' },
    spec: { jwtRules: [{ issuer: 'https://login.example.com', audiences: ['api'] }] },
  };
  const guests = policy('guests', {
    targets: [{ service: 'api' }],
    allow: [{ from: [{ ids: [WEB] }], when: [{ key: 'request.auth.claims[sub]', notValues: ['*'] }] }],
    tests: [
      { from: WEB, request: { path: '/' }, expect: 'allow' },
      { from: WEB, request: { path: '/' }, claims: { sub: 'alice' }, expect: 'deny' },
    ],
  });
  const denied =
    'spec.tests[0]: spiffe://skein.mesh/ns/default/sa/web to api.default: expected allow, denied by no rule that allows it';
  deepEqual(await issuesOf(resources.apply([guests])), [denied]);
  const { warnings } = await resources.apply([users, guests]);
  equal(warnings, undefined);
  const gone = resources.delete(['RequestAuthentication/default/users']);
  deepEqual(await issuesOf(gone), [`AuthorizationPolicy/default/guests ${denied}`]);
});
