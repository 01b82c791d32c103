/** A signing key that was stolen is removed: what was made with it is worth nothing from then on, and nobody else loses anything. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { toWorkloadId } from '../../../src/core/spiffe-id.ts';
import type { Hub } from '../../../src/hub/hub.ts';
import { SharedStore } from '../../../src/testing/shared-store.ts';
import { folder } from '../../support/folder.ts';
import { RecordingHandler } from '../../support/http.ts';
import { createIdentity, HubClient } from '../../support/hub-client.ts';
import { forgeWit, stealKey } from '../../support/stolen-key.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

const KEYS = 'hub/keys';
const ANNOUNCED_MS = 24 * 3_600_000 + 300_000;

/** Hubs whose SVIDs are signed by a key that can be stolen alone: after a rotation. */
async function start(t: TestContext) {
  const mesh = new VirtualMesh(t);
  const store = new SharedStore();
  const folders = [folder(t), folder(t)] as const;
  const options = (index: 0 | 1) => ({ store: store.connect(), dataFolder: folders[index] });
  const a = await mesh.startHub(options(0), 7001);
  copyFileSync(join(folders[0], 'issuer.json'), join(folders[1], 'issuer.json'));
  mesh.clock.shiftEpoch(ANNOUNCED_MS);
  await mesh.admin('keys/rotate', { body: { now: true } }, a);
  const b = await mesh.startHub(options(1), 7002);
  const stolen = await mesh.run(stealKey(folders[0]));
  const restart = (): Promise<Hub> => mesh.startHub(options(1), 7002);
  const restartFirst = (): Promise<Hub> => mesh.startHub(options(0), 7001);
  return { mesh, a, b, stolen, store, restart, restartFirst };
}

const remove = (mesh: VirtualMesh, hub: Hub, kid: string) => mesh.admin('keys/remove', { body: { kid } }, hub);

test('Members of either hub go on by another key, by themselves and within seconds', async (t) => {
  const { mesh, a, b, stolen } = await start(t);
  const { agent: api } = await mesh.join(['api'], { hub: [a.url, b.url] });
  const { agent: web, log } = await mesh.join(['web'], { hub: [b.url] });
  const handler = new RecordingHandler((request) => request.answer(200, 'ok'));
  await mesh.serve(api, 'api.default', { protocol: 'http', handler });
  await mesh.clock.advanceAsync(1_000);
  equal((await mesh.ask(web, { authority: 'api.mesh' })).outcome, 'ok');
  const atMs = mesh.clock.monotonicMs();
  const { status, answer } = await remove(mesh, a, stolen.thumbprint);
  deepEqual([status, answer.revoked], [200, 0]);
  await mesh.until(
    () => [api, web].every(({ identity }) => !identity.bundle.keys.some(({ kid }) => kid === stolen.thumbprint)),
    5_000,
  );
  await mesh.until(() => log.of('identity-renewed').length === 1 && web.hub !== undefined, 5_000);
  equal((await mesh.ask(web, { authority: 'api.mesh' })).outcome, 'ok');
  ok(mesh.clock.monotonicMs() - atMs < 5_000, `${mesh.clock.monotonicMs() - atMs} ms`);
  ok(log.of('session-closed').length >= 1, 'the session of before has ended');
});

test('Who comes back later with an SVID of that key is known by its own key, with a hub that was started meanwhile too', async (t) => {
  const { mesh, a, b, stolen, restart } = await start(t);
  const { agent, log } = await mesh.join(['api'], { hub: [b.url] });
  await mesh.run(b.close());
  await remove(mesh, a, stolen.thumbprint);
  await mesh.clock.advanceAsync(60_000);
  await restart();
  await mesh.until(() => log.of('identity-renewed').length === 1, 60_000);
  ok(!agent.identity.bundle.keys.some(({ kid }) => kid === stolen.thumbprint));
});

test('An identity that was made with it is nobody: not on its link, not when it comes again, not by what it got for it', async (t) => {
  const { mesh, a, stolen } = await start(t);
  const { agent: api } = await mesh.join(['api'], { hub: [a.url] });
  const id = toWorkloadId('skein.mesh', 'default', 'api');
  const intrude = async () => {
    const identity = { ...(await mesh.run(createIdentity())), id: id.uri };
    identity.wit = await mesh.run(forgeWit(stolen, identity.key, id, ['api.default'], mesh.clock.epochMs()));
    identity.bundle = api.identity.bundle;
    return identity;
  };
  const connect = (identity: Awaited<ReturnType<typeof intrude>>) =>
    mesh.run(HubClient.connect(mesh.platform, a.url, identity));
  const [one, other] = [await intrude(), await intrude()];
  const link = await connect(one);
  const launderer = await connect(other);
  other.wit = (await mesh.run(launderer.channel.call('renew', {}))).wit;
  const { answer } = await remove(mesh, a, stolen.thumbprint);
  equal(answer.revoked, 1, 'the one that had its SVID renewed');
  await mesh.until(() => !link.session.isOpen && !launderer.session.isOpen, 1_000);
  one.bundle = api.identity.bundle;
  other.bundle = api.identity.bundle;
  // The initiator of a handshake has said its last word before it is judged.
  const renew = async (identity: typeof one) => mesh.run((await connect(identity)).channel.call('renew', {}));
  for (const identity of [one, other]) await rejects(renew(identity), { name: 'SkeinError' });
});

