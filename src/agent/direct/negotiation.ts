/**
 * `Negotiation`: how the two ends of one session look for a direct path, while the relay carries what there is to carry.
 * A machine: messages, results and time come in; messages, and wishes to dial, to probe and to punch, go out. It owns no
 * socket. Every step has a deadline, and behind the last one the session simply stays relayed.
 */

import {
  type DeclineReason,
  type Introduction,
  MAX_ROUNDS,
  type NatKind,
  type Signal,
  type SignalOf,
} from '../../control/signal.ts';
import type { Clock, Timer } from '../../core/clock.ts';
import { jitter, type Random } from '../../core/random.ts';
import type { DirectLimits } from './options.ts';

/** What was found out about the own end: where others see port `localPort` of it. */
export interface Probed {
  readonly address: string;
  readonly nat: NatKind;
}

export interface PunchPlan {
  readonly round: number;
  readonly address: string;
  /** Both ends dial at once: a crossed open. */
  readonly isCrossed: boolean;
  readonly delayMs: number;
}

/** What a negotiation wants done. Results come back by the methods named. */
export interface NegotiationHost {
  send(signal: Signal): void;
  /** Find out where this end is, and let in who shows the new secret: `onPrepared`. */
  prepare(): void;
  /** Dial those of the peer's candidates that may be dialled; gives how many. `onDialOver` */
  dial(peer: Introduction, delayMs: number): number;
  /** Open the way to reflectors from a fresh port: `onProbed`. */
  probe(round: number): void;
  /** The problem with the address that the peer has named, or undefined. `onPunchFailed` */
  punch(plan: PunchPlan): string | undefined;
  /** Give up what this round has opened, but for what has become a path. */
  stopPunching(): void;
  /** The attempt is over: nothing of it goes on. */
  stop(): void;
  /** It was in vain. */
  gaveUp(reason: string): void;
  /** May a round be dialled with this peer now? Counts it. */
  takeRound(): boolean;
  takeOffer(): boolean;
  /** It is time for the next attempt: `start`, when it is the turn of this session. */
  retry(): void;
  /** Which kind of round has worked between these two NATs. */
  readonly crossesFirst: boolean;
  /** Why this end cannot open a connection from both ends, in words; undefined when it can. */
  readonly noPunchBecause: string | undefined;
}

export interface NegotiationOptions {
  readonly host: NegotiationHost;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: DirectLimits;
  /** Starts attempts by itself. */
  readonly isInitiator: boolean;
  /** Undefined: this member looks for direct paths. */
}

/** `relayed`: it waits for the next attempt, or for the peer's. */
export type NegotiationState = 'off' | 'searching' | 'direct' | 'relayed';

type Step =
  | 'idle'
  | 'preparing'
  | 'offering'
  | 'dialling'
  /** Waits for the own probe, then for the peer. */
  | 'probing'
  | 'agreeing'
  | 'punching';

interface Attempt {
  /** Nonce of the offer; undefined while the own one is being prepared. */
  id: string | undefined;
  readonly isStarter: boolean;
  own: Introduction | undefined;
  peer: Introduction | undefined;
  round: number;
  /** When the message of this round came or went. */
  roundMs: number;
  /** What was found out before the first round. */
  early: Probed | string | undefined;
  isProbingEarly: boolean;
  isCrossed: boolean;
  peerAddress: string;
}

const DECLINED: Readonly<Record<DeclineReason, string>> = {
  off: 'the peer looks for no direct paths',
  limit: 'the peer was asked too often in this minute',
  busy: 'the peer is busy with other sessions',
};

export class Negotiation {
  readonly #options: NegotiationOptions;
  #step: Step = 'idle';
  #attempt: Attempt | undefined;
  #timer: Timer | undefined;
  #punchStart: Timer | undefined;
  #retry: Timer | undefined;
  #retryAtMs: number | undefined;
  #failures = 0;
  #attempts = 0;
  #reason: string | undefined;
  #nat: NatKind = 'unknown';
  #peerNat: NatKind = 'unknown';
  /** Direct paths that both ends know, and since when there is one. */
  #paths = 0;
  #directSinceMs = 0;
  #isClosed = false;

  constructor(options: NegotiationOptions) {
    this.#options = options;
  }

