/** A member that closes with nothing under way: who asks it meanwhile is told that nothing was processed, whenever that is, and can ask another. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { printFigures } from '../../support/figures.ts';
import { RecordingHandler, send } from '../../support/http.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

const ONE_WAY_MS = 20;
/** From long before the close to when everybody knows of it. */
const MOMENTS = Array.from({ length: 37 }, (_, i) => -120 + 10 * i);

for (const isTold of [false, true]) {
  test(`A POST on its way to a member that ${isTold ? 'says that it leaves, and then closes' : 'closes'} was processed, or is told not to have been`, async (t) => {
    const outcomes = { answered: 0, notProcessed: 0 };
    for (const atMs of MOMENTS) {
      const mesh = new VirtualMesh(t);
      mesh.network.latencyMs = ONE_WAY_MS;
      await mesh.startHub();
      const { agent: api } = await mesh.join(['api']);
      const handler = new RecordingHandler((request) => request.answer(200, 'ok'));
      await mesh.serve(api, 'api.default', { protocol: 'http', handler });
      const { agent: web } = await mesh.join(['web']);
      await mesh.ask(web, { authority: 'api.mesh' });
      const before = handler.seen.length;
      const ask = () => send(web.outbound, { authority: 'api.mesh', method: 'POST' });
      const early = atMs <= 0 ? ask() : undefined;
      await mesh.clock.advanceAsync(Math.max(0, -atMs));
      if (isTold) await mesh.run(api.leave());
      api.close();
      await mesh.clock.advanceAsync(Math.max(0, atMs));
      const reply = early ?? ask();
      await mesh.run(reply.done);
      if (reply.head !== undefined) {
        deepEqual([reply.head.status, handler.seen.length - before], [200, 1], `${atMs} ms`);
        outcomes.answered++;
      } else {
        deepEqual([reply.error?.notProcessed, handler.seen.length - before], [true, 0], `${atMs} ms: ${reply.error}`);
        outcomes.notProcessed++;
      }
    }
    printFigures('a member that leaves', { isTold, ...outcomes });
    ok(outcomes.answered > 0 && outcomes.notProcessed > 0);
    equal(outcomes.answered + outcomes.notProcessed, MOMENTS.length);
  });
}
