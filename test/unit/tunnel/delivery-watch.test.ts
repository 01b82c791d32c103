/** `DeliveryWatch`: silence, swallowed records and gaps, and pauses of this process that are none of these. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Clock, Timer } from '../../../src/core/clock.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { DeliveryWatch } from '../../../src/tunnel/delivery-watch.ts';

const PATIENCE_MS = 1_000;
const LOST_MS = 45_000;

/** A process that can stand still: its timers wait, and fire late. */
class StoppableClock implements Clock {
  readonly #clock: VirtualClock;
  #isStopped = false;
  #late: (() => void)[] = [];

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  epochMs(): number {
    return this.#clock.epochMs();
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs();
  }

  endOfTick(run: () => void): void {
    this.#clock.endOfTick(run);
  }

  setTimer(delayMs: number, run: () => void): Timer {
    return this.#clock.setTimer(delayMs, () => (this.#isStopped ? this.#late.push(run) : run()));
  }

  stop(): void {
    this.#isStopped = true;
  }

  goOn(): void {
    this.#isStopped = false;
    for (const run of this.#late.splice(0)) run();
  }
}

function createWatch() {
  const virtual = new VirtualClock();
  const clock = new StoppableClock(virtual);
  const told = { silentMs: [] as number[], lostAtMs: undefined as number | undefined, gaps: 0 };
  const sent: number[] = [];
  let acknowledged = 0;
  let heardMs = 0;
  const watch = new DeliveryWatch({
    clock,
    gapMs: 2_000,
    lostMs: LOST_MS,
    patienceMs: () => PATIENCE_MS,
    oldestSentMs: () => sent[0],
    acknowledged: () => acknowledged,
    heardMs: () => heardMs,
    onGap: () => told.gaps++,
    onLost: () => {
      told.lostAtMs ??= virtual.monotonicMs();
    },
    onSilence: (silentMs) => told.silentMs.push(silentMs),
  });
  return {
    virtual,
    clock,
    told,
    watch,
    send(): void {
      sent.push(virtual.monotonicMs());
      watch.noteSent();
    },
    /** The peer has said something, and acknowledged the `count` oldest records. */
    hear(count: number): void {
      heardMs = virtual.monotonicMs();
      acknowledged += count;
      sent.splice(0, count);
    },
  };
}

describe('DeliveryWatch', () => {
  it('tells of silence as soon as patience is at its end, whenever the record was sent', () => {
    for (let offsetMs = 0; offsetMs < PATIENCE_MS; offsetMs += 50) {
      const { virtual, told, send, hear } = createWatch();
      send(); // its timer runs
      virtual.advance(offsetMs);
      hear(1);
      send();
      virtual.advance(PATIENCE_MS - 1);
      assert.deepEqual(told.silentMs, []);
      virtual.advance(1);
      assert.deepEqual(told.silentMs, [PATIENCE_MS], `sent ${offsetMs} ms after the timer was set`);
    }
  });

  it('comes to rest at any fraction of a millisecond', () => {
    for (let n = 0; n < 2_000; n++) {
      const { virtual, send, hear } = createWatch();
      virtual.advance(n * 0.7);
      send();
      virtual.advance(n * 0.1);
      hear(1);
      send();
      virtual.advance(2 * PATIENCE_MS); // which gives up when time stands still
    }
  });

  it('goes on telling four times a second, until the peer is heard', () => {
    const { virtual, told, send, hear } = createWatch();
    send();
    virtual.advance(2_000);
    assert.equal(told.silentMs.length, 5);
    hear(0);
    virtual.advance(900);
    assert.equal(told.silentMs.length, 5);
    hear(1);
    virtual.advance(60_000);
    assert.equal(told.silentMs.length, 5);
    assert.equal(virtual.pendingTimers, 0);
  });

  it('takes a pause of its own for its own, wherever in the wait it comes', () => {
    for (let atMs = 0; atMs < PATIENCE_MS; atMs += 100) {
      const { virtual, clock, told, send, hear } = createWatch();
      send();
      virtual.advance(atMs);
      clock.stop();
      virtual.advance(15_000);
      clock.goOn(); // timers run before what the peer has said is read
      virtual.advance(10);
      hear(1);
      virtual.advance(60_000);
      assert.deepEqual(told.silentMs, [], `stopped ${atMs} ms after the record was sent`);
    }
  });

  it('finds a silent peer in spite of such a pause, not counting it', () => {
    const { virtual, clock, told, send } = createWatch();
    send();
    virtual.advance(900);
    clock.stop();
    virtual.advance(30_000);
    clock.goOn();
    virtual.advance(500);
    assert.ok(told.silentMs.length > 0);
    assert.ok((told.silentMs.at(-1) ?? 0) < 2_000, `${told.silentMs} ms`);
  });

  it('calls records swallowed when no ACK has come for long, however much the peer says', () => {
    const { virtual, told, send, hear } = createWatch();
    send();
    for (let i = 0; i < 120; i++) {
      virtual.advance(500);
      hear(0);
    }
    assert.deepEqual(told.silentMs, []);
    assert.ok((told.lostAtMs ?? 0) >= LOST_MS && (told.lostAtMs ?? 0) <= LOST_MS + 2 * PATIENCE_MS);
  });

  it('does not while ACKs come, however old the records are that wait: the network is slow', () => {
    const { virtual, told, send, hear } = createWatch();
    for (let i = 0; i < 30; i++) send(); // 2 MB at 64 kbit/s: four minutes in the network
    for (let i = 0; i < 30; i++) {
      virtual.advance(8_000);
      hear(1);
    }
    assert.equal(told.lostAtMs, undefined);
  });

  it('tells of a gap that stays, and of none that is filled', () => {
    const { virtual, told, watch } = createWatch();
    watch.noteGap();
    virtual.advance(1_900);
    watch.noteOrder();
    virtual.advance(5_000);
    assert.equal(told.gaps, 0);
    watch.noteGap();
    virtual.advance(2_000);
    assert.equal(told.gaps, 1);
  });
});
