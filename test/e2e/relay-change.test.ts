/** Streams by relay, while the ports and addresses change by which their ends are seen. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { lacking } from '../runtime/capabilities.ts';
import { CHANGES, changeUnderStreams } from '../support/network-change.ts';

/** A death that nobody tells is found within 3 s, and another link takes a moment; what would find it else takes 15 s. The rest is for a busy machine. */
const LONGEST_STALL_MS = 10_000;

describe('Streams by relay', () => {
  for (const change of CHANGES) {
    it(`Lose nothing when ${change.name}`, { skip: lacking('delay link') }, async () => {
      const { maxMs } = await changeUnderStreams('relay', change);
      assert.ok(maxMs <= LONGEST_STALL_MS, `${maxMs} ms`);
    });
  }
});
