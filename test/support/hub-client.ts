/** A sidecar's half of the control protocol without a sidecar: dials a hub, authenticates, and makes calls. */

import { createMemberAuthenticator, createNewcomerAuthenticator, expectHub } from '../../src/auth/authenticator.ts';
import { createIdentityKey, type IdentityKey } from '../../src/auth/key-pair.ts';
import { ResumingAuthenticator, type TicketBook } from '../../src/auth/resume-tickets.ts';
import type { SessionProof } from '../../src/auth/session-proof.ts';
import { parseTrustBundle, type TrustBundle } from '../../src/auth/trust-bundle.ts';
import { type KnownHub, parseWayIn } from '../../src/auth/way-in.ts';
import { Channel } from '../../src/control/channel.ts';
import type { CataloguePush, Push } from '../../src/control/messages.ts';
import { encodeControlOffer } from '../../src/control/version.ts';
import { CatalogueWatch } from '../../src/control/watch.ts';
import { concatBytes, fromBase64Url } from '../../src/core/bytes.ts';
import type { SkeinError } from '../../src/core/errors.ts';
import { createId } from '../../src/core/id.ts';
import { SILENT_LOGGER } from '../../src/core/log.ts';
import type { MessagePipe, Platform } from '../../src/core/platform.ts';
import type { Authenticator } from '../../src/tunnel/handshake.ts';
import { Link } from '../../src/tunnel/link.ts';
import { Session } from '../../src/tunnel/session.ts';
import { type IncomingStream, STREAM_KIND } from '../../src/tunnel/stream.ts';
import { RogueInitiator } from './tunnel.ts';

/** What a sidecar keeps between connections. */
export interface Identity {
  readonly instance: string;
  readonly key: IdentityKey;
  wit: string;
  bundle: TrustBundle | undefined;
  id: string;
  /** By which the hub knows it again. @default none: it proves by signatures each time */
  tickets?: TicketBook;
}

export async function createIdentity(): Promise<Identity> {
  return { instance: createId(), key: await createIdentityKey(), wit: '', bundle: undefined, id: '' };
}

export class HubClient {
  readonly identity: Identity;
  readonly link: Link;
  readonly session: Session;
  /** Of the handshake with the hub. */
  readonly authenticator: ResumingAuthenticator;
  readonly channel: Channel;
  readonly watch: CatalogueWatch;
  readonly pushes: CataloguePush[] = [];
  readonly goaways: Push<'goaway'>[] = [];
  /** Sessions that others have opened to here. */
  readonly incoming: Session[] = [];
  readonly closed: Promise<SkeinError>;
  onIncoming: (session: Session) => void = () => undefined;
  /** The audit log has come further. */
  onAudit: () => void = () => undefined;
  onStream: (stream: IncomingStream) => void = (stream) => stream.end();
  readonly #platform: Platform;
  readonly #trustDomain: string;

  private constructor(
    platform: Platform,
    identity: Identity,
    trustDomain: string,
    link: Link,
    session: Session,
    authenticator: ResumingAuthenticator,
  ) {
    const { clock, random, crypto } = platform;
    this.#platform = platform;
    this.#trustDomain = trustDomain;
    this.identity = identity;
    this.link = link;
    this.session = session;
    this.authenticator = authenticator;
    let closed: (error: SkeinError) => void = () => undefined;
    this.closed = new Promise((resolve) => {
      closed = resolve;
    });
    this.watch = new CatalogueWatch({
      sha256: crypto.sha256,
      clock,
      random,
      log: SILENT_LOGGER,
      onSnapshot: () => undefined,
    });
    const offer = encodeControlOffer();
    this.channel = new Channel(session.openStream(STREAM_KIND.internal, offer, offer.length, false), {
      clock,
      pushes: {
        catalogue: (push) => {
          this.pushes.push(push);
          this.watch.receive(push);
        },
        circuit: (push) => this.#accept(push),
        goaway: (push) => this.goaways.push(push),
        audit: () => this.onAudit(),
      },
      onClose: (error) => {
        this.watch.detach(this.channel);
        closed(error);
      },
    });
  }

