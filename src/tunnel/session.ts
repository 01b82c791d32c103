/** `Session`: the encrypted association of two identities — handshake, records in both directions, and the paths they take. */

import type { HeadedStream } from '../core/byte-stream.ts';
import { type Bytes, EMPTY, toHex } from '../core/bytes.ts';
import { type Clock, setPeriodic, type Timer } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Crypto, X25519KeyPair } from '../core/platform.ts';
import type { Random } from '../core/random.ts';
import { AckSchedule } from './ack-schedule.ts';
import { type Circuit, LINK_HEADER_BYTES, toKept } from './circuit.ts';
import { protocolError, toWireCode } from './codes.ts';
import { DeliveryWatch } from './delivery-watch.ts';
import { FrameWriter, readFrames } from './frame.ts';
import type { Authenticator, HandshakeRole, PeerIdentity } from './handshake.ts';
import { Mux, type MuxStats } from './mux.ts';
import { resolveTunnelOptions, type TunnelOptions } from './options.ts';
import { Path, type PathHost, type PathInfo, type PathStatus } from './path.ts';
import { PathRecords } from './path-records.ts';
import { Paths } from './paths.ts';
import {
  MESSAGE_OVERHEAD_BYTES,
  RECORD_DATA,
  RECORD_HEADER_BYTES,
  RECORD_PATH,
  readRecordType,
  TAG_BYTES,
} from './record.ts';
import { RecordReceiver } from './record-receiver.ts';
import { RecordSender } from './record-sender.ts';
import type { BudgetMember, ReplayBudget } from './replay-budget.ts';
import { SessionHandshake, type SessionKeys } from './session-handshake.ts';
import type { IncomingStream, StreamKind } from './stream.ts';

/** A record smaller than this is built only when there is credit for at least so much. */
const MIN_RECORD_BYTES = 512;
/** What one record and its control frames may put on top of a full session window in the resend buffer; twice that ends the session. */
const RESEND_SLACK_BYTES = 256 * 1024;
const SWEEP_MS = 15_000;
/** Altered records are forgotten after this, in milliseconds. */
const FORGED_MEMORY_MS = 60_000;
/** A message about paths, and how many of them wait at most. */
const MAX_PATH_MESSAGE_BYTES = 4096;
const MAX_PATH_MESSAGES = 16;

export interface SessionOptions {
  readonly role: HandshakeRole;
  readonly circuit: Circuit;
  readonly authenticator: Authenticator;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly random: Random;
  readonly trustDomain: string;
  readonly localInstance: string;
  /** Instance that was dialled or announced; empty: whoever is at the other end of the link. */
  readonly remoteInstance: string;
  /** X25519 static key of this process; one is made for this session when absent. */
  readonly staticKey?: X25519KeyPair;
  /** Bytes both ends mix into the prologue: the transcript of the link, on circuit 0. */
  readonly binding?: Bytes;
  readonly onStream: (stream: IncomingStream) => void;
  /** The record that has come on `circuit` already. */
  readonly firstRecord?: Bytes;
  /** What `circuit` is. @default a direct path without a name */
  readonly path?: PathInfo;
  /** Whether it outlives its path, to go on over another one. @default false */
  readonly isResumable?: boolean;
  readonly replayBudget?: ReplayBudget;
  /** Paths have come or gone, or another one is used, or none is there. */
  readonly onPaths?: () => void;
  /** The other end has something to say about ways to it; at most 4 KiB, sealed as everything. */
  readonly onPathMessage?: (message: Bytes) => void;
  /** Called once, after `ready` was settled and every stream was told. */
  readonly onClose: (error: SkeinError) => void;
  readonly limits?: Partial<TunnelOptions>;
}

/** Counters, read at scrape time. */
export interface SessionStats {
  recordsSent: number;
  recordsReceived: number;
  recordsDuplicate: number;
  recordsForged: number;
  /** Sent once more, on another path. */
  recordsResent: number;
  pathSwitches: number;
}

/** Records move to another path once what is under way has arrived. */
interface Fence {
  readonly target: Path;
  /** Sequence of the FENCE record; undefined while it is not written. */
  sequence: number | undefined;
  readonly timer: Timer;
}

