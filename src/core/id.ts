/** Ids of requests, sessions and instances; the only door to nanoid. Not for secrets that need a stated entropy. */

import { customRandom, nanoid, urlAlphabet } from 'nanoid';
import type { Random } from './random.ts';

/** URL-safe characters of an id, 6 bits each: 126 bits. */
const LENGTH = 21;

/** A new id. @param random where its chance comes from @default the runtime's */
export function createId(random?: Random): string {
  return random === undefined ? nanoid(LENGTH) : customRandom(urlAlphabet, LENGTH, (size) => random.bytes(size))();
}
