/** `Search`: does what the negotiation of one session wants — asks the hub, dials, probes, punches — and makes paths of the links that come about. */

import { encodeSignal, type Introduction, type Signal } from '../../control/signal.ts';
import { type Bytes, encodeUtf8, equalBytes, fromHex, toHex } from '../../core/bytes.ts';
import type { Clock } from '../../core/clock.ts';
import { SkeinError, toSkeinError } from '../../core/errors.ts';
import { classifyIp, formatIpEndpoint, type IpEndpoint, parseIpEndpoint } from '../../core/ip.ts';
import type { LogFields, Logger } from '../../core/log.ts';
import type { Crypto, DirectSockets, MessagePipe } from '../../core/platform.ts';
import type { Random } from '../../core/random.ts';
import type { HandshakeRole } from '../../tunnel/handshake.ts';
import type { PathInfo } from '../../tunnel/path.ts';
import type { Session } from '../../tunnel/session.ts';
import { gatherCandidates, judgeCandidates, judgeEndpoint, type Reach, type Vantage } from './candidates.ts';
import { Dial } from './dialler.ts';
import type { LinkMaker } from './link-maker.ts';
import type { NatPairs } from './nat-pairs.ts';
import { Negotiation, type NegotiationHost, type PunchPlan } from './negotiation.ts';
import type { DirectLimits } from './options.ts';
import type { PeerBudget } from './peer-budget.ts';
import { Hole, type Reflector } from './puncher.ts';
import { createTicket, type Tickets } from './tickets.ts';

/** How a direct path came about. */
export type DirectKind = 'host' | 'network' | 'public' | 'punched';

interface DirectPathInfo extends PathInfo {
  readonly how: DirectKind;
}

/** What the searches of one member share. */
export interface SearchParts {
  readonly sockets: DirectSockets | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly crypto: Crypto;
  readonly limits: DirectLimits;
  readonly log: Logger;
  readonly tickets: Tickets;
  readonly links: LinkMaker;
  readonly natPairs: NatPairs;
  readonly reach: () => Reach;
  /** Where the hub that carries the session sees its ends, and who reflects. @throws SkeinError */
  readonly introduce: (session: Session) => Promise<Vantage & { readonly reflectors: readonly Reflector[] }>;
  readonly hostKey: () => Promise<Bytes | undefined>;
  readonly isSlowAfterCrossing: () => Promise<boolean>;
  /** Begins the next attempt of a search, now or when others are done. */
  readonly start: (search: Search) => void;
}

export interface SearchOptions {
  readonly parts: SearchParts;
  readonly session: Session;
  readonly role: HandshakeRole;
  readonly budget: PeerBudget;
}

const NOWHERE: Vantage = { isSameNetwork: false };
const HOST_LABELS: Readonly<Record<HandshakeRole, Bytes>> = {
  initiator: encodeUtf8('skein/1 host of the initiator'),
  responder: encodeUtf8('skein/1 host of the responder'),
};

export class Search implements NegotiationHost {
  readonly negotiation: Negotiation;
  readonly #parts: SearchParts;
  readonly #session: Session;
  readonly #role: HandshakeRole;
  readonly #peerRole: HandshakeRole;
  readonly #budget: PeerBudget;
  /** Counts attempts, so that what belongs to an earlier one is known. */
  #attempt = 0;
  #own: Introduction | undefined;
  #peer: Introduction | undefined;
  #vantage: Vantage = NOWHERE;
  #reflectors: readonly Reflector[] = [];
  #hostKey: Bytes | undefined;
  #noPunchBecause: string | undefined;
  #dial: Dial | undefined;
  #hole: Hole | undefined;
  #isSlowAfterCrossing = false;
  /** Bytes of streams that were under way when the search began, and when that was. */
  #traffic = { bytes: 0, atMs: 0 };

  constructor({ parts, session, role, budget }: SearchOptions) {
    const { clock, random, limits } = parts;
    this.#parts = parts;
    this.#session = session;
    this.#role = role;
    this.#peerRole = role === 'initiator' ? 'responder' : 'initiator';
    this.#budget = budget;
    const isInitiator = role === 'initiator';
    this.negotiation = new Negotiation({ host: this, clock, random, limits, isInitiator });
  }

  get session(): Session {
    return this.#session;
  }

  /** How the direct path in use, or the one that stands by, came about. */
  get kind(): DirectKind | undefined {
    const [path] = this.#direct();
    return path === undefined ? undefined : (path.info as DirectPathInfo).how;
  }

