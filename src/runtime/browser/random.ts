/** `Random` by Web Crypto, which gives at most 64 KiB at a time. */

import type { Random } from '../../core/random.ts';

const MAX_BYTES = 65_536;

export const browserRandom: Random = {
  bytes(length) {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at += MAX_BYTES) crypto.getRandomValues(bytes.subarray(at, at + MAX_BYTES));
    return bytes;
  },
  ratio: () => Math.random(),
};
