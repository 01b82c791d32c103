/** A session that carries as much as it can: what is small comes by, whatever kernels hide, and the path stays full. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { HeadedSink, HeadedStream } from '../../../src/core/byte-stream.ts';
import type { MemoryLinkOptions } from '../../../src/testing/memory-pipe.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { relayCircuits } from '../../../src/tunnel/relay.ts';
import { STREAM_KIND } from '../../../src/tunnel/stream.ts';
import { createLinks, createSession, RecordingSink, type SessionEnd } from '../../support/tunnel.ts';

const META = new Uint8Array([1]);
const CHUNK = new Uint8Array(32 * 1024);

interface Pair {
  readonly clock: VirtualClock;
  readonly initiator: SessionEnd;
  readonly responder: SessionEnd;
}

async function connect(hops: readonly MemoryLinkOptions[]): Promise<Pair> {
  const clock = new VirtualClock({ maxEvents: 50_000_000 });
  const [near, far] = hops.map((hop, i) => createLinks({ ...hop, seed: i + 1 }, clock));
  if (near === undefined) throw new TypeError('Cannot connect: there is no hop');
  await clock.advanceAsync(1_000);
  let [calling, called] = [near.a.control, near.b.control];
  if (far !== undefined) {
    calling = near.a.openCircuit();
    const onwards = far.a.openCircuit();
    relayCircuits(near.b.adoptCircuit(calling.id), onwards, () => undefined);
    called = far.b.adoptCircuit(onwards.id);
  }
  const initiator = createSession('initiator', calling, near, undefined);
  const responder = createSession('responder', called, far ?? near, undefined);
  assert.ok(await clock.advanceUntil(() => initiator.session.isOpen && responder.session.isOpen, 10_000));
  return { clock, initiator, responder };
}

/** Writes whenever the stream takes something. */
class Endless implements HeadedSink {
  readonly #stream: HeadedStream;

  constructor(stream: HeadedStream) {
    this.#stream = stream;
    stream.attach(this);
    this.onDrain();
  }

  onDrain(): void {
    while (this.#stream.write(CHUNK));
  }

  onData(): void {}
  onHead(): void {}
  onEnd(): void {}

  onReset(error: Error): void {
    assert.fail(error.message);
  }
}

/** Counts what comes, and keeps nothing. */
class Counting implements HeadedSink {
  bytes = 0;
  readonly #stream: HeadedStream;

  constructor(stream: HeadedStream) {
    this.#stream = stream;
    stream.attach(this);
  }

  onData({ length }: Uint8Array): void {
    this.bytes += length;
    this.#stream.consumed(length);
  }

  onHead(): void {}
  onEnd(): void {}
  onDrain(): void {}

  onReset(error: Error): void {
    assert.fail(error.message);
  }
}

/** Asks now and then behind an endless stream of the same session; in milliseconds what each answer took, and what the bulk got a second. */
async function measure(hops: readonly MemoryLinkOptions[], seconds: number) {
  const { clock, initiator, responder } = await connect(hops);
  const bulk = initiator.session.openStream(STREAM_KIND.raw, META, META.length, false);
  new Endless(bulk);
  assert.ok(await clock.advanceUntil(() => responder.streams.length > 0, 10_000));
  const [incoming] = responder.streams.splice(0);
  assert.ok(incoming !== undefined);
  const counting = new Counting(incoming);
  await clock.advanceAsync(5_000);
  const before = counting.bytes;
  const tookMs: number[] = [];
  for (let i = 0; i < seconds * 4; i++) {
    const askedMs = clock.monotonicMs();
    const answer = new RecordingSink(initiator.session.openStream(STREAM_KIND.raw, META, META.length, true));
    const isAnswered = await clock.advanceUntil(() => {
      for (const asked of responder.streams.splice(0)) {
        new RecordingSink(asked);
        asked.end();
      }
      return answer.ended;
    }, 10_000);
    assert.ok(isAnswered);
    tookMs.push(clock.monotonicMs() - askedMs);
    await clock.advanceAsync(Math.max(0, 250 - (clock.monotonicMs() - askedMs)));
  }
  const mostMs = Math.max(...tookMs);
  return { mostMs, bytesPerSecond: (counting.bytes - before) / seconds };
}

const HIDDEN = { hiddenBytes: 4 * 1024 * 1024 };
const MBIT = 125_000;

const WAYS: Readonly<Record<string, readonly [hops: readonly MemoryLinkOptions[], mostMs: number]>> = {
  'a line of 100 Mbit/s at 20 ms': [[{ ...HIDDEN, latencyMs: 10, bytesPerSecond: 100 * MBIT }], 90],
  'a line of 80 Mbit/s at 80 ms': [[{ ...HIDDEN, latencyMs: 40, bytesPerSecond: 80 * MBIT }], 200],
  'a relay, and a slower line behind it': [
    [
      { ...HIDDEN, latencyMs: 5, bytesPerSecond: 1_000 * MBIT },
      { ...HIDDEN, latencyMs: 10, bytesPerSecond: 100 * MBIT },
    ],
    120,
  ],
};

describe('Beside a stream that takes all it can get, over', () => {
  for (const [name, [hops, mostMs]] of Object.entries(WAYS)) {
    it(`${name}, an answer waits for little more than the path, which stays full`, async (t) => {
      const seconds = 6;
      const found = await measure(hops, seconds);
      const line = Math.min(...hops.map(({ bytesPerSecond = 0 }) => bytesPerSecond));
      const use = found.bytesPerSecond / line;
      t.diagnostic(`${Math.round(found.mostMs)} ms at most, ${Math.round(use * 100)} % of the line`);
      assert.ok(use >= 0.94, `${Math.round(use * 100)} % of the line`);
      assert.ok(found.mostMs <= mostMs, `${found.mostMs} ms`);
    });
  }
});
