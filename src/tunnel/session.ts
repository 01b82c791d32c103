/** `Session`: the encrypted association of two identities — handshake, records in both directions, and the paths they take. */

import type { HeadedStream } from '../core/byte-stream.ts';
import { type Bytes, EMPTY, toHex } from '../core/bytes.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Crypto, X25519KeyPair } from '../core/platform.ts';
import type { Random } from '../core/random.ts';
import type { TokenBucket } from '../core/token-bucket.ts';
import { type Circuit, LINK_HEADER_BYTES, toKept } from './circuit.ts';
import { toWireCode } from './codes.ts';
import type { Authenticator, HandshakeRole, PeerIdentity } from './handshake.ts';
import type { MuxStats } from './mux-stats.ts';
import { resolveTunnelOptions, type TunnelOptions } from './options.ts';
import { Path, type PathInfo, type PathStatus } from './path.ts';
import type { BudgetMember, ReplayBudget } from './replay-budget.ts';
import { SessionHandshake, type SessionKeys } from './session-handshake.ts';
import { type SessionHost, SessionParts } from './session-parts.ts';
import { createSessionStats } from './session-stats.ts';
import type { IncomingStream, StreamKind } from './stream.ts';
import type { UnreadBudget } from './unread-budget.ts';

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
  readonly unreadBudget?: UnreadBudget;
  /** How many streams the peer may take back before they are answered, over all its sessions. @default as many in each session */
  readonly resetsOf?: (peer: PeerIdentity) => TokenBucket;
  /** Paths have come or gone, or another one is used, or none is there. */
  readonly onPaths?: () => void;
  /** There is a path again, after so long without any. */
  readonly onResumed?: (afterMs: number) => void;
  /** The other end has something to say about ways to it; at most 4 KiB, sealed as everything. */
  readonly onPathMessage?: (message: Bytes) => void;
  /** Called once, after `ready` was settled and every stream was told. */
  readonly onClose: (error: SkeinError) => void;
  readonly limits?: Partial<TunnelOptions>;
}

/** Who is asked and told as long as it lives. */
interface Owner {
  readonly replayBudget: ReplayBudget | undefined;
  readonly onPaths: (() => void) | undefined;
  readonly onClose: (error: SkeinError) => void;
}

export class Session implements SessionHost, BudgetMember {
  readonly ready: Promise<PeerIdentity>;
  readonly stats = createSessionStats();
  /** Undefined behind the handshake: what only that needs is large. */
  #options: SessionOptions | undefined;
  readonly #owner: Owner;
  readonly #limits: TunnelOptions;
  readonly #clock: Clock;
  /** The path of the handshake. */
  readonly #first: Path;
  #state: 'handshake' | 'open' | 'closed' = 'handshake';
  #handshake: SessionHandshake | undefined;
  /** Handshake steps wait for signatures; records that come meanwhile wait here, bounded by the circuit's credit. */
  #handshakeStep: Promise<void> = Promise.resolve();
  #handshakeTimer: Timer | undefined;
  #early: Bytes[] = [];
  #peer: PeerIdentity | undefined;
  #peersFault: SkeinError | undefined;
  #remoteInstance: string;
  #sessionId: Bytes = EMPTY;
  /** Written out when somebody asks for it: a hub never does. */
  #id = '';
  /** Set by the end of the handshake, and kept behind the end of the session. */
  #parts: SessionParts | undefined;
  #resolveReady: (peer: PeerIdentity) => void = nothing;
  #rejectReady: (error: SkeinError) => void = nothing;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#owner = { replayBudget: options.replayBudget, onPaths: options.onPaths, onClose: options.onClose };
    this.#limits = resolveTunnelOptions(options.limits);
    this.#clock = options.clock;
    this.#remoteInstance = options.remoteInstance;
    const { circuit, clock, path = UNNAMED_PATH } = options;
    this.#first = new Path(circuit, path, this, clock.monotonicMs());
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    this.ready.catch(() => undefined); // the owner also hears of it through onClose
    this.#handshakeTimer = this.#clock.setTimer(this.#limits.handshakeTimeoutMs, () => {
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

  /** What the peer did against the protocol, sealed and so itself, that ended the session; undefined: nothing. */
  get peersFault(): SkeinError | undefined {
    return this.#peersFault;
  }

