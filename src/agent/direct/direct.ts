/** `Direct`: looks for direct paths of all sessions of this member while relays carry them, and takes those who connect to its listener. */

import type { Registration } from '../../control/messages.ts';
import { Reflections } from '../../control/reflection.ts';
import { decodeSignal } from '../../control/signal.ts';
import type { Bytes } from '../../core/bytes.ts';
import { setPeriodic, type Timer } from '../../core/clock.ts';
import { SkeinError, toSkeinError } from '../../core/errors.ts';
import { classifyIp, type IpEndpoint, parseIp, parseIpEndpoint } from '../../core/ip.ts';
import type { RawConnection } from '../../core/platform.ts';
import type { HandshakeRole } from '../../tunnel/handshake.ts';
import type { Session } from '../../tunnel/session.ts';
import type { DirectEnvironment, DirectPaths, DirectStatus } from '../direct-paths.ts';
import type { Reach, Vantage } from './candidates.ts';
import { Door } from './door.ts';
import { LinkMaker } from './link-maker.ts';
import { NatPairs } from './nat-pairs.ts';
import { DIRECT_LIMITS, type DirectLimits, type DirectOptions } from './options.ts';
import { PeerBudget } from './peer-budget.ts';
import { type Reflector, toReflector } from './puncher.ts';
import { Search, type SearchParts } from './search.ts';
import { Tickets } from './tickets.ts';

/** A member that has lost its network and has it back starts all searches at once: within so long, in an order of chance. */
const SPREAD_MS = 2_000;
/** An offer, and whatever else a peer of a later version may begin with. */
const MAX_EARLY = 4;

export class Direct implements DirectPaths {
  readonly door: Door;
  readonly #environment: DirectEnvironment;
  readonly #options: DirectOptions;
  readonly #limits: DirectLimits;
  readonly #searches = new Map<Session, Search>();
  /** Messages that came with the end of the handshake: the session is told of in the next moment. */
  readonly #early = new WeakMap<Session, Bytes[]>();
  /** By the instance of the peer, as long as there is a session with it. */
  readonly #budgets = new Map<string, { readonly budget: PeerBudget; sessions: number }>();
  readonly #parts: SearchParts;
  readonly #advertise: IpEndpoint | undefined;
  #listener: IpEndpoint | undefined;
  #addresses = '';
  #check: Timer | undefined;