  /** @throws SkeinError what the hub says when it refuses */
  static async connect(
    platform: Platform,
    url: string,
    identity: Identity,
    token?: string,
    dial: (url: string) => Promise<MessagePipe> = (to) => platform.dialWebSocket(to),
    knownHub: KnownHub = { thumbprints: [], trustDomain: '' },
  ): Promise<HubClient> {
    const { clock, random, crypto } = platform;
    const join = token === undefined ? undefined : parseWayIn(token, knownHub, crypto.sha256);
    const trustDomain = join?.trustDomain ?? new URL(identity.id).host;
    const inner: Authenticator =
      join === undefined
        ? memberAuthenticator(platform, identity, trustDomain, expectHub(trustDomain))
        : createNewcomerAuthenticator({
            wayIn: join,
            key: identity.key,
            clock,
            onBundle: (bundle) => {
              identity.bundle = bundle;
            },
          });
    const { tickets: book } = identity;
    const taken = book && { book, name: url };
    const authenticator = new ResumingAuthenticator(inner, { crypto, isLasting: true, taken, isGood: () => true });
    const link = new Link(await dial(url), { role: 'dialler', clock, random, onClose: () => undefined });
    await link.ready;
    let lose: (error: SkeinError) => void = () => undefined;
    const lost = new Promise<never>((_, reject) => {
      lose = reject;
    });
    lost.catch(() => undefined);
    const session = new Session({
      role: 'initiator',
      circuit: link.control,
      authenticator,
      crypto,
      clock,
      random,
      trustDomain,
      localInstance: identity.instance,
      remoteInstance: '',
      binding: concatBytes(...link.transcript),
      onStream: (stream) => stream.end(),
      onClose: (error) => lose(error),
    });
    await session.ready;
    const client = new HubClient(platform, identity, trustDomain, link, session, authenticator);
    if (join !== undefined) {
      // A session that ends takes the channel with it; why it ended is what the session says.
      const answer = await client.channel
        .call('enrol', {})
        .catch((error) => (session.isOpen ? Promise.reject(error) : lost));
      identity.wit = answer.wit;
      identity.bundle = parseTrustBundle(answer.bundle);
      identity.id = answer.id;
    }
    if (authenticator.session?.isFresh === true) await client.#takeTicket(url, authenticator.session);
    return client;
  }

  async #takeTicket(name: string, session: SessionProof): Promise<void> {
    const { tickets } = this.identity;
    const peer = this.session.peer;
    if (tickets === undefined || peer === undefined) return;
    const { ticket = '', seconds } = await this.channel.call('ticket', {});
    tickets.keep(name, { id: fromBase64Url(ticket), secret: session.ticketSecret, peer }, seconds * 1000);
  }

  async register(...services: readonly string[]): Promise<void> {
    await this.channel.call('register', {
      instance: this.identity.instance,
      services: services.map((service) => ({ service, port: 80, protocol: 'http' as const, healthy: true })),
    });
  }

  /** A session with `instance` through the hub. */
  async dial(instance: string): Promise<Session> {
    const circuit = await this.#openCircuit(instance);
    const session = this.#session('initiator', circuit, instance);
    await session.ready;
    return session;
  }

  /** The same with a peer that may say anything in it. */
  async intrude(instance: string): Promise<RogueInitiator> {
    const circuit = await this.#openCircuit(instance);
    const rogue = new RogueInitiator(circuit, this.#platform.random, {
      authenticator: memberAuthenticator(this.#platform, this.identity, this.#trustDomain),
      trustDomain: this.#trustDomain,
      localInstance: this.identity.instance,
      remoteInstance: instance,
      binding: new Uint8Array(0),
    });
    await rogue.ready();
    return rogue;
  }

  /** A session with the hub itself whose other end may say anything in it. */
  static async intrudeHub(platform: Platform, url: string, identity: Identity): Promise<[Link, RogueInitiator]> {
    const { clock, random } = platform;
    const trustDomain = new URL(identity.id).host;
    const link = new Link(await platform.dialWebSocket(url), {
      ...{ role: 'dialler', clock, random },
      onClose: () => undefined,
    });
    await link.ready;
    const rogue = new RogueInitiator(link.control, random, {
      authenticator: memberAuthenticator(platform, identity, trustDomain, expectHub(trustDomain)),
      trustDomain,
      localInstance: identity.instance,
      remoteInstance: '',
      binding: concatBytes(...link.transcript),
    });
    await rogue.ready();
    return [link, rogue];
  }

  close(): void {
    this.link.close(1000, 'done');
  }

  async #openCircuit(instance: string): Promise<Link['control']> {
    const circuit = this.link.openCircuit();
    try {
      await this.channel.call('openCircuit', { instance, circuit: circuit.id });
      return circuit;
    } catch (thrown) {
      circuit.close(0);
      throw thrown;
    }
  }

  #accept({ circuit, instance }: Push<'circuit'>): void {
    const session = this.#session('responder', this.link.adoptCircuit(circuit), instance);
    this.incoming.push(session);
    this.onIncoming(session);
    this.channel.call('acceptCircuit', { circuit }).catch(() => undefined); // the caller has gone
  }

  #session(role: 'initiator' | 'responder', circuit: Link['control'], remoteInstance: string): Session {
    const { clock, random, crypto } = this.#platform;
    return new Session({
      role,
      circuit,
      authenticator: memberAuthenticator(this.#platform, this.identity, this.#trustDomain),
      crypto,
      clock,
      random,
      trustDomain: this.#trustDomain,
      localInstance: this.identity.instance,
      remoteInstance,
      onStream: (stream) => this.onStream(stream),
      onClose: () => undefined,
    });
  }
}

export function memberAuthenticator(
  { clock }: Platform,
  identity: Identity,
  trustDomain: string,
  expect?: ReturnType<typeof expectHub>,
): Authenticator {
  return createMemberAuthenticator({
    credential: () => ({ wit: identity.wit, key: identity.key }),
    bundle: () => {
      if (identity.bundle === undefined) throw new TypeError('Cannot authenticate: no bundle');
      return identity.bundle;
    },
    trustDomain,
    clock,
    ...(expect === undefined ? {} : { expect }),
  });
}
