/** A direct path that falls silent: how long requests wait, where the relay goes on, and where it is as dead. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { VirtualPair } from '../../../support/virtual-pair.ts';

/** A path that carries nothing is left within. */
const LEFT_WITHIN_MS = 3_000;
/** Requests before it, in different states of timers that have nothing to do with it. */
const OFFSETS_MS = [0, 700, 1_900, 3_300, 4_800];

describe('A direct path that carries nothing any more', () => {
  for (const [what, silence] of [
    ['is left for the relay', (pair: VirtualPair) => pair.internet.silence()],
    ['is left also where the link to the hub has died with it', (pair: VirtualPair) => pair.forgetNat('a')],
  ] as const) {
    it(`${what} within 3 s`, async (t) => {
      const pair = await VirtualPair.start(t);
      const { clock } = pair.mesh;
      const tookMs: number[] = [];
      for (const offsetMs of OFFSETS_MS) {
        assert.equal(await pair.ask(), 'hello');
        await pair.untilDirect(120_000);
        await pair.mesh.until(() => pair.sessionOf('a').activePath?.kind === 'direct');
        await clock.advanceAsync(60_000 + offsetMs);
        silence(pair);
        const startedMs = clock.monotonicMs();
        assert.equal(await pair.ask(), 'hello');
        tookMs.push(clock.monotonicMs() - startedMs);
        assert.equal(pair.sessionOf('a').activePath?.kind, 'relay');
        await pair.mesh.until(() => !pair.isDirect);
      }
      t.diagnostic(JSON.stringify({ tookMs: tookMs.map(Math.round) }));
      assert.ok(Math.max(...tookMs) <= LEFT_WITHIN_MS, `${tookMs}`);
      assert.equal(pair.agents.a.peers.size, 1, 'one session through it all');
    });
  }
});
