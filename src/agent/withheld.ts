/**
 * Withheld: what the issuer has said, by the word of its newest seal, and this member has not been told. A hub that keeps back the seal as
 * well is noticed by the age of that.
 */

import type { LatestStatements } from '../auth/seal.ts';
import type { Clock, Timer } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';

export interface WithheldOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** What is in use here. */
  readonly known: () => LatestStatements;
  /** The hub that is followed does not tell all: another one may. */
  readonly onDoubt: () => void;
}

/** A hub tells one behind the other, and hubs of a store hear of a change one after the other. */
export const ALL_HEARD_MS = 10_000;

export class Withheld {
  /** How often, by what; read at scrape time. */
  readonly counts: Record<keyof LatestStatements, number> = { revocations: 0, bundle: 0 };
  readonly #options: WithheldOptions;
  #said: LatestStatements = { revocations: 0, bundle: 0 };
  #timer: Timer | undefined;

  constructor(options: WithheldOptions) {
    this.#options = options;
  }

  /** A seal that is believed says so. */
  note(said: LatestStatements): void {
    this.#said = said;
    if (this.#missing.length === 0) return;
    this.#timer ??= this.#options.clock.setTimer(ALL_HEARD_MS, () => {
      this.#timer = undefined;
      this.#complain();
    });
  }

  close(): void {
    this.#timer?.cancel();
  }

  get #missing(): readonly (keyof LatestStatements)[] {
    const known = this.#options.known();
    return (['revocations', 'bundle'] as const).filter((kind) => this.#said[kind] > known[kind]);
  }

  #complain(): void {
    const missing = this.#missing;
    if (missing.length === 0) return;
    const { log, known, onDoubt } = this.#options;
    for (const what of missing) {
      this.counts[what]++;
      log.log('error', 'statement-withheld', { what, said: this.#said[what], known: known()[what], remedy: REMEDY });
    }
    onDoubt();
  }
}

const REMEDY =
  'The hub that is followed passes on what the issuer seals and not what it revokes, or which keys it has: see in whose hands it is, and name another one with --hub.';
