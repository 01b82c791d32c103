/** `Heartbeat`: what is taken for death, what for silence, and what for neither; time is a number here. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Heartbeat, type HeartbeatVerdict } from '../../../src/tunnel/heartbeat.ts';
import { TUNNEL_DEFAULTS } from '../../../src/tunnel/options.ts';

/** Calls `check` when it is due, as a link does, and notes what it says. */
class Watched {
  readonly heartbeat: Heartbeat;
  readonly verdicts: { readonly atMs: number; readonly verdict: HeartbeatVerdict }[] = [];
  readonly #answerAfterMs: number | undefined;
  readonly #pongs: { readonly atMs: number; readonly number: number }[] = [];
  outstandingBytes = 0;
  isIdle = false;
  nowMs = 0;

  /** `answerAfterMs`: the round trip; undefined is a black hole. */
  constructor(answerAfterMs?: number) {
    this.heartbeat = new Heartbeat(TUNNEL_DEFAULTS, 0);
    this.#answerAfterMs = answerAfterMs;
  }

  runTo(untilMs: number): void {
    for (;;) {
      const pong = this.#pongs[0];
      const dueMs = Math.min(this.heartbeat.dueMs, pong?.atMs ?? Number.POSITIVE_INFINITY);
      if (dueMs > untilMs) break;
      this.nowMs = Math.max(this.nowMs, dueMs);
      if (pong !== undefined && pong.atMs <= this.nowMs) {
        this.#pongs.shift();
        this.heartbeat.onReceived(this.nowMs);
        this.heartbeat.onPong(this.nowMs, pong.number);
      } else this.#check();
    }
    this.nowMs = untilMs;
  }

  /** This process does nothing for `ms`. */
  standStill(ms: number): void {
    this.nowMs += ms;
  }

  first(verdict: HeartbeatVerdict): number | undefined {
    return this.verdicts.find((noted) => noted.verdict === verdict)?.atMs;
  }

  #check(): void {
    const verdict = this.heartbeat.check(this.nowMs, this.outstandingBytes, this.isIdle);
    if (verdict !== 'alive') this.verdicts.push({ atMs: this.nowMs, verdict });
    if (verdict !== 'ping') return;
    const number = this.heartbeat.onPing(this.nowMs);
    if (this.#answerAfterMs !== undefined) this.#pongs.push({ atMs: this.nowMs + this.#answerAfterMs, number });
  }
}

describe('Heartbeat finds a death', () => {
  it('within 15 s where nothing was said', () => {
    const watched = new Watched();
    watched.runTo(30_000);
    assert.equal(watched.first('ping'), 6_000);
    const deadMs = watched.first('dead') ?? Number.POSITIVE_INFINITY;
    assert.ok(deadMs <= 15_000, `dead after ${deadMs} ms`);
    assert.ok(deadMs >= 14_000, `a pause of 14 s is forgiven, and not one of ${deadMs} ms`);
  });

  it('of an idle link within 30 s, and has waited for an answer as long as on any other', () => {
    const watched = new Watched();
    watched.isIdle = true;
    // The first look is early, because nobody knows yet what the link is for.
    watched.heartbeat.onReceived(5_000);
    watched.runTo(60_000);
    assert.equal(watched.first('ping'), 23_000);
    const silentMs = watched.first('silent') ?? Number.POSITIVE_INFINITY;
    assert.ok(silentMs - 23_000 <= 3_500, `silent ${silentMs - 23_000} ms behind PING`);
    const deadMs = (watched.first('dead') ?? Number.POSITIVE_INFINITY) - 5_000;
    assert.ok(deadMs <= 30_000, `dead after ${deadMs} ms`);
    assert.ok(deadMs - 18_000 >= 7_500, `a pause of 7.5 s is forgiven, and not one of ${deadMs - 18_000} ms`);
  });

  for (const rttMs of [1, 50, 250]) {
    it(`that leaves a record unanswered: silent within 3 s at a round trip of ${rttMs} ms, for another link beside this one`, () => {
      const watched = new Watched(rttMs);
      watched.runTo(10_000); // one PING has measured the round trip
      const { heartbeat } = watched;
      heartbeat.onReceived(10_000);
      const dead = new Watched();
      Object.assign(dead, { heartbeat, nowMs: 10_000 });
      heartbeat.onAsked(10_001);
      dead.runTo(40_000);
      const silentMs = (dead.first('silent') ?? Number.POSITIVE_INFINITY) - 10_001;
      assert.ok(silentMs <= 3_000, `silent after ${silentMs} ms`);
      const deadMs = (dead.first('dead') ?? Number.POSITIVE_INFINITY) - 10_000;
      assert.ok(deadMs >= 14_000 && deadMs <= 15_000, `dead after ${deadMs} ms`);
      assert.equal(dead.verdicts.filter(({ verdict }) => verdict === 'silent').length, 1, 'told once');
    });
  }

  it('in any case after 20 s, however long the round trip was', () => {
    const watched = new Watched(15_000);
    watched.runTo(25_000);
    assert.equal(watched.heartbeat.rttMs, 15_000);
    const heard = watched.nowMs;
    watched.heartbeat.onReceived(heard);
    const dead = new Watched();
    Object.assign(dead, { heartbeat: watched.heartbeat, nowMs: heard });
    dead.runTo(100_000);
    const deadMs = (dead.first('dead') ?? Number.POSITIVE_INFINITY) - heard;
    assert.ok(deadMs >= 20_000 && deadMs <= 20_250, `dead after ${deadMs} ms`);
  });
});

