/**
 * `Candidates`: which of a backend's endpoints a request may go to now. Near before far, healthy before ejected, those heard
 * of before those suspected; and when too few are left, rather all that claim to be healthy than to crush the rest.
 */

import type { Random } from '../core/random.ts';
import type { Bond } from './affinity.ts';
import { chooseP2cEwma } from './balancer/p2c-ewma.ts';
import type { EndpointLoad } from './endpoint-load.ts';
import type { Locality } from './locality.ts';
import type { RouterOptions } from './options.ts';
import { Ring } from './ring.ts';
import { Distances, type Doubt, type FindRtt, type Tier } from './tiers.ts';
import type { Connector } from './upstream.ts';

/** What is known of ways to endpoints: some are to be chosen only where there is no other. */
export type Avoidance = Pick<Connector, 'hasSuspects' | 'isSuspect' | 'rttMs'>;

export interface CandidatesOptions {
  readonly here: Locality;
  readonly random: Random;
  readonly limits: RouterOptions;
  /** Panic begins or ends: ejections are not looked at, because too few endpoints would be left. */
  readonly onPanic: (isOn: boolean) => void;
  /** Requests begin to go further away because those who are near are slow, or that ends. */
  readonly onSpill: (isOn: boolean) => void;
  /** An endpoint is further away than its labels say. */
  readonly onDoubt: (doubt: Doubt) => void;
}

export class Candidates {
  readonly #options: CandidatesOptions;
  #limits: RouterOptions;
  readonly #distances: Distances;
  #healthy: readonly EndpointLoad[] = [];
  #ejected: readonly EndpointLoad[] = [];
  /** For a request that has not been anywhere yet. */
  #tiers: readonly Tier[] = [];
  /** Monotonic time at which the tiers must be made again; 0 when they must be at once. */
  #validUntilMs = 0;
  #isPanicking = false;
  #isSpilling = false;
  readonly #ring = new Ring();

  constructor(options: CandidatesOptions) {
    this.#options = options;
    this.#limits = options.limits;
    this.#distances = new Distances(options.here);
  }

  set limits(limits: RouterOptions) {
    this.#limits = limits;
    this.invalidate();
  }

  get healthy(): readonly EndpointLoad[] {
    return this.#healthy;
  }

  update(loads: readonly EndpointLoad[]): void {
    this.#distances.update(loads);
    this.#ring.update(loads);
    this.#healthy = loads.filter((load) => load.endpoint.healthy);
    this.invalidate();
  }

  /** Something about an endpoint has changed. */
  invalidate(): void {
    this.#validUntilMs = 0;
  }

  get isPanicking(): boolean {
    return this.#isPanicking;
  }

  get isSpilling(): boolean {
    return this.#isSpilling;
  }

  /** Part of the requests that the distance of `load` gets, when it was weighed last. */
  shareOf(load: EndpointLoad): number {
    return this.#tiers.find(({ warm, cold }) => warm.includes(load) || cold.includes(load))?.share ?? 0;
  }

