/**
 * Seal keeper: the newest seal that a hub has shown, and whether what this member was told of the resources is what was sealed. A seal
 * is believed for the issuer's signature and for nothing else; one that is older than another that was seen is refused.
 */

import { compareSeals, type Seal } from '../auth/seal.ts';
import type { Sha256 } from '../catalog/digest.ts';
import type { Interest } from '../catalog/interest.ts';
import type { Manifest } from '../catalog/resource.ts';
import { digestTopics, hashTopic, SealIndex } from '../catalog/seal-index.ts';
import { topicsOfInterest } from '../catalog/topic.ts';
import type { SealPush } from '../control/messages.ts';

/**
 * Why a seal is not believed: no key of the issuer has signed it; it is about another index than came with it; another one is newer;
 * there is another one of the same revision.
 */
export type SealRefusal = 'forged' | 'index' | 'rollback' | 'fork';

/** Ten times what a hub takes resources for by default: what says more is no seal, and is kept no longer. */
export const MAX_SEALED_TOPICS = 100_000;

export interface SealKeeperOptions {
  readonly sha256: Sha256;
  /** undefined: no key that is trusted has signed it. */
  readonly verify: (head: string) => Promise<Seal | undefined>;
  /** Another seal is in force, or the same one was signed again. */
  readonly onSeal: (seal: Seal) => void;
  readonly onRefused: (why: SealRefusal, seal: Seal | undefined, known: Seal | undefined) => void;
}

/** Is what was told of each part the whole of it, unaltered? */
export interface SealVerdict {
  readonly policies: boolean;
  readonly routes: boolean;
}

export class SealKeeper {
  readonly #options: SealKeeperOptions;
  /** As it is being told. */
  #topics = new Map<string, string>();
  #index: SealIndex | undefined;
  #seal: Seal | undefined;
  #tail: Promise<void> = Promise.resolve();
  /** Counts the hubs that were followed: what was begun with another one is of no use. */
  #turn = 0;
  #isTold = false;

  constructor(options: SealKeeperOptions) {
    this.#options = options;
  }

  /** The newest that was believed. */
  get seal(): Seal | undefined {
    return this.#seal;
  }

  /** The hub that is followed has shown one that is believed. */
  get isTold(): boolean {
    return this.#isTold;
  }

  /** Another hub is followed from now on: it tells the whole. */
  onHub(): void {
    this.#isTold = false;
    this.#turn++;
    this.#topics = new Map();
  }

  receive({ head, full, more, entries }: SealPush): void {
    if (full) this.#topics = new Map();
    for (const [topic, digest] of entries) {
      if (digest === '') this.#topics.delete(topic);
      else this.#topics.set(topic, digest);
    }
    if (this.#topics.size > MAX_SEALED_TOPICS) this.#topics = new Map();
    if (more) return;
    const index = new SealIndex(this.#options.sha256, new Map(this.#topics));
    const turn = this.#turn;
    this.#tail = this.#tail.then(async () => {
      const seal = await this.#options.verify(head);
      if (turn === this.#turn) this.#take(seal, index);
    });
  }

  /** @param manifests what was told; parts that are of no interest may be among them */
  check(manifests: Iterable<Manifest>, interest: Interest): SealVerdict {
    const { sha256 } = this.#options;
    const index = this.#index;
    if (index === undefined) return { policies: false, routes: false };
    const told = digestTopics(sha256, manifests);
    const isWhole = (topics: ReadonlySet<string>): boolean => {
      for (const topic of topics) {
        const hash = hashTopic(sha256, topic);
        if (told.get(hash) !== index.topics.get(hash)) return false;
      }
      return true;
    };
    const { policies, routes } = topicsOfInterest(interest);
    return { policies: isWhole(policies), routes: isWhole(routes) };
  }

  #take(seal: Seal | undefined, index: SealIndex): void {
    const known = this.#seal;
    const why = this.#whyNot(seal, index);
    if (seal === undefined || why !== undefined) return this.#options.onRefused(why ?? 'forged', seal, known);
    this.#isTold = true;
    this.#seal = seal;
    this.#index = index;
    this.#options.onSeal(seal);
  }

  #whyNot(seal: Seal | undefined, index: SealIndex): SealRefusal | undefined {
    if (seal === undefined) return 'forged';
    if (seal.index !== index.digest) return 'index';
    if (this.#seal === undefined) return undefined;
    const order = compareSeals(seal, this.#seal);
    if (order < 0) return 'rollback';
    return order === 0 && seal.index !== this.#seal.index ? 'fork' : undefined;
  }
}
