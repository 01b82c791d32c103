import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { KEY_LIFE } from '../../../src/auth/key-life.ts';
import type { Hub } from '../../../src/hub/hub.ts';
import { SharedStore, type StoreLine } from '../../../src/testing/shared-store.ts';
import { folder } from '../../support/folder.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const KEY = 'hub/keys';

interface Listed {
  readonly kid: string;
  readonly use: string;
  readonly state: string;
  readonly anchor: boolean;
  readonly signsFrom?: string;
}

interface Keys {
  readonly sequence: number;
  readonly keys: readonly Listed[];
}

async function keysOf(mesh: VirtualMesh, hub: Hub): Promise<Keys> {
  return (await mesh.admin('keys', {}, hub)).answer as unknown as Keys;
}

function find({ keys }: Keys, state: string, use = 'wit-svid'): string {
  return keys.find((key) => key.state === state && key.use === use)?.kid ?? 'none';
}

/** Two hubs with a folder each, on one store; the second was given the issuer of the first, once. */
async function startTwo(t: TestContext, mesh: VirtualMesh) {
  const store = new SharedStore();
  const folders = [folder(t), folder(t)] as const;
  const a = await mesh.startHub({ store: store.connect(), dataFolder: folders[0] }, 7001);
  copyFileSync(join(folders[0], 'issuer.json'), join(folders[1], 'issuer.json'));
  const b = await mesh.startHub({ store: store.connect(), dataFolder: folders[1] }, 7002);
  return { store, folders, a, b };
}

test('A hub rotates its keys by itself, and nobody notices: members renew, newcomers join, everybody calls', async (t) => {
  const mesh = new VirtualMesh(t);
  const data = folder(t);
  const keys = { ...KEY_LIFE, lifeMs: 3 * DAY_MS };
  const hub = await mesh.startHub({ dataFolder: data, limits: { keys } });
  const { agent: api } = await mesh.join(['api']);
  const { agent: web, log } = await mesh.join(['web']);
  const before = await keysOf(mesh, hub);
  const anchor = before.keys.find((key) => key.anchor)?.kid;
  equal(find(before, 'current'), anchor, 'the anchor signs until the first rotation');
  for (let half = 0; half < 10; half++) {
    mesh.clock.shiftEpoch(DAY_MS / 2);
    await mesh.clock.advanceAsync(61_000);
  }
  const after = await keysOf(mesh, hub);
  equal(find(after, 'current'), find(before, 'next'));
  equal(find(after, 'current', 'jwt-svid'), find(before, 'next', 'jwt-svid'));
  ok(
    after.keys.some(({ kid, anchor: isAnchor }) => isAnchor && kid === anchor),
    'the anchor stays',
  );
  equal(find(after, 'retired'), 'none');
  const kids = api.identity.bundle.keys.map(({ kid }) => kid);
  deepEqual(
    [kids[0], kids.includes(find(after, 'current')), kids.includes(find(before, 'current', 'jwt-svid'))],
    [anchor, true, false],
  );
  equal(log.of('bundle-refused').length + log.of('identity-not-renewed').length, 0);
  const { agent: late } = await mesh.join(['late']);
  for (const agent of [web, late]) equal(agent.identity.bundle.spiffe_sequence, after.sequence);
  const { token } = await mesh.run(late.token('https://shop'));
  equal((await mesh.run(web.verifyToken(token, 'https://shop'))).id.uri, late.id.uri);
});

test('`rotate` waits until the next keys are known; `now` refuses until then, and says from when on', async (t) => {
  const mesh = new VirtualMesh(t);
  const hub = await mesh.startHub();
  const before = await keysOf(mesh, hub);
  const refused = await mesh.admin('keys/rotate', { body: { now: true } });
  equal(refused.status, 409);
  const asked = (await mesh.admin('keys/rotate', { body: { now: false } })).answer as unknown as Keys;
  equal(find(asked, 'current'), find(before, 'current'));
  const dueMs = Date.parse(asked.keys.find(({ state }) => state === 'next')?.signsFrom ?? '');
  ok(Math.abs(dueMs - mesh.clock.epochMs() - DAY_MS - 300_000) < HOUR_MS / 6);
  mesh.clock.shiftEpoch(DAY_MS + 300_000);
  await mesh.clock.advanceAsync(61_000);
  const turned = await keysOf(mesh, hub);
  deepEqual([find(turned, 'current'), find(turned, 'retired')], [find(before, 'next'), find(before, 'current')]);
  mesh.clock.shiftEpoch(DAY_MS + 300_000);
  const now = (await mesh.admin('keys/rotate', { body: { now: true } })).answer as unknown as Keys;
  equal(find(now, 'current'), find(turned, 'next'));
});

test('Hubs that share a store have one ring: what one changes the other signs by and tells its members', async (t) => {
  const mesh = new VirtualMesh(t);
  const { a, b, folders, store } = await startTwo(t, mesh);
  const { agent } = await mesh.join(['api'], { hub: [b.url] });
  const first = await keysOf(mesh, a);
  deepEqual(await keysOf(mesh, b), first);
  mesh.clock.shiftEpoch(DAY_MS + 300_000);
  await mesh.admin('keys/rotate', { body: { now: true } }, a);
  const { sequence } = await keysOf(mesh, a);
  await mesh.until(() => agent.identity.bundle.spiffe_sequence === sequence, 5_000);
  const second = await keysOf(mesh, b);
  deepEqual(second, await keysOf(mesh, a));
  equal(find(second, 'current'), find(first, 'next'));
  for (const data of folders) {
    equal(statSync(join(data, 'keys.json')).mode & 0o777, 0o600);
    equal(readFileSync(join(data, 'keys.json'), 'utf8').includes('"d"'), false);
  }
  const stored = (await store.get(KEY))?.value ?? '';
  const { d } = JSON.parse(readFileSync(join(folders[0], 'issuer.json'), 'utf8')).wit;
  ok(stored.length > 500 && !stored.includes(d) && !stored.includes(`"d"`), 'no private key in clear');
});

