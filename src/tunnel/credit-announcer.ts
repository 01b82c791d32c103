/** `CreditAnnouncer`: the circuits of a link that have credit to tell the other end of, at once or a moment later. */

import type { Clock, Timer } from '../core/clock.ts';
import type { Circuit } from './circuit.ts';

export interface CreditAnnouncerOptions {
  readonly clock: Clock;
  /** Credit below which a full record cannot be sent, in bytes. */
  readonly fullRecordBytes: number;
  readonly delayMs: number;
  readonly rttMs: () => number;
  /** There is something to announce. */
  readonly onDue: () => void;
}

export class CreditAnnouncer {
  readonly #options: CreditAnnouncerOptions;
  #due: Circuit[] = [];
  /**
   * Too little for a CREDIT each time, and yet the other end may wait for it: a record that is sent again, or that a relay
   * passes on, cannot be made smaller, and nearly fills the window a circuit begins with.
   */
  readonly #later = new Set<Circuit>();
  #timer: Timer | undefined;

  constructor(options: CreditAnnouncerOptions) {
    this.#options = options;
  }

  get isDue(): boolean {
    return this.#due.length > 0;
  }

  /** Nothing is to be announced, now or in a moment. */
  get isIdle(): boolean {
    return this.#due.length === 0 && this.#timer === undefined;
  }

  /** Something that came on `circuit` was dealt with. */
  noteConsumed(circuit: Circuit): void {
    if (circuit.creditDue || circuit.isClosed) return;
    const { clock, fullRecordBytes, delayMs, rttMs } = this.#options;
    const { window } = circuit;
    if (window.isGrantDue(clock.monotonicMs(), rttMs())) {
      this.add(circuit);
      this.#options.onDue();
    } else if (window.left < fullRecordBytes) {
      this.#later.add(circuit);
      this.#timer ??= clock.setTimer(delayMs, () => this.#fire());
    }
  }

  /** Announces the window of `circuit` in any case. */
  add(circuit: Circuit): void {
    circuit.creditDue = true;
    this.#due.push(circuit);
  }

  /** The next one whose credit is to be announced; it is not due any more. */
  shift(): Circuit | undefined {
    const circuit = this.#due.shift();
    if (circuit !== undefined) circuit.creditDue = false;
    return circuit;
  }

  /** The link is over. */
  cancel(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#due = [];
    this.#later.clear();
  }

  #fire(): void {
    this.#timer = undefined;
    for (const circuit of this.#later) if (!circuit.creditDue && circuit.window.gain > 0) this.add(circuit);
    this.#later.clear();
    if (this.isDue) this.#options.onDue();
  }
}
