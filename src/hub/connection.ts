/** One link to the hub from its first byte to its last: handshake, control stream, presence. */

import type { Grant } from '../auth/grant.ts';
import type { ResumingAuthenticator } from '../auth/resume-tickets.ts';
import { revoked } from '../auth/revocation.ts';
import type { TrustBundle } from '../auth/trust-bundle.ts';
import { Channel } from '../control/channel.ts';
import { isInstance, type Push } from '../control/messages.ts';
import { splitRevocations } from '../control/revocation-parts.ts';
import { chooseControlVersion } from '../control/version.ts';
import { type Bytes, concatBytes } from '../core/bytes.ts';
import type { Timer } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import { readRemoteIp } from '../core/ip.ts';
import type { Logger } from '../core/log.ts';
import type { MessagePipe, Platform, X25519KeyPair } from '../core/platform.ts';
import type { TunnelObserver } from '../telemetry/observe.ts';
import type { Circuit } from '../tunnel/circuit.ts';
import type { PeerIdentity } from '../tunnel/handshake.ts';
import { Link } from '../tunnel/link.ts';
import type { TunnelOptions } from '../tunnel/options.ts';
import { Session } from '../tunnel/session.ts';
import { type IncomingStream, STREAM_KIND } from '../tunnel/stream.ts';
import type { Authentication, TicketAnswer } from './authentication.ts';
import { type Caller, type CallServices, createCallHandlers } from './calls.ts';
import { DormantChannel, type MemberChannel } from './dormant-channel.ts';
import { type Holders, isVouchedFor, keyRemoved } from './holders.ts';
import type { Member, Presence } from './presence.ts';
import type { Publisher } from './publisher.ts';
import { countRestingCircuits, type RestingLink, type RestingMember } from './resting-link.ts';
import type { Subscriber } from './subscriber.ts';

export interface ConnectionOptions extends CallServices {
  readonly presence: Presence;
  readonly platform: Platform;
  readonly log: Logger;
  readonly trustDomain: string;
  /** This start of the hub, as sidecars see it in the handshake. */
  readonly instance: string;
  readonly staticKey: X25519KeyPair;
  readonly authentication: Authentication;
  readonly observer: TunnelObserver;
  readonly publisher: Publisher;
  /** Limits of the link. */
  readonly tunnel: Partial<TunnelOptions> | undefined;
  /** What a hub that sleeps may leave with the WebSocket, in bytes; undefined: this hub does not sleep. */
  readonly maxStateBytes: number | undefined;
}

/** What whoever has made it is told. */
export interface ConnectionEvents {
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
  readonly pipe: MessagePipe;
  /** Of all links of this hub. */
  readonly #options: ConnectionOptions;
  /** Undefined once it was called. */
  #onSettled: ConnectionEvents['onSettled'] | undefined;
  readonly #onClose: () => void;
  readonly #link: Link;
  readonly #observedIp: string | undefined;
  /** undefined: there was none yet, or it is forgotten. */
  #session: Session | undefined;
  #authenticator: ResumingAuthenticator | undefined;
  /** Who it is, since it has opened a control stream, on this link or before the hub has slept. */
  #resting: RestingMember | undefined;
  #member: Member | undefined;
  /** Stands in for the control stream while that is forgotten. */
  #dormant: DormantChannel | undefined;
  /** Runs while the other end has been asked for another session. */
  #renewal: Timer | undefined;
  #caller: Caller | undefined;
  #hasJoined = false;
  /** Gives back this link's part in what its key may have; set once it has authenticated. */
  #leaveShare: (() => void) | undefined;
  /** What this link must do next, or be closed: authenticate, open the control stream, renew its SVID. */
  #deadline: Timer;
  #isClosed = false;

