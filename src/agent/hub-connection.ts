/** One link to one hub, from the dial to the end: handshake, control channel, and for a newcomer the enrolment. */

import type { Grant } from '../auth/grant.ts';
import { HUB_ROLES, type HubRole } from '../auth/hub-role.ts';
import type { ResumingAuthenticator } from '../auth/resume-tickets.ts';
import { Channel } from '../control/channel.ts';
import type { CallAnswer, CallRequest, Push } from '../control/messages.ts';
import { RevocationAssembler, type RevokedEntries } from '../control/revocation-parts.ts';
import { encodeControlOffer } from '../control/version.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { concatBytes } from '../core/bytes.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { MessagePipe, Platform, X25519KeyPair } from '../core/platform.ts';
import { TokenBucket } from '../core/token-bucket.ts';
import type { TunnelObserver } from '../telemetry/observe.ts';
import type { Circuit } from '../tunnel/circuit.ts';
import { toWireCode } from '../tunnel/codes.ts';
import type { PeerIdentity } from '../tunnel/handshake.ts';
import { Link } from '../tunnel/link.ts';
import { Session } from '../tunnel/session.ts';
import { STREAM_KIND } from '../tunnel/stream.ts';
import type { Identity } from './identity.ts';
import { NewestOnly } from './newest-only.ts';
import { toRawStream } from './raw-stream.ts';
import type { Route } from './route.ts';

/** What the hub pushes, and the end. Nothing follows `onClose`. */
export interface HubEvents {
  /** The hub has proven who it is, and holds this end for nobody yet. An error that is thrown ends the connection. */
  onHub(from: HubConnection): void;
  onCatalogue(push: Push<'catalogue'>, from: HubConnection): void;
  onSeal(push: Push<'seal'>, from: HubConnection): void;
  onCircuit(push: Push<'circuit'>, from: HubConnection): void;
  onGoAway(push: Push<'goaway'>, from: HubConnection): void;
  /** It acts in a role that its SVID does not say; the connection ends. */
  onBeyondRoles(role: HubRole, from: HubConnection): void;
  /** Its log of what was issued has come further. */
  onAudit(from: HubConnection): void;
  /** Other identities are revoked from now on. */
  onRevocations(): void;
  /** Once in each silence: the hub owes an answer; another connection may be made to take the place of this one. */
  onSilent(from: HubConnection): void;
  /** The hub has slept and forgotten this member but for its link; it is another session from now on, and the hub knows nothing else. */
  onRenewed(from: HubConnection): void;
  /** Called once, after the connection was open. */
  onClose(error: SkeinError, from: HubConnection): void;
}

export interface HubConnectionOptions {
  readonly platform: Platform;
  readonly identity: Identity;
  /** This process, as others find it in the catalogue. */
  readonly instance: string;
  readonly staticKey: X25519KeyPair;
  readonly observer: TunnelObserver | undefined;
  readonly events: HubEvents;
}

/** What a hub passes on of the issuer costs a signature to believe, and perhaps a log line to refuse. */
const STATEMENTS = { perSecond: 5, burst: 20 } as const;

/** Sessions that the hub may have begun anew: one that sleeps does not do so within 5 s, and each costs a handshake and all that it is told again. */
const RENEWALS = { perSecond: 0.2, burst: 20 } as const;

/** Close codes of RFC 6455 §7.4.1. */
const NORMAL = 1000;

export class HubConnection implements Route {
  readonly url: string;
  /** Written by GOAWAY, and by the `Uplink` that holds it. */
  isLeaving = false;
  /** What it says of the resources is not what was sealed: another hub is the better one to follow. */
  isDoubted = false;
  readonly #options: HubConnectionOptions;
  readonly #link: Link;
  #session: Session | undefined;
  #authenticator: ResumingAuthenticator | undefined;
  /** Ends with what was asked for last. */
  #ticket: Promise<void> = Promise.resolve();
  #channel: Channel | undefined;
  #isOpen = false;
  readonly #revocations: NewestOnly<RevokedEntries>;
  readonly #bundles: NewestOnly<object>;
  readonly #renewals: TokenBucket;
  #closedBy: SkeinError | undefined;

