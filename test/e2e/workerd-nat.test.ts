import { deepEqual, equal } from 'node:assert/strict';
import { describe, it } from 'node:test';
import { lacking } from '../runtime/capabilities.ts';
import { printFigures } from '../support/figures.ts';
import { createKeep } from '../support/keep.ts';
import type { Load, LoadResult } from '../support/load.ts';
import { TestMesh } from '../support/mesh.ts';
import { HUB_ADDRESS, type NamespaceName, NatLab, SITE_ADDRESSES } from '../support/netns.ts';
import { helperPath, runProgram } from '../support/process.ts';
import { Workerd } from '../support/workerd.ts';

const HUB_PORT = 7000;
const REQUESTS = 10_000;
const noLab = lacking('network namespaces') || lacking('workerd');

describe('A Worker and a Node service, each behind its NAT', () => {
  const keep = createKeep();

  it('Call each other 10,000 times without an error: the example, as it is deployed', { skip: noLab }, async () => {
    const lab = keep(new NatLab([HUB_PORT]));
    const mesh = keep(await TestMesh.start({ listen: `${HUB_ADDRESS}:${HUB_PORT}`, within: lab.within('hub') }));
    const origin = await mesh.startOrigin('api', lab.within('site-b'));
    const sidecar = await mesh.startSidecar({
      ...{ name: 'sidecar', within: lab.within('site-b') },
      ...{ services: ['api'], expose: [`api=${origin.http}`] },
    });
    const vars = { SKEIN_HUB: mesh.hubUrl, SKEIN_TOKEN: await mesh.createToken(['edge']) };
    const listen = `${SITE_ADDRESSES.a}:0`;
    const worker = keep(
      await Workerd.startProject('examples/cloudflare-worker', vars, { listen, within: lab.within('site-a') }),
    );
    const through = new URL(worker.url).host;
    const run = async (place: NamespaceName, load: Load): Promise<LoadResult> =>
      JSON.parse(
        await runProgram(process.execPath, [helperPath('client'), JSON.stringify(load)], { within: lab.within(place) }),
      );
    const toApi = { kind: 'http', through, host: 'worker.example', form: 'host' } as const;
    const toEdge = { kind: 'http', through: sidecar.http, host: 'edge.mesh', path: '/' } as const;
    const results = {
      out: await run('site-a', { ...toApi, count: REQUESTS / 2, concurrency: 16 }),
      outWithBody: await run('site-a', { ...toApi, count: 500, concurrency: 8, bodyBytes: 20_000 }),
      in: await run('site-b', { ...toEdge, count: REQUESTS / 2, concurrency: 16 }),
    };
    printFigures('workerd behind NAT', results);
    for (const { failures, errors } of Object.values(results))
      deepEqual({ failures, errors }, { failures: 0, errors: {} });
    deepEqual(mesh.accidents(), []);
    equal(lab.droppedPackets('a').inbound + lab.droppedPackets('b').inbound, 0);
  });
});
