/** A stranger on an accepted WebSocket: it is read up to a limit and no further, and nobody waits long for it to take leave. */

import type { Duplex } from 'node:stream';
import { clearTimeout, setTimeout } from 'node:timers';

/** Time for the close message to arrive and to be answered, in milliseconds. */
const LEAVE_MS = 500;

export class Stranger {
  readonly #carrier: Duplex | undefined;
  readonly #maxBytes: number;
  readonly #drop: () => void;
  /** What came, framing and all; and the part of it that was whole messages, for a carrier that does not tell (Bun). */
  #bytes = 0;
  #messageBytes = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param carrier what the WebSocket came on: bytes are counted there, because a message that never ends is never told of
   * @param drop ends the connection without a word
   */
  constructor(carrier: Duplex | undefined, maxBytes: number, drop: () => void) {
    this.#carrier = carrier;
    this.#maxBytes = maxBytes;
    this.#drop = drop;
    // Before ws reads it: what goes beyond is not even looked at.
    carrier?.prependListener('data', this.#onData);
  }

  /** It has proven who it is, or is gone. */
  trust(): void {
    clearTimeout(this.#timer);
    this.#carrier?.off('data', this.#onData);
  }

  /** @returns whether it is still heard */
  onMessage({ length }: Uint8Array): boolean {
    this.#messageBytes += length;
    if (this.#messageBytes > this.#maxBytes) this.#drop();
    return Math.max(this.#bytes, this.#messageBytes) <= this.#maxBytes;
  }

  /** It was told to go. */
  dismiss(): void {
    this.#timer ??= setTimeout(this.#drop, LEAVE_MS).unref();
  }

  readonly #onData = (chunk: Uint8Array): void => {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#maxBytes) this.#drop();
  };
}