  private constructor(url: string, pipe: MessagePipe, options: HubConnectionOptions) {
    this.url = url;
    this.#options = options;
    const { platform, observer } = options;
    const { clock } = platform;
    this.#revocations = new NewestOnly({ ...STATEMENTS, clock, look: (list) => this.#revoke(list) });
    this.#bundles = new NewestOnly({ ...STATEMENTS, clock, look: (bundle) => this.#takeBundle(bundle) });
    this.#renewals = new TokenBucket(RENEWALS.perSecond, RENEWALS.burst, clock.monotonicMs());
    this.#link = new Link(pipe, {
      role: 'dialler',
      clock: platform.clock,
      random: platform.random,
      onClose: (error) => this.#finish(error),
      onRenewed: () => this.#renew(),
      onSilent: () => {
        if (this.#isOpen) options.events.onSilent(this);
      },
    });
    observer?.watchLink(this.#link);
  }

  /**
   * Dials `url` and becomes a member there, or proves to be one. The hub ends `before`, if that is given, but only if it is
   * still silent when the hub has answered here.
   * @throws SkeinError SKEIN_HUB_UNREACHABLE and what went wrong
   */
  static async open(
    url: string,
    options: HubConnectionOptions,
    signal: AbortSignal,
    before?: HubConnection,
  ): Promise<HubConnection> {
    const pipe = await options.platform.dialWebSocket(url, { signal });
    if (signal.aborted) {
      pipe.terminate();
      throw signal.reason;
    }
    const connection = new HubConnection(url, pipe, options);
    const abort = (): void => connection.close();
    signal.addEventListener('abort', abort, { once: true });
    try {
      await connection.#start(before);
      return connection;
    } catch (thrown) {
      const error = connection.#closedBy ?? toSkeinError(thrown);
      if (connection.#authenticator?.hasTicket === true) options.identity.noteFailedTicket(url);
      connection.close(error);
      throw error;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  get channel(): Channel {
    return this.#channel as Channel;
  }

  get isClosed(): boolean {
    return this.#closedBy !== undefined;
  }

  /** Nothing is heard of the hub, although it owes an answer. */
  get isSilent(): boolean {
    return this.#link.isSilent;
  }

  /** What the hub may do for members, as the issuer has signed. */
  get roles(): readonly HubRole[] {
    return (this.#session?.peer?.grant as Grant | undefined)?.hubRoles ?? HUB_ROLES;
  }

  plays(role: HubRole): boolean {
    return this.roles.includes(role);
  }

  /** Who it has proven to be. */
  get peer(): PeerIdentity | undefined {
    return this.#session?.peer;
  }

  /** Tells hubs apart, whatever their URLs: the thumbprint of the key that this one has proven. */
  get hubKey(): string {
    return (this.#session?.peer?.grant as Grant | undefined)?.thumbprint ?? '';
  }

  get rttMs(): number {
    return this.#session?.rttMs ?? 0;
  }

  /** A circuit to `instance`. Records may be sent on it. */
  async openCircuit(instance: string): Promise<Circuit> {
    const circuit = this.#link.openCircuit();
    try {
      await this.channel.call('openCircuit', { instance, circuit: circuit.id });
      return circuit;
    } catch (thrown) {
      const error = toSkeinError(thrown);
      circuit.close(toWireCode(error.code));
      throw error;
    }
  }

  /** The circuit that the hub announced. @throws SkeinError SKEIN_PROTOCOL, SKEIN_LIMIT */
  adoptCircuit(id: number): Circuit {
    return this.#link.adoptCircuit(id);
  }

  close(error = new SkeinError('SKEIN_CANCELLED', 'Cannot use hub: this member has left')): void {
    if (this.#closedBy !== undefined) return;
    this.#closedBy = error;
    this.#session?.close(error);
    this.#link.close(NORMAL, 'leaving');
    this.#forget(error);
  }

  async #start(before: HubConnection | undefined): Promise<void> {
    const { identity, events } = this.#options;
    await this.#link.ready;
    const isNewcomer = !identity.isMember; // another hub may make it one meanwhile
    const session = this.#openSession();
    await session.ready;
    events.onHub(this);
    if (before !== undefined && !before.isSilent)
      throw new SkeinError('SKEIN_CANCELLED', 'Cannot replace connection: the hub speaks again');
    this.#channel = this.#openChannel(session);
    if (isNewcomer) await identity.accept(await this.#channel.call('enrol', {}));
    this.#isOpen = true;
    this.#takeFirstTicket();
  }

  /** Another ticket, for the SVID that there is now. */
  renewTicket(): Promise<void> {
    this.#ticket = this.#ticket.then(() => this.#takeTicket(true));
    return this.#ticket;
  }

  /** What the hub answers to nobody whose key was not proven in this session: to who came by a ticket not before it has. */
  async callProven<N extends 'renew' | 'present' | 'token'>(name: N, request: CallRequest<N>): Promise<CallAnswer<N>> {
    const before = this.#session;
    await this.#proveKey();
    try {
      return await this.channel.call(name, request);
    } catch (thrown) {
      // A hub that slept was asked in another session than that in which it was proven.
      if (this.#session === before || toSkeinError(thrown).code !== 'SKEIN_IDENTITY') throw thrown;
      await this.#proveKey();
      return this.channel.call(name, request);
    }
  }

  async #proveKey(): Promise<void> {
    if (this.#hasProven) return;
    this.#ticket = this.#ticket.then(() => (this.#hasProven ? undefined : this.#takeTicket(true)));
    await this.#ticket;
  }

  get #hasProven(): boolean {
    return this.#authenticator?.session?.isProven === true;
  }

  /** Who was believed by a ticket goes on with that one. */
  #takeFirstTicket(): void {
    if (this.#authenticator?.session?.isFresh === true) this.#ticket = this.#ticket.then(() => this.#takeTicket(false));
  }

  /** Whatever comes of it: without one signatures prove. */
  async #takeTicket(isAnew: boolean): Promise<void> {
    const { peer } = this;
    const { session } = this.#authenticator ?? {};
    if (this.isClosed || peer === undefined || session === undefined) return;
    const ask = (credential?: string) => this.channel.call('ticket', credential === undefined ? {} : { credential });
    await this.#options.identity.takeTicket(this.url, peer, session, ask, isAnew).catch(() => undefined);
  }

  /** The hub has forgotten the session; circuits, and calls that were not answered, go on. */
  #renew(): void {
    const before = this.#session;
    if (!this.#isOpen || before?.isOpen !== true) {
      return this.#fail(new SkeinError('SKEIN_PROTOCOL', 'Cannot renew session: there was none yet'));
    }
    const { platform, observer, events } = this.#options;
    if (!this.#renewals.take(platform.clock.monotonicMs())) {
      return this.#finish(new SkeinError('SKEIN_LIMIT', 'Cannot renew session: the hub sleeps too often'));
    }
    observer?.forgetSession(before, new SkeinError('SKEIN_SESSION_LOST', 'Cannot use session: the hub has slept'));
    this.#channel?.suspend();
    const session = this.#openSession();
    session.ready.then(
      () => {
        if (this.isClosed || this.#session !== session) return;
        try {
          events.onHub(this);
          this.#channel?.resume(toControlStream(session));
          events.onRenewed(this);
          this.#takeFirstTicket();
        } catch (thrown) {
          this.#fail(toSkeinError(thrown));
        }
      },
      () => undefined, // onClose has been called
    );
  }

  #openSession(): Session {
    const { platform, identity, instance, staticKey, observer } = this.#options;
    const authenticator = identity.hubAuthenticator(this.url);
    this.#authenticator = authenticator;
    const session: Session = new Session({
      role: 'initiator',
      circuit: this.#link.control,
      authenticator,
      crypto: platform.crypto,
      clock: platform.clock,
      random: platform.random,
      trustDomain: identity.trustDomain,
      localInstance: instance,
      remoteInstance: '',
      staticKey,
      binding: concatBytes(...this.#link.transcript),
      onStream: (stream) => stream.reset(new SkeinError('SKEIN_REFUSED', 'Cannot take stream: a hub opens none')),
      onClose: (error) => {
        if (this.#session === session) this.#finish(error);
      },
    });
    this.#session = session;
    observer?.watchSession(session);
    return session;
  }

  #openChannel(session: Session): Channel {
    const { platform, events } = this.#options;
    const revocations = new RevocationAssembler();
    return new Channel(toControlStream(session), {
      clock: platform.clock,
      pushes: {
        catalogue: (push) => this.#in('catalogue', () => events.onCatalogue(push, this)),
        audit: () => events.onAudit(this),
        seal: (push) => this.#in('catalogue', () => events.onSeal(push, this)),
        circuit: (push) => this.#in('relay', () => void this.#announce(push)),
        goaway: (push) => {
          this.isLeaving = true;
          events.onGoAway(push, this);
        },
        revocations: (push) => {
          const list = revocations.push(push);
          if (list !== undefined) this.#revocations.offer(list);
        },
        // Signed by the issuer: any hub may pass it on.
        bundle: ({ bundle }) => this.#bundles.offer(bundle),
      },
      // A link whose control stream is gone is of no use to a member.
      onClose: (error) => this.#fail(error),
    });
  }

  async #revoke(list: RevokedEntries): Promise<void> {
    const { identity, events } = this.#options;
    try {
      if (await identity.revoke(list)) events.onRevocations();
    } catch (thrown) {
      this.#fail(toSkeinError(thrown));
    }
  }

  async #takeBundle(bundle: object): Promise<void> {
    try {
      await this.#options.identity.updateBundle(bundle);
    } catch (thrown) {
      this.#fail(toSkeinError(thrown));
    }
  }

  /** Who is revoked is known before the circuit of anybody who may be. */
  async #announce(push: Push<'circuit'>): Promise<void> {
    await this.settled();
    if (!this.isClosed) this.#options.events.onCircuit(push, this);
  }

  /** Resolves when it is known who is revoked, as far as the hub has told. */
  settled(): Promise<void> {
    return this.#revocations.settled();
  }

  /** What the hub says in a role; one whose SVID does not say that it has it is left. */
  #in(role: HubRole, take: () => void): void {
    if (this.plays(role)) return take();
    this.#options.events.onBeyondRoles(role, this);
    this.#fail(new SkeinError('SKEIN_IDENTITY', `Cannot use hub: it acts as "${role}", which its SVID does not say`));
  }

  #fail(error: SkeinError): void {
    if (this.#closedBy !== undefined) return;
    // The session may be ending with a better reason; it tells before the end of this tick.
    queueMicrotask(() => {
      this.#session?.close(error);
      this.#finish(error);
    });
  }

  #finish(error: SkeinError): void {
    if (this.#closedBy !== undefined) return;
    this.#closedBy = error;
    this.#link.close(NORMAL, error.reason);
    this.#forget(error);
    if (this.#isOpen) this.#options.events.onClose(error, this);
  }

  #forget(error: SkeinError): void {
    const { observer } = this.#options;
    this.#revocations.close();
    this.#bundles.close();
    observer?.forgetLink(this.#link);
    if (this.#session !== undefined) observer?.forgetSession(this.#session, error);
  }
}

function toControlStream(session: Session): ByteStream {
  const offer = encodeControlOffer();
  return toRawStream(session.openStream(STREAM_KIND.internal, offer, offer.length, false));
}
