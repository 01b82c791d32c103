/** Streams by a punched path, while the ports and addresses change that it leads by, or nothing passes any more. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { lacking } from '../runtime/capabilities.ts';
import { CHANGES, changeUnderStreams } from '../support/network-change.ts';

/** A path that is dead is left within 3 s, and what a busy machine may add. */
const DEAD_MS = 4_500;
/** The relay may be dead as well. */
const ALL_DEAD_MS = 8_000;

const skip = lacking('delay link');

describe('Streams by a punched path', () => {
  for (const change of CHANGES) {
    it(`Lose nothing when ${change.name}`, { skip }, async () => {
      const { maxMs } = await changeUnderStreams('direct', change);
      assert.ok(maxMs <= ALL_DEAD_MS, `${maxMs} ms`);
    });
  }

  it('Lose nothing when nothing passes', { skip }, async () => {
    const { maxMs } = await changeUnderStreams('direct', { name: 'nothing passes', make: (lab) => lab.loseDirect() });
    assert.ok(maxMs <= DEAD_MS, `${maxMs} ms`);
  });
});
