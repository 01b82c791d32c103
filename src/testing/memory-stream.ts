/** Two linked byte streams on a `Clock`, with windows, half-close and reset; they carry metadata blocks too. */

import type { ByteSink, HeadedSink, HeadedStream } from '../core/byte-stream.ts';
import type { Bytes } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import type { SkeinError } from '../core/errors.ts';

export interface MemoryStreamOptions {
  /** Bytes one side may deliver before `consumed` returns credit. @default 65_536 */
  readonly windowBytes?: number;
  /** Chunks are cut to at most this many bytes, to find parsers that count on whole messages. @default Infinity */
  readonly maxChunkBytes?: number;
}

export type MemoryStreamSink = ByteSink & Partial<Pick<HeadedSink, 'onHead'>>;

/** A `ByteStream` and a `HeadedStream` in one; what is written to `a` arrives at `b`. */
export function createMemoryStreams(clock: Clock, options: MemoryStreamOptions = {}): [MemoryStream, MemoryStream] {
  const a = new MemoryStream(clock, options);
  const b = new MemoryStream(clock, options);
  a.join(b);
  b.join(a);
  return [a, b];
}

type Item =
  | { readonly kind: 'data'; readonly chunk: Bytes }
  | { readonly kind: 'head'; readonly block: Bytes; readonly flags: number }
  | { readonly kind: 'end' };

const END: Item = { kind: 'end' };

export class MemoryStream implements HeadedStream {
  readonly #clock: Clock;
  readonly #windowBytes: number;
  readonly #maxChunkBytes: number;
  #peer: MemoryStream | undefined;
  #sink: MemoryStreamSink | undefined;
  /** Written by the peer, waiting for this side's sink and window. */
  readonly #inbox: Item[] = [];
  #inboxBytes = 0;
  /** Delivered to the sink and not yet `consumed`. */
  #unconsumed = 0;
  #scheduled = false;
  #ended = false;
  #closed = false;
  #resetBy: SkeinError | undefined;
  #wantsDrain = false;

  constructor(clock: Clock, options: MemoryStreamOptions) {
    this.#clock = clock;
    this.#windowBytes = options.windowBytes ?? 65_536;
    this.#maxChunkBytes = options.maxChunkBytes ?? Number.POSITIVE_INFINITY;
  }

  join(peer: MemoryStream): void {
    this.#peer = peer;
  }

  /** Bytes written to this side that the other side's sink has not been given. */
  get queuedBytes(): number {
    return this.#peer === undefined ? 0 : this.#peer.#inboxBytes;
  }

  /** Bytes this side's sink was given and has not returned. */
  get unconsumedBytes(): number {
    return this.#unconsumed;
  }

  attach(sink: MemoryStreamSink): void {
    this.#sink = sink;
    this.#schedule();
  }

  write(chunk: Bytes): boolean {
    const peer = this.#peer;
    if (this.#ended || this.#closed || peer === undefined) return true;
    for (let at = 0; at < chunk.length; at += this.#maxChunkBytes) {
      peer.receive({ kind: 'data', chunk: chunk.subarray(at, Math.min(chunk.length, at + this.#maxChunkBytes)) });
    }
    this.#wantsDrain ||= peer.#inboxBytes + peer.#unconsumed >= peer.#windowBytes;
    return !this.#wantsDrain;
  }

  sendHead(block: Bytes, length: number, flags: number): void {
    if (this.#ended || this.#closed) return;
    this.#peer?.receive({ kind: 'head', block: new Uint8Array(block.subarray(0, length)), flags });
  }

  end(): void {
    if (this.#ended || this.#closed) return;
    this.#ended = true;
    this.#peer?.receive(END);
  }

  reset(error: SkeinError): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#inbox.length = 0;
    this.#inboxBytes = 0;
    this.#peer?.lose(error);
  }

  consumed(bytes: number): void {
    if (bytes > this.#unconsumed) {
      throw new RangeError(`Cannot return credit: ${bytes} bytes, of ${this.#unconsumed} delivered`);
    }
    this.#unconsumed -= bytes;
    if (!this.#closed) this.#schedule();
  }

  receive(item: Item): void {
    if (this.#closed) return;
    this.#inbox.push(item);
    if (item.kind === 'data') this.#inboxBytes += item.chunk.length;
    this.#schedule();
  }

  lose(error: SkeinError): void {
    if (this.#closed) return;
    this.#resetBy = error;
    this.#inbox.length = 0;
    this.#inboxBytes = 0;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.endOfTick(this.#deliver);
  }

  readonly #deliver = (): void => {
    this.#scheduled = false;
    while (!this.#closed && this.#sink !== undefined) {
      if (this.#resetBy !== undefined) {
        this.#closed = true;
        this.#sink.onReset(this.#resetBy);
        return;
      }
      const item = this.#inbox[0];
      if (item === undefined) break;
      // A chunk larger than what is left of the window waits until the window is whole, and then goes at once.
      if (item.kind === 'data' && this.#unconsumed > 0 && this.#unconsumed + item.chunk.length > this.#windowBytes)
        break;
      this.#inbox.shift();
      this.#hand(item, this.#sink);
    }
    this.#peer?.drain();
  };

  #hand(item: Item, sink: MemoryStreamSink): void {
    if (item.kind === 'end') {
      sink.onEnd();
    } else if (item.kind === 'head') {
      sink.onHead?.(item.block, item.flags);
    } else {
      this.#inboxBytes -= item.chunk.length;
      this.#unconsumed += item.chunk.length;
      sink.onData(item.chunk);
    }
  }

  /** Room again on the far side: at half the window, so that a slow reader does not wake the writer for each byte. */
  drain(): void {
    const peer = this.#peer;
    if (!this.#wantsDrain || this.#closed || this.#sink === undefined || peer === undefined) return;
    if (peer.#inboxBytes + peer.#unconsumed > peer.#windowBytes / 2) return;
    this.#wantsDrain = false;
    this.#sink.onDrain();
  }
}
