import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { type Sidecar, TestMesh } from '../support/mesh.ts';
import { assertUnharmed, MixedLoad, printMixed } from '../support/mixed-load.ts';

const AWAY_MS = 5_000;
/** A quarter of the time that it was away, for each of the two sidecars at once; the rest is for a busy machine. */
const BACK_WITHIN_MS = 10_000;
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
    const load = await MixedLoad.start({
      through: a.http,
      host: 'api.mesh',
      tcp: a.tcp('lines'),
      perSecond: REQUESTS_PER_SECOND,
    });
    mesh.programs.push(load.client.program);
    await wait(1_000);
    await mesh.hub.kill();
    const killedMs = performance.now();
    await wait(AWAY_MS);
    await mesh.startHub();
    const awayMs = Math.round(performance.now() - killedMs);
    await wait(5_000);
    const result = await load.finish(origin.http);
    const { longestMs } = result;
    printMixed('hub away for 5 s', result, { awayMs, longestMs });
    assertUnharmed(result);
    assert.ok(longestMs - awayMs <= BACK_WITHIN_MS, `${longestMs} ms, of which the hub was away for ${awayMs}`);
    assert.deepEqual(mesh.accidents(), []);
  });
});
