/** Streams by a punched path, while the ports and addresses change that it leads by, or nothing passes any more. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { lacking } from '../runtime/capabilities.ts';
import { CHANGES, changeUnderStreams } from '../support/network-change.ts';

/** A path that is dead is left within 3 s, the relay may be dead as well; what would find it else takes 15 s. The rest is for a busy machine. */
const LONGEST_STALL_MS = 10_000;

const skip = lacking('delay link');

describe('Streams by a punched path', () => {
  for (const change of CHANGES) {
    it(`Lose nothing when ${change.name}`, { skip }, async () => {
      const { maxMs } = await changeUnderStreams('direct', change);
      assert.ok(maxMs <= LONGEST_STALL_MS, `${maxMs} ms`);
    });
  }

  it('Lose nothing when nothing passes', { skip }, async () => {
    const { maxMs } = await changeUnderStreams('direct', { name: 'nothing passes', make: (lab) => lab.loseDirect() });
    assert.ok(maxMs <= LONGEST_STALL_MS, `${maxMs} ms`);
  });
});
