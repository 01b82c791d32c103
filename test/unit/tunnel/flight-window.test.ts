/** `FlightWindow` on simulated paths: it fills each of them, and lets no more than a short queue grow there. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { FlightWindow, LEAST_FLIGHT_BYTES } from '../../../src/tunnel/flight-window.ts';

const RECORD_BYTES = 65_536;
const MOST_BYTES = 16 * 1024 * 1024;

interface Way {
  readonly bytesPerSecond: number;
  readonly rttMs: number;
  /** What a record takes longer, at most, by chance; none overtakes another. */
  readonly unsteadyMs?: number;
}

/** Records over a way that may change; each is acknowledged when it has arrived. */
class Path {
  readonly clock = new VirtualClock({ maxEvents: 50_000_000 });
  readonly window = new FlightWindow(MOST_BYTES);
  way: Way;
  readonly #random = new SeededRandom(7);
  #sequence = 0;
  #flightBytes = 0;
  #freeMs = 0;
  #arrivalMs = 0;
  deliveredBytes = 0;
  leastWindowBytes = Number.POSITIVE_INFINITY;
  mostFlightBytes = 0;

  constructor(way: Way) {
    this.way = way;
  }

  /** What the path holds, and as long a queue; with the records by which it is measured. */
  get mostBytes(): number {
    const { bytesPerSecond, rttMs, unsteadyMs = 0 } = this.way;
    const pathBytes = (bytesPerSecond / 1_000) * (rttMs + unsteadyMs) + 3 * RECORD_BYTES;
    return Math.max(LEAST_FLIGHT_BYTES, pathBytes + Math.max(pathBytes, bytesPerSecond / 1_000)) + 4 * RECORD_BYTES;
  }

