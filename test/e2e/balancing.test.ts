/** Who of ten replicas gets how much: real processes, an origin that counts behind each of them, a steady load, one fault after the other. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { printFigures } from '../support/figures.ts';
import { ask } from '../support/load.ts';
import { type Sidecar, TestMesh } from '../support/mesh.ts';
import { countIds, judgePosts, SteadyClient } from '../support/steady-client.ts';
import type { SteadyResult } from '../support/steady-load.ts';

const REPLICAS = 10;
const PER_SECOND = 150;
/**
 * Of the one that is bad; a tenth would be its equal share. In virtual time it is at most 2 % (test/unit/agent/balancing.test.ts).
 * Where the median of all is longer than QUIET_MS the machine is busy with other things, 50 ms say little about a replica, and
 * much is under way before the first answer has come.
 */
const BAD_SHARE = 0.05;
const QUIET_MS = 15;
/** The one that is made slow, the one that fails, and the one that is killed. */
const SLOW = 3;
const FAILING = 8;
const KILLED = 7;

interface Run extends SteadyResult {
  /** Requests that came to each of the origins. */
  readonly counts: readonly number[];
  readonly share: number;
  readonly postsTwice: number;
}

describe('Ten replicas', () => {
  let mesh: TestMesh;
  let caller: Sidecar;
  let origins: string[] = [];
  let replicas: Sidecar[] = [];
  let runs = 0;

  before(async () => {
    mesh = await TestMesh.start();
    const names = Array.from({ length: REPLICAS }, (_, i) => ({ name: `replica ${i}` }));
    ({ replicas, origins } = await mesh.startReplicas('api', names));
    caller = await mesh.startSidecar({ name: 'caller', services: ['client'] });
  });
  after(() => mesh?.close());

  const askOrigin = async (index: number, path: string): Promise<string> => {
    const through = new URL(origins[index] as string).host;
    return (await ask({ through, host: 'origin', form: 'host', path })).body.toString();
  };
  const counted = async (): Promise<number[]> =>
    Promise.all(
      origins.map(async (_, i) => (JSON.parse(await askOrigin(i, '/stats')) as { requests: number }).requests),
    );

  async function run(
    what: string,
    bad: number,
    forMs: number,
    during = async (): Promise<void> => undefined,
  ): Promise<Run> {
    const start = await counted();
    const options = { through: caller.http, host: 'api.mesh', perSecond: PER_SECOND, name: `run${runs++}` };
    const client = await SteadyClient.start(options);
    mesh.programs.push(client.program);
    await Promise.all([wait(forMs), during()]);
    const result = await client.finish();
    const counts = (await counted()).map((count, i) => count - (start[i] as number));
    const { twice } = judgePosts(result, await countIds(...origins));
    const share = (counts[bad] as number) / counts.reduce((sum, count) => sum + count);
    const { answered, failed, slow, ...load } = result;
    printFigures(what, { ...load, counts, percentOfBad: Math.round(share * 10_000) / 100, postsTwice: twice });
    return { ...result, counts, share, postsTwice: twice };
  }

  it('One that takes 50 ms against 1 ms gets next to nothing', async () => {
    await askOrigin(SLOW, '/trouble?ms=50');
    await run('ten replicas, one slow: the first seconds', SLOW, 3_000);
    const { share, failedGets, failedPosts, p50Ms } = await run('ten replicas, one slow', SLOW, 5_000);
    await askOrigin(SLOW, '/trouble');
    assert.deepEqual([failedGets, failedPosts], [0, 0]);
    assert.ok(share <= (p50Ms <= QUIET_MS ? BAD_SHARE : 2 / REPLICAS), `${share}`);
  });

  it('One that answers 503 at once gets at most 5 % within 2 s, and then next to nothing', async () => {
    await run('ten replicas, all well', FAILING, 3_000);
    await askOrigin(FAILING, '/trouble?status=503');
    const first = await run('ten replicas, one answers 503', FAILING, 2_000);
    const second = await run('ten replicas, one answers 503: later', FAILING, 2_000);
    await askOrigin(FAILING, '/trouble');
    if (first.p50Ms <= QUIET_MS) assert.ok(first.share <= BAD_SHARE, `${first.share}`);
    assert.ok(second.share <= BAD_SHARE, `${second.share}`);
    assert.deepEqual([first.postsTwice, second.postsTwice], [0, 0]);
  });

  it('One that is killed costs no GET, and no POST is executed twice', async () => {
    const { failedGets, postsTwice, errors } = await run('ten replicas, one killed', KILLED, 5_000, async () => {
      await wait(1_000);
      await replicas[KILLED]?.program.kill();
    });
    assert.deepEqual({ failedGets, postsTwice }, { failedGets: 0, postsTwice: 0 }, JSON.stringify(errors));
    assert.deepEqual(mesh.accidents(), []);
  });
});

describe('Two regions', () => {
  let mesh: TestMesh;
  let caller: Sidecar;
  let origins: string[] = [];
  let near: Sidecar[] = [];

  before(async () => {
    mesh = await TestMesh.start();
    const regions = ['eu', 'eu', 'us', 'us'];
    const each = regions.map((region, i) => ({ name: `${region} ${i}`, args: ['--region', region] }));
    const started = await mesh.startReplicas('api', each);
    ({ origins } = started);
    near = started.replicas.filter((_, i) => regions[i] === 'eu');
    caller = await mesh.startSidecar({ name: 'caller', services: ['client'], args: ['--region', 'eu'] });
  });
  after(() => mesh?.close());

  it('When all near ones are killed the others take over, without a failed GET and without a POST executed twice', async () => {
    const options = { through: caller.http, host: 'api.mesh', perSecond: PER_SECOND };
    const client = await SteadyClient.start(options);
    mesh.programs.push(client.program);
    await wait(2_000);
    const [nearBefore, farBefore] = await Promise.all(
      [origins.slice(0, 2), origins.slice(2)].map(async (some) => (await countIds(...some)).size),
    );
    await Promise.all(near.map(({ program }) => program.kill()));
    const killedMs = performance.timeOrigin + performance.now();
    await wait(4_000);
    const { answered, failed, slow, ...load } = await client.finish();
    const posts = judgePosts({ answered, failed }, await countIds(...origins));
    const late = slow.filter(({ atMs, isPost }) => !isPost && atMs >= killedMs - 1_000);
    const tookOverMs = Math.round(Math.max(0, ...late.map(({ atMs, tookMs }) => atMs + tookMs - killedMs)));
    printFigures('all near replicas killed', { ...load, nearBefore, farBefore, tookOverMs, ...posts });
    // All stays near while it works; on a busy machine a near one may for a moment not seem to. Half would go far otherwise.
    assert.ok((farBefore ?? 0) <= (nearBefore ?? 0) / 3, `${farBefore} went far, ${nearBefore} stayed near`);
    assert.equal(load.failedGets, 0, JSON.stringify(load.errors));
    assert.equal(posts.twice, 0);
    assert.deepEqual(mesh.accidents(), []);
  });
});
