/** Link: HELLO first, circuits with credit, a heartbeat on received bytes, and what a peer at fault gets. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Bytes } from '../../../src/core/bytes.ts';
import type { SkeinError } from '../../../src/core/errors.ts';
import { MemoryLink } from '../../../src/testing/memory-pipe.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { type Circuit, LINK_HEADER_BYTES } from '../../../src/tunnel/circuit.ts';
import { Link } from '../../../src/tunnel/link.ts';
import { TUNNEL_DEFAULTS } from '../../../src/tunnel/options.ts';
import { createLinks } from '../../support/tunnel.ts';

const MIB = 1024 * 1024;
const HELLO = Uint8Array.from([0x10, 0, 0, 0, 0, 1, 0, ...new Uint8Array(16), 0x80, 2, 0, 0]);

/** A real link on one end, bare messages on the other. */
function createRawPeer({ isStranger = false } = {}): {
  clock: VirtualClock;
  link: Link;
  say(...bytes: number[]): void;
  send(message: Bytes): void;
  heard: Bytes[];
  error: () => SkeinError | undefined;
} {
  const clock = new VirtualClock();
  const wire = new MemoryLink(clock);
  const heard: Bytes[] = [];
  let error: SkeinError | undefined;
  const link = new Link(wire.a, {
    role: 'acceptor',
    clock,
    random: new SeededRandom(1),
    isStranger,
    onClose: (reason) => {
      error = reason;
    },
  });
  wire.b.attach({
    onMessage: (message) => heard.push(message.slice()),
    onProgress: () => undefined,
    onClose: () => undefined,
  });
  return {
    clock,
    link,
    say: (...bytes) => wire.b.send(Uint8Array.from(bytes)),
    send: (message) => wire.b.send(message),
    heard,
    error: () => error,
  };
}

function record(bytes: number): Bytes {
  return new Uint8Array(LINK_HEADER_BYTES + bytes);
}

