import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MemoryLink, type MemoryLinkOptions } from '../../../src/testing/memory-pipe.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { PipeRecorder } from '../runtime/recorder.ts';

function link(options?: MemoryLinkOptions): {
  clock: VirtualClock;
  link: MemoryLink;
  a: PipeRecorder;
  b: PipeRecorder;
} {
  const clock = new VirtualClock();
  const made = new MemoryLink(clock, options);
  return { clock, link: made, a: new PipeRecorder(made.a), b: new PipeRecorder(made.b) };
}

describe('MemoryLink', () => {
  it('delivers at the end of the tick, in order, both ways', () => {
    const { clock, a, b } = link();
    for (let i = 0; i < 10; i++) a.pipe.send(Uint8Array.of(i));
    b.pipe.send(Uint8Array.of(99));
    assert.equal(b.messages.length, 0);
    assert.equal(a.pipe.outstandingBytes, 10);
    clock.runUntilIdle();
    assert.deepEqual(
      b.messages.map(([byte]) => byte),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    );
    assert.deepEqual(a.messages, [Uint8Array.of(99)]);
    assert.equal(a.pipe.outstandingBytes, 0);
    assert.ok(a.progress > 0);
  });

  it('can become slower and faster, and lets nothing overtake', () => {
    const { clock, link: wire, a, b } = link({ latencyMs: 30 });
    a.pipe.send(Uint8Array.of(1));
    clock.advance(1);
    wire.reshape({ latencyMs: 5 });
    for (const byte of [2, 3]) {
      a.pipe.send(Uint8Array.of(byte));
      clock.advance(1);
    }
    clock.advance(26);
    assert.equal(b.messages.length, 0);
    clock.advance(1.1);
    assert.deepEqual(
      b.messages.map(([byte]) => byte),
      [1, 2, 3],
    );
    wire.reshape({ latencyMs: 0, bytesPerSecond: 1_000 });
    a.pipe.send(new Uint8Array(100));
    clock.advance(99);
    assert.equal(b.messages.length, 3);
    clock.advance(1);
    assert.equal(b.messages.length, 4);
  });

  it('takes the latency', () => {
    const { clock, a, b } = link({ latencyMs: 30 });
    a.pipe.send(Uint8Array.of(1));
    clock.advance(29);
    assert.equal(b.messages.length, 0);
    assert.equal(a.pipe.outstandingBytes, 0);
    clock.advance(1);
    assert.equal(b.messages.length, 1);
  });

  it('takes the bandwidth: bytes are outstanding until they have left', () => {
    const { clock, a, b } = link({ bytesPerSecond: 1_000, latencyMs: 5 });
    a.pipe.send(new Uint8Array(100));
    a.pipe.send(new Uint8Array(50));
    clock.advance(99);
    assert.equal(a.pipe.outstandingBytes, 150);
    clock.advance(1);
    assert.equal(a.pipe.outstandingBytes, 50);
    clock.advance(5);
    assert.equal(b.messages.length, 1);
    clock.advance(50);
    assert.equal(a.pipe.outstandingBytes, 0);
    assert.equal(b.messages.length, 2);
  });

  it('holds what comes before attach', () => {
    const clock = new VirtualClock();
    const { a, b } = new MemoryLink(clock);
    a.send(Uint8Array.of(1));
    a.close(4000, 'early');
    clock.runUntilIdle();
    const recorder = new PipeRecorder(b);
    assert.deepEqual(recorder.messages, [], 'its owner is still being made');
    clock.runUntilIdle();
    assert.deepEqual(recorder.messages, [Uint8Array.of(1)]);
    assert.deepEqual(recorder.closed, { code: 4000, reason: 'early' });
  });

  it('gives the receiver a copy, and finds a sender that writes into what it sent', () => {
    const { clock, a, b } = link();
    const sent = Uint8Array.of(1, 2, 3);
    a.pipe.send(sent);
    clock.runUntilIdle();
    b.messages[0]?.fill(0);
    assert.deepEqual(sent, Uint8Array.of(1, 2, 3));
    a.pipe.send(sent);
    sent[0] = 9;
    assert.throws(() => clock.runUntilIdle(), /its buffer was written after send/);
  });

  it('closes behind the data, on both ends, once', () => {
    const { clock, a, b } = link({ latencyMs: 10 });
    a.pipe.send(Uint8Array.of(1));
    a.pipe.close(4001, 'done');
    a.pipe.send(Uint8Array.of(2));
    a.pipe.close(4002, 'again');
    clock.advance(100);
    assert.equal(b.messages.length, 1);
    assert.deepEqual(b.closed, { code: 4001, reason: 'done' });
    assert.deepEqual(a.closed, { code: 4001, reason: 'done' });
    assert.equal(a.late + b.late, 0);
  });

  it('cuts: what was under way is lost and both ends hear of it', () => {
    const { clock, link: made, a, b } = link({ latencyMs: 10 });
    a.pipe.send(Uint8Array.of(1));
    clock.advance(5);
    made.cut();
    made.cut();
    clock.advance(100);
    assert.equal(b.messages.length, 0);
    assert.equal(a.closed?.code, 1006);
    assert.equal(b.closed?.code, 1006);
    a.pipe.send(Uint8Array.of(2));
    assert.equal(a.pipe.outstandingBytes, 0);
  });

  it('terminates without a word on the wire', () => {
    const { clock, a, b } = link();
    a.pipe.send(Uint8Array.of(1));
    a.pipe.terminate();
    clock.runUntilIdle();
    assert.equal(b.messages.length, 0);
    assert.equal(b.closed?.code, 1006);
    assert.equal(a.closed?.code, 1006);
  });

  it('dies in silence: the kernel takes some bytes, then nothing moves', () => {
    const { clock, link: made, a, b } = link({ kernelBytes: 100 });
    made.blackhole();
    for (let i = 0; i < 5; i++) a.pipe.send(new Uint8Array(40));
    clock.advance(60_000);
    assert.equal(a.pipe.outstandingBytes, 120);
    assert.equal(b.messages.length, 0);
    assert.equal(a.closed, undefined);
  });

  it('loses all that one end sends, its end of the connection too, and delivers what the other sends', () => {
    const { clock, link: made, a, b } = link();
    made.blackhole(made.a);
    a.pipe.send(new Uint8Array(40));
    b.pipe.send(Uint8Array.of(7));
    clock.runUntilIdle();
    assert.equal(a.messages.length, 1);
    assert.equal(b.messages.length, 0);
    a.pipe.terminate();
    clock.runUntilIdle();
    assert.equal(a.closed?.code, 1006);
    assert.equal(b.closed, undefined);
  });

  it('stalls one direction and goes on, nothing lost or counted twice', () => {
    const { clock, link: made, a, b } = link({ kernelBytes: 100 });
    made.stall(made.a);
    for (let i = 0; i < 5; i++) a.pipe.send(new Uint8Array(40).fill(i));
    b.pipe.send(Uint8Array.of(7));
    clock.runUntilIdle();
    assert.equal(a.messages.length, 1);
    assert.equal(b.messages.length, 0);
    made.resume(made.a);
    clock.runUntilIdle();
    assert.deepEqual(
      b.messages.map(([byte]) => byte),
      [0, 1, 2, 3, 4],
    );
    assert.equal(a.pipe.outstandingBytes, 0);
  });

  it('loses, doubles and reorders nothing, whatever the delays and stalls', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('send' as const), size: fc.integer({ min: 1, max: 300 }) }),
      fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 50 }) }),
      fc.record({ kind: fc.constantFrom('stall' as const, 'resume' as const) }),
    );
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60 }),
        fc.integer({ min: 0, max: 40 }),
        fc.constantFrom(1_000, 50_000, Number.POSITIVE_INFINITY),
        fc.constantFrom(0, 200, 100_000),
        (steps, latencyMs, bytesPerSecond, kernelBytes) => {
          const { clock, link: made, a, b } = link({ latencyMs, bytesPerSecond, kernelBytes });
          const sizes: number[] = [];
          for (const each of steps) {
            if (each.kind === 'send') {
              sizes.push(each.size);
              a.pipe.send(new Uint8Array(each.size));
            } else if (each.kind === 'wait') clock.advance(each.ms);
            else if (each.kind === 'stall') made.stall(made.a);
            else made.resume(made.a);
            assert.ok(a.pipe.outstandingBytes >= 0);
          }
          made.resume(made.a);
          clock.advance(60_000);
          assert.deepEqual(
            b.messages.map(({ length }) => length),
            sizes,
          );
          assert.equal(a.pipe.outstandingBytes, 0);
        },
      ),
    );
  });
});
