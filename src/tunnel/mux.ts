/** `Mux`: streams over the records of one session — open, accept, credit, GOAWAY, and every limit of docs/protocol.md §7. */

import { HEAD_INFORMATIONAL } from '../core/byte-stream.ts';
import { type Bytes, encodeUtf8 } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { TokenBucket } from '../core/token-bucket.ts';
import { fromWireCode, lostWith, protocolError, toPrintable, toWireCode } from './codes.ts';
import { PeerConduct } from './conduct.ts';
import { type ControlEvents, ControlSlots, MAX_GOAWAY_TEXT_BYTES } from './control-slots.ts';
import { CreditLedger } from './credit-ledger.ts';
import { MAX_OFFSET } from './flow-control.ts';
import type { FrameHandler, FrameWriter } from './frame.ts';
import type { HandshakeRole } from './handshake.ts';
import { MinRtt } from './min-rtt.ts';
import { createMuxStats } from './mux-stats.ts';
import type { TunnelOptions } from './options.ts';
import { findOverdue } from './overdue.ts';
import { Pings } from './pings.ts';
import { type IncomingStream, isStreamKind, MuxStream, type StreamHost, type StreamKind } from './stream.ts';
import { StreamCount } from './stream-count.ts';
import { StreamRoom } from './stream-room.ts';
import { StreamSender } from './stream-sender.ts';
import { StreamTable } from './stream-table.ts';
import type { UnreadBudget } from './unread-budget.ts';

/** What the peer said in its handshake payload: the windows it starts with. */
export interface PeerSettings {
  readonly streamWindowBytes: number;
  readonly sessionWindowBytes: number;
  readonly maxStreams: number;
}

export interface MuxOptions {
  readonly role: HandshakeRole;
  readonly limits: TunnelOptions;
  readonly peer: PeerSettings;
  readonly unreadBudget: UnreadBudget | undefined;
  readonly clock: Pick<Clock, 'monotonicMs' | 'setTimer'>;
  /** How many of its streams the peer may take back before they are answered. */
  readonly resets: TokenBucket;
  readonly onStream: (stream: IncomingStream) => void;
  /** There is something to write: a record should be built at the end of the tick. */
  onWork(): void;
  /** ACK belongs to the records, not to the streams. */
  onAck(nextExpected: number): void;
  /** Nor do the ways to the peer. */
  onPath(message: Bytes): void;
  /** The peer sends nothing more until it has an ACK for all that came. */
  onFence(): void;
  /** The peer broke the protocol, or said GOAWAY for good: the session must end. */
  onBroken(error: SkeinError): void;
}

export class Mux implements FrameHandler, StreamHost {
  readonly stats = createMuxStats();
  readonly #options: MuxOptions;
  readonly #limits: TunnelOptions;
  readonly #streams = new StreamTable();
  readonly #sender: StreamSender;
  readonly #credit: CreditLedger;
  /** Opened here, not yet admitted by the peer's stream limit. */
  #waiting: MuxStream[] = [];
  readonly #count: StreamCount;
  readonly #rtt = new MinRtt();
  readonly #slots = new ControlSlots();
  readonly #pings = new Pings();
  #goAwaySent = false;
  #peerGoAway: SkeinError | undefined;
  #closed: SkeinError | undefined;
  readonly #conduct: PeerConduct;
  readonly #room: StreamRoom;

  constructor(options: MuxOptions) {
    this.#options = options;
    this.#limits = options.limits;
    const nowMs = options.clock.monotonicMs();
    this.#sender = new StreamSender(options.peer.sessionWindowBytes);
    this.#credit = new CreditLedger(this.#limits, options.unreadBudget, nowMs);
    this.#count = new StreamCount(options.role, this.#limits.maxStreams, options.peer.maxStreams);
    this.#conduct = new PeerConduct(this.#limits);
    this.#room = new StreamRoom(this.#count, this.#slots, options);
  }

