/**
 * How much bulk a session lets be under way: what fills the path, and a short queue. The rest stays here, where what is small still
 * overtakes it; behind a kernel, a relay or a busy peer it would not. What the path holds is its rate times its round trip (BBR,
 * draft-ietf-ccwg-bbr), both measured on the ACKs of records, so that all hops between the two ends are in it. Pure.
 */

/** Less lets both ends wait for each other at every turn of their event loops, however short the path is. */
export const LEAST_FLIGHT_BYTES = 512 * 1024;
/** A round is measured only where the other end acknowledges at once, and does not wait for company. */
const MEASURABLE_BYTES = 128 * 1024;
/** Queue that is allowed on the shortest path, in milliseconds: event loops are no more punctual. */
const LEAST_QUEUE_MS = 1;
/** What an unsteady path is allowed, at most, as a multiple of its round trip: on a short one it is only the processes that are. */
const MOST_UNSTEADY = 4;
/** A rate is measured for so long at least, in milliseconds: what piles up in a shorter time arrives at any rate. */
const RATE_MS = 10;
/** It is the best of so many that were measured, and of as many before: one that was held up says nothing of the path. */
const RATES = 4;
/** Behind so many crowded rounds in a row it is not our queue that makes them long. */
const CROWDED_ROUNDS = 8;
/** The shortest round trip is believed so long, in milliseconds, and for so many of them; then less is sent for one round, to see it without a queue. */
const BASE_MEMORY_MS = 10_000;
const BASE_MEMORY_TRIPS = 100;
/** A round that is not longer than that counts as the shortest, again. */
const BASE_TOLERANCE = 1.1;
const LEAST_RTT_MS = 0.05;

interface Mark {
  readonly sequence: number;
  readonly sentMs: number;
  readonly flightBytes: number;
}

export class FlightWindow {
  readonly #mostBytes: number;
  #windowBytes = LEAST_FLIGHT_BYTES;
  #deliveredBytes = 0;
  /** The record whose ACK ends the round. */
  #mark: Mark | undefined;
  /** End of the last round. */
  #endMs = 0;
  /** Since when the rate is measured, what had arrived by then, and whether the window was used up since. */
  #fromMs: number | undefined;
  #fromBytes = 0;
  #wasFull = false;
  /** Shortest round trip, and when it was last seen. 0 before the first. */
  #baseMs = 0;
  #baseAtMs = 0;
  /** Last round trip, 0 where the next may not be compared with it; and by how much one differs from the one before. */
  #lastMs = 0;
  #unsteadyMs = 0;
  /** Best rate of those that count now, and of those before, in bytes a millisecond. */
  #rate = 0;
  #rateBefore = 0;
  #rates = 0;
  #crowded = 0;
  #isProbing = false;

  /** @param mostBytes where the session's own window ends */
  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /** Bytes that may be under way while bulk is added to them. */
  get bytes(): number {
    return this.#isProbing ? MEASURABLE_BYTES : this.#windowBytes;
  }

  /** Another path: nothing is known of it. */
  restart(): void {
    this.#windowBytes = LEAST_FLIGHT_BYTES;
    this.#mark = undefined;
    this.#forgetRate();
    this.#baseMs = 0;
    this.#lastMs = 0;
    this.#unsteadyMs = 0;
    this.#crowded = 0;
    this.#isProbing = false;
  }

  /** The record `sequence` is sent, which the peer acknowledges; with it `flightBytes` are under way. */
  onSent(sequence: number, flightBytes: number, nowMs: number): void {
    if (flightBytes >= this.bytes) this.#wasFull = true;
    if (this.#mark !== undefined || flightBytes < MEASURABLE_BYTES) return;
    this.#mark = { sequence, sentMs: nowMs, flightBytes };
    if (this.#fromMs !== undefined && nowMs - this.#endMs < RATE_MS) return;
    this.#fromMs = nowMs;
    this.#fromBytes = this.#deliveredBytes;
    this.#wasFull = flightBytes >= this.bytes;
  }

  /** All before `next` have arrived, `bytes` of them just now. */
  onAcknowledged(next: number, bytes: number, nowMs: number): void {
    this.#deliveredBytes += bytes;
    const mark = this.#mark;
    if (mark === undefined || next <= mark.sequence) return;
    this.#mark = undefined;
    const rttMs = Math.max(LEAST_RTT_MS, nowMs - mark.sentMs);
    this.#endMs = nowMs;
    this.#noteRtt(rttMs, mark.flightBytes, nowMs);
    this.#noteRate(nowMs - (this.#fromMs ?? nowMs));
    const bytesThen = Math.max(this.#rate, this.#rateBefore) * (this.#baseMs + this.#queueMs);
    this.#windowBytes = Math.round(Math.min(this.#mostBytes, Math.max(LEAST_FLIGHT_BYTES, bytesThen)));
  }

  /** The queue that is allowed: as long as the path, so that a faster rate shows; on an unsteady one as long as that needs. */
  get #queueMs(): number {
    return Math.max(LEAST_QUEUE_MS, this.#baseMs, Math.min(MOST_UNSTEADY * this.#baseMs, 3 * this.#unsteadyMs));
  }

  #noteRate(tookMs: number): void {
    if (tookMs < RATE_MS) return;
    const rate = (this.#deliveredBytes - this.#fromBytes) / tookMs;
    this.#fromMs = undefined;
    if (rate > this.#rate) this.#rate = rate;
    // Who had less to send shows nothing of what the path can; where a queue stands, this is all it can.
    if (!this.#wasFull || (++this.#rates < RATES && this.#crowded < 2)) return;
    this.#rateBefore = this.#rate;
    this.#rate = rate;
    this.#rates = 0;
  }

  #forgetRate(): void {
    this.#fromMs = undefined;
    this.#rate = 0;
    this.#rateBefore = 0;
    this.#rates = 0;
  }

  #noteRtt(rttMs: number, flightBytes: number, nowMs: number): void {
    const isSmall = this.#isProbing && flightBytes < 2 * MEASURABLE_BYTES;
    if (this.#lastMs > 0) this.#unsteadyMs += (Math.abs(rttMs - this.#lastMs) - this.#unsteadyMs) / 4;
    this.#lastMs = this.#isProbing ? 0 : rttMs;
    if (this.#baseMs === 0 || isSmall || rttMs < this.#baseMs) {
      if (rttMs > 2 * this.#baseMs) this.#forgetRate(); // the path has changed
      this.#baseMs = rttMs;
      this.#isProbing = false;
    }
    if (rttMs <= this.#baseMs * BASE_TOLERANCE) this.#baseAtMs = nowMs;
    this.#crowded = rttMs > this.#baseMs + 2 * this.#queueMs ? this.#crowded + 1 : 0;
    const memoryMs = Math.max(BASE_MEMORY_MS, BASE_MEMORY_TRIPS * this.#baseMs);
    if (nowMs - this.#baseAtMs < memoryMs && this.#crowded < CROWDED_ROUNDS) return;
    this.#crowded = 0;
    this.#lastMs = 0;
    this.#isProbing = true;
    this.#baseAtMs = nowMs;
  }
}
