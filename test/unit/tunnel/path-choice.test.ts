/** Which path a session takes as paths become better and worse: one that was bad has another chance, and none of it is a ping-pong. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { STREAM_KIND } from '../../../src/tunnel/stream.ts';
import { createResumable, type ResumablePair } from '../../support/resumable.ts';
import { type LinkPair, RecordingSink } from '../../support/tunnel.ts';

const META = new Uint8Array([1]);
const MINUTE_MS = 60_000;
const RELAY = { kind: 'relay', via: 'relay' } as const;
const RELAY_MS = 30;
const DIRECT = { kind: 'direct', via: 'direct' } as const;
const DIRECT_MS = 5;
const FAST = { bytesPerSecond: 10_000_000 };
/** What shows how fast it is takes seconds. */
const SLOW = { bytesPerSecond: 20_000 };
/** And here too long. */
const SLOWEST = { bytesPerSecond: 2_000 };

/** A session by a relay, with a direct path beside it. */
async function createPair(shape: typeof SLOW): Promise<ResumablePair & { readonly direct: LinkPair }> {
  const path = RELAY;
  const pair = await createResumable({ latencyMs: RELAY_MS, initiator: { path }, responder: { path } });
  return { ...pair, direct: pair.offer('initiator', DIRECT, { latencyMs: DIRECT_MS, ...shape }) };
}

/** Do the records of both ends go that way? */
function isOn({ initiator, responder }: ResumablePair, kind: 'direct' | 'relay'): boolean {
  return [initiator, responder].every(({ session }) => session.activePath?.kind === kind);
}

function movesOf({ initiator, responder }: ResumablePair): readonly number[] {
  return [initiator, responder].map(({ session }) => session.stats.pathSwitches);
}

/** Milliseconds until `done`. Nothing here waits for promises. */
function measure(clock: VirtualClock, done: () => boolean, limitMs: number): number {
  const startedMs = clock.monotonicMs();
  while (!done()) {
    clock.advance(100);
    assert.ok(clock.monotonicMs() - startedMs <= limitMs, `not within ${limitMs} ms`);
  }
  return clock.monotonicMs() - startedMs;
}

describe('A direct path that was slower than the relay when it was measured', () => {
  for (const [name, shape] of Object.entries({ SLOW, SLOWEST })) {
    for (const afterMs of [20_000, 5 * MINUTE_MS, 60 * MINUTE_MS]) {
      it(`is used once it is faster, also after ${afterMs / 1_000} s (${name})`, async () => {
        const pair = await createPair(shape);
        pair.clock.advance(afterMs);
        assert.ok(isOn(pair, 'relay'));
        assert.deepEqual(movesOf(pair), [0, 0]);
        pair.direct.wire.reshape(FAST);
        // No longer than it was slow, and no longer than 10 min; and what was under way arrives, and is judged.
        measure(pair.clock, () => isOn(pair, 'direct'), Math.min(afterMs, 10 * MINUTE_MS) + MINUTE_MS);
      });
    }

    it(`is measured ever more rarely (${name})`, async () => {
      const { clock, direct } = await createPair(shape);
      clock.advance(30 * MINUTE_MS);
      const { bytesSent } = direct.a.stats;
      clock.advance(60 * MINUTE_MS);
      const perSecond = (direct.a.stats.bytesSent - bytesSent) / (60 * 60);
      assert.ok(perSecond <= 250, `${perSecond} bytes a second, and nothing is said`);
    });
  }
});

describe('A direct path that has become slower than the relay', () => {
  it('is left, and taken again when it is better', async () => {
    const pair = await createPair(FAST);
    const { clock, direct } = pair;
    measure(clock, () => isOn(pair, 'direct'), 3_000);
    for (let day = 0; day < 3; day++) {
      clock.advance(30 * MINUTE_MS);
      direct.wire.reshape({ latencyMs: 100 });
      measure(clock, () => isOn(pair, 'relay'), 40_000);
      clock.advance(30 * MINUTE_MS);
      direct.wire.reshape({ latencyMs: DIRECT_MS });
      measure(clock, () => isOn(pair, 'direct'), 40_000);
    }
    assert.deepEqual(movesOf(pair), [7, 7]);
  });

  it('also where it is so because it is used, but ever more rarely, and at most once in five seconds', async (t) => {
    const pair = await createPair(FAST);
    const { clock, initiator, responder, direct } = pair;
    const stream = initiator.session.openStream(STREAM_KIND.raw, META, META.length, false);
    new RecordingSink(stream);
    clock.advance(200);
    const far = new RecordingSink(responder.streams[0] ?? assert.fail());
    const movedMs: number[] = [];
    let said = 0;
    while (clock.monotonicMs() < 180 * MINUTE_MS) {
      const [before] = movesOf(pair);
      direct.wire.reshape({ latencyMs: initiator.session.activePath?.kind === 'direct' ? 100 : DIRECT_MS });
      stream.write(new Uint8Array(10));
      said += 10;
      clock.advance(1_000);
      if (movesOf(pair)[0] !== before) movedMs.push(clock.monotonicMs());
    }
    clock.advance(1_000);
    assert.equal(far.length, said);
    assert.deepEqual([initiator.error, responder.error], [undefined, undefined]);
    const staysS = movedMs.slice(1).map((atMs, index) => Math.round((atMs - (movedMs[index] as number)) / 1_000));
    t.diagnostic(`it stays for ${staysS} s`);
    assert.ok(staysS.length >= 10 && Math.min(...staysS) >= 5, `${staysS}`);
    const inLastHour = movedMs.filter((atMs) => atMs >= 120 * MINUTE_MS).length;
    assert.ok(inLastHour <= 12, `${inLastHour} times in the last hour`);
  });
});

describe('A session on which nothing is said', () => {
  it('asks its paths every ten minutes, and every five seconds when something is said again', async () => {
    const pair = await createPair(FAST);
    const { clock, direct, initiator } = pair;
    const sent = (): number => direct.a.stats.messagesSent + direct.b.stats.messagesSent;
    clock.advance(3 * MINUTE_MS);
    const before = sent();
    clock.advance(9 * MINUTE_MS);
    // Both links say that they live, about every five seconds, and nothing else is said.
    const quiet = sent() - before;
    const stream = initiator.session.openStream(STREAM_KIND.raw, META, META.length, false);
    new RecordingSink(stream);
    const again = sent();
    for (let minute = 0; minute < 9; minute++) {
      stream.write(new Uint8Array(10));
      clock.advance(MINUTE_MS);
    }
    const busy = sent() - again;
    assert.ok(quiet < 260 && busy > 1.5 * quiet, `${quiet} messages, and ${busy}`);
  });
});
