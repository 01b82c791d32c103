/** `Pacer` on simulated lines: it fills each of them, and lets no queue grow behind a slow one. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { Pacer } from '../../../src/tunnel/pacer.ts';

interface Line {
  readonly bytesPerSecond: number;
  readonly forwardMs: number;
  readonly backMs: number;
  /** Largest message. */
  readonly messageBytes: number;
  /** Clock of the other end, in milliseconds at the start, and its drift. */
  readonly farMs?: number;
  readonly drift?: number;
  /** Delay of answers from a moment on: somebody else fills the other direction. */
  readonly backLaterMs?: number;
}

interface Outcome {
  /** Share of the line that was used in the second half of the time. */
  readonly use: number;
  /** Longest wait in the queue there, in milliseconds. */
  readonly queueMs: number;
}

/** Sends as much as the pacer lets through, for `seconds`. */
function simulate(line: Line, seconds: number): Outcome {
  const { bytesPerSecond, forwardMs, backMs, messageBytes, farMs = 1, drift = 0 } = line;
  const clock = new VirtualClock({ maxEvents: 20_000_000 });
  const pacer = new Pacer();
  const halfMs = (seconds * 1_000) / 2;
  let freeMs = 0;
  let bytes = 0;
  let queueMs = 0;
  const leave = (size: number, arrived?: () => void): void => {
    const nowMs = clock.monotonicMs();
    freeMs = Math.max(freeMs, nowMs) + (size / bytesPerSecond) * 1_000;
    if (nowMs >= halfMs) queueMs = Math.max(queueMs, freeMs - nowMs);
    if (freeMs >= halfMs && freeMs < 2 * halfMs) bytes += size;
    if (arrived !== undefined) clock.setTimer(freeMs - nowMs + forwardMs, arrived);
  };
  const mark = (): void => {
    pacer.onSent(13);
    pacer.onMark(clock.monotonicMs());
    leave(13, () => {
      const nowMs = clock.monotonicMs();
      const arrivedMs = Math.trunc(farMs + nowMs * (1 + drift)) % 2 ** 32;
      clock.setTimer(nowMs > halfMs / 2 ? (line.backLaterMs ?? backMs) : backMs, () => {
        pacer.onArrived(clock.monotonicMs(), arrivedMs);
        fill();
      });
    });
  };
  const fill = (): void => {
    if (pacer.isMarkDue) mark();
    while (!pacer.isFull) {
      pacer.onSent(messageBytes);
      leave(messageBytes);
      if (pacer.isMarkDue) mark();
    }
  };
  mark();
  clock.setTimer(forwardMs + backMs + 1, fill);
  clock.advance(seconds * 1_000);
  return { use: bytes / ((bytesPerSecond * halfMs) / 1_000), queueMs };
}

/** By name: the line, for how long, the least use of it, and the longest queue. With long messages a slow line has no short one. */
const LINES: Readonly<Record<string, readonly [line: Line, seconds: number, use: number, queueMs: number]>> = {
  '64 kbit/s': [{ bytesPerSecond: 8e3, forwardMs: 40, backMs: 40, messageBytes: 4_096 }, 400, 0.95, 2_100],
  '64 kbit/s, with full records': [
    { bytesPerSecond: 8e3, forwardMs: 40, backMs: 40, messageBytes: 65_536 },
    1_600,
    0.95,
    34_000,
  ],
  '1 Mbit/s': [{ bytesPerSecond: 125e3, forwardMs: 25, backMs: 25, messageBytes: 16_384 }, 60, 0.95, 1_500],
  '10 Mbit/s by satellite': [
    { bytesPerSecond: 1.25e6, forwardMs: 300, backMs: 300, messageBytes: 65_536 },
    120,
    0.85,
    3_500,
  ],
  '100 Mbit/s across an ocean': [
    { bytesPerSecond: 12.5e6, forwardMs: 75, backMs: 75, messageBytes: 65_536 },
    30,
    0.95,
    1_500,
  ],
  '1 Gbit/s at 40 ms': [{ bytesPerSecond: 125e6, forwardMs: 20, backMs: 20, messageBytes: 65_536 }, 10, 0.95, 1_500],
};

