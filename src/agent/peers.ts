/** Peers: sessions with other members, one for all requests to an instance; made when needed, through a circuit of the hub. */

import type { Endpoint } from '../catalog/endpoint.ts';
import type { Push } from '../control/messages.ts';
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
import { Session } from '../tunnel/session.ts';
import type { IncomingStream } from '../tunnel/stream.ts';
import { createDenialLog } from './denials.ts';
import type { HubConnection } from './hub-connection.ts';
import type { Identity } from './identity.ts';
import type { AgentLimits } from './options.ts';
import { checkServes, Peer } from './peer.ts';

export interface PeersOptions {
  readonly platform: Platform;
  readonly identity: Identity;
  /** This process, as others find it in the catalogue. */
  readonly instance: string;
  readonly staticKey: X25519KeyPair;
  readonly limits: AgentLimits;
  readonly log: Logger;
  readonly observer: TunnelObserver | undefined;
  /** The hub through which circuits are opened, or undefined while there is none. */
  readonly route: () => HubConnection | undefined;
  /** The way to services of this very instance. */
  readonly local: Upstream;
  readonly onStream: (stream: IncomingStream, caller: SpiffeId) => void;
}

const SWEEP_MS = 15_000;

export class Peers implements Connector {
  readonly #options: PeersOptions;
  /** By instance. */
  readonly #peers = new Map<string, Set<Peer>>();
  /** Sessions on their way, by instance; requests share them. */
  readonly #pending = new Map<string, Promise<Peer>>();
  /** Sessions of others whose handshake is not done. */
  readonly #halfOpen = new Set<Session>();
  readonly #sweep: Timer;
  /** Others decide how often they are refused. */
  readonly #refusals: Logger;
  #size = 0;
  #isDraining = false;
  #closedBy: SkeinError | undefined;

