/** `Random` from the operating system, a block at a time: each request has a trace id, and a call for it costs more than its head. */

import { randomFillSync } from 'node:crypto';
import type { Random } from '../../core/random.ts';
import { fillInParts } from '../common/random.ts';

const BLOCK_BYTES = 4096;
const block = new Uint8Array(BLOCK_BYTES);
let used = BLOCK_BYTES;

export const nodeRandom: Random = {
  bytes(length) {
    if (length > BLOCK_BYTES / 8) return fillInParts(new Uint8Array(length), randomFillSync);
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
