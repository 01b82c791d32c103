/**
 * Maglev (Eisenbud et al., NSDI 2016, §3.4): a key leads to the same one of several as long as that one is there, all get
 * keys by their weights, and when one goes few keys of the others move.
 */

import { hashText, mixBits } from '../../core/hash.ts';

/** A prime, so that every step visits all slots; as large as Envoy's. */
export const MAGLEV_SLOTS = 65_537;

export interface MaglevEntry {
  /** Decides over its slots; the same name gets the same ones again. */
  readonly name: string;
  readonly weight: number;
}

export class Maglev {
  /** Index of the entry that each slot leads to. */
  readonly #slots: Uint16Array;

  /** @param entries not none, and fewer than slots */
  constructor(entries: readonly MaglevEntry[]) {
    this.#slots = fill(entries);
  }

  /** Index of the entry for the `step`th choice of a key: the first is its own, the others are for when that one cannot take it. */
  at(key: number, step = 0): number {
    // Each key has a walk of its own, so that those of one that is gone spread over all that are left.
    const slot = step === 0 ? key : mixBits(key + Math.imul(step, 0x9e3779b1));
    return this.#slots[slot % MAGLEV_SLOTS] as number;
  }
}

/** Each takes the next free slot of its own order of all of them, in turns; one of half the weight takes every second turn. */
function fill(entries: readonly MaglevEntry[]): Uint16Array {
  const slots = new Uint16Array(MAGLEV_SLOTS);
  const taken = new Uint8Array(MAGLEV_SLOTS);
  const most = Math.max(...entries.map(({ weight }) => weight));
  const walks = entries.map(({ name, weight }) => ({
    slot: hashText(name, 1) % MAGLEV_SLOTS,
    stride: 1 + (hashText(name, 2) % (MAGLEV_SLOTS - 1)),
    share: weight / most,
    turns: 0,
  }));
  let left = MAGLEV_SLOTS;
  for (let round = 1; ; round++) {
    for (let index = 0; index < walks.length; index++) {
      const walk = walks[index] as (typeof walks)[number];
      if (walk.turns + 1 > round * walk.share + 1e-9) continue;
      walk.turns++;
      // No division: most of the time goes here, while a request waits.
      let { slot } = walk;
      while (taken[slot] === 1) {
        slot += walk.stride;
        if (slot >= MAGLEV_SLOTS) slot -= MAGLEV_SLOTS;
      }
      walk.slot = slot;
      slots[slot] = index;
      taken[slot] = 1;
      if (--left === 0) return slots;
    }
  }
}
