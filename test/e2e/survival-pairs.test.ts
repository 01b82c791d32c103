import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { lacking } from '../runtime/capabilities.ts';
import { Cutter } from '../support/cutter.ts';
import { CUTS } from '../support/cutting-relay.ts';
import { Download } from '../support/downloads.ts';
import { printFigures } from '../support/figures.ts';
import { assertAllUnbroken, LastingKinds, type LastingResults } from '../support/lasting-kinds.ts';
import { type Sidecar, TestMesh } from '../support/mesh.ts';
import type { Runtime } from '../support/process.ts';

const RUNTIMES: readonly Runtime[] = ['node', 'bun', 'deno'];
const CUT_EVERY_MS = 1_000;
const DOWNLOAD_BYTES = 16 * 1024 ** 2;
const STREAMS = 3;
const LINE_EVERY_MS = 200;

/** A sidecar and the relay on its way to the hub. */
interface Side {
  readonly runtime: Runtime;
  readonly sidecar: Sidecar;
  readonly cutter: Cutter;
}

const skip = lacking('Bun and Deno');

describe('Streams between Node, Bun and Deno outlive their WebSockets', () => {
  let mesh: TestMesh;
  let origin: { readonly http: string; readonly tcp: string };
  const callees: Side[] = [];

  before(async () => {
    if (skip) return;
    mesh = await TestMesh.start();
    origin = await mesh.startOrigin();
    for (const runtime of RUNTIMES) {
      const services = [`api-${runtime}`, `lines-${runtime}`];
      const expose = [`api-${runtime}=${origin.http}`, `lines-${runtime}=tcp://${origin.tcp}`];
      callees.push(await start(runtime, `callee on ${runtime}`, { services, expose, http: false }));
    }
  });
  after(() => mesh?.close());

  async function start(runtime: Runtime, name: string, options: object): Promise<Side> {
    const cutter = await Cutter.start(mesh.hubAddress, {}, `relay of the ${name}`);
    mesh.programs.push(cutter.program);
    const sidecar = await mesh.startSidecar({ name, runtime, hub: cutter.url, ...options });
    return { runtime, sidecar, cutter };
  }

  for (const runtime of RUNTIMES) {
    it(`${runtime} calls Node, Bun and Deno`, { skip }, async () => {
      const tcp = RUNTIMES.map((callee) => `lines-${callee}`);
      const caller = await start(runtime, `caller on ${runtime}`, { services: ['client'], tcp });
      const pairs = await Promise.all(callees.map((callee) => begin(caller.sidecar, callee.runtime)));
      for (const [index, cut] of CUTS.entries()) {
        await wait(CUT_EVERY_MS);
        // Both links of every pair, in turn; the last one, silence, is for the sidecars to find out.
        const sides = index % 2 === 0 ? [caller] : callees;
        await Promise.all(
          sides.map(async ({ cutter }) => {
            await cutter.untilConnected();
            await cutter.cut(cut);
          }),
        );
      }
      await wait(CUT_EVERY_MS);
      for (const [index, finish] of pairs.entries()) {
        const { streams, download } = await finish();
        const pair = `${runtime} to ${RUNTIMES[index]}`;
        printFigures(`cut five times: ${pair}`, { ...sumOf(streams), isIntact: download.isIntact });
        assertAllUnbroken(streams, pair);
        assert.deepEqual([download.error, download.isIntact], [undefined, true], pair);
      }
      const { cuts } = await caller.cutter.counts();
      assert.deepEqual(
        CUTS.filter((cut) => cuts[cut] > 0),
        ['rst', 'close-1001', 'silence'],
      );
      for (const { cutter } of callees) {
        const { cuts } = await cutter.counts();
        assert.deepEqual([cuts.fin > 0, cuts['mid-message'] > 0], [true, true]);
      }
      await caller.sidecar.program.stop();
      assert.deepEqual(mesh.accidents(), []);
    });
  }

  /** What lasts from one sidecar to another; what it gives ends it. */
  async function begin(caller: Sidecar, callee: Runtime) {
    const target = { through: caller.http, host: `api-${callee}.mesh` };
    const tcp = caller.tcp(`lines-${callee}`);
    const streams = await LastingKinds.start({ ...target, tcp, count: STREAMS, periodMs: LINE_EVERY_MS });
    const seconds = (CUTS.length * CUT_EVERY_MS) / 1000;
    const download = new Download({ ...target, bytes: DOWNLOAD_BYTES, seconds });
    return async () => {
      const downloaded = await download.done;
      return { streams: await streams.finish(), download: downloaded };
    };
  }
});

function sumOf(streams: LastingResults): object {
  const results = Object.values(streams);
  const sum = (field: 'count' | 'broken' | 'sent' | 'received' | 'lost' | 'duplicated') =>
    results.reduce((total, result) => total + result[field], 0);
  return {
    count: sum('count'),
    broken: sum('broken'),
    sent: sum('sent'),
    received: sum('received'),
    lost: sum('lost'),
    duplicated: sum('duplicated'),
    longestStallMs: Math.max(...results.map(({ maxMs }) => maxMs)),
    errors: results.flatMap(({ errors }) => errors),
  };
}
