/** Every limit of the session, crossed by a peer with real keys: a typed end for the one at fault, and bounded memory. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HEAD_INFORMATIONAL, HEAD_TRAILERS, type HeadedStream } from '../../../src/core/byte-stream.ts';
import { encodeUtf8 } from '../../../src/core/bytes.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { type FrameWriter, readFrames } from '../../../src/tunnel/frame.ts';
import { TUNNEL_DEFAULTS, type TunnelOptions } from '../../../src/tunnel/options.ts';
import { STREAM_KIND } from '../../../src/tunnel/stream.ts';
import { UnreadBudget } from '../../../src/tunnel/unread-budget.ts';
import { Counting, Endless } from '../../support/lines.ts';
import { createRogue, createSessions, FrameLog, Pump, RecordingSink, type SessionPair } from '../../support/tunnel.ts';

const META = encodeUtf8('m');
const CREDIT = 1 << 20;

function open(writer: FrameWriter, id: number, end = false): void {
  writer.open(id, end, STREAM_KIND.http, CREDIT, META);
}

interface Crossing {
  readonly name: string;
  readonly code: string;
  readonly limits?: Partial<TunnelOptions>;
  /** Builds one record per entry. */
  readonly records: readonly ((writer: FrameWriter) => void)[];
}

const KIB = 1024;

const crossings: Crossing[] = [
  {
    name: 'more streams than were granted',
    code: 'SKEIN_PROTOCOL',
    limits: { maxStreams: 4 },
    records: [
      (w) => {
        for (let i = 0; i < 5; i++) open(w, 1 + 2 * i);
      },
    ],
  },
  { name: 'a stream id of the other side', code: 'SKEIN_PROTOCOL', records: [(w) => open(w, 2)] },
  {
    name: 'a stream id again',
    code: 'SKEIN_PROTOCOL',
    records: [
      (w) => {
        open(w, 5);
        open(w, 5);
      },
    ],
  },
  {
    name: 'a stream id lower than before',
    code: 'SKEIN_PROTOCOL',
    records: [
      (w) => {
        open(w, 5);
        open(w, 3);
      },
    ],
  },
  {
    name: 'an OPEN above the limit',
    code: 'SKEIN_PROTOCOL',
    records: [(w) => w.open(1, false, 1, CREDIT, new Uint8Array(32 * KIB + 1))],
  },
  { name: 'an unknown kind of stream', code: 'SKEIN_PROTOCOL', records: [(w) => w.open(1, false, 9, CREDIT, META)] },
  {
    name: 'HEADERS above the limit',
    code: 'SKEIN_PROTOCOL',
    records: [
      (w) => {
        open(w, 1);
        w.headers(1, 0, new Uint8Array(32 * KIB + 1));
      },
    ],
  },
  { name: 'DATA of a stream that never was', code: 'SKEIN_PROTOCOL', records: [(w) => w.data(7, false, META, 0, 1)] },
  { name: 'HEADERS of a stream that never was', code: 'SKEIN_PROTOCOL', records: [(w) => w.headers(7, 0, META)] },
  { name: 'CREDIT of a stream that never was', code: 'SKEIN_PROTOCOL', records: [(w) => w.credit(7, 10)] },
  { name: 'RESET of a stream that never was', code: 'SKEIN_PROTOCOL', records: [(w) => w.resetStream(7, 0, 0, false)] },
  {
    name: 'RESET with a size that was not sent',
    code: 'SKEIN_PROTOCOL',
    records: [
      (w) => {
        open(w, 1);
        w.resetStream(1, 0, 99, false);
      },
    ],
  },
  {
    name: 'empty DATA that ends nothing',
    code: 'SKEIN_PROTOCOL',
    records: [
      (w) => {
        open(w, 1);
        w.data(1, false, META, 0, 0);
      },
    ],
  },
  {
    name: 'DATA beyond the stream window',
    code: 'SKEIN_FLOW_CONTROL',
    records: [
      (w) => open(w, 1),
      ...Array.from({ length: 5 }, () => (w: FrameWriter) => w.data(1, false, new Uint8Array(60 * KIB), 0, 60 * KIB)),
    ],
  },
  {
    name: 'DATA beyond the session window',
    code: 'SKEIN_FLOW_CONTROL',
    limits: { maxSessionWindowBytes: 1024 * KIB, maxStreamWindowBytes: 256 * KIB },
    records: [
      (w) => {
        for (let i = 0; i < 6; i++) open(w, 1 + 2 * i);
      },
      ...Array.from(
        { length: 18 },
        (_, i) => (w: FrameWriter) => w.data(1 + 2 * (i % 6), false, new Uint8Array(60 * KIB), 0, 60 * KIB),
      ),
    ],
  },
  { name: 'an impossible CREDIT', code: 'SKEIN_PROTOCOL', records: [(w) => w.credit(0, 2 ** 51)] },
  { name: 'an impossible MAX_STREAMS', code: 'SKEIN_PROTOCOL', records: [(w) => w.maxStreams(2 ** 51)] },
  { name: 'an ACK of records that were never sent', code: 'SKEIN_PROTOCOL', records: [(w) => w.ack(1_000_000)] },
  {
    name: 'too many PINGs',
    code: 'SKEIN_LIMIT',
    records: [
      (w) => {
        for (let i = 0; i < 12; i++) w.ping(false, new Uint8Array(8));
      },
    ],
  },
  {
    name: 'too many frames that change nothing',
    code: 'SKEIN_LIMIT',
    records: [
      (w) => {
        for (let i = 0; i < 1_100; i++) w.credit(0, 1);
      },
    ],
  },
  {
    name: 'too many mistakes in streams',
    code: 'SKEIN_PROTOCOL',
    records: [
      (w) => {
        for (let i = 0; i < 25; i++) {
          open(w, 1 + 2 * i);
          w.headers(1 + 2 * i, HEAD_TRAILERS, META);
        }
      },
    ],
  },
];

