/** One stream of an HTTP/2 connection (RFC 9113 §5.1): what is sent, as far as credit allows, and what is told of what comes. */

import type { Bytes } from '../core/bytes.ts';
import { H2_CODE, H2Violation } from './h2-code.ts';
import type { Fields } from './head.ts';

/** Calls never overlap; nothing follows `onReset`, nor the end of both directions. */
export interface H2StreamSink {
  /** A block of fields: a head, an informational head, or trailers. @throws H2Violation */
  onFields(fields: readonly string[], isEnd: boolean): void;
  /** Each byte is returned through `H2Stream.consumed`. */
  onData(chunk: Bytes): void;
  onEnd(): void;
  /** `write` returned false and there is room again. */
  onDrain(): void;
  /** `mistake`: what the other end did wrong, for which it was reset here. */
  onReset(code: number, mistake?: string): void;
}

/** What a stream needs of its connection. */
export interface H2StreamHost {
  /** It has something to send. */
  onReady(stream: H2Stream): void;
  sendFields(stream: H2Stream, fields: Fields, isEnd: boolean): void;
  sendReset(stream: H2Stream, code: number): void;
  sendCredit(stream: H2Stream, bytes: number): void;
  /** Both directions have ended. */
  onOver(stream: H2Stream): void;
}

/** Bytes queued above which `write` returns false. */
const HIGH_WATER_BYTES = 64 * 1024;
export const H2_STREAM_WINDOW_BYTES = 256 * 1024;
export const H2_MAX_WINDOW_BYTES = 0x7fffffff;

export class H2Stream {
  readonly id: number;
  /** Owned by the connection: whether it stands in the queue of those that have something to send. */
  isQueued = false;
  readonly #host: H2StreamHost;
  readonly #sink: H2StreamSink;
  #sendWindow: number;
  #receiveWindow = H2_STREAM_WINDOW_BYTES;
  /** Consumed and not told yet. */
  #owedBytes = 0;
  readonly #queue: Bytes[] = [];
  #queuedBytes = 0;
  /** Behind what is queued: the end, with these trailers. */
  #trailers: Fields | undefined;
  #wantsDrain = false;
  #hasEndedLocally = false;
  #hasEndedRemotely = false;
  #isClosed = false;

  constructor(id: number, host: H2StreamHost, sink: H2StreamSink, sendWindow: number) {
    this.id = id;
    this.#host = host;
    this.#sink = sink;
    this.#sendWindow = sendWindow;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get hasData(): boolean {
    return this.#queuedBytes > 0;
  }

  /** Anything but data that is held back by the stream's own window. */
  get canSend(): boolean {
    if (this.#isClosed || this.#hasEndedLocally) return false;
    return this.#queuedBytes > 0 ? this.#sendWindow > 0 : this.#trailers !== undefined;
  }

  sendFields(fields: Fields, isEnd: boolean): void {
    if (this.#isClosed || this.#hasEndedLocally) return;
    this.#host.sendFields(this, fields, isEnd);
    if (isEnd) this.#endLocally();
  }

  /** Takes ownership of `chunk`. False: accepted, but stop until `onDrain`. */
  write(chunk: Bytes): boolean {
    if (this.#isClosed || this.#hasEndedLocally || this.#trailers !== undefined) return true;
    if (chunk.length > 0) this.#queue.push(chunk);
    this.#queuedBytes += chunk.length;
    this.#host.onReady(this);
    // Until it is told of room: it may have written on, and waits all the same.
    this.#wantsDrain ||= this.#queuedBytes >= HIGH_WATER_BYTES;
    return !this.#wantsDrain;
  }

  end(trailers: Fields): void {
    if (this.#isClosed || this.#hasEndedLocally || this.#trailers !== undefined) return;
    this.#trailers = trailers;
    this.#host.onReady(this);
  }

  /** Ends both directions at once. */
  reset(code: number): void {
    if (this.#isClosed) return;
    this.#host.sendReset(this, code);
    this.#close();
  }

  /** Returns credit for `bytes` of what came. */
  consumed(bytes: number): void {
    this.#owedBytes += bytes;
    if (this.#isClosed || this.#hasEndedRemotely || this.#owedBytes < H2_STREAM_WINDOW_BYTES / 2) return;
    this.#receiveWindow += this.#owedBytes;
    this.#host.sendCredit(this, this.#owedBytes);
    this.#owedBytes = 0;
  }

  // The rest is called by the connection only.

  /** The next data, at most `maxBytes` of it; undefined when none may go now. */
  takeData(maxBytes: number): Bytes | undefined {
    const first = this.#queue[0];
    if (first === undefined || this.#sendWindow <= 0) return undefined;
    const length = Math.min(first.length, maxBytes, this.#sendWindow);
    if (length === first.length) this.#queue.shift();
    else this.#queue[0] = first.subarray(length);
    this.#queuedBytes -= length;
    this.#sendWindow -= length;
    return first.subarray(0, length);
  }

  /** Everything is sent but the end: its trailers, when it is due. */
  takeEnd(): Fields | undefined {
    return this.#queuedBytes === 0 && !this.#hasEndedLocally ? this.#trailers : undefined;
  }

  noteEndSent(): void {
    this.#endLocally();
  }

  /** Tells the writer that there is room again. */
  tellDrained(): void {
    if (!this.#wantsDrain || this.#queuedBytes >= HIGH_WATER_BYTES / 2) return;
    this.#wantsDrain = false;
    this.#sink.onDrain();
  }

  /** @throws H2Violation */
  raise(bytes: number): void {
    this.#sendWindow += bytes;
    if (this.#sendWindow > H2_MAX_WINDOW_BYTES) {
      throw new H2Violation(H2_CODE.flowControlError, 'Cannot read WINDOW_UPDATE: the window is too large', this.id);
    }
  }

  /** @throws H2Violation */
  receiveFields(fields: readonly string[], isEnd: boolean): void {
    this.#checkOpen();
    this.#hasEndedRemotely = isEnd;
    this.#sink.onFields(fields, isEnd);
    if (isEnd) this.#settle();
  }

  /** `bytes` counts padding too. @throws H2Violation */
  receiveData(chunk: Bytes, bytes: number, isEnd: boolean): void {
    this.#checkOpen();
    this.#receiveWindow -= bytes;
    if (this.#receiveWindow < 0) {
      throw new H2Violation(H2_CODE.flowControlError, 'Cannot read DATA: beyond the window of its stream', this.id);
    }
    if (bytes > chunk.length) this.consumed(bytes - chunk.length);
    if (chunk.length > 0) this.#sink.onData(chunk);
    if (!isEnd || this.#isClosed) return;
    this.#hasEndedRemotely = true;
    this.#sink.onEnd();
    this.#settle();
  }

  receiveReset(code: number, mistake?: string): void {
    if (this.#isClosed) return;
    this.#close();
    this.#sink.onReset(code, mistake);
  }

  #checkOpen(): void {
    if (!this.#hasEndedRemotely) return;
    throw new H2Violation(H2_CODE.streamClosed, 'Cannot read frame: its stream has ended', this.id);
  }

  #endLocally(): void {
    this.#hasEndedLocally = true;
    this.#settle();
  }

  #settle(): void {
    if (this.#hasEndedLocally && this.#hasEndedRemotely) this.#close();
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#queue.length = 0;
    this.#queuedBytes = 0;
    this.#host.onOver(this);
  }
}
