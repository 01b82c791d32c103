/** One link to the hub from its first byte to its last: handshake, control stream, presence. */

import type { Grant } from '../auth/grant.ts';
import { revoked } from '../auth/revocation.ts';
import type { TrustBundle } from '../auth/trust-bundle.ts';
import { Channel } from '../control/channel.ts';
import { isInstance, type Push } from '../control/messages.ts';
import { splitRevocations } from '../control/revocation-parts.ts';
import { chooseControlVersion } from '../control/version.ts';
import { concatBytes } from '../core/bytes.ts';
import type { Timer } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import { parseIp } from '../core/ip.ts';
import type { Logger } from '../core/log.ts';
import type { MessagePipe, Platform, X25519KeyPair } from '../core/platform.ts';
import type { TunnelObserver } from '../telemetry/observe.ts';
import type { Authenticator, PeerIdentity } from '../tunnel/handshake.ts';
import { Link } from '../tunnel/link.ts';
import { Session } from '../tunnel/session.ts';
import { type IncomingStream, STREAM_KIND } from '../tunnel/stream.ts';
import { type Caller, type CallServices, createCallHandlers } from './calls.ts';
import { type Holders, isVouchedFor, keyRemoved } from './holders.ts';
import type { Member } from './presence.ts';
import type { Publisher } from './publisher.ts';
import type { Subscriber } from './subscriber.ts';

export interface ConnectionOptions extends CallServices {
  readonly platform: Platform;
  readonly log: Logger;
  readonly trustDomain: string;
  /** This start of the hub, as sidecars see it in the handshake. */
  readonly instance: string;
  readonly staticKey: X25519KeyPair;
  readonly authenticator: Authenticator;
  readonly observer: TunnelObserver;
  readonly publisher: Publisher;
  /** The handshake is over; with an error when the link was refused. Called once. */
  readonly onSettled: (error?: SkeinError) => void;
  /** Called once. */
  readonly onClose: () => void;
}

