/** `MuxStream`: one stream of a session, its send queue and its two half-states (RFC 9113 §5.1 without reserved states). */

import type { HeadedSink, HeadedStream } from '../core/byte-stream.ts';
import { HEAD_INFORMATIONAL, HEAD_TRAILERS } from '../core/byte-stream.ts';
import type { Bytes } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import { ReceiveWindow, SendWindow } from './flow-control.ts';
import { FLAG_END, FRAME_HEADER_BYTES, type FrameWriter, OPEN_OVERHEAD_BYTES } from './frame.ts';
import type { TunnelOptions } from './options.ts';

/** What a stream carries; the number travels in OPEN. */
export const STREAM_KIND = { http: 1, grpc: 2, upgrade: 3, raw: 4, datagram: 5, internal: 6 } as const;
export type StreamKind = (typeof STREAM_KIND)[keyof typeof STREAM_KIND];

export function isStreamKind(kind: number): kind is StreamKind {
  return kind >= 1 && kind <= 6;
}

/** A stream the peer opened. */
export interface IncomingStream extends HeadedStream {
  readonly kind: StreamKind;
  /** OPEN's meta; valid until the callback that announced the stream returns. */
  readonly meta: Bytes;
  /** The peer half-closed with OPEN: neither data nor `onEnd` will come. */
  readonly complete: boolean;
  /** It is over by force: nothing that is said on it reaches anybody. */
  readonly isReset: boolean;
}

/** What a stream needs of its mux. */
export interface StreamHost {
  onReady(stream: MuxStream): void;
  onConsumed(stream: MuxStream, bytes: number): void;
  /** The local side gave up; `finalSize` bytes of DATA were sent. */
  onLocalReset(stream: MuxStream, error: SkeinError): void;
  /** Both directions are done. */
  onFinished(stream: MuxStream): void;
  /** The local side gave up on a finished stream: what it has not read it never will. */
  onAbandoned(stream: MuxStream): void;
}

/** Why a stream stopped writing frames. */
export type WriteOutcome = 'idle' | 'turn-over' | 'no-room' | 'stream-blocked' | 'session-blocked';

interface QueuedHead {
  readonly open: boolean;
  readonly flags: number;
  readonly block: Bytes;
}

/** Less than this much of a chunk is not worth a frame when a record is nearly full. */
const MIN_DATA_BYTES = 256;
/** A stream that sends more than this in such a time is bulk. */
const BULK_BYTES = 1_048_576;
const BULK_MS = 1_000;

export class MuxStream implements IncomingStream {
  readonly kind: StreamKind;
  meta: Bytes;
  readonly complete: boolean;
  /** 0 until the peer's stream limit admits it; then the id on the wire. Written by the mux. */
  id = 0;
  /** Written by the mux: whether it stands in the scheduler or in a list of blocked streams. */
  scheduled = false;
  /** Written by the mux: whether a CREDIT frame waits to be written. */
  creditDue = false;
  readonly receiveWindow: ReceiveWindow;
  readonly sendWindow: SendWindow;
  readonly #host: StreamHost;
  readonly #limits: TunnelOptions;
  #sink: HeadedSink | undefined;
  /** Events that came before a sink was attached, in order. */
  #early: (() => void)[] = [];
  #queue: (Bytes | QueuedHead)[] = [];
  #queueHead = 0;
  #chunkOffset = 0;
  #queuedBytes = 0;
  #blockedWriter = false;
  #sendState: 'open' | 'ending' | 'ended' = 'open';
  #receiveState: 'open' | 'ended' = 'open';
  #reset = false;
  #finished = false;
  #openSent: boolean;
  #informationalHeads = 0;
  #finalHeadSent = false;
  #receivedHead = false;
  #trailers = false;
  #bulkBytes = 0;
  #bulkMs = 0;
  /** It was bulk in the second before. */
  #wasBulk = false;
  /** When bytes last moved, monotonic. Read by the mux's sweep. */
  activeMs: number;
  consumedMs: number;

  constructor(
    host: StreamHost,
    limits: TunnelOptions,
    init: { kind: StreamKind; meta: Bytes; complete: boolean; sendCredit: number; outgoing: boolean; nowMs: number },
  ) {
    this.#host = host;
    this.#limits = limits;
    this.kind = init.kind;
    this.meta = init.meta;
    this.complete = init.complete;
    this.sendWindow = new SendWindow(init.sendCredit);
    this.receiveWindow = new ReceiveWindow(limits.streamWindowBytes, limits.maxStreamWindowBytes, init.nowMs);
    this.activeMs = init.nowMs;
    this.consumedMs = init.nowMs;
    this.#openSent = !init.outgoing;
    if (init.outgoing) {
      this.#queue.push({ open: true, flags: 0, block: init.meta });
      if (init.complete) this.#sendState = 'ending';
    } else if (init.complete) {
      this.#receiveState = 'ended';
    }
  }

  get isOpenSent(): boolean {
    return this.#openSent;
  }

