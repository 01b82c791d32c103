/**
 * Turns: streams of an identity that is being refused are begun a few at a time, and what others ask comes in between. Those that are over
 * before it is their turn, as all of a session that has broken the protocol are, are not even looked at.
 */

import type { Bytes } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';
import type { IncomingStream } from '../tunnel/stream.ts';

export interface StreamTurnsOptions {
  readonly clock: Clock;
  /** Was one of `caller` refused of late? All others are begun as they come. */
  readonly isRefused: (caller: SpiffeId) => boolean;
  /** `meta` is that of its OPEN. */
  readonly begin: (stream: IncomingStream, meta: Bytes, caller: SpiffeId) => void;
}

interface Waiting {
  readonly stream: IncomingStream;
  readonly meta: Bytes;
  readonly caller: SpiffeId;
}

/** Of one identity, in a turn of the event loop. */
const MAX_IN_A_TURN = 32;

export class StreamTurns {
  readonly #options: StreamTurnsOptions;
  /** By SPIFFE id: how many were begun in this turn; and those that wait, no more than an identity may have open. */
  readonly #begun = new Map<string, number>();
  readonly #waiting = new Map<string, Waiting[]>();
  #isScheduled = false;

  constructor(options: StreamTurnsOptions) {
    this.#options = options;
  }

  /** Begins `stream`, now or when it is its turn. */
  take(stream: IncomingStream, caller: SpiffeId): void {
    const { isRefused, begin } = this.#options;
    const waiting = this.#waiting.get(caller.uri);
    if (waiting === undefined) {
      if (!isRefused(caller)) return begin(stream, stream.meta, caller);
      const count = this.#begun.get(caller.uri) ?? 0;
      this.#schedule();
      if (count < MAX_IN_A_TURN) {
        this.#begun.set(caller.uri, count + 1);
        return begin(stream, stream.meta, caller);
      }
    }
    // What it says is a view of the record that it came in.
    const entry: Waiting = { stream, meta: stream.meta.slice(), caller };
    if (waiting === undefined) this.#waiting.set(caller.uri, [entry]);
    else waiting.push(entry);
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#options.clock.endOfTick(() => this.#goOn());
  }

  #goOn(): void {
    this.#isScheduled = false;
    this.#begun.clear();
    for (const [uri, waiting] of this.#waiting) {
      const live = waiting.filter(({ stream }) => !stream.isReset);
      const now = live.splice(0, MAX_IN_A_TURN);
      if (live.length === 0) this.#waiting.delete(uri);
      else this.#waiting.set(uri, live);
      for (const { stream, meta, caller } of now) this.#options.begin(stream, meta, caller);
    }
    if (this.#waiting.size > 0) this.#schedule();
  }
}
