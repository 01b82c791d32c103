/** A hub that only relays, as a process: it carries the calls while the issuing hub is dead, holds no key of it, and is seen through. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { toThumbprint } from '../../src/auth/key-pair.ts';
import { printFigures } from '../support/figures.ts';
import { ask } from '../support/load.ts';
import { type Sidecar, TestMesh } from '../support/mesh.ts';

const CALLS = 200;
/** What a busy machine may take. */
const PATIENCE_MS = 30_000;
const POLL_MS = 25;

describe('A hub that holds no key of the issuer', () => {
  let a: TestMesh;
  let b: TestMesh;
  let client: Sidecar;

  before(async () => {
    a = await TestMesh.start();
    const token = (await a.admin('token', 'create', '--hub-role', 'relay,signal')).trim();
    b = await TestMesh.start({
      args: ['--roles', 'relay,signal', '--hub', a.hubUrl],
      env: { SKEIN_TOKEN: token },
    });
    const { http } = await a.startOrigin();
    const hub = `${b.hubUrl},${a.hubUrl}`;
    await a.startSidecar({ name: 'api', services: ['api'], expose: [`api=${http}`], http: false, hub });
    client = await a.startSidecar({ name: 'client', services: ['client'], hub });
    await until(async () => (await b.get('/metrics')).includes('\nskein_hub_sidecars 2\n'));
    assert.equal(await call(), 200);
  });

  after(async () => {
    await b?.close();
    await a?.close();
  });

  async function until(holds: () => Promise<boolean>): Promise<number> {
    const started = performance.now();
    while (!(await holds())) {
      await new Promise<void>((resolve) => setTimeout(resolve, POLL_MS));
      assert.ok(
        performance.now() - started < PATIENCE_MS,
        `${a.hub.tail()}\n${b.hub.tail()}\n${client.program.tail()}`,
      );
    }
    return Math.round(performance.now() - started);
  }

  const call = async (): Promise<number> => (await ask({ through: client.http, host: 'api.mesh', path: '/' })).status;

  async function status(): Promise<{ missingRoles: string[]; hubs: { roles: string[] | null; state: string }[] }> {
    const headers = { authorization: `Bearer ${client.adminToken()}` };
    const reply = await fetch(`${client.addresses.admin}/v1/status`, { headers });
    return (await reply.json()) as Awaited<ReturnType<typeof status>>;
  }

  it('Its folder holds no key of the issuer, and its log no secret of it', () => {
    const issuer = JSON.parse(readFileSync(join(a.hubData, 'issuer.json'), 'utf8'));
    const secrets = [issuer.wit.d, issuer.jwt.d];
    assert.ok(secrets.every((secret) => typeof secret === 'string' && secret.length === 43));
    const names = readdirSync(b.hubData);
    assert.ok(names.includes('identity.json') && !names.includes('issuer.json') && !names.includes('keys.json'));
    const texts = [...names.map((name) => readFileSync(join(b.hubData, name), 'utf8')), b.hub.tail()];
    for (const text of texts) for (const secret of secrets) assert.equal(text.includes(secret), false);
  });

  it('Without the hub that issues every call is answered by way of it, and the sidecar says what is missing', async () => {
    const { hubs } = await status();
    assert.deepEqual(
      hubs.map(({ roles }) => roles?.join()),
      ['signal,relay', 'issuer,catalogue,signal,relay'],
    );
    const failures: number[] = [];
    await a.hub.kill();
    for (let i = 0; i < CALLS; i++) {
      const code = await call();
      if (code !== 200) failures.push(code);
    }
    await until(async () => (await status()).missingRoles.includes('issuer'));
    printFigures('hub roles', { calls: CALLS, failures: failures.length, missing: (await status()).missingRoles });
    assert.deepEqual(failures, []);
  });

  it('It comes back by itself, also while nobody issues, and the other hub is found again', async () => {
    await b.hub.kill();
    await b.startHub();
    await until(async () => (await call()) === 200);
    await a.startHub();
    const ms = await until(async () => (await status()).missingRoles.length === 0);
    printFigures('hub roles', { foundAgainMs: ms });
  });

  it('The audit log of the issuing hub tells who was let in, and is whole', async () => {
    const log = JSON.parse(await a.admin('audit', '-o', 'json')) as {
      broken: string | null;
      entries: { kind: string; id: string; key?: string; what?: string }[];
    };
    assert.equal(log.broken, null);
    const joined = log.entries.filter(({ kind }) => kind === 'join').map(({ id }) => id.split('/').at(-1));
    assert.deepEqual(joined, ['api', 'client']);
    assert.ok(log.entries.some(({ kind, what }) => kind === 'admin' && what?.includes('POST /v1/tokens')));
    // Each hub once, though both were killed and started again: who comes back with its key and SVID is issued no other.
    const hubs = [join(a.hubData, 'self.json'), join(b.hubData, 'identity.json')];
    const keys = await Promise.all(hubs.map((file) => toThumbprint(JSON.parse(readFileSync(file, 'utf8')).key)));
    assert.deepEqual(
      log.entries.filter(({ kind }) => kind === 'hub').map(({ key }) => key),
      keys,
    );
    const text = JSON.stringify(log);
    assert.equal(/skein_[A-Za-z0-9_-]{40}/.test(text), false, 'no token is in it');
  });

  it('Nothing has crashed', () => {
    assert.deepEqual([...a.accidents(), ...b.accidents()], []);
  });
});