  get state(): NegotiationState {
    if (this.#paths > 0) return 'direct';
    return this.#step === 'idle' ? 'relayed' : 'searching';
  }

  get attempts(): number {
    return this.#attempts;
  }

  /** Why there is no direct path, in words. */
  get reason(): string | undefined {
    return this.#paths > 0 ? undefined : this.#reason;
  }

  get nat(): NatKind {
    return this.#nat;
  }

  get peerNat(): NatKind {
    return this.#peerNat;
  }

  get retryInMs(): number | undefined {
    return this.#retryAtMs === undefined ? undefined : Math.max(0, this.#retryAtMs - this.#options.clock.monotonicMs());
  }

  /** Rounds of punching that this attempt has begun. */
  get rounds(): number {
    return (this.#attempt?.round ?? -1) + 1;
  }

  /** Was the path, or is it about to be, opened by a crossed open? */
  get isCrossed(): boolean {
    return this.#attempt?.isCrossed ?? false;
  }

  /** Begins an attempt, unless one is under way or there is nothing to look for. */
  start(): void {
    if (this.#isClosed || this.#step !== 'idle' || this.#paths > 0) return;
    this.#begin(true);
    this.#options.host.prepare();
  }

  /** This host has other addresses: what failed before counts no more. */
  forgive(): void {
    this.#failures = 0;
  }

  /** The own introduction is there; undefined when there is no telling. */
  onPrepared(own: Introduction): void {
    const attempt = this.#attempt;
    if (attempt === undefined || this.#step !== 'preparing') return;
    const { host, limits } = this.#options;
    attempt.own = own;
    if (attempt.peer !== undefined) return this.#answer(attempt, own, attempt.peer);
    attempt.id = own.nonce;
    this.#enter('offering', limits.answerMs, 'the peer did not answer');
    host.send({ kind: 'offer', ...own });
  }

  onSignal(signal: Signal): void {
    if (this.#isClosed) return;
    if (signal.kind === 'offer') return this.#onOffer(signal);
    const attempt = this.#attempt;
    if (attempt === undefined || signal.to !== attempt.id) return; // of an attempt that is over
    switch (signal.kind) {
      case 'answer':
        return this.#onAnswer(attempt, signal);
      case 'decline':
        return this.#step === 'offering' ? this.#giveUp(DECLINED[signal.reason]) : undefined;
      case 'round':
        return this.#onRound(attempt, signal);
      case 'ready':
        return this.#onReady(attempt, signal);
      case 'go':
        return this.#onGo(attempt, signal);
      case 'fail':
        return this.#onFail(attempt, signal);
    }
  }

  /** None of the candidates led to a path. */
  onDialOver(reason: string): void {
    if (this.#step === 'dialling') this.#reason = reason;
  }

  /** What reflectors say about the port that was opened for `round`, or why they say nothing. */
  onProbed(round: number, result: Probed | string): void {
    const attempt = this.#attempt;
    if (attempt?.id === undefined) return;
    if (attempt.isProbingEarly && attempt.round < 0) {
      attempt.early = result; // the peer has not begun the round yet
      return;
    }
    if (this.#step !== 'probing' || attempt.round !== round) return;
    const { host, clock, limits } = this.#options;
    if (typeof result === 'string') return this.#abort(attempt, result);
    this.#nat = result.nat;
    const { address, nat } = result;
    if (attempt.isStarter) {
      if (nat === 'endpoint-dependent') return this.#abort(attempt, OWN_SYMMETRIC);
      this.#enter('agreeing', limits.stepMs, 'the peer did not say from where it dials');
      host.send({ kind: 'round', to: attempt.id, round, isCrossed: attempt.isCrossed, address, nat });
      attempt.roundMs = clock.monotonicMs();
    } else {
      this.#enter('agreeing', limits.stepMs, 'the peer did not say when to dial');
      host.send({ kind: 'ready', to: attempt.id, round, address, nat, tookMs: clock.monotonicMs() - attempt.roundMs });
      if (nat === 'endpoint-dependent') this.#giveUp(OWN_SYMMETRIC);
    }
  }

  /** The dial of `round` ended without a path, before its time was over. */
  onPunchFailed(round: number, reason: string): void {
    const attempt = this.#attempt;
    if (attempt?.id === undefined || this.#step !== 'punching' || attempt.round !== round) return;
    this.#options.host.send({ kind: 'fail', to: attempt.id, round, reason });
    this.#nextRound(attempt, reason);
  }

  /** How many direct paths the session has that both ends know. Another one is what an attempt is for. */
  onPaths(count: number): void {
    const before = this.#paths;
    if (this.#isClosed || count === before) return;
    this.#paths = count;
    const { host, clock, limits, isInitiator } = this.#options;
    if (count > before) {
      this.#clear();
      this.#step = 'idle';
      this.#attempt = undefined;
      if (before === 0) this.#directSinceMs = clock.monotonicMs();
      return host.stop();
    }
    if (count > 0) return;
    this.#reason = 'the direct path was lost';
    const wasGood = clock.monotonicMs() - this.#directSinceMs >= limits.healthyMs;
    this.#failures = wasGood ? 0 : this.#failures + 1;
    // The peer may have noticed first, and be at it already.
    if (isInitiator && this.#attempt === undefined) this.#scheduleRetry(wasGood ? 0 : this.#retryDelayMs);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#clear();
    if (this.#attempt !== undefined) this.#options.host.stop();
    this.#attempt = undefined;
  }

  // The beginning of an attempt.

  #begin(isStarter: boolean): Attempt {
    this.#clear();
    if (this.#attempt !== undefined) this.#options.host.stop();
    this.#attempts++;
    const attempt: Attempt = {
      ...{ id: undefined, isStarter, own: undefined, peer: undefined, round: -1, roundMs: 0 },
      ...{ early: undefined, isProbingEarly: false, isCrossed: false, peerAddress: '' },
    };
    this.#attempt = attempt;
    this.#enter('preparing', this.#options.limits.prepareMs, 'the hub did not say where this member is');
    return attempt;
  }

  #onOffer({ kind: _kind, ...peer }: SignalOf<'offer'>): void {
    const { host } = this.#options;
    const own = this.#attempt;
    // Glare: of two offers the smaller nonce counts, and its sender takes no notice of the other.
    if (own?.isStarter && this.#step === 'offering' && own.id !== undefined && own.id < peer.nonce) return;
    if (!host.takeOffer()) return host.send({ kind: 'decline', to: peer.nonce, reason: 'limit' });
    const attempt = this.#begin(false);
    attempt.id = peer.nonce;
    attempt.peer = peer;
    host.prepare();
  }

  #answer(attempt: Attempt, own: Introduction, peer: Introduction): void {
    const { host } = this.#options;
    host.send({ kind: 'answer', to: peer.nonce, ...own });
    const dialled = host.dial(peer, 0);
    this.#beginDialling(attempt, dialled, own, peer);
  }

  #onAnswer(attempt: Attempt, { kind: _kind, to: _to, ...peer }: SignalOf<'answer'>): void {
    const { own } = attempt;
    if (this.#step !== 'offering' || own === undefined) return;
    const { host, limits } = this.#options;
    attempt.peer = peer;
    // The peer dials already, if it was told where; its path would be the second.
    const dialled = host.dial(peer, own.candidates.length > 0 ? limits.yieldMs : 0);
    this.#beginDialling(attempt, dialled, own, peer);
  }

  #beginDialling(attempt: Attempt, dialled: number, own: Introduction, peer: Introduction): void {
    const { host, clock, limits } = this.#options;
    const isAnythingDialled = dialled + own.candidates.length > 0;
    const canPunch = own.canPunch && peer.canPunch;
    if (!isAnythingDialled && !canPunch) {
      const why = host.noPunchBecause ?? 'the peer cannot open a connection from both ends';
      return this.#giveUp(`no end has a listener that the other may dial, and ${why}`);
    }
    this.#reason = isAnythingDialled ? 'no candidate could be reached' : undefined;
    this.#step = 'dialling';
    this.#setDeadline(limits.dialMs, () => this.#giveUp(this.#reason ?? 'no candidate could be reached'));
    if (!canPunch) return;
    if (!attempt.isStarter) {
      // The other end leads from here: it has its own head start, and then a probe to make.
      this.#setDeadline(limits.dialMs + limits.stepMs, () => this.#giveUp(this.#reason ?? 'the peer punched no hole'));
      // Nothing else can lead to a path: this end looks at once from where it will dial, while the other does.
      attempt.isProbingEarly = !isAnythingDialled;
      if (attempt.isProbingEarly) host.probe(0);
      return;
    }
    this.#timer?.cancel();
    this.#punchStart = clock.setTimer(isAnythingDialled ? limits.dialHeadStartMs : 0, () => this.#beginRound(attempt));
  }

  // Rounds of punching; the starter leads.

  #beginRound(attempt: Attempt): void {
    const { host } = this.#options;
    if (attempt !== this.#attempt) return;
    if (!host.takeRound()) return this.#abort(attempt, 'there were too many rounds in this minute');
    attempt.round++;
    // The staggered round opens a hole that the peer's SYN finds: right for NATs that drop strangers in silence. Where
    // they are answered with RST only SYNs that cross pass by each other.
    attempt.isCrossed = host.crossesFirst ? attempt.round < MAX_ROUNDS - 1 : attempt.round > 0;
    this.#enter('probing', this.#options.limits.stepMs, 'no reflector answered');
    host.probe(attempt.round);
  }

  #onRound(attempt: Attempt, { round, isCrossed, address, nat }: SignalOf<'round'>): void {
    const { host, clock } = this.#options;
    if (attempt.isStarter || round <= attempt.round || attempt.own?.canPunch !== true) return;
    const { early } = attempt;
    const isProbing = attempt.isProbingEarly && attempt.round < 0;
    if (!isProbing) host.stopPunching();
    if (!host.takeRound()) return this.#abort(attempt, 'there were too many rounds in this minute');
    this.#peerNat = nat;
    Object.assign(attempt, { round, isCrossed, peerAddress: address, roundMs: clock.monotonicMs() });
    this.#enter('probing', this.#options.limits.stepMs, 'no reflector answered');
    if (early !== undefined && isProbing) this.onProbed(round, early);
    else if (!isProbing) host.probe(round);
  }

  #onReady(attempt: Attempt, { round, address, nat, tookMs }: SignalOf<'ready'>): void {
    const { id } = attempt;
    if (!attempt.isStarter || this.#step !== 'agreeing' || round !== attempt.round || id === undefined) return;
    const { host, clock } = this.#options;
    this.#peerNat = nat;
    if (nat === 'endpoint-dependent') return this.#giveUp(PEER_SYMMETRIC);
    const rttMs = Math.max(0, clock.monotonicMs() - attempt.roundMs - tookMs);
    attempt.peerAddress = address;
    host.send({ kind: 'go', to: id, round, rttMs });
    // Staggered: this end first. Crossed: when the peer has got the word.
    this.#punch(attempt, attempt.isCrossed ? rttMs / 2 : 0);
  }

  #onGo(attempt: Attempt, { round, rttMs }: SignalOf<'go'>): void {
    if (attempt.isStarter || this.#step !== 'agreeing' || round !== attempt.round) return;
    // Staggered: 1.5 one-way times behind the starter, of which one has passed.
    this.#punch(attempt, attempt.isCrossed ? 0 : rttMs / 4);
  }

  #punch(attempt: Attempt, delayMs: number): void {
    const { round, isCrossed, peerAddress: address } = attempt;
    const { host, limits } = this.#options;
    this.#step = 'punching';
    this.#setDeadline(delayMs + limits.punchMs, () => this.#nextRound(attempt, 'nothing came through from the peer'));
    const problem = host.punch({ round, address, isCrossed, delayMs });
    if (problem !== undefined) this.#abort(attempt, `the address that the peer named must not be dialled: ${problem}`);
  }

  #onFail(attempt: Attempt, { round, reason }: SignalOf<'fail'>): void {
    if (round !== attempt.round) return;
    if (this.#step === 'punching') this.#nextRound(attempt, reason);
    else if (this.#step === 'agreeing' || this.#step === 'probing') this.#giveUp(reason);
  }

  #nextRound(attempt: Attempt, reason: string): void {
    const { host, limits } = this.#options;
    this.#reason = reason;
    host.stopPunching();
    if (attempt.round + 1 >= MAX_ROUNDS) return this.#giveUp(reason);
    if (attempt.isStarter) return this.#beginRound(attempt);
    this.#enter('dialling', limits.punchMs + limits.stepMs, reason);
  }

  // The end of an attempt.

  /** Tells the peer too. */
  #abort(attempt: Attempt, reason: string): void {
    const { id, round } = attempt;
    if (id !== undefined && round >= 0)
      this.#options.host.send({ kind: 'fail', to: id, round, reason: reason.slice(0, 128) });
    this.#giveUp(reason);
  }

  #giveUp(reason: string): void {
    const { host, isInitiator } = this.#options;
    this.#clear();
    this.#step = 'idle';
    this.#attempt = undefined;
    host.stop();
    if (this.#paths > 0) return;
    this.#reason = reason;
    host.gaveUp(reason);
    this.#failures++;
    if (isInitiator) this.#scheduleRetry(this.#retryDelayMs);
  }

  get #retryDelayMs(): number {
    const { limits, random } = this.#options;
    const waitMs = Math.min(limits.retryCapMs, limits.retryMs * 2 ** Math.max(0, this.#failures - 1));
    // Never early: the peer counts what comes in a minute.
    return jitter(random, waitMs * 1.05, 0.05);
  }

  #scheduleRetry(delayMs: number): void {
    const { clock, host } = this.#options;
    this.#retryAtMs = clock.monotonicMs() + delayMs;
    this.#retry = clock.setTimer(delayMs, () => host.retry());
  }

  #enter(step: Step, limitMs: number, late: string): void {
    this.#step = step;
    this.#setDeadline(limitMs, () => {
      const attempt = this.#attempt;
      if (attempt !== undefined) this.#abort(attempt, late);
    });
  }

  #setDeadline(limitMs: number, run: () => void): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.setTimer(limitMs, run);
  }

  #clear(): void {
    this.#timer?.cancel();
    this.#punchStart?.cancel();
    this.#retry?.cancel();
    this.#retryAtMs = undefined;
  }
}

const OWN_SYMMETRIC = 'this member is behind a NAT that maps every destination differently (symmetric)';
const PEER_SYMMETRIC = 'the peer is behind a NAT that maps every destination differently (symmetric)';