export class Session implements PathHost, BudgetMember {
  readonly ready: Promise<PeerIdentity>;
  readonly stats: SessionStats = {
    recordsSent: 0,
    recordsReceived: 0,
    recordsDuplicate: 0,
    recordsForged: 0,
    recordsResent: 0,
    pathSwitches: 0,
  };
  readonly #options: SessionOptions;
  readonly #limits: TunnelOptions;
  readonly #clock: Clock;
  /** The path of the handshake. */
  readonly #first: Path;
  #state: 'handshake' | 'open' | 'closed' = 'handshake';
  #handshake: SessionHandshake | undefined;
  /** Handshake steps wait for signatures; records that come meanwhile wait here, bounded by the circuit's credit. */
  #handshakeStep: Promise<void> = Promise.resolve();
  #early: Bytes[] = [];
  #peer: PeerIdentity | undefined;
  #remoteInstance: string;
  #sessionId = '';
  #mux: Mux | undefined;
  #sender: RecordSender | undefined;
  #receiver: RecordReceiver | undefined;
  #paths: Paths | undefined;
  #fence: Fence | undefined;
  #pathMessages: Bytes[] = [];
  #forgedMs: number[] = [];
  #lastRttMs = 0;
  /** The path on which a record came last. */
  #incoming: Path;
  #flushScheduled = false;
  readonly #acks: AckSchedule;
  readonly #watch: DeliveryWatch;
  #timer: Timer;
  #sweepTimer: Timer | undefined;
  #resolveReady: (peer: PeerIdentity) => void = () => undefined;
  #rejectReady: (error: SkeinError) => void = () => undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#limits = resolveTunnelOptions(options.limits);
    this.#clock = options.clock;
    this.#remoteInstance = options.remoteInstance;
    const { circuit, clock, path = UNNAMED_PATH } = options;
    this.#first = new Path(circuit, path, this, clock.monotonicMs());
    this.#incoming = this.#first;
    const { ackEveryBytes: afterBytes, ackDelayMs: delayMs, gapMs, ackLostMs: lostMs } = this.#limits;
    this.#acks = new AckSchedule({ clock, afterBytes, delayMs, onDue: () => this.#scheduleFlush() });
    this.#watch = new DeliveryWatch({
      clock,
      gapMs,
      lostMs,
      patienceMs: () => this.#limits.pathPatienceMs + 2 * this.#lastRttMs,
      oldestSentMs: () => this.#sender?.oldestSentMs,
      heardMs: () => this.#paths?.active?.heardMs ?? clock.monotonicMs(),
      onGap: () => this.#distrust(this.#incoming, 'Cannot read record: the one before it is missing'),
      onLost: () => this.#distrust(this.#paths?.active, 'Cannot use session: the peer acknowledges nothing'),
      onSilence: (silentMs, patienceMs) => {
        this.#mux?.ping(); // where a record is missing, the peer sees the gap by the next one
        this.#paths?.noteSilence(silentMs, patienceMs);
      },
    });
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    this.ready.catch(() => undefined); // the owner also hears of it through onClose
    this.#timer = this.#clock.setTimer(this.#limits.handshakeTimeoutMs, () => {
      this.#abandon(new SkeinError('SKEIN_HANDSHAKE', 'Cannot complete handshake: the peer did not answer in time'));
    });
    this.#handshake = new SessionHandshake({
      ...options,
      limits: this.#limits,
      binding: options.binding ?? EMPTY,
      staticKey: options.staticKey ?? options.crypto.createX25519(),
    });
    const first = options.role === 'initiator' ? this.#handshake.start() : undefined;
    circuit.attach(this.#first);
    if (first !== undefined) this.#first.send(first);
    if (options.firstRecord !== undefined) this.#first.onRecord(options.firstRecord);
  }

  /** The session id, hexadecimal; empty before the handshake is done. */
  get id(): string {
    return this.#sessionId;
  }

  get peer(): PeerIdentity | undefined {
    return this.#peer;
  }

  get remoteInstance(): string {
    return this.#remoteInstance;
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  /** Whether `openStream` would be refused because one side is leaving. */
  get isDraining(): boolean {
    return this.#mux?.isDraining ?? false;
  }

  get openStreams(): number {
    return this.#mux?.openStreams ?? 0;
  }

  /** Smallest round trip of the last 10 s, in milliseconds; 0 before the first. */
  get rttMs(): number {
    return this.#mux?.rttMs ?? 0;
  }

  get muxStats(): MuxStats | undefined {
    return this.#mux?.stats;
  }

  /** Sealed bytes kept for a resend, and received bytes nobody has read: what this session pins. */
  get pinnedBytes(): { readonly resend: number; readonly unread: number; readonly reorder: number } {
    return {
      resend: this.keptBytes,
      unread: this.#mux?.unreadBytes ?? 0,
      reorder: this.#receiver?.aheadBytes ?? 0,
    };
  }

  get keptBytes(): number {
    return this.#sender?.keptBytes ?? 0;
  }

  // Paths.

  get paths(): readonly PathStatus[] {
    return this.#paths?.status ?? [];
  }

  /** Since when the session has no path, in monotonic milliseconds; undefined while it has one. */
  get detachedMs(): number | undefined {
    return this.#paths?.detachedMs;
  }

  get isDetached(): boolean {
    return this.detachedMs !== undefined;
  }

  /** Nothing was heard of the peer for longer than usual: what is new should rather go elsewhere. */
  get isSuspect(): boolean {
    const { detachedMs } = this;
    if (detachedMs !== undefined) return this.#clock.monotonicMs() - detachedMs >= this.#limits.pathPatienceMs;
    return this.#paths?.active?.isSuspect ?? false;
  }

  /** This end has opened `circuit` to the peer, as another way to it. */
  offerPath(circuit: Circuit, info: PathInfo): void {
    if (this.#paths === undefined || this.#state !== 'open') circuit.close(toWireCode('SKEIN_SESSION_LOST'));
    else this.#paths.offer(circuit, info);
  }

  /** The peer says on `circuit`, by `first`, that it is another way to it. False, and the circuit is closed: it lied. */
  acceptPath(circuit: Circuit, info: PathInfo, first: Bytes): boolean {
    if (this.#paths === undefined || this.#state !== 'open') {
      circuit.close(toWireCode('SKEIN_SESSION_LOST'));
      return false;
    }
    circuit.consumed(first.length - LINK_HEADER_BYTES);
    return this.#paths.accept(circuit, info, first);
  }

  /** Goes on elsewhere as soon as there is another path, and closes the matching ones; nothing is lost. */
  leavePath(match: (info: PathInfo) => boolean): void {
    this.#paths?.leave(match);
  }

  /** Moves to a matching path; false when none carries. It may move again when another is better. */
  preferPath(match: (info: PathInfo) => boolean): boolean {
    return this.#paths?.prefer(match) ?? false;
  }

  /** Tells the peer something about ways to this end, at most 4 KiB. @throws SkeinError SKEIN_LIMIT */
  sendPathMessage(message: Bytes): void {
    if (message.length > MAX_PATH_MESSAGE_BYTES || this.#pathMessages.length >= MAX_PATH_MESSAGES) {
      throw new SkeinError('SKEIN_LIMIT', 'Cannot send path message: it is too large, or too many wait');
    }
    this.#pathMessages.push(message);
    this.#scheduleFlush();
  }

  /**
   * Opens a stream; `block[0..length)` is the meta of OPEN. Data may follow at once, no answer is awaited.
   * @throws SkeinError SKEIN_DRAINING, SKEIN_LIMIT, SKEIN_SESSION_LOST; the peer saw nothing
   */
  openStream(kind: StreamKind, block: Bytes, length: number, complete: boolean): HeadedStream {
    if (this.#mux === undefined)
      throw new SkeinError('SKEIN_SESSION_LOST', 'Cannot open stream: the session is not open', { notProcessed: true });
    return this.#mux.open(kind, block, length, complete);
  }

  /** Asks the peer to open no more streams; those that are open go on. */
  goAway(reason: string): void {
    this.#mux?.goAway(new SkeinError('SKEIN_DRAINING', reason), false);
  }

  /** Ends the session: the peer is told inside it, streams are reset on both sides. */
  close(error: SkeinError): void {
    if (this.#state === 'open') this.#sayFarewell(error);
    this.#abandon(error);
  }

  dropForBudget(): void {
    this.#abandon(
      new SkeinError('SKEIN_SESSION_LOST', 'Cannot keep session: this process keeps too much for peers out of reach'),
    );
  }

  // What the paths tell.

  onPathMessage(path: Path, message: Bytes): void {
    if (this.#state === 'handshake') {
      this.#early.push(toKept(message));
      if (this.#early.length === 1) this.#handshakeStep = this.#handshakeStep.then(() => this.#stepHandshake());
      return;
    }
    path.circuit.consumed(message.length - LINK_HEADER_BYTES);
    if (this.#state === 'open') this.#receive(path, message);
  }

  onPathWritable(path: Path): void {
    if (this.#state !== 'open' || path !== this.#paths?.active) return;
    const sender = this.#sender as RecordSender;
    if (sender.againBytes === 0) return this.#writeRecord(path, sender);
    this.stats.recordsResent++;
    path.circuit.send(sender.takeAgain());
    this.#watch.noteSent();
    this.#requestWrite();
  }

  onPathClose(path: Path, error: SkeinError): void {
    const told =
      error.code === 'SKEIN_CANCELLED'
        ? new SkeinError('SKEIN_SESSION_LOST', 'Cannot use session: the peer left', { cause: error })
        : error;
    if (this.#paths === undefined) this.#end(told);
    else this.#paths.onClose(path, told);
  }

  // Handshake.

  async #stepHandshake(): Promise<void> {
    const handshake = this.#handshake;
    const message = this.#early[0];
    if (handshake === undefined || message === undefined || this.#state !== 'handshake') return;
    try {
      const answer = await handshake.receive(message);
      if (this.#state !== 'handshake') return; // the timer or the circuit was faster
      this.#early.shift();
      this.#first.circuit.consumed(message.length - LINK_HEADER_BYTES);
      if (answer !== undefined) this.#first.send(answer);
      if (handshake.result !== undefined) return this.#open(handshake.result);
      if (this.#early.length > 0) return this.#stepHandshake();
    } catch (thrown) {
      this.#abandon(toSkeinError(thrown, 'SKEIN_HANDSHAKE'));
    }
  }

  #open(result: SessionKeys): void {
    const { crypto, role, isResumable = false, replayBudget } = this.#options;
    const { keys, sessionId } = result;
    const limits = this.#limits;
    this.#timer.cancel();
    this.#handshake = undefined;
    this.#state = 'open';
    this.#sessionId = toHex(sessionId);
    this.#remoteInstance = result.remoteInstance;
    this.#sender = new RecordSender(crypto, keys.send, sessionId, limits, replayBudget, this.#clock.monotonicMs());
    this.#receiver = new RecordReceiver(crypto, keys.receive, sessionId, limits.reorderBytes);
    this.#paths = new Paths(
      {
        clock: this.#clock,
        limits,
        records: new PathRecords(crypto, role, keys.exporter, sessionId),
        isResumable,
        next: () => this.#receiver?.next ?? 0,
        onPeerNext: (next) => this.#onAck(next),
        onActive: () => this.#onActive(),
        onWish: (path) => this.#startFence(path),
        onLost: (error) => this.#abandon(error),
        onChange: () => this.#onPaths(),
      },
      this,
      this.#first,
    );
    replayBudget?.join(this);
    this.#mux = new Mux({
      role,
      limits,
      peer: result.settings,
      nowMs: () => this.#clock.monotonicMs(),
      onStream: this.#options.onStream,
      onWork: () => this.#scheduleFlush(),
      onAck: (nextExpected) => this.#onAck(nextExpected),
      onPath: (message) => this.#options.onPathMessage?.(message.slice()),
      onFatal: (error) => this.close(error),
    });
    if (result.outcome instanceof SkeinError) return this.close(result.outcome);
    this.#peer = result.outcome;
    this.#sweepTimer = setPeriodic(this.#clock, SWEEP_MS, () => this.#mux?.sweep());
    this.#mux.ping();
    this.#resolveReady(result.outcome);
    const early = this.#early;
    this.#early = [];
    for (const message of early) this.onPathMessage(this.#first, message);
  }

  // Receiving records.

  #receive(path: Path, message: Bytes): void {
    const type =
      message.length < LINK_HEADER_BYTES + RECORD_HEADER_BYTES ? -1 : readRecordType(message, LINK_HEADER_BYTES);
    if (type === RECORD_PATH) return this.#paths?.receive(path, message);
    if (type !== RECORD_DATA || message.length < MESSAGE_OVERHEAD_BYTES) {
      return this.#distrust(path, 'Cannot read record: malformed header');
    }
    this.#incoming = path;
    const receiver = this.#receiver as RecordReceiver;
    switch (receiver.receive(message, this.#onOpened)) {
      case 'next':
        this.#paths?.noteHeard(path);
        if (receiver.aheadBytes === 0) this.#watch.noteOrder();
        return;
      case 'duplicate':
        this.stats.recordsDuplicate++;
        return;
      case 'ahead':
        return this.#watch.noteGap();
      case 'forged':
        return this.#onForged(path);
    }
  }

  readonly #onOpened = (plaintext: Bytes, message: Bytes): boolean => {
    this.stats.recordsReceived++;
    const mux = this.#mux as Mux;
    mux.elicitsAck = false;
    const problem = readFrames(plaintext, mux);
    if (problem !== undefined) this.close(protocolError(`Cannot read record: ${problem}`));
    else this.#acks.noteReceived(message.length, mux.elicitsAck);
    return this.#state === 'open';
  };

  #onForged(path: Path): void {
    this.stats.recordsForged++;
    const nowMs = this.#clock.monotonicMs();
    this.#forgedMs = [...this.#forgedMs.filter((atMs) => nowMs - atMs < FORGED_MEMORY_MS), nowMs];
    if (this.#forgedMs.length < this.#limits.maxForgedRecords) {
      this.#distrust(path, 'Cannot open record: it was altered on the way');
    } else this.#abandon(protocolError('Cannot keep session: its records are altered on every way'));
  }

  #distrust(path: Path | undefined, state: string): void {
    if (path !== undefined) this.#paths?.distrust(path, protocolError(state));
  }

  #onAck(nextExpected: number): void {
    const sender = this.#sender as RecordSender;
    if (!sender.acknowledge(nextExpected, this.#clock.monotonicMs(), this.#onRtt)) {
      return this.close(protocolError('Cannot read ACK: it names a record that was never sent'));
    }
    const { sequence } = this.#fence ?? {};
    if (sequence !== undefined && sender.firstSequence > sequence) this.#endFence();
    if (this.#mux?.hasWork) this.#scheduleFlush();
  }

  readonly #onRtt = (sampleMs: number): void => {
    this.#lastRttMs = sampleMs;
    this.#mux?.observeRtt(sampleMs);
  };

  // Sending records.

  #scheduleFlush(): void {
    if (this.#flushScheduled || this.#state !== 'open') return;
    this.#flushScheduled = true;
    this.#clock.endOfTick(this.#flush);
  }

  readonly #flush = (): void => {
    this.#flushScheduled = false;
    this.#requestWrite();
  };

  #requestWrite(): void {
    const path = this.#paths?.active;
    if (path === undefined || this.#state !== 'open') return;
    const againBytes = this.#sender?.againBytes ?? 0;
    if (againBytes > 0) path.requestWrite(againBytes - LINK_HEADER_BYTES);
    else if (this.#hasWork) path.requestWrite(MIN_RECORD_BYTES);
  }

  get #hasWork(): boolean {
    if (this.#acks.isDue) return true;
    if (this.#fence !== undefined) return this.#fence.sequence === undefined;
    return this.#pathMessages.length > 0 || (this.#mux?.hasWork ?? false);
  }

  #writeRecord(path: Path, sender: RecordSender): void {
    const { maxRecordBytes, maxSessionWindowBytes } = this.#limits;
    const mux = this.#mux as Mux;
    const aboveWindow = sender.keptBytes - maxSessionWindowBytes;
    if (aboveWindow > 2 * RESEND_SLACK_BYTES)
      return this.close(new SkeinError('SKEIN_LIMIT', 'Cannot keep session: the peer acknowledges nothing'));
    const isInBudget = this.#options.replayBudget?.mayGrow(sender.keptBytes) ?? true;
    const mayCarryData = aboveWindow <= RESEND_SLACK_BYTES && isInBudget;
    const room = path.circuit.sendableBytes - RECORD_HEADER_BYTES - TAG_BYTES;
    const writer = scratchWriter(maxRecordBytes);
    writer.reset(Math.min(sender.recordBytes, room));
    this.#fill(writer, mux, mayCarryData);
    if (writer.length === 0 && room > sender.recordBytes && mux.hasWork) {
      writer.reset(Math.min(maxRecordBytes, room)); // one head may be larger than what suits the path
      this.#fill(writer, mux, mayCarryData);
    }
    if (writer.length > 0) {
      this.#seal(path, sender, writer);
      mux.tellDrained();
      this.#requestWrite();
    } else if (mayCarryData && this.#fence === undefined && mux.hasWork) {
      path.requestWrite(maxRecordBytes); // a head that needs more credit than there is
    } // else an ACK brings the next turn: asking again would be answered at once, for ever
  }

  #fill(writer: FrameWriter, mux: Mux, mayCarryData: boolean): void {
    const { next } = this.#receiver as RecordReceiver;
    if (this.#acks.hasNews(next)) {
      writer.ack(next);
      this.#acks.noteSent(next);
    }
    if (this.#fence !== undefined) {
      if (this.#fence.sequence === undefined) writer.fence();
      return;
    }
    while (this.#pathMessages.length > 0 && mayCarryData) {
      const message = this.#pathMessages[0] as Bytes;
      if (writer.room < message.length + PATH_OVERHEAD_BYTES) break;
      writer.path(message);
      this.#pathMessages.shift();
    }
    mux.fill(writer, mayCarryData);
  }

  #seal(path: Path, sender: RecordSender, writer: FrameWriter): void {
    const sequence = sender.nextSequence;
    const message = sender.seal(writer, this.#clock.monotonicMs());
    if (message === undefined)
      return this.#abandon(new SkeinError('SKEIN_SESSION_LOST', 'Cannot seal record: the session is at its end'));
    if (this.#fence !== undefined) this.#fence.sequence ??= sequence;
    this.stats.recordsSent++;
    if (writer.elicitsAck) this.#watch.noteSent();
    path.circuit.send(message);
  }

  // Moving to another path.

  #startFence(target: Path): void {
    if (this.#fence !== undefined || this.#state !== 'open') return;
    const timer = this.#clock.setTimer(this.#limits.fenceMs, () => this.#endFence());
    this.#fence = { target, sequence: undefined, timer };
    this.#scheduleFlush();
  }

  #endFence(): void {
    const fence = this.#fence;
    if (fence === undefined) return;
    this.#clearFence();
    this.#paths?.activate(fence.target);
    this.#scheduleFlush();
  }

  #clearFence(): void {
    this.#fence?.timer.cancel();
    this.#fence = undefined;
  }

  #onActive(): void {
    this.#clearFence();
    this.#sender?.rewind(this.#clock.monotonicMs());
    this.#requestWrite();
  }

  #onPaths(): void {
    this.stats.pathSwitches = this.#paths?.switches ?? 0;
    if (this.isDetached) {
      this.#clearFence();
      this.#options.replayBudget?.enforce();
      if (this.isSuspect) this.#mux?.failUnsent();
    }
    if (this.#state === 'open') this.#options.onPaths?.();
  }

  // The end.

  /** The last record: GOAWAY with the reason, sealed, so that only the peer can have said it. */
  #sayFarewell(error: SkeinError): void {
    const path = this.#paths?.active;
    const sender = this.#sender;
    if (path === undefined || sender === undefined || sender.againBytes > 0) return;
    const room = path.circuit.sendableBytes - RECORD_HEADER_BYTES - TAG_BYTES;
    if (room < MIN_RECORD_BYTES) return;
    const writer = scratchWriter(this.#limits.maxRecordBytes);
    writer.reset(Math.min(this.#limits.maxRecordBytes, room));
    this.#mux?.goAway(error, true);
    this.#mux?.fill(writer, false);
    if (writer.length > 0) this.#seal(path, sender, writer);
  }

  #abandon(error: SkeinError): void {
    if (this.#state === 'closed') return;
    this.#end(error);
    const code = toWireCode(error.code);
    if (this.#paths === undefined) this.#first.close(code);
    else this.#paths.close(code);
  }

  #end(error: SkeinError): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#timer.cancel();
    this.#acks.cancel();
    this.#watch.cancel();
    this.#clearFence();
    this.#sweepTimer?.cancel();
    this.#early = [];
    this.#pathMessages = [];
    this.#sender?.release();
    this.#options.replayBudget?.leave(this);
    this.#rejectReady(error);
    this.#mux?.close(error);
    this.#options.onClose(error);
  }
}

const UNNAMED_PATH: PathInfo = { kind: 'direct', via: '' };
/** Type, flags and length of a PATH frame. */
const PATH_OVERHEAD_BYTES = 5;

let scratch: FrameWriter | undefined;

/** One plaintext buffer for all sessions: sealing is synchronous, so no two records are ever built at once. */
function scratchWriter(bytes: number): FrameWriter {
  if (scratch === undefined || scratch.bytes.length < bytes) scratch = new FrameWriter(new Uint8Array(bytes));
  return scratch;
}
