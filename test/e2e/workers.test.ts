/** `--workers`: one sidecar of several processes takes requests in all of them, and lives on when one of them dies. */
import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import process from 'node:process';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { printFigures } from '../support/figures.ts';
import { ask, repeat } from '../support/load.ts';
import { type Sidecar, TestMesh } from '../support/mesh.ts';
import { countIds, judgePosts, SteadyClient } from '../support/steady-client.ts';

const REQUESTS_PER_SECOND = 200;
const CONCURRENT = 40;

describe('A sidecar of two workers', () => {
  let mesh: TestMesh;
  let a: Sidecar;
  let b: Sidecar;
  let origin: string;

  before(async () => {
    mesh = await TestMesh.start();
    const { http } = await mesh.startOrigin();
    origin = http;
    const args = ['--workers', '2'];
    b = await mesh.startSidecar({ name: 'sidecar b', services: ['api'], expose: [`api=${http}`], http: false, args });
    a = await mesh.startSidecar({ name: 'sidecar a', services: ['client'], args });
  });
  after(() => mesh?.close());

  it('Joins with one token, and is two endpoints of its service', async () => {
    const { sidecars } = JSON.parse(await mesh.get('/v1/status')) as { sidecars: { id: string; instance: string }[] };
    const callees = sidecars.filter(({ id }) => id.endsWith('/sa/api'));
    assert.equal(new Set(callees.map(({ instance }) => instance)).size, 2);
  });

  it('Takes requests in both, at both ends, and tells of both at one admin port', async () => {
    const { failures, errors } = await holdMany(a, CONCURRENT);
    assert.equal(failures, 0, JSON.stringify(errors));
    const outbound = await requestsByWorker(a, 'outbound');
    const inbound = await requestsByWorker(b, 'inbound');
    printFigures('requests by worker', { outbound, inbound });
    for (const counts of [outbound, inbound]) {
      assert.deepEqual(Object.keys(counts).sort(), ['0', '1']);
      assert.equal(sum(Object.values(counts)), CONCURRENT);
    }
    const { workers } = await statusOf(b);
    assert.deepEqual(
      workers.map(({ worker, starts, sidecar }) => ({ worker, starts, state: sidecar.state })),
      [0, 1].map((worker) => ({ worker, starts: 1, state: 'ready' })),
    );
    assert.equal(new Set(workers.map(({ pid }) => pid)).size, 2);
  });

  it('A worker of the callee is killed with -9 under load: no GET fails, no POST is executed twice, another takes its place', async () => {
    const client = await SteadyClient.start({ through: a.http, host: 'api.mesh', perSecond: REQUESTS_PER_SECOND });
    mesh.programs.push(client.program);
    await wait(1_000);
    const [, pid = 0] = await pidsOf(b);
    process.kill(pid, 'SIGKILL');
    await b.program.waitForLog(({ event, worker, pid: other }) => isStart(event) && worker === 1 && other !== pid);
    await wait(3_000);
    const { answered, failed, slow, ...load } = await client.finish();
    const posts = judgePosts({ answered, failed }, await countIds(origin));
    printFigures('a worker of the callee killed', { ...load, slow: slow.length, ...posts });
    assert.equal(load.failedGets, 0, JSON.stringify(load.errors));
    assert.deepEqual([posts.twice, posts.answeredButUnseen], [0, 0]);
    // What became of these nobody can know, and the answer says so.
    for (const error of Object.keys(load.errors)) assert.equal(error, 'POST 502 session-lost, processed: maybe');
  });

  it('A worker of the caller is killed with -9: the port stays, and who connects anew is served', async () => {
    const [pid = 0] = await pidsOf(a);
    process.kill(pid, 'SIGKILL');
    await a.program.waitForLog(({ event, pid: other }) => event === 'worker-ended' && other === pid);
    const { failures, errors } = await holdMany(a, CONCURRENT);
    assert.equal(failures, 0, JSON.stringify(errors));
  });

  it('SIGTERM drains every worker: what was begun is finished, and none is left', async () => {
    await a.program.waitForLog(({ event, worker }) => event === 'worker-ended' && worker === 0);
    const [callers, callees] = await Promise.all([pidsOf(a, 2), pidsOf(b, 2)]);
    const begun = holdMany(a, CONCURRENT, 2_000);
    await wait(500);
    const ends = await Promise.all([a.program.stop(), b.program.stop()]);
    const { failures, errors } = await begun;
    assert.equal(failures, 0, JSON.stringify(errors));
    assert.deepEqual(
      ends.map(({ code }) => code),
      [0, 0],
    );
    assert.deepEqual([...callers, ...callees].filter(lives), []);
    assert.deepEqual(mesh.accidents(), []);
  });
});

