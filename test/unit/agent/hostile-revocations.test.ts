/** Revocations are the issuer's word: a hub that hands them on can neither add to them, nor unsay one, nor bring back an old list. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { joinAsHub } from '../../../src/agent/hub-membership.ts';
import type { SignedRevocations } from '../../../src/auth/signed-revocations.ts';
import { splitRevocations } from '../../../src/control/revocation-parts.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { MemoryStore } from '../../../src/hub/store/memory.ts';
import { printFigures } from '../../support/figures.ts';
import { HONEST, HostileHubLab } from '../../support/hostile-hub.ts';
import { RecordingHandler } from '../../support/http.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

const KEY = 'hub/revocations';
const WEB = 'spiffe://skein.mesh/ns/default/sa/web';
const OLD = 'spiffe://skein.mesh/ns/default/sa/old';
const A = 'ws://10.0.0.1:7000';
const B = 'ws://10.0.0.1:7001';

/** What a hub may make of the list that the issuer has signed. */
const BENDS: Readonly<Record<string, (list: SignedRevocations, before: SignedRevocations) => object>> = {
  'adds somebody': (list) => ({ ...list, number: list.number + 1, entries: [...list.entries, { id: WEB }] }),
  'adds somebody without the issuer': ({ number }) => ({ number: number + 1, entries: [{ id: WEB }] }),
  'takes somebody away': ({ number, head }) => ({ number: number + 1, entries: [], head }),
  'takes somebody away under the same number': ({ number, head }) => ({ number, entries: [], head }),
  'revokes one key less than all': ({ number, head, entries }) => ({
    ...{ number: number + 1, head },
    entries: entries.map((entry) => ({ ...entry, joinedUntilMs: 1 })),
  }),
  'shows the word of the issuer on another list': ({ number, entries }, before) => ({
    number: number + 1,
    entries,
    head: before.head,
  }),
};

async function startLab(t: TestContext) {
  const lab = await HostileHubLab.start(t);
  await lab.join('pay', true);
  await lab.join('web', false);
  await lab.connected();
  const revoke = (id: string) => lab.mesh.admin('revocations', { body: { id } });
  await revoke('spiffe://skein.mesh/ns/default/sa/older');
  const { identity } = lab.get('web').agent;
  await lab.mesh.until(() => identity.signedRevocations !== undefined);
  const before = identity.signedRevocations as SignedRevocations;
  await revoke(OLD);
  await lab.mesh.until(() => identity.signedRevocations !== before);
  return { lab, before, list: identity.signedRevocations as SignedRevocations };
}

for (const [how, bend] of Object.entries(BENDS)) {
  test(`A hub that ${how} is not believed, and is told of`, async (t) => {
    const { lab, before, list } = await startLab(t);
    const parts = splitRevocations(bend(list, before) as SignedRevocations);
    for (const channel of lab.publisher.channels) for (const part of parts) channel.push('revocations', part);
    await lab.drive(['web'], ['pay'], 1_000);
    for (const { agent, log } of lab.members.values()) {
      deepEqual(agent.identity.signedRevocations, list);
      const { unsigned, forged } = agent.identity.revocationsRefused;
      deepEqual([unsigned + forged, log.of('revocations-refused').length], [1, 1]);
    }
    await lab.report(`revocations: ${how}`);
    equal(lab.outcome.failed, 0, 'who was not revoked is served');
  });
}

test('A hub that floods with lists and bundles that nobody has signed costs a few checks and lines a second, and delays no revocation', async (t) => {
  const { lab, list } = await startLab(t);
  const { mesh } = lab;
  const fromMs = mesh.clock.monotonicMs();
  const keys = [{ kty: 'EC', crv: 'P-256', kid: 'x', use: 'wit-svid', x: 'x', y: 'y' }];
  for (let i = 1; i <= 2_000; i++) {
    const junk = { number: list.number + i, more: false, head: 'x.y.z', entries: [{ id: WEB }] };
    for (const channel of lab.publisher.channels) {
      channel.push('revocations', junk);
      channel.push('bundle', { bundle: { keys, spiffe_sequence: i } });
    }
  }
  await lab.drive(['web'], ['pay'], 2_000);
  const seconds = (mesh.clock.monotonicMs() - fromMs) / 1_000;
  for (const { name, agent, log } of lab.members.values()) {
    const { revocationsRefused, bundlesRefused } = agent.identity;
    const sum = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((a, b) => a + b, 0);
    const lines = log.of('revocations-refused').length + log.of('bundle-refused').length;
    const looked = [sum(revocationsRefused), sum(bundlesRefused)];
    printFigures('statements of a hub that floods', { member: name, pushed: 4_000, looked, lines });
    for (const count of looked) ok(count > 0 && count <= 21 + 5 * seconds, `${count} were looked at`);
    ok(lines <= 21 + 0.1 * seconds, `${lines} lines`);
  }
  equal(lab.outcome.failed, 0);
  await mesh.admin('revocations', { body: { id: 'spiffe://skein.mesh/ns/default/sa/later' } });
  await mesh.until(
    () => [...lab.members.values()].every(({ agent }) => agent.identity.signedRevocations !== list),
    1_000,
  );
});

test('A hub that brings back an old list of revocations brings back nobody', async (t) => {
  const { lab, before, list } = await startLab(t);
  for (const channel of lab.publisher.channels) {
    for (const part of splitRevocations(before)) channel.push('revocations', part);
  }
  await lab.drive(['web'], ['pay'], 500);
  for (const { agent } of lab.members.values()) deepEqual(agent.identity.signedRevocations, list);
});