test('Who stays by its own key gets no ticket for the SVID of that key: it is judged anew when it comes again', async (t) => {
  const { mesh, a, stolen } = await start(t);
  const member = await mesh.run(createIdentity());
  const { text } = await mesh.run(a.createJoinToken({ services: ['api'] }));
  (await mesh.run(HubClient.connect(mesh.platform, a.url, member, text))).close();
  const client = await mesh.run(HubClient.connect(mesh.platform, a.url, member));
  t.after(() => client.close());
  await mesh.clock.advanceAsync(1_000);
  await remove(mesh, a, stolen.thumbprint);
  await mesh.clock.advanceAsync(1_000);
  ok(client.session.isOpen, 'the issuer knows its own key');
  deepEqual(await mesh.run(client.channel.call('ticket', {})), { seconds: 0 });
});

test('The anchor is not removed, nor is a key that there is not', async (t) => {
  const { mesh, a } = await start(t);
  const { answer } = await mesh.admin('keys', {}, a);
  const { kid } = (answer.keys as { kid: string; anchor: boolean }[]).find(({ anchor }) => anchor) ?? { kid: '' };
  equal((await remove(mesh, a, kid)).status, 409);
  equal((await remove(mesh, a, 'x')).status, 404);
  deepEqual((await mesh.admin('keys', {}, a)).answer, answer);
});

const kids = async (mesh: VirtualMesh, hub: Hub): Promise<readonly string[]> =>
  ((await mesh.admin('keys', {}, hub)).answer.keys as { kid: string }[]).map(({ kid }) => kid);

test('Who puts the keys of before back into the store brings none back, by whichever hub turns the ring next', async (t) => {
  const { mesh, a, b, stolen, store, restart, restartFirst } = await start(t);
  const before = await store.get(KEYS);
  const putBack = async () => {
    const entry = await store.get(KEYS);
    ok(await store.compareAndSet(KEYS, entry?.revision ?? 0, before?.value ?? ''));
  };
  await mesh.run(b.close());
  equal((await remove(mesh, a, stolen.thumbprint)).status, 200);
  await putBack();
  await mesh.clock.advanceAsync(1_000);
  ok((await store.get(KEYS))?.value !== before?.value, 'a hub that runs puts it right');
  // One that was away meanwhile knows no better, while none that does is there.
  await mesh.run(a.close());
  await putBack();
  const second = await restart();
  mesh.clock.shiftEpoch(1_000);
  equal((await mesh.admin('keys/rotate', { body: { now: false } }, second)).status, 200);
  const first = await restartFirst();
  await mesh.clock.advanceAsync(1_000);
  for (const hub of [first, second]) ok(!(await kids(mesh, hub)).includes(stolen.thumbprint), 'it is back');
  deepEqual(await kids(mesh, first), await kids(mesh, second));
});

test('Who has an identity of its own gets no more by the stolen key that outlives it', async (t) => {
  const { mesh, a, stolen } = await start(t);
  const identity = await mesh.run(createIdentity());
  const member = await mesh.run(HubClient.connect(mesh.platform, a.url, identity, await mesh.token('api')));
  const id = toWorkloadId('skein.mesh', 'default', 'api');
  const services = ['api.default', 'bank.default'];
  member.link.close(1000, 'leaving');
  const thief = { ...identity };
  thief.wit = await mesh.run(forgeWit(stolen, identity.key, id, services, mesh.clock.epochMs()));
  const launderer = await mesh.run(HubClient.connect(mesh.platform, a.url, thief));
  await mesh.run(launderer.channel.call('renew', {}));
  const { answer } = await remove(mesh, a, stolen.thumbprint);
  equal(answer.revoked, 1);
});

test('A key that is gone is removed once more: whom it has let in and nobody had noted yet gets nothing, and is revoked then', async (t) => {
  const { mesh, a, stolen, store } = await start(t);
  const identity = await mesh.run(createIdentity());
  await remove(mesh, a, stolen.thumbprint);
  const member = await mesh.run(HubClient.connect(mesh.platform, a.url, identity, await mesh.token('api')));
  // As if another hub had let it in by that key at the same moment.
  const key = `holder/${identity.key.thumbprint}`;
  const entry = await store.get(key);
  const holder = JSON.stringify({ ...JSON.parse(entry?.value ?? ''), by: stolen.thumbprint });
  ok(await store.compareAndSet(key, entry?.revision ?? 0, holder));
  member.link.close(1000, 'leaving');
  const again = await mesh.run(HubClient.connect(mesh.platform, a.url, identity));
  await rejects(mesh.run(again.channel.call('renew', {})), { code: 'SKEIN_IDENTITY' });
  const { status, answer } = await remove(mesh, a, stolen.thumbprint);
  deepEqual([status, answer.revoked], [200, 1]);
});
