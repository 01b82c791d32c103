/**
 * `SessionParts`: what an open session is made of, and what its parts ask and tell each other. It is one object for all of them: a hub has thousands of
 * sessions that do nothing, and a closure for each question was a tenth of what it held for one.
 */

import type { Bytes } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import type { Crypto } from '../core/platform.ts';
import { Rounds } from '../core/rounds.ts';
import { TokenBucket } from '../core/token-bucket.ts';
import { AckSchedule } from './ack-schedule.ts';
import { CiphersAhead } from './ciphers-ahead.ts';
import { protocolError } from './codes.ts';
import { DeliveryWatch, type DeliveryWatchOptions } from './delivery-watch.ts';
import type { HandshakeRole, PeerIdentity } from './handshake.ts';
import { IncomingRecords, type IncomingRecordsOptions } from './incoming-records.ts';
import { Mux, type MuxOptions, type PeerSettings } from './mux.ts';
import type { TunnelOptions } from './options.ts';
import { OutgoingRecords, type OutgoingRecordsOptions } from './outgoing-records.ts';
import type { Path, PathHost } from './path.ts';
import { PathRecords } from './path-records.ts';
import { Paths, type PathsOptions } from './paths.ts';
import { RecordReceiver } from './record-receiver.ts';
import { RecordSender } from './record-sender.ts';
import type { ReplayBudget } from './replay-budget.ts';
import type { SessionKeys } from './session-handshake.ts';
import type { SessionStats } from './session-stats.ts';
import type { IncomingStream } from './stream.ts';
import type { UnreadBudget } from './unread-budget.ts';

/** How often it is looked for what is overdue, and for what is held and not needed, in milliseconds. */
const SWEEP_MS = 15_000;

export interface SessionPartsOptions {
  readonly role: HandshakeRole;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly isResumable?: boolean;
  readonly replayBudget?: ReplayBudget;
  readonly unreadBudget?: UnreadBudget;
  readonly resetsOf?: (peer: PeerIdentity) => TokenBucket;
  readonly onStream: (stream: IncomingStream) => void;
  readonly onPathMessage?: (message: Bytes) => void;
  readonly onResumed?: (afterMs: number) => void;
}

/** The session itself, as its parts know it. */
export interface SessionHost extends PathHost {
  readonly stats: SessionStats;
  readonly isOpen: boolean;
  /** The peer broke the protocol, or asks for too much: it is told, and the session ends. */
  onBroken(error: SkeinError): void;
  /** The session cannot go on, and there is nobody who could be told. */
  onHopeless(error: SkeinError): void;
  /** Paths have come or gone, or another one is used, or none is there. */
  onChange(): void;
}

const sweeps = new Rounds<SessionParts>(SWEEP_MS, (parts) => parts.sweep());

