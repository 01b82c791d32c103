/** Bytes that were good once: changed, cut, stretched or repeated, by seeded chance. */
import type { SeededRandom } from '../../src/testing/seeded-random.ts';

const MAX_BYTES = 100_000;
/** Bytes that parsers treat apart. */
const SPECIAL = [0, 0xff, 0x7f, 0x80, 0x0d, 0x0a];

export function makeNoise(random: SeededRandom, length: number): Buffer {
  return Buffer.from(random.bytes(length));
}

/** One to three changes. */
export function mutate(random: SeededRandom, original: Uint8Array): Buffer {
  let bytes = Buffer.from(original);
  for (let times = 1 + random.integer(3); times > 0; times--) {
    const at = random.integer(bytes.length + 1);
    const how = random.integer(7);
    if (how === 0 && at < bytes.length) bytes[at] = (bytes[at] as number) ^ (1 << random.integer(8));
    else if (how === 1) bytes = bytes.subarray(0, at);
    else if (how === 2)
      bytes = Buffer.concat([bytes.subarray(0, at), makeNoise(random, random.integer(32)), bytes.subarray(at)]);
    else if (how === 3) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(random.integer(at + 1))]);
    else if (how === 4 && at < bytes.length) bytes[at] = random.pick(SPECIAL);
    else if (how === 5)
      bytes = Buffer.concat([bytes, bytes.subarray(random.integer(bytes.length + 1))]).subarray(0, MAX_BYTES);
    else bytes = Buffer.concat([makeNoise(random, random.integer(8)), bytes.subarray(Math.min(at, 8))]);
  }
  return bytes;
}
