/** `Session`: the encrypted association of two identities — handshake, sealed numbered records, acknowledgements, flush per tick. */

import type { HeadedStream } from '../core/byte-stream.ts';
import { type Bytes, EMPTY, toHex } from '../core/bytes.ts';
import { type Clock, setPeriodic, type Timer } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Crypto, X25519KeyPair } from '../core/platform.ts';
import type { Random } from '../core/random.ts';
import { AckSchedule } from './ack-schedule.ts';
import { RecordCipher } from './cipher-state.ts';
import { type Circuit, type CircuitEvents, LINK_HEADER_BYTES, toKept } from './circuit.ts';
import { protocolError, toWireCode } from './codes.ts';
import { DeliveryWatch } from './delivery-watch.ts';
import { FrameWriter, readFrames } from './frame.ts';
import type { Authenticator, HandshakeRole, PeerIdentity } from './handshake.ts';
import { MessagePool } from './message-pool.ts';
import { Mux, type MuxStats } from './mux.ts';
import { resolveTunnelOptions, type TunnelOptions } from './options.ts';
import {
  MAX_SEQUENCE,
  MESSAGE_OVERHEAD_BYTES,
  RECORD_DATA,
  RECORD_HEADER_BYTES,
  readRecordEpoch,
  readRecordSequence,
  readRecordType,
  TAG_BYTES,
  writeRecordHeader,
} from './record.ts';
import { ReplayWindow } from './replay-window.ts';
import { ResendBuffer } from './resend-buffer.ts';
import { SessionHandshake, type SessionKeys } from './session-handshake.ts';
import type { IncomingStream, StreamKind } from './stream.ts';

/** A record smaller than this is built only when there is credit for at least so much. */
const MIN_RECORD_BYTES = 512;
/** What one record and its control frames may put on top of a full session window in the resend buffer; twice that ends the session. */
const RESEND_SLACK_BYTES = 256 * 1024;
const SWEEP_MS = 15_000;

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
}

