/** Ids of requests, sessions and instances; the only door to nanoid. Not for secrets that need a stated entropy. */

import { nanoid } from 'nanoid';

/** A new id of `length` URL-safe characters, 6 bits each; 21 characters are 126 bits. */
export function createId(length = 21): string {
  return nanoid(length);
}
