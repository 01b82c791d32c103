/** CONNECT on a server connection: the decision over it, and the raw stream that the connection becomes. */

import type { ByteSink, ByteStream } from '../core/byte-stream.ts';
import type { Bytes } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import type { SkeinError } from '../core/errors.ts';
import type { RequestHead } from './head.ts';

/** A CONNECT that waits for its answer. Only the first call counts. */
export interface ConnectRequest {
  readonly head: RequestHead;
  /** Answers 200; from here on the connection is this stream of raw bytes, those that came early included. */
  accept(): ByteStream;
  /** Answers with the error and closes. */
  refuse(error: SkeinError): void;
}

/** The connection's raw bytes: what was held while the CONNECT waited comes first. */
export class H1Tunnel implements ByteStream, ByteSink {
  readonly #stream: ByteStream;
  readonly #clock: Clock;
  readonly #onClose: () => void;
  readonly #held: Bytes[];
  #sink: ByteSink | undefined;
  #ended = false;
  /** The end that came while chunks were held. */
  #endHeld: boolean;
  #peerEnded: boolean;

  constructor(stream: ByteStream, held: readonly Bytes[], peerEnded: boolean, clock: Clock, onClose: () => void) {
    this.#stream = stream;
    this.#held = [...held];
    this.#endHeld = peerEnded;
    this.#peerEnded = peerEnded;
    this.#clock = clock;
    this.#onClose = onClose;
  }

  attach(sink: ByteSink): void {
    this.#sink = sink;
    if (this.#held.length > 0 || this.#endHeld) this.#clock.endOfTick(() => this.#release());
  }

  write(chunk: Bytes): boolean {
    return this.#stream.write(chunk);
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stream.end();
    if (this.#peerEnded) this.#onClose();
  }

  reset(error: SkeinError): void {
    this.#sink = undefined;
    this.#held.length = 0;
    this.#stream.reset(error);
    this.#onClose();
  }

  consumed(bytes: number): void {
    this.#stream.consumed(bytes);
  }

  onData(chunk: Bytes): void {
    if (this.#sink === undefined || this.#held.length > 0) this.#held.push(chunk);
    else this.#sink.onData(chunk);
  }

  onEnd(): void {
    this.#peerEnded = true;
    if (this.#sink === undefined || this.#held.length > 0) {
      this.#endHeld = true;
      return;
    }
    this.#sink.onEnd();
    if (this.#ended) this.#onClose();
  }

  onDrain(): void {
    this.#sink?.onDrain();
  }

  onReset(error: SkeinError): void {
    const sink = this.#sink;
    this.#sink = undefined;
    this.#held.length = 0;
    sink?.onReset(error);
  }

  #release(): void {
    for (const chunk of this.#held.splice(0)) this.#sink?.onData(chunk);
    if (!this.#endHeld) return;
    this.#endHeld = false;
    this.#sink?.onEnd();
    if (this.#ended) this.#onClose();
  }
}