  /** The paths of the session have changed. */
  onPaths(): void {
    const direct = this.#direct();
    // Both ends have dialled and both were heard: the end that opened the session says which one goes.
    const [, ...spare] = [...direct].sort((a, b) => b.ageMs - a.ageMs);
    if (this.#role === 'initiator') for (const { info } of spare) this.#session.leavePath((other) => other === info);
    const wasDirect = this.negotiation.state === 'direct';
    const { isCrossed, rounds } = this.negotiation;
    this.negotiation.onPaths(direct.length);
    if (wasDirect === direct.length > 0) return;
    const [path] = direct;
    const kind = this.kind;
    if (kind === 'punched') this.#parts.natPairs.note(this.#vantage, isCrossed);
    this.#say(path === undefined ? 'direct-path-lost' : 'direct-path', {
      via: path?.via,
      kind,
      ...(kind === 'punched' ? { rounds } : {}),
    });
  }

  /** The peer of this session has come through the listener. */
  welcome(pipe: MessagePipe, settle: () => void): void {
    const via = pipe.remoteAddress ?? '';
    this.#parts.links.accept(pipe, this.#session, toInfo(via, toKind(parseIpEndpoint(via)?.ip ?? '')), settle);
  }

  close(): void {
    this.negotiation.close();
    this.stop();
  }

  // What the negotiation wants.

  send(signal: Signal): void {
    if (signal.kind === 'decline') this.#say('offer-declined', { reason: signal.reason });
    try {
      this.#session.sendPathMessage(encodeSignal(signal));
    } catch (thrown) {
      this.#say('path-message-not-sent', { error: toSkeinError(thrown).message });
    }
  }

  prepare(): void {
    const attempt = ++this.#attempt;
    const { muxStats } = this.#session;
    this.#traffic = {
      bytes: (muxStats?.dataBytesSent ?? 0) + (muxStats?.dataBytesReceived ?? 0),
      atMs: this.#parts.clock.monotonicMs(),
    };
    this.#prepare().then(
      (own) => {
        if (attempt !== this.#attempt) return;
        this.#own = own;
        // From now on: the peer may be here before its answer is.
        this.#parts.tickets.issue(own, this.#session, this.#peerRole);
        this.negotiation.onPrepared(own);
      },
      (thrown) => this.#say('direct-search-failed', { error: toSkeinError(thrown).message }),
    );
  }

  dial(peer: Introduction, delayMs: number): number {
    const { sockets, clock, limits, crypto } = this.#parts;
    if (sockets === undefined) return 0;
    this.#peer = peer;
    const { usable, refused } = judgeCandidates(peer.candidates, this.#vantage, this.#isSameHost(peer));
    if (refused.length > 0) this.#say('candidates-refused', { candidates: refused });
    this.#dial?.stop();
    this.#dial = new Dial({
      ...{ sockets, clock, limits, places: usable, delayMs },
      ticket: createTicket(crypto, peer, this.#session.id, this.#role),
      onPipe: (pipe, place) => {
        this.#parts.links.offer(pipe, this.#session, toInfo(formatIpEndpoint(place), toKind(place.ip)));
      },
      onOver: (reason) => this.negotiation.onDialOver(reason),
    });
    return usable.length;
  }

  probe(round: number): void {
    const { sockets, clock, random, limits } = this.#parts;
    this.#hole?.close();
    if (sockets === undefined) return;
    const hole = new Hole({ sockets, clock, random, limits });
    this.#hole = hole;
    hole.probe(this.#reflectors).then(
      (probed) => {
        if (hole === this.#hole) this.negotiation.onProbed(round, probed);
      },
      (thrown) => {
        if (hole === this.#hole) this.negotiation.onProbed(round, toSkeinError(thrown).message);
      },
    );
  }

  punch({ round, address, isCrossed, delayMs }: PunchPlan): string | undefined {
    const hole = this.#hole;
    const place = parseIpEndpoint(address);
    if (hole === undefined || place === undefined) return 'it is no address';
    const problem = judgeEndpoint(place, this.#vantage, false);
    if (problem !== undefined) return problem;
    this.#punch(hole, place, isCrossed, delayMs).catch((thrown) => {
      if (hole === this.#hole) this.negotiation.onPunchFailed(round, toSkeinError(thrown).message);
    });
    return undefined;
  }

  stopPunching(): void {
    this.#hole?.close();
    this.#hole = undefined;
  }

  stop(): void {
    this.#attempt++;
    this.stopPunching();
    this.#dial?.stop();
    this.#dial = undefined;
    if (this.#own !== undefined) this.#parts.tickets.revoke(this.#own.nonce);
  }

  gaveUp(reason: string): void {
    this.#say('no-direct-path', { reason });
  }

  takeRound(): boolean {
    return this.#budget.takeRound();
  }

  takeOffer(): boolean {
    return this.#budget.takeOffer();
  }

  retry(): void {
    this.#parts.start(this);
  }

  get crossesFirst(): boolean {
    return this.#parts.natPairs.crosses(this.#vantage);
  }

  get noPunchBecause(): string | undefined {
    return this.#noPunchBecause;
  }

  // The rest.

  #direct() {
    return this.#session.paths.filter(({ kind, state }) => kind === 'direct' && state !== 'proving');
  }

  async #prepare(): Promise<Introduction> {
    const { random, introduce, hostKey, reach, isSlowAfterCrossing } = this.#parts;
    const unseen = (thrown: unknown): Vantage & { readonly reflectors: readonly Reflector[] } => {
      this.#say('not-introduced', { error: toSkeinError(thrown).message });
      return { ...NOWHERE, reflectors: [] };
    };
    const [{ reflectors, ...vantage }, key, isSlow] = await Promise.all([
      introduce(this.#session).catch(unseen),
      hostKey(),
      isSlowAfterCrossing(),
    ]);
    this.#vantage = vantage;
    this.#reflectors = reflectors;
    this.#hostKey = key;
    this.#isSlowAfterCrossing = isSlow;
    this.#noPunchBecause = this.#whyNoPunch();
    const nonce = toHex(random.bytes(16));
    return {
      nonce,
      secret: toHex(random.bytes(32)),
      candidates: gatherCandidates(reach(), vantage),
      ...(key === undefined ? {} : { host: this.#hostProof(key, nonce, this.#role) }),
      canPunch: this.#noPunchBecause === undefined,
    };
  }

  #whyNoPunch(): string | undefined {
    const { own, peer } = this.#vantage;
    if (this.#parts.sockets === undefined) return 'this runtime opens no TCP connections';
    if (own === undefined || peer === undefined)
      return 'the hub does not see from where its members come (a proxy is in front of it)';
    if (own === peer) return 'both ends have the same address: one of them needs a listener (--direct-listen)';
    const isPublic = classifyIp(own) === 'public' && classifyIp(peer) === 'public';
    const isInside = classifyIp(own) === 'private' && classifyIp(peer) === 'private';
    return isPublic || isInside ? undefined : 'the hub sees the two ends in different kinds of networks';
  }

  #hostProof(key: Bytes, nonce: string, role: HandshakeRole): string {
    return toHex(this.#parts.crypto.hmacSha256(key, HOST_LABELS[role], encodeUtf8(this.#session.id), fromHex(nonce)));
  }

  /** Has the peer shown what only processes of this host can know? */
  #isSameHost({ nonce, host }: Introduction): boolean {
    const key = this.#hostKey;
    if (key === undefined || host === undefined) return false;
    return equalBytes(encodeUtf8(host), encodeUtf8(this.#hostProof(key, nonce, this.#peerRole)));
  }

  async #punch(hole: Hole, place: IpEndpoint, isCrossed: boolean, delayMs: number): Promise<void> {
    const { crypto, tickets, links } = this.#parts;
    const peer = this.#peer;
    if (peer === undefined) return;
    const connection = await hole.punch(place, delayMs);
    const settleMs = isCrossed && this.#isSlowAfterCrossing && this.#isBusy ? this.#parts.limits.settleMs : 0;
    try {
      // Both ends have dialled: who opened the session is the client of the WebSocket.
      const isClient = this.#role === 'initiator';
      const pipe = isClient
        ? await connection.upgrade(createTicket(crypto, peer, this.#session.id, this.#role))
        : await connection.accept({
            admit: (ticket) => tickets.find(ticket) === this.#session,
            answer: () => undefined,
          });
      if (hole !== this.#hole) throw new SkeinError('SKEIN_CANCELLED', 'Cannot use connection: the round is over');
      const info = toInfo(formatIpEndpoint(place), 'punched', settleMs);
      if (isClient) links.offer(pipe, this.#session, info);
      else links.accept(pipe, this.#session, info, () => undefined);
    } catch (thrown) {
      connection.close();
      throw thrown;
    }
  }

  /** Did the session carry more than 1 MiB a second since the search began? */
  get #isBusy(): boolean {
    const { muxStats } = this.#session;
    const bytes = (muxStats?.dataBytesSent ?? 0) + (muxStats?.dataBytesReceived ?? 0) - this.#traffic.bytes;
    const seconds = Math.max(1, (this.#parts.clock.monotonicMs() - this.#traffic.atMs) / 1000);
    return bytes / seconds > BUSY_BYTES_PER_SECOND;
  }

  #say(event: string, fields: LogFields): void {
    const { remoteInstance: instance, id } = this.#session;
    this.#parts.log.log('info', event, { instance, session: id, ...fields });
  }
}

const BUSY_BYTES_PER_SECOND = 1024 * 1024;

function toInfo(via: string, how: DirectKind, settleMs = 0): DirectPathInfo {
  return { kind: 'direct', via, how, settleMs };
}

function toKind(ip: string): DirectKind {
  const kind = classifyIp(ip);
  return kind === 'loopback' ? 'host' : kind === 'private' ? 'network' : 'public';
}
