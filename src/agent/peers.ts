/** Peers: sessions with other members, one for all requests to an instance; made when needed, through a circuit of the hub. */

import type { Endpoint } from '../catalog/endpoint.ts';
import type { Push } from '../control/messages.ts';
import type { Bytes } from '../core/bytes.ts';
import { setPeriodic, type Timer } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Platform, X25519KeyPair } from '../core/platform.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';
import type { Connector, Upstream } from '../router/upstream.ts';
import type { TunnelObserver } from '../telemetry/observe.ts';
import type { Circuit } from '../tunnel/circuit.ts';
import { toWireCode } from '../tunnel/codes.ts';
import type { HandshakeRole } from '../tunnel/handshake.ts';
import type { PathInfo, PathStatus } from '../tunnel/path.ts';
import { refuseAttach } from '../tunnel/path-records.ts';
import { ReplayBudget } from '../tunnel/replay-budget.ts';
import { Session } from '../tunnel/session.ts';
import type { IncomingStream } from '../tunnel/stream.ts';
import { UnreadBudget } from '../tunnel/unread-budget.ts';
import { Admission, type AdmissionQuota } from './admission.ts';
import { createDenialLog } from './denials.ts';
import type { DirectHooks } from './direct-paths.ts';
import type { HubConnection } from './hub-connection.ts';
import type { Identity } from './identity.ts';
import type { AgentLimits } from './options.ts';
import { PathWatch } from './path-watch.ts';
import { checkServes, Peer } from './peer.ts';
import { PeerDialler } from './peer-dialler.ts';
import { Reattach } from './reattach.ts';
import type { RefusalPace } from './refusal-pace.ts';
import { Standby } from './standby.ts';

export interface PeersOptions {
  readonly platform: Platform;
  readonly identity: Identity;
  /** This process, as others find it in the catalogue. */
  readonly instance: string;
  readonly staticKey: X25519KeyPair;
  readonly limits: AgentLimits;
  readonly pace: RefusalPace;
  readonly log: Logger;
  readonly observer: TunnelObserver | undefined;
  /** Hubs through which circuits are opened, the preferred one first. */
  readonly routes: () => readonly HubConnection[];
  /** Whether a peer that no hub has a link to can be taken for gone. */
  readonly areHubsSteady: () => boolean;
  /** Looks for ways around the hubs. */
  readonly direct?: DirectHooks | undefined;
  /** The way to services of this very instance. */
  readonly local: Upstream;
  readonly onStream: (stream: IncomingStream, caller: SpiffeId) => void;
  /** An instance was not heard for a while, on any session. */
  readonly onSuspect: (instance: string) => void;
  /** An instance has had no way to here for a while, and no link to any hub. */
  readonly onGone: (instance: string) => void;
}

const SWEEP_MS = 15_000;
/** A request to an instance out of reach waits so long for it to come back, if there is no other; then it fails. */
const REATTACH_WAIT_MS = 8_000;
/**
 * When hubs that have been here for long all say for so long that the instance has no link to them, it is waited for no more, by
 * requests that did not reach it and by those that wait for the beginning of an answer. A sidecar that has lost its links dials
 * at once, and again within half a second: one that is still not there has died, or its network is away.
 */
const GONE_MS = 4_000;
export class Peers implements Connector {
  readonly #options: PeersOptions;
  /** By instance. */
  readonly #peers = new Map<string, Set<Peer>>();
  /** Sessions on their way, by instance; requests share them. */
  readonly #pending = new Map<string, Promise<Peer>>();
  /** Open sessions by their id. */
  readonly #sessions = new Map<string, Session>();
  readonly #paths: PathWatch;
  readonly #reattach: Reattach;
  readonly #standby: Standby;
  readonly #budget: ReplayBudget;
  readonly #unread: UnreadBudget;
  readonly #sweep: Timer;
  /** Others decide how often they are refused. */
  readonly #refusals: Logger;
  readonly #admission: Admission;
  readonly #dialler: PeerDialler;
  #size = 0;
  #isDraining = false;
  #closedBy: SkeinError | undefined;