describe('Session ends when its peer crosses a limit:', () => {
  for (const { name, code, limits, records } of crossings) {
    it(name, async () => {
      const { clock, rogue, responder } = await createRogue(limits);
      for (const build of records) {
        if (responder.error === undefined) rogue.send(build);
        await clock.settle();
      }
      await clock.settle();
      assert.equal(responder.error?.code, code, responder.error?.message);
      assert.equal(responder.session.openStreams, 0);
      const log = new FrameLog();
      for (const plaintext of rogue.received) assert.equal(readFrames(plaintext, log), undefined);
      assert.equal(log.goAways.length, 1, 'the peer is told inside the session');
    });
  }

  for (const [name, plaintext] of [
    ['an unknown frame type', new Uint8Array([0xa0, 1])],
    ['an unknown flag', new Uint8Array([0x38, 1, 1])],
    ['a truncated frame', new Uint8Array([0x00, 1, 40, 1, 2])],
    ['a critical extension', new Uint8Array([0xf1, 1, 0])],
  ] as const) {
    it(name, async () => {
      const { clock, rogue, responder } = await createRogue();
      rogue.sendPlaintext(plaintext);
      await clock.settle();
      assert.equal(responder.error?.code, 'SKEIN_PROTOCOL');
    });
  }

  it('but skips an extension that is not critical', async () => {
    const { clock, rogue, responder } = await createRogue();
    rogue.sendPlaintext(new Uint8Array([0xf0, 1, 2, 3, 4]));
    await clock.settle();
    assert.equal(responder.session.isOpen, true);
  });
});

