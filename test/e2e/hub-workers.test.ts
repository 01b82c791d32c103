/** `skein hub --workers`: one hub of several processes; members of different workers speak as if they were of one. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { printFigures } from '../support/figures.ts';
import { ask } from '../support/load.ts';
import { type Sidecar, TestMesh } from '../support/mesh.ts';
import { startSkein } from '../support/process.ts';
import { SteadyClient } from '../support/steady-client.ts';

const WORKERS = 2;
const CALLERS = 5;
const DOWNLOAD_BYTES = 16 * 1024 * 1024;
const REQUESTS_PER_SECOND = 100;

interface HubStatus {
  readonly workers: readonly { readonly worker: number; readonly pid: number; readonly sidecars: number }[];
  readonly sidecars: readonly { readonly worker: number; readonly instance: string }[];
  readonly relay: { readonly bytes: number };
}

describe('A hub of two workers', () => {
  let mesh: TestMesh;
  let callees: Sidecar[] = [];
  const callers: Sidecar[] = [];

  before(async () => {
    mesh = await TestMesh.start({ args: ['--workers', String(WORKERS)] });
    ({ replicas: callees } = await mesh.startReplicas('api', [{ name: 'callee 0' }, { name: 'callee 1' }]));
    const origin = await mesh.startOrigin('one');
    const expose = [`one=${origin.http}`];
    callees.push(await mesh.startSidecar({ name: 'callee 2', services: ['one'], expose, http: false }));
    for (let i = 0; i < CALLERS; i++) {
      callers.push(await mesh.startSidecar({ name: `caller ${i}`, services: ['client'] }));
    }
  });
  after(() => mesh?.close());

  const statusOf = async (): Promise<HubStatus> => JSON.parse(await mesh.get('/v1/status')) as HubStatus;

  it('Has members at each, and tells of all of them whoever is asked', async () => {
    for (let i = 0; i < 2 * WORKERS; i++) {
      const { workers, sidecars } = await statusOf();
      assert.deepEqual(workers.map(({ worker }) => worker).sort(), [0, 1]);
      assert.equal(new Set(sidecars.map(({ instance }) => instance)).size, CALLERS + callees.length);
      // Each sidecar came behind a request for its token: in turn, all of them would be at one worker.
      for (const { sidecars: own } of workers) assert.ok(own >= 2, JSON.stringify(workers));
      const text = await mesh.get('/metrics');
      for (const worker of [0, 1])
        assert.match(text, new RegExp(`^skein_hub_sidecars\\{worker="${worker}"\\} [1-9]`, 'm'));
    }
  });

  it('Relays between members of different workers, every pair of them', async () => {
    for (const { http: through } of callers) {
      const names = new Set<string>();
      const replies = Array.from({ length: 20 }, () => ask({ through, host: 'api.mesh', path: '/hold?ms=200' }));
      for (const { status } of await Promise.all(replies)) assert.equal(status, 200);
      for (let i = 0; i < 50 && names.size < 2; i++) names.add(String((await ask({ through, host: 'api.mesh' })).body));
      const { status, body } = await ask({ through, host: 'one.mesh', path: `/bytes/${DOWNLOAD_BYTES}` });
      assert.deepEqual([status, body.length], [200, DOWNLOAD_BYTES]);
      const echoed = await ask({ through, host: 'one.mesh', method: 'POST', path: '/sha256', body });
      assert.equal(String(echoed.body).trim(), createHash('sha256').update(body).digest('hex'));
    }
    const { relay, workers } = await statusOf();
    printFigures('relayed by two workers', { bytes: relay.bytes, workers: workers.map(({ sidecars }) => sidecars) });
    assert.ok(relay.bytes > 2 * CALLERS * DOWNLOAD_BYTES);
  });

  it('Takes a policy at one, and it holds for members of both', async () => {
    const file = join(mesh.folder, 'deny.yaml');
    writeFileSync(file, DENY);
    await mesh.admin('apply', '-f', file);
    for (const { http: through } of callers) {
      while ((await ask({ through, host: 'one.mesh', path: '/echo' })).status !== 403) await wait(50);
    }
    await mesh.admin('delete', 'AuthorizationPolicy/no-echo');
    for (const { http: through } of callers) {
      while ((await ask({ through, host: 'one.mesh', path: '/echo' })).status !== 200) await wait(50);
    }
  });

  it('Introduces members of different workers, who then find a direct path', async () => {
    const origin = await mesh.startOrigin('near');
    const options = { http: false, direct: true, expose: [`near=${origin.http}`] };
    await mesh.startSidecar({ name: 'near', services: ['near'], ...options });
    for (let i = 0; i < CALLERS; i++) {
      const { http: through } = await mesh.startSidecar({ name: `near ${i}`, services: ['client'], direct: true });
      for (;;) {
        const { headers } = await ask({ through, host: 'near.mesh', headers: { 'x-skein-path': '?' } });
        if (String(headers['x-skein-path']).startsWith('direct')) break;
        await wait(100);
      }
    }
  });

  it('A worker is killed with -9 under load: no GET fails, another takes its place, and its members come back', async () => {
    const [caller] = callers;
    const client = await SteadyClient.start({
      ...{ through: caller?.http ?? '', host: 'api.mesh' },
      perSecond: REQUESTS_PER_SECOND,
    });
    mesh.programs.push(client.program);
    await wait(1_000);
    const before = await statusOf();
    const pid = before.workers.find(({ worker }) => worker === 1)?.pid ?? 0;
    process.kill(pid, 'SIGKILL');
    await mesh.hub.waitForLog(({ event, pid: other }) => event === 'worker-ended' && other === pid);
    for (;;) {
      const { workers, sidecars } = await statusOf();
      if (workers.length === WORKERS && sidecars.length === before.sidecars.length) break;
      await wait(100);
    }
    await wait(1_000);
    const load = await client.finish();
    const { slow, answered, failed, ...figures } = load;
    printFigures('a worker of the hub killed', { ...figures, slow: slow.length });
    assert.equal(load.failedGets, 0, JSON.stringify(load.errors));
    assert.deepEqual(load.errors, {});
    // New members of either worker are reached by those of both.
    for (const { http: through } of callers) assert.equal((await ask({ through, host: 'one.mesh' })).status, 200);
  });

  it('Ends with SIGTERM, all of it; and one process goes on with its data', async () => {
    const { workers } = await statusOf();
    const { code } = await mesh.hub.stop();
    assert.equal(code, 0);
    assert.deepEqual(workers.map(({ pid }) => pid).filter(lives), []);
    const args = ['hub', '--listen', mesh.hubAddress, '--data', mesh.hubData];
    const hub = startSkein(args, { name: 'one process', env: { HOME: mesh.folder } });
    mesh.programs.push(hub);
    await hub.ready();
    for (const { http: through } of callers) {
      while ((await ask({ through, host: 'one.mesh' })).status !== 200) await wait(100);
    }
    assert.deepEqual(mesh.accidents(), []);
  });
});

describe('A hub with --workers', () => {
  it('Is refused with exit code 2 where workers could not be one hub', async () => {
    const mesh = TestMesh.withoutHub();
    try {
      for (const args of [
        ['--workers', '0'],
        ['--workers', '65'],
        ['--workers', '2', '--store', 'memory'],
        ['--workers', '2', '--roles', 'issuer,catalogue,signal'],
      ]) {
        const all = ['hub', '--listen', '127.0.0.1:0', '--data', join(mesh.folder, 'hub'), ...args];
        const program = startSkein(all, { env: { HOME: mesh.folder } });
        mesh.programs.push(program);
        assert.equal((await program.waitForExit()).code, 2, `${args.join(' ')}\n${program.tail()}`);
      }
    } finally {
      await mesh.close();
    }
  });
});

const DENY = 'kind: AuthorizationPolicy\nmetadata: { name: no-echo }\nspec: { deny: [{ to: [{ paths: [/echo] }] }] }\n';

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