  /** @param past of a link that has outlived the sleep of the hub; `join` follows */
  constructor(pipe: MessagePipe, options: ConnectionOptions, events: ConnectionEvents, past?: RestingLink) {
    const { platform, limits, observer, tunnel } = options;
    this.pipe = pipe;
    this.#options = options;
    this.#onSettled = events.onSettled;
    this.#onClose = events.onClose;
    const leftMs = Math.max(0, limits.authTimeoutMs - (pipe.waitedMs ?? 0));
    this.#deadline = this.#setDeadline(leftMs, 'SKEIN_HANDSHAKE', 'it did not authenticate in time');
    this.#observedIp = past === undefined ? readIp(pipe) : past.member.observedIp;
    this.#link = new Link(pipe, {
      role: 'acceptor',
      isStranger: past === undefined,
      clock: platform.clock,
      random: platform.random,
      onClose: (error) => this.#finish(error),
      onForgotten: () => this.renew(),
      onRenewed: () => this.#startSession(),
      ...(tunnel === undefined ? {} : { limits: tunnel }),
      ...(past === undefined ? {} : { past: past.link }),
    });
    observer.watchLink(this.#link);
    this.#resting = past?.member;
    if (past !== undefined) return;
    this.#link.ready.then(
      () => this.#startSession(),
      () => undefined, // onClose has been called
    );
  }

  get link(): Link {
    return this.#link;
  }

  /** As others know it; undefined before its control stream. */
  get member(): Member | undefined {
    return this.#member;
  }

  circuit(id: number): Circuit | undefined {
    return this.#link.circuit(id);
  }

  /** What must outlive the hub's memory of this link; undefined while something is under way that would be lost. */
  rest(): Pick<RestingLink, 'member' | 'link'> | undefined {
    const link = this.#hasJoined && this.#renewal === undefined ? this.#link.rest() : undefined;
    return link === undefined || this.#resting === undefined ? undefined : { link, member: this.#resting };
  }

  /** Others find this sidecar again; its control stream is forgotten. */
  join(): void {
    const resting = this.#resting;
    if (resting === undefined || this.#isClosed) return;
    const { presence, registrations, rendezvous } = this.#options;
    this.#settle();
    this.#dormant = new DormantChannel(
      () => this.renew(),
      (error) => this.close(error),
    );
    this.#member = this.#createMember(resting, this.#dormant);
    this.#hasJoined = true;
    presence.join(this.#member);
    if (this.#isOverShare() || this.#isRefused()) return;
    this.#extend(resting.grant.expiresAtMs);
    this.#limitCircuits(resting);
    rendezvous.note(this.#member, registrations.resume(resting.instance)?.reach ?? {});
  }

  /** Tells the sidecar, if it listens already. */
  push<N extends 'goaway' | 'bundle' | 'audit'>(name: N, body: Push<N>): void {
    this.#member?.channel.push(name, body);
  }

  /** What the other end watches is forgotten: it is told what is new when it is asked anew. */
  get isDormant(): boolean {
    return this.#dormant !== undefined;
  }

  /** The issuer has other keys. Whose SVID was signed by one that is gone stays if it is known by its own key. */
  tellKeys(bundle: TrustBundle, holders: Holders | undefined): void {
    this.push('bundle', { bundle });
    const peer = this.#peer;
    if (this.#isClosed || peer === undefined || isVouchedFor(bundle, peer)) return;
    void Promise.resolve(holders?.vouches(peer)).then((isKnown = false) => {
      if (!isKnown) this.close(keyRemoved('Cannot use link'));
    });
  }

  /** Others are revoked from now on, and perhaps this one. */
  reconsider(): void {
    if (this.#isRefused()) return;
    const channel = this.#member?.channel;
    if (channel !== undefined) this.#tellRevocations(channel);
  }

  get #peer(): PeerIdentity | undefined {
    return this.#session?.peer ?? this.#resting;
  }

  /** Asks the other end for another session, if the one before the sleep is forgotten. Idempotent. */
  renew(): void {
    if (this.#isClosed || this.#dormant === undefined || this.#renewal !== undefined) return;
    const { platform, limits } = this.#options;
    this.#renewal = platform.clock.setTimer(limits.controlTimeoutMs, () => {
      this.close(new SkeinError('SKEIN_HANDSHAKE', 'Cannot use link: it began no other session in time'));
    });
    this.#link.renew();
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
    const { platform, trustDomain, instance, staticKey, authentication, observer } = this.#options;
    const authenticator = authentication.create();
    this.#authenticator = authenticator;
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
    if (this.#isClosed || this.#isSomebodyElse() || this.#isOverShare() || this.#isRefused()) return;
    this.#link.trust();
    this.#settle();
    if (this.#caller !== undefined || this.#dormant !== undefined) return; // the control stream came with the last message of the handshake
    this.#deadline.cancel();
    const { controlTimeoutMs } = this.#options.limits;
    this.#deadline = this.#setDeadline(controlTimeoutMs, 'SKEIN_PROTOCOL', 'it opened no control stream in time');
  }

  /** Has the key of the other end more links already than it may? Then this one is closed. */
  #isOverShare(): boolean {
    const key = (this.#peer?.grant as Grant | undefined)?.thumbprint;
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
    const peer = this.#peer;
    if (this.#isClosed || peer === undefined || !revocations.known.has(peer)) return false;
    if (this.#hasJoined && this.#member !== undefined) registrations.leave(this.#member.instance);
    this.close(revoked(peer, 'Cannot use link'));
    return true;
  }

  #tellRevocations(channel: MemberChannel): void {
    const { signed } = this.#options.revocations;
    if (signed.number === 0) return;
    for (const part of splitRevocations(signed)) channel.push('revocations', part);
  }

  /** Sidecars open one stream to a hub: the control stream. */
  #onStream(session: Session, stream: IncomingStream): void {
    if (this.#isSomebodyElse() || this.#isOverShare() || this.#isRefused()) return;
    try {
      const { peer } = session;
      if (peer === undefined || this.#caller !== undefined || stream.kind !== STREAM_KIND.internal || stream.complete) {
        throw new SkeinError('SKEIN_PROTOCOL', 'Cannot open stream: a hub takes one control stream and nothing else');
      }
      if (!isInstance(session.remoteInstance)) {
        throw new SkeinError('SKEIN_PROTOCOL', 'Cannot open stream: the name of this instance is malformed');
      }
      chooseControlVersion(stream.meta);
      this.#listen(stream, session.remoteInstance, peer);
    } catch (thrown) {
      stream.reset(toSkeinError(thrown));
    }
  }

  /** Who begins another session on a link is who began the first. */
  #isSomebodyElse(): boolean {
    const { peer, remoteInstance } = this.#session ?? {};
    const before = this.#resting;
    if (this.#dormant === undefined || before === undefined || peer === undefined) return false;
    const { kind, thumbprint } = peer.grant as Grant;
    const isSame = peer.id.uri === before.id.uri && thumbprint === before.grant.thumbprint && kind === 'member';
    if (isSame && remoteInstance === before.instance) return false;
    this.close(new SkeinError('SKEIN_IDENTITY', 'Cannot go on with link: the other end is not who it was'));
    return true;
  }

  #createMember({ instance, id, grant }: Omit<RestingMember, 'observedIp'>, channel: MemberChannel): Member {
    const { platform, quotas } = this.#options;
    return {
      instance,
      id,
      channel,
      key: grant.thumbprint,
      grants: new Set(grant.services),
      link: this.#link,
      observedIp: this.#observedIp,
      allowance: quotas.of(grant.thumbprint),
      connectedAtMs: platform.clock.monotonicMs(),
      close: (error) => this.close(error),
    };
  }

  /** All that the hub knows of the link must have room where it is left. */
  #limitCircuits(resting: RestingMember): void {
    const { maxStateBytes } = this.#options;
    if (maxStateBytes === undefined) return;
    this.#link.limitCircuits(countRestingCircuits(maxStateBytes, resting, this.#link.transcript));
  }

  #listen(stream: IncomingStream, instance: string, { id, grant }: PeerIdentity): void {
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
    const member: Member = this.#member ?? this.#createMember({ instance, id, grant: sidecar }, channel);
    member.channel = channel;
    this.#member = member;
    this.#resting = { instance, id, grant: sidecar, observedIp: this.#observedIp };
    this.#limitCircuits(this.#resting);
    const caller: Caller = {
      id,
      grant: sidecar,
      member,
      subscriber,
      hasProven: () => this.#authenticator?.session?.isProven === true,
      giveTicket: (credential) => this.#giveTicket(credential),
      join: () => this.#join(member, sidecar),
      extend: (expiresAtMs) => this.#extend(expiresAtMs),
    };
    this.#caller = caller;
    // First of all: it must know them before others find it.
    this.#tellRevocations(channel);
    this.#extend(sidecar.expiresAtMs);
    const dormant = this.#dormant;
    if (dormant === undefined) {
      if (sidecar.kind === 'member') this.#join(member, sidecar);
      return;
    }
    this.#dormant = undefined;
    this.#renewal?.cancel();
    this.#renewal = undefined;
    dormant.release(channel);
  }

  #giveTicket(credential: Bytes | undefined): Promise<TicketAnswer> {
    const peer = this.#resting;
    if (this.#authenticator === undefined || peer === undefined)
      throw new SkeinError('SKEIN_SESSION_LOST', 'Cannot give ticket: the session is not open');
    return this.#options.authentication.giveTicket(this.#authenticator, peer, credential);
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
    if (this.#resting !== undefined) {
      this.#resting = { ...this.#resting, grant: { ...this.#resting.grant, kind: 'member', expiresAtMs } };
    }
    const nowMs = this.#options.platform.clock.epochMs();
    // A newcomer has no SVID yet. That of others has ended when it did, however often the hub has slept since.
    const untilMs = (expiresAtMs === 0 ? nowMs : expiresAtMs) + EXPIRY_LEEWAY_MS;
    const leftMs = Math.max(0, untilMs - nowMs);
    this.#deadline.cancel();
    this.#deadline = this.#setDeadline(leftMs, 'SKEIN_IDENTITY', 'its SVID has expired');
  }

  #setDeadline(afterMs: number, code: 'SKEIN_HANDSHAKE' | 'SKEIN_PROTOCOL' | 'SKEIN_IDENTITY', state: string): Timer {
    return this.#options.platform.clock.setTimer(afterMs, () => {
      this.close(new SkeinError(code, `Cannot use link: ${state}`));
    });
  }

  #settle(error?: SkeinError): void {
    const onSettled = this.#onSettled;
    this.#onSettled = undefined;
    onSettled?.(error);
  }

  #finish(error: SkeinError): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const { observer, presence, registrations, rendezvous, log } = this.#options;
    this.#deadline.cancel();
    this.#renewal?.cancel();
    this.#leaveShare?.();
    this.#settle(error);
    observer.forgetLink(this.#link);
    if (this.#session !== undefined) {
      observer.forgetSession(this.#session, error);
      this.#session.close(error);
    }
    this.#caller?.subscriber.close();
    const member = this.#member;
    if (member !== undefined) {
      member.channel.close(error);
      rendezvous.forget(member);
      if (presence.leave(member)) registrations.lose(member.instance);
      if (this.#hasJoined) {
        // To this end a link that was closed in order is as much over as one that was cut.
        const reason = this.#link.end === 'closed' ? 'closed' : error.reason;
        log.log('info', 'sidecar-left', { instance: member.instance, id: member.id.uri, reason });
      }
    }
    this.#onClose();
  }
}

/** undefined: a proxy hides it. */
function readIp({ isProxied, remoteAddress }: MessagePipe): string | undefined {
  return isProxied ? undefined : readRemoteIp(remoteAddress);
}