  get isReset(): boolean {
    return this.#reset;
  }

  get isFinished(): boolean {
    return this.#finished;
  }

  get sentBytes(): number {
    return this.sendWindow.sent;
  }

  /** Whether an answer of ours has begun to leave; a reset before is counted (CVE-2023-44487). */
  get hasAnswered(): boolean {
    return this.#finalHeadSent || this.sendWindow.sent > 0;
  }

  // The application's side.

  attach(sink: HeadedSink): void {
    this.#sink = sink;
    const early = this.#early;
    this.#early = [];
    for (const event of early) event();
  }

  write(chunk: Bytes): boolean {
    if (this.#reset || this.#sendState !== 'open') return true;
    if (chunk.length === 0) return this.#queuedBytes < this.#limits.streamHighWaterBytes;
    this.#queue.push(chunk);
    this.#queuedBytes += chunk.length;
    this.#host.onReady(this);
    if (this.#queuedBytes < this.#limits.streamHighWaterBytes) return true;
    this.#blockedWriter = true;
    return false;
  }

  sendHead(block: Bytes, length: number, flags: number): void {
    if (this.#reset || this.#sendState !== 'open') return;
    if (length > this.#limits.maxHeadBytes)
      throw new SkeinError('SKEIN_LIMIT', 'Cannot send head: it is larger than the limit');
    this.#queue.push({ open: false, flags, block: block.slice(0, length) });
    this.#host.onReady(this);
  }

  end(): void {
    if (this.#reset || this.#sendState !== 'open') return;
    this.#sendState = 'ending';
    this.#host.onReady(this);
  }

  reset(error: SkeinError): void {
    if (this.#reset) return;
    if (this.#finished) return this.#host.onAbandoned(this);
    this.#drop();
    this.#host.onLocalReset(this, error);
  }

  consumed(bytes: number): void {
    if (bytes > 0) this.#host.onConsumed(this, bytes);
  }

  /** The meta was read: it is a view, and must not pin the whole record it came in. */
  forgetMeta(): void {
    this.meta = NO_BYTES;
  }

  // The mux's side: sending.

  get hasWork(): boolean {
    return !this.#reset && (this.#queueHead < this.#queue.length || this.#sendState === 'ending');
  }

  /** Whether the next frame is a head, which no window holds back. */
  get isHeadNext(): boolean {
    const next = this.#queue[this.#queueHead];
    return next === undefined || !(next instanceof Uint8Array);
  }

  /** Whether the stream has sent more than 1 MiB within the last second, or the one before. */
  isBulk(nowMs: number): boolean {
    const isOver = this.#bulkBytes > BULK_BYTES;
    return nowMs - this.#bulkMs < BULK_MS ? isOver || this.#wasBulk : isOver && nowMs - this.#bulkMs < 2 * BULK_MS;
  }

  /** Writes frames until the turn is over or something is in the way. */
  writeFrames(writer: FrameWriter, turnBytes: number, session: SendWindow, nowMs: number): WriteOutcome {
    const start = writer.length;
    while (this.#queueHead < this.#queue.length) {
      const item = this.#queue[this.#queueHead] as Bytes | QueuedHead;
      if (item instanceof Uint8Array) {
        const outcome = this.#writeData(item, writer, turnBytes - (writer.length - start), session);
        if (outcome !== undefined) {
          this.#noteSent(writer.length - start, nowMs);
          return outcome;
        }
      } else {
        const room = item.block.length + (item.open ? OPEN_OVERHEAD_BYTES : FRAME_HEADER_BYTES);
        if (writer.room < room) return 'no-room';
        this.#shift();
        const end = this.#takeEnd();
        if (item.open) {
          this.#openSent = true;
          writer.open(this.id, end, this.kind, this.#limits.streamWindowBytes, item.block);
        } else {
          if ((item.flags & HEAD_INFORMATIONAL) === 0) this.#finalHeadSent = true;
          writer.headers(this.id, item.flags | (end ? FLAG_END : 0), item.block);
        }
      }
    }
    if (this.#sendState === 'ending') {
      if (writer.room < FRAME_HEADER_BYTES) return 'no-room';
      this.#takeEnd();
      writer.data(this.id, true, NO_BYTES, 0, 0);
    }
    this.#noteSent(writer.length - start, nowMs);
    if (this.#sendState === 'ended') this.#finishIfDone();
    return 'idle';
  }

  /** Tells the application that there is room again; called after the record is on its way. */
  drained(): void {
    if (!this.#blockedWriter || this.#queuedBytes > this.#limits.streamHighWaterBytes >> 1) return;
    this.#blockedWriter = false;
    this.#sink?.onDrain();
  }

  // The mux's side: receiving. Each returns what the peer did wrong, or undefined.

  receiveData(chunk: Bytes, end: boolean, nowMs: number): string | undefined {
    if (this.#receiveState === 'ended') return 'DATA after END';
    if (this.#trailers) return 'DATA after trailers';
    this.activeMs = nowMs;
    if (this.receiveWindow.unread === 0) this.consumedMs = nowMs;
    if (chunk.length > 0) {
      if (this.#sink === undefined) this.#early.push(() => this.#sink?.onData(chunk));
      else this.#sink.onData(chunk);
    }
    if (end) this.receiveEnd();
    return undefined;
  }

  receiveHead(block: Bytes, flags: number, nowMs: number): string | undefined {
    if (this.#receiveState === 'ended') return 'HEADERS after END';
    const end = (flags & FLAG_END) !== 0;
    if ((flags & HEAD_INFORMATIONAL) !== 0) {
      if (end || (flags & HEAD_TRAILERS) !== 0 || ++this.#informationalHeads > this.#limits.maxInformationalHeads)
        return 'too many informational heads';
    } else if ((flags & HEAD_TRAILERS) !== 0) {
      if (this.#trailers || !end) return 'trailers that do not end the stream';
      this.#trailers = true;
    } else if (this.#receivedHead) {
      return 'a second head';
    } else {
      this.#receivedHead = true;
    }
    this.activeMs = nowMs;
    const headFlags = flags & ~FLAG_END;
    if (this.#sink === undefined) {
      const kept = block.slice();
      this.#early.push(() => this.#sink?.onHead(kept, headFlags));
    } else {
      this.#sink.onHead(block, headFlags);
    }
    if (end) this.receiveEnd();
    return undefined;
  }

  receiveEnd(): void {
    if (this.#receiveState === 'ended' || this.#reset) return;
    this.#receiveState = 'ended';
    if (this.#sink === undefined) this.#early.push(() => this.#sink?.onEnd());
    else this.#sink.onEnd();
    this.#finishIfDone();
  }

  /** The peer wants no more: what is queued is dropped and our direction ends. */
  receiveStop(): void {
    if (this.#reset || this.#sendState === 'ended') return;
    this.#queue = this.#openSent ? [] : this.#queue.slice(this.#queueHead, this.#queueHead + 1);
    this.#queueHead = 0;
    this.#chunkOffset = 0;
    this.#queuedBytes = 0;
    this.#sendState = 'ending';
    this.#host.onReady(this);
  }

  /** The stream is over without our doing. */
  abort(error: SkeinError): void {
    if (this.#reset || this.#finished) return;
    this.#drop();
    if (this.#sink === undefined) this.#early.push(() => this.#sink?.onReset(error));
    else this.#sink.onReset(error);
  }

  #writeData(chunk: Bytes, writer: FrameWriter, turnBytes: number, session: SendWindow): WriteOutcome | undefined {
    const left = chunk.length - this.#chunkOffset;
    if (turnBytes <= 0) return 'turn-over';
    if (this.sendWindow.available <= 0) return 'stream-blocked';
    if (session.available <= 0) return 'session-blocked';
    const room = writer.room - FRAME_HEADER_BYTES;
    if (room < Math.min(left, MIN_DATA_BYTES)) return 'no-room';
    const length = Math.min(left, room, turnBytes, this.sendWindow.available, session.available);
    const whole = length === left;
    if (whole) this.#shift();
    const end = whole && this.#queueHead === this.#queue.length && this.#takeEnd();
    writer.data(this.id, end, chunk, this.#chunkOffset, length);
    this.#chunkOffset = whole ? 0 : this.#chunkOffset + length;
    this.#queuedBytes -= length;
    this.sendWindow.take(length);
    session.take(length);
    return undefined;
  }

  #shift(): void {
    this.#queue[this.#queueHead++] = NO_BYTES;
    if (this.#queueHead === this.#queue.length) {
      this.#queue.length = 0;
      this.#queueHead = 0;
    } else if (this.#queueHead > 32 && this.#queueHead * 2 > this.#queue.length) {
      this.#queue.splice(0, this.#queueHead);
      this.#queueHead = 0;
    }
  }

  /** True, once, when the frame being written is the last of this direction. */
  #takeEnd(): boolean {
    if (this.#sendState !== 'ending' || this.#queueHead < this.#queue.length) return false;
    this.#sendState = 'ended';
    return true;
  }

  #noteSent(bytes: number, nowMs: number): void {
    if (bytes === 0) return;
    this.activeMs = nowMs;
    if (nowMs - this.#bulkMs >= BULK_MS) {
      this.#wasBulk = this.isBulk(nowMs);
      this.#bulkMs = nowMs;
      this.#bulkBytes = 0;
    }
    this.#bulkBytes += bytes;
  }

  #finishIfDone(): void {
    if (this.#finished || this.#sendState !== 'ended' || this.#receiveState !== 'ended') return;
    this.#finished = true;
    this.#host.onFinished(this);
  }

  #drop(): void {
    this.#reset = true;
    this.#queue = [];
    this.#queueHead = 0;
    this.#queuedBytes = 0;
    this.#finished = true;
  }
}

const NO_BYTES: Bytes = new Uint8Array(0);