  constructor(options: PeersOptions) {
    this.#options = options;
    const { platform, routes, log, limits } = options;
    this.#refusals = createDenialLog(log, platform.clock, limits);
    this.#admission = new Admission({
      clock: platform.clock,
      limits,
      refusals: this.#refusals,
      countSessions: (instance) => (instance === undefined ? this.#size : (this.#peers.get(instance)?.size ?? 0)),
      sessions: () => this.#sessions.values(),
      state: () => (this.#closedBy !== undefined ? 'closed' : this.#isDraining ? 'draining' : 'open'),
      startSession: (circuit, instance, path, first) =>
        this.#start('responder', circuit, instance, path, undefined, first),
      acceptPath: (circuit, path, sessionId, first) => this.acceptPath(circuit, path, sessionId, first),
    });
    this.#dialler = new PeerDialler({
      ...{ clock: platform.clock, routes },
      startSession: (circuit, instance, path, id) => this.#start('initiator', circuit, instance, path, id),
    });
    this.#paths = new PathWatch(platform.clock, log, this.#refusals, options.onSuspect);
    this.#budget = new ReplayBudget(limits.replayBudgetBytes);
    this.#unread = new UnreadBudget(limits.unreadBudgetBytes);
    const ways = { clock: platform.clock, random: platform.random, log, routes };
    const { areHubsSteady } = options;
    this.#reattach = new Reattach({
      ...{ ...ways, areHubsSteady },
      onAbsent: (session, forMs) => this.#onAbsent(session, forMs),
    });
    this.#standby = new Standby({ ...ways, peers: () => this.all() });
    this.#sweep = setPeriodic(options.platform.clock, SWEEP_MS, () => this.#closeIdle());
  }

  get size(): number {
    return this.#size;
  }

  *all(): IterableIterator<Peer> {
    for (const peers of this.#peers.values()) yield* peers;
  }

  /** Streams open on all sessions. */
  get openStreams(): number {
    let streams = 0;
    for (const peer of this.all()) streams += peer.session.openStreams;
    return streams;
  }

  /** An open session, by its id; also one whose peer is out of reach. */
  session(id: string): Session | undefined {
    return this.#sessions.get(id);
  }

  sessions(): IterableIterator<Session> {
    return this.#sessions.values();
  }

  /** How often others asked for more than they may have here. */
  get quotasCrossed(): ReadonlyMap<AdmissionQuota, number> {
    return this.#admission.crossed;
  }

  /** What is held for readers that sleep. */
  get unread(): UnreadBudget {
    return this.#unread;
  }

  /** What is kept for sending again. */
  get budget(): ReplayBudget {
    return this.#budget;
  }

  get hasSuspects(): boolean {
    return this.#paths.hasAvoided;
  }

  isSuspect({ instance }: Endpoint): boolean {
    return this.#paths.isAvoided(instance);
  }

  rttMs({ instance }: Endpoint): number | undefined {
    let leastMs: number | undefined;
    for (const { session } of this.#peers.get(instance) ?? []) {
      const { rttMs } = session;
      if (rttMs > 0 && (leastMs === undefined || rttMs < leastMs)) leastMs = rttMs;
    }
    return leastMs;
  }

  /** A hub has come into use. */
  onRoute(hub: HubConnection): void {
    this.#reattach.onRoute();
    this.#standby.onRoute(hub.url);
  }

  /** A hub goes away: sessions move to other hubs, where there are any, before it has gone. */
  leaveHub(hub: HubConnection): void {
    this.#reattach.leave(hub.url, [...this.all()]);
  }

  /** Would a stream lose its way with `hub`? */
  isUsing({ url }: HubConnection): boolean {
    const isBy = ({ kind, via }: PathStatus): boolean => kind === 'relay' && via === url;
    for (const session of this.#sessions.values()) {
      if (session.openStreams === 0) continue;
      const { paths } = session;
      if (paths.some(isBy) && !paths.some((path) => path.state === 'active' && !isBy(path))) return true;
    }
    return false;
  }

  /** Is there a stream whose peer is out of reach? */
  get hasWaitingStreams(): boolean {
    for (const session of this.#sessions.values()) if (session.isDetached && session.openStreams > 0) return true;
    return false;
  }

  connect(endpoint: Endpoint): Upstream | Promise<Upstream> {
    if (this.#closedBy !== undefined) throw this.#closedBy;
    if (endpoint.instance === this.#options.instance) return this.#options.local;
    const open = this.#find(endpoint);
    if (open !== undefined) {
      checkServes(open, endpoint, this.#options.observer, this.#refusals);
      return open;
    }
    return this.#share(endpoint).then((peer) => {
      checkServes(peer, endpoint, this.#options.observer, this.#refusals);
      return peer;
    });
  }

  /** The hub announces a circuit that another member has opened to here. */
  accept(push: Push<'circuit'>, hub: HubConnection): void {
    this.#admission.accept(push, hub);
  }

  /** Somebody says that `circuit` is another path of a session that is here. False: it is not, and the circuit is closed. */
  acceptPath(circuit: Circuit, path: PathInfo, sessionId: string, first: Bytes): boolean {
    const session = this.#sessions.get(sessionId);
    if (session !== undefined) return session.acceptPath(circuit, path, first);
    const code = toWireCode('SKEIN_SESSION_LOST');
    circuit.send(refuseAttach(first, code));
    circuit.close(code);
    return false;
  }

  /** Others are revoked from now on, or a key of the issuer is gone: sessions with whom that means end. */
  reconsider(): void {
    for (const { session } of [...this.all()]) {
      const why = session.peer && this.#options.identity.whyNot(session.peer, 'Cannot keep session');
      if (why !== undefined) session.close(why);
    }
  }

  /** A hub says that nobody will have this member any more: what waits for a way back waits in vain. What has one is not for a hub to end. */
  giveUpLost(error: SkeinError): void {
    for (const { session } of [...this.all()]) if (session.isDetached) session.close(error);
  }

  /** Asks every peer to open no more streams; those that are open go on. */
  drain(): void {
    this.#isDraining = true;
    for (const peer of this.all()) peer.session.goAway('Cannot take stream: this instance is leaving');
  }

  close(error: SkeinError): void {
    if (this.#closedBy !== undefined) return;
    this.#closedBy = error;
    this.#sweep.cancel();
    this.#reattach.close();
    this.#standby.close();
    this.#paths.close();
    for (const peer of [...this.all()]) peer.session.close(error);
    this.#admission.close(error);
  }

  /** The usable session with the fewest streams, whoever made it. */
  #find({ instance, id }: Endpoint): Peer | undefined {
    let best: Peer | undefined;
    for (const peer of this.#peers.get(instance) ?? []) {
      if (!peer.isUsable || peer.id.uri !== id) continue;
      if (best === undefined || peer.session.openStreams < best.session.openStreams) best = peer;
    }
    return best;
  }

  #share(endpoint: Endpoint): Promise<Peer> {
    const key = `${endpoint.instance} ${endpoint.id}`;
    const pending = this.#pending.get(key);
    if (pending !== undefined) return pending;
    const dialled = this.#dial(endpoint).finally(() => this.#pending.delete(key));
    this.#pending.set(key, dialled);
    return dialled;
  }

  async #dial(endpoint: Endpoint): Promise<Peer> {
    const { instance, id, service } = endpoint;
    const { log } = this.#options;
    try {
      const back = await this.#awaitReturn(endpoint);
      return back ?? (await this.#dialByAny(instance, id));
    } catch (thrown) {
      const cause = toSkeinError(thrown, 'SKEIN_PEER_UNREACHABLE');
      if (cause.code === 'SKEIN_NO_ENDPOINT') this.#paths.noteAbsent(instance);
      log.log('warn', 'peer-unreachable', { instance, id, service, reason: cause.reason, error: cause.message });
      throw new SkeinError(cause.code, `Cannot reach instance "${instance}" of "${service}": ${cause.message}`, {
        cause,
      });
    }
  }

  /** A session with it that has lost its way may find another one; undefined when there is none, or it did not come back in time. */
  async #awaitReturn({ instance, id }: Endpoint): Promise<Peer | undefined> {
    const peer = [...(this.#peers.get(instance) ?? [])].find((other) => other.mayReturn && other.id.uri === id);
    if (peer === undefined) return undefined;
    await peer.returned(REATTACH_WAIT_MS);
    return peer.isUsable ? peer : undefined;
  }

  async #dialByAny(instance: string, id: string): Promise<Peer> {
    const { limits } = this.#options;
    if ((this.#peers.get(instance)?.size ?? 0) >= limits.maxSessionsPerPeer || this.#size >= limits.maxSessions) {
      throw new SkeinError('SKEIN_LIMIT', 'there are too many sessions');
    }
    return this.#peerOf(await this.#dialler.dial(instance, id));
  }

  #peerOf(session: Session): Peer {
    for (const peer of this.#peers.get(session.remoteInstance) ?? []) if (peer.session === session) return peer;
    throw new SkeinError('SKEIN_SESSION_LOST', 'Cannot use session: it ended as soon as it began', {
      notProcessed: true,
    });
  }

  #start(
    role: HandshakeRole,
    circuit: Circuit,
    instance: string,
    path: PathInfo,
    expected: string | undefined,
    firstRecord?: Bytes,
  ): Session {
    const { platform, identity, staticKey, observer, onStream, pace, direct } = this.#options;
    const session: Session = new Session({
      role,
      circuit,
      authenticator: identity.peerAuthenticator(expected, instance),
      crypto: platform.crypto,
      clock: platform.clock,
      random: platform.random,
      trustDomain: identity.trustDomain,
      localInstance: this.#options.instance,
      remoteInstance: instance,
      staticKey,
      path,
      isResumable: true,
      replayBudget: this.#budget,
      unreadBudget: this.#unread,
      resetsOf: (peer) => this.#admission.resetsOf(peer),
      ...(firstRecord === undefined ? {} : { firstRecord }),
      onPaths: () => this.#onPaths(session, role),
      onResumed: (afterMs) => observer?.noteResumed(afterMs),
      onPathMessage: (message) => direct?.onPathMessage(session, message),
      onStream: (stream) => {
        // Streams come only once the peer is known: the session opens with its identity.
        const peer = session.peer;
        if (peer === undefined)
          return stream.reset(new SkeinError('SKEIN_REFUSED', 'Cannot take stream: its peer is unknown'));
        const refusal = this.#admission.judgeStream(session);
        if (refusal === undefined) onStream(stream, peer.id);
        else pace.refuse(peer.id, () => stream.reset(refusal));
      },
      onClose: (error) => {
        observer?.forgetSession(session, error);
        this.#admission.noteEnd(session);
        this.#forget(session, error);
      },
    });
    observer?.watchSession(session);
    session.ready.then(
      () => this.#add(session, role),
      () => undefined, // onClose tells
    );
    return session;
  }

  #add(session: Session, role: HandshakeRole): void {
    const { platform, log, direct } = this.#options;
    const identity = session.peer;
    if (!session.isOpen || identity === undefined) return;
    if (this.#sessions.has(session.id)) return this.#refuseTwin(session);
    // The list may have come while its proof was being verified.
    const why = this.#options.identity.whyNot(identity, 'Cannot keep session');
    if (why !== undefined) return session.close(why);
    const { clock, decodeLatin1 } = platform;
    const peer = new Peer({ session, identity, isInitiator: role === 'initiator', clock, decodeLatin1 });
    this.#sessions.set(session.id, session);
    const peers = this.#peers.get(peer.instance);
    if (peers === undefined) this.#peers.set(peer.instance, new Set([peer]));
    else peers.add(peer);
    this.#size++;
    this.#paths.notePresent(peer.instance);
    log.log('info', 'session-opened', { instance: peer.instance, id: peer.id.uri, session: session.id });
    if (this.#closedBy !== undefined) session.close(this.#closedBy);
    else if (this.#isDraining) session.goAway('Cannot take stream: this instance is leaving');
    if (session.isOpen) direct?.onSession(session, role);
    this.#onPaths(session, role); // it may have lost its path already
  }

  /** Whoever opens a session chooses its id, and hubs see those of others: taking one would keep its owner from resuming. */
  #refuseTwin(session: Session): void {
    const error = new SkeinError('SKEIN_PROTOCOL', 'Cannot keep session: its id is that of another one');
    const { reason, message } = error;
    this.#refusals.log('warn', 'session-refused', { instance: session.remoteInstance, reason, error: message });
    session.close(error);
  }

  #onPaths(session: Session, role: HandshakeRole): void {
    if (this.#sessions.get(session.id) !== session) return;
    this.#options.direct?.onPaths(session);
    this.#reattach.consider(session, role === 'initiator');
    this.#paths.note(session, this.#peers.get(session.remoteInstance) ?? []);
  }

  /** No hub has had a link to the peer for so long. */
  #onAbsent({ remoteInstance: instance }: Session, forMs: number): void {
    if (forMs < GONE_MS || !this.#paths.isSuspect(instance)) return;
    for (const peer of this.#peers.get(instance) ?? []) peer.stopWaiting();
    this.#options.onGone(instance);
  }

  #forget(session: Session, error: SkeinError): void {
    const { log, direct } = this.#options;
    const peers = this.#peers.get(session.remoteInstance);
    if (this.#sessions.get(session.id) === session) {
      this.#sessions.delete(session.id);
      direct?.forget(session);
    }
    for (const peer of peers ?? []) {
      if (peer.session !== session) continue;
      this.#paths.tellDistrusted(peer);
      peer.release();
      peers?.delete(peer);
      if (peers?.size === 0) {
        this.#peers.delete(session.remoteInstance);
        this.#paths.forget(session.remoteInstance);
      }
      this.#size--;
      log.log('info', 'session-closed', {
        instance: peer.instance,
        id: peer.id.uri,
        session: session.id,
        reason: error.reason,
      });
    }
  }

  /** First the peer is asked to open nothing more, so that no request of it crosses the end. */
  #closeIdle(): void {
    const { platform, limits } = this.#options;
    const nowMs = platform.clock.monotonicMs();
    for (const peer of [...this.all()]) {
      peer.noteUse();
      if (peer.session.openStreams > 0) continue;
      if (peer.isUsable) {
        if (nowMs - peer.usedMs < limits.idleSessionMs) continue;
        peer.retire();
        peer.session.goAway('Cannot take stream: this session was idle');
      } else if (nowMs - peer.usedMs >= limits.idleSessionMs + SWEEP_MS) {
        peer.session.close(
          new SkeinError('SKEIN_SESSION_LOST', 'Cannot use session: it was idle', { notProcessed: true }),
        );
      }
    }
  }
}
