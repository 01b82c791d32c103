/** `Random` from a seed (xoshiro128**): the same seed gives the same run. */

import type { Bytes } from '../core/bytes.ts';
import type { Random } from '../core/random.ts';

export class SeededRandom implements Random {
  /** Print it with every failure. */
  readonly seed: number;
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** @param seed 32-bit integer; a fresh one when left out. */
  constructor(seed: number = freshSeed()) {
    this.seed = seed >>> 0;
    const next = splitMix32(this.seed);
    this.#a = next();
    this.#b = next();
    this.#c = next();
    this.#d = next();
  }

  /** A 32-bit unsigned integer. */
  uint32(): number {
    const b = this.#b;
    const product = Math.imul(b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9);
    const t = b << 9;
    this.#c ^= this.#a;
    this.#d ^= b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= t;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result >>> 0;
  }

  bytes(length: number): Bytes {
    const out = new Uint8Array(length);
    for (let i = 0; i < length; i += 4) {
      let word = this.uint32();
      for (let j = i; j < i + 4 && j < length; j++, word >>>= 8) out[j] = word & 255;
    }
    return out;
  }

  ratio(): number {
    return this.uint32() / 0x1_0000_0000;
  }

  /** Uniform integer in [0, below). */
  integer(below: number): number {
    return Math.floor(this.ratio() * below);
  }

  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new RangeError('Cannot pick: list is empty');
    return items[this.integer(items.length)] as T;
  }

  /** A generator of its own for one part of a test, so that parts do not shift each other's chance. */
  fork(): SeededRandom {
    return new SeededRandom(this.uint32());
  }

  toString(): string {
    return `seed ${this.seed}`;
  }
}

function freshSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] as number;
}

function splitMix32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return z ^ (z >>> 16);
  };
}