describe('Heartbeat takes for no death', () => {
  it('silence in which PINGs are answered, on a slow path as on a quick one', () => {
    for (const rttMs of [0.1, 300, 2_000]) {
      const watched = new Watched(rttMs);
      watched.runTo(600_000);
      assert.ok(Math.abs(watched.heartbeat.rttMs - rttMs) < 1e-6);
      assert.deepEqual([...new Set(watched.verdicts.map(({ verdict }) => verdict))], ['ping'], `${rttMs} ms`);
    }
  });

  it('a pause of its own, at whatever moment it comes', () => {
    for (const pauseMs of [1_000, 5_000, 15_000, 60_000]) {
      for (let atMs = 0; atMs <= 20_000; atMs += 37) {
        const watched = new Watched(20);
        watched.heartbeat.onAsked(0);
        watched.runTo(atMs);
        watched.heartbeat.onAsked(watched.nowMs);
        watched.standStill(pauseMs);
        // Timers run before what has come in the meantime is read.
        watched.heartbeat.check(watched.nowMs, 0, watched.isIdle);
        watched.runTo(watched.nowMs + 60_000);
        const wrong = watched.verdicts.filter(({ verdict }) => verdict !== 'ping');
        assert.deepEqual(wrong, [], `a pause of ${pauseMs} ms at ${atMs} ms`);
      }
    }
  });

  it('congestion: bytes that come count, although a PING waits in the network for minutes (nats-server#7615)', () => {
    const watched = new Watched();
    watched.outstandingBytes = 64 * 1024;
    // 64 kbit/s, and 2 MB before the PING: an acknowledgement every 8 s, no room in the socket for half a minute at a time.
    for (let atMs = 8_000; atMs <= 256_000; atMs += 8_000) {
      watched.heartbeat.onAsked(atMs - 7_999);
      watched.runTo(atMs);
      watched.heartbeat.onReceived(atMs);
      if (atMs % 32_000 === 0) watched.heartbeat.onSent(atMs, false);
    }
    const told = watched.verdicts.map(({ verdict }) => verdict);
    assert.ok(!told.includes('dead') && !told.includes('stalled'), `${told}`);
    assert.ok(told.filter((verdict) => verdict === 'silent').length <= 1, 'it learns how long answers take');
  });

  it('a socket that takes nothing, before 20 s', () => {
    const watched = new Watched();
    watched.outstandingBytes = 64 * 1024;
    watched.runTo(60_000);
    const stalledMs = watched.first('stalled') ?? Number.POSITIVE_INFINITY;
    assert.ok(stalledMs >= 20_000 && stalledMs <= 20_250, `stalled after ${stalledMs} ms`);
    assert.equal(
      watched.verdicts.findIndex(({ verdict }) => verdict === 'dead' || verdict === 'stalled'),
      2,
    );
  });
});

describe('Heartbeat asks', () => {
  it('seldom where a link is idle, and as often as ever once it is not', () => {
    const watched = new Watched(20);
    watched.isIdle = true;
    watched.heartbeat.onReceived(5_000);
    watched.runTo(96_000);
    assert.equal(watched.verdicts.length, 5, '23, 41, 59, 77 and 95 s');
    watched.isIdle = false;
    const { nowMs } = watched;
    watched.heartbeat.onBusy(nowMs);
    watched.runTo(nowMs + 60_000);
    assert.ok(watched.verdicts.length >= 5 + 8, `${watched.verdicts.length}`);
  });

  it('once in a silence, and again in the next', () => {
    const watched = new Watched(20);
    for (let atMs = 0; atMs < 60_000; atMs += 10_000) {
      watched.heartbeat.onAsked(atMs);
      watched.runTo(atMs + 5_000);
      watched.heartbeat.onReceived(atMs + 5_000);
      watched.runTo(atMs + 10_000);
    }
    assert.equal(watched.first('ping'), 1_000);
    assert.equal(watched.verdicts.length, 6);
  });

  it('nothing while answers come', () => {
    const watched = new Watched(20);
    for (let atMs = 0; atMs < 60_000; atMs += 500) {
      watched.heartbeat.onAsked(atMs);
      watched.runTo(atMs + 400);
      watched.heartbeat.onReceived(atMs + 400);
    }
    assert.deepEqual(watched.verdicts, []);
  });

  it('for the round trip with each PING alone: an answer to an earlier one tells nothing', () => {
    const heartbeat = new Heartbeat(TUNNEL_DEFAULTS, 0);
    const first = heartbeat.onPing(0);
    heartbeat.onPong(30, first + 1);
    assert.equal(heartbeat.rttMs, 0);
    heartbeat.onPong(40, first);
    assert.equal(heartbeat.rttMs, 40);
  });
});