  get openStreams(): number {
    return this.#streams.size + this.#waiting.length;
  }

  elicitsAck = false;

  get isReading(): boolean {
    return this.#closed === undefined;
  }

  /** Smallest round trip of the last 10 s, in milliseconds; 0 before the first. */
  get rttMs(): number {
    return this.#rtt.valueMs;
  }

  /** Bytes received that the application has not consumed: what this session pins. */
  get unreadBytes(): number {
    return this.#credit.unreadBytes;
  }

  get isDraining(): boolean {
    return this.#goAwaySent || this.#slots.goAway !== undefined || this.#peerGoAway !== undefined;
  }

  /** @throws SkeinError SKEIN_DRAINING, SKEIN_LIMIT, or what ended the session; none of them reached the peer. */
  open(kind: StreamKind, block: Bytes, length: number, complete: boolean): MuxStream {
    if (this.#closed !== undefined)
      throw new SkeinError(this.#closed.code, this.#closed.message, { cause: this.#closed, notProcessed: true });
    if (this.isDraining) throw new SkeinError('SKEIN_DRAINING', 'Cannot open stream: session is draining');
    if (length > this.#limits.maxHeadBytes)
      throw new SkeinError('SKEIN_LIMIT', 'Cannot open stream: the head is larger than the limit', { status: 431 });
    if (this.#waiting.length >= this.#limits.maxStreams)
      throw new SkeinError('SKEIN_LIMIT', 'Cannot open stream: too many wait for the peer');
    const stream = new MuxStream(this, this.#limits, {
      kind,
      meta: block.slice(0, length),
      complete,
      sendCredit: this.#options.peer.streamWindowBytes,
      outgoing: true,
      nowMs: this.#options.clock.monotonicMs(),
    });
    this.#waiting.push(stream);
    this.#admit();
    return stream;
  }

  /** Asks the peer to open no more streams; the open ones go on. `final` ends the session as far as the peer is concerned. */
  goAway(error: SkeinError, final: boolean): void {
    if (this.#closed !== undefined || (this.#goAwaySent && !final)) return;
    this.#slots.goAway = {
      code: toWireCode(error.code),
      drain: !final,
      text: encodeUtf8(error.message).subarray(0, MAX_GOAWAY_TEXT_BYTES),
    };
    this.#options.onWork();
  }

  /** Ends every stream; nothing is written or read after. */
  close(error: SkeinError): void {
    if (this.#closed !== undefined) return;
    this.#closed = error;
    this.#credit.close();
    this.#room.close();
    this.#sender.clear();
    const streams = [...this.#streams.all(), ...this.#waiting];
    this.#streams.clear();
    this.#waiting = [];
    const [lost, unheard] = [lostWith(error, false), lostWith(error, true)];
    for (const stream of streams) stream.abort(stream.isOpenSent ? lost : unheard);
  }

  /** Nothing goes out for now: streams of which the peer has not heard are better opened elsewhere. */
  failUnsent(): void {
    const error = new SkeinError('SKEIN_SESSION_LOST', 'Cannot use stream: there is no way to the peer', {
      notProcessed: true,
    });
    for (const stream of [...this.#streams.all(), ...this.#waiting]) {
      if (stream.isOpenSent) continue;
      this.onLocalReset(stream, error);
      stream.abort(error);
    }
  }

  /** Measures a round trip with the next record. */
  ping(): void {
    if (!this.#pings.maySend) return;
    this.#slots.ping = true;
    this.#options.onWork();
  }

  observeRtt(sampleMs: number): void {
    this.#credit.rttMs = Math.max(1, this.#rtt.observe(sampleMs, this.#options.clock.monotonicMs()));
  }

  /** Ends streams whose reader sleeps, and raw streams that fell silent; called now and then. */
  sweep(): void {
    this.#sender.trim();
    const nowMs = this.#options.clock.monotonicMs();
    for (const stream of this.#streams.all()) {
      const overdue = findOverdue(stream, this.#limits, this.#credit.isTight, nowMs);
      if (overdue !== undefined) this.#resetStream(stream, overdue);
    }
  }

  // Writing.

  /** Whether there is something to write besides streams of a class behind `lastClass`. */
  hasWork(lastClass: number): boolean {
    return !this.#slots.isEmpty || this.#credit.hasWork || this.#sender.hasWork(lastClass);
  }

  /** Fills a record: first the bounded control state, then streams in turn, up to `lastClass`: with -1 none of them, while too much is unacknowledged. */
  fill(writer: FrameWriter, lastClass: number): void {
    const nowMs = this.#options.clock.monotonicMs();
    this.#slots.write(writer, this.#count.lastPeerId, lastClass >= 0, this.#written);
    this.#credit.write(writer, nowMs, this.#streams);
    this.#sender.write(writer, nowMs, lastClass);
    this.stats.dataBytesSent = this.#sender.sentBytes;
  }

  /** Tells the writers that have room again; called when the record `fill` made is on its way. */
  tellDrained(): void {
    this.#sender.tellDrained();
  }

  readonly #written: ControlEvents = {
    onPing: () => this.#pings.noteSent(this.#options.clock.monotonicMs()),
    onGoAway: () => {
      this.#goAwaySent = true;
    },
    onMaxStreams: (limit) => this.#count.grant(limit),
  };

  /** Gives ids to waiting streams while the peer's cumulative limit allows; ids go out in this order. */
  #admit(): void {
    while (this.#waiting.length > 0 && this.#count.mayOpen) {
      const stream = this.#waiting.shift() as MuxStream;
      stream.id = this.#count.open();
      this.stats.streamsOpened++;
      this.#streams.add(stream.id, stream);
      this.onReady(stream);
    }
  }

  // What streams tell.

  onReady(stream: MuxStream): void {
    if (stream.id === 0 || this.#closed !== undefined) return;
    if (this.#sender.add(stream, this.#options.clock.monotonicMs())) this.#options.onWork();
  }

  onConsumed(stream: MuxStream, bytes: number): void {
    if (this.#closed !== undefined) return;
    this.#credit.consume(stream, bytes, this.#options.clock.monotonicMs());
    if (this.#credit.hasWork) this.#options.onWork();
  }

  onLocalReset(stream: MuxStream, error: SkeinError): void {
    if (this.#closed !== undefined) return;
    if (stream.id === 0) {
      this.#waiting = this.#waiting.filter((other) => other !== stream);
      return;
    }
    this.#release(stream);
    if (!stream.isOpenSent) {
      // its OPEN never left, so the peer knows nothing of it: the id stays unused, the count is given back
      this.#streams.delete(stream.id);
      this.#sender.remove(stream);
      this.#count.unopen();
      return this.#admit();
    }
    this.#settle(stream);
    this.stats.resetsSent++;
    this.#slots.addReset({
      id: stream.id,
      code: toWireCode(error.code),
      finalSize: stream.sentBytes,
      notProcessed: error.notProcessed,
    });
    this.#options.onWork();
  }

  onFinished(stream: MuxStream): void {
    this.#settle(stream);
  }

  onAbandoned(stream: MuxStream): void {
    this.#release(stream);
  }

  // Reading.

  onData(id: number, end: boolean, chunk: Bytes): void {
    if (chunk.length === 0 && !end) return this.#fatal(protocolError('Cannot read DATA: it is empty and ends nothing'));
    this.stats.dataBytesReceived += chunk.length;
    if (!this.#credit.receive(chunk.length))
      return this.#fatal(new SkeinError('SKEIN_FLOW_CONTROL', 'Cannot read DATA: beyond the session window'));
    const nowMs = this.#options.clock.monotonicMs();
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      this.#credit.discard(chunk.length, nowMs); // it crossed our reset
      if (this.#credit.hasWork) this.#options.onWork();
      if (!this.#count.wasOpened(id)) this.#fatal(protocolError('Cannot read DATA: its stream was never opened'));
      return;
    }
    if (!stream.receiveWindow.receive(chunk.length))
      return this.#fatal(new SkeinError('SKEIN_FLOW_CONTROL', 'Cannot read DATA: beyond the stream window'));
    this.#credit.makeRoomForStalled(nowMs);
    if (this.#credit.hasWork) this.#options.onWork();
    // a small chunk that has to wait must not pin the whole record it came in
    const pinned = stream.receiveWindow.unread > chunk.length && chunk.length * 4 < chunk.buffer.byteLength;
    this.#judge(stream, stream.receiveData(pinned ? chunk.slice() : chunk, end, nowMs));
  }

  onOpen(
    id: number,
    end: boolean,
    kind: number,
    _urgency: number,
    credit: number,
    _deadlineMs: number,
    meta: Bytes,
  ): void {
    if (meta.length > this.#limits.maxHeadBytes || !isStreamKind(kind) || credit > MAX_OFFSET)
      return this.#fatal(protocolError('Cannot accept stream: malformed OPEN'));
    const problem = this.#count.accept(id);
    if (problem !== undefined) return this.#fatal(protocolError(`Cannot accept stream: ${problem}`));
    this.stats.streamsAccepted++;
    this.#room.offer();
    if (this.#goAwaySent) {
      this.stats.streamsFinished++;
      this.#room.giveBack();
      this.#slots.addReset({ id, code: toWireCode('SKEIN_DRAINING'), finalSize: 0, notProcessed: true });
      return this.#options.onWork();
    }
    const stream = new MuxStream(this, this.#limits, {
      kind,
      meta,
      complete: end,
      sendCredit: credit,
      outgoing: false,
      nowMs: this.#options.clock.monotonicMs(),
    });
    stream.id = id;
    this.#streams.add(id, stream);
    try {
      this.#options.onStream(stream);
    } catch (thrown) {
      stream.reset(toSkeinError(thrown));
    }
    stream.forgetMeta();
  }

  onHeaders(id: number, flags: number, block: Bytes): void {
    if (block.length > this.#limits.maxHeadBytes)
      return this.#fatal(protocolError('Cannot read HEADERS: larger than the limit'));
    const stream = this.#streams.get(id);
    if (stream !== undefined)
      return this.#judge(stream, stream.receiveHead(block, flags, this.#options.clock.monotonicMs()));
    if (!this.#count.wasOpened(id))
      return this.#fatal(protocolError('Cannot read HEADERS: its stream was never opened'));
    if ((flags & HEAD_INFORMATIONAL) !== 0) this.#noteIdleFrame();
  }

  onCredit(id: number, offset: number): void {
    if (offset > MAX_OFFSET) return this.#fatal(protocolError('Cannot read CREDIT: impossible offset'));
    if (id === 0) {
      if (!this.#sender.raise(offset, this.#options.clock.monotonicMs())) return this.#noteIdleFrame();
      if (this.#sender.hasWork()) this.#options.onWork();
      return;
    }
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      if (!this.#count.wasOpened(id)) this.#fatal(protocolError('Cannot read CREDIT: its stream was never opened'));
      return;
    }
    if (!stream.sendWindow.raise(offset)) return this.#noteIdleFrame();
    if (stream.hasWork) this.onReady(stream);
  }

  onReset(id: number, code: number, finalSize: number, notProcessed: boolean): void {
    this.stats.resetsReceived++;
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      if (!this.#count.wasOpened(id))
        return this.#fatal(protocolError('Cannot read RESET: its stream was never opened'));
      // It may have crossed the end of its stream, once for each that there was.
      return this.stats.resetsReceived > this.#count.total ? this.#noteIdleFrame() : undefined;
    }
    if (stream.receiveWindow.received !== finalSize)
      return this.#fatal(protocolError('Cannot read RESET: its final size is not what was received'));
    const own = !this.#count.isPeerId(id);
    this.#release(stream);
    this.#settle(stream, !own && !stream.hasAnswered);
    stream.abort(
      new SkeinError(fromWireCode(code), 'Cannot use stream: the peer reset it', { notProcessed: own && notProcessed }),
    );
  }

  onStop(id: number, _code: number): void {
    const stream = this.#streams.get(id);
    if (stream !== undefined) stream.receiveStop();
    else if (!this.#count.wasOpened(id))
      return this.#fatal(protocolError('Cannot read STOP: its stream was never opened'));
    this.#noteIdleFrame();
  }

  onPing(ack: boolean, body: Bytes): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (ack) {
      const sampleMs = this.#pings.noteAnswer(nowMs);
      if (sampleMs !== undefined) this.observeRtt(sampleMs);
      return this.#noteIdleFrame();
    }
    this.#punish(this.#conduct.notePing(nowMs));
    this.#slots.pong = body.slice();
    this.#options.onWork();
  }

  onGoAway(code: number, lastAcceptedId: number, _retryAfterMs: number, drain: boolean, text: Bytes): void {
    const state = `The peer ended the session: ${toPrintable(text)}`;
    const reason = new SkeinError(fromWireCode(code), state, { details: { isPeersWord: true } });
    this.#peerGoAway ??= reason;
    for (const stream of this.#streams.all()) {
      if (this.#count.isPeerId(stream.id) || stream.id <= lastAcceptedId) continue;
      this.#release(stream);
      this.#settle(stream);
      stream.abort(lostWith(reason, true));
    }
    for (const stream of this.#waiting.splice(0)) stream.abort(lostWith(reason, true));
    if (!drain) this.#fatal(reason);
    else this.#noteIdleFrame();
  }

  onAck(nextExpected: number): void {
    this.#options.onAck(nextExpected);
  }

  onPath(message: Bytes): void {
    this.#noteIdleFrame();
    this.#options.onPath(message);
  }

  onMaxStreams(count: number): void {
    if (count > MAX_OFFSET) return this.#fatal(protocolError('Cannot read MAX_STREAMS: impossible count'));
    if (this.#count.allow(count)) this.#admit();
    else this.#noteIdleFrame();
  }

  onFence(): void {
    this.#noteIdleFrame();
    this.#options.onFence();
  }

  // Bookkeeping.

  /** Forgets a stream whose two directions are done, and gives the peer room for another one. */
  #settle(stream: MuxStream, isTakenBack = false): void {
    if (!this.#streams.delete(stream.id)) return;
    this.#sender.remove(stream);
    this.#credit.forget(stream);
    if (!this.#count.isPeerId(stream.id)) return;
    this.stats.streamsFinished++;
    this.#room.giveBack(isTakenBack);
  }

  /** What the application will never read any more counts as read. */
  #release(stream: MuxStream): void {
    if (this.#closed !== undefined) return;
    this.#credit.release(stream, this.#options.clock.monotonicMs());
    if (this.#credit.hasWork) this.#options.onWork();
  }

  /** A stream-level mistake of the peer: the stream goes, and too many of them take the session along. */
  #judge(stream: MuxStream, problem: string | undefined): void {
    if (problem === undefined) return;
    this.#punish(this.#conduct.noteMistake(this.#options.clock.monotonicMs(), problem));
    this.#resetStream(stream, protocolError(`Cannot read stream: ${problem}`));
  }

  #resetStream(stream: MuxStream, error: SkeinError): void {
    if (stream.isFinished) return;
    this.onLocalReset(stream, error);
    stream.abort(error);
  }

  #noteIdleFrame(): void {
    this.#punish(this.#conduct.noteIdleFrame(this.#options.clock.monotonicMs()));
  }

  #punish(error: SkeinError | undefined): void {
    if (error !== undefined) this.#fatal(error);
  }

  #fatal(error: SkeinError): void {
    if (this.#closed === undefined) this.#options.onBroken(error);
  }
}