export class Session implements CircuitEvents {
  readonly ready: Promise<PeerIdentity>;
  readonly stats: SessionStats = { recordsSent: 0, recordsReceived: 0, recordsDuplicate: 0, recordsForged: 0 };
  readonly #options: SessionOptions;
  readonly #limits: TunnelOptions;
  readonly #clock: Clock;
  readonly #circuit: Circuit;
  readonly #resend = new ResendBuffer((message) => messages.give(message));
  readonly #replay: ReplayWindow;
  #state: 'handshake' | 'open' | 'closed' = 'handshake';
  #handshake: SessionHandshake | undefined;
  /** Handshake steps wait for signatures; records that come meanwhile wait here, bounded by the circuit's credit. */
  #handshakeStep: Promise<void> = Promise.resolve();
  #early: Bytes[] = [];
  #outgoing: Bytes[] = [];
  #peer: PeerIdentity | undefined;
  #remoteInstance: string;
  #sessionId = '';
  #mux: Mux | undefined;
  #sendCipher: RecordCipher | undefined;
  #receiveCipher: RecordCipher | undefined;
  #flushScheduled = false;
  readonly #acks: AckSchedule;
  readonly #watch: DeliveryWatch;
  #epochRecords = 0;
  #epochMs = 0;
  #timer: Timer;
  #sweepTimer: Timer | undefined;
  #resolveReady: (peer: PeerIdentity) => void = () => undefined;
  #rejectReady: (error: SkeinError) => void = () => undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#limits = resolveTunnelOptions(options.limits);
    this.#clock = options.clock;
    this.#circuit = options.circuit;
    this.#remoteInstance = options.remoteInstance;
    this.#replay = new ReplayWindow(this.#limits.reorderBytes);
    const { clock } = options;
    const { ackEveryBytes: afterBytes, ackDelayMs: delayMs, gapMs, ackProbeMs, ackLostMs } = this.#limits;
    this.#acks = new AckSchedule({ clock, afterBytes, delayMs, onDue: () => this.#scheduleFlush() });
    this.#watch = new DeliveryWatch({
      clock,
      gapMs,
      probeMs: ackProbeMs,
      lostMs: ackLostMs,
      oldestSentMs: () => this.#resend.oldestSentMs,
      onProbe: () => this.#mux?.ping(),
      onLost: (error) => this.#abandon(error),
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
    this.#circuit.attach(this);
    if (first !== undefined) this.#sendHandshake(first);
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
    return { resend: this.#resend.bytes, unread: this.#mux?.unreadBytes ?? 0, reorder: this.#replay.aheadBytes };
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

  // What the circuit tells.

  onRecord(message: Bytes): void {
    if (this.#state === 'handshake') {
      this.#early.push(toKept(message));
      if (this.#early.length === 1) this.#handshakeStep = this.#handshakeStep.then(() => this.#stepHandshake());
      return;
    }
    if (this.#state === 'open') this.#receive(message);
  }

  onWritable(): void {
    const handshake = this.#outgoing.shift();
    if (handshake !== undefined) {
      this.#circuit.send(handshake);
      this.#requestWrite();
      return;
    }
    if (this.#state === 'open') this.#writeRecord();
  }

  onClose(error: SkeinError): void {
    this.#end(
      error.code === 'SKEIN_CANCELLED'
        ? new SkeinError('SKEIN_SESSION_LOST', 'Cannot use session: the peer left', { cause: error })
        : error,
    );
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
      this.#circuit.consumed(message.length - LINK_HEADER_BYTES);
      if (answer !== undefined) this.#sendHandshake(answer);
      if (handshake.result !== undefined) return this.#open(handshake.result);
      if (this.#early.length > 0) return this.#stepHandshake();
    } catch (thrown) {
      this.#abandon(toSkeinError(thrown, 'SKEIN_HANDSHAKE'));
    }
  }

  #sendHandshake(message: Bytes): void {
    this.#outgoing.push(message);
    this.#requestWrite();
  }

  #open(result: SessionKeys): void {
    const { crypto, role } = this.#options;
    this.#timer.cancel();
    this.#handshake = undefined;
    this.#state = 'open';
    this.#sessionId = toHex(result.sessionId);
    this.#remoteInstance = result.remoteInstance;
    this.#sendCipher = new RecordCipher(crypto, result.keys.send, result.sessionId);
    this.#receiveCipher = new RecordCipher(crypto, result.keys.receive, result.sessionId);
    this.#epochMs = this.#clock.monotonicMs();
    this.#mux = new Mux({
      role,
      limits: this.#limits,
      peer: result.settings,
      nowMs: () => this.#clock.monotonicMs(),
      onStream: this.#options.onStream,
      onWork: () => this.#scheduleFlush(),
      onAck: (nextExpected) => this.#onAck(nextExpected),
      onFatal: (error) => this.close(error),
    });
    if (result.outcome instanceof SkeinError) return this.close(result.outcome);
    this.#peer = result.outcome;
    this.#sweepTimer = setPeriodic(this.#clock, SWEEP_MS, () => this.#mux?.sweep());
    this.#mux.ping();
    this.#resolveReady(result.outcome);
    const early = this.#early;
    this.#early = [];
    for (const message of early) this.onRecord(message);
  }

  // Receiving records.

  #receive(message: Bytes): void {
    this.#circuit.consumed(message.length - LINK_HEADER_BYTES);
    if (message.length < MESSAGE_OVERHEAD_BYTES || readRecordType(message, LINK_HEADER_BYTES) !== RECORD_DATA) {
      return this.close(protocolError('Cannot read record: malformed header'));
    }
    const sequence = readRecordSequence(message, LINK_HEADER_BYTES);
    const verdict = this.#replay.judge(sequence, message);
    if (verdict !== 'next') {
      if (verdict === 'duplicate') this.stats.recordsDuplicate++;
      else this.#watch.noteGap();
      return;
    }
    let next: Bytes | undefined = message;
    while (next !== undefined && this.#state === 'open') next = this.#openRecord(next, this.#replay.next);
    if (this.#replay.aheadBytes === 0) this.#watch.noteOrder();
  }

  /** Opens the record that is due; returns the one behind it if it came early. */
  #openRecord(message: Bytes, sequence: number): Bytes | undefined {
    const epoch = readRecordEpoch(message, LINK_HEADER_BYTES);
    const plaintext = this.#receiveCipher?.open(sequence, epoch, message, LINK_HEADER_BYTES);
    if (plaintext === undefined) {
      // The path altered it. Until a session can move to another path, losing the path is losing the session.
      this.stats.recordsForged++;
      this.#abandon(protocolError('Cannot open record: it was altered on the way'));
      return undefined;
    }
    this.stats.recordsReceived++;
    const following = this.#replay.advance();
    const mux = this.#mux as Mux;
    mux.elicitsAck = false;
    const problem = readFrames(plaintext, mux);
    if (problem !== undefined) this.close(protocolError(`Cannot read record: ${problem}`));
    else this.#acks.noteReceived(message.length, mux.elicitsAck);
    return following;
  }

  #onAck(nextExpected: number): void {
    if (nextExpected > this.#resend.nextSequence)
      return this.close(protocolError('Cannot read ACK: it names a record that was never sent'));
    const sentMs = this.#resend.acknowledge(nextExpected);
    if (sentMs !== undefined) this.#mux?.observeRtt(this.#clock.monotonicMs() - sentMs);
    if (this.#mux?.hasWork) this.#scheduleFlush();
  }

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
    const handshake = this.#outgoing[0];
    if (handshake !== undefined) this.#circuit.requestWrite(handshake.length - LINK_HEADER_BYTES);
    else if (this.#state === 'open' && (this.#acks.isDue || this.#mux?.hasWork))
      this.#circuit.requestWrite(MIN_RECORD_BYTES);
  }

  #writeRecord(): void {
    const mux = this.#mux as Mux;
    const writer = scratchWriter(this.#limits.maxRecordBytes);
    writer.reset(Math.min(this.#limits.maxRecordBytes, this.#circuit.sendableBytes - RECORD_HEADER_BYTES - TAG_BYTES));
    const { next } = this.#replay;
    if (this.#acks.hasNews(next)) {
      writer.ack(next);
      this.#acks.noteSent(next);
    }
    const aboveWindow = this.#resend.bytes - this.#limits.maxSessionWindowBytes;
    if (aboveWindow > 2 * RESEND_SLACK_BYTES)
      return this.close(new SkeinError('SKEIN_LIMIT', 'Cannot keep session: the peer acknowledges nothing'));
    const mayCarryData = aboveWindow <= RESEND_SLACK_BYTES;
    mux.fill(writer, mayCarryData);
    if (writer.length > 0) {
      this.#seal(writer);
      mux.tellDrained();
      this.#requestWrite();
    } else if (mayCarryData && mux.hasWork) {
      this.#circuit.requestWrite(this.#limits.maxRecordBytes); // a head that needs more credit than there is
    } // else an ACK brings the next turn: asking again would be answered at once, for ever
  }

  #seal(writer: FrameWriter): void {
    const cipher = this.#sendCipher as RecordCipher;
    const nowMs = this.#clock.monotonicMs();
    if (this.#epochRecords >= this.#limits.rekeyAfterRecords || nowMs - this.#epochMs >= this.#limits.rekeyAfterMs) {
      cipher.advance();
      this.#epochRecords = 0;
      this.#epochMs = nowMs;
    }
    const sequence = this.#resend.nextSequence;
    if (sequence > MAX_SEQUENCE)
      return this.#abandon(new SkeinError('SKEIN_SESSION_LOST', 'Cannot seal record: the session is at its end'));
    const message = messages.take(MESSAGE_OVERHEAD_BYTES + writer.length);
    writeRecordHeader(message, LINK_HEADER_BYTES, RECORD_DATA, cipher.epoch, sequence);
    cipher.seal(sequence, writer.bytes.subarray(0, writer.length), message, LINK_HEADER_BYTES);
    this.#epochRecords++;
    this.stats.recordsSent++;
    this.#resend.push(message, writer.elicitsAck ? nowMs : undefined);
    if (writer.elicitsAck) this.#watch.noteSent();
    this.#circuit.send(message);
  }

  /** The last record: GOAWAY with the reason, sealed, so that only the peer can have said it. */
  #sayFarewell(error: SkeinError): void {
    const room = this.#circuit.sendableBytes - RECORD_HEADER_BYTES - TAG_BYTES;
    if (room < MIN_RECORD_BYTES) return;
    const writer = scratchWriter(this.#limits.maxRecordBytes);
    writer.reset(Math.min(this.#limits.maxRecordBytes, room));
    this.#mux?.goAway(error, true);
    this.#mux?.fill(writer, false);
    if (writer.length > 0) this.#seal(writer);
  }

  #abandon(error: SkeinError): void {
    if (this.#state === 'closed') return;
    this.#end(error);
    this.#circuit.close(toWireCode(error.code));
  }

  #end(error: SkeinError): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#timer.cancel();
    this.#acks.cancel();
    this.#watch.cancel();
    this.#sweepTimer?.cancel();
    this.#early = [];
    this.#outgoing = [];
    this.#rejectReady(error);
    this.#mux?.close(error);
    this.#options.onClose(error);
  }
}

const messages = new MessagePool();

let scratch: FrameWriter | undefined;

/** One plaintext buffer for all sessions: sealing is synchronous, so no two records are ever built at once. */
function scratchWriter(bytes: number): FrameWriter {
  if (scratch === undefined || scratch.bytes.length < bytes) scratch = new FrameWriter(new Uint8Array(bytes));
  return scratch;
}
