/** When an ACK goes out on its own: after so many bytes, or a moment after a record that the peer waits for (docs/protocol.md §4). */

import type { Clock, Timer } from '../core/clock.ts';
import type { TunnelOptions } from './options.ts';

export interface AckScheduleOptions {
  readonly clock: Clock;
  readonly limits: Pick<TunnelOptions, 'ackEveryBytes' | 'ackDelayMs'>;
  /** There is something to write: an ACK is due now. */
  onWork(): void;
}

export class AckSchedule {
  readonly #options: AckScheduleOptions;
  /** What the last ACK said. */
  #saidNext = 0;
  #unsaidBytes = 0;
  #isDue = false;
  /** When an ACK goes out on its own, in monotonic milliseconds; undefined: the peer waits for none. */
  #dueMs: number | undefined;
  /** Comes when an ACK is due, or before: most records are acknowledged by others long before, and each would cost a timer of its own. */
  #timer: Timer | undefined;

  constructor(options: AckScheduleOptions) {
    this.#options = options;
  }

  /** Whether a record should be written for the ACK alone. */
  get isDue(): boolean {
    return this.#isDue;
  }

  /** A record of `bytes` was opened. */
  noteReceived(bytes: number, elicitsAck: boolean): void {
    const { clock, limits } = this.#options;
    this.#unsaidBytes += bytes;
    if (this.#unsaidBytes >= limits.ackEveryBytes) this.#become();
    else if (elicitsAck && this.#dueMs === undefined) {
      this.#dueMs = clock.monotonicMs() + limits.ackDelayMs;
      this.#timer ??= clock.setTimer(limits.ackDelayMs, this.#fire);
    }
  }

  /** The peer waits for an ACK of what comes just now. */
  hurry(): void {
    this.#become();
  }

  /** The next record begins with an ACK if this says so. */
  hasNews(next: number): boolean {
    return next !== this.#saidNext;
  }

  noteSent(next: number): void {
    this.#saidNext = next;
    this.#unsaidBytes = 0;
    this.#isDue = false;
    this.#dueMs = undefined;
  }

  /** The session is over. */
  cancel(): void {
    this.#dueMs = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  readonly #fire = (): void => {
    this.#timer = undefined;
    if (this.#dueMs === undefined) return;
    const { clock } = this.#options;
    const leftMs = this.#dueMs - clock.monotonicMs();
    if (leftMs > 0) this.#timer = clock.setTimer(leftMs, this.#fire);
    else this.#become();
  };

  #become(): void {
    this.#isDue = true;
    this.#dueMs = undefined;
    this.#options.onWork();
  }
}