export class SessionParts
  implements MuxOptions, PathsOptions, DeliveryWatchOptions, OutgoingRecordsOptions, IncomingRecordsOptions
{
  readonly role: HandshakeRole;
  readonly clock: Clock;
  readonly limits: TunnelOptions;
  readonly stats: SessionStats;
  readonly peer: PeerSettings;
  readonly isResumable: boolean;
  readonly replayBudget: ReplayBudget | undefined;
  readonly unreadBudget: UnreadBudget | undefined;
  readonly resets: TokenBucket;
  readonly onStream: (stream: IncomingStream) => void;
  readonly records: PathRecords;
  readonly sender: RecordSender;
  readonly receiver: RecordReceiver;
  readonly acks: AckSchedule;
  readonly mux: Mux;
  readonly paths: Paths;
  readonly watch: DeliveryWatch;
  readonly outgoing: OutgoingRecords;
  readonly incoming: IncomingRecords;
  readonly #ahead: CiphersAhead;
  readonly #host: SessionHost;
  readonly #onPathMessage: ((message: Bytes) => void) | undefined;
  readonly #onResumed: ((afterMs: number) => void) | undefined;
  #lastRttMs = 0;

  /** @param first the path of the handshake */
  constructor(
    host: SessionHost,
    first: Path,
    { keys, sessionId, settings, outcome }: SessionKeys,
    limits: TunnelOptions,
    options: SessionPartsOptions,
  ) {
    const { clock, crypto, role, replayBudget } = options;
    const nowMs = clock.monotonicMs();
    this.#host = host;
    this.role = role;
    this.clock = clock;
    this.limits = limits;
    this.stats = host.stats;
    this.peer = settings;
    this.isResumable = options.isResumable ?? false;
    this.replayBudget = replayBudget;
    this.unreadBudget = options.unreadBudget;
    const shared = outcome instanceof SkeinError ? undefined : options.resetsOf?.(outcome);
    this.resets = shared ?? new TokenBucket(limits.peerResetsPerSecond, limits.peerResetsBurst, nowMs);
    this.onStream = options.onStream;
    this.#onPathMessage = options.onPathMessage;
    this.#onResumed = options.onResumed;
    this.records = new PathRecords(crypto, role, keys.exporter, sessionId);
    this.sender = new RecordSender(crypto, keys.send, sessionId, limits, replayBudget, nowMs);
    this.receiver = new RecordReceiver(crypto, keys.receive, sessionId, limits.reorderBytes);
    this.acks = new AckSchedule(this);
    this.mux = new Mux(this);
    this.paths = new Paths(this, host, first);
    this.watch = new DeliveryWatch(this);
    this.outgoing = new OutgoingRecords(this);
    this.incoming = new IncomingRecords(this);
    this.#ahead = new CiphersAhead(this.sender, this.receiver);
    sweeps.join(clock, this);
  }

  /** Called now and then. */
  sweep(): void {
    this.mux.sweep();
    this.#ahead.sweep();
    this.sender.trim();
  }

  end(error: SkeinError): void {
    this.acks.cancel();
    this.watch.cancel();
    sweeps.leave(this.clock, this);
    this.outgoing.release();
    this.mux.close(error);
  }

  // Of the session.

  get isOpen(): boolean {
    return this.#host.isOpen;
  }

  onBroken(error: SkeinError): void {
    this.#host.onBroken(error);
  }

  onHopeless(error: SkeinError): void {
    this.#host.onHopeless(error);
  }

  onChange(): void {
    this.#host.onChange();
  }

  // Of the records.

  next(): number {
    return this.receiver.next;
  }

  progress(): number {
    return this.sender.nextSequence + this.receiver.next;
  }

  onWork(): void {
    this.outgoing.scheduleFlush();
  }

  onLull(): void {
    this.#ahead.prepare();
  }

  onAck(nextExpected: number): void {
    if (!this.sender.acknowledge(nextExpected, this.clock.monotonicMs(), this.#onRtt)) {
      return this.onBroken(protocolError('Cannot read ACK: it names a record that was never sent'));
    }
    this.outgoing.onAcknowledged();
  }

  readonly #onRtt = (sampleMs: number): void => {
    this.#lastRttMs = sampleMs;
    this.mux.observeRtt(sampleMs);
  };

  onFence(): void {
    this.acks.hurry();
  }

  // Of the paths.

  onPath(message: Bytes): void {
    this.#onPathMessage?.(message.slice());
  }

  onPeerNext(next: number): void {
    this.onAck(next);
  }

  onActive(): void {
    this.outgoing.onActive();
  }

  onWish(path: Path): void {
    this.outgoing.startFence(path);
  }

  onResumed(afterMs: number): void {
    this.stats.resumes++;
    this.#onResumed?.(afterMs);
  }

  // Of their watch.

  get gapMs(): number {
    return this.limits.gapMs;
  }

  get lostMs(): number {
    return this.limits.ackLostMs;
  }

  patienceMs(): number {
    return this.limits.pathPatienceMs + 2 * this.#lastRttMs;
  }

  oldestSentMs(): number | undefined {
    return this.outgoing.oldestAwaitedMs;
  }

  acknowledged(): number {
    return this.sender.firstSequence;
  }

  heardMs(): number {
    return this.paths.active?.heardMs ?? this.clock.monotonicMs();
  }

  onGap(): void {
    this.incoming.onGap();
  }

  onLost(): void {
    this.paths.distrustActive(protocolError('Cannot use session: the peer acknowledges nothing'));
  }

  onSilence(silentMs: number): void {
    if (this.paths.noteSilence(silentMs)) this.mux.ping(); // where a record is missing, the peer sees the gap by the next one
  }
}