  constructor(options: PeersOptions) {
    this.#options = options;
    this.#refusals = createDenialLog(options.log, options.platform.clock, options.limits);
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

  connect(endpoint: Endpoint): Upstream | Promise<Upstream> {
    if (this.#closedBy !== undefined) throw this.#closedBy;
    if (endpoint.instance === this.#options.instance) return this.#options.local;
    const open = this.#find(endpoint);
    if (open !== undefined) {
      checkServes(open, endpoint);
      return open;
    }
    return this.#share(endpoint).then((peer) => {
      checkServes(peer, endpoint);
      return peer;
    });
  }

  /** The hub announces a circuit that another member has opened to here. */
  accept({ circuit: id, instance }: Push<'circuit'>, hub: HubConnection): void {
    let circuit: Circuit;
    try {
      circuit = hub.adoptCircuit(id);
    } catch (thrown) {
      this.#refusals.log('warn', 'circuit-refused', { instance, error: toSkeinError(thrown).message });
      return;
    }
    if (this.#isFullFor(instance) || this.#isDraining || this.#closedBy !== undefined) {
      this.#refusals.log('warn', 'circuit-refused', { instance, error: 'too many sessions, or leaving' });
      circuit.close(toWireCode(this.#isDraining ? 'SKEIN_DRAINING' : 'SKEIN_LIMIT'));
      return;
    }
    const session = this.#start('responder', circuit, instance, undefined);
    this.#halfOpen.add(session);
    hub.channel.call('acceptCircuit', { circuit: id }).catch((thrown) => session.close(toSkeinError(thrown)));
    session.ready.then(
      () => this.#halfOpen.delete(session),
      (error: SkeinError) => {
        this.#halfOpen.delete(session);
        this.#refusals.log('warn', 'session-refused', { instance, reason: error.reason, error: error.message });
      },
    );
  }

  /** Handshakes on their way count as well: else who begins many at once would pass by every limit. */
  #isFullFor(instance: string): boolean {
    const { maxSessionsPerPeer, maxSessions, maxHalfOpen } = this.#options.limits;
    let count = this.#peers.get(instance)?.size ?? 0;
    for (const session of this.#halfOpen) if (session.remoteInstance === instance) count++;
    const total = this.#size + this.#halfOpen.size;
    return count >= maxSessionsPerPeer || total >= maxSessions || this.#halfOpen.size >= maxHalfOpen;
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
    for (const peer of [...this.all()]) peer.session.close(error);
    for (const session of [...this.#halfOpen]) session.close(error);
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

  async #dial({ instance, id, service }: Endpoint): Promise<Peer> {
    const { limits, log, route } = this.#options;
    const hub = route();
    try {
      if (hub === undefined) throw new SkeinError('SKEIN_HUB_UNREACHABLE', 'no hub is connected');
      if ((this.#peers.get(instance)?.size ?? 0) >= limits.maxSessionsPerPeer || this.#size >= limits.maxSessions) {
        throw new SkeinError('SKEIN_LIMIT', 'there are too many sessions');
      }
      const session = this.#start('initiator', await hub.openCircuit(instance), instance, id);
      await session.ready;
      return this.#peerOf(session);
    } catch (thrown) {
      const cause = toSkeinError(thrown, 'SKEIN_PEER_UNREACHABLE');
      log.log('warn', 'peer-unreachable', { instance, id, service, reason: cause.reason, error: cause.message });
      throw new SkeinError(cause.code, `Cannot reach instance "${instance}" of "${service}": ${cause.message}`, {
        cause,
      });
    }
  }

  #peerOf(session: Session): Peer {
    for (const peer of this.#peers.get(session.remoteInstance) ?? []) if (peer.session === session) return peer;
    throw new SkeinError('SKEIN_SESSION_LOST', 'Cannot use session: it ended as soon as it began', {
      notProcessed: true,
    });
  }

  #start(role: HandshakeRole, circuit: Circuit, instance: string, expected: string | undefined): Session {
    const { platform, identity, staticKey, observer, onStream } = this.#options;
    const session: Session = new Session({
      role,
      circuit,
      authenticator: identity.peerAuthenticator(expected),
      crypto: platform.crypto,
      clock: platform.clock,
      random: platform.random,
      trustDomain: identity.trustDomain,
      localInstance: this.#options.instance,
      remoteInstance: instance,
      staticKey,
      onStream: (stream) => {
        // Streams come only once the peer is known: the session opens with its identity.
        const peer = session.peer;
        if (peer === undefined)
          stream.reset(new SkeinError('SKEIN_REFUSED', 'Cannot take stream: its peer is unknown'));
        else onStream(stream, peer.id);
      },
      onClose: (error) => {
        observer?.forgetSession(session);
        this.#forget(session, error);
      },
    });
    observer?.watchSession(session);
    session.ready.then(
      () => this.#add(session),
      () => undefined, // onClose tells
    );
    return session;
  }

  #add(session: Session): void {
    const { platform, log } = this.#options;
    const identity = session.peer;
    if (!session.isOpen || identity === undefined) return;
    const { clock, decodeLatin1 } = platform;
    const peer = new Peer({ session, identity, clock, decodeLatin1 });
    const peers = this.#peers.get(peer.instance);
    if (peers === undefined) this.#peers.set(peer.instance, new Set([peer]));
    else peers.add(peer);
    this.#size++;
    log.log('info', 'session-opened', { instance: peer.instance, id: peer.id.uri, session: session.id });
    if (this.#closedBy !== undefined) session.close(this.#closedBy);
    else if (this.#isDraining) session.goAway('Cannot take stream: this instance is leaving');
  }

  #forget(session: Session, error: SkeinError): void {
    const { log } = this.#options;
    const peers = this.#peers.get(session.remoteInstance);
    for (const peer of peers ?? []) {
      if (peer.session !== session) continue;
      peer.release();
      peers?.delete(peer);
      if (peers?.size === 0) this.#peers.delete(session.remoteInstance);
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
      if (peer.session.openStreams > 0) {
        peer.usedMs = nowMs;
      } else if (peer.isUsable) {
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
