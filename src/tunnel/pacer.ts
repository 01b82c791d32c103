/**
 * How much may be on its way on one link: enough to fill the line, and not what takes long to arrive. Kernels hide megabytes
 * behind a slow line; whatever is said late then looks dead (nats-server#7615). Each PONG tells when its PING arrived, so
 * that the delay of this direction alone is known, as in LEDBAT (RFC 6817), and what was sent before it has arrived. Pure.
 */

/** As much as TCP itself begins with, twice (RFC 6928); it doubles in each round trip in which it is used up. */
const FIRST_BYTES = 32 * 1024;
/** Messages that may be on their way on the slowest line: with less than two, it is empty while the PONG comes back. */
const LEAST_MESSAGES = 2;
const LEAST_BYTES = 8 * 1024;
/** Above this the windows of circuits are the limit. */
const MOST_BYTES = 64 * 1024 * 1024;
/** Time in a queue above which there is too much in it: a stream that is quick should not feel a bulky one for longer. */
const TARGET_MS = 500;
/** What clocks may drift apart without being taken for a queue, as a share of the time. */
const DRIFT = 1e-4;
/** Share of the window behind which it is asked again what has arrived. */
const MARKS_PER_WINDOW = 4;

interface Mark {
  readonly bytes: number;
  readonly sentMs: number;
}

export class Pacer {
  #windowBytes = FIRST_BYTES;
  #sentBytes = 0;
  #arrivedBytes = 0;
  /** The PING that is out, and the last one. */
  #mark: Mark | undefined;
  #markedBytes = 0;
  /** Largest message since the last PING. */
  #largestBytes = 0;
  #leastBytes = LEAST_BYTES;
  #wasFull = false;
  /** When the last PING was sent, and arrived by the clock of the other end. */
  #before: { readonly sentMs: number; readonly arrivedMs: number } | undefined;
  /** Difference of the clocks and the delay of the first PING, modulo 2^32: all delays are relative to it. */
  #offsetMs: number | undefined;
  /** Shortest delay so far, and since when. */
  #baseMs = 0;
  #baseAtMs = 0;
  #minRttMs = Number.POSITIVE_INFINITY;

  /** Bytes that may be on their way. */
  get windowBytes(): number {
    return this.#windowBytes;
  }

  get isFull(): boolean {
    return this.#sentBytes - this.#arrivedBytes >= this.#windowBytes;
  }

  /** A PING should be sent. */
  get isMarkDue(): boolean {
    return this.#mark === undefined && this.#sentBytes - this.#markedBytes >= this.#windowBytes / MARKS_PER_WINDOW;
  }

  onSent(bytes: number): void {
    this.#sentBytes += bytes;
    if (bytes > this.#largestBytes) this.#largestBytes = bytes;
    if (this.isFull) this.#wasFull = true;
  }

  /** A PING is sent. */
  onMark(nowMs: number): void {
    this.#mark = { bytes: this.#sentBytes, sentMs: nowMs };
    this.#markedBytes = this.#sentBytes;
    this.#leastBytes = Math.max(LEAST_BYTES, LEAST_MESSAGES * this.#largestBytes);
    this.#largestBytes = 0;
  }

  /** It arrived at `arrivedMs`, in milliseconds of the other end's clock, modulo 2^32; its PONG is here. */
  onArrived(nowMs: number, arrivedMs: number): void {
    const mark = this.#mark;
    if (mark === undefined) return;
    const rttMs = nowMs - mark.sentMs;
    const queueMs = this.#measureQueue(mark.sentMs, arrivedMs, nowMs, rttMs);
    // What fills the line and a queue of the right length; half of it may have arrived without our knowing.
    const provenBytes = this.#measureRate(mark, arrivedMs) * (rttMs - queueMs + this.#minRttMs + TARGET_MS);
    this.#mark = undefined;
    this.#arrivedBytes = mark.bytes;
    if (queueMs <= TARGET_MS) {
      const grownBytes = this.#wasFull ? this.#windowBytes * (2 - queueMs / TARGET_MS) : 0;
      this.#resize(Math.max(this.#windowBytes, grownBytes, provenBytes));
    } else if (this.#wasFull && provenBytes > 0) this.#resize(provenBytes);
    this.#wasFull = this.isFull;
  }

  /** What has arrived since the PING before, in bytes a millisecond: what the line can do at least. 0 when that is not known. */
  #measureRate(mark: Mark, arrivedMs: number): number {
    const before = this.#before;
    this.#before = { sentMs: mark.sentMs, arrivedMs };
    if (before === undefined) return 0;
    // Two that came soon after one another may both have waited.
    const tookMs = Math.max(1, (arrivedMs - before.arrivedMs) | 0, mark.sentMs - before.sentMs);
    return (mark.bytes - this.#arrivedBytes) / tookMs;
  }

  /** Time that the PING spent in queues of this direction, in milliseconds. */
  #measureQueue(sentMs: number, arrivedMs: number, nowMs: number, rttMs: number): number {
    const differenceMs = (arrivedMs - Math.trunc(sentMs)) | 0;
    this.#offsetMs ??= differenceMs;
    const delayMs = (differenceMs - this.#offsetMs) | 0;
    const baseMs = this.#baseMs + (nowMs - this.#baseAtMs) * DRIFT;
    if (delayMs <= baseMs) {
      this.#baseMs = delayMs;
      this.#baseAtMs = nowMs;
    }
    this.#minRttMs = Math.min(this.#minRttMs, rttMs);
    // What a clock that runs wild shows is not longer than what the round trip has grown by.
    return Math.max(0, Math.min(delayMs - baseMs, rttMs - this.#minRttMs));
  }

  #resize(bytes: number): void {
    this.#windowBytes = Math.round(Math.min(MOST_BYTES, Math.max(this.#leastBytes, bytes)));
  }
}