  fill(): void {
    while (this.#flightBytes < this.window.bytes) this.#send();
  }

  /** Share of the way that is used in the next `seconds`. */
  use(seconds: number): number {
    const before = this.deliveredBytes;
    this.mostFlightBytes = 0;
    this.leastWindowBytes = Number.POSITIVE_INFINITY;
    this.clock.advance(seconds * 1_000);
    return (this.deliveredBytes - before) / (this.way.bytesPerSecond * seconds);
  }

  #send(): void {
    const { bytesPerSecond, rttMs, unsteadyMs = 0 } = this.way;
    const nowMs = this.clock.monotonicMs();
    const sequence = this.#sequence++;
    this.#flightBytes += RECORD_BYTES;
    this.mostFlightBytes = Math.max(this.mostFlightBytes, this.#flightBytes);
    this.window.onSent(sequence, this.#flightBytes, nowMs);
    this.#freeMs = Math.max(this.#freeMs, nowMs) + (RECORD_BYTES / bytesPerSecond) * 1_000;
    this.#arrivalMs = Math.max(this.#arrivalMs + 1e-6, this.#freeMs + rttMs + unsteadyMs * this.#random.ratio());
    this.clock.setTimer(this.#arrivalMs - nowMs, () => {
      this.#flightBytes -= RECORD_BYTES;
      this.deliveredBytes += RECORD_BYTES;
      this.window.onAcknowledged(sequence + 1, RECORD_BYTES, this.clock.monotonicMs());
      this.leastWindowBytes = Math.min(this.leastWindowBytes, this.window.bytes);
      this.fill();
    });
  }
}

function start(way: Way): Path {
  const path = new Path(way);
  path.fill();
  return path;
}

const WAYS: Readonly<Record<string, Way>> = {
  'within a process': { bytesPerSecond: 1e9, rttMs: 0.1 },
  'on a LAN of 10 Gbit/s': { bytesPerSecond: 1.25e9, rttMs: 0.4 },
  'of 1 Gbit/s at 5 ms': { bytesPerSecond: 125e6, rttMs: 5 },
  'of 1 Gbit/s at 60 ms': { bytesPerSecond: 125e6, rttMs: 60 },
  'of 100 Mbit/s at 20 ms': { bytesPerSecond: 12.5e6, rttMs: 20 },
  'of 100 Mbit/s across an ocean': { bytesPerSecond: 12.5e6, rttMs: 150 },
  'of 10 Mbit/s by satellite': { bytesPerSecond: 1.25e6, rttMs: 600 },
  'of 2 Mbit/s at 30 ms': { bytesPerSecond: 250e3, rttMs: 30 },
};

describe('FlightWindow', () => {
  for (const [name, way] of Object.entries(WAYS)) {
    it(`fills a path ${name}, with a queue no longer than the path`, () => {
      const path = start(way);
      path.use(5);
      const use = path.use(30);
      assert.ok(use >= 0.95, `${Math.round(use * 100)} % used`);
      assert.ok(path.mostFlightBytes <= path.mostBytes, `${path.mostFlightBytes} of ${path.mostBytes} bytes under way`);
    });
  }

  it('converges on whatever path, and is never below what two event loops need but while it looks at the path without a queue', () => {
    const rates = fc.double({ min: 4.5, max: 8.5, noNaN: true }); // 32 KB/s to 316 MB/s
    const trips = fc.double({ min: -1, max: 2, noNaN: true }); // 0.1 to 100 ms
    fc.assert(
      fc.property(rates, trips, (rate, trip) => {
        const way = { bytesPerSecond: 10 ** rate, rttMs: 10 ** trip };
        const seconds = Math.max(2, (200 * RECORD_BYTES) / way.bytesPerSecond);
        const path = start(way);
        path.use(seconds);
        const use = path.use(seconds);
        assert.ok(use >= 0.94 * Math.min(1, MOST_BYTES / path.mostBytes), `${Math.round(use * 100)} % used`);
        assert.ok(path.leastWindowBytes >= LEAST_FLIGHT_BYTES / 4);
        assert.ok(path.mostFlightBytes <= path.mostBytes, `${path.mostFlightBytes} of ${path.mostBytes} under way`);
      }),
      { seed: 11, numRuns: 60 },
    );
  });

  it('fills the path again when it has become longer, shorter, faster or slower', () => {
    const first = { bytesPerSecond: 12.5e6, rttMs: 20 };
    for (const later of [
      { bytesPerSecond: 12.5e6, rttMs: 200 },
      { bytesPerSecond: 125e6, rttMs: 20 },
      { bytesPerSecond: 1.25e6, rttMs: 20 },
      { bytesPerSecond: 125e6, rttMs: 2 },
      { bytesPerSecond: 40e6, rttMs: 100 },
    ]) {
      const path = start(first);
      path.use(20);
      path.way = later;
      path.use(10);
      const use = path.use(20);
      assert.ok(use >= 0.95, `${JSON.stringify(later)}: ${Math.round(use * 100)} % used`);
      assert.ok(path.mostFlightBytes <= path.mostBytes, `${JSON.stringify(later)}: ${path.mostFlightBytes} under way`);
    }
  });

  it('fills a path whose round trip is never the same', () => {
    for (const unsteadyMs of [5, 20, 60]) {
      const path = start({ bytesPerSecond: 40e6, rttMs: 20, unsteadyMs });
      path.use(10);
      const use = path.use(20);
      assert.ok(use >= 0.9, `${unsteadyMs} ms: ${Math.round(use * 100)} % used`);
    }
  });

  it('begins anew on another path', () => {
    const path = start({ bytesPerSecond: 125e6, rttMs: 60 });
    path.use(5);
    assert.ok(path.window.bytes > 4 * LEAST_FLIGHT_BYTES);
    path.window.restart();
    assert.equal(path.window.bytes, LEAST_FLIGHT_BYTES);
  });

  it('takes a sender with little to say for no sign of a slow path', () => {
    const window = new FlightWindow(MOST_BYTES);
    let nowMs = 0;
    let sequence = 0;
    const round = (bytes: number, rttMs: number): void => {
      window.onSent(sequence++, bytes, nowMs);
      nowMs += rttMs;
      window.onAcknowledged(sequence, bytes, nowMs);
    };
    for (let i = 0; i < 40; i++) round(window.bytes, 50);
    assert.equal(window.bytes, MOST_BYTES);
    for (let i = 0; i < 40; i++) round(200_000, 50);
    assert.equal(window.bytes, MOST_BYTES);
  });
});
