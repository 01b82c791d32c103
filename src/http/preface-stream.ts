/** A connection whose client speaks first: HTTP/1.1, or HTTP/2 with prior knowledge, which its first bytes tell (RFC 9113 §3.4). */

import type { ByteSink, ByteStream } from '../core/byte-stream.ts';
import { type Bytes, concatBytes, EMPTY } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import { beginsPreface, H2_PREFACE } from './h2-preface.ts';

/**
 * Stands before an HTTP/1.1 server. When the client turns out to speak HTTP/2 the server is told that its connection is over,
 * and the connection is handed on with the bytes that came. From the first other byte on it only passes through.
 */
export class PrefaceStream implements ByteStream, ByteSink {
  readonly #stream: ByteStream;
  readonly #onHttp2: (stream: ByteStream) => void;
  #sink: ByteSink | undefined;
  #held: Bytes = EMPTY;
  #state: 'open' | 'http1' | 'gone' = 'open';

  /** @param onHttp2 is given the connection, with all that came on it */
  constructor(stream: ByteStream, onHttp2: (stream: ByteStream) => void) {
    this.#stream = stream;
    this.#onHttp2 = onHttp2;
  }

  attach(sink: ByteSink): void {
    this.#sink = sink;
    if (this.#state === 'open') this.#stream.attach(this);
    else if (this.#state === 'http1') this.#stream.attach(sink);
  }

  write(chunk: Bytes): boolean {
    return this.#state === 'gone' || this.#stream.write(chunk);
  }

  end(): void {
    if (this.#state !== 'gone') this.#stream.end();
  }

  reset(error: SkeinError): void {
    if (this.#state !== 'gone') this.#stream.reset(error);
  }

  consumed(bytes: number): void {
    if (this.#state !== 'gone') this.#stream.consumed(bytes);
  }

  onData(chunk: Bytes): void {
    const bytes = this.#held.length === 0 ? chunk : concatBytes(this.#held, chunk);
    if (!beginsPreface(bytes)) return this.#passOn(bytes);
    this.#held = bytes;
    if (bytes.length < H2_PREFACE.length) return;
    this.#state = 'gone';
    this.#sink?.onReset(new SkeinError('SKEIN_CANCELLED', 'Cannot serve HTTP/1.1: the client speaks HTTP/2'));
    this.#onHttp2(new ReplayedStream(this.#stream, bytes));
  }

  onEnd(): void {
    if (this.#held.length > 0) this.#passOn(this.#held);
    this.#sink?.onEnd();
  }

  onDrain(): void {
    this.#sink?.onDrain();
  }

  onReset(error: SkeinError): void {
    this.#sink?.onReset(error);
  }

  #passOn(bytes: Bytes): void {
    this.#held = EMPTY;
    this.#state = 'http1';
    const sink = this.#sink;
    if (sink === undefined) return;
    this.#stream.attach(sink);
    sink.onData(bytes);
  }
}

/** A stream of which something was read already: its reader is given that first. */
class ReplayedStream implements ByteStream {
  readonly #stream: ByteStream;
  #first: Bytes | undefined;

  constructor(stream: ByteStream, first: Bytes) {
    this.#stream = stream;
    this.#first = first;
  }

  attach(sink: ByteSink): void {
    const first = this.#first;
    this.#first = undefined;
    this.#stream.attach(sink);
    if (first !== undefined) sink.onData(first);
  }

  write(chunk: Bytes): boolean {
    return this.#stream.write(chunk);
  }

  end(): void {
    this.#stream.end();
  }

  reset(error: SkeinError): void {
    this.#stream.reset(error);
  }

  consumed(bytes: number): void {
    this.#stream.consumed(bytes);
  }
}
