/**
 * `H2Connection`: one HTTP/2 connection over a `ByteStream`, either side (RFC 9113; prior knowledge, §3.3). Credit of the
 * connection returns as data comes, that of a stream when its reader has taken it: so one stream that is not read holds back
 * no other, and the most that waits here is a window for each stream.
 */

import type { ByteStream } from '../core/byte-stream.ts';
import { type Bytes, concatBytes, EMPTY } from '../core/bytes.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import type { DecodeLatin1 } from '../core/text.ts';
import { ConnectionDeadline } from './connection-deadline.ts';
import { H2_CODE, H2Violation } from './h2-code.ts';
import { H2Conduct } from './h2-conduct.ts';
import {
  encodeFrame,
  encodeNumbers,
  encodeSettings,
  H2_FLAG,
  H2_FRAME,
  H2_SETTING,
  type H2FrameHandler,
  H2FrameReader,
  unpad,
} from './h2-frame.ts';
import { H2_DEFAULT_WINDOW_BYTES, H2Outbox } from './h2-outbox.ts';
import { H2_PREFACE, PrefaceReader } from './h2-preface.ts';
import { parseH2Settings } from './h2-settings.ts';
import { H2_STREAM_WINDOW_BYTES, H2Stream, type H2StreamHost, type H2StreamSink } from './h2-stream.ts';
import type { Fields } from './head.ts';
import { HpackDecoder } from './hpack.ts';

export interface H2ConnectionOptions {
  readonly role: 'client' | 'server';
  readonly clock: Clock;
  readonly decodeLatin1: DecodeLatin1;
  /** A stream of the other end begins; server only. */
  readonly onStream?: () => H2IncomingSink;
  /** No stream is open any more. */
  readonly onIdle?: () => void;
  /** Called once; every stream was told before. */
  readonly onClose: () => void;
}

/** Who takes a stream of the other end; `start` comes before everything else. */
export interface H2IncomingSink extends H2StreamSink {
  start(stream: H2Stream): void;
}

/** Streams that the other end may have open at once, as on a session of the mesh. */
const MAX_STREAMS = 256;
/** Fields of one block, and their size: what a head may hold anywhere in the mesh, and the pseudo-fields. */
const BLOCK_LIMITS = { maxFields: 128 + 5, maxBytes: 32 * 1024 } as const;
/** A block on the wire; CONTINUATION frames beyond it are an attack (CVE-2024-27316). */
const MAX_BLOCK_BYTES = 64 * 1024;
const CONNECTION_WINDOW_BYTES = 1024 * 1024;
/** Time for the preface, and for a block that was begun. */
const PATIENCE_MS = 10_000;
/** Time for the other end to close its half, once it was told why. */
const LINGER_MS = 1_000;
const GONE = new SkeinError('SKEIN_CANCELLED', 'Cannot go on: the connection is closed');
/** A connection without a stream for so long is closed. */
const IDLE_MS = 300_000;

export class H2Connection implements H2FrameHandler, H2StreamHost {
  readonly #stream: ByteStream;
  readonly #options: H2ConnectionOptions;
  readonly #reader = new H2FrameReader();
  readonly #outbox: H2Outbox;
  readonly #decoder: HpackDecoder;
  readonly #conduct: H2Conduct;
  readonly #deadline: ConnectionDeadline;
  readonly #streams = new Map<number, H2Stream>();
  readonly #preface: PrefaceReader;
  #hasSettings = false;
  /** A block that is not whole, and what is to be done with it then. */
  #block: { readonly streamId: number; readonly isEnd: boolean; parts: Bytes[]; bytes: number } | undefined;
  #lastPeerId = 0;
  #nextId = 1;
  #receivedBytes = 0;
  #peerWindowBytes = H2_DEFAULT_WINDOW_BYTES;
  #peerMaxStreams = Number.POSITIVE_INFINITY;
  /** Streams of ours above this were not looked at by the other end. */
  #goAwayId: number | undefined;
  #isDraining = false;
  #isClosed = false;
  #hasPeerEnded = false;
  /** Ends the wait for the other end's half of a connection that is closed here. */
  #linger: Timer | undefined;
  #closedBy: SkeinError | undefined;

