/** `Random` port: chance is an argument, so that a test can repeat it. */

import type { Bytes } from './bytes.ts';

/** Chance, as a platform or a test lends it. */
export interface Random {
  /** `length` unpredictable bytes. */
  bytes(length: number): Bytes;
  /** Uniform in [0, 1). Not for secrets. */
  ratio(): number;
}

/** Uniform in [value × (1 - spread), value × (1 + spread)). */
export function jitter(random: Random, value: number, spread: number): number {
  return value * (1 + (random.ratio() * 2 - 1) * spread);
}