describe('Session resets only the stream that errs:', () => {
  const mistakes: { name: string; frames: (w: FrameWriter) => void }[] = [
    {
      name: 'DATA after END',
      frames: (w) => {
        open(w, 1, true);
        w.data(1, false, META, 0, 1);
      },
    },
    {
      name: 'a second head',
      frames: (w) => {
        open(w, 1);
        w.headers(1, 0, META);
        w.headers(1, 0, META);
      },
    },
    {
      name: 'trailers that do not end',
      frames: (w) => {
        open(w, 1);
        w.headers(1, HEAD_TRAILERS, META);
      },
    },
    {
      name: 'nine informational heads',
      frames: (w) => {
        open(w, 1);
        for (let i = 0; i < 9; i++) w.headers(1, HEAD_INFORMATIONAL, META);
      },
    },
  ];
  for (const { name, frames } of mistakes) {
    it(name, async () => {
      const { clock, rogue, responder } = await createRogue();
      rogue.send((w) => open(w, 1 + 100));
      await clock.settle();
      rogue.send((w) => frames(shifted(w, 200)));
      await clock.settle();
      assert.equal(responder.session.isOpen, true);
      assert.equal(responder.session.openStreams, 1);
      const log = new FrameLog();
      for (const plaintext of rogue.received) readFrames(plaintext, log);
      assert.deepEqual(
        log.resets.map(({ id }) => id),
        [201],
      );
    });
  }
});

