/** A member with real keys that plays by no rule: it acknowledges nothing, grants nothing, and asks for more. What it can pin is bounded. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Bytes, encodeUtf8 } from '../../../src/core/bytes.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { TokenBucket } from '../../../src/core/token-bucket.ts';
import { Circuit, LINK_HEADER_BYTES } from '../../../src/tunnel/circuit.ts';
import { ControlSlots } from '../../../src/tunnel/control-slots.ts';
import { FrameWriter, readFrames } from '../../../src/tunnel/frame.ts';
import { resolveTunnelOptions, TUNNEL_DEFAULTS } from '../../../src/tunnel/options.ts';
import { relayCircuits } from '../../../src/tunnel/relay.ts';
import { ReplayWindow } from '../../../src/tunnel/replay-window.ts';
import { type IncomingStream, MuxStream, STREAM_KIND } from '../../../src/tunnel/stream.ts';
import { StreamSender } from '../../../src/tunnel/stream-sender.ts';
import { isPathRecord } from '../../support/resumable.ts';
import { createLinks, createRogue, createSessions, FrameLog, Pump, RecordingSink } from '../../support/tunnel.ts';

const META = encodeUtf8('m');
const KIB = 1024;
const SMALL_WINDOWS = { maxStreamWindowBytes: 256 * KIB, maxSessionWindowBytes: 1024 * KIB };
const RESEND_BOUND = 1024 * KIB + 2 * 256 * KIB;
/** Ids of this size take eight bytes in a frame. */
const HIGH_ID = 2 ** 31 + 1;

function refuse(stream: { reset(error: SkeinError): void }): void {
  stream.reset(new SkeinError('SKEIN_REFUSED', 'Cannot take stream: not here'));
}

type Rogue = Awaited<ReturnType<typeof createRogue>>;

/** The rogue takes what comes and never returns credit; the responder writes until about `leaveBytes` are left of it. */
async function exhaustCredit({ clock, a, b, rogue, responder }: Rogue, leaveBytes: number): Promise<void> {
  a.control.attach({ onRecord: () => undefined, onWritable: () => undefined, onClose: () => undefined });
  rogue.send((w) => w.open(1, false, STREAM_KIND.raw, 1 << 20, META));
  await clock.settle();
  const stream = responder.streams[0] ?? assert.fail();
  new RecordingSink(stream);
  for (let i = 0; b.control.sendableBytes > leaveBytes; i++) {
    assert.ok(i < 1_000, `${b.control.sendableBytes} bytes of credit are left`);
    stream.write(new Uint8Array(b.control.sendableBytes > 40_000 ? 16_000 : 300));
    await clock.settle();
  }
}

describe('A peer that acknowledges nothing', () => {
  it('stops the data at the session window, and the end that waits sleeps', async () => {
    const { clock, rogue, responder } = await createRogue(SMALL_WINDOWS);
    rogue.send((w) => {
      w.open(1, false, STREAM_KIND.raw, 2 ** 40, META);
      w.credit(0, 2 ** 40);
    });
    await clock.settle();
    const pump = new Pump(responder.streams[0] ?? assert.fail(), 8 * 1024 * KIB);
    await clock.advanceAsync(1_000);
    assert.ok(pump.leftBytes > 0);
    assert.ok(responder.session.pinnedBytes.resend <= RESEND_BOUND, `${responder.session.pinnedBytes.resend}`);
  });

  it('loses its session when what it makes the other end say piles up', async () => {
    const { clock, rogue, responder } = await createRogue(SMALL_WINDOWS, {
      onStream: (stream) => sinkOrRefuse(stream),
    });
    let pump: Pump | undefined;
    function sinkOrRefuse(stream: ConstructorParameters<typeof Pump>[0]): void {
      if (pump === undefined) pump = new Pump(stream, 8 * 1024 * KIB);
      else refuse(stream);
    }
    rogue.send((w) => {
      w.open(1, false, STREAM_KIND.raw, 2 ** 40, META);
      w.credit(0, 2 ** 40);
    });
    await clock.settle();
    let id = 3;
    let most = 0;
    for (let round = 0; round < 2_000 && responder.error === undefined; round++) {
      rogue.send((w) => {
        w.ping(false, new Uint8Array(8));
        for (let i = 0; i < 32; i++, id += 2) w.open(HIGH_ID + id, false, STREAM_KIND.http, 1 << 20, META);
      });
      await clock.advanceAsync(100);
      most = Math.max(most, responder.session.pinnedBytes.resend);
    }
    assert.ok(responder.error, 'the session goes on');
    assert.ok(most <= RESEND_BOUND + 64 * KIB, `${most} bytes`);
  });
});

