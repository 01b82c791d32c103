/**
 * A hub, or somebody who writes to its store, that lies about policies and routes: members use what the issuer has sealed and
 * nothing else, keep the last that was, say so, and follow another hub.
 */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Authority } from '../../../src/auth/authority.ts';
import { isEndpoint, type Manifest, type Resource } from '../../../src/catalog/resource.ts';
import type { SealIndex } from '../../../src/catalog/seal-index.ts';
import type { SharedStore } from '../../../src/testing/shared-store.ts';
import { HONEST, HOSTILE, HostileHubLab } from '../../support/hostile-hub.ts';

const ALLOW_ALL = {
  kind: 'AuthorizationPolicy',
  metadata: { name: 'allow-same-namespace', namespace: 'default' },
  spec: { allow: [{}] },
};
const NO_ADS = {
  kind: 'AuthorizationPolicy',
  metadata: { name: 'no-ads', namespace: 'default' },
  spec: { deny: [{ from: [{ ids: ['spiffe://skein.mesh/ns/default/sa/ads'] }] }] },
};
const TEAPOT = {
  kind: 'DirectResponse',
  metadata: { name: 'teapot', namespace: 'default' },
  spec: { status: 418 },
};
const TO_TEAPOT = {
  kind: 'HTTPRoute',
  metadata: { name: 'pay', namespace: 'default' },
  spec: {
    parentRefs: [{ group: '', kind: 'Service', name: 'pay' }],
    rules: [
      {
        filters: [
          { type: 'ExtensionRef', extensionRef: { group: 'skein.dev', kind: 'DirectResponse', name: 'teapot' } },
        ],
      },
    ],
  },
};

function isNamed(resource: Resource, name: string): resource is Manifest {
  return !isEndpoint(resource) && resource.metadata.name === name;
}

/** `pay` is served; `ads` may not call, `web` may. */
async function startLab(t: TestContext): Promise<HostileHubLab> {
  const lab = await HostileHubLab.start(t);
  await lab.mesh.run(lab.mesh.hub.apply([ALLOW_ALL, NO_ADS]));
  await lab.join('pay', true);
  await lab.join('web', false);
  await lab.join('ads', false);
  await lab.connected();
  await lab.drive(['web', 'ads'], ['pay'], 400);
  deepEqual([lab.outcome.answered, lab.outcome.denied, lab.outcome.failed], [2, 2, 0]);
  return lab;
}

const KEY = { kty: 'EC', crv: 'P-256', x: 'A'.repeat(43), y: 'A'.repeat(43), kid: 'evil' };
const EVIL_DOMAIN: Manifest = {
  kind: 'FederatedTrustDomain',
  metadata: { name: 'evil', namespace: 'mesh' },
  spec: { trustDomain: 'evil.example', bundle: { keys: [{ ...KEY, use: 'jwt-svid' }] } },
};
const EVIL_USERS: Manifest = {
  kind: 'RequestAuthentication',
  metadata: { name: 'evil', namespace: 'mesh' },
  spec: { jwtRules: [{ issuer: 'evil', audiences: ['pay'], jwks: { keys: [KEY] } }] },
};

const LIES: Readonly<Record<string, (resource: Resource) => readonly Resource[]>> = {
  'strip-policy': (resource) => (isNamed(resource, 'no-ads') ? [] : [resource]),
  'alter-policy': (resource) => (isNamed(resource, 'no-ads') ? [{ ...resource, spec: { deny: [] } }] : [resource]),
  'add-policy': (resource) =>
    isNamed(resource, 'no-ads')
      ? [
          { ...resource, spec: { shadowDeny: [{}] } },
          { ...resource, metadata: { ...resource.metadata, name: 'more' }, spec: { allow: [{}] } },
        ]
      : [resource],
  'add-trust': (resource) => (isNamed(resource, 'no-ads') ? [resource, EVIL_DOMAIN, EVIL_USERS] : [resource]),
  'add-route': (resource) =>
    isNamed(resource, 'no-ads') ? [resource, TEAPOT as Manifest, TO_TEAPOT as Manifest] : [resource],
};

