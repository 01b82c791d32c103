/** Everything is replaced, one after the other, as at an upgrade: first two hubs, then the sidecars of a service. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { lacking } from '../runtime/capabilities.ts';
import { HubPair } from '../support/hub-pair.ts';
import type { Sidecar } from '../support/mesh.ts';
import { assertUnharmed, MixedLoad, printMixed } from '../support/mixed-load.ts';
import { waitForPaths } from '../support/paths.ts';

const REQUESTS_PER_SECOND = 500;
const REPLICAS = 2;
const ROUNDS = 2;
/** Nothing is to be waited for; what came of it on a busy machine is printed. */
const STALL_WITHIN_MS = 10_000;

describe('A rolling restart', { skip: lacking('nats-server') }, () => {
  let pair: HubPair;
  let caller: Sidecar;
  let origin: { http: string; tcp: string };
  const replicas: Sidecar[] = [];

  before(async () => {
    pair = await HubPair.start();
    origin = await pair.a.startOrigin();
    for (let i = 0; i < REPLICAS; i++) replicas.push(await startReplica(i, ['api', 'lines']));
    caller = await pair.a.startSidecar({ name: 'caller', hub: pair.urls, services: ['client'], tcp: ['lines'] });
  });
  after(() => pair?.close());

  /** With its data it needs no token again. */
  function startReplica(index: number, services?: readonly string[]): Promise<Sidecar> {
    return pair.a.startSidecar({
      name: `replica ${index}`,
      hub: pair.urls,
      data: join(pair.a.folder, `replica ${index}`),
      expose: [`api=${origin.http}`, `lines=tcp://${origin.tcp}`],
      http: false,
      ...(services === undefined ? {} : { services }),
    });
  }

  async function startLoad(streams: number): Promise<MixedLoad> {
    const load = await MixedLoad.start({
      through: caller.http,
      host: 'api.mesh',
      tcp: caller.tcp('lines'),
      perSecond: REQUESTS_PER_SECOND,
      streams,
    });
    pair.a.programs.push(load.client.program);
    return load;
  }

  it('Of both hubs costs nothing: no request fails, no stream ends', async () => {
    const load = await startLoad(20);
    const drainedMs: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      for (const mesh of [pair.a, pair.b]) {
        await waitForPaths(caller, 2 * REPLICAS);
        await wait(1_000);
        const startedMs = performance.now();
        assert.equal((await mesh.hub.stop()).code, 0, mesh.hub.tail());
        drainedMs.push(Math.round(performance.now() - startedMs));
        await mesh.startHub();
      }
    }
    await waitForPaths(caller, 2 * REPLICAS);
    const result = await load.finish(origin.http);
    printMixed('hubs restarted in turn', result, { drainedMs, longestMs: result.longestMs });
    assertUnharmed(result);
    assert.ok(result.longestLineMs <= STALL_WITHIN_MS, `${result.longestLineMs} ms`);
  });

  it('Of the sidecars of a service: no request fails, none is done twice', async () => {
    const load = await startLoad(0);
    const drainedMs: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      for (const index of replicas.keys()) {
        await waitForPaths(caller, 2 * REPLICAS);
        const startedMs = performance.now();
        const { program } = replicas[index] as Sidecar;
        assert.equal((await program.stop()).code, 0, program.tail());
        drainedMs.push(Math.round(performance.now() - startedMs));
        replicas[index] = await startReplica(index);
      }
    }
    await waitForPaths(caller, 2 * REPLICAS);
    const result = await load.finish(origin.http);
    printMixed('sidecars restarted in turn', result, { drainedMs, longestMs: result.longestMs });
    assertUnharmed(result);
    assert.deepEqual(pair.accidents(), []);
  });
});