describe('A peer that opens and resets in one breath', () => {
  const limits = { maxStreams: 64, peerResetsPerSecond: 10, peerResetsBurst: 100 };

  /** Opens and resets as many streams as it is granted, for so long. @returns how many */
  async function takeBack({ clock, rogue, responder }: Rogue, seconds: number): Promise<number> {
    const log = new FrameLog();
    let [streams, records] = [0, 0];
    for (let round = 0; round < 10 * seconds; round++) {
      records += rogue.received.length;
      for (const plaintext of rogue.received.splice(0)) readFrames(plaintext, log);
      const granted = log.maxStreams.at(-1) ?? limits.maxStreams;
      rogue.send((w) => {
        w.ack(records);
        for (; streams < granted; streams++) {
          w.open(1 + 2 * streams, false, STREAM_KIND.http, 1 << 20, META);
          w.resetStream(1 + 2 * streams, 0, 0, false);
        }
      });
      await clock.advanceAsync(100);
      assert.equal(responder.error, undefined);
    }
    return streams;
  }

  for (const [name, onStream] of [
    ['gets room for others no faster than its rate', () => undefined],
    [
      'neither where every request is answered at once, because no answer has left',
      (stream: IncomingStream) => {
        stream.sendHead(META, META.length, 0);
        stream.end();
      },
    ],
  ] as const) {
    it(name, async () => {
      const streams = await takeBack(await createRogue(limits, { onStream }), 20);
      assert.ok(streams >= 100 + 190, `${streams} streams, and the session is slowed, not stopped`);
      assert.ok(streams <= 100 + 200 + 64, `${streams} streams`);
    });
  }

  it('shares what it may with its other sessions', async () => {
    const shared = new TokenBucket(limits.peerResetsPerSecond, limits.peerResetsBurst, 0);
    const resetsOf = (): TokenBucket => shared;
    const first = await takeBack(await createRogue(limits, { resetsOf, onStream: () => undefined }), 1);
    assert.ok(first >= 100);
    const second = await takeBack(await createRogue(limits, { resetsOf, onStream: () => undefined }), 1);
    assert.ok(second <= 64 + 20, `${second} streams of the second session`);
  });
});

describe('A peer whose resets cross the ends of their streams', () => {
  it('keeps its session, however many do: each stream may be taken back once', async () => {
    const { clock, initiator, responder } = await createSessions({
      latencyMs: 200,
      responder: {
        onStream: (stream) => {
          stream.sendHead(META, META.length, 0);
          stream.end();
        },
      },
    });
    for (let tick = 0; tick < 100; tick++) {
      for (let i = 0; i < 40; i++) {
        const stream = initiator.session.openStream(STREAM_KIND.http, META, META.length, true);
        clock.setTimer(100, () => stream.reset(new SkeinError('SKEIN_CANCELLED', 'too late')));
      }
      await clock.advanceAsync(100);
    }
    await clock.advanceAsync(1_000);
    assert.equal(responder.error, undefined);
    assert.equal(initiator.error, undefined);
    assert.ok((responder.session.muxStats?.resetsReceived ?? 0) > 2_000, 'and they did');
  });

  it('loses it when there are more than there were streams', async () => {
    const { clock, rogue, responder } = await createRogue({}, { onStream: refuse });
    rogue.send((w) => w.open(1, false, STREAM_KIND.http, 1 << 20, META));
    await clock.settle();
    rogue.send((w) => {
      for (let i = 0; i < 1_100; i++) w.resetStream(1, 0, 0, false);
    });
    await clock.settle();
    assert.equal(responder.error?.code, 'SKEIN_LIMIT');
  });
});

