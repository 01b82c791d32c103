import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { printFigures } from '../support/figures.ts';
import { LastingStreams, throughHttp, throughTcp, throughWebSocket } from '../support/lasting-streams.ts';
import { type Sidecar, TestMesh } from '../support/mesh.ts';
import { countIds, judgePosts, SteadyClient } from '../support/steady-client.ts';

const AWAY_MS = 5_000;
/** A quarter of the time that it was away, for each of the two sidecars at once, and the work of a busy machine. */
const BACK_WITHIN_MS = 4_000;
const REQUESTS_PER_SECOND = 200;

describe('One hub alone', () => {
  let mesh: TestMesh;
  let a: Sidecar;
  let origin: { http: string; tcp: string };

  before(async () => {
    mesh = await TestMesh.start();
    origin = await mesh.startOrigin();
    const expose = [`api=${origin.http}`, `lines=tcp://${origin.tcp}`];
    await mesh.startSidecar({ name: 'sidecar b', services: ['api', 'lines'], expose, http: false });
    a = await mesh.startSidecar({ name: 'sidecar a', services: ['client'], tcp: ['lines'] });
  });
  after(() => mesh?.close());

  it('Is killed with -9 and back after 5 s: streams go on, requests wait, no POST is executed twice', async () => {
    const target = { through: a.http, host: 'api.mesh' };
    const period = { periodMs: 200 };
    const streams = {
      raw: await LastingStreams.start(20, throughTcp(a.tcp('lines')), period),
      http: await LastingStreams.start(20, throughHttp(target), period),
      sockets: await LastingStreams.start(20, throughWebSocket(target), period),
    };
    const client = await SteadyClient.start({ ...target, perSecond: REQUESTS_PER_SECOND });
    mesh.programs.push(client.program);
    await wait(1_000);
    await mesh.hub.kill();
    const killedMs = performance.now();
    await wait(AWAY_MS);
    await mesh.startHub();
    const awayMs = Math.round(performance.now() - killedMs);
    await wait(5_000);
    const { answered, failed, slow: _, ...load } = await client.finish();
    const posts = judgePosts({ answered, failed }, await countIds(origin.http));
    const results = {
      raw: await streams.raw.finish(),
      http: await streams.http.finish(),
      sockets: await streams.sockets.finish(),
    };
    for (const [kind, figures] of Object.entries(results)) printFigures(`hub away for 5 s: ${kind}`, { ...figures });
    printFigures('hub away for 5 s: requests', { awayMs, ...load, ...posts });
    for (const [kind, { sent, received, lost, duplicated, broken, errors }] of Object.entries(results)) {
      assert.deepEqual(
        { kind, broken, lost, duplicated, errors },
        { kind, broken: 0, lost: 0, duplicated: 0, errors: [] },
      );
      assert.equal(received, sent);
    }
    assert.deepEqual([load.failedGets, load.failedPosts, posts.twice, posts.answeredButUnseen], [0, 0, 0, 0]);
    const longestMs = Math.max(load.maxMs, ...Object.values(results).map(({ maxMs }) => maxMs));
    assert.ok(longestMs - awayMs <= BACK_WITHIN_MS, `${longestMs} ms, of which the hub was away for ${awayMs}`);
    assert.deepEqual(mesh.accidents(), []);
  });
});
