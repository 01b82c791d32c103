/** A line that is slow, behind a kernel that hides how much waits: what is said late on it is not dead (nats-server#7615). */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { relayCircuits } from '../../../src/tunnel/relay.ts';
import { STREAM_KIND } from '../../../src/tunnel/stream.ts';
import { createLinks, createSession, type LinkPair, RecordingSink, type SessionEnd } from '../../support/tunnel.ts';

const META = new Uint8Array([1]);
/** 64 kbit/s. */
const SLOW = { latencyMs: 40, bytesPerSecond: 8_000, hiddenBytes: 4 * 1024 * 1024 };
const FAST = { latencyMs: 10 };
const UPLOAD_BYTES = 2_000_000;
const LEAST_SECONDS = UPLOAD_BYTES / SLOW.bytesPerSecond;

interface Pair {
  readonly initiator: SessionEnd;
  readonly responder: SessionEnd;
}

/** A session by way of a hub: two links, joined there. */
async function relayed(near: LinkPair, far: LinkPair): Promise<Pair> {
  const calling = near.a.openCircuit();
  const called = far.b.openCircuit();
  relayCircuits(near.b.adoptCircuit(calling.id), called, () => undefined);
  const options = { isResumable: true, path: { kind: 'relay', via: 'hub' } } as const;
  const initiator = createSession('initiator', calling, near, undefined, options);
  const responder = createSession('responder', far.a.adoptCircuit(called.id), far, undefined, options);
  assert.ok(await near.clock.advanceUntil(() => initiator.session.isOpen && responder.session.isOpen, 10_000));
  return { initiator, responder };
}

/** Writes as much as the stream takes, whenever it takes some. */
function upload({ initiator, responder }: Pair): { readonly receivedBytes: number } {
  const stream = initiator.session.openStream(STREAM_KIND.raw, META, META.length, false);
  let leftBytes = UPLOAD_BYTES;
  const write = (): void => {
    while (leftBytes > 0) {
      const bytes = Math.min(leftBytes, 16_384);
      leftBytes -= bytes;
      if (!stream.write(new Uint8Array(bytes))) return;
    }
  };
  stream.attach({ ...DEAF, onDrain: write });
  write();
  let sink: RecordingSink | undefined;
  return {
    get receivedBytes(): number {
      const [incoming] = responder.streams;
      if (sink === undefined && incoming !== undefined) sink = new RecordingSink(incoming);
      return sink?.length ?? 0;
    },
  };
}

const DEAF = {
  onData: () => undefined,
  onHead: () => undefined,
  onEnd: () => undefined,
  onDrain: () => undefined,
  onReset: (error: Error) => assert.fail(error.message),
};

/** Asks for nothing, and notes how long the answer takes. */
function ask({ initiator }: Pair, tookMs: number[], clock: VirtualClock): void {
  const askedMs = clock.monotonicMs();
  const stream = initiator.session.openStream(STREAM_KIND.raw, META, META.length, true);
  stream.attach({ ...DEAF, onEnd: () => tookMs.push(clock.monotonicMs() - askedMs) });
}

function answerAll({ responder }: Pair): void {
  for (const incoming of responder.streams.splice(0)) {
    new RecordingSink(incoming);
    incoming.end();
  }
}

describe('On a line of 64 kbit/s with 2 MB to send', () => {
  for (const [where, first, second] of [
    ['from the sender to the hub', SLOW, FAST],
    ['from the hub to the receiver', FAST, SLOW],
  ] as const) {
    it(`${where} nothing ends: no link, no session, no stream; and what is small gets through`, async (t) => {
      const clock = new VirtualClock();
      const near = createLinks(first, clock);
      const far = createLinks({ ...second, seed: 2 }, clock);
      // On the far link the hub is `b`, so that both slow lines are slow in the direction of the upload.
      await clock.advanceAsync(1_000);
      const control = [
        createSession('initiator', near.a.control, near, undefined),
        createSession('responder', near.b.control, near, undefined),
        createSession('initiator', far.a.control, far, undefined),
        createSession('responder', far.b.control, far, undefined),
      ];
      const bulk = await relayed(near, far);
      const other = await relayed(near, far);
      const uploaded = upload(bulk);
      const tookMs: number[] = [];
      let seconds = 0;
      for (; uploaded.receivedBytes < UPLOAD_BYTES && seconds < 2 * LEAST_SECONDS; seconds++) {
        if (seconds % 10 === 5) ask(other, tookMs, clock);
        for (let i = 0; i < 10; i++) {
          await clock.advanceAsync(100);
          answerAll(other);
        }
        const ends = [...control, bulk.initiator, bulk.responder, other.initiator, other.responder];
        const errors = ends.flatMap(({ error }) => (error === undefined ? [] : [error.message]));
        assert.deepEqual([errors, near.errors, far.errors], [[], {}, {}], `after ${seconds} s`);
      }
      t.diagnostic(`${seconds} s for what takes ${LEAST_SECONDS} s; small: ${Math.max(...tookMs)} ms at most`);
      assert.ok(seconds <= 1.1 * LEAST_SECONDS, `${seconds} s`);
      assert.ok(tookMs.length >= 20, 'it was asked, and answered');
      assert.ok(Math.max(...tookMs) <= 6_000, `${tookMs}`);
      assert.equal(bulk.initiator.session.stats.recordsResent, 0);
    });
  }
});
