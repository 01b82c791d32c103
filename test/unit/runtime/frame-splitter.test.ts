/** What is told apart as whole messages, and what ws gets to see: every byte of either, in order, however it is cut. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Bytes } from '../../../src/core/bytes.ts';
import { FrameSplitter } from '../../../src/runtime/node/frame-splitter.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { type FrameOptions, frame, OPCODE } from './raw-websocket.ts';

const MAX_WHOLE = 70_000;
const MAX_PAYLOAD = 140_000;
const { binary, close, continuation, ping, pong, text } = OPCODE;

const numbered = (length: number, seed = 0): Buffer =>
  Buffer.from(Array.from({ length }, (_, i) => (i * 31 + seed) & 255));
const message = (length: number, seed = 0): Buffer => frame({ opcode: binary, payload: numbered(length, seed) });

interface Seen {
  readonly messages: Buffer[];
  readonly rest: Buffer;
  /** Bytes that are still waited for. */
  readonly left: Buffer;
  readonly isOver: boolean;
}

/** Shows `bytes` as a socket would: in pieces that end at `cuts`, what was not dealt with again together with what follows. */
function split(bytes: Buffer, cuts: readonly number[], { isMasked = true, isOpen = true, isLeft = false } = {}): Seen {
  const messages: Buffer[] = [];
  const rest: Buffer[] = [];
  const splitter = new FrameSplitter({
    isMasked,
    maxWholeBytes: MAX_WHOLE,
    maxPayloadBytes: MAX_PAYLOAD,
    onMessage: (each: Bytes) => messages.push(Buffer.from(each)),
    onRest: (each: Bytes) => rest.push(Buffer.from(each)),
  });
  splitter.isOpen = isOpen;
  let from = 0;
  for (const end of [...cuts, bytes.length]) {
    // A copy: it is unmasked in place.
    const shown = Buffer.from(bytes.subarray(from, end));
    if (shown.length > 0) from += splitter.read(shown, isLeft);
  }
  return { messages, rest: Buffer.concat(rest), left: bytes.subarray(from), isOver: splitter.isOver };
}

/** RFC 6455 §5.3, with a key that is not zero. */
function masked(options: FrameOptions, key: readonly [number, number, number, number]): Buffer {
  const bytes = frame(options);
  const at = bytes.length - (options.payload?.length ?? 0);
  bytes.set(key, at - 4);
  for (let i = at; i < bytes.length; i++) bytes[i] = (bytes[i] ?? 0) ^ (key[(i - at) & 3] ?? 0);
  return bytes;
}