/** Close codes of RFC 6455 §7.4.1. */
const GOING_AWAY = 1001;
const POLICY_VIOLATION = 1008;
/** Clocks differ: a SVID is honoured this long after its end, in milliseconds. */
const EXPIRY_LEEWAY_MS = 30_000;

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #link: Link;
  readonly #observedIp: string | undefined;
  #session: Session | undefined;
  #caller: Caller | undefined;
  #hasJoined = false;
  /** Gives back this link's part in what its key may have; set once it has authenticated. */
  #leaveShare: (() => void) | undefined;
  /** What this link must do next, or be closed: authenticate, open the control stream, renew its SVID. */
  #deadline: Timer;
  #isSettled = false;
  #isClosed = false;

  constructor(pipe: MessagePipe, options: ConnectionOptions) {
    const { platform, limits, observer } = options;
    this.#options = options;
    const leftMs = Math.max(0, limits.authTimeoutMs - (pipe.waitedMs ?? 0));
    this.#deadline = this.#setDeadline(leftMs, 'SKEIN_HANDSHAKE', 'it did not authenticate in time');
    this.#observedIp = pipe.isProxied
      ? undefined
      : parseIp((pipe.remoteAddress ?? '').replace(/^\[?(.*?)\]?:\d+$/, '$1'));
    this.#link = new Link(pipe, {
      role: 'acceptor',
      isStranger: true,
      clock: platform.clock,
      random: platform.random,
      onClose: (error) => this.#finish(error),
    });
    observer.watchLink(this.#link);
    this.#link.ready.then(
      () => this.#startSession(),
      () => undefined, // onClose has been called
    );
  }

  /** Tells the sidecar, if it listens already. */
  push<N extends 'goaway' | 'bundle' | 'audit'>(name: N, body: Push<N>): void {
    this.#caller?.member.channel.push(name, body);
  }

  /** The issuer has other keys. Whose SVID was signed by one that is gone stays if it is known by its own key. */
  tellKeys(bundle: TrustBundle, holders: Holders | undefined): void {
    this.push('bundle', { bundle });
    const peer = this.#session?.peer;
    if (this.#isClosed || peer === undefined || isVouchedFor(bundle, peer)) return;
    void Promise.resolve(holders?.vouches(peer)).then((isKnown = false) => {
      if (!isKnown) this.close(keyRemoved('Cannot use link'));
    });
  }

  /** Others are revoked from now on, and perhaps this one. */
  reconsider(): void {
    if (this.#isRefused()) return;
    const channel = this.#caller?.member.channel;
    if (channel !== undefined) this.#tellRevocations(channel);
  }

  close(error: SkeinError, code: number = POLICY_VIOLATION): void {
    if (this.#isClosed) return;
    this.#session?.close(error);
    this.#link.close(code, error.reason);
    this.#finish(error);
  }

  /** The hub stops. */
  leave(): void {
    this.close(new SkeinError('SKEIN_DRAINING', 'Cannot use hub: it stops'), GOING_AWAY);
  }

  #startSession(): void {
    if (this.#isClosed) return;
    const { platform, trustDomain, instance, staticKey, authenticator, observer } = this.#options;
    const session = new Session({
      role: 'responder',
      circuit: this.#link.control,
      authenticator,
      crypto: platform.crypto,
      clock: platform.clock,
      random: platform.random,
      trustDomain,
      localInstance: instance,
      remoteInstance: '',
      staticKey,
      binding: concatBytes(...this.#link.transcript),
      onStream: (stream) => this.#onStream(session, stream),
      onClose: (error) => this.close(error),
    });
    this.#session = session;
    observer.watchSession(session);
    session.ready.then(
      () => this.#onAuthenticated(),
      () => undefined, // onClose has been called
    );
  }

  #onAuthenticated(): void {
    if (this.#isClosed || this.#isOverShare() || this.#isRefused()) return;
    this.#link.trust();
    this.#settle();
    if (this.#caller !== undefined) return; // the control stream came with the last message of the handshake
    this.#deadline.cancel();
    const { controlTimeoutMs } = this.#options.limits;
    this.#deadline = this.#setDeadline(controlTimeoutMs, 'SKEIN_PROTOCOL', 'it opened no control stream in time');
  }

  /** Has the key of the other end more links already than it may? Then this one is closed. */
  #isOverShare(): boolean {
    const key = (this.#session?.peer?.grant as Grant | undefined)?.thumbprint;
    if (this.#leaveShare !== undefined || key === undefined) return false;
    const { quotas, limits } = this.#options;
    if (quotas.links.has(key)) {
      this.#leaveShare = quotas.links.take(key);
      return false;
    }
    const state = `this identity has ${limits.maxLinksPerKey} links to this hub`;
    this.close(quotas.refuse('links', `Cannot use link: ${state}`));
    return true;
  }

  /** Is the identity of the other end revoked? Then nobody should choose it any more, and its link is closed. */
  #isRefused(): boolean {
    const { revocations, registrations } = this.#options;
    const peer = this.#session?.peer;
    if (this.#isClosed || peer === undefined || !revocations.known.has(peer)) return false;
    if (this.#hasJoined && this.#caller !== undefined) registrations.leave(this.#caller.member.instance);
    this.close(revoked(peer, 'Cannot use link'));
    return true;
  }

  #tellRevocations(channel: Channel): void {
    const { signed } = this.#options.revocations;
    if (signed.number === 0) return;
    for (const part of splitRevocations(signed)) channel.push('revocations', part);
  }

  /** Sidecars open one stream to a hub: the control stream. */
  #onStream(session: Session, stream: IncomingStream): void {
    if (this.#isOverShare() || this.#isRefused()) return;
    try {
      const { peer } = session;
      if (peer === undefined || this.#caller !== undefined || stream.kind !== STREAM_KIND.internal || stream.complete) {
        throw new SkeinError('SKEIN_PROTOCOL', 'Cannot open stream: a hub takes one control stream and nothing else');
      }
      if (!isInstance(session.remoteInstance)) {
        throw new SkeinError('SKEIN_PROTOCOL', 'Cannot open stream: the name of this instance is malformed');
      }
      chooseControlVersion(stream.meta);
      this.#listen(stream, session, peer);
    } catch (thrown) {
      stream.reset(toSkeinError(thrown));
    }
  }

  #listen(stream: IncomingStream, session: Session, { id, grant }: PeerIdentity): void {
    const { platform, publisher, quotas } = this.#options;
    const { clock } = platform;
    const sidecar = grant as Grant;
    const allowance = quotas.of(sidecar.thumbprint);
    const channel: Channel = new Channel(stream, {
      clock,
      calls: createCallHandlers(this.#options, () => caller),
      rate: { tokens: allowance.messages, onBrake: () => quotas.count('messages') },
      onClose: (error) => this.close(error),
      onWritable: () => subscriber.flushIfWritable(),
    });
    const subscriber: Subscriber = publisher.subscribe(channel);
    const member: Member = {
      instance: session.remoteInstance,
      id,
      key: sidecar.thumbprint,
      grants: new Set(sidecar.services),
      link: this.#link,
      observedIp: this.#observedIp,
      session,
      channel,
      allowance,
      connectedAtMs: clock.monotonicMs(),
      close: (error) => this.close(error),
    };
    const caller: Caller = {
      id,
      grant: sidecar,
      member,
      subscriber,
      join: () => this.#join(member, sidecar),
      extend: (expiresAtMs) => this.#extend(expiresAtMs),
    };
    this.#caller = caller;
    // First of all: it must know them before others find it.
    this.#tellRevocations(channel);
    this.#extend(sidecar.expiresAtMs);
    if (sidecar.kind === 'member') this.#join(member, sidecar);
  }

  /** From now on others find this sidecar. */
  #join(member: Member, { hubRoles }: Grant): void {
    // It may have gone while its SVID was being signed: nobody would ever hear that it has left.
    if (this.#isClosed) throw new SkeinError('SKEIN_CANCELLED', 'Cannot join mesh: the link has ended meanwhile');
    const { presence, registrations, log } = this.#options;
    // Another hub is told what the issuer says; nothing is served by it, and nothing leads to it.
    if (hubRoles !== undefined) {
      log.log('info', 'hub-joined', { key: member.key, roles: hubRoles, address: member.link.remoteAddress });
      return;
    }
    const before = presence.get(member.instance);
    // Who is away for a moment is still known by what it serves.
    const owner = before?.id.uri ?? registrations.idOf(member.instance);
    if (owner !== undefined && owner !== member.id.uri) {
      throw new SkeinError('SKEIN_CONFLICT', 'Cannot join mesh: another identity uses this instance');
    }
    presence.join(member);
    this.#hasJoined = true;
    log.log('info', 'sidecar-joined', {
      instance: member.instance,
      id: member.id.uri,
      address: member.link.remoteAddress,
      replaced: before !== undefined,
    });
    before?.close(new SkeinError('SKEIN_CONFLICT', 'Cannot use link: the same instance has opened another'));
  }

  #extend(expiresAtMs: number): void {
    if (this.#isClosed) return;
    const leftMs = Math.max(0, expiresAtMs - this.#options.platform.clock.epochMs()) + EXPIRY_LEEWAY_MS;
    this.#deadline.cancel();
    this.#deadline = this.#setDeadline(leftMs, 'SKEIN_IDENTITY', 'its SVID has expired');
  }

  #setDeadline(afterMs: number, code: 'SKEIN_HANDSHAKE' | 'SKEIN_PROTOCOL' | 'SKEIN_IDENTITY', state: string): Timer {
    return this.#options.platform.clock.setTimer(afterMs, () => {
      this.close(new SkeinError(code, `Cannot use link: ${state}`));
    });
  }

  #settle(error?: SkeinError): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#options.onSettled(error);
  }

  #finish(error: SkeinError): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const { observer, presence, registrations, rendezvous, log } = this.#options;
    this.#deadline.cancel();
    this.#leaveShare?.();
    this.#settle(error);
    observer.forgetLink(this.#link);
    if (this.#session !== undefined) {
      observer.forgetSession(this.#session, error);
      this.#session.close(error);
    }
    const caller = this.#caller;
    if (caller !== undefined) {
      const { member, subscriber } = caller;
      subscriber.close();
      member.channel.close(error);
      rendezvous.forget(member);
      if (presence.leave(member)) registrations.lose(member.instance);
      if (this.#hasJoined) {
        // To this end a link that was closed in order is as much over as one that was cut.
        const reason = this.#link.end === 'closed' ? 'closed' : error.reason;
        log.log('info', 'sidecar-left', { instance: member.instance, id: member.id.uri, reason });
      }
    }
    this.#options.onClose();
  }
}
