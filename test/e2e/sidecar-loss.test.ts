import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { printFigures } from '../support/figures.ts';
import { LastingStreams, throughHttp, throughTcp, throughWebSocket } from '../support/lasting-streams.ts';
import { type Sidecar, TestMesh } from '../support/mesh.ts';

const STOPPED_MS = 15_000;

describe('A sidecar that is stopped for 15 s', () => {
  let mesh: TestMesh;
  let a: Sidecar;
  let b: Sidecar;

  before(async () => {
    mesh = await TestMesh.start();
    const origin = await mesh.startOrigin();
    const expose = [`api=${origin.http}`, `lines=tcp://${origin.tcp}`];
    b = await mesh.startSidecar({ name: 'sidecar b', services: ['api', 'lines'], expose, http: false });
    a = await mesh.startSidecar({ name: 'sidecar a', services: ['client'], tcp: ['lines'] });
  });
  after(() => mesh?.close());

  for (const [who, choose] of [
    ['the callee', () => b],
    ['the caller', () => a],
  ] as const) {
    it(`Loses no stream, when it is ${who}`, async () => {
      const target = { through: a.http, host: 'api.mesh' };
      const period = { periodMs: 500 };
      const streams = {
        raw: await LastingStreams.start(20, throughTcp(a.tcp('lines')), period),
        http: await LastingStreams.start(20, throughHttp(target), period),
        sockets: await LastingStreams.start(20, throughWebSocket(target), period),
      };
      await wait(1_000);
      const { program } = choose();
      program.signal('SIGSTOP');
      await wait(STOPPED_MS);
      program.signal('SIGCONT');
      const continuedMs = performance.now();
      await wait(1_000);
      const results = {
        raw: await streams.raw.finish(),
        http: await streams.http.finish(),
        sockets: await streams.sockets.finish(),
      };
      const tookMs = Math.round(performance.now() - continuedMs);
      for (const [kind, figures] of Object.entries(results))
        printFigures(`${who} stopped for 15 s: ${kind}`, { ...figures, tookMs });
      for (const [kind, { sent, received, lost, duplicated, broken, errors }] of Object.entries(results)) {
        assert.deepEqual(
          { kind, broken, lost, duplicated, errors },
          { kind, broken: 0, lost: 0, duplicated: 0, errors: [] },
        );
        assert.equal(received, sent);
      }
    });
  }
});
