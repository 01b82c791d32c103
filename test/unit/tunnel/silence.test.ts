/** A session whose path falls silent: another one is taken within 3 s, and a peer that sleeps loses nothing. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Bytes } from '../../../src/core/bytes.ts';
import type { MemoryLink } from '../../../src/testing/memory-pipe.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import type { TunnelOptions } from '../../../src/tunnel/options.ts';
import { STREAM_KIND } from '../../../src/tunnel/stream.ts';
import { createLinks, createSession, type LinkPair, RecordingSink, type SessionEnd } from '../../support/tunnel.ts';

const META = new Uint8Array([1]);

interface TwoPaths {
  readonly clock: VirtualClock;
  readonly first: LinkPair;
  readonly second: LinkPair;
  readonly initiator: SessionEnd;
  readonly responder: SessionEnd;
  /** Bytes of one stream that have arrived, and one that waits for more. */
  readonly received: RecordingSink;
  say(text: Bytes): void;
}

/** One session by two links of the same round trip, with a stream that is open; the first one is in use. */
async function createTwoPaths(latencyMs: number, limits?: Partial<TunnelOptions>): Promise<TwoPaths> {
  const clock = new VirtualClock();
  const first = createLinks({ latencyMs, limits }, clock);
  const second = createLinks({ latencyMs, limits, seed: 2 }, clock);
  const resumable = { isResumable: true, path: { kind: 'relay', via: 'first' } } as const;
  await clock.advanceAsync(4 * latencyMs + 10);
  const initiator = createSession('initiator', first.a.control, first, limits, resumable);
  const responder = createSession('responder', first.b.control, first, limits, resumable);
  await clock.advanceUntil(() => initiator.session.isOpen && responder.session.isOpen, 30_000);
  offer(second, 'second', initiator, responder);
  await clock.advanceAsync(5_000);
  const stream = initiator.session.openStream(STREAM_KIND.raw, META, META.length, false);
  new RecordingSink(stream);
  await clock.advanceUntil(() => responder.streams.length > 0, 5_000);
  const received = new RecordingSink(responder.streams[0] ?? assert.fail());
  await clock.advanceAsync(2_000);
  assert.deepEqual(activeOf(initiator), 'first');
  return { clock, first, second, initiator, responder, received, say: (bytes) => void stream.write(bytes) };
}

/** Both ends learn of another path. */
function offer(links: LinkPair, via: string, initiator: SessionEnd, responder: SessionEnd): void {
  const near = links.a.openCircuit();
  const far = links.b.adoptCircuit(near.id);
  far.attach({
    onRecord: (message) => {
      responder.session.acceptPath(far, { kind: 'relay', via }, message);
    },
    onWritable: () => undefined,
    onClose: () => undefined,
  });
  initiator.session.offerPath(near, { kind: 'relay', via });
}

function activeOf({ session }: SessionEnd): string | undefined {
  return session.paths.find(({ state }) => state === 'active')?.via;
}

function freeze(wire: MemoryLink): void {
  wire.stall(wire.b);
}

describe('A session whose path swallows everything', () => {
  for (const latencyMs of [0, 20, 100]) {
    it(`goes on by another one within 3 s (${2 * latencyMs} ms round trip), with nothing lost or doubled`, async () => {
      const { clock, first, initiator, received, say } = await createTwoPaths(latencyMs);
      first.wire.blackhole();
      const fromMs = clock.monotonicMs();
      let said = 0;
      let longestMs = 0;
      let lastMs = fromMs;
      for (let i = 0; i < 100; i++) {
        say(new Uint8Array(10).fill(i));
        said += 10;
        const before = received.length;
        await clock.advanceAsync(50);
        if (received.length > before) lastMs = clock.monotonicMs();
        longestMs = Math.max(longestMs, clock.monotonicMs() - lastMs);
      }
      await clock.advanceAsync(2_000);
      assert.equal(received.length, said);
      assert.equal(activeOf(initiator), 'second');
      assert.equal(initiator.error, undefined);
      assert.ok(longestMs <= 3_000, `longest stall ${longestMs} ms`);
    });
  }

  it('leaves it in one direction alone, where the other still works', async () => {
    const { clock, first, initiator, received, say } = await createTwoPaths(20);
    first.wire.blackhole(first.wire.a);
    const fromMs = clock.monotonicMs();
    say(new Uint8Array(10));
    assert.ok(await clock.advanceUntil(() => received.length === 10, 3_000), 'arrived within 3 s');
    assert.ok(clock.monotonicMs() - fromMs >= 1_000, 'the path had its time');
    assert.equal(activeOf(initiator), 'second');
  });
});

describe('A peer that sleeps', () => {
  for (const asleepMs of [5_000, 15_000]) {
    it(`for ${asleepMs / 1_000} s loses no stream and no byte, in the middle of talk`, async () => {
      const { clock, first, second, initiator, responder, received, say } = await createTwoPaths(20);
      freeze(first.wire);
      freeze(second.wire);
      say(new Uint8Array(1_000));
      await clock.advanceAsync(asleepMs);
      for (const { wire } of [first, second]) wire.resume(wire.b);
      say(new Uint8Array(1_000));
      await clock.advanceAsync(1_000);
      const isGivenUp = initiator.session.isDetached;
      // A link that is dead costs its owner a dial, and the session nothing.
      if (isGivenUp) offer(createLinks({ latencyMs: 20 }, clock), 'third', initiator, responder);
      await clock.advanceAsync(5_000);
      assert.equal(isGivenUp, asleepMs > 14_000, 'links outlive 14 s');
      assert.equal(received.length, 2_000);
      assert.equal(initiator.session.isSuspect, false);
      assert.equal(initiator.error ?? responder.error, undefined);
    });
  }
});
