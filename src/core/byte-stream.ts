/**
 * `ByteStream`: two directions of bytes with credit, the one shape of a TCP socket, of a mux stream and of a test pipe.
 * It is event-style because the data plane may not pay a promise per chunk; WHATWG adapters live with the callers
 * that face applications.
 */

import type { Bytes } from './bytes.ts';
import type { SkeinError } from './errors.ts';

/** What the reader of a stream is told. Calls never overlap; nothing follows `onReset`. */
export interface ByteSink {
  /**
   * A chunk, owned by the receiver from now on but never to be written to. Its bytes count against the stream's
   * window until `consumed()` returns them.
   */
  onData(chunk: Bytes): void;
  /** The peer has half-closed; its bytes all arrived. Writing goes on. */
  onEnd(): void;
  /** `write` returned false earlier and there is room again. */
  onDrain(): void;
  /** Both directions are over: the peer's reset, a lost carrier, or a local failure. Not called for our own `reset`. */
  onReset(error: SkeinError): void;
}

/** Two directions of bytes with back-pressure: a TCP connection, or a stream of the mesh. */
export interface ByteStream {
  /** Sets who is told of what arrives. Nothing is delivered before; a later call hands the stream over. */
  attach(sink: ByteSink): void;
  /**
   * Takes ownership of `chunk`. False: accepted, but stop until `onDrain`, which comes whatever is written meanwhile. Ignored
   * after `end` or `reset`.
   */
  write(chunk: Bytes): boolean;
  /** Half-closes after everything written so far. */
  end(): void;
  /** Ends both directions at once; unsent bytes are dropped. Idempotent. */
  reset(error: SkeinError): void;
  /** Returns credit for `bytes` that `onData` delivered and the application has taken. */
  consumed(bytes: number): void;
}

/** A stream that also carries whole metadata blocks in order with its bytes: a mux stream with its HEADERS frames. */
export interface HeadedSink extends ByteSink {
  /** `flags` are those of the HEADERS frame (`HEAD_TRAILERS`, `HEAD_INFORMATIONAL`). The block is a view to be read now. */
  onHead(block: Bytes, flags: number): void;
}

export const HEAD_TRAILERS = 2;
export const HEAD_INFORMATIONAL = 4;

export interface HeadedStream extends Omit<ByteStream, 'attach'> {
  attach(sink: HeadedSink): void;
  /** Copies `block[0..length)` into the stream's queue; the caller may reuse its buffer. */
  sendHead(block: Bytes, length: number, flags: number): void;
}

/**
 * Joins two streams in both directions with back-pressure and half-close; a reset of one resets the other.
 * `onClose` is called once, when both directions have ended or one side was reset.
 */
export function pipe(a: ByteStream, b: ByteStream, onClose?: (error?: SkeinError) => void): void {
  let open = 2;
  let closed = false;
  const close = (error?: SkeinError): void => {
    if (closed) return;
    closed = true;
    onClose?.(error);
  };
  const direction = (from: ByteStream, to: ByteStream, back: () => Direction): Direction =>
    new Direction(from, to, back, ended, failed);
  const ended = (): void => {
    if (--open === 0) close();
  };
  const failed = (error: SkeinError): void => close(error);
  const ab: Direction = direction(a, b, () => ba);
  const ba: Direction = direction(b, a, () => ab);
  a.attach(ab);
  b.attach(ba);
}

/** One half of `pipe`: it reads `from` and writes `to`; the drain of `from` belongs to the opposite half. */
class Direction implements ByteSink {
  readonly #from: ByteStream;
  readonly #to: ByteStream;
  readonly #opposite: () => Direction;
  readonly #ended: () => void;
  readonly #failed: (error: SkeinError) => void;
  #owed = 0;

  constructor(
    from: ByteStream,
    to: ByteStream,
    opposite: () => Direction,
    ended: () => void,
    failed: (error: SkeinError) => void,
  ) {
    this.#from = from;
    this.#to = to;
    this.#opposite = opposite;
    this.#ended = ended;
    this.#failed = failed;
  }

  onData(chunk: Bytes): void {
    const length = chunk.length;
    if (this.#to.write(chunk) && this.#owed === 0) this.#from.consumed(length);
    else this.#owed += length;
  }

  onEnd(): void {
    this.#to.end();
    this.#ended();
  }

  onDrain(): void {
    this.#opposite().release();
  }

  release(): void {
    const owed = this.#owed;
    if (owed === 0) return;
    this.#owed = 0;
    this.#from.consumed(owed);
  }

  onReset(error: SkeinError): void {
    this.#to.reset(error);
    this.#failed(error);
  }
}
