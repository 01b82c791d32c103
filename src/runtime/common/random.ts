/** Random bytes from a source that gives so many at a time and no more, as the Web's `getRandomValues` does and workerd's own. */

const MOST_BYTES = 65_536;

/** Fills `bytes` by as few calls of `fillSome` as it takes, and gives them. */
export function fillInParts(
  bytes: Uint8Array<ArrayBuffer>,
  fillSome: (part: Uint8Array<ArrayBuffer>) => unknown,
): Uint8Array<ArrayBuffer> {
  for (let at = 0; at < bytes.length; at += MOST_BYTES) fillSome(bytes.subarray(at, at + MOST_BYTES));
  return bytes;
}
