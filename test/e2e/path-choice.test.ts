import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { printFigures } from '../support/figures.ts';
import { assertUnbroken } from '../support/lasting-kinds.ts';
import { LastingStreams, throughTcp } from '../support/lasting-streams.ts';
import { TestMesh } from '../support/mesh.ts';
import { startTwoWays } from '../support/movable-sidecar.ts';

/** One way. The relay is the longer one; a direct path may be 20 ms slower, there and back, before it is left. */
const RELAY = { delayMs: 10 };
const GOOD = { delayMs: 2 };
const BAD = { delayMs: 60 };
const STREAMS = 10;
const LINE_EVERY_MS = 50;
/** Long enough to see that it stays. */
const STAY_MS = 7_000;

describe('A direct path between real processes', () => {
  it('is left when it has become slower than the relay, and taken again when it is better, by itself', async () => {
    const mesh = await TestMesh.start();
    try {
      const origin = await mesh.startOrigin();
      const expose = [{ service: 'lines', target: `tcp://${origin.tcp}` }];
      const { a, b, direct } = await startTwoWays(mesh, expose, { relay: RELAY, direct: GOOD });
      const streams = await LastingStreams.start(STREAMS, throughTcp(a.tcp('lines')), { periodMs: LINE_EVERY_MS });
      const moved = async (kind: 'relay' | 'direct') => {
        const startedMs = performance.now();
        const [ofA, ofB] = await Promise.all([a.until(kind), b.until(kind)]);
        return {
          kind,
          tookMs: Math.round(performance.now() - startedMs),
          switches: { a: ofA.switches, b: ofB.switches },
        };
      };
      const moves = [await moved('direct')];
      /** Switches of each end while it should stay where it had moved last. */
      const restless: { a: number; b: number }[] = [];
      const stay = async () => {
        const { kind, switches } = moves.at(-1) as (typeof moves)[number];
        await wait(STAY_MS);
        const { switches: now } = await moved(kind);
        restless.push({ a: now.a - switches.a, b: now.b - switches.b });
      };
      for (const [shape, kind] of [
        [BAD, 'relay'],
        [GOOD, 'direct'],
      ] as const) {
        await stay();
        await direct.reshape(shape);
        moves.push(await moved(kind));
      }
      await stay();
      const [endA, endB] = [await a.until('direct'), await b.until('direct')];
      const result = await streams.finish();
      printFigures('paths by themselves', {
        moves,
        restless,
        switches: { a: endA.switches, b: endB.switches },
        ...result,
      });
      assertUnbroken(result);
      assert.deepEqual(
        restless,
        moves.map(() => ({ a: 0, b: 0 })),
        'where it moves it stays',
      );
      assert.ok(endA.switches >= moves.length && endB.switches >= moves.length);
      assert.deepEqual(mesh.accidents(), []);
    } finally {
      await mesh.close();
    }
  });
});