describe('A peer that grants no credit', () => {
  it('may open no more streams than it was told of', async () => {
    const world = await createRogue({ maxStreams: 16 }, {});
    const { clock, rogue, responder } = world;
    await exhaustCredit(world, 500);
    rogue.send((w) => {
      for (let i = 1; i < 16; i++) w.open(1 + 2 * i, false, STREAM_KIND.http, 1 << 20, META);
    });
    await clock.settle();
    for (const stream of responder.streams.slice(1)) refuse(stream);
    await clock.settle();
    assert.equal(responder.session.isOpen, true);
    rogue.send((w) => w.open(1001, false, STREAM_KIND.http, 1 << 20, META));
    await clock.settle();
    assert.equal(responder.error?.code, 'SKEIN_PROTOCOL');
    assert.match(responder.error?.message ?? '', /more than it was granted/);
  });

  it('cannot make a farewell go beyond it, which would cost the whole link', async () => {
    const world = await createRogue({}, {});
    const { clock, rogue, responder, errors } = world;
    await exhaustCredit(world, 1_500);
    rogue.send((w) => {
      for (let i = 1; i < 250; i++) w.open(HIGH_ID + 2 * i, false, STREAM_KIND.http, 1 << 20, META);
    });
    await clock.settle();
    rogue.send((w) => {
      // one record: the resets wait when the session ends
      w.data(HIGH_ID + 2, false, META, 0, 0);
    });
    for (const stream of responder.streams.slice(1)) refuse(stream);
    await clock.settle();
    assert.equal(responder.error?.code, 'SKEIN_PROTOCOL');
    assert.notEqual(errors.a?.code, 'SKEIN_FLOW_CONTROL');
  });

  it('that asks the way and takes no answer leaves a few of them waiting', async () => {
    const world = await createRogue(SMALL_WINDOWS, { isResumable: true });
    const { clock, a, rogue, responder } = world;
    const records = rogue.pathRecords();
    await exhaustCredit(world, 300);
    let answers = 0;
    a.control.attach({
      onRecord: (message) => {
        if (isPathRecord(message)) answers++;
      },
      onWritable: () => undefined,
      onClose: () => undefined,
    });
    for (let n = 0; n < 300; n++) rogue.sendMessage(records.probe(new Uint8Array(8)));
    await clock.settle();
    const atOnce = answers;
    a.control.consumed(a.control.unreadBytes);
    await clock.advanceAsync(100);
    assert.equal(responder.error, undefined);
    assert.ok(answers - atOnce > 0 && answers - atOnce <= 40, `${answers - atOnce} answers have waited`);
  });

  it('is told of room for new streams only when it has been told of those that were reset', () => {
    const slots = new ControlSlots();
    for (let i = 0; i < 50; i++) slots.addReset({ id: 1 + 2 * i, code: 6, finalSize: 0, notProcessed: true });
    slots.maxStreams = 64;
    const granted: number[] = [];
    const write = (room: number): FrameLog => {
      const writer = new FrameWriter(new Uint8Array(room));
      slots.write(writer, 99, true, {
        onPing: () => undefined,
        onGoAway: () => undefined,
        onMaxStreams: (n) => granted.push(n),
      });
      const log = new FrameLog();
      assert.equal(readFrames(writer.bytes.subarray(0, writer.length), log), undefined);
      return log;
    };
    const first = write(100);
    assert.ok(first.resets.length > 0 && first.resets.length < 50);
    assert.deepEqual([first.maxStreams, granted], [[], []]);
    assert.deepEqual([write(2_000).maxStreams, granted], [[64], [64]]);
    assert.equal(slots.isEmpty, true);
  });

  it('leaves no more than a few streams behind in the line of those that want to send', () => {
    const limits = resolveTunnelOptions();
    const sender = new StreamSender(1 << 20);
    const host = {
      onReady: () => undefined,
      onConsumed: () => undefined,
      onLocalReset: () => undefined,
      onFinished: () => undefined,
      onAbandoned: () => undefined,
    };
    const add = (): MuxStream => {
      const stream = new MuxStream(host, limits, {
        kind: STREAM_KIND.http,
        meta: META,
        complete: false,
        sendCredit: 1 << 20,
        outgoing: true,
        nowMs: 0,
      });
      sender.add(stream, 0);
      return stream;
    };
    const living = add();
    for (let i = 0; i < 10_000; i++) {
      const stream = add();
      stream.reset(new SkeinError('SKEIN_CANCELLED', 'done'));
      sender.remove(stream);
      assert.ok(sender.inLine <= 200, `${sender.inLine}`);
    }
    living.id = 1;
    const writer = new FrameWriter(new Uint8Array(1_000));
    sender.write(writer, 0);
    assert.ok(writer.length > 0, 'the one that lives is still served');
  });
});

