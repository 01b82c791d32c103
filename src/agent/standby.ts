/**
 * Standby: a second way, by another hub, to every peer that is talked to. The death of a hub then costs its sessions one round
 * trip, and not the opening of a circuit.
 */

import { Backoff } from '../core/backoff.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { toSkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { jitter, type Random } from '../core/random.ts';
import { TUNNEL_DEFAULTS } from '../tunnel/options.ts';
import type { Session } from '../tunnel/session.ts';
import { openCircuitWithin, type Route } from './route.ts';

/** A session, as far as it matters here. */
export interface StandbyPeer {
  readonly session: Session;
  readonly isInitiator: boolean;
  /** When, in monotonic milliseconds, it was last seen to be used. */
  readonly usedMs: number;
  noteUse(): void;
}

export interface StandbyOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Hubs that are connected, the preferred one first. */
  readonly routes: () => readonly Route[];
  readonly peers: () => Iterable<StandbyPeer>;
}

/** How often it is looked, give or take half. */
const LOOK_MS = 1_000;
/** Circuits asked for at each look: a tenth of what a hub opens for one member, so that requests never wait for it. */
const MAX_AT_ONCE = 5;
/** A session without a stream for so long may do without. */
const USED_WITHIN_MS = 60_000;
const TRY_MS = 1_500;
/** Ceiling of the first wait, and of every wait, after a path that did not come about or did not last. */
const RETRY_BASE_MS = 1_000;
const RETRY_CAP_MS = 60_000;
/** A path that held for so long was good. */
const LASTING_MS = 30_000;

/** What was tried for one session and one hub. */
interface Attempts {
  readonly backoff: Backoff;
  notBeforeMs: number;
  isUnderWay: boolean;
}

export class Standby {
  readonly #options: StandbyOptions;
  /** By session, then by the URL of the hub. */
  readonly #attempts = new WeakMap<Session, Map<string, Attempts>>();
  #timer: Timer;

  constructor(options: StandbyOptions) {
    this.#options = options;
    this.#timer = this.#schedule();
  }

  close(): void {
    this.#timer.cancel();
  }

  /** A hub has come into use, and others may come to it now. */
  onRoute(url: string): void {
    for (const { session } of this.#options.peers()) this.#attempts.get(session)?.delete(url);
  }

  #schedule(): Timer {
    const { clock, random } = this.#options;
    return clock.setTimer(jitter(random, LOOK_MS, 0.5), () => {
      this.#timer = this.#schedule();
      this.#look();
    });
  }

  #look(): void {
    const routes = this.#options.routes().filter(({ isLeaving }) => !isLeaving);
    if (routes.length < 2) return;
    let left = MAX_AT_ONCE;
    for (const peer of this.#options.peers()) {
      const route = this.#chooseRoute(peer, routes);
      if (route === undefined) continue;
      this.#open(peer.session, route).catch((thrown) => {
        this.#options.log.log('error', 'standby-failed', { error: toSkeinError(thrown).message });
      });
      if (--left === 0) return;
    }
  }

  /** The hub by which this end should open another path, if it should. */
  #chooseRoute(peer: StandbyPeer, routes: readonly Route[]): Route | undefined {
    const { session, isInitiator } = peer;
    // One end is enough, and a session that is in trouble is looked after by others.
    if (!isInitiator || !session.isOpen || session.isDetached || session.isSuspect) return undefined;
    const nowMs = this.#options.clock.monotonicMs();
    peer.noteUse();
    if (nowMs - peer.usedMs >= USED_WITHIN_MS) return undefined;
    const { paths } = session;
    const carrying = paths.filter(({ state }) => state === 'active' || state === 'standby');
    if (carrying.length !== 1 || paths.length >= TUNNEL_DEFAULTS.maxPaths) return undefined;
    return routes.find(({ url }) => {
      if (paths.some(({ kind, via }) => kind === 'relay' && via === url)) return false;
      const attempts = this.#attempts.get(session)?.get(url);
      return attempts === undefined || (!attempts.isUnderWay && nowMs >= attempts.notBeforeMs);
    });
  }

  async #open(session: Session, route: Route): Promise<void> {
    const { clock, log } = this.#options;
    const { remoteInstance: instance } = session;
    const attempts = this.#attemptsOf(session, route.url);
    attempts.isUnderWay = true;
    try {
      const circuit = await openCircuitWithin(clock, TRY_MS, route, instance);
      const madeMs = clock.monotonicMs();
      session.offerPath(circuit, {
        kind: 'relay',
        via: route.url,
        onEnd: () => {
          if (clock.monotonicMs() - madeMs >= LASTING_MS) attempts.backoff.reset();
          this.#putOff(attempts);
        },
      });
      if (!session.paths.some(({ via }) => via === route.url)) this.#putOff(attempts);
    } catch (thrown) {
      this.#putOff(attempts);
      const { reason, message } = toSkeinError(thrown);
      log.log('debug', 'standby-not-opened', { instance, hub: route.url, reason, error: message });
    }
  }

  #putOff(attempts: Attempts): void {
    attempts.isUnderWay = false;
    attempts.notBeforeMs = this.#options.clock.monotonicMs() + attempts.backoff.nextMs();
  }

  #attemptsOf(session: Session, url: string): Attempts {
    const ofSession = this.#attempts.get(session) ?? new Map<string, Attempts>();
    this.#attempts.set(session, ofSession);
    const known = ofSession.get(url);
    if (known !== undefined) return known;
    const backoff = new Backoff(this.#options.random, { baseMs: RETRY_BASE_MS, capMs: RETRY_CAP_MS });
    const fresh: Attempts = { backoff, notBeforeMs: 0, isUnderWay: false };
    ofSession.set(url, fresh);
    return fresh;
  }
}
