/** Links that have not authenticated yet: how many there are, in all and of one address, so that nobody alone keeps the rest out. */

import { classifyIp, readRemoteIp, toOrigin } from '../core/ip.ts';
import { Rates } from '../core/rates.ts';
import type { HubLimits } from './options.ts';

type HalfOpenLimits = Pick<HubLimits, 'maxHalfOpen' | 'maxHalfOpenPerAddress' | 'linksPerAddress'>;

interface Entry {
  readonly sinceMs: number;
  /** Ends the link. */
  readonly giveUp: () => void;
}

/** Whoever means it is done by then, three round trips and a hub that is busy with as many others. */
const GRACE_MS = 1_500;
/** At first, and at least, so many handshakes go on side by side before others are let wait. */
const LEAST_AT_ONCE = 32;
/**
 * A handshake that takes longer, and twice as long as the quickest of late, waits for the others, here or at its other end, and not for the
 * way between. In any case one that takes longer than the second: it is about to be too late.
 */
const SLOW_MS = 500;
const TOO_SLOW_MS = 1_000;
/** After this the quickest one is looked for anew. */
const QUICKEST_FOR_MS = 10_000;
/** More than that would wait for each other: so much less then, and not again before those that were begun have ended. */
const BACK_OFF = 0.8;

export class HalfOpen {
  readonly #limits: HalfOpenLimits;
  /** By the address they come from, the oldest first. */
  readonly #byOrigin = new Map<string, Set<Entry>>();
  readonly #rates: Rates;
  #size = 0;
  /** How many go on side by side; more as long as they are done in time (AIMD, as TCP has it). */
  #atOnce = LEAST_AT_ONCE;
  #steadyMs = 0;
  #quickestMs = Number.POSITIVE_INFINITY;
  #quickestUntilMs = 0;

  constructor(limits: HalfOpenLimits) {
    this.#limits = limits;
    this.#rates = new Rates(limits.linksPerAddress);
  }

  get size(): number {
    return this.#size;
  }

  /** Whether `remoteAddress` (`host:port`) may begin another link so soon: asked before it costs anything. */
  mayBegin(remoteAddress: string | undefined, nowMs: number): boolean {
    const { origin, isLocal } = toPlace(remoteAddress);
    return isLocal || this.#rates.take(origin, nowMs);
  }

  /** Whether a link of `remoteAddress` would be taken now, beside `coming` others that were told so. */
  hasRoom(remoteAddress: string | undefined, nowMs: number, coming: number): boolean {
    const { origin, isLocal } = toPlace(remoteAddress);
    return this.#hasRoom(origin, isLocal, nowMs, Math.min(this.#atOnce, this.#limits.maxHalfOpen) - coming);
  }

  /** A handshake has ended well, after `tookMs`. */
  noteDone(tookMs: number, nowMs: number): void {
    if (tookMs < this.#quickestMs || nowMs >= this.#quickestUntilMs) {
      this.#quickestMs = tookMs;
      this.#quickestUntilMs = nowMs + QUICKEST_FOR_MS;
    }
    if (tookMs < Math.min(TOO_SLOW_MS, Math.max(SLOW_MS, 2 * this.#quickestMs))) {
      this.#atOnce = Math.min(this.#limits.maxHalfOpen, this.#atOnce + 1);
    } else if (nowMs >= this.#steadyMs) {
      this.#atOnce = Math.max(LEAST_AT_ONCE, this.#atOnce * BACK_OFF);
      this.#steadyMs = nowMs + tookMs;
    }
  }

  /**
   * Counts a link of `remoteAddress`; undefined when there is no room. Call what it returns once, at the end of the
   * handshake.
   */
  enter(remoteAddress: string | undefined, nowMs: number, giveUp: () => void): (() => void) | undefined {
    const { origin, isLocal } = toPlace(remoteAddress);
    if (!this.#hasRoom(origin, isLocal, nowMs, this.#limits.maxHalfOpen)) return undefined;
    if (this.#size >= this.#limits.maxHalfOpen) this.#findVictim(origin, nowMs)?.giveUp();
    const entry: Entry = { sinceMs: nowMs, giveUp };
    this.#byOrigin.set(origin, (this.#byOrigin.get(origin) ?? new Set()).add(entry));
    this.#size++;
    return () => this.#leave(origin, entry);
  }

  #hasRoom(origin: string, isLocal: boolean, nowMs: number, places: number): boolean {
    const own = this.#byOrigin.get(origin)?.size ?? 0;
    if (own >= this.#limits.maxHalfOpenPerAddress && !isLocal) return false;
    return this.#size < places || this.#findVictim(origin, nowMs) !== undefined;
  }

  /**
   * When all places are taken: the oldest link of the address that has most of them. It goes at once for one of an address
   * that has less, and for its own kind when it has had its time: many who come together do not push each other out.
   */
  #findVictim(origin: string, nowMs: number): Entry | undefined {
    let most: Set<Entry> | undefined;
    for (const entries of this.#byOrigin.values()) if (entries.size > (most?.size ?? 0)) most = entries;
    const [oldest] = most ?? [];
    if (most === undefined || oldest === undefined) return undefined;
    const hasLess = (this.#byOrigin.get(origin)?.size ?? 0) + 1 < most.size;
    return hasLess || nowMs - oldest.sinceMs >= GRACE_MS ? oldest : undefined;
  }

  #leave(origin: string, entry: Entry): void {
    const own = this.#byOrigin.get(origin);
    if (own?.delete(entry) !== true) return;
    this.#size--;
    if (own.size === 0) this.#byOrigin.delete(origin);
  }
}

/** A proxy on this machine speaks for everybody: its address has no share of its own. */
export function toPlace(remoteAddress: string | undefined): { readonly origin: string; readonly isLocal: boolean } {
  const ip = readRemoteIp(remoteAddress) ?? '';
  return { origin: toOrigin(ip), isLocal: classifyIp(ip) === 'loopback' };
}
