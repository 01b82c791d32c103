/** Members that keep their identity in a vault, as pages of one web origin do. */
import { deepEqual, equal, notEqual, ok, rejects } from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createIdentityKey } from '../../../src/auth/key-pair.ts';
import type { Platform } from '../../../src/core/platform.ts';
import { createMeshOn as createMesh, type Mesh, type MeshOptions } from '../../../src/index.ts';
import { nodePlatform } from '../../../src/runtime/node/platform.ts';
import { deferred, EventLog, LocalMesh } from '../../support/local-mesh.ts';
import { Vaults } from '../../support/memory-vault.ts';

/** A hub, and pages of one origin. */
async function startOrigin(t: TestContext) {
  const mesh = await LocalMesh.start(t);
  const vaults = new Vaults();
  const platform: Platform = { ...nodePlatform(), files: undefined, openVault: vaults.open };
  const log = new EventLog();
  const open = async (options: Partial<MeshOptions> = {}): Promise<Mesh> => {
    const page = await createMesh(platform, { hub: mesh.hub.url, direct: false, data: 'shop', log, ...options });
    t.after(() => page.close());
    return page;
  };
  return { mesh, log, open, records: vaults.recordsOf('shop') };
}

const privateKeyOf = (record: unknown): CryptoKey => (record as { key: { privateKey: CryptoKey } }).key.privateKey;

test('Pages that start at once become instances of one identity, and ask for one token', async (t) => {
  const { mesh, open } = await startOrigin(t);
  let asked = 0;
  const token = async (): Promise<string> => {
    asked++;
    return mesh.token(['screen']);
  };
  const pages = await Promise.all([open({ token }), open({ token }), open({ token })]);
  equal(asked, 1);
  equal(new Set(pages.map(({ id }) => id)).size, 1);
  equal(new Set(pages.map(({ instance }) => instance)).size, 3);
});

test('Pages that start at once with one token text share what it brings', async (t) => {
  const { mesh, open } = await startOrigin(t);
  const token = await mesh.token(['screen']);
  const [first, second] = await Promise.all([open({ token }), open({ token })]);
  equal(first.id, second.id);
  notEqual(first.instance, second.instance);
});

test('A page that comes back needs no token, and nobody can read its key', async (t) => {
  const { mesh, open, records } = await startOrigin(t);
  const first = await open({ token: await mesh.token(['screen']) });
  await first.close();
  deepEqual([...records.keys()], ['identity']);
  const key = privateKeyOf(records.get('identity'));
  equal(key.extractable, false);
  await rejects(crypto.subtle.exportKey('jwk', key));

  const again = await open();
  equal(again.id, first.id);
  const served = await again.serve('screen', () => new Response('here'));
  served.close();
});

test('A token that was used is refused, and the next page need not wait for who was refused', async (t) => {
  const { mesh, open } = await startOrigin(t);
  const token = await mesh.token(['screen']);
  await mesh.join(['screen'], { token });
  await rejects(open({ token }), { code: 'SKEIN_TOKEN_USED' });
  ok((await open({ token: await mesh.token(['screen']) })).id.endsWith('/sa/screen'));
});

test('A page that gives up while it waits for another lets it be', async (t) => {
  const { mesh, open } = await startOrigin(t);
  const [asked, answer] = [deferred(), deferred<string>()];
  const ask = (): Promise<string> => {
    asked.resolve();
    return answer.promise;
  };
  const first = open({ token: ask });
  await asked.promise;
  const gone = new AbortController();
  const second = open({ token: () => mesh.token(['screen']), signal: gone.signal });
  gone.abort(new RangeError('enough'));
  await rejects(second, RangeError);
  answer.resolve(await mesh.token(['screen']));
  ok((await first).id.endsWith('/sa/screen'));
});

test('An identity that cannot serve what is wanted is replaced by a token’s', async (t) => {
  const { mesh, open } = await startOrigin(t);
  await (await open({ token: await mesh.token(['screen']) })).close();
  const other = await open({ services: ['panel'], token: () => mesh.token(['panel']) });
  ok(other.id.endsWith('/sa/panel'));
});

for (const [what, spoil] of [
  ['of another version', (record: object) => ({ ...record, version: 2 })],
  ['no record', () => 'garbage'],
  ['without a key', (record: object) => ({ ...record, key: undefined })],
  ['with a key as text', (record: { key?: object }) => ({ ...record, key: { ...record.key, privateKey: 'text' } })],
  [
    'with the key of somebody else',
    async (record: { key?: object }) => {
      const { privateKey } = await createIdentityKey(false);
      return { ...record, key: { ...record.key, privateKey } };
    },
  ],
] as const) {
  test(`What is ${what} is refused, and set aside where there is a token`, async (t) => {
    const { mesh, open, records, log } = await startOrigin(t);
    await (await open({ token: await mesh.token(['screen']) })).close();
    records.set('identity', await spoil(records.get('identity') as object));
    await rejects(open(), { code: 'SKEIN_STORE' });
    await open({ token: () => mesh.token(['screen']) });
    deepEqual([...records.keys()].sort(), ['identity', 'identity.damaged']);
    equal(log.of('identity-set-aside').length, 1);
  });
}
