/** The small parts of the tunnel, each alone: windows, resend buffer, replay window, scheduler, stream counts, options. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ReceiveWindow, SendWindow } from '../../../src/tunnel/flow-control.ts';
import { MinRtt } from '../../../src/tunnel/min-rtt.ts';
import { resolveTunnelOptions } from '../../../src/tunnel/options.ts';
import { readRecordEpoch, readRecordSequence, readRecordType, writeRecordHeader } from '../../../src/tunnel/record.ts';
import { type Early, ReplayWindow } from '../../../src/tunnel/replay-window.ts';
import { ResendBuffer } from '../../../src/tunnel/resend-buffer.ts';
import { CLASS_BULK, CLASS_FRESH, CLASS_NONE, CLASS_NORMAL, Scheduler } from '../../../src/tunnel/scheduler.ts';
import type { MuxStream } from '../../../src/tunnel/stream.ts';
import { StreamCount } from '../../../src/tunnel/stream-count.ts';
import { WindowBudget } from '../../../src/tunnel/window-budget.ts';

const MIB = 1024 * 1024;

describe('SendWindow', () => {
  it('takes only higher offsets', () => {
    const window = new SendWindow(100);
    window.take(60);
    assert.equal(window.available, 40);
    assert.equal(window.raise(90), false);
    assert.equal(window.raise(160), true);
    assert.equal(window.available, 100);
  });
});

describe('ReceiveWindow', () => {
  it('returns credit when bytes are consumed, not when they arrive', () => {
    const window = new ReceiveWindow(1_000, 8_000, 0);
    assert.equal(window.receive(1_000), true);
    assert.equal(window.isGrantDue(10_000, 10), false);
    assert.equal(window.receive(1), false, 'one byte beyond');
    window.consume(500);
    assert.equal(window.isGrantDue(0, 10), true);
    assert.ok(window.grant(1_000_000, 10) >= 1_500);
    assert.equal(window.unread, 501);
  });

  it('doubles while a window is consumed per round trip, up to its limit, and never blocks itself', () => {
    const window = new ReceiveWindow(1_000, 64_000, 0);
    let granted = 1_000;
    let sent = 0;
    for (let now = 50; now < 5_000; now += 50) {
      const bytes = granted - sent; // the sender uses all it has, each round trip
      window.receive(bytes);
      sent += bytes;
      window.consume(bytes);
      granted = window.grant(now, 50);
    }
    assert.equal(window.windowBytes, 64_000);
  });

  it('is announced for 256 KiB at the latest, so that a large one lets nearly all of it through in a round trip', () => {
    const window = new ReceiveWindow(8 * MIB, 8 * MIB, 0);
    window.receive(8 * MIB);
    window.consume(256 * 1024 - 1);
    assert.equal(window.isGrantDue(0, 100), false);
    window.consume(1);
    assert.equal(window.isGrantDue(0, 100), true);
  });

  it('grows no further than to what it is allowed', () => {
    const window = new ReceiveWindow(1_000, 64_000, 0);
    for (let now = 50; now < 5_000; now += 50) {
      window.receive(window.left);
      window.consume(window.unread);
      window.grant(now, 50, 12_345);
    }
    assert.equal(window.windowBytes, 12_345);
  });

  it('does not grow for a slow reader', () => {
    const window = new ReceiveWindow(1_000, 64_000, 0);
    for (let now = 50; now < 5_000; now += 50) {
      window.receive(100);
      window.consume(100);
      window.grant(now, 50);
    }
    assert.equal(window.windowBytes, 1_000);
  });
});

describe('WindowBudget', () => {
  it('gives one window half of all, and each further one half of what is left', () => {
    const budget = new WindowBudget(16 * MIB);
    const grown = Array.from({ length: 6 }, () => {
      let bytes = 0;
      for (let most = budget.most(bytes); most > bytes; most = budget.most(bytes)) {
        budget.take(most - bytes);
        bytes = most;
      }
      return bytes / MIB;
    });
    assert.deepEqual(grown, [8, 4, 2, 1, 0.5, 0.25]);
    assert.equal(budget.leftBytes, 0.25 * MIB);
  });

  it('gives what comes back to whoever asks next', () => {
    const budget = new WindowBudget(8 * MIB);
    budget.take(4 * MIB);
    assert.equal(budget.most(0), 2 * MIB);
    budget.giveBack(4 * MIB);
    assert.equal(budget.most(0), 4 * MIB);
  });
});

describe('ResendBuffer', () => {
  it('keeps order and bytes, and forgets what is acknowledged', () => {
    const buffer = new ResendBuffer();
    const messages = Array.from({ length: 500 }, (_, i) => new Uint8Array(10).fill(i));
    for (const [i, message] of messages.entries()) {
      assert.equal(buffer.nextSequence, i);
      buffer.push(message, i);
    }
    assert.equal(buffer.acknowledge(0), undefined);
    assert.equal(buffer.acknowledge(300), 299, 'when the newest of them was sent');
    assert.deepEqual([buffer.firstSequence, buffer.nextSequence, buffer.bytes], [300, 500, 2_000]);
    for (let i = 300; i < 500; i++) assert.equal(buffer.at(i), messages[i]);
    assert.equal(buffer.acknowledge(200), undefined, 'an old acknowledgement');
    buffer.acknowledge(500);
    assert.deepEqual([buffer.bytes, buffer.firstSequence], [0, 500]);
  });

  it('gives nothing back that was sent twice: the first copy may still wait in a link', () => {
    const given: Uint8Array[] = [];
    const buffer = new ResendBuffer((message) => given.push(message));
    const messages = Array.from({ length: 4 }, (_, i) => new Uint8Array(10).fill(i));
    for (const [i, message] of messages.slice(0, 3).entries()) buffer.push(message, i === 1 ? undefined : i);
    buffer.acknowledge(1);
    buffer.keepOut(50);
    assert.equal(buffer.oldestSentMs, 50, 'the wait begins again');
    buffer.push(messages[3] as Uint8Array, 60);
    buffer.acknowledge(4);
    assert.deepEqual(given, [messages[0], messages[3]]);
  });
});

describe('ReplayWindow', () => {
  it('keeps what came early within the budget, and gives it in its turn', () => {
    const window = new ReplayWindow(25);
    const early = (n: number): Early => ({ epoch: 0, plaintext: new Uint8Array(3).fill(n), bytes: 10 });
    assert.equal(window.has(0), false);
    assert.equal(window.advance(), undefined);
    assert.equal(window.has(0), true);
    for (const n of [2, 3, 4]) window.keep(n, early(n));
    assert.deepEqual(
      [1, 2, 3, 4].map((n) => window.has(n)),
      [false, true, true, false],
    );
    assert.equal(window.aheadBytes, 20, 'the third did not fit and is dropped: the sender has it');
    assert.deepEqual(window.advance(), early(2));
    assert.deepEqual(window.advance(), early(3));
    assert.equal(window.advance(), undefined);
    assert.deepEqual([window.next, window.aheadBytes], [4, 0]);
  });
});

describe('Scheduler', () => {
  it('serves every class by its weight, so that bulk is slow but never starves', () => {
    const scheduler = new Scheduler();
    const streams = [CLASS_FRESH, CLASS_NORMAL, CLASS_BULK].map(
      (trafficClass) => ({ trafficClass }) as unknown as MuxStream,
    );
    for (const [i, trafficClass] of [CLASS_FRESH, CLASS_NORMAL, CLASS_BULK].entries())
      scheduler.push(streams[i] as MuxStream, trafficClass);
    const turns = new Map<number, number>();
    for (let i = 0; i < 21_000; i++) {
      const trafficClass = scheduler.chooseClass();
      const stream = scheduler.shift(trafficClass);
      scheduler.charge(trafficClass, 16_384);
      turns.set(trafficClass, (turns.get(trafficClass) ?? 0) + 1);
      scheduler.push(stream, trafficClass);
    }
    assert.deepEqual([turns.get(CLASS_FRESH), turns.get(CLASS_NORMAL), turns.get(CLASS_BULK)], [16_000, 4_000, 1_000]);
  });

  it('passes over the classes behind the last that may send, which keep their place', () => {
    const scheduler = new Scheduler();
    const [bulk, normal] = ['bulk', 'normal'].map((name) => ({ name }) as unknown as MuxStream);
    scheduler.push(bulk as MuxStream, CLASS_BULK);
    assert.equal(scheduler.hasReady(CLASS_NORMAL), false);
    assert.equal(scheduler.chooseClass(CLASS_NORMAL), CLASS_NONE);
    scheduler.push(normal as MuxStream, CLASS_NORMAL);
    for (let turn = 0; turn < 100; turn++) {
      assert.equal(scheduler.chooseClass(CLASS_NORMAL), CLASS_NORMAL);
      scheduler.charge(CLASS_NORMAL, 16_384);
    }
    assert.equal(scheduler.shift(CLASS_NORMAL), normal);
    assert.equal(scheduler.chooseClass(CLASS_NORMAL), CLASS_NONE);
    assert.equal(scheduler.hasReady(CLASS_BULK), true);
    assert.equal(scheduler.shift(scheduler.chooseClass()), bulk);
  });

  it('keeps first in, first out within a class, also for one that is put back', () => {
    const scheduler = new Scheduler();
    const names = Array.from({ length: 200 }, (_, i) => ({ i }) as unknown as MuxStream);
    for (const stream of names) scheduler.push(stream, CLASS_NORMAL);
    for (const stream of names) {
      assert.equal(scheduler.chooseClass(), CLASS_NORMAL);
      const first = scheduler.shift(CLASS_NORMAL);
      assert.equal(first, stream);
      scheduler.unshift(first, CLASS_NORMAL);
      assert.equal(scheduler.shift(CLASS_NORMAL), stream);
    }
    assert.equal(scheduler.chooseClass(), -1);
  });
});

describe('StreamCount', () => {
  it('gives credit back when streams end, a quarter at a time, and at once where the peer may open no more', () => {
    const count = new StreamCount('responder', 8, 2);
    for (let i = 0; i < 5; i++) assert.equal(count.accept(1 + 2 * i), undefined);
    count.finish();
    assert.equal(count.dueLimit, 0);
    for (let i = 5; i < 8; i++) assert.equal(count.accept(1 + 2 * i), undefined);
    assert.match(count.accept(17) ?? '', /more than it was granted/);
    count.finish();
    assert.equal(count.dueLimit, 10);
    assert.match(count.accept(17) ?? '', /more than it was granted/, 'the peer was not told of it yet');
    count.grant(10);
    assert.equal(count.accept(17), undefined);
    assert.equal(count.accept(19), undefined);
    count.finish();
    assert.equal(count.dueLimit, 11);
    assert.match(count.accept(17) ?? '', /out of order/);
    assert.match(count.accept(20) ?? '', /out of order/);
  });

  it('lets a peer that opens all it may have as many as the limit says, whatever came and went before', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.array(fc.boolean(), { maxLength: 200 }), (maxStreams, steps) => {
        const count = new StreamCount('responder', maxStreams, 1);
        let [live, id] = [0, 1];
        const tell = (): void => {
          if (count.dueLimit > 0) count.grant(count.dueLimit);
        };
        const open = (): boolean => {
          if (count.accept(id) !== undefined) return false;
          [live, id] = [live + 1, id + 2];
          tell();
          return true;
        };
        for (const opens of steps) {
          if (opens) open();
          else if (live > 0) {
            live--;
            count.finish();
            tell();
          }
          assert.ok(live <= maxStreams);
        }
        while (open());
        assert.equal(live, maxStreams);
      }),
    );
  });

  it('opens as many as the peer allows', () => {
    const count = new StreamCount('initiator', 8, 2);
    assert.deepEqual([count.open(), count.open(), count.mayOpen], [1, 3, false]);
    count.unopen();
    assert.equal(count.mayOpen, true);
    assert.equal(count.open(), 5);
    assert.equal(count.allow(2), false);
    assert.equal(count.allow(3), true);
    assert.equal(count.wasOpened(5), true);
    assert.equal(count.wasOpened(7), false);
  });
});

describe('MinRtt', () => {
  it('keeps the smallest sample of ten seconds', () => {
    const rtt = new MinRtt();
    rtt.observe(40, 0);
    rtt.observe(20, 100);
    rtt.observe(30, 5_000);
    assert.equal(rtt.valueMs, 20);
    rtt.observe(30, 10_200);
    assert.equal(rtt.valueMs, 30);
  });
});

describe('Record header', () => {
  for (const sequence of [0, 1, 2 ** 31, 2 ** 32, 2 ** 40 + 12_345, 2 ** 48 - 1]) {
    it(`carries sequence ${sequence}`, () => {
      const bytes = new Uint8Array(9);
      writeRecordHeader(bytes, 2, 1, 63, sequence);
      assert.deepEqual(
        [readRecordType(bytes, 2), readRecordEpoch(bytes, 2), readRecordSequence(bytes, 2)],
        [1, 63, sequence],
      );
    });
  }
});

describe('resolveTunnelOptions', () => {
  for (const options of [
    { maxStreams: 0 },
    { maxStreams: 1.5 },
    { maxStreams: Number.NaN },
    { sessionWindowBytes: 1_000_000 },
    { maxSessionWindowBytes: 8 * 1024 * 1024 },
    { initialCircuitWindowBytes: 1_000 },
  ]) {
    it(`refuses ${JSON.stringify(options)}`, () => {
      assert.throws(() => resolveTunnelOptions(options), RangeError);
    });
  }
});
