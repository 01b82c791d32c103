/** A small message as one WebSocket frame: byte for byte what RFC 6455 §5.2 asks for, up to where it is left to ws. */

import { deepEqual, equal } from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toSmallFrame } from '../../../src/runtime/node/small-frames.ts';
import { frame, OPCODE } from './raw-websocket.ts';

const LARGEST = 4_000;

describe('Small frames', () => {
  for (const length of [0, 1, 125, 126, 255, 256, LARGEST]) {
    it(`has a header for ${length} bytes, masked with zeros or not at all`, () => {
      const payload = Uint8Array.from({ length }, (_, i) => (i * 31 + 7) & 255);
      for (const masking of ['none', 'zeros'] as const) {
        const expected = frame({ opcode: OPCODE.binary, payload, masked: masking === 'zeros' });
        deepEqual(toSmallFrame(payload, masking), expected);
      }
    });
  }

  it('takes no message that is larger, and none that must be masked in earnest', () => {
    equal(toSmallFrame(new Uint8Array(LARGEST + 1), 'none'), undefined);
    equal(toSmallFrame(new Uint8Array(1), 'other'), undefined);
  });
});
