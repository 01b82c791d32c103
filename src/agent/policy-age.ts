/**
 * Policy age: which hub's policies to believe. Of two hubs that share a store, one may be cut off from it and know policies of
 * long ago; who comes to it from the other must not lose one that denies.
 */

import type { AsOf } from '../control/messages.ts';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';

/**
 * A hub that is cut off knows it after 5 s (a lease). One that has been in touch with its store for longer than that, and still
 * knows less than this member, has a store that was put back to an earlier state.
 */
const TRUST_AFTER_MS = 10_000;

export class PolicyAge {
  readonly #clock: Clock;
  readonly #log: Logger;
  /** Revision of the store that the policies in force were seen at. */
  #revision = 0;
  /** Since when a hub that says it is in touch with its store has known less; undefined while none does. */
  #olderSinceMs: number | undefined;
  #isLogged = false;

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Another hub is followed from now on. */
  onHub(): void {
    this.#olderSinceMs = undefined;
    this.#isLogged = false;
  }

  /** Do the policies of a hub that knows its store `asOf` take the place of those in force? Undefined: its store is its own. */
  accepts(asOf: AsOf | undefined): boolean {
    const { revision, isCurrent } = asOf ?? { revision: 0, isCurrent: true };
    if (asOf !== undefined && revision < this.#revision && !this.#isPutBack(isCurrent)) {
      if (!this.#isLogged) this.#log.log('warn', 'policies-older', { revision, known: this.#revision });
      this.#isLogged = true;
      return false;
    }
    if (this.#olderSinceMs !== undefined && revision < this.#revision) {
      this.#log.log('warn', 'policies-put-back', { revision, known: this.#revision });
    }
    this.#revision = revision;
    this.onHub();
    return true;
  }

  #isPutBack(isCurrent: boolean): boolean {
    if (!isCurrent) {
      this.#olderSinceMs = undefined;
      return false;
    }
    const nowMs = this.#clock.monotonicMs();
    this.#olderSinceMs ??= nowMs;
    return nowMs - this.#olderSinceMs >= TRUST_AFTER_MS;
  }
}
