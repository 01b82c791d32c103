/** A 32-bit hash of text for tables and shards (MurmurHash3, over UTF-16 units): spreads well, resists nobody. */

/** @param seed hashes of one text by two seeds have nothing to do with each other */
export function hashText(text: string, seed = 0): number {
  let hash = seed | 0;
  for (let i = 0; i < text.length; i++) {
    let unit = Math.imul(text.charCodeAt(i), 0xcc9e2d51);
    unit = (unit << 15) | (unit >>> 17);
    hash ^= Math.imul(unit, 0x1b873593);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  return mixBits(hash ^ text.length);
}

/** Spreads the bits of a number over all 32. */
export function mixBits(value: number): number {
  let hash = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