test('A hub that has not heard of the newest keys yet is no cause for alarm: what it shows is passed over', async (t) => {
  const mesh = new VirtualMesh(t);
  const lines = [new SharedStore()].flatMap((store) => [store.connect(), store.connect()]) as [StoreLine, StoreLine];
  const folders = [folder(t), folder(t)] as const;
  const a = await mesh.startHub({ store: lines[0], dataFolder: folders[0] }, 7001);
  copyFileSync(join(folders[0], 'issuer.json'), join(folders[1], 'issuer.json'));
  const b = await mesh.startHub({ store: lines[1], dataFolder: folders[1] }, 7002);
  lines[1].cut();
  const before = await keysOf(mesh, a);
  await mesh.admin('keys/remove', { body: { kid: find(before, 'next') } }, a);
  const { sequence } = await keysOf(mesh, a);
  equal((await keysOf(mesh, b)).sequence, before.sequence);
  // It joins by the one that knows, and is shown the keys of before by the other.
  const { agent, log } = await mesh.join(['api'], { hub: [a.url, b.url] });
  await mesh.until(() => log.of('hub-connected').length === 2, 5_000);
  const known = (): unknown => [agent.identity.bundle.spiffe_sequence, agent.identity.bundlesRefused.rollback];
  deepEqual(known(), [sequence, 0]);
  lines[1].heal();
  await mesh.until(() => mesh.log.of('keys-changed').filter(({ fields }) => fields.sequence === sequence).length === 2);
  await mesh.clock.advanceAsync(15_000);
  deepEqual(known(), [sequence, 0]);
  equal(log.of('bundle-refused').length, 0);
});

test('A hub that is restarted has the ring it had, behind a store that was lost or put back too', async (t) => {
  const mesh = new VirtualMesh(t);
  const data = folder(t);
  const stores = [new SharedStore(), new SharedStore()] as const;
  let hub = await mesh.startHub({ store: stores[0].connect(), dataFolder: data }, 7001);
  const old = await stores[0].get(KEY);
  mesh.clock.shiftEpoch(DAY_MS + 300_000);
  await mesh.admin('keys/rotate', { body: { now: true } }, hub);
  const turned = await keysOf(mesh, hub);
  const restart = async (store: SharedStore): Promise<Keys> => {
    await mesh.run(hub.close());
    hub = await mesh.startHub({ store: store.connect(), dataFolder: data }, 7001);
    return keysOf(mesh, hub);
  };
  deepEqual(await restart(stores[0]), turned, 'the same store');
  deepEqual(await restart(stores[1]), turned, 'an empty store');
  const entry = await stores[1].get(KEY);
  await stores[1].compareAndSet(KEY, entry?.revision ?? 0, old?.value ?? '');
  deepEqual(await restart(stores[1]), turned, 'a store that was put back');
  ok(((await stores[1].get(KEY))?.revision ?? 0) > (entry?.revision ?? 0), 'the store is told the later one');
});

test('What somebody else writes in place of the keys is not used, and said', async (t) => {
  const mesh = new VirtualMesh(t);
  const { store, a, folders } = await startTwo(t, mesh);
  const before = await keysOf(mesh, a);
  for (const value of ['', '{}', '{"sealed":"AAAA"}', JSON.stringify({ sealed: 'A'.repeat(2_000) })]) {
    const entry = await store.get(KEY);
    await store.compareAndSet(KEY, entry?.revision ?? 0, value);
    await mesh.clock.advanceAsync(1_000);
    deepEqual(await keysOf(mesh, a), before);
  }
  ok(mesh.log.of('keys-unreadable').length >= 4);
  // Who has no copy cannot know them, and must not begin anew.
  const data = folder(t);
  copyFileSync(join(folders[0], 'issuer.json'), join(data, 'issuer.json'));
  const entry = await store.get(KEY);
  await store.compareAndSet(KEY, entry?.revision ?? 0, '{}');
  await rejects(mesh.startHub({ store: store.connect(), dataFolder: data }, 7004), { code: 'SKEIN_STORE' });
  mesh.clock.shiftEpoch(DAY_MS + 300_000);
  const { keys } = (await mesh.admin('keys/rotate', { body: { now: true } }, a)).answer as unknown as Keys;
  ok(
    keys.some(({ state }) => state === 'retired'),
    'the next change puts it right',
  );
});

test('A folder that takes no copy of the keys keeps no member from hearing of them', async (t) => {
  const mesh = new VirtualMesh(t);
  const data = folder(t);
  const hub = await mesh.startHub({ store: new SharedStore().connect(), dataFolder: data });
  const { agent } = await mesh.join(['api']);
  rmSync(join(data, 'keys.json'));
  mkdirSync(join(data, 'keys.json', 'full'), { recursive: true });
  const before = await keysOf(mesh, hub);
  const { status } = await mesh.admin('keys/remove', { body: { kid: find(before, 'current', 'jwt-svid') } });
  equal(status, 200);
  const { sequence } = await keysOf(mesh, hub);
  ok(sequence > before.sequence);
  await mesh.until(() => agent.identity.bundle.spiffe_sequence === sequence, 5_000);
  equal(mesh.log.of('keys-not-kept').length, 1);
});
