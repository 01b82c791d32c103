/** Link: what its pipe had received before it was made comes to it when it is whole, not while it is being made. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { SkeinError } from '../../../src/core/errors.ts';
import { MemoryLink } from '../../../src/testing/memory-pipe.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { Link } from '../../../src/tunnel/link.ts';

/** A server's HELLO may come in one read with the answer to the upgrade. */
function createLate(before: (wire: MemoryLink) => void): {
  clock: VirtualClock;
  make: () => Link;
  errors: SkeinError[];
} {
  const clock = new VirtualClock();
  const wire = new MemoryLink(clock);
  const errors: SkeinError[] = [];
  before(wire);
  clock.advance(1);
  const options = { clock, random: new SeededRandom(1) };
  const make = (): Link => {
    let link: Link | undefined;
    const onClose = (error: SkeinError): void => {
      assert.ok(link, 'the owner does not have the link yet');
      errors.push(error);
    };
    link = new Link(wire.a, { ...options, role: 'dialler', onClose });
    return link;
  };
  return { clock, make, errors };
}

describe('Link on a pipe that had something to say', () => {
  it('takes a HELLO', async () => {
    const random = new SeededRandom(2);
    const { clock, make, errors } = createLate((wire) => {
      const clock = new VirtualClock();
      new Link(wire.b, { clock, random, role: 'acceptor', onClose: () => undefined });
    });
    const link = make();
    await clock.settle();
    await link.ready;
    assert.equal(link.transcript.length, 2);
    assert.deepEqual(errors, []);
  });

  it('takes nonsense', async () => {
    const { clock, make, errors } = createLate(({ b }) => b.send(Uint8Array.from([255, 255, 255])));
    const link = make();
    await clock.settle();
    await assert.rejects(link.ready, { code: 'SKEIN_PROTOCOL' });
    assert.equal(errors.length, 1);
  });

  it('takes an end', async () => {
    const { clock, make, errors } = createLate((wire) => wire.cut());
    const link = make();
    await clock.settle();
    await assert.rejects(link.ready, { code: 'SKEIN_HUB_UNREACHABLE' });
    assert.equal(errors.length, 1);
  });
});
