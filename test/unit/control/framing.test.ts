/** MessageReader: messages in any pieces, and work in proportion to the bytes. */

import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { frameMessage, MessageReader } from '../../../src/control/framing.ts';
import { MAX_MESSAGE_BYTES } from '../../../src/control/limits.ts';
import type { Bytes } from '../../../src/core/bytes.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';

function readInPieces(stream: Bytes, pieceBytes: () => number): Bytes[] {
  const reader = new MessageReader();
  const messages: Bytes[] = [];
  for (let at = 0; at < stream.length; ) {
    const end = at + pieceBytes();
    reader.push(stream.subarray(at, end), (message) => {
      messages.push(message.slice());
      return true;
    });
    at = end;
  }
  equal(reader.isInside, false);
  return messages;
}

function toStream(messages: readonly Bytes[]): Bytes {
  const framed = messages.map(frameMessage);
  const out = new Uint8Array(framed.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const each of framed) {
    out.set(each, at);
    at += each.length;
  }
  return out;
}

test('Messages come out as they went in, whatever the pieces', () => {
  const random = new SeededRandom(5);
  for (let run = 0; run < 200; run++) {
    const messages = Array.from({ length: 1 + random.integer(6) }, () => random.bytes(1 + random.integer(400)));
    const most = 1 + random.integer(300);
    deepEqual(
      readInPieces(toStream(messages), () => 1 + random.integer(most)),
      messages,
    );
  }
});

test('The longest message is read in pieces, and one byte more is refused', () => {
  const longest = new Uint8Array(MAX_MESSAGE_BYTES).fill(9);
  deepEqual(
    readInPieces(toStream([longest]), () => 1_000),
    [longest],
  );
  const beyond = toStream([new Uint8Array(MAX_MESSAGE_BYTES + 1)]);
  throws(() => new MessageReader().push(beyond.subarray(0, 4), () => true), { code: 'SKEIN_PROTOCOL' });
  throws(() => new MessageReader().push(new Uint8Array(4), () => true), { code: 'SKEIN_PROTOCOL' });
});

test('Nothing is read behind a message whose taker says stop', () => {
  const reader = new MessageReader();
  let taken = 0;
  reader.push(toStream([new Uint8Array(3), new Uint8Array(3)]), () => ++taken < 1);
  equal(taken, 1);
});

test('A message in single bytes costs as much as short ones of the same sum: a peer cannot have it copied again and again', () => {
  const one = toStream([new Uint8Array(64_000)]);
  const many = toStream(Array.from({ length: 500 }, () => new Uint8Array(124)));
  const fastest = (stream: Bytes): number => {
    let best = Number.POSITIVE_INFINITY;
    for (let run = 0; run < 3; run++) {
      const started = performance.now();
      readInPieces(stream, () => 1);
      best = Math.min(best, performance.now() - started);
    }
    return best;
  };
  fastest(many); // warm
  const ratio = fastest(one) / fastest(many);
  // Copied again at each byte it would be more than a hundred times.
  ok(ratio < 20, `${ratio.toFixed(1)} times`);
});