describe('Pacer', () => {
  for (const [name, [line, seconds, use, queueMs]] of Object.entries(LINES)) {
    it(`fills a line of ${name}, with a short queue`, () => {
      const outcome = simulate(line, seconds);
      assert.ok(outcome.use >= use, `${Math.round(outcome.use * 100)} % used`);
      assert.ok(outcome.queueMs <= queueMs, `${Math.round(outcome.queueMs)} ms in the queue`);
    });
  }

  it('keeps a good part of the line where answers wait 2 s in a queue of the other direction', () => {
    const line = { bytesPerSecond: 12.5e6, forwardMs: 10, backMs: 10, backLaterMs: 2_000, messageBytes: 65_536 };
    for (const bytesPerSecond of [125e3, 1.25e6, 12.5e6]) {
      const { use } = simulate({ ...line, bytesPerSecond }, 120);
      assert.ok(use >= 0.4, `${bytesPerSecond} B/s: ${Math.round(use * 100)} % used`);
    }
  });

  it('knows nothing of the other clock: neither what it shows, nor that it wraps, nor that it is fast or slow', () => {
    const line = { bytesPerSecond: 125e3, forwardMs: 25, backMs: 25, messageBytes: 16_384 };
    for (const farMs of [0, 2 ** 31 - 5_000, 2 ** 32 - 20_000]) {
      const { use, queueMs } = simulate({ ...line, farMs }, 60);
      assert.ok(use >= 0.95 && queueMs <= 1_500, `${farMs}: ${use}, ${queueMs} ms`);
    }
    for (const drift of [1e-3, 1e-4, -1e-4, -1e-3]) {
      const { use, queueMs } = simulate({ ...line, drift }, 3_600);
      assert.ok(use >= 0.9 && queueMs <= 2_500, `${drift}: ${use}, ${queueMs} ms`);
    }
  });

  it('seldom asks where the line is quick, and expects nothing of a slow one by little talk', () => {
    const talk = (bytesPerSecond: number, rttMs: number, everyMs: number, bytes: number, seconds: number) => {
      const pacer = new Pacer();
      let marks = 0;
      let answerMs: number | undefined;
      let sentMs = 0;
      for (let nowMs = 0; nowMs < seconds * 1_000; nowMs += everyMs) {
        if (answerMs !== undefined && nowMs >= answerMs) {
          pacer.onArrived(answerMs, Math.trunc(sentMs + rttMs / 2));
          answerMs = undefined;
        }
        pacer.onSent(bytes);
        if (!pacer.isMarkDue) continue;
        marks++;
        sentMs = nowMs;
        pacer.onMark(nowMs);
        answerMs = nowMs + rttMs + (bytes / bytesPerSecond) * 1_000;
      }
      return { marksPerSecond: marks / seconds, windowBytes: pacer.windowBytes };
    };
    const quick = talk(1e9, 0.3, 0.2, 300, 10); // 5,000 small messages a second
    assert.ok(quick.marksPerSecond <= 15, `${quick.marksPerSecond} PINGs a second`);
    const slow = talk(8e3, 80, 100, 100, 600); // an eighth of what the line can
    assert.ok(slow.windowBytes <= 32 * 1024, `${slow.windowBytes} bytes`);
  });

  it('lets no more than its least window out when nothing is confirmed, whatever the other end claims', () => {
    const pacer = new Pacer();
    pacer.onMark(0);
    for (const claim of [0, 2 ** 31, 2 ** 32 - 1, 5]) {
      while (!pacer.isFull) pacer.onSent(1_000);
      pacer.onArrived(100, claim);
      assert.ok(pacer.windowBytes >= 8 * 1024 && pacer.windowBytes <= 16 * 1024 * 1024);
      pacer.onMark(200);
    }
    const sent = pacer.windowBytes;
    while (!pacer.isFull) pacer.onSent(1_000);
    assert.equal(pacer.isFull, true);
    assert.equal(pacer.windowBytes, sent);
  });
});