describe('A splitter of frames', () => {
  for (const length of [0, 1, 125, 126, 4_000, 65_535, 65_536, MAX_WHOLE]) {
    it(`tells of a message of ${length} bytes, and ws sees nothing of it`, () => {
      const { messages, rest, left } = split(message(length), []);
      assert.deepEqual(messages, [numbered(length)]);
      assert.equal(rest.length + left.length, 0);
    });
  }

  it('takes the mask off', () => {
    const bytes = masked({ opcode: binary, payload: numbered(1_001) }, [1, 2, 3, 255]);
    assert.deepEqual(split(bytes, [500]).messages, [numbered(1_001)]);
  });

  it('reads a length that is longer than it need be, as ws does', () => {
    const bytes = Buffer.concat([Buffer.of(0x82, 0xff), Buffer.alloc(7), Buffer.of(3), Buffer.alloc(4), numbered(3)]);
    assert.deepEqual(split(bytes, []).messages, [numbered(3)]);
  });

  it('tells the same however the bytes are cut', () => {
    const random = new SeededRandom(7);
    const parts = [
      message(3),
      frame({ opcode: ping, payload: numbered(5) }),
      message(300),
      frame({ opcode: binary, final: false, payload: numbered(40) }),
      frame({ opcode: pong }),
      frame({ opcode: continuation, final: false, payload: numbered(126) }),
      frame({ opcode: continuation, payload: numbered(9) }),
      message(70, 1),
      frame({ opcode: text, payload: Buffer.from('ping') }),
      frame({ opcode: binary, payload: numbered(MAX_WHOLE + 1) }),
      message(0),
      message(200, 2),
    ];
    const bytes = Buffer.concat(parts);
    const forWs = Buffer.concat([1, 3, 4, 5, 6, 8, 9].map((at) => parts[at] as Buffer));
    const early = parts.slice(0, 9).reduce((sum, { length }) => sum + length, 0);
    for (let round = 0; round < 300; round++) {
      const cuts = Array.from({ length: round % 12 }, () =>
        Math.floor(random.ratio() * (round % 2 ? early : bytes.length)),
      );
      const { messages, rest, left, isOver } = split(
        bytes,
        cuts.sort((a, b) => a - b),
      );
      assert.deepEqual(
        messages.map(({ length }) => length),
        [3, 300, 70, 0, 200],
      );
      assert.deepEqual([messages[2], messages[4]], [numbered(70, 1), numbered(200, 2)]);
      assert.ok(rest.equals(forWs));
      assert.deepEqual([left.length, isOver], [0, false]);
    }
    const byByte = split(
      bytes.subarray(0, early),
      Array.from({ length: early }, (_, at) => at),
    );
    assert.deepEqual(
      byByte.messages.map(({ length }) => length),
      [3, 300, 70],
    );
  });

  it('waits for the rest of a message, and only for that', () => {
    const { messages, rest, left } = split(Buffer.concat([message(4), message(50)]), []);
    assert.deepEqual([messages.length, rest.length, left.length], [2, 0, 0]);
    const whole = Buffer.concat([message(4), message(50)]);
    for (let end = message(4).length + 1; end < whole.length; end++) {
      const seen = split(whole.subarray(0, end), []);
      assert.deepEqual([seen.messages.length, seen.rest.length], [1, 0]);
      assert.equal(seen.left.length, end - message(4).length);
    }
  });

  it('leaves to ws what has come in too many parts, and tells of what follows', () => {
    const slow = message(50);
    const { messages, rest } = split(slow, [], { isLeft: true });
    assert.deepEqual([messages.length, rest.equals(slow)], [0, true]);
  });

  it('shows ws everything until it is opened, and then what ws has begun', () => {
    const bytes = Buffer.concat([message(10), frame({ opcode: ping }), message(20)]);
    assert.ok(split(bytes, [3, 17], { isOpen: false }).rest.equals(bytes));
    for (let opened = 0; opened <= message(10).length; opened++) {
      const messages: number[] = [];
      let forWs = 0;
      const splitter = new FrameSplitter({
        ...{ isMasked: true, maxWholeBytes: MAX_WHOLE, maxPayloadBytes: MAX_PAYLOAD },
        onMessage: ({ length }) => messages.push(length),
        onRest: ({ length }) => {
          forWs += length;
        },
      });
      splitter.read(bytes.subarray(0, opened));
      splitter.isOpen = true;
      splitter.read(Buffer.from(bytes.subarray(opened)));
      const hadBegun = opened > 0;
      assert.deepEqual(messages, hadBegun ? [20] : [10, 20]);
      assert.equal(forWs, frame({ opcode: ping }).length + (hadBegun ? message(10).length : 0));
    }
  });

  it('tells a client of what a server does not mask', () => {
    const bytes = frame({ opcode: binary, masked: false, payload: numbered(9) });
    assert.deepEqual(split(bytes, [], { isMasked: false }).messages, [numbered(9)]);
  });

  for (const [name, bytes, options] of [
    ['a message without a mask', frame({ opcode: binary, masked: false, payload: numbered(4) })],
    ['a message with one, of a server', message(4), { isMasked: false }],
    ['a close message', frame({ opcode: close })],
    ['a close message without a mask', frame({ opcode: close, masked: false })],
    ['a compressed message', frame({ opcode: binary, compressed: true, payload: numbered(4) })],
    ['a reserved bit', Buffer.concat([Buffer.of(0x80 | 0x20 | binary), message(4).subarray(1)])],
    ['an unknown opcode', frame({ opcode: 3, payload: numbered(4) })],
    ['an unknown control opcode', frame({ opcode: 11 })],
    ['a ping in fragments', frame({ opcode: ping, final: false })],
    ['a ping of more than 125 bytes', frame({ opcode: ping, payload: numbered(126) })],
    ['the continuation of nothing', frame({ opcode: continuation, payload: numbered(4) })],
    [
      'a message within another',
      Buffer.concat([frame({ opcode: binary, final: false, payload: numbered(4) }), message(5)]),
    ],
    [
      'a text within a message',
      Buffer.concat([frame({ opcode: binary, final: false }), frame({ opcode: text, payload: numbered(1) })]),
    ],
    ['a message that is too large', frame({ opcode: binary, length: MAX_PAYLOAD + 1 })],
    ['a text that is too large', frame({ opcode: text, length: MAX_PAYLOAD + 1 })],
    ['a length of 2^63', Buffer.concat([Buffer.of(0x82, 0xff, 0x80), Buffer.alloc(11)])],
  ] as [string, Buffer, { isMasked?: boolean }?][]) {
    it(`leaves ${name} to ws, with all that follows`, () => {
      const all = Buffer.concat([bytes, message(30), message(40)]);
      for (let cut = 1; cut < bytes.length; cut++) {
        const { messages, rest, left, isOver } = split(all, [cut], options);
        assert.deepEqual([messages.length, left.length, isOver], [0, 0, true]);
        assert.ok(rest.equals(all));
      }
    });
  }
});
