/** nodeRandom: the right length, never twice the same bytes, nothing shared between callers. */

import { equal, notDeepEqual } from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toHex } from '../../../src/core/bytes.ts';
import { nodeRandom } from '../../../src/runtime/node-compat/random.ts';

describe('nodeRandom', () => {
  for (const length of [0, 1, 16, 511, 512, 513, 4096, 100_000]) {
    it(`gives ${length} bytes`, () => equal(nodeRandom.bytes(length).length, length));
  }

  it('never repeats itself, across blocks and sizes', () => {
    const seen = new Set<string>();
    for (let i = 0; i < 20_000; i++) seen.add(toHex(nodeRandom.bytes(i % 2 === 0 ? 16 : 24)).slice(0, 32));
    equal(seen.size, 20_000);
  });

  it('gives each caller bytes of its own', () => {
    const first = nodeRandom.bytes(16);
    const copy = first.slice();
    for (let i = 0; i < 1_000; i++) nodeRandom.bytes(16).fill(0);
    equal(toHex(first), toHex(copy));
    notDeepEqual(nodeRandom.bytes(16), new Uint8Array(16));
  });
});