describe('A supervisor of two workers', () => {
  let mesh: TestMesh;

  before(async () => {
    mesh = await TestMesh.start();
  });
  after(() => mesh?.close());

  it('Is killed with -9: its workers end too, and the ports are free', async () => {
    const first = await mesh.startSidecar({ name: 'first', services: ['client'], args: ['--workers', '2'] });
    const pids = await pidsOf(first);
    await first.program.kill();
    while (pids.some(lives)) await wait(20);
    const args = ['--workers', '2', '--listen-http', first.http];
    const second = await mesh.startSidecar({ name: 'second', services: ['client'], http: false, args });
    assert.equal(second.http, first.http);
  });

  it('Is refused with a token that is used up: exit code 4, and no worker is left', async () => {
    const token = await mesh.createToken(['client']);
    await (await mesh.startSidecar({ name: 'first', token })).program.stop();
    const program = await mesh.launchSidecar({ name: 'second', token, args: ['--workers', '2'] });
    const { code } = await program.waitForExit();
    assert.equal(code, 4, program.tail());
    const started = program.log.filter(({ event }) => event === 'worker-started').map(({ pid }) => Number(pid));
    assert.equal(started.length, 1);
    assert.deepEqual(started.filter(lives), []);
  });

  it('Keeps the identity in its folder: the next start needs no token', async () => {
    const data = `${mesh.folder}/kept`;
    const args = ['--workers', '2'];
    await (await mesh.startSidecar({ name: 'first', services: ['client'], data, args })).program.stop();
    const again = await mesh.startSidecar({ name: 'again', data, args });
    assert.equal((await statusOf(again)).workers.length, 2);
  });
});

interface WorkerStatus {
  readonly worker: number;
  readonly pid: number;
  readonly starts: number;
  readonly sidecar: { readonly state: string };
}

async function statusOf({ addresses, adminToken }: Sidecar): Promise<{ readonly workers: readonly WorkerStatus[] }> {
  const headers = { authorization: `Bearer ${adminToken()}` };
  const reply = await fetch(`${addresses.admin}/v1/status`, { headers });
  return (await reply.json()) as { workers: WorkerStatus[] };
}

/** Waits until so many are ready. */
async function pidsOf(sidecar: Sidecar, count = 2): Promise<readonly number[]> {
  for (;;) {
    const { workers } = await statusOf(sidecar);
    if (workers.length >= count) return workers.map(({ pid }) => pid);
    await wait(50);
  }
}

async function requestsByWorker({ addresses }: Sidecar, direction: string): Promise<Readonly<Record<string, number>>> {
  const text = await (await fetch(`${addresses.admin}/metrics`)).text();
  const counts: Record<string, number> = {};
  for (const [, worker = '', count] of text.matchAll(
    new RegExp(`^skein_requests_total\\{worker="(\\d+)",direction="${direction}".* (\\d+)$`, 'gm'),
  )) {
    counts[worker] = (counts[worker] ?? 0) + Number(count);
  }
  return counts;
}

/** Requests that are all under way at once, each on a connection of its own. */
function holdMany({ http: through }: Sidecar, count: number, ms = 500) {
  return repeat(count, count, async () => {
    // A connection that was kept may be of a worker that is gone.
    const agent = new Agent({ keepAlive: false });
    const { status, body } = await ask({ through, host: 'api.mesh', path: `/hold?ms=${ms}`, agent });
    if (status !== 200) throw new Error(`${status} ${body}`);
  });
}

function isStart(event: string | undefined): boolean {
  return event === 'sidecar-ready' || event === 'worker-started';
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function sum(counts: readonly number[]): number {
  return counts.reduce((a, b) => a + b, 0);
}
