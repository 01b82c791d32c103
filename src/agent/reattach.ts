/** Reattach: finds another way to a peer whose session has none, or none that it should keep, for as long as the session waits. */

import { Backoff } from '../core/backoff.ts';
import type { Clock } from '../core/clock.ts';
import { toSkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Random } from '../core/random.ts';
import type { Session } from '../tunnel/session.ts';
import { openCircuitWithin, type Route } from './route.ts';

export interface ReattachOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Hubs that are connected, the preferred one first. */
  readonly routes: () => readonly Route[];
  /** Can hubs be believed that a peer is not there? Not by one that is back only now, nor while there is one that is not. */
  readonly areHubsSteady: () => boolean;
  /** There is no way to the peer of `session`, and all hubs have said for `forMs` that it has no link to them. */
  readonly onAbsent: (session: Session, forMs: number) => void;
}

/** Both ends notice; the one that did not open the session lets the other try first, in milliseconds. */
const RESPONDER_DELAY_MS = 300;
const FIRST_WAIT_MS = 100;
const MAX_WAIT_MS = 2_000;
/** Time for a hub to open a circuit, and then for the peer to answer on it. */
const TRY_MS = 1_500;

/** One session on its way back. */
interface Search {
  /** Ends the pause, if there is one. */
  wake: () => void;
  /** A hub has come since it was last looked. */
  hasNews: boolean;
  /** Since when every hub has said that the peer is not there; undefined: they say otherwise, or cannot know. */
  absentSinceMs: number | undefined;
}

export class Reattach {
  readonly #options: ReattachOptions;
  readonly #searches = new Map<Session, Search>();
  #isClosed = false;

  constructor(options: ReattachOptions) {
    this.#options = options;
  }

  /** The paths of `session` have changed. */
  consider(session: Session, isInitiator: boolean): void {
    const search = this.#searches.get(session);
    if (search !== undefined) return search.wake();
    if (this.#isClosed || !this.#needsPath(session)) return;
    const begun: Search = { wake: () => undefined, hasNews: false, absentSinceMs: undefined };
    this.#searches.set(session, begun);
    this.#search(session, begun, isInitiator)
      .catch((thrown) => this.#options.log.log('error', 'search-failed', { error: toSkeinError(thrown).message }))
      .finally(() => this.#searches.delete(session));
  }

  /** A hub has come into use. */
  onRoute(): void {
    this.#wakeAll();
  }

  /** Sessions should go elsewhere before the hub has gone; `sessions` are those that may use it. */
  leave(url: string, sessions: Iterable<{ readonly session: Session; readonly isInitiator: boolean }>): void {
    if (this.#routes(undefined).length === 0) return;
    for (const { session, isInitiator } of sessions) {
      session.leavePath((info) => info.kind === 'relay' && info.via === url);
      this.consider(session, isInitiator);
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#wakeAll();
  }

  #wakeAll(): void {
    for (const search of this.#searches.values()) {
      search.hasNews = true;
      search.wake();
    }
  }

  #needsPath(session: Session): boolean {
    if (!session.isOpen) return false;
    const leaving = this.#options.routes().filter(({ isLeaving }) => isLeaving);
    return !session.paths.some(
      ({ state, kind, via }) =>
        (state === 'active' || state === 'standby') && !(kind === 'relay' && leaving.some(({ url }) => url === via)),
    );
  }

  /** A hub that is suspected is no way out of the suspicion. */
  #routes(session: Session | undefined): readonly Route[] {
    const suspects = session?.isDetached === false ? session.paths.filter(({ state }) => state === 'suspect') : [];
    return this.#options
      .routes()
      .filter(({ url, isLeaving }) => !isLeaving && !suspects.some(({ via }) => via === url));
  }

  async #search(session: Session, search: Search, isInitiator: boolean): Promise<void> {
    const backoff = new Backoff(this.#options.random, { baseMs: FIRST_WAIT_MS, capMs: MAX_WAIT_MS });
    if (!isInitiator) await this.#pause(search, RESPONDER_DELAY_MS);
    while (!this.#isClosed && this.#needsPath(session)) {
      const waitMs = backoff.nextMs();
      if (waitMs > 0 && !search.hasNews) await this.#pause(search, waitMs);
      search.hasNews = false;
      const routes = this.#routes(session);
      let isAbsent = routes.length > 0;
      for (const route of routes) {
        if (this.#isClosed || !this.#needsPath(session)) return;
        const outcome = await this.#try(session, search, route);
        if (outcome !== 'absent') isAbsent = false;
      }
      this.#judgeAbsence(session, search, isAbsent);
    }
  }

  #judgeAbsence(session: Session, search: Search, isAbsent: boolean): void {
    const { areHubsSteady, clock, onAbsent } = this.#options;
    if (!isAbsent || !session.isDetached || !areHubsSteady()) {
      search.absentSinceMs = undefined;
      return;
    }
    const nowMs = clock.monotonicMs();
    search.absentSinceMs ??= nowMs;
    onAbsent(session, nowMs - search.absentSinceMs);
  }

  /** `absent`: the hub says that the peer has no link to it. */
  async #try(session: Session, search: Search, route: Route): Promise<'absent' | 'tried'> {
    const { clock, log } = this.#options;
    try {
      const circuit = await openCircuitWithin(clock, TRY_MS, route, session.remoteInstance);
      if (!this.#needsPath(session)) {
        circuit.close(0);
        return 'tried';
      }
      let isOver = false;
      const onEnd = (): void => {
        isOver = true;
        search.wake();
      };
      session.offerPath(circuit, { kind: 'relay', via: route.url, onEnd });
      const untilMs = clock.monotonicMs() + TRY_MS;
      while (this.#needsPath(session) && !isOver && clock.monotonicMs() < untilMs) {
        await this.#pause(search, untilMs - clock.monotonicMs());
      }
      return 'tried';
    } catch (thrown) {
      const { code, reason, message } = toSkeinError(thrown);
      log.log('debug', 'path-not-opened', { instance: session.remoteInstance, hub: route.url, reason, error: message });
      return code === 'SKEIN_NO_ENDPOINT' ? 'absent' : 'tried';
    }
  }

  #pause(search: Search, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#options.clock.setTimer(ms, resolve);
      search.wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}
