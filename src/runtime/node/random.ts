/** `Random` from the operating system. */

import { randomFillSync } from 'node:crypto';
import type { Random } from '../../core/random.ts';

export const nodeRandom: Random = {
  bytes: (length) => randomFillSync(new Uint8Array(length)),
  ratio: () => Math.random(),
};
