/** A hundred forced migrations on virtual time, where nothing but the fence takes time: what it adds to what is under way. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { STREAM_KIND } from '../../../src/tunnel/stream.ts';
import { percentiles } from '../../support/load.ts';
import { createResumable } from '../../support/resumable.ts';
import { Pump, RecordingSink, type SessionEnd } from '../../support/tunnel.ts';

const META = new Uint8Array([1]);
const MIGRATIONS = 100;
const EVERY_MS = 151;
/** Before the first of them: streams have been opened, and have found their pace. */
const WARM_UP_MS = 1_000;
const LINE_EVERY_MS = 5;
const LINE_BYTES = 4;
const SHAPES = { relay: { latencyMs: 12 }, direct: { latencyMs: 5 } } as const;
const BYTES_PER_SECOND = 2_000_000;
/** Half of that, in the period of lines. */
const CHUNK_BYTES = (BYTES_PER_SECOND / 2 / 1_000) * LINE_EVERY_MS;
/** The fence waits for one round trip of the path that is left, here 24 ms, and what has waited needs its time on the line. */
const LOADS = { 'little to say': 30, 'half of the line in use': 50, 'a full line': 50 } as const;
type Load = keyof typeof LOADS;

/** Times of numbered lines from one end to the other, in milliseconds, while both ends migrate every `EVERY_MS`, or not. */
async function measure(
  kinds: readonly ('relay' | 'direct')[],
  count: number,
  load: Load,
): Promise<{ tookMs: number[]; ends: SessionEnd[] }> {
  const path = { kind: 'relay', via: 'relay' } as const;
  const bandwidth = { bytesPerSecond: BYTES_PER_SECOND };
  // Nothing is measured that would have a way of its own.
  const limits = { probeMs: 3_600_000 };
  const pair = await createResumable({
    limits,
    ...SHAPES.relay,
    ...bandwidth,
    initiator: { path },
    responder: { path },
  });
  const { clock, initiator, responder } = pair;
  pair.offer('initiator', { kind: 'direct', via: 'direct' }, { ...SHAPES.direct, ...bandwidth });
  clock.advance(10_000);
  const open = () => initiator.session.openStream(STREAM_KIND.raw, META, META.length, false);
  const [lines, bulk] = [open(), open()];
  new RecordingSink(lines);
  clock.advance(100);
  const far = new RecordingSink(responder.streams[0] ?? assert.fail());
  const sink = new RecordingSink(responder.streams[1] ?? assert.fail());
  if (load === 'a full line') new Pump(bulk, 1e9);
  else new RecordingSink(bulk);
  let chunks = 0;
  let arrived = 0;
  let written = 0;
  const moves = [initiator, responder].map(({ session }) => session.stats.pathSwitches);
  const sentMs: number[] = [];
  const tookMs: number[] = [];
  for (let ms = -WARM_UP_MS; ms < count * EVERY_MS; ms++) {
    // The two ends do not move at the same moment.
    for (const [end, at] of [
      [initiator, 0],
      [responder, 37],
    ] as const) {
      if (ms < 0 || ms % EVERY_MS !== at) continue;
      const kind = kinds[Math.floor(ms / EVERY_MS) % kinds.length];
      assert.ok(end.session.preferPath((info) => info.kind === kind));
    }
    if (ms % LINE_EVERY_MS === 0) {
      const line = new Uint8Array(LINE_BYTES);
      new DataView(line.buffer).setUint32(0, sentMs.push(clock.monotonicMs()));
      lines.write(line);
      if (load === 'half of the line in use') bulk.write(Uint8Array.from({ length: CHUNK_BYTES }, () => written++));
    }
    clock.advance(1);
    for (; chunks < far.chunks.length; chunks++) arrived += far.chunks[chunks]?.length ?? 0;
    while (arrived >= (tookMs.length + 1) * LINE_BYTES) {
      tookMs.push(clock.monotonicMs() - (sentMs[tookMs.length] ?? 0));
    }
  }
  clock.advance(1_000);
  const { bytes } = far;
  assert.equal(bytes.length, sentMs.length * LINE_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let i = 0; i < sentMs.length; i++) assert.equal(view.getUint32(i * LINE_BYTES), i + 1);
  sink.chunks.reduce((at, chunk) => {
    for (const [i, byte] of chunk.entries()) if (byte !== ((at + i) & 255)) assert.fail(`byte ${at + i} is another`);
    return at + chunk.length;
  }, 0);
  if (kinds.length > 1) {
    assert.deepEqual(
      [initiator, responder].map(({ session }, at) => session.stats.pathSwitches - (moves[at] ?? 0)),
      [MIGRATIONS, MIGRATIONS],
    );
  }
  return { tookMs: tookMs.slice(WARM_UP_MS / LINE_EVERY_MS), ends: [initiator, responder] };
}

describe('A session that migrates a hundred times', () => {
  for (const [load, withinMs] of Object.entries(LOADS) as [Load, number][]) {
    it(`delays nothing by more than ${withinMs} ms, with ${load}`, async (t) => {
      const quiet = await measure(['relay'], MIGRATIONS / 10, load);
      const { tookMs, ends } = await measure(['relay', 'direct'], MIGRATIONS, load);
      const usualMs = percentiles(quiet.tookMs);
      const addedMs = tookMs.map((ms) => Math.max(0, ms - usualMs.p50Ms));
      const resent = ends.map(({ session }) => session.stats.recordsResent);
      t.diagnostic(JSON.stringify({ migrations: MIGRATIONS, usualMs, addedMs: percentiles(addedMs), resent }));
      assert.ok(Math.max(...addedMs) <= withinMs, `${Math.max(...addedMs)} ms`);
      assert.deepEqual(
        ends.map(({ error }) => error),
        [undefined, undefined],
      );
    });
  }
});