  /** Nobody is chosen here any more: what was told to be so is over. */
  end(): void {
    if (this.#isPanicking) this.#options.onPanic(false);
    if (this.#isSpilling) this.#options.onSpill(false);
    this.#isPanicking = false;
    this.#isSpilling = false;
  }

  /** An endpoint that is not among `tried`, or undefined when there is none. */
  choose(tried: readonly EndpointLoad[], nowMs: number, avoid: Avoidance | undefined): EndpointLoad | undefined {
    if (nowMs >= this.#validUntilMs) this.#weigh(nowMs, avoid);
    const probe = this.#dueProbe(tried, nowMs);
    probe?.outlier.startProbe();
    return (
      probe ??
      this.#draw(this.#open(tried, avoid), nowMs) ??
      chooseP2cEwma(this.#lastResort(tried, avoid), this.#options.random, nowMs)
    );
  }

  /** Those of whom `choose` would take one for a request that has not been anywhere; nothing changes by it. */
  eligible(nowMs: number, avoid: Avoidance | undefined, bond: Bond | undefined): readonly EndpointLoad[] {
    if (nowMs >= this.#validUntilMs) this.#weigh(nowMs, avoid);
    const bound = bond && this.#bound(bond, [], nowMs, avoid);
    const one = bound ?? this.#dueProbe([], nowMs);
    if (one !== undefined) return [one];
    const open = this.#open([], avoid).flatMap(({ warm, cold }) => [...warm, ...cold]);
    return open.length > 0 ? open : this.#lastResort([], avoid);
  }

  #open(tried: readonly EndpointLoad[], avoid: Avoidance | undefined): readonly Tier[] {
    if (tried.length === 0 && !avoid?.hasSuspects) return this.#tiers;
    return narrow(this.#tiers, (load) => !tried.includes(load) && !avoid?.isSuspect(load.endpoint));
  }

  /**
   * The endpoint that `bond` leads to: that of its session as long as it can be asked at all, else the first on the walk of its
   * key that one would choose; without either, as any other request.
   */
  chooseBound(
    bond: Bond,
    tried: readonly EndpointLoad[],
    nowMs: number,
    avoid: Avoidance | undefined,
  ): EndpointLoad | undefined {
    if (nowMs >= this.#validUntilMs) this.#weigh(nowMs, avoid);
    const bound = this.#bound(bond, tried, nowMs, avoid);
    if (bound === undefined) return this.choose(tried, nowMs, avoid);
    if (bound.outlier.isEjected && !this.#isPanicking) bound.outlier.startProbe();
    return bound;
  }

  #bound(
    { session, key }: Bond,
    tried: readonly EndpointLoad[],
    nowMs: number,
    avoid: Avoidance | undefined,
  ): EndpointLoad | undefined {
    const canBeAsked = (load: EndpointLoad): boolean =>
      load.endpoint.healthy &&
      (!load.outlier.isEjected || this.#isPanicking) &&
      !tried.includes(load) &&
      !avoid?.isSuspect(load.endpoint);
    const own = session && this.#ring.ofSession(session.tag);
    if (own !== undefined && canBeAsked(own)) return own;
    return key === undefined ? undefined : this.#walk(key, tried, nowMs, canBeAsked);
  }

  #walk(key: number, tried: readonly EndpointLoad[], nowMs: number, canBeAsked: (load: EndpointLoad) => boolean) {
    const tier = this.#tiers.length > 1 ? drawTier(this.#tiers, key / 2 ** 32) : this.#tiers[0];
    if (tier === undefined) return undefined;
    const isAnyLeft = tier.warm.some(canBeAsked) || tier.cold.some(canBeAsked);
    return this.#ring.walk(key, isAnyLeft, (load, isOwn) => {
      if (canBeAsked(load)) return tier.warm.includes(load) || tier.cold.includes(load);
      // Who is left alone is probed by a request that would be its own.
      return isOwn && tried.length === 0 && load.endpoint.healthy && load.outlier.isProbeDue(nowMs);
    });
  }

  /** Nobody whom one would choose: then one that is ejected or busy, and at last one that is suspected. */
  #lastResort(tried: readonly EndpointLoad[], avoid: Avoidance | undefined): readonly EndpointLoad[] {
    const left = this.#healthy.filter((load) => !tried.includes(load));
    const heard = left.filter((load) => !avoid?.isSuspect(load.endpoint));
    const working = heard.filter(({ outlier }) => !outlier.isEjected);
    return working.length > 0 ? working : heard.length > 0 ? heard : left;
  }

  #dueProbe(tried: readonly EndpointLoad[], nowMs: number): EndpointLoad | undefined {
    if (tried.length > 0 || this.#tiers.length === 0) return undefined; // a retry is no guinea pig
    return this.#ejected.find(({ outlier }) => outlier.isProbeDue(nowMs));
  }

  #draw(tiers: readonly Tier[], nowMs: number): EndpointLoad | undefined {
    const { random } = this.#options;
    const tier = tiers.length > 1 ? drawTier(tiers, random.ratio()) : tiers[0];
    if (tier === undefined) return undefined;
    const { warm, cold } = tier;
    if (cold.length === 0) return chooseP2cEwma(warm, random, nowMs);
    if (warm.length === 0) return chooseP2cEwma(cold, random, nowMs);
    return drawCold(tier, random, nowMs) ?? chooseP2cEwma(warm, random, nowMs);
  }

  #weigh(nowMs: number, avoid: Avoidance | undefined): void {
    const { onDoubt, onPanic, onSpill } = this.#options;
    this.#ejected = this.#healthy.filter(({ outlier }) => outlier.isEjected);
    const usable = this.#healthy.length - this.#ejected.length;
    const isPanicking = this.#ejected.length > 0 && usable * 100 < this.#distances.size * this.#limits.panicPercent;
    if (isPanicking !== this.#isPanicking) {
      this.#isPanicking = isPanicking;
      onPanic(isPanicking);
    }
    const findRtt: FindRtt = (endpoint) => avoid?.rttMs(endpoint);
    const isUsed = ({ outlier }: EndpointLoad): boolean => isPanicking || !outlier.isEjected;
    const { tiers, validUntilMs, isSpilling } = this.#distances.weigh(isUsed, nowMs, findRtt);
    this.#tiers = tiers;
    this.#validUntilMs = validUntilMs;
    if (isSpilling !== this.#isSpilling) {
      this.#isSpilling = isSpilling;
      onSpill(isSpilling);
    }
    const doubt = this.#distances.findDoubt(findRtt);
    if (doubt !== undefined) onDoubt(doubt);
  }
}

/** @param ratio 0 to 1: where in the sum of all shares */
function drawTier(tiers: readonly Tier[], ratio: number): Tier | undefined {
  let left = 0;
  for (const { share } of tiers) left += share;
  left *= ratio;
  for (const tier of tiers) {
    left -= tier.share;
    if (left < 0) return tier;
  }
  return tiers[0];
}

/** The tiers without what `keep` refuses. */
function narrow(tiers: readonly Tier[], keep: (load: EndpointLoad) => boolean): Tier[] {
  return tiers.flatMap((tier) => {
    const [warm, cold] = [tier.warm.filter(keep), tier.cold.filter(keep)];
    return warm.length + cold.length > 0 ? [{ warm, cold, share: tier.share }] : [];
  });
}

/** One that warms up, as often as is its part; the balancer alone would prefer it, because it has nothing to do. */
function drawCold({ warm, cold }: Tier, random: Random, nowMs: number): EndpointLoad | undefined {
  let left = warm.length;
  for (const load of cold) left += load.warmth(nowMs);
  left *= random.ratio();
  for (const load of cold) {
    left -= load.warmth(nowMs);
    if (left < 0) return load.isPenalised(nowMs) ? undefined : load;
  }
  return undefined;
}
