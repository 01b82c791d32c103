/** Simulated lines, direct or joined by blind relays, and what bulk makes of them: how much of a line it uses, and how long what is small waits beside it. */

import assert from 'node:assert/strict';
import type { HeadedSink, HeadedStream } from '../../src/core/byte-stream.ts';
import type { MemoryLinkOptions } from '../../src/testing/memory-pipe.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';
import type { TunnelOptions } from '../../src/tunnel/options.ts';
import { relayCircuits } from '../../src/tunnel/relay.ts';
import { STREAM_KIND } from '../../src/tunnel/stream.ts';
import { createLinks, createSession, type LinkPair, RecordingSink, type SessionEnd } from './tunnel.ts';

export const MBIT = 125_000;

const META = new Uint8Array([1]);
const CHUNK = new Uint8Array(32 * 1024);

export interface LinePair {
  readonly clock: VirtualClock;
  readonly links: readonly LinkPair[];
  readonly initiator: SessionEnd;
  readonly responder: SessionEnd;
}

/** A session over one line, or over a relay with a line on each side; all ends have the same limits. */
export async function connectLines(
  hops: readonly MemoryLinkOptions[],
  limits?: Partial<TunnelOptions>,
): Promise<LinePair> {
  const clock = new VirtualClock({ maxEvents: 50_000_000 });
  const links = hops.map((hop, i) => createLinks({ ...hop, limits, seed: i + 1 }, clock));
  const [near, far] = links;
  if (near === undefined) throw new TypeError('Cannot connect: there is no hop');
  await clock.advanceAsync(1_000);
  let [calling, called] = [near.a.control, near.b.control];
  if (far !== undefined) {
    calling = near.a.openCircuit();
    const onwards = far.b.openCircuit();
    relayCircuits(near.b.adoptCircuit(calling.id), onwards, () => undefined);
    called = far.a.adoptCircuit(onwards.id);
  }
  const initiator = createSession('initiator', calling, near, limits);
  const responder = createSession('responder', called, far ?? near, limits);
  assert.ok(await clock.advanceUntil(() => initiator.session.isOpen && responder.session.isOpen, 10_000));
  return { clock, links, initiator, responder };
}

/** Writes whenever the stream takes something. */
export class Endless implements HeadedSink {
  error: Error | undefined;
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
    this.error = error;
  }
}

/** Counts what comes, and keeps nothing. */
export class Counting implements HeadedSink {
  bytes = 0;
  error: Error | undefined;
  /** It has stopped reading. */
  isAsleep = false;
  readonly #stream: HeadedStream;

  constructor(stream: HeadedStream) {
    this.#stream = stream;
    stream.attach(this);
  }

  onData({ length }: Uint8Array): void {
    this.bytes += length;
    if (!this.isAsleep) this.#stream.consumed(length);
  }

  onHead(): void {}
  onEnd(): void {}
  onDrain(): void {}

  onReset(error: Error): void {
    this.error = error;
  }
}

export interface BulkOptions {
  readonly hops: readonly MemoryLinkOptions[];
  readonly limits?: Partial<TunnelOptions>;
  /** Bulk streams. @default 1 */
  readonly streams?: number;
  /** Whether bulk goes to who was called, or comes from there; what is small is always asked by who calls. @default 'up' */
  readonly direction?: 'up' | 'down';
  readonly warmMs: number;
  readonly measureMs: number;
  /** Between two small questions. */
  readonly askEveryMs: number;
}

export interface BulkFigures {
  /** Of the narrowest line, used by bulk. */
  readonly use: number;
  /** The slowest small answer, in milliseconds. */
  readonly slowestMs: number;
}

/** Endless streams in one direction, and beside them a small question now and then. */
export async function measureBulk(options: BulkOptions): Promise<BulkFigures> {
  const { hops, limits, streams = 1, direction = 'up', warmMs, measureMs, askEveryMs } = options;
  const { clock, initiator, responder } = await connectLines(hops, limits);
  const outgoing = Array.from({ length: streams }, () =>
    initiator.session.openStream(STREAM_KIND.raw, META, META.length, false),
  );
  if (direction === 'up') for (const stream of outgoing) new Endless(stream);
  assert.ok(await clock.advanceUntil(() => responder.streams.length === streams, 10_000));
  const incoming = responder.streams.splice(0);
  if (direction === 'down') for (const stream of incoming) new Endless(stream);
  const counting = (direction === 'up' ? incoming : outgoing).map((stream) => new Counting(stream));
  const arrived = (): number => counting.reduce((sum, { bytes }) => sum + bytes, 0);
  await clock.advanceAsync(warmMs);
  const before = arrived();
  const startMs = clock.monotonicMs();
  let slowestMs = 0;
  while (clock.monotonicMs() - startMs < measureMs) {
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
    const tookMs = clock.monotonicMs() - askedMs;
    slowestMs = Math.max(slowestMs, tookMs);
    await clock.advanceAsync(Math.max(0, askEveryMs - tookMs));
  }
  for (const { error } of counting) assert.equal(error, undefined);
  const line = Math.min(...hops.map(({ bytesPerSecond = 0 }) => bytesPerSecond)) / 1_000;
  return { use: (arrived() - before) / (clock.monotonicMs() - startMs) / line, slowestMs };
}