  /** The session id, hexadecimal; empty before the handshake is done. */
  get id(): string {
    if (this.#id === '') this.#id = toHex(this.#sessionId);
    return this.#id;
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
    return this.#parts?.mux.isDraining ?? false;
  }

  get openStreams(): number {
    return this.#parts?.mux.openStreams ?? 0;
  }

  /** Smallest round trip of the last 10 s, in milliseconds; 0 before the first. */
  get rttMs(): number {
    return this.#parts?.mux.rttMs ?? 0;
  }

  get muxStats(): MuxStats | undefined {
    return this.#parts?.mux.stats;
  }

  /** Sealed bytes kept for a resend, and received bytes nobody has read: what this session pins. */
  get pinnedBytes(): { readonly resend: number; readonly unread: number; readonly reorder: number } {
    return {
      resend: this.keptBytes,
      unread: this.#parts?.mux.unreadBytes ?? 0,
      reorder: this.#parts?.receiver.aheadBytes ?? 0,
    };
  }

  get keptBytes(): number {
    return this.#parts?.sender.keptBytes ?? 0;
  }

  // Paths.

  get paths(): readonly PathStatus[] {
    return this.#parts?.paths.status ?? [];
  }

  /** What records of this end travel by; undefined while there is none. */
  get activePath(): PathInfo | undefined {
    return this.#parts?.paths.active?.info;
  }

  /** Since when the session has no path, in monotonic milliseconds; undefined while it has one. */
  get detachedMs(): number | undefined {
    return this.#parts?.paths.detachedMs;
  }

  get isDetached(): boolean {
    return this.detachedMs !== undefined;
  }

  /** Nothing was heard of the peer for longer than usual: what is new should rather go elsewhere. */
  get isSuspect(): boolean {
    const { paths } = this.#parts ?? {};
    return paths?.isOverdue || (paths?.active?.isSuspect ?? false);
  }

  /** This end has opened `circuit` to the peer, as another way to it. */
  offerPath(circuit: Circuit, info: PathInfo): void {
    if (this.#parts === undefined || this.#state !== 'open') circuit.close(toWireCode('SKEIN_SESSION_LOST'));
    else this.#parts.paths.offer(circuit, info);
  }

  /** The peer says on `circuit`, by `first`, that it is another way to it. False, and the circuit is closed: it lied. */
  acceptPath(circuit: Circuit, info: PathInfo, first: Bytes): boolean {
    if (this.#parts === undefined || this.#state !== 'open') {
      circuit.close(toWireCode('SKEIN_SESSION_LOST'));
      return false;
    }
    circuit.consumed(first.length - LINK_HEADER_BYTES);
    return this.#parts.paths.accept(circuit, info, first);
  }

  /** Goes on elsewhere as soon as there is another path, and closes the matching ones; nothing is lost. */
  leavePath(match: (info: PathInfo) => boolean): void {
    this.#parts?.paths.leave(match);
  }

  /** Moves to a matching path; false when none carries. It may move again when another is better. */
  preferPath(match: (info: PathInfo) => boolean): boolean {
    return this.#parts?.paths.prefer(match) ?? false;
  }

  /** Tells the peer something about ways to this end, at most 4 KiB. @throws SkeinError SKEIN_LIMIT */
  sendPathMessage(message: Bytes): void {
    if (this.#state === 'open') this.#parts?.outgoing.sendPathMessage(message);
  }

  /**
   * Opens a stream; `block[0..length)` is the meta of OPEN. Data may follow at once, no answer is awaited.
   * @throws SkeinError SKEIN_DRAINING, SKEIN_LIMIT, SKEIN_SESSION_LOST; the peer saw nothing
   */
  openStream(kind: StreamKind, block: Bytes, length: number, complete: boolean): HeadedStream {
    if (this.#parts === undefined)
      throw new SkeinError('SKEIN_SESSION_LOST', 'Cannot open stream: the session is not open', { notProcessed: true });
    return this.#parts.mux.open(kind, block, length, complete);
  }

  /** Asks the peer to open no more streams; those that are open go on. */
  goAway(reason: string): void {
    this.#parts?.mux.goAway(new SkeinError('SKEIN_DRAINING', reason), false);
  }

  /** Ends the session: the peer is told inside it, streams are reset on both sides. */
  close(error: SkeinError): void {
    if (this.#state === 'open') this.#parts?.outgoing.sayFarewell(error);
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
    if (this.#state === 'open') this.#parts?.incoming.receive(path, message);
  }

  onPathWritable(path: Path): void {
    if (this.#state === 'open') this.#parts?.outgoing.onWritable(path);
  }

  onPathClose(path: Path, error: SkeinError): void {
    const told =
      error.code === 'SKEIN_CANCELLED'
        ? new SkeinError('SKEIN_SESSION_LOST', 'Cannot use session: the peer left', { cause: error })
        : error;
    if (this.#parts === undefined) this.#end(told);
    else this.#parts.paths.onClose(path, told);
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

  #open(keys: SessionKeys): void {
    this.#endHandshake();
    this.#state = 'open';
    this.#sessionId = keys.sessionId;
    this.#remoteInstance = keys.remoteInstance;
    const options = this.#options as SessionOptions;
    this.#options = undefined;
    const parts = new SessionParts(this, this.#first, keys, this.#limits, options);
    this.#parts = parts;
    this.#owner.replayBudget?.join(this);
    if (keys.outcome instanceof SkeinError) return this.close(keys.outcome);
    this.#peer = keys.outcome;
    parts.mux.ping();
    this.#resolveReady(keys.outcome);
    this.#resolveReady = nothing;
    this.#rejectReady = nothing;
    const early = this.#early;
    this.#early = [];
    for (const message of early) this.onPathMessage(this.#first, message);
  }

  #endHandshake(): void {
    this.#handshakeTimer?.cancel();
    this.#handshakeTimer = undefined;
    this.#handshake = undefined;
  }

  // What the parts tell.

  onBroken(error: SkeinError): void {
    if (error.details.isPeersWord !== true) this.#peersFault = error;
    this.close(error);
  }

  onHopeless(error: SkeinError): void {
    this.#abandon(error);
  }

  onChange(): void {
    const { paths, outgoing, mux } = this.#parts as SessionParts;
    this.stats.pathSwitches = paths.switches;
    if (this.isDetached) {
      outgoing.onDetached();
      this.#owner.replayBudget?.enforce();
      if (this.isSuspect) mux.failUnsent();
    }
    if (this.#state === 'open') this.#owner.onPaths?.();
  }

  // The end.

  #abandon(error: SkeinError): void {
    if (this.#state === 'closed') return;
    this.#end(error);
    const code = toWireCode(error.code);
    if (this.#parts === undefined) this.#first.close(code);
    else this.#parts.paths.close(code);
  }

  #end(error: SkeinError): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#endHandshake();
    this.#options = undefined;
    this.#early = [];
    this.#owner.replayBudget?.leave(this);
    this.#rejectReady(error);
    this.#parts?.end(error);
    this.#owner.onClose(error);
  }
}

function nothing(): void {}

const UNNAMED_PATH: PathInfo = { kind: 'direct', via: '' };
