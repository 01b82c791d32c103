/** relayCircuits: in order, whole, blind, and never more in hand than was granted. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeUtf8 } from '../../../src/core/bytes.ts';
import type { SkeinError } from '../../../src/core/errors.ts';
import type { MessagePipe } from '../../../src/core/platform.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { TUNNEL_DEFAULTS } from '../../../src/tunnel/options.ts';
import { type RelayStats, relayCircuits } from '../../../src/tunnel/relay.ts';
import { STREAM_KIND } from '../../../src/tunnel/stream.ts';
import { Counting, Endless } from '../../support/lines.ts';
import {
  createLinks,
  createSession,
  type LinkPair,
  type PairOptions,
  Pump,
  RecordingSink,
  type SessionEnd,
} from '../../support/tunnel.ts';

const META = encodeUtf8('m');

interface Relayed {
  readonly clock: VirtualClock;
  readonly left: LinkPair;
  readonly right: LinkPair;
  readonly caller: SessionEnd;
  readonly callee: SessionEnd;
  readonly stats: RelayStats;
  readonly closed: () => SkeinError | undefined;
}

/** caller ── left link ── relay ── right link ── callee */
async function createRelayed(
  options: { left?: PairOptions; right?: PairOptions; adoptAfterMs?: number } = {},
): Promise<Relayed> {
  const clock = new VirtualClock();
  const left = createLinks({ seed: 1, ...options.left }, clock);
  const right = createLinks({ seed: 2, ...options.right }, clock);
  await clock.advanceAsync(1_000);
  const near = left.a.openCircuit();
  const toCallee = right.b.openCircuit();
  // Both ends learn of their circuit through the control stream, some time after it was opened.
  await clock.advanceAsync(options.adoptAfterMs ?? 0);
  let closed: SkeinError | undefined;
  const stats = relayCircuits(left.b.adoptCircuit(near.id), toCallee, (error) => {
    closed = error;
  });
  const callee = createSession('responder', right.a.adoptCircuit(toCallee.id), right, undefined);
  const caller = createSession('initiator', near, left, undefined);
  await clock.advanceUntil(() => caller.session.isOpen && callee.session.isOpen, 10_000);
  return { clock, left, right, caller, callee, stats, closed: () => closed };
}

describe('relayCircuits', () => {
  it('carries a session end to end', async () => {
    const { clock, caller, callee, stats } = await createRelayed();
    const pump = new Pump(caller.session.openStream(STREAM_KIND.raw, META, META.length, false), 4 * 1024 * 1024);
    await clock.advanceUntil(() => callee.streams.length > 0, 1_000);
    const sink = new RecordingSink(callee.streams[0] ?? assert.fail());
    assert.ok(await clock.advanceUntil(() => sink.ended, 60_000));
    assert.equal(sink.length, 4 * 1024 * 1024);
    assert.equal(pump.leftBytes, 0);
    assert.equal(stats.waitingBytes, 0);
  });

  it('gives the whole window to ends that adopt their circuit late', async () => {
    const { clock, caller, callee } = await createRelayed({ adoptAfterMs: 500 });
    const total = 4 * 1024 * 1024;
    const near = new Pump(caller.session.openStream(STREAM_KIND.raw, META, META.length, false), total);
    await clock.advanceUntil(() => callee.streams.length > 0, 1_000);
    const far = new Pump(callee.streams[0] ?? assert.fail(), total);
    assert.ok(await clock.advanceUntil(() => near.ended && far.ended, 60_000), `${near.leftBytes}, ${far.leftBytes}`);
  });

  it('holds no more than a circuit’s window when the far link stalls, drops nothing, and goes on after', async () => {
    const { clock, right, caller, callee, stats } = await createRelayed({ right: { kernelBytes: 65_536 } });
    new Pump(caller.session.openStream(STREAM_KIND.raw, META, META.length, false), 8 * 1024 * 1024);
    await clock.advanceUntil(() => callee.streams.length > 0, 1_000);
    const sink = new RecordingSink(callee.streams[0] ?? assert.fail());
    right.wire.stall(right.wire.b);
    let most = 0;
    for (let i = 0; i < 100; i++) {
      await clock.advanceAsync(100);
      most = Math.max(most, stats.waitingBytes);
    }
    assert.ok(most > 0 && most <= 300 * 1024, `${most} bytes waited`);
    right.wire.resume(right.wire.b);
    assert.ok(await clock.advanceUntil(() => sink.ended, 60_000));
    assert.equal(sink.length, 8 * 1024 * 1024);
  });

  it('holds no more than half of the link’s budget for one circuit that has grown, and leaves others their windows', async () => {
    const { clock, left, right, caller, callee, stats } = await createRelayed({
      left: { latencyMs: 50, bytesPerSecond: 100_000_000 },
      right: { bytesPerSecond: 100_000_000, kernelBytes: 65_536 },
    });
    new Endless(caller.session.openStream(STREAM_KIND.raw, META, META.length, false));
    await clock.advanceUntil(() => callee.streams.length > 0, 1_000);
    new Counting(callee.streams[0] ?? assert.fail());
    await clock.advanceAsync(1_000);
    right.wire.stall(right.wire.b);
    await clock.advanceAsync(1_000);
    const { linkWindowBudgetBytes, maxCircuitWindowBytes, circuitWindowBytes } = TUNNEL_DEFAULTS;
    const most = Math.min(maxCircuitWindowBytes, linkWindowBudgetBytes / 2);
    assert.ok(stats.waitingBytes > most / 2 && stats.waitingBytes <= most, `${stats.waitingBytes} bytes waited`);
    const others = Array.from({ length: 15 }, () => left.b.openCircuit().window.windowBytes);
    assert.deepEqual(others, Array(15).fill(circuitWindowBytes));
  });

  it('closes the other leg with the reason when one leg goes', async () => {
    const { clock, left, callee, closed } = await createRelayed();
    left.wire.cut();
    await clock.settle();
    assert.ok(closed());
    assert.ok(callee.error);
  });

  it('a bit flipped by the relay ends the session of its own circuit only', async () => {
    const { clock, caller, callee, right } = await createRelayed();
    const other = right.b.openCircuit();
    right.a.adoptCircuit(other.id);
    new RecordingSink(caller.session.openStream(STREAM_KIND.raw, META, META.length, false));
    await clock.settle();
    const sink = new RecordingSink(callee.streams[0] ?? assert.fail());
    flipNextRecord(right.wire.b);
    caller.session.openStream(STREAM_KIND.raw, META, META.length, false).write(encodeUtf8('secret'));
    await clock.settle();
    assert.equal(callee.error?.code, 'SKEIN_PROTOCOL');
    assert.equal(callee.streams.length, 1);
    assert.equal(sink.length, 0);
    assert.equal(right.a.isClosed, false);
    assert.equal(other.isClosed, false);
  });
});

/** Flips the last bit of the next long DATA message that leaves `pipe`. */
function flipNextRecord(pipe: MessagePipe): void {
  const send = pipe.send.bind(pipe);
  pipe.send = (message) => {
    if ((message[0] as number) === 0x12 && message.length > 40) {
      pipe.send = send;
      message[message.length - 1] = (message[message.length - 1] as number) ^ 1;
    }
    send(message);
  };
}