  constructor(stream: ByteStream, options: H2ConnectionOptions) {
    const { role, clock, decodeLatin1 } = options;
    this.#stream = stream;
    this.#options = options;
    this.#outbox = new H2Outbox(stream, clock);
    this.#decoder = new HpackDecoder(BLOCK_LIMITS, decodeLatin1);
    this.#conduct = new H2Conduct(clock.monotonicMs());
    this.#deadline = new ConnectionDeadline(clock, () => this.#onDeadline());
    this.#deadline.set(PATIENCE_MS);
    this.#preface = new PrefaceReader(role === 'server');
    if (role === 'client') this.#outbox.say(H2_PREFACE.slice());
    this.#outbox.say(
      encodeSettings([
        ...(role === 'client'
          ? [[H2_SETTING.enablePush, 0] as const]
          : [[H2_SETTING.maxConcurrentStreams, MAX_STREAMS] as const]),
        [H2_SETTING.initialWindowSize, H2_STREAM_WINDOW_BYTES],
        [H2_SETTING.maxHeaderListSize, BLOCK_LIMITS.maxBytes],
      ]),
      encodeNumbers(H2_FRAME.windowUpdate, 0, CONNECTION_WINDOW_BYTES - H2_DEFAULT_WINDOW_BYTES),
    );
    stream.attach({
      onData: (chunk) => this.#receive(chunk),
      onEnd: () => {
        this.#hasPeerEnded = true;
        this.#linger?.cancel();
        this.#close(undefined);
      },
      onDrain: () => this.#outbox.onDrain(),
      onReset: (error) => {
        this.#linger?.cancel();
        this.#finish(error);
      },
    });
  }

  get isReading(): boolean {
    return !this.#isClosed;
  }

  /** What ended the connection, when it did not end well. */
  get closedBy(): SkeinError | undefined {
    return this.#closedBy;
  }

  get openStreams(): number {
    return this.#streams.size;
  }

  /** May another stream be opened here? */
  get hasRoom(): boolean {
    return (
      !this.#isClosed && !this.#isDraining && this.#goAwayId === undefined && this.#streams.size < this.#peerMaxStreams
    );
  }

  /** Opens a stream, by a client. Only where there `hasRoom`. */
  open(fields: Fields, isEnd: boolean, sink: H2StreamSink): H2Stream {
    const stream = new H2Stream(this.#nextId, this, sink, this.#peerWindowBytes);
    this.#nextId += 2;
    this.#streams.set(stream.id, stream);
    this.#deadline.clear();
    stream.sendFields(fields, isEnd);
    return stream;
  }

  /** Takes no more streams, and closes behind the last one. */
  drain(): void {
    if (this.#isDraining || this.#isClosed) return;
    this.#isDraining = true;
    this.#outbox.say(encodeNumbers(H2_FRAME.goAway, 0, this.#lastPeerId, H2_CODE.noError));
    this.#endIfIdle();
  }

  /** Ends all at once. */
  close(error: SkeinError): void {
    this.#end(H2_CODE.noError, error);
  }

  // What streams tell.

  onReady(stream: H2Stream): void {
    this.#outbox.offer(stream);
  }

  sendFields(stream: H2Stream, fields: Fields, isEnd: boolean): void {
    this.#outbox.sendFields(stream.id, fields, isEnd);
  }

  sendReset(stream: H2Stream, code: number): void {
    this.#outbox.say(encodeNumbers(H2_FRAME.rstStream, stream.id, code));
  }

  sendCredit(stream: H2Stream, bytes: number): void {
    this.#outbox.say(encodeNumbers(H2_FRAME.windowUpdate, stream.id, bytes));
  }

  onOver(stream: H2Stream): void {
    this.#streams.delete(stream.id);
    if (this.#streams.size > 0 || this.#isClosed) return;
    this.#deadline.set(IDLE_MS);
    this.#options.onIdle?.();
    this.#endIfIdle();
  }

  // Reading.

  #receive(chunk: Bytes): void {
    this.#stream.consumed(chunk.length); // what must be held back is held back by the windows of streams
    if (this.#isClosed) return;
    try {
      const rest = this.#preface.isRead ? chunk : this.#preface.push(chunk);
      if (rest.length > 0) this.#reader.push(rest, this);
    } catch (thrown) {
      this.#onViolation(thrown);
    }
  }

  /** What breaks one stream does not stop the reading of the others. */
  onFrame(type: number, flags: number, streamId: number, payload: Bytes): void {
    try {
      this.#onFrame(type, flags, streamId, payload);
    } catch (thrown) {
      this.#onViolation(thrown);
    }
  }

  #onFrame(type: number, flags: number, streamId: number, payload: Bytes): void {
    if (!this.#hasSettings && (type !== H2_FRAME.settings || (flags & H2_FLAG.ack) !== 0)) {
      throw new H2Violation(H2_CODE.protocolError, 'Cannot read frame: SETTINGS come first');
    }
    if (this.#block !== undefined && (type !== H2_FRAME.continuation || streamId !== this.#block.streamId)) {
      throw new H2Violation(H2_CODE.protocolError, 'Cannot read frame: a block of fields is not whole');
    }
    switch (type) {
      case H2_FRAME.data:
        return this.#onData(flags, streamId, payload);
      case H2_FRAME.headers:
        return this.#onHeaders(flags, streamId, payload);
      case H2_FRAME.continuation:
        return this.#onContinuation(flags, payload);
      case H2_FRAME.priority:
        this.#checkSize(streamId !== 0 && payload.length === 5, streamId);
        return this.#noteIdle();
      case H2_FRAME.rstStream:
        return this.#onReset(streamId, payload);
      case H2_FRAME.settings:
        return this.#onSettings(flags, streamId, payload);
      case H2_FRAME.ping:
        return this.#onPing(flags, streamId, payload);
      case H2_FRAME.goAway:
        return this.#onGoAway(streamId, payload);
      case H2_FRAME.windowUpdate:
        return this.#onWindowUpdate(streamId, payload);
      case H2_FRAME.pushPromise:
        throw new H2Violation(H2_CODE.protocolError, 'Cannot read PUSH_PROMISE: nobody allowed it');
      default:
        return this.#noteIdle(); // RFC 9113 §5.5: unknown types are ignored
    }
  }

  #onData(flags: number, id: number, payload: Bytes): void {
    const stream = this.#find(id);
    const chunk = unpad(flags, payload);
    const isEnd = (flags & H2_FLAG.endStream) !== 0;
    if (chunk.length === 0 && !isEnd) this.#noteIdle();
    this.#receivedBytes += payload.length;
    if (this.#receivedBytes >= CONNECTION_WINDOW_BYTES / 2) {
      this.#outbox.say(encodeNumbers(H2_FRAME.windowUpdate, 0, this.#receivedBytes));
      this.#receivedBytes = 0;
    }
    stream?.receiveData(chunk, payload.length, isEnd);
  }

  #onHeaders(flags: number, streamId: number, payload: Bytes): void {
    const { role } = this.#options;
    if (streamId === 0 || (role === 'server' && streamId % 2 === 0)) {
      throw new H2Violation(H2_CODE.protocolError, 'Cannot read HEADERS: no stream of the other end');
    }
    let part = unpad(flags, payload);
    if ((flags & H2_FLAG.priority) !== 0) {
      this.#checkSize(part.length >= 5, 0);
      part = part.subarray(5);
    }
    this.#block = { streamId, isEnd: (flags & H2_FLAG.endStream) !== 0, parts: [], bytes: 0 };
    this.#deadline.set(PATIENCE_MS);
    this.#onContinuation(flags, part);
  }

  #onContinuation(flags: number, part: Bytes): void {
    const block = this.#block;
    if (block === undefined)
      throw new H2Violation(H2_CODE.protocolError, 'Cannot read CONTINUATION: nothing to go on with');
    const isLast = (flags & H2_FLAG.endHeaders) !== 0;
    block.bytes += part.length;
    if (block.bytes > MAX_BLOCK_BYTES || (!isLast && part.length === 0)) {
      throw new H2Violation(H2_CODE.enhanceYourCalm, 'Cannot read fields: the block is too large');
    }
    block.parts.push(isLast ? part : part.slice());
    if (!isLast) return;
    this.#block = undefined;
    this.#deadline.clear();
    const { fields, isTooLarge } = this.#decoder.decode(concatBytes(...block.parts));
    this.#onFields(block.streamId, fields, block.isEnd, isTooLarge);
    if (this.#streams.size === 0 && !this.#isClosed) this.#deadline.set(IDLE_MS);
  }

  #onFields(id: number, fields: readonly string[], isEnd: boolean, isTooLarge: boolean): void {
    const known = this.#streams.get(id);
    if (known !== undefined) {
      if (isTooLarge) throw new H2Violation(H2_CODE.enhanceYourCalm, 'Cannot read fields: there are too many', id);
      known.receiveFields(fields, isEnd);
      return;
    }
    const { onStream } = this.#options;
    if (onStream === undefined || id <= this.#lastPeerId) {
      if (onStream === undefined ? id < this.#nextId : this.#conduct.wasReset(id)) return this.#noteIdle(); // it crossed a reset
      throw new H2Violation(H2_CODE.streamClosed, 'Cannot read HEADERS: its stream has ended');
    }
    this.#lastPeerId = id;
    if (this.#isDraining || this.#streams.size >= MAX_STREAMS) return this.#refuse(id, H2_CODE.refusedStream);
    if (isTooLarge) return this.#refuse(id, H2_CODE.enhanceYourCalm);
    const sink = onStream();
    const stream = new H2Stream(id, this, sink, this.#peerWindowBytes);
    this.#streams.set(id, stream);
    sink.start(stream);
    stream.receiveFields(fields, isEnd);
  }

  #refuse(id: number, code: number): void {
    this.#punish(this.#conduct.noteMistake(id, this.#options.clock.monotonicMs()));
    this.#outbox.say(encodeNumbers(H2_FRAME.rstStream, id, code));
  }

  #onReset(id: number, payload: Bytes): void {
    this.#checkSize(payload.length === 4, 0);
    const stream = this.#find(id);
    this.#punish(this.#conduct.noteReset(this.#options.clock.monotonicMs()));
    stream?.receiveReset(toView(payload).getUint32(0));
  }

  #onSettings(flags: number, streamId: number, payload: Bytes): void {
    if (streamId !== 0)
      throw new H2Violation(H2_CODE.protocolError, 'Cannot read SETTINGS: they belong to the connection');
    if ((flags & H2_FLAG.ack) !== 0) return this.#checkSize(payload.length === 0, 0);
    const { maxStreams, windowBytes = this.#peerWindowBytes } = parseH2Settings(
      payload,
      this.#options.role === 'server',
    );
    if (this.#hasSettings) this.#noteIdle();
    else if (this.#streams.size === 0) this.#deadline.set(IDLE_MS);
    else this.#deadline.clear();
    this.#hasSettings = true;
    if (maxStreams !== undefined) this.#peerMaxStreams = maxStreams;
    const change = windowBytes - this.#peerWindowBytes;
    this.#peerWindowBytes = windowBytes;
    for (const stream of this.#streams.values()) {
      stream.raise(change);
      this.onReady(stream);
    }
    this.#outbox.say(encodeFrame(H2_FRAME.settings, H2_FLAG.ack, 0, EMPTY));
  }

  #onPing(flags: number, streamId: number, payload: Bytes): void {
    if (streamId !== 0) throw new H2Violation(H2_CODE.protocolError, 'Cannot read PING: it belongs to the connection');
    this.#checkSize(payload.length === 8, 0);
    if ((flags & H2_FLAG.ack) !== 0) return;
    this.#noteIdle();
    this.#outbox.say(encodeFrame(H2_FRAME.ping, H2_FLAG.ack, 0, payload));
  }

  #onGoAway(streamId: number, payload: Bytes): void {
    if (streamId !== 0)
      throw new H2Violation(H2_CODE.protocolError, 'Cannot read GOAWAY: it belongs to the connection');
    this.#checkSize(payload.length >= 8, 0);
    if (this.#options.role === 'server') return; // a client that says goodbye opens no more streams
    const lastId = toView(payload).getUint32(0) & 0x7fffffff;
    this.#goAwayId = Math.min(lastId, this.#goAwayId ?? lastId);
    for (const stream of [...this.#streams.values()]) {
      if (stream.id > this.#goAwayId) stream.receiveReset(H2_CODE.refusedStream);
    }
    this.#endIfIdle();
  }

  #onWindowUpdate(id: number, payload: Bytes): void {
    this.#checkSize(payload.length === 4, 0);
    const bytes = toView(payload).getUint32(0) & 0x7fffffff;
    const stream = id === 0 ? undefined : this.#find(id);
    if (bytes === 0) throw new H2Violation(H2_CODE.protocolError, 'Cannot read WINDOW_UPDATE: it grants nothing', id);
    if (id === 0) {
      this.#outbox.raise(bytes);
    } else if (stream !== undefined) {
      stream.raise(bytes);
      this.onReady(stream);
    } else this.#noteIdle();
  }

  /** A stream that is open; undefined for one that was. @throws H2Violation for one that never was */
  #find(id: number): H2Stream | undefined {
    const stream = this.#streams.get(id);
    if (stream !== undefined) return stream;
    const isOwn = id % 2 === (this.#options.role === 'client' ? 1 : 0);
    if (id === 0 || id > (isOwn ? this.#nextId - 1 : this.#lastPeerId)) {
      throw new H2Violation(H2_CODE.protocolError, 'Cannot read frame: its stream was never opened');
    }
    return undefined;
  }

  #checkSize(isRight: boolean, streamId: number): void {
    if (!isRight) throw new H2Violation(H2_CODE.frameSizeError, 'Cannot read frame: its size is wrong', streamId);
  }

  #noteIdle(): void {
    this.#punish(this.#conduct.noteIdleFrame(this.#options.clock.monotonicMs()));
  }

  #punish(problem: string | undefined): void {
    if (problem !== undefined) throw new H2Violation(H2_CODE.enhanceYourCalm, `Cannot keep connection: ${problem}`);
  }

  #onViolation(thrown: unknown): void {
    if (!(thrown instanceof H2Violation)) throw thrown;
    const { code, message, streamId } = thrown;
    // Of what an application did not answer correctly nobody knows whether it was done.
    const blame = this.#options.role === 'server' ? 'SKEIN_BAD_REQUEST' : 'SKEIN_APP_PROTOCOL';
    if (streamId === 0) return this.#end(code, new SkeinError(blame, message));
    const problem = this.#conduct.noteMistake(streamId, this.#options.clock.monotonicMs());
    if (problem !== undefined) {
      const state = `Cannot keep connection: ${problem}`;
      return this.#end(H2_CODE.enhanceYourCalm, new SkeinError(blame, state));
    }
    const stream = this.#streams.get(streamId);
    if (stream === undefined) this.#outbox.say(encodeNumbers(H2_FRAME.rstStream, streamId, code));
    else {
      this.sendReset(stream, code);
      stream.receiveReset(code, message);
    }
  }

  // The end.

  #onDeadline(): void {
    const isIdle = this.#hasSettings && this.#block === undefined;
    this.#end(
      isIdle ? H2_CODE.noError : H2_CODE.enhanceYourCalm,
      new SkeinError('SKEIN_DEADLINE', 'Cannot keep connection: nothing came in time'),
    );
  }

  #endIfIdle(): void {
    if (this.#streams.size > 0 || (!this.#isDraining && this.#goAwayId === undefined)) return;
    this.#close(undefined);
  }

  /** Tells the other end why, and ends. */
  #end(code: number, error: SkeinError): void {
    if (this.#isClosed) return;
    this.#outbox.say(encodeNumbers(H2_FRAME.goAway, 0, this.#lastPeerId, code));
    this.#close(error);
  }

  #close(error: SkeinError | undefined): void {
    if (this.#isClosed) return;
    this.#outbox.close();
    this.#stream.end();
    if (!this.#hasPeerEnded) this.#linger = this.#options.clock.setTimer(LINGER_MS, () => this.#stream.reset(GONE));
    this.#finish(error);
  }

  #finish(error: SkeinError | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#closedBy = error;
    this.#deadline.stop();
    for (const stream of [...this.#streams.values()]) stream.receiveReset(H2_CODE.connectError);
    this.#options.onClose();
  }
}

function toView(payload: Bytes): DataView {
  return new DataView(payload.buffer, payload.byteOffset, payload.length);
}
