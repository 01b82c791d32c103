/** Model of the mux: random schedules on a seeded network; every byte exactly once and in order, memory inside the windows. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { HeadedSink, HeadedStream } from '../../src/core/byte-stream.ts';
import { type Bytes, encodeUtf8 } from '../../src/core/bytes.ts';
import { SkeinError } from '../../src/core/errors.ts';
import { SeededRandom } from '../../src/testing/seeded-random.ts';
import type { TunnelOptions } from '../../src/tunnel/options.ts';
import { STREAM_KIND } from '../../src/tunnel/stream.ts';
import { createSessions, type SessionPair } from '../support/tunnel.ts';

const RUNS = 40;
/** Small windows, so that every schedule runs into them. */
const LIMITS: Partial<TunnelOptions> = {
  streamWindowBytes: 4_096,
  maxStreamWindowBytes: 16_384,
  sessionWindowBytes: 16_384,
  maxSessionWindowBytes: 131_072,
  streamHighWaterBytes: 4_096,
  maxStreams: 6,
  rekeyAfterRecords: 7,
  peerResetsBurst: 100_000,
};

/** Byte `i` of stream `key` in direction `way`: a reader can tell what is missing, doubled or foreign. */
function expected(key: number, way: number, i: number): number {
  return (key * 31 + way * 17 + i * 7 + (i >> 8)) & 255;
}

/** One direction's writer and the other direction's reader, both at random speed. */
class Actor implements HeadedSink {
  readonly key: number;
  readonly way: number;
  readonly stream: HeadedStream;
  readonly #random: SeededRandom;
  readonly total: number;
  written = 0;
  received = 0;
  unread = 0;
  ended = false;
  gone: SkeinError | undefined;
  #may = true;

  constructor(stream: HeadedStream, key: number, way: number, random: SeededRandom) {
    this.stream = stream;
    this.key = key;
    this.way = way;
    this.#random = random;
    this.total = random.integer(4) === 0 ? 0 : random.integer(60_000);
    stream.attach(this);
  }

  get isDone(): boolean {
    return this.gone !== undefined || (this.ended && this.written > this.total);
  }

  step(): void {
    if (this.gone !== undefined) return;
    if (this.#may && this.written < this.total) {
      const chunk = new Uint8Array(Math.min(this.total - this.written, 1 + this.#random.integer(5_000)));
      for (let i = 0; i < chunk.length; i++) chunk[i] = expected(this.key, this.way, this.written + i);
      this.written += chunk.length;
      this.#may = this.stream.write(chunk);
    }
    if (this.written === this.total) {
      this.written++; // END is written once
      this.stream.end();
    }
    if (this.unread > 0 && this.#random.integer(3) > 0) this.read(1 + this.#random.integer(this.unread));
  }

  read(bytes: number): void {
    this.unread -= bytes;
    this.stream.consumed(bytes);
  }

  onData(chunk: Bytes): void {
    for (const byte of chunk) {
      if (byte !== expected(this.key, 1 - this.way, this.received++)) {
        assert.fail(`stream ${this.key}: byte ${this.received - 1} is not what was written`);
      }
    }
    this.unread += chunk.length;
  }

  onHead(): void {}

  onEnd(): void {
    assert.equal(this.ended, false, 'END comes once');
    this.ended = true;
  }

  onDrain(): void {
    this.#may = true;
  }

  onReset(error: SkeinError): void {
    this.gone = error;
  }
}

async function run(seed: number): Promise<{ streams: number; bytes: number }> {
  const random = new SeededRandom(seed);
  const pair: SessionPair = await createSessions({
    limits: LIMITS,
    latencyMs: random.integer(20),
    bytesPerSecond: 100_000 + random.integer(5_000_000),
    seed,
  });
  const ends = [pair.initiator, pair.responder];
  const opened: Actor[][] = [[], []];
  const taken: Actor[][] = [[], []];
  const plan = 10 + random.integer(20);
  const order: number[][] = [[], []]; // keys in the order they were opened here: the other end accepts them in that order
  let key = 0;
  for (let step = 0; step < 50_000; step++) {
    const side = random.integer(2);
    const end = ends[side] as (typeof ends)[number];
    if (key < plan && random.integer(4) === 0) {
      try {
        const stream = end.session.openStream(STREAM_KIND.raw, encodeUtf8(String(key)), String(key).length, false);
        (opened[side] as Actor[]).push(new Actor(stream, key, 0, random));
        (order[side] as number[]).push(key++);
      } catch (error) {
        assert.equal((error as SkeinError).code, 'SKEIN_LIMIT');
      }
    }
    for (const at of [0, 1]) {
      const { streams, metas } = ends[at] as (typeof ends)[number];
      const keys = metas.splice(0).map((meta) => Number(String.fromCharCode(...meta)));
      for (const [index, stream] of streams.splice(0).entries()) {
        const remoteKey = keys[index] as number;
        (taken[at] as Actor[]).push(new Actor(stream, remoteKey, 1, random));
      }
    }
    const actors = [...opened.flat(), ...taken.flat()];
    for (const actor of actors) if (random.integer(2) === 0) actor.step();
    if (random.integer(150) === 0 && actors.length > 0) {
      const victim = random.pick(actors);
      if (!victim.isDone) {
        victim.gone = new SkeinError('SKEIN_CANCELLED', 'Cannot go on: the model said so');
        victim.stream.reset(victim.gone);
      }
    }
    pair.clock.advance(random.integer(5));
    for (const { session, error } of ends) {
      assert.equal(error, undefined, `seed ${seed}: ${error?.message}`);
      const { unread, resend } = session.pinnedBytes;
      assert.ok(unread <= 131_072, `seed ${seed}: ${unread} unread`);
      assert.ok(resend <= 131_072 + 256 * 1024 + 66_000, `seed ${seed}: ${resend} kept`);
    }
    if (key === plan && actors.every((actor) => (actor.isDone && actor.unread === 0) || actor.gone !== undefined))
      break;
    assert.ok(step < 49_000, `seed ${seed}: no progress`);
  }
  pair.clock.advance(1_000);
  for (const end of ends) assert.equal(end.session.openStreams, 0, `seed ${seed}`);
  // what both sides ended in peace has arrived whole
  for (const side of [0, 1]) {
    for (const near of opened[side] as Actor[]) {
      const far = (taken[1 - side] as Actor[]).find((actor) => actor.key === near.key);
      if (near.gone !== undefined || far === undefined || far.gone !== undefined) continue;
      assert.equal(far.received, near.total, `seed ${seed}: stream ${near.key} out`);
      assert.equal(near.received, far.total, `seed ${seed}: stream ${near.key} back`);
    }
  }
  for (const { session } of ends)
    assert.equal(session.pinnedBytes.unread, 0, `seed ${seed}: released after all streams ended`);
  return { streams: plan, bytes: [...opened.flat(), ...taken.flat()].reduce((sum, actor) => sum + actor.received, 0) };
}

describe('Mux model', () => {
  it(`delivers every byte once and in order in ${RUNS} random schedules`, async () => {
    const base = Number(globalThis.process?.env?.SKEIN_SEED ?? 1);
    let bytes = 0;
    for (let i = 0; i < RUNS; i++) bytes += (await run(base + i)).bytes;
    assert.ok(bytes > 1_000_000);
  });
});
