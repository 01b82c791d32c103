import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pipe } from '../../../src/core/byte-stream.ts';
import { encodeUtf8 } from '../../../src/core/bytes.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { createMemoryStreams, type MemoryStream } from '../../../src/testing/memory-stream.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { StreamRecorder } from '../runtime/recorder.ts';

const ERROR = new SkeinError('SKEIN_CANCELLED', 'Cannot go on: test is over');

function pair(
  options = {},
  consumes = true,
): { clock: VirtualClock; a: StreamRecorder; b: StreamRecorder; ends: MemoryStream[] } {
  const clock = new VirtualClock();
  const ends = createMemoryStreams(clock, options);
  return { clock, a: new StreamRecorder(ends[0]), b: new StreamRecorder(ends[1], { consumes }), ends };
}

describe('MemoryStream', () => {
  it('carries bytes and half-closes', () => {
    const { clock, a, b } = pair();
    a.stream.write(encodeUtf8('hello'));
    a.stream.end();
    a.stream.write(encodeUtf8('ignored'));
    b.stream.write(encodeUtf8('answer'));
    clock.runUntilIdle();
    assert.equal(b.text, 'hello');
    assert.equal(b.ended, true);
    assert.equal(a.text, 'answer');
    assert.equal(a.ended, false);
  });

  it('stops the writer at the window and tells it when there is room', () => {
    const { clock, a, b, ends } = pair({ windowBytes: 100 }, false);
    assert.equal(a.stream.write(new Uint8Array(99)), true);
    assert.equal(a.stream.write(new Uint8Array(1)), false);
    assert.equal(a.stream.write(new Uint8Array(50)), false);
    clock.runUntilIdle();
    assert.equal(b.receivedBytes, 100);
    assert.equal(ends[0]?.queuedBytes, 50);
    assert.equal(a.drains, 0);
    b.stream.consumed(60);
    clock.runUntilIdle();
    assert.equal(b.receivedBytes, 150);
    assert.equal(a.drains, 0);
    b.stream.consumed(60);
    clock.runUntilIdle();
    assert.equal(a.drains, 1);
    assert.throws(() => b.stream.consumed(31), RangeError);
  });

  it('tells a writer that has written on of room all the same', () => {
    const { clock, a, b } = pair({ windowBytes: 100 }, false);
    assert.equal(a.stream.write(new Uint8Array(100)), false);
    clock.runUntilIdle();
    b.stream.consumed(45);
    clock.runUntilIdle();
    assert.equal(a.drains, 0);
    assert.equal(a.stream.write(new Uint8Array(10)), false);
    clock.runUntilIdle();
    b.stream.consumed(65);
    clock.runUntilIdle();
    assert.equal(a.drains, 1);
  });

  it('lets a chunk larger than the window pass alone', () => {
    const { clock, a, b } = pair({ windowBytes: 10 });
    a.stream.write(new Uint8Array(1_000));
    clock.runUntilIdle();
    assert.equal(b.receivedBytes, 1_000);
  });

  it('cuts chunks', () => {
    const { clock, a, b } = pair({ maxChunkBytes: 1 });
    a.stream.write(encodeUtf8('abc'));
    clock.runUntilIdle();
    assert.equal(b.chunks.length, 3);
    assert.equal(b.text, 'abc');
  });

  it('resets: queued bytes are dropped, the other end is told once, nothing follows', () => {
    const { clock, a, b } = pair();
    a.stream.write(encodeUtf8('lost'));
    a.stream.reset(ERROR);
    a.stream.reset(ERROR);
    b.stream.write(encodeUtf8('x'));
    clock.runUntilIdle();
    assert.equal(b.error, ERROR);
    assert.equal(b.receivedBytes, 0);
    assert.equal(a.error, undefined);
    assert.equal(a.receivedBytes, 0);
    assert.equal(a.late + b.late, 0);
  });

  it('carries heads in order with the bytes, copied', () => {
    const clock = new VirtualClock();
    const [a, b] = createMemoryStreams(clock);
    const order: string[] = [];
    b.attach({
      onHead: (block, flags) => order.push(`head ${new TextDecoder().decode(block)} ${flags}`),
      onData: (chunk) => order.push(new TextDecoder().decode(chunk)),
      onEnd: () => order.push('end'),
      onDrain: () => undefined,
      onReset: () => undefined,
    });
    const block = encodeUtf8('one…');
    a.sendHead(block, 3, 0);
    block.fill(0);
    a.write(encodeUtf8('body'));
    a.sendHead(encodeUtf8('two'), 3, 2);
    a.end();
    clock.runUntilIdle();
    assert.deepEqual(order, ['head one 0', 'body', 'head two 2', 'end']);
  });

  it('joins with pipe(), back-pressure through both', () => {
    const clock = new VirtualClock();
    const [a, b] = createMemoryStreams(clock, { windowBytes: 1_000 });
    const [c, d] = createMemoryStreams(clock, { windowBytes: 1_000 });
    let closed = 0;
    pipe(b, c, () => closed++);
    const near = new StreamRecorder(a);
    const far = new StreamRecorder(d, { consumes: false });
    let offered = 0;
    while (near.stream.write(new Uint8Array(100)) && offered < 100_000) {
      offered += 100;
      clock.runUntilIdle();
    }
    assert.ok(offered < 4_000, `${offered} bytes taken without a reader`);
    far.consumes = true;
    far.stream.consumed(far.receivedBytes);
    near.stream.end();
    far.stream.end();
    clock.runUntilIdle();
    assert.equal(far.receivedBytes, offered + 100);
    assert.ok(far.ended && near.ended);
    assert.equal(closed, 1);
  });
});
