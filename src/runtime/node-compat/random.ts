/** `Random` from the operating system, a block at a time: each request has a trace id, and a call for it costs more than its head. */

import { randomFillSync } from 'node:crypto';
import type { Random } from '../../core/random.ts';

const BLOCK_BYTES = 4096;
const block = new Uint8Array(BLOCK_BYTES);
let used = BLOCK_BYTES;

export const nodeRandom: Random = {
  bytes(length) {
    if (length > BLOCK_BYTES / 8) return fill(new Uint8Array(length));
    if (used + length > BLOCK_BYTES) {
      randomFillSync(block);
      used = 0;
    }
    const bytes = block.slice(used, used + length);
    // What was given away may become a key: it stays nowhere else.
    block.fill(0, used, used + length);
    used += length;
    return bytes;
  },
  ratio: () => Math.random(),
};

/** workerd gives no more than that at a time, as the Web's `getRandomValues`. */
const MOST_BYTES = 65_536;

function fill(bytes: Uint8Array): Uint8Array {
  for (let at = 0; at < bytes.length; at += MOST_BYTES) randomFillSync(bytes.subarray(at, at + MOST_BYTES));
  return bytes;
}