describe('Link', () => {
  it('is ready when both HELLOs have passed, and both ends hold the same transcript', async () => {
    const { clock, a, b } = createLinks({ latencyMs: 10 });
    await clock.advanceAsync(30);
    await Promise.all([a.ready, b.ready]);
    assert.deepEqual(a.transcript, b.transcript);
  });

  const violations: [name: string, bytes: number[]][] = [
    ['a message before HELLO', [0x12, 0, 0, 0, 0, 1]],
    ['HELLO of another version', [0x10, 0, 0, 0, 0, 2, 0, ...new Uint8Array(16), 0x80, 2, 0, 0]],
    ['HELLO on another circuit', [0x10, 0, 0, 0, 1, 1, 0, ...new Uint8Array(16), 0x80, 2, 0, 0]],
    ['a truncated HELLO', [0x10, 0, 0, 0, 0, 1, 0, 3]],
    ['HELLO of 64 KiB', [...HELLO, ...new Uint8Array(65_536)]],
    ['HELLO that takes no full record', [0x10, 0, 0, 0, 0, 1, 0, ...new Uint8Array(16), 1]],
    ['a message of another version', [0x20, 0, 0, 0, 0]],
    ['a message shorter than its header', [0x12, 0]],
    ['an empty message', []],
  ];
  for (const [name, bytes] of violations) {
    it(`ends on ${name}`, async () => {
      const peer = createRawPeer();
      peer.say(...bytes);
      await peer.clock.settle();
      assert.equal(peer.error()?.code, 'SKEIN_PROTOCOL');
      await assert.rejects(peer.link.ready, { code: 'SKEIN_PROTOCOL' });
    });
  }

  const later: [name: string, bytes: number[]][] = [
    ['a second HELLO', [...HELLO]],
    ['an unknown kind', [0x1f, 0, 0, 0, 0]],
    ['DATA without a record, which no credit would bound', [0x12, 0, 0, 0, 0]],
    ['DATA too short for a record, of a circuit it does not have', [0x12, 0, 0, 0, 9, ...new Uint8Array(22)]],
    ['CREDIT without an offset', [0x16, 0, 0, 0, 0]],
    ['CREDIT with more than an offset', [0x16, 0, 0, 0, 0, 1, 1]],
    ['CREDIT above any stream', [0x16, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
    ['a malformed PING', [0x17, 0, 0, 0, 0, 1]],
    ['a PING on a circuit', [0x17, 0, 0, 0, 1, ...new Uint8Array(8)]],
    ['a malformed PONG', [0x18, 0, 0, 0, 0, 1]],
    ['a malformed CLOSE', [0x15, 0, 0, 0, 1]],
  ];
  for (const [name, bytes] of later) {
    it(`ends on ${name}`, async () => {
      const peer = createRawPeer();
      peer.send(HELLO.slice());
      peer.say(...bytes);
      await peer.clock.settle();
      assert.equal(peer.error()?.code, 'SKEIN_PROTOCOL');
    });
  }

  it('gives room for a full record soon after the last one was dealt with, on a circuit whose window did not grow', async () => {
    // 66,071 of 66,560 bytes: with a few hundred bytes gone, a record that is sent again fits no more.
    const { clock, a, b } = createLinks({ latencyMs: 10, limits: { linkWindowBudgetBytes: 1 } });
    await clock.advanceAsync(50);
    const near = a.openCircuit();
    const far = b.adoptCircuit(near.id);
    const taken: number[] = [];
    far.attach({
      onRecord: (message) => {
        taken.push(message.length - LINK_HEADER_BYTES);
        far.consumed(message.length - LINK_HEADER_BYTES);
      },
      onWritable: () => undefined,
      onClose: () => undefined,
    });
    near.attach({
      onRecord: () => undefined,
      onWritable: () => near.send(record(66_071)),
      onClose: () => undefined,
    });
    near.send(record(1_000));
    await clock.advanceAsync(1_000);
    near.requestWrite(66_071);
    await clock.advanceAsync(1_000);
    assert.deepEqual(taken, [1_000, 66_071]);
  });

  it('ends when no HELLO comes in time', async () => {
    const peer = createRawPeer();
    await peer.clock.advanceAsync(1_990);
    assert.equal(peer.error(), undefined);
    await peer.clock.advanceAsync(20);
    assert.equal(peer.error()?.code, 'SKEIN_PROTOCOL');
  });

  it('ends on a message above the limit', async () => {
    const peer = createRawPeer();
    peer.send(HELLO.slice());
    const message = record(128 * 1024);
    message[0] = 0x12;
    peer.send(message);
    await peer.clock.settle();
    assert.equal(peer.error()?.code, 'SKEIN_PROTOCOL');
  });

  it('ends when a circuit sends beyond its credit, and keeps no more than that', async () => {
    const peer = createRawPeer();
    peer.send(HELLO.slice());
    await peer.clock.settle();
    for (let i = 0; i < 5; i++) {
      const message = record(60_000);
      message[0] = 0x12;
      peer.send(message);
      await peer.clock.settle();
      assert.ok(peer.link.unreadBytes <= 256 * 1024);
    }
    assert.equal(peer.error()?.code, 'SKEIN_FLOW_CONTROL');
  });

  it('takes one window of a stranger, and more only when it is trusted', async () => {
    for (const trusts of [false, true]) {
      const peer = createRawPeer({ isStranger: true });
      peer.send(HELLO.slice());
      await peer.clock.settle();
      if (trusts) peer.link.trust();
      for (let i = 0; i < 2; i++) {
        const message = record(45_000);
        message[0] = 0x12;
        peer.send(message);
        await peer.clock.settle();
      }
      assert.equal(peer.error()?.code, trusts ? undefined : 'SKEIN_FLOW_CONTROL');
      assert.equal(
        peer.heard.some((message) => (message[0] as number) === 0x16),
        trusts,
        'CREDIT is given to whom is trusted',
      );
      assert.ok(peer.link.unreadBytes <= (trusts ? 120_000 : 49_152));
    }
  });

  it('says no more than that as a stranger, and as much as others once it is trusted', async () => {
    const { clock, a, b } = createLinks({ isStranger: true });
    assert.equal(a.control.sendableBytes, 49_152);
    assert.equal(b.control.sendableBytes, 66_560);
    a.control.requestWrite(49_152);
    a.control.attach({
      onRecord: () => undefined,
      onWritable: () => a.control.send(record(49_152)),
      onClose: () => undefined,
    });
    await clock.settle();
    assert.deepEqual([a.control.sendableBytes, b.unreadBytes], [0, 49_152]);
    // Dealt with it is, and yet nothing more is read of whom nobody knows.
    b.control.consumed(8_192);
    await clock.advanceAsync(100);
    assert.ok(a.control.sendableBytes <= 8_192);
    b.trust();
    await clock.settle();
    assert.ok(a.control.sendableBytes > 66_560);
  });

  it('answers a PING with its number, and with the time at which it came', async () => {
    const peer = createRawPeer();
    peer.send(HELLO.slice());
    await peer.clock.advanceAsync(0x1234);
    peer.heard.length = 0;
    peer.say(0x17, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8);
    await peer.clock.settle();
    assert.deepEqual([...(peer.heard[0] ?? [])], [0x18, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 5, 6, 7, 8]);
  });

  it('ignores data for a circuit it does not have', async () => {
    const peer = createRawPeer();
    peer.send(HELLO.slice());
    for (let i = 0; i < 100; i++) peer.say(0x12, 0, 0, 0, 9, ...new Uint8Array(1_000));
    await peer.clock.settle();
    assert.equal(peer.error(), undefined);
    assert.equal(peer.link.unreadBytes, 0);
  });

  it('gives circuits ids of its own parity, adopts the other end’s, and caps their number', async () => {
    const { clock, a, b } = createLinks({ limits: { maxCircuits: 3 } });
    await clock.settle();
    assert.deepEqual([a.openCircuit().id, a.openCircuit().id, b.openCircuit().id], [1, 3, 2]);
    assert.equal(a.adoptCircuit(2).id, 2);
    for (const id of [2, 1, 0, -2, 1.5, 2 ** 33])
      assert.throws(() => a.adoptCircuit(id), { code: 'SKEIN_PROTOCOL' }, `${id}`);
    assert.throws(() => a.openCircuit(), { code: 'SKEIN_LIMIT' });
  });

  it('adopts only ids above all it has adopted: one that was closed never comes back as another circuit', async () => {
    const { clock, a } = createLinks({});
    await clock.settle();
    a.adoptCircuit(6).close(0);
    for (const id of [6, 4, 2]) assert.throws(() => a.adoptCircuit(id), { code: 'SKEIN_PROTOCOL' }, `${id}`);
    assert.equal(a.adoptCircuit(8).id, 8);
  });

  it('closes a circuit on both ends and tells why', async () => {
    const { clock, a, b } = createLinks();
    await clock.settle();
    const near = a.openCircuit();
    const far = b.adoptCircuit(near.id);
    let reason: SkeinError | undefined;
    far.attach({
      onRecord: () => undefined,
      onWritable: () => undefined,
      onClose: (error) => {
        reason = error;
      },
    });
    near.close(21);
    await clock.settle();
    assert.equal(reason?.code, 'SKEIN_NO_ENDPOINT');
    assert.equal(b.circuitCount, 0);
  });

  it('grants the window of a circuit it opened when the other end has it, however late that is', async () => {
    const { clock, a, b } = createLinks();
    await clock.settle();
    const near = a.openCircuit();
    const ignore = { onWritable: () => undefined, onClose: () => undefined };
    near.attach({ ...ignore, onRecord: (m) => near.consumed(m.length - LINK_HEADER_BYTES) });
    await clock.advanceAsync(500);
    const far = b.adoptCircuit(near.id);
    far.attach({ ...ignore, onRecord: () => undefined });
    far.send(record(30));
    await clock.settle();
    assert.ok(far.sendableBytes >= 256 * 1024 - 30, `${far.sendableBytes} bytes`);
  });

  it('sends in turn: a circuit with much to say does not hold up another', async () => {
    const { clock, a, b } = createLinks({ bytesPerSecond: 1_000_000 });
    await clock.settle();
    const arrived: number[] = [];
    for (const [index, count] of [
      [0, 200],
      [1, 1],
    ] as const) {
      const circuit = a.openCircuit();
      const far = b.adoptCircuit(circuit.id);
      far.attach({
        onRecord: (m) => {
          arrived.push(index);
          far.consumed(m.length - LINK_HEADER_BYTES);
        },
        onWritable: () => undefined,
        onClose: () => undefined,
      });
      sendMany(circuit, count, 16_000);
    }
    await clock.advanceAsync(10_000);
    assert.equal(arrived.length, 201);
    assert.ok(arrived.indexOf(1) < 12, `the single message came as number ${arrived.indexOf(1)}`);
  });

  for (const isRelayed of [true, false]) {
    const whose = isRelayed ? 'a relayed circuit’s window on a long path, to half of' : 'a session’s beyond';
    it(`grows ${whose} the link’s budget`, async () => {
      const limits = { linkWindowBudgetBytes: 2 * MIB, maxSessionWindowBytes: 4 * MIB, maxStreamWindowBytes: MIB };
      const { clock, a, b } = createLinks({ latencyMs: 100, bytesPerSecond: 100_000_000, limits });
      await clock.advanceAsync(300); // one PING measures the round trip
      const circuit = a.openCircuit();
      const far = b.adoptCircuit(circuit.id);
      let received = 0;
      far.isRelayed = isRelayed;
      far.attach({
        onRecord: (m) => {
          received += m.length;
          far.consumed(m.length - LINK_HEADER_BYTES);
        },
        onWritable: () => undefined,
        onClose: () => undefined,
      });
      await clock.advanceAsync(300);
      sendMany(circuit, 600, 60_000);
      await clock.advanceAsync(2_500);
      assert.ok(received > 256 * 1024 * 20, `${received} bytes in 12 round trips`);
      const { windowBytes } = far.window;
      const half = limits.linkWindowBudgetBytes / 2;
      if (isRelayed) assert.ok(windowBytes > 0.9 * half && windowBytes <= half, `${windowBytes}`);
      else assert.equal(windowBytes, limits.maxSessionWindowBytes);
      const others = Array.from({ length: 4 }, () => b.openCircuit().window.windowBytes);
      assert.deepEqual(others, Array(4).fill(TUNNEL_DEFAULTS.circuitWindowBytes));
    });
  }

  for (const [what, circuits, withinMs] of [
    ['with a circuit', 1, 15_000],
    ['that is idle', 0, 30_000],
  ] as const) {
    it(`${what} is dead within ${withinMs / 1_000} s when nothing is received any more, at whatever moment that begins`, async () => {
      let latestMs = 0;
      for (let fromMs = 0; fromMs < 24_000; fromMs += 500) {
        const { clock, wire, a, b, errors } = createLinks({ latencyMs: 20, seed: fromMs });
        await clock.advanceAsync(1_000);
        for (let i = 0; i < circuits; i++) b.adoptCircuit(a.openCircuit().id);
        await clock.advanceAsync(fromMs);
        const silent = clock.monotonicMs();
        wire.blackhole();
        await clock.advanceUntil(() => a.isClosed && b.isClosed, 60_000);
        assert.match(errors.a?.message ?? '', /fell silent/);
        assert.match(errors.b?.message ?? '', /fell silent/);
        latestMs = Math.max(latestMs, clock.monotonicMs() - silent);
      }
      assert.ok(latestMs <= withinMs, `${latestMs} ms`);
      assert.ok(latestMs > withinMs / 2, `${latestMs} ms`);
    });
  }

  it('that is idle is asked by one end, some four times a minute', async () => {
    const { clock, a, b } = createLinks({ latencyMs: 20 });
    await clock.advanceAsync(60_000);
    const before = [a, b].map(({ stats }) => stats.messagesSent);
    await clock.advanceAsync(600_000);
    const sent = [a, b].map(({ stats }, at) => stats.messagesSent - (before[at] ?? 0));
    assert.equal(sent[0], sent[1], 'each PING of the one is answered by the other');
    assert.ok((sent[0] ?? 0) >= 33 && (sent[0] ?? 0) <= 42, `${sent} in ten minutes`);
  });

  it('is silent within 3 s when a record is not answered, and speaks again if it was not dead', async () => {
    let told = 0;
    const { clock, wire, a, b, errors } = createLinks({ latencyMs: 50, onSilent: () => told++ });
    await clock.advanceAsync(1_000);
    const circuit = a.openCircuit();
    b.adoptCircuit(circuit.id);
    wire.blackhole();
    sendMany(circuit, 1, 100);
    await clock.advanceUntil(() => told > 0, 3_000);
    assert.ok(told === 1 && a.isSilent, 'told within 3 s');
    await clock.advanceAsync(8_000);
    assert.equal(told, 1, 'and once');
    wire.resume(wire.a);
    wire.resume(wire.b);
    await clock.advanceAsync(60_000);
    assert.equal(a.isSilent, false);
    assert.deepEqual(errors, {});
  });

  for (const which of ['what it sends', 'what it should hear'] as const) {
    it(`is dead within 30 s when ${which} gets lost, at both ends`, async () => {
      const { clock, wire, a, b } = createLinks({ latencyMs: 20 });
      await clock.advanceAsync(9_000);
      const silent = clock.monotonicMs();
      wire.blackhole(which === 'what it sends' ? wire.a : wire.b);
      await clock.advanceUntil(() => a.isClosed && b.isClosed, 60_000);
      // The end that hears nothing finds out; the other one learns it from the end of the connection, or by itself.
      assert.ok(clock.monotonicMs() - silent <= 30_000, `${clock.monotonicMs() - silent} ms`);
    });
  }

  it('outlives a peer that is frozen, for 7.5 s at any moment, and for 13.9 s behind its last word', async () => {
    for (const [fromMs, frozenMs] of [
      [0, 13_900],
      ...Array.from({ length: 12 }, (_, i) => [i * 500, 7_500]),
    ] as const) {
      const { clock, wire, a, b, errors } = createLinks({ latencyMs: 20 });
      await clock.advanceAsync(1_000);
      const circuit = a.openCircuit();
      const far = b.adoptCircuit(circuit.id);
      let arrived = 0;
      far.attach({ onRecord: () => arrived++, onWritable: () => undefined, onClose: () => undefined });
      far.send(record(100));
      await clock.advanceAsync(20 + fromMs);
      wire.stall(wire.b); // its kernel takes our bytes, nobody reads them
      sendMany(circuit, 20, 1_000);
      await clock.advanceAsync(frozenMs);
      wire.resume(wire.b);
      await clock.advanceAsync(60_000);
      assert.deepEqual(errors, {}, `frozen after ${fromMs} ms for ${frozenMs} ms`);
      assert.equal(arrived, 20);
    }
  });

  it('stays up in silence while PINGs are answered', async () => {
    const { clock, errors } = createLinks({ latencyMs: 300 });
    await clock.advanceAsync(600_000);
    assert.deepEqual(errors, {});
  });

  it('goes on where the buffers of both ends are full and both have something to answer (rust-yamux#227)', async () => {
    const { clock, wire, a, b, errors } = createLinks({ latencyMs: 20, kernelBytes: 64 * 1024 });
    await clock.advanceAsync(1_000);
    const arrived = { a: 0, b: 0 };
    for (const [from, to, side] of [
      [a, b, 'b'],
      [b, a, 'a'],
    ] as const) {
      const circuit = from.openCircuit();
      const far = to.adoptCircuit(circuit.id);
      far.attach({
        onRecord: (message) => {
          arrived[side]++;
          far.consumed(message.length - LINK_HEADER_BYTES);
        },
        onWritable: () => undefined,
        onClose: () => undefined,
      });
      sendMany(circuit, 200, 20_000);
    }
    await clock.advanceAsync(100);
    for (const end of [wire.a, wire.b]) wire.stall(end); // PING, PONG and CREDIT of both stand behind what does not leave
    await clock.advanceAsync(10_000);
    assert.ok(wire.a.outstandingBytes > 0 && wire.b.outstandingBytes > 0, 'both are full');
    for (const end of [wire.a, wire.b]) wire.resume(end);
    await clock.advanceAsync(10_000);
    assert.deepEqual([arrived, errors], [{ a: 200, b: 200 }, {}]);
  });

  it('ends after 20 s in which the network takes no byte, and nothing comes', async () => {
    const { clock, wire, a, b, errors } = createLinks({ kernelBytes: 1 });
    await clock.settle();
    const circuit = a.openCircuit();
    b.adoptCircuit(circuit.id);
    wire.blackhole();
    sendMany(circuit, 10, 20_000);
    await clock.advanceUntil(() => errors.a !== undefined, 60_000);
    assert.match(errors.a?.message ?? '', /takes no bytes/);
    assert.ok(clock.monotonicMs() >= 20_000 && clock.monotonicMs() <= 21_000, `${clock.monotonicMs()} ms`);
  });
});

/** Sends `count` records whenever the circuit may. */
function sendMany(circuit: Circuit, count: number, bytes: number): void {
  let left = count;
  circuit.attach({
    onRecord: () => undefined,
    onWritable: () => {
      circuit.send(record(bytes));
      if (--left > 0) circuit.requestWrite(bytes);
    },
    onClose: () => undefined,
  });
  circuit.requestWrite(bytes);
}
