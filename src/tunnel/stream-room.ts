/**
 * Room for streams of the peer: what it is granted, and when the room of a stream that is over comes back. At once, but for streams that the peer
 * took back before they were answered: those cost here and not there (CVE-2023-44487), so that beyond a rate the next has to wait.
 */

import type { Clock, Timer } from '../core/clock.ts';
import type { TokenBucket } from '../core/token-bucket.ts';
import type { ControlSlots } from './control-slots.ts';
import type { StreamCount } from './stream-count.ts';

export interface StreamRoomOptions {
  /** How many the peer may take back; sessions of one identity may share it. */
  readonly resets: TokenBucket;
  readonly clock: Pick<Clock, 'monotonicMs' | 'setTimer'>;
  /** There is something to tell the peer. */
  onWork(): void;
}

/** What comes back within so long comes back together, in one frame. */
const TOGETHER_MS = 50;

export class StreamRoom {
  readonly #count: StreamCount;
  readonly #slots: ControlSlots;
  readonly #options: StreamRoomOptions;
  /** When the room of each stream that waits comes back, in monotonic milliseconds, in order; no more than streams are granted. */
  #dueMs: number[] = [];
  #timer: Timer | undefined;

  constructor(count: StreamCount, slots: ControlSlots, options: StreamRoomOptions) {
    this.#count = count;
    this.#slots = slots;
    this.#options = options;
  }

  /** A stream of the peer is over. `isTakenBack`: the peer has reset it, and there was no answer to it. */
  giveBack(isTakenBack = false): void {
    const { clock, resets } = this.#options;
    if (isTakenBack) {
      const nowMs = clock.monotonicMs();
      const waitMs = resets.spend(nowMs);
      if (waitMs > 0) {
        this.#dueMs.push(nowMs + waitMs);
        return this.#wait(waitMs);
      }
    }
    this.#count.finish();
    this.offer();
  }

  /** Tells the peer what is worth a frame; to be called when a stream has begun as well (`StreamCount.dueLimit`). */
  offer(): void {
    this.#slots.maxStreams = this.#count.dueLimit;
    if (this.#slots.maxStreams > 0) this.#options.onWork();
  }

  close(): void {
    this.#timer?.cancel();
    this.#dueMs = [];
  }

  #wait(waitMs: number): void {
    this.#timer ??= this.#options.clock.setTimer(Math.max(TOGETHER_MS, waitMs), () => this.#giveBackDue());
  }

  #giveBackDue(): void {
    this.#timer = undefined;
    const { clock } = this.#options;
    const nowMs = clock.monotonicMs();
    const later = this.#dueMs.findIndex((dueMs) => dueMs > nowMs);
    const due = this.#dueMs.splice(0, later < 0 ? this.#dueMs.length : later);
    for (const _ of due) this.#count.finish();
    const [next] = this.#dueMs;
    if (next !== undefined) this.#wait(next - nowMs);
    this.offer();
  }
}
