/** A hub is killed with -9 and started again: its sidecars come back by the tickets that it had sealed, and nobody verifies a signature. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { printFigures } from '../support/figures.ts';
import { ask } from '../support/load.ts';
import { type Sidecar, TestMesh } from '../support/mesh.ts';

const KILLS = 3;
const REVOKED = 'spiffe://skein.mesh/ns/default/sa/other';

describe('A hub killed and started again', () => {
  let mesh: TestMesh;
  let a: Sidecar;
  let other: Sidecar;

  before(async () => {
    mesh = await TestMesh.start();
    const origin = await mesh.startOrigin();
    await mesh.startSidecar({ name: 'b', services: ['api'], expose: [`api=${origin.http}`], http: false });
    a = await mesh.startSidecar({ name: 'a', services: ['client'] });
    other = await mesh.startSidecar({ name: 'other', services: ['other'], http: false });
  });
  after(() => mesh?.close());

  async function readMetric(name: string): Promise<number> {
    const lines = (await mesh.get('/metrics')).split('\n');
    return Number(lines.find((line) => line.startsWith(`${name} `))?.slice(name.length + 1));
  }

  const proven = async () => ({
    signatures: await readMetric('skein_hub_handshakes_total{by="signatures"}'),
    ticket: await readMetric('skein_hub_handshakes_total{by="ticket"}'),
  });

  /** Each as often as it is told of joining. */
  const untilBack = (count: number): Promise<unknown> =>
    mesh.hub.waitForLog(({ event }) => event === 'sidecar-joined' && mesh.hub.count('sidecar-joined') >= count);

  it('Takes all its sidecars back without a signature, as often as it is killed', async () => {
    const backMs: number[] = [];
    for (let i = 0; i < KILLS; i++) {
      await mesh.hub.kill();
      await mesh.startHub();
      const started = performance.now();
      await untilBack(3);
      backMs.push(Math.round(performance.now() - started));
      assert.deepEqual(await proven(), { signatures: 0, ticket: 3 });
      assert.equal(await readMetric('skein_hub_svids_issued_total'), 0);
      assert.equal((await ask({ through: a.http, host: 'api.mesh', path: '/' })).status, 200);
    }
    printFigures('sidecars back by tickets', { backMs });
  });

  it('Refuses one that was revoked, ticket or not', async () => {
    await mesh.admin('revoke', REVOKED);
    await other.program.waitForLog(({ reason }) => reason === 'revoked');
    await mesh.hub.kill();
    await mesh.startHub();
    await untilBack(2);
    assert.deepEqual(await proven(), { signatures: 0, ticket: 2 });
    assert.equal(await readMetric('skein_hub_sidecars'), 2);
  });
});