for (const [name, lie] of Object.entries(LIES)) {
  test(`What a catalogue says that was not sealed is not used (${name})`, async (t) => {
    const lab = await startLab(t);
    lab.publisher.lie(lie);
    await lab.drive(['web', 'ads'], ['pay'], 6_000);
    const { refused } = lab.refusals();
    await lab.report(name, { refused });
    ok((refused.unsealed ?? 0) > 0, 'it is counted');
    equal(lab.logged('catalogue-not-sealed') > 0, true);
    equal(lab.outcome.denied, lab.outcome.asked / 2, 'who was denied is denied');
    equal(lab.outcome.answered, lab.outcome.asked / 2, 'who was allowed is allowed');
    equal(lab.get('pay').agent.hub, HONEST, 'another hub is followed');
    const { trust, authentications } = lab.get('pay').agent.mirror;
    deepEqual([trust.keysOf('evil.example'), authentications.of('pay.default')], [undefined, undefined]);
    // What is sealed comes by the other one.
    await lab.mesh.run(lab.mesh.hub.apply([{ ...NO_ADS, spec: { deny: [] } }]));
    await lab.mesh.clock.advanceAsync(1_000);
    const before = lab.outcome.answered;
    await lab.drive(['ads'], ['pay'], 400);
    equal(lab.outcome.answered, before + 2);
  });
}

test('Who is told nothing that is sealed lets nobody in, and goes to the hub that tells', async (t) => {
  const lab = await HostileHubLab.start(t, (publisher) => publisher.bendSeal(() => undefined));
  await lab.mesh.run(lab.mesh.hub.apply([ALLOW_ALL]));
  await lab.join('pay', true);
  await lab.join('web', false);
  ok(lab.logged('catalogue-not-sealed') > 0);
  await lab.connected();
  await lab.mesh.until(() => ['pay', 'web'].every((name) => lab.get(name).agent.hub === HONEST), 20_000);
  await lab.drive(['web'], ['pay'], 1_000);
  const { refused } = lab.refusals();
  await lab.report('downgrade-seals', { refused });
  ok((refused.unsealed ?? 0) > 0);
  equal(lab.outcome.answered, lab.outcome.asked);
});

test('A seal that was made by somebody else, or goes back, is refused and counted by its cause', async (t) => {
  const lab = await startLab(t);
  const { mesh } = lab;
  const old = lab.publisher.seals.at(-1);
  await mesh.run(mesh.hub.apply([{ ...NO_ADS, spec: { deny: [{}] } }]));
  await mesh.clock.advanceAsync(1_000);
  await lab.drive(['web'], ['pay'], 400);
  equal(lab.outcome.denied, 4, 'nobody may call any more');
  lab.publisher.lie((resource) => (isNamed(resource, 'no-ads') ? [{ ...resource, spec: NO_ADS.spec }] : [resource]));
  lab.publisher.bendSeal(() => old);
  await lab.drive(['web'], ['pay'], 6_000);
  const { refused } = lab.refusals();
  await lab.report('rollback-policy', { refused });
  ok((refused.rollback ?? 0) > 0);
  equal(lab.outcome.answered, 2, 'the calls before');

  const stranger = await mesh.run(Authority.create({ trustDomain: 'skein.mesh', clock: mesh.clock }));
  const index = lab.publisher.seals.at(-1)?.index as SealIndex;
  const claims = { revision: 99, era: 0, index: index.digest, atMs: mesh.clock.epochMs() };
  const head = await mesh.run(stranger.sign('skein-seal+jwt', claims));
  const late = await lab.join('ops', false);
  lab.publisher.bendSeal(() => ({ head, index }));
  await mesh.until(() => (late.agent.mirror.seals?.stats.refused.forged ?? 0) > 0, 5_000);
});