  constructor(environment: DirectEnvironment, options: DirectOptions) {
    const { platform, log, observer } = environment;
    const { clock, random, crypto, directSockets: sockets } = platform;
    this.#environment = environment;
    this.#options = options;
    this.#limits = { ...DIRECT_LIMITS, ...options.limits };
    this.#advertise = readAdvertised(options.advertise);
    const tickets = new Tickets(crypto);
    this.#parts = {
      ...{ sockets, clock, random, crypto, log, tickets, limits: this.#limits },
      links: new LinkMaker({ clock, random, limits: this.#limits, observer }),
      natPairs: new NatPairs(this.#limits.maxNatPairs),
      reach: () => this.#reach(),
      introduce: (session) => this.#introduce(session),
      hostKey: async () => sockets?.hostKey(),
      isSlowAfterCrossing: async () => sockets?.isSlowAfterCrossing() ?? false,
      start: (search) => this.#start(search),
    };
    this.door = new Door({
      ...{ clock, limits: this.#limits, tickets, reflections: new Reflections(clock) },
      onGuest: (pipe, session, settle) => {
        const search = this.#searches.get(session);
        if (search !== undefined) return search.welcome(pipe, settle);
        pipe.terminate();
        settle();
      },
    });
    if (sockets === undefined) return;
    this.#addresses = this.#listAddresses();
    this.#check = setPeriodic(clock, this.#limits.addressCheckMs, () => this.#checkAddresses());
  }

  /** There is a listener, bound to `host:port`; who connects there is brought to `enter`. */
  listensAt(host: string, port: number): void {
    const ip = parseIp(host.replace(/^\[|\]$/g, ''));
    this.#listener = ip === undefined ? undefined : { ip, port };
  }

  /** What the hub may tell others of this member: the port of a listener that is not for this host alone, and its network. */
  get reach(): Registration['reach'] {
    const { ip, port } = this.#listener ?? { ip: '', port: 0 };
    const network = this.#options.network;
    const isOpen = ip !== '' && classifyIp(ip) !== 'loopback';
    if (!isOpen && network === undefined) return undefined;
    return { port: isOpen ? (this.#advertise?.port ?? port) : undefined, network };
  }

  enter(connection: RawConnection): void {
    this.door.enter(connection);
  }

  /** Where the way to the peer of `session` stands; undefined when it is not a session with a member. */
  status(session: Session): DirectStatus | undefined {
    const search = this.#searches.get(session);
    if (search === undefined) return undefined;
    const { state, attempts, reason, nat, peerNat, retryInMs } = search.negotiation;
    return { state, kind: search.kind, attempts, reason, nat, peerNat, retryInMs };
  }

  close(): void {
    this.#check?.cancel();
    this.door.close();
    for (const session of [...this.#searches.keys()]) this.forget(session);
  }

  // What sessions tell.

  onSession(session: Session, role: HandshakeRole): void {
    const { clock } = this.#environment.platform;
    const known = this.#budgets.get(session.remoteInstance) ?? {
      budget: new PeerBudget(clock, this.#limits),
      sessions: 0,
    };
    known.sessions++;
    this.#budgets.set(session.remoteInstance, known);
    const { budget } = known;
    const search = new Search({ parts: this.#parts, session, role, budget });
    this.#searches.set(session, search);
    if (role === 'initiator') this.#start(search);
    for (const message of this.#early.get(session) ?? []) this.onPathMessage(session, message);
    this.#early.delete(session);
  }

  onPathMessage(session: Session, message: Bytes): void {
    const search = this.#searches.get(session);
    if (search === undefined) return this.#keep(session, message);
    try {
      const signal = decodeSignal(message);
      if (signal.kind === 'offer' && this.#isFull) search.send({ kind: 'decline', to: signal.nonce, reason: 'busy' });
      else search.negotiation.onSignal(signal);
    } catch (thrown) {
      const { remoteInstance: instance } = session;
      this.#environment.log.log('debug', 'path-message-refused', { instance, error: toSkeinError(thrown).message });
    }
  }

  onPaths(session: Session): void {
    this.#searches.get(session)?.onPaths();
  }

  forget(session: Session): void {
    const search = this.#searches.get(session);
    if (search === undefined) return;
    this.#searches.delete(session);
    search.close();
    const known = this.#budgets.get(session.remoteInstance);
    if (known !== undefined && --known.sessions === 0) this.#budgets.delete(session.remoteInstance);
  }

  #keep(session: Session, message: Bytes): void {
    const early = this.#early.get(session) ?? [];
    if (early.length < MAX_EARLY) early.push(message);
    this.#early.set(session, early);
  }

  get #isFull(): boolean {
    let searching = 0;
    for (const { negotiation } of this.#searches.values()) if (negotiation.state === 'searching') searching++;
    return searching >= this.#limits.maxSearches;
  }

  /** Where many search already it waits for its turn. */
  #start(search: Search): void {
    if (!this.#searches.has(search.session) || search.negotiation.state !== 'relayed') return;
    if (this.#isFull) this.#startLater(search);
    else search.negotiation.start();
  }

  #startLater(search: Search): void {
    const { clock, random } = this.#environment.platform;
    clock.setTimer(random.ratio() * SPREAD_MS, () => this.#start(search));
  }

  #checkAddresses(): void {
    const addresses = this.#listAddresses();
    if (addresses === this.#addresses) return;
    this.#addresses = addresses;
    this.#environment.log.log('info', 'addresses-changed', {});
    for (const search of this.#searches.values()) {
      search.negotiation.forgive();
      this.#startLater(search);
    }
  }

  #listAddresses(): string {
    const { directSockets } = this.#environment.platform;
    return (directSockets?.localAddresses() ?? [])
      .map(({ name, ip }) => `${name} ${ip}`)
      .sort()
      .join(', ');
  }

  #reach(): Reach {
    const { directSockets } = this.#environment.platform;
    return { listener: this.#listener, advertise: this.#advertise, local: directSockets?.localAddresses() ?? [] };
  }

  /** Asks the hub that carries the session, which both ends have in common. @throws SkeinError */
  async #introduce(session: Session): Promise<Vantage & { readonly reflectors: readonly Reflector[] }> {
    const routes = this.#environment.routes();
    const relays = new Set(session.paths.filter(({ kind }) => kind === 'relay').map(({ via }) => via));
    const introducers = routes.filter((hub) => hub.plays('signal'));
    const hub = introducers.find(({ url }) => relays.has(url)) ?? introducers[0];
    if (hub === undefined)
      throw new SkeinError('SKEIN_HUB_UNREACHABLE', 'Cannot look for direct path: no hub is connected');
    const { own, peer, isSameNetwork, reflectors } = await hub.channel.call('introduce', {
      instance: session.remoteInstance,
    });
    const urls = [hub.url, ...routes.filter((other) => other !== hub).map(({ url }) => url)];
    const members = reflectors
      .filter((address) => parseIpEndpoint(address) !== undefined)
      .map((address) => `ws://${address}`);
    return { own, peer, isSameNetwork, reflectors: [...urls, ...members].map(toReflector) };
  }
}

function readAdvertised(text: string | undefined): IpEndpoint | undefined {
  return text === undefined ? undefined : parseIpEndpoint(text);
}
