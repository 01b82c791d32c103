/** What all sessions of a process keep for sending again: the bound, who may go on, and who is given up for it. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { type BudgetMember, ReplayBudget } from '../../../src/tunnel/replay-budget.ts';
import { STREAM_KIND } from '../../../src/tunnel/stream.ts';
import { createLinks, createSession, RecordingSink } from '../../support/tunnel.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const META = new Uint8Array([1]);

/** A session, as far as the budget is concerned. */
class Member implements BudgetMember {
  readonly #budget: ReplayBudget;
  keptBytes = 0;
  detachedMs: number | undefined;
  isDropped = false;

  constructor(budget: ReplayBudget) {
    this.#budget = budget;
    budget.join(this);
  }

  keep(bytes: number): void {
    this.keptBytes += bytes;
    this.#budget.add(bytes);
  }

  detach(atMs: number): void {
    this.detachedMs = atMs;
    this.#budget.enforce();
  }

  dropForBudget(): void {
    this.isDropped = true;
    this.keep(-this.keptBytes);
    this.#budget.leave(this);
  }
}

function createMembers(limitBytes: number, kept: readonly number[]): { budget: ReplayBudget; members: Member[] } {
  const budget = new ReplayBudget(limitBytes);
  const members = kept.map(() => new Member(budget));
  for (const [at, bytes] of kept.entries()) members[at]?.keep(bytes);
  return { budget, members };
}

describe('ReplayBudget', () => {
  it('lets everybody go on below its limit, and above it who keeps less than his share, or than 64 KiB', () => {
    const { budget, members } = createMembers(MIB, [512 * KIB, 512 * KIB - 1, 0]);
    assert.equal(budget.mayGrow(MIB), true);
    members[2]?.keep(2);
    assert.equal(budget.mayGrow(MIB / 3 - 1), true);
    assert.equal(budget.mayGrow(MIB / 3 + 1), false);
    for (let n = 0; n < 100; n++) new Member(budget);
    assert.equal(budget.mayGrow(64 * KIB - 1), true);
    assert.equal(budget.mayGrow(64 * KIB), false);
  });

  it('gives up detached sessions above their share, the oldest first, and no more than it must', () => {
    const { budget, members } = createMembers(
      MIB,
      [100, 400, 300, 500, 200].map((n) => n * KIB),
    );
    const [small, second, oldest, youngest] = members as [Member, Member, Member, Member];
    small.detachedMs = 1;
    oldest.detachedMs = 2;
    second.detachedMs = 3;
    youngest.detach(4);
    // 1,500 KiB of 1,024: with the first 300 and then 400 there are 800 left.
    assert.deepEqual(
      members.map(({ isDropped }) => isDropped),
      [false, true, true, false, false],
    );
    assert.equal(budget.dropped, 2);
    assert.equal(budget.isExceeded, false);
  });

  it('gives them up also when somebody else grows after they were detached', () => {
    const { budget, members } = createMembers(MIB, [300 * KIB, 700 * KIB]);
    const [attached, detached] = members as [Member, Member];
    detached.detach(1);
    assert.equal(detached.isDropped, false, 'there is room');
    attached.keep(400 * KIB);
    assert.equal(budget.isExceeded, true);
    assert.equal(budget.mayGrow(attached.keptBytes), true, 'the detached one has made room');
    assert.equal(detached.isDropped, true);
  });

  it('keeps 1,000 detached sessions below its limit, and tells those it gave up why', async (t) => {
    const clock = new VirtualClock();
    const budget = new ReplayBudget(120 * MIB);
    const random = new SeededRandom(1);
    const pairs = Array.from({ length: 1_000 }, (_, n) => {
      // What the other end says does not come any more: what it acknowledges, and the credit of its circuit.
      const links = createLinks({}, clock);
      const shared = { isResumable: true };
      const near = createSession('initiator', links.a.control, links, undefined, { ...shared, replayBudget: budget });
      const far = createSession('responder', links.b.control, links, undefined, shared);
      return { links, near, far, bytes: n % 8 === 0 ? 100 * KIB + random.integer(150 * KIB) : 16 * KIB };
    });
    await clock.advanceAsync(10);
    assert.ok(pairs.every(({ near, far }) => near.session.isOpen && far.session.isOpen));
    const streams = pairs.map(({ near, bytes }) => {
      const stream = near.session.openStream(STREAM_KIND.raw, META, META.length, false);
      const sink = new RecordingSink(stream);
      if (bytes > 100 * KIB) stream.write(new Uint8Array(512 * KIB)); // so that its link lets much be on its way
      return { stream, sink };
    });
    clock.advance(10);
    for (const { far } of pairs) new RecordingSink(far.streams[0] ?? assert.fail());
    clock.advance(100);
    for (const [n, { links, bytes }] of pairs.entries()) {
      links.wire.stall(links.wire.b);
      streams[n]?.stream.write(new Uint8Array(bytes));
    }
    clock.advance(100);
    // More than the limit, as after a time of larger windows: what others of the process keep.
    const other = new Member(budget);
    other.keep(budget.limitBytes - budget.bytes);
    const keptBytes = pairs.map(({ near }) => near.session.keptBytes);
    for (const [n, { links }] of pairs.entries()) {
      if (n === 500) other.keep(4 * MIB); // from here on room is made
      links.wire.cut();
      clock.advance(1);
      assert.ok(n < 500 || budget.bytes <= budget.limitBytes, `${budget.bytes} bytes after ${n} sessions`);
    }
    const gone = pairs.flatMap(({ near }, n) => (near.error === undefined ? [] : [n]));
    const fairBytes = budget.limitBytes / 1_001;
    const oldestFirst = keptBytes.flatMap((bytes, n) => (bytes > fairBytes ? [n] : [])).slice(0, gone.length);
    assert.deepEqual(gone, oldestFirst);
    assert.ok(gone.length > 0);
    for (const n of gone) {
      assert.equal(pairs[n]?.near.error?.code, 'SKEIN_SESSION_LOST');
      assert.match(pairs[n]?.near.error?.message ?? '', /keeps too much for peers out of reach/);
      assert.equal(streams[n]?.sink.error?.code, 'SKEIN_SESSION_LOST');
      assert.equal(streams[n]?.sink.error?.notProcessed, false);
    }
    t.diagnostic(
      JSON.stringify({
        sessions: pairs.length,
        keptMiB: Math.round((budget.bytes - other.keptBytes) / MIB),
        limitMiB: budget.limitBytes / MIB,
        givenUp: gone.length,
      }),
    );
    clock.advance(31_000);
    assert.equal(budget.bytes, other.keptBytes, 'nothing is kept when their time is over');
    assert.equal(pairs.filter(({ near }) => near.session.isOpen).length, 0);
  });
});
