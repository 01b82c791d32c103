/** `Random` by Web Crypto. */

import type { Random } from '../../core/random.ts';
import { fillInParts } from '../common/random.ts';

export const browserRandom: Random = {
  bytes: (length) => fillInParts(new Uint8Array(length), (part) => crypto.getRandomValues(part)),
  ratio: () => Math.random(),
};
