/** A byte stream whose end is told to a third: when both directions have ended, or either side was reset. */

import type { ByteSink, ByteStream } from './byte-stream.ts';
import type { Bytes } from './bytes.ts';
import type { SkeinError } from './errors.ts';

export class WatchedStream implements ByteStream, ByteSink {
  readonly #stream: ByteStream;
  readonly #onClose: (error: SkeinError | undefined) => void;
  #sink: ByteSink | undefined;
  #openDirections = 2;
  #ended = false;
  #isClosed = false;
  /** A failure that came before there was a sink to tell. */
  #failedBy: SkeinError | undefined;

  /** @param onClose called once; without an error both directions ended well */
  constructor(stream: ByteStream, onClose: (error: SkeinError | undefined) => void) {
    this.#stream = stream;
    this.#onClose = onClose;
  }

  attach(sink: ByteSink): void {
    const isFirst = this.#sink === undefined;
    this.#sink = sink;
    if (this.#failedBy !== undefined) sink.onReset(this.#failedBy);
    else if (isFirst) this.#stream.attach(this);
  }

  /** Ends both directions, as if the stream had failed: the far end and the sink are told. */
  fail(error: SkeinError): void {
    if (this.#isClosed) return;
    this.#stream.reset(error);
    this.#failedBy = error;
    this.onReset(error);
  }

  write(chunk: Bytes): boolean {
    return this.#stream.write(chunk);
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stream.end();
    this.#endDirection();
  }

  reset(error: SkeinError): void {
    this.#stream.reset(error);
    this.#close(error);
  }

  consumed(bytes: number): void {
    this.#stream.consumed(bytes);
  }

  onData(chunk: Bytes): void {
    this.#sink?.onData(chunk);
  }

  onEnd(): void {
    this.#endDirection();
    this.#sink?.onEnd();
  }

  onDrain(): void {
    this.#sink?.onDrain();
  }

  onReset(error: SkeinError): void {
    this.#close(error);
    this.#sink?.onReset(error);
  }

  #endDirection(): void {
    if (--this.#openDirections === 0) this.#close(undefined);
  }

  #close(error: SkeinError | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#onClose(error);
  }
}