test('A change that is kept back is noticed by the age of the seal', async (t) => {
  const lab = await startLab(t);
  const old = lab.publisher.seals.at(-1);
  lab.publisher.lie((resource) => [resource]);
  lab.publisher.bendSeal(() => old);
  lab.publisher.hold();
  await lab.mesh.run(lab.mesh.hub.apply([{ ...NO_ADS, spec: { deny: [{}] } }]));
  await lab.mesh.clock.advanceAsync(14 * 60_000);
  equal(lab.logged('seal-stale'), 0);
  await lab.mesh.clock.advanceAsync(3 * 60_000);
  equal(lab.logged('seal-stale'), lab.members.size);
  const ages = [...lab.members.values()].map(({ agent }) => agent.mirror.seals?.sealAgeMs ?? 0);
  ok(ages.every((ageMs) => ageMs > 15 * 60_000));
  await lab.report('hold-back', { sealAgeSeconds: Math.round(Math.max(...ages) / 1000) });
});

/** Alters what stands in the store, as who is no hub. */
async function tamper(store: SharedStore, key: string, change: (value: string) => string): Promise<void> {
  const entry = await store.get(key);
  if (entry === undefined) throw new Error(`No "${key}"`);
  await store.compareAndSet(key, entry.revision, change(entry.value));
}

test('Who writes to the store changes no policy: members keep what was sealed, and hubs seal nothing of it', async (t) => {
  const lab = await startLab(t);
  const { mesh } = lab;
  await mesh.run(
    tamper(mesh.store, 'resource/AuthorizationPolicy/default/no-ads', (value) => value.replace('sa/ads', 'sa/xxx')),
  );
  await lab.drive(['web', 'ads'], ['pay'], 6_000);
  const { refused } = lab.refusals();
  await lab.report('write-to-store', { refused });
  ok((refused.unsealed ?? 0) > 0);
  equal(lab.outcome.denied, lab.outcome.asked / 2);

  // Applied anew it is right again, and sealed as what it is.
  await mesh.run(mesh.hub.apply([{ ...NO_ADS, spec: { deny: [] } }]));
  await mesh.clock.advanceAsync(1_000);
  const before = lab.outcome.answered;
  await lab.drive(['ads'], ['pay'], 400);
  equal(lab.outcome.answered, before + 2);

  // A revision that no hub has made is none, and nothing is built on it.
  const [newest] = (await mesh.run(mesh.store.list('revision/'))).slice(-1);
  const forged = JSON.parse(newest?.value ?? '') as { revision: number; seal: string };
  const next = `revision/${String(forged.revision + 1).padStart(12, '0')}`;
  await mesh.run(mesh.store.compareAndSet(next, 0, JSON.stringify({ ...forged, revision: forged.revision + 1 })));
  await rejects(mesh.run(mesh.hub.apply([NO_ADS])), { code: 'SKEIN_CONFLICT' });
  ok(mesh.log.of('revision-not-sealed').length > 0);
});

test('A hub that starts on a store that was altered seals nothing of it, until an operator says that it is right', async (t) => {
  const lab = await startLab(t);
  const { mesh } = lab;
  mesh.kill(HOSTILE);
  mesh.kill(HONEST);
  await mesh.run(
    tamper(mesh.store, 'resource/AuthorizationPolicy/default/no-ads', (value) => value.replace('sa/ads', 'sa/xxx')),
  );
  const hub = await mesh.startShared(7001);
  await mesh.clock.advanceAsync(20_000);
  ok(mesh.log.of('resources-not-sealed').length > 0);
  await rejects(mesh.run(hub.apply([NO_ADS])), { code: 'SKEIN_CONFLICT' });
  const { denied } = lab.outcome;
  await lab.drive(['ads'], ['pay'], 400);
  equal(lab.outcome.denied, denied + 2, 'what was sealed is in force');

  mesh.kill(HONEST);
  await mesh.startShared(7001, { reseal: true });
  await mesh.clock.advanceAsync(20_000);
  const { answered } = lab.outcome;
  await lab.drive(['ads'], ['pay'], 400);
  equal(lab.outcome.answered, answered + 2, 'the word of the operator');
});