describe('Session keeps its memory inside the windows:', () => {
  it('a reader that never reads pins its window, and the others go on', async () => {
    const { clock, initiator, responder } = await createSessions({ latencyMs: 5, bytesPerSecond: 100_000_000 });
    const pumps = Array.from({ length: 20 }, (_, i) => {
      const stream = initiator.session.openStream(STREAM_KIND.raw, META, META.length, false);
      return new Pump(stream, i < 8 ? 8 * 1024 * KIB : 1024 * KIB);
    });
    await clock.advanceUntil(() => responder.streams.length === 20, 5_000);
    const sinks = responder.streams.map((stream, i) => new RecordingSink(stream, { hold: i < 8 }));
    const done = await clock.advanceUntil(() => sinks.slice(8).every((sink) => sink.ended), 60_000);
    assert.ok(done, 'streams with a reader end although eight others are stalled');
    for (const sink of sinks.slice(0, 8)) assert.ok(sink.length <= TUNNEL_DEFAULTS.streamWindowBytes, `${sink.length}`);
    assert.equal(
      responder.session.pinnedBytes.unread,
      sinks.slice(0, 8).reduce((sum, sink) => sum + sink.length, 0),
    );
    assert.equal(
      pumps.slice(8).every((pump) => pump.leftBytes === 0),
      true,
    );
  });

  it('readers that fall asleep when their windows have grown leave room for others, in the session and to grow', async () => {
    const limits = {
      ...{ streamWindowBytes: 64 * KIB, maxStreamWindowBytes: 2048 * KIB },
      ...{ sessionWindowBytes: 256 * KIB, maxSessionWindowBytes: 4096 * KIB },
    };
    const line = { latencyMs: 40, bytesPerSecond: 30_000_000 };
    const { clock, initiator, responder } = await createSessions({ ...line, limits });
    const open = (): HeadedStream => initiator.session.openStream(STREAM_KIND.raw, META, META.length, false);
    for (let i = 1; i <= 4; i++) {
      new Endless(open());
      await clock.advanceUntil(() => responder.streams.length === i, 5_000);
      const sleeper = new Counting(responder.streams[i - 1] ?? assert.fail());
      await clock.advanceAsync(600);
      sleeper.isAsleep = true;
    }
    const { unread } = responder.session.pinnedBytes;
    assert.ok(unread > limits.maxStreamWindowBytes && unread < limits.maxSessionWindowBytes, `${unread} bytes unread`);
    const pump = new Pump(open(), 2 * 1024 * KIB);
    await clock.advanceUntil(() => responder.streams.length === 5, 5_000);
    const sink = new RecordingSink(responder.streams[4] ?? assert.fail());
    assert.ok(await clock.advanceUntil(() => sink.ended, 10_000), `${pump.leftBytes} bytes are left`);
  });

  it('all sessions of a process together let windows grow by no more than it may hold, and give back what has ended', async () => {
    const unreadBudget = new UnreadBudget(4 * 1024 * KIB);
    const fallAsleep = async (): Promise<SessionPair> => {
      const pair = await createSessions({
        ...{ latencyMs: 25, bytesPerSecond: 200_000_000 },
        responder: { unreadBudget },
      });
      new Endless(pair.initiator.session.openStream(STREAM_KIND.raw, META, META.length, false));
      await pair.clock.advanceUntil(() => pair.responder.streams.length === 1, 5_000);
      const sleeper = new Counting(pair.responder.streams[0] ?? assert.fail());
      await pair.clock.advanceAsync(500);
      sleeper.isAsleep = true;
      await pair.clock.advanceAsync(500);
      return pair;
    };
    const first = await fallAsleep();
    const held = unreadBudget.bytes;
    assert.ok(held > 1024 * KIB && held <= 2.25 * 1024 * KIB, `${held} bytes`);
    const second = await fallAsleep();
    assert.ok(unreadBudget.bytes > held && unreadBudget.bytes <= 3.5 * 1024 * KIB, `${unreadBudget.bytes} bytes`);
    assert.ok(unreadBudget.growth.leftBytes > 0);
    const isOver = new SkeinError('SKEIN_CANCELLED', 'Cannot go on: the test is over');
    for (const { clock, responder } of [first, second]) {
      responder.session.close(isOver);
      await clock.settle();
    }
    assert.deepEqual([unreadBudget.bytes, unreadBudget.growth.leftBytes], [0, unreadBudget.limitBytes]);
  });

  it('resets a reader that sleeps for too long', async () => {
    const { clock, initiator, responder } = await createSessions({ limits: { slowReaderMs: 60_000 } });
    const pump = new Pump(initiator.session.openStream(STREAM_KIND.http, META, META.length, false), 1024 * KIB);
    await clock.advanceUntil(() => responder.streams.length === 1, 1_000);
    new RecordingSink(responder.streams[0] ?? assert.fail(), { hold: true });
    await clock.advanceAsync(55_000);
    assert.equal(pump.error, undefined);
    await clock.advanceAsync(30_000);
    assert.equal((pump.error as { code?: string } | undefined)?.code, 'SKEIN_LIMIT');
    assert.equal(responder.session.pinnedBytes.unread, 0);
  });

  it('resets it after a minute while the process holds much unread, and lets no window grow meanwhile', async () => {
    const unreadBudget = new UnreadBudget(512 * KIB);
    const { clock, initiator, responder } = await createSessions({
      ...{ latencyMs: 5, bytesPerSecond: 100_000_000 },
      responder: { unreadBudget },
    });
    const openStream = (): HeadedStream => initiator.session.openStream(STREAM_KIND.http, META, META.length, false);
    const sleepers = Array.from({ length: 4 }, () => new Pump(openStream(), 1024 * KIB));
    await clock.advanceUntil(() => responder.streams.length === 4, 1_000);
    for (const stream of responder.streams) new RecordingSink(stream, { hold: true });
    await clock.advanceAsync(2_000);
    assert.equal(unreadBudget.isTight, true);
    assert.equal(unreadBudget.bytes, responder.session.pinnedBytes.unread);
    const pinned = unreadBudget.bytes;
    assert.ok(pinned <= TUNNEL_DEFAULTS.sessionWindowBytes, `${pinned} bytes`);

    await clock.advanceAsync(50_000);
    assert.equal(unreadBudget.bytes, pinned);
    await clock.advanceAsync(40_000);
    assert.deepEqual(
      sleepers.map(({ error }) => (error as { code?: string } | undefined)?.code),
      ['SKEIN_LIMIT', 'SKEIN_LIMIT', 'SKEIN_LIMIT', undefined],
    );
    // As soon as there is room, a sleeper has its five minutes. The end of the session gives back what it holds.
    assert.deepEqual([unreadBudget.bytes, unreadBudget.isTight], [256 * KIB, false]);
    await clock.advanceAsync(120_000);
    assert.equal(sleepers[3]?.error, undefined);
    responder.session.close(new SkeinError('SKEIN_CANCELLED', 'Cannot go on: the test is over'));
    await clock.settle();
    assert.equal(unreadBudget.bytes, 0);
  });

  it('resets a raw stream that is idle for too long, and only a raw one', async () => {
    const { clock, initiator } = await createSessions({ limits: { idleRawStreamMs: 60_000 } });
    const raw = new RecordingSink(initiator.session.openStream(STREAM_KIND.raw, META, META.length, false));
    const http = new RecordingSink(initiator.session.openStream(STREAM_KIND.http, META, META.length, false));
    await clock.advanceAsync(55_000);
    assert.equal(raw.error, undefined);
    await clock.advanceAsync(30_000);
    assert.equal((raw.error as { code?: string } | undefined)?.code, 'SKEIN_DEADLINE');
    assert.equal(http.error, undefined);
  });

  it('keeps no more sealed records than the peer leaves unacknowledged window', async () => {
    const { clock, wire, initiator, responder } = await createSessions({ latencyMs: 1 });
    const pump = new Pump(initiator.session.openStream(STREAM_KIND.raw, META, META.length, false), 64 * 1024 * KIB);
    await clock.advanceUntil(() => responder.streams.length === 1, 1_000);
    new RecordingSink(responder.streams[0] ?? assert.fail());
    await clock.advanceAsync(50);
    wire.stall(wire.b); // acknowledgements stop
    await clock.advanceAsync(5_000);
    const { resend } = initiator.session.pinnedBytes;
    assert.ok(resend <= TUNNEL_DEFAULTS.maxSessionWindowBytes + 256 * KIB, `${resend}`);
    assert.ok(pump.leftBytes > 0);
  });

  it('lets streams above the limit wait, and opens them as others end', async () => {
    const { clock, initiator, responder } = await createSessions({ limits: { maxStreams: 8 } });
    const sinks = Array.from(
      { length: 16 },
      () => new RecordingSink(initiator.session.openStream(STREAM_KIND.http, META, META.length, true)),
    );
    assert.throws(() => initiator.session.openStream(STREAM_KIND.http, META, META.length, true), {
      code: 'SKEIN_LIMIT',
      notProcessed: true,
    });
    await clock.settle();
    assert.equal(responder.streams.length, 8);
    for (const stream of responder.streams.slice(0, 8)) {
      new RecordingSink(stream);
      stream.end();
    }
    await clock.settle();
    assert.equal(responder.streams.length, 16);
    assert.equal(sinks.filter((sink) => sink.ended).length, 8);
  });

  it('lets one after the other pass where all the rest stay', async () => {
    const { clock, initiator, responder } = await createSessions({ limits: { maxStreams: 16 } });
    const open = (): RecordingSink =>
      new RecordingSink(initiator.session.openStream(STREAM_KIND.http, META, META.length, true));
    for (let i = 0; i < 15; i++) open();
    await clock.settle();
    for (let i = 0; i < 40; i++) {
      const sink = open();
      await clock.settle();
      const stream = responder.streams.at(-1) ?? assert.fail();
      new RecordingSink(stream);
      stream.end();
      await clock.settle();
      assert.ok(sink.ended, `stream ${i} waits`);
    }
  });

  it('opens as many as the limit says where the last to end were too few to tell of, and none ends any more', async () => {
    const { clock, initiator, responder } = await createSessions({ limits: { maxStreams: 16 } });
    const open = (): RecordingSink =>
      new RecordingSink(initiator.session.openStream(STREAM_KIND.http, META, META.length, true));
    for (let i = 0; i < 3; i++) open();
    await clock.settle();
    for (const stream of responder.streams) {
      new RecordingSink(stream);
      stream.end();
    }
    await clock.settle();
    for (let i = 0; i < 16; i++) open();
    await clock.settle();
    assert.equal(responder.streams.length, 3 + 16);
  });
});

/** The same writer with stream ids moved up, so that one record can follow another. */
function shifted(writer: FrameWriter, by: number): FrameWriter {
  return new Proxy(writer, {
    get(target, name) {
      const value = Reflect.get(target, name, target) as unknown;
      if (typeof value !== 'function') return value;
      return (id: number, ...rest: unknown[]) =>
        (value as (...all: unknown[]) => unknown).call(target, id + by, ...rest);
    },
  });
}
