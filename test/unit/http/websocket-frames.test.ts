/** WebSocketFrames: where one frame ends and the next begins, however the bytes come. */

import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { concatBytes } from '../../../src/core/bytes.ts';
import { encodeCloseFrame, WebSocketFrames } from '../../../src/http/websocket-frames.ts';

/** A frame with `length` bytes of payload, in the form of length that is asked for. */
function frame(length: number, form: 'short' | 'two' | 'eight', isMasked: boolean): Uint8Array {
  const mask = isMasked ? 0x80 : 0;
  const short = Math.min(length, 125);
  const count = form === 'short' ? short : length;
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, BigInt(count));
  const bytes = new Uint8Array(view.buffer);
  const head =
    form === 'short'
      ? [0x82, mask | count]
      : form === 'two'
        ? [0x82, mask | 126, ...bytes.subarray(6)]
        : [0x82, mask | 127, ...bytes];
  return concatBytes(new Uint8Array([...head, ...(isMasked ? [1, 2, 3, 4] : [])]), new Uint8Array(count).fill(0xff));
}

test('It is between frames exactly behind whole ones, in any cut of the bytes', () => {
  const frames = fc.array(fc.tuple(fc.nat({ max: 300 }), fc.constantFrom('short', 'two', 'eight'), fc.boolean()), {
    minLength: 1,
    maxLength: 6,
  });
  fc.assert(
    fc.property(frames, fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (specs, cuts) => {
      const parts = specs.map(([length, form, isMasked]) => frame(length, form as 'short', isMasked));
      const ends = new Set<number>([0]);
      let end = 0;
      for (const part of parts) {
        end += part.length;
        ends.add(end);
      }
      const bytes = concatBytes(...parts);
      const followed = new WebSocketFrames();
      equal(followed.isBetween, true);
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const next = Math.min(bytes.length, at + (cuts[i % cuts.length] ?? 1));
        followed.push(bytes.subarray(at, next));
        at = next;
        equal(followed.isBetween, ends.has(at), `${at} of ${bytes.length}`);
      }
    }),
    { numRuns: 500 },
  );
});

test('A close frame holds its code and as much of the reason as fits', () => {
  deepEqual([...encodeCloseFrame(4403, 'no')], [0x88, 4, 0x11, 0x33, 0x6e, 0x6f]);
  equal(encodeCloseFrame(4403, 'x'.repeat(500)).length, 2 + 125);
});