/** A circuit of a link that has no room for the moment. */
function createCircuit(sent: Bytes[] = []): Circuit {
  const host = {
    enqueue: () => undefined,
    transmit: (_circuit: Circuit, message: Bytes) => void sent.push(message),
    announceCredit: () => undefined,
    closeCircuit: () => undefined,
    doubt: () => undefined,
  };
  return new Circuit(1, host, { receiveBytes: 64 * KIB, sendBytes: 64 * KIB, maxReceiveBytes: 64 * KIB }, 0);
}

describe('What is kept does not pin what it came in:', () => {
  /** A record as a small part of what one read of the network has brought. */
  function inLargeRead(bytes: Bytes): Bytes {
    const read = new Uint8Array(64 * KIB);
    read.set(bytes, 1_000);
    return read.subarray(1_000, 1_000 + bytes.length);
  }

  it('a record that comes before its circuit has an owner', async () => {
    const circuit = createCircuit();
    const message = new Uint8Array(LINK_HEADER_BYTES + 40).fill(7);
    assert.equal(circuit.deliver(inLargeRead(message)), true);
    const kept: Bytes[] = [];
    circuit.attach({ onRecord: (m) => kept.push(m), onWritable: () => undefined, onClose: () => undefined });
    assert.deepEqual(kept, [message]);
    assert.ok((kept[0] as Bytes).buffer.byteLength <= 4 * message.length);
  });

  it('a record that waits in a relay', () => {
    const sent: Bytes[] = [];
    const from = createCircuit();
    const to = createCircuit(sent);
    relayCircuits(from, to, () => undefined);
    const message = new Uint8Array(LINK_HEADER_BYTES + 40).fill(7);
    from.deliver(inLargeRead(message));
    assert.equal(sent.length, 0, 'the link has no room yet');
    to.grantWrite();
    assert.deepEqual(sent, [message]);
    assert.ok((sent[0] as Bytes).buffer.byteLength <= 4 * message.length);
  });

  it('a record that runs ahead of the one expected', () => {
    const window = new ReplayWindow(256 * KIB);
    const message = new Uint8Array(60).fill(3);
    window.keep(1, { epoch: 0, plaintext: inLargeRead(message), bytes: message.length });
    const kept = window.advance()?.plaintext ?? assert.fail();
    assert.deepEqual(kept, message);
    assert.ok(kept.buffer.byteLength <= 4 * message.length);
  });

  it('the head of a stream that was accepted', async () => {
    const { clock, rogue, responder } = await createRogue();
    rogue.send((w) => {
      w.open(1, false, STREAM_KIND.http, 1 << 20, META);
      w.data(1, false, new Uint8Array(60 * KIB), 0, 60 * KIB);
    });
    await clock.settle();
    assert.equal(responder.streams[0]?.meta.buffer.byteLength, 0);
  });
});

describe('The windows of all circuits of a link', () => {
  it('stay inside its budget, however many grow', async () => {
    const { clock, a, b } = createLinks({ latencyMs: 50, bytesPerSecond: 400_000_000 });
    await clock.advanceAsync(16_000 + 200); // one ping measures the round trip
    const pairs = Array.from({ length: 30 }, () => {
      const near = a.openCircuit();
      const far = b.adoptCircuit(near.id);
      far.isRelayed = true;
      far.attach({
        onRecord: (m) => far.consumed(m.length - LINK_HEADER_BYTES),
        onWritable: () => undefined,
        onClose: () => undefined,
      });
      near.attach({
        onRecord: () => undefined,
        onWritable: () => {
          near.send(new Uint8Array(LINK_HEADER_BYTES + 60_000));
          near.requestWrite(60_000);
        },
        onClose: () => undefined,
      });
      near.requestWrite(60_000);
      return { near, far };
    });
    await clock.advanceAsync(1_000);
    const { initialCircuitWindowBytes, linkWindowBudgetBytes } = TUNNEL_DEFAULTS;
    const above = (): number =>
      pairs.reduce((sum, { far }) => sum + Math.max(0, far.window.windowBytes - initialCircuitWindowBytes), 0);
    assert.ok(above() > linkWindowBudgetBytes / 2, `${above()} bytes are used`);
    assert.ok(above() <= linkWindowBudgetBytes, `${above()} bytes above the initial windows`);
    for (const { near } of pairs) near.close(0);
    await clock.settle();
    assert.ok(b.openCircuit().window.windowBytes > initialCircuitWindowBytes, 'what was closed is given back');
  });
});
