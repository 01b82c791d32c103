/** `H2Outbox`: what one HTTP/2 connection sends — its own words at the end of the tick, then data of its streams in turn, as far as credit goes. */

import type { ByteStream } from '../core/byte-stream.ts';
import { type Bytes, concatBytes, EMPTY } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import { H2_CODE, H2Violation } from './h2-code.ts';
import { encodeFrame, encodeHeaders, H2_FLAG, H2_FRAME, H2_MAX_PAYLOAD_BYTES } from './h2-frame.ts';
import { H2_MAX_WINDOW_BYTES, type H2Stream } from './h2-stream.ts';
import type { Fields } from './head.ts';
import { encodeHpack } from './hpack.ts';

/** Window of a connection that nobody has enlarged (RFC 9113 §6.9.2). */
export const H2_DEFAULT_WINDOW_BYTES = 65_535;
/** Data of one tick, so that no stream keeps the connection's own words waiting. */
const MAX_FLUSH_BYTES = 256 * 1024;

export class H2Outbox {
  readonly #stream: ByteStream;
  readonly #clock: Clock;
  /** Those with something to send, each once. */
  #ready: H2Stream[] = [];
  /** What waits for the end of the tick. */
  #frames: Bytes[] = [];
  #isFlushDue = false;
  #isBlocked = false;
  #isClosed = false;
  #window = H2_DEFAULT_WINDOW_BYTES;

  constructor(stream: ByteStream, clock: Clock) {
    this.#stream = stream;
    this.#clock = clock;
  }

  /** Sends a frame of the connection, or of a stream that goes before its data. */
  say(...frames: readonly Bytes[]): void {
    if (this.#isClosed) return;
    this.#frames.push(...frames);
    this.#schedule();
  }

  sendFields(id: number, fields: Fields, isEnd: boolean): void {
    this.say(...encodeHeaders(id, encodeHpack(fields), isEnd));
  }

  /** `stream` may have something to send. */
  offer(stream: H2Stream): void {
    if (stream.isQueued || !stream.canSend) return;
    stream.isQueued = true;
    this.#ready.push(stream);
    this.#schedule();
  }

  /** The other end grants more for all streams together. @throws H2Violation */
  raise(bytes: number): void {
    this.#window += bytes;
    if (this.#window > H2_MAX_WINDOW_BYTES) {
      throw new H2Violation(H2_CODE.flowControlError, 'Cannot read WINDOW_UPDATE: the window is too large');
    }
    this.#schedule();
  }

  /** The network has room again. */
  onDrain(): void {
    this.#isBlocked = false;
    this.#pump();
  }

  /** Writes what the connection has said, and nothing more. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#ready = [];
    if (this.#frames.length > 0) this.#stream.write(concatBytes(...this.#frames));
    this.#frames = [];
  }

  #schedule(): void {
    if (this.#isFlushDue || this.#isClosed) return;
    this.#isFlushDue = true;
    this.#clock.endOfTick(this.#flush);
  }

  readonly #flush = (): void => {
    this.#isFlushDue = false;
    this.#pump();
  };

  /** All that may go now, in one write. */
  #pump(): void {
    if (this.#isClosed) return;
    const waiting: H2Stream[] = [];
    for (let bytes = 0; this.#ready.length > 0 && !this.#isBlocked && bytes < MAX_FLUSH_BYTES; ) {
      const stream = this.#ready.shift() as H2Stream;
      if (this.#window <= 0 && stream.hasData) {
        waiting.push(stream); // for the window of the connection
        continue;
      }
      stream.isQueued = false;
      bytes += this.#sendOf(stream);
      this.offer(stream);
      stream.tellDrained();
    }
    this.#ready.unshift(...waiting);
    const frames = this.#frames;
    this.#frames = [];
    if (frames.length > 0 && !this.#stream.write(concatBytes(...frames))) this.#isBlocked = true;
  }

  /** One frame of a stream, and its end when that is due. @returns bytes of data */
  #sendOf(stream: H2Stream): number {
    const data = this.#window > 0 ? stream.takeData(Math.min(H2_MAX_PAYLOAD_BYTES, this.#window)) : undefined;
    const trailers = stream.takeEnd();
    const isEnd = trailers !== undefined && trailers.length === 0;
    if (data !== undefined) {
      this.#window -= data.length;
      this.#frames.push(encodeFrame(H2_FRAME.data, isEnd ? H2_FLAG.endStream : 0, stream.id, data));
    } else if (isEnd) this.#frames.push(encodeFrame(H2_FRAME.data, H2_FLAG.endStream, stream.id, EMPTY));
    if (trailers !== undefined && !isEnd) this.sendFields(stream.id, trailers, true);
    if (trailers !== undefined) stream.noteEndSent();
    return data?.length ?? 0;
  }
}