test('Who writes revocations to the store has them neither told nor kept: the next change goes on from what was signed', async (t) => {
  const { lab, list } = await startLab(t);
  const { mesh } = lab;
  const line = mesh.store.connect();
  const stored = await mesh.run(line.get(KEY));
  const forged = { ...JSON.parse(stored?.value ?? ''), number: list.number + 1_000_000, entries: [] };
  ok(await mesh.run(line.compareAndSet(KEY, stored?.revision ?? 0, JSON.stringify(forged))));
  await mesh.until(() => mesh.log.of('revocations-unreadable').length >= 2);
  await lab.drive(['web'], ['pay'], 500);
  for (const { agent } of lab.members.values()) deepEqual(agent.identity.signedRevocations, list);
  await mesh.admin('revocations', { body: { id: 'spiffe://skein.mesh/ns/default/sa/later' } });
  await mesh.until(() => lab.get('web').agent.identity.signedRevocations !== list);
  deepEqual(
    lab.get('web').agent.identity.revocations.list.entries.map(({ id }) => id.split('/').at(-1)),
    ['older', 'old', 'later'],
  );
  // A hub that starts on what a stranger has written does not take it for the word of the issuer.
  const now = await mesh.run(line.get(KEY));
  await mesh.run(line.compareAndSet(KEY, now?.revision ?? 0, JSON.stringify({ number: 9e15, entries: [] })));
  await rejects(mesh.startShared(7002), (error) => error instanceof SkeinError && error.code === 'SKEIN_STORE');
  equal(lab.get('web').agent.hubs.find(({ url }) => url === HONEST)?.state, 'connected');
});

test('Who puts an old list back into the store unsays nothing: not by the next change, nor for a hub that starts on it', async (t) => {
  const { lab, before, list } = await startLab(t);
  const { mesh } = lab;
  const { identity } = lab.get('web').agent;
  const line = mesh.store.connect();
  const old = { ...before, entries: before.entries.map((entry) => ({ ...entry, atMs: mesh.clock.epochMs() })) };
  const putBack = async () => {
    const stored = await mesh.run(line.get(KEY));
    ok(await mesh.run(line.compareAndSet(KEY, stored?.revision ?? 0, JSON.stringify(old))));
  };
  await putBack();
  // At once, as it may be read before anybody has put it right.
  await mesh.admin('revocations', { body: { id: 'spiffe://skein.mesh/ns/default/sa/later' } });
  await mesh.until(() => identity.signedRevocations !== list);
  deepEqual(
    identity.revocations.list.entries.map(({ id }) => id.split('/').at(-1)),
    ['older', 'old', 'later'],
  );
  await putBack();
  await mesh.clock.advanceAsync(1_000);
  const { number } = JSON.parse((await mesh.run(line.get(KEY)))?.value ?? '{}');
  equal(number, identity.revocations.list.number);
});

test('A list of a version that signed none is signed by the hub whose folder it is in', async (t) => {
  const mesh = new VirtualMesh(t);
  const store = new MemoryStore();
  const entries = [{ id: OLD, atMs: 1 }];
  await store.compareAndSet(KEY, 0, JSON.stringify({ number: 7, entries }));
  await mesh.startHub({ store });
  const { agent } = await mesh.join(['api']);
  deepEqual(agent.identity.revocations.list.entries, [{ id: OLD }]);
  ok(agent.identity.revocations.list.number > 7);
});

test('A hub that only relays passes on what the issuer has revoked, also after a start without it', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const { text: token } = await mesh.run(mesh.hub.createJoinToken({ services: [], hubRoles: ['relay'] }));
  const membership = await mesh.run(joinAsHub(mesh.platform, { hub: A, token }));
  const store = new MemoryStore();
  const hub = await mesh.startHub({ store }, 7001, mesh.clock, { membership });
  const { agent: api } = await mesh.join(['api'], { hub: [A, B] });
  const handler = new RecordingHandler((request) => request.answer(200, 'ok'));
  await mesh.serve(api, 'api.default', { protocol: 'http', handler });
  // This member has lost the way to the hub that issues.
  let isCut = false;
  const dialWebSocket: typeof mesh.network.dial = (url, options) =>
    isCut && url === A
      ? Promise.reject(new SkeinError('SKEIN_HUB_UNREACHABLE', 'Cannot reach hub'))
      : mesh.network.dial(url, options);
  const made = await mesh.createAgent(
    { token: await mesh.token('ads'), hub: [A, B] },
    { ...mesh.platform, dialWebSocket },
  );
  await mesh.run(made.agent.start());
  await mesh.until(() => made.agent.hubs.every(({ state }) => state === 'connected'));
  isCut = true;
  mesh.network.cut(A);
  await mesh.until(() => made.agent.hubs[0]?.state !== 'connected');
  await mesh.clock.advanceAsync(10_000);
  await mesh.admin('revocations', { body: { id: WEB } });
  await mesh.until(() => made.agent.identity.revocations.list.entries.length === 1, 1_000);
  // Its own list is kept.
  await mesh.run(hub.close());
  const kept = JSON.parse((await store.get(KEY))?.value ?? '{}');
  deepEqual([kept.number, kept.head !== undefined], [made.agent.identity.revocations.list.number, true]);
});
