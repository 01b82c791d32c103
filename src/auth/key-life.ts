/** How long the keys of an issuer live: announced before they sign, known after they have. */

import { TOLERATED_SKEW_MS, WIT_LIFETIME_MS } from './validity.ts';

/** In milliseconds. */
/** The life of a key that signs, in milliseconds. */
export interface KeyLife {
  /** How long a key signs. */
  readonly lifeMs: number;
  /** How long it is known before: who knows no key of it has no SVID any more that is good. */
  readonly announceMs: number;
  /** How long it is known after: until nothing that it has signed is good, by any clock. */
  readonly retireMs: number;
}

export const KEY_LIFE: KeyLife = {
  lifeMs: 30 * 24 * 3_600_000,
  announceMs: WIT_LIFETIME_MS + TOLERATED_SKEW_MS,
  retireMs: WIT_LIFETIME_MS + 2 * TOLERATED_SKEW_MS,
};
