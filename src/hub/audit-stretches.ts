/** Audit stretches: the newest stretches of the audit log, as members follow them, and older ones from the store. */

import { AuditChain, type AuditHead, type ChainedEntry, type Stretch } from '../auth/audit-chain.ts';
import type { Sha256 } from '../catalog/digest.ts';
import type { Clock } from '../core/clock.ts';
import type { AuditPage } from './audit-blocks.ts';

/** The stretches behind an entry that is the end of one. */
export interface FollowedPart {
  /** Where they begin: behind that entry, or where what is kept begins, signed. */
  readonly base: AuditHead;
  readonly checkpoint?: string | undefined;
  readonly stretches: readonly Stretch[];
  /** What is in them, where it had to be read from the store. */
  readonly entries?: readonly ChainedEntry[] | undefined;
  /** Signed: the end of the last stretch there is; empty before the first. */
  readonly head: string;
}

/**
 * Stretches in memory, and entries in all of them: those of five minutes in which ten thousand join, each by a token that was made for it.
 * A member that was away for longer has them read.
 */
const MAX_STRETCHES = 1_024;
const MAX_STRETCHED = 32_768;
/** Entries that are read for it at once. */
const AT_ONCE = 1_024;
/** Parts that were read and are kept until the next stretch ends: many were away for as long, and ask for the same. */
const MAX_READ = 4;

export interface AuditStretchesOptions {
  readonly sha256: Sha256;
  readonly clock: Clock;
  /** Entries behind one, from the store. @throws SkeinError SKEIN_STORE */
  readonly page: (after: number, limit: number) => Promise<AuditPage>;
}

export class AuditStretches {
  readonly #options: AuditStretchesOptions;
  /** Without gaps. */
  #kept: readonly Stretch[] = [];
  /** By the entry behind which they go on, the oldest first. */
  readonly #read = new Map<number, Promise<Omit<FollowedPart, 'head'>>>();
  #told = '';
  /** When another hub was seen to have ended one. */
  #othersMs = Number.NEGATIVE_INFINITY;

  constructor(options: AuditStretchesOptions) {
    this.#options = options;
  }

  /** The issuer's word on the end of the last one; empty before the first. */
  get told(): string {
    return this.#told;
  }

  /** How long ago another hub was seen to have ended one. */
  get sinceOthersMs(): number {
    return this.#options.clock.monotonicMs() - this.#othersMs;
  }

  noteOther(): void {
    this.#othersMs = this.#options.clock.monotonicMs();
  }

  /** `told`: the issuer's word on where the next one begins. */
  clear(told: string): void {
    this.#kept = [];
    this.#read.clear();
    this.#told = told;
  }

  /** `told`: the issuer's word on the end of the last of them. */
  add(stretches: readonly Stretch[], told: string): void {
    if (stretches.length === 0) return;
    const all = [...this.#kept, ...stretches];
    let [first, entries] = [all.length - 1, 0];
    // The last one in any case.
    for (; first > 0 && all.length - first < MAX_STRETCHES; first--) {
      entries += lengthOf(all[first - 1] as Stretch);
      if (entries > MAX_STRETCHED) break;
    }
    this.#kept = all.slice(first);
    this.#read.clear();
    this.#told = told;
  }

  /** The log begins with `base` from now on. */
  trim(base: AuditHead): void {
    this.#kept = this.#kept.filter(({ end }) => end.seq > base.seq);
    this.#read.clear();
  }

  /** How they go on behind entry `after`. `base`: where what is kept of the log begins. @throws SkeinError SKEIN_STORE */
  async behind(after: number, base: AuditHead): Promise<FollowedPart> {
    const head = this.#told;
    const last = this.#kept.at(-1)?.end ?? base;
    if (after >= last.seq) return { base: { seq: last.seq, hash: last.hash }, stretches: [], head };
    const at = this.#kept.findLastIndex(({ from }) => from.seq <= after);
    const first = this.#kept[at];
    if (first !== undefined) return { base: first.from, stretches: this.#kept.slice(at), head };
    return { ...(await this.#older(after)), head };
  }

  #older(after: number): Promise<Omit<FollowedPart, 'head'>> {
    const known = this.#read.get(after);
    if (known !== undefined) return known;
    const part = this.#reread(after);
    for (const oldest of this.#read.keys()) if (this.#read.size >= MAX_READ) this.#read.delete(oldest);
    this.#read.set(after, part);
    part.catch(() => {
      if (this.#read.get(after) === part) this.#read.delete(after);
    });
    return part;
  }

  /** Older ones, from the store: some, if there are any. */
  async #reread(after: number): Promise<Omit<FollowedPart, 'head'>> {
    const { sha256, page } = this.#options;
    const { base, checkpoint, entries: first } = await page(after, AT_ONCE);
    const chain = new AuditChain(sha256, base);
    const stretches: Stretch[] = [];
    const read: ChainedEntry[] = [];
    let entries = first;
    while (entries.length > 0) {
      for (const entry of entries) {
        if (!chain.take(entry)) return { base, checkpoint, stretches, entries: read };
        read.push(entry);
        if (chain.ended !== undefined) stretches.push(chain.ended);
      }
      if (stretches.length > 0) break;
      entries = (await page(chain.head.seq, AT_ONCE)).entries;
    }
    return { base, checkpoint, stretches, entries: read };
  }
}

/** Entries in it, without its end. */
export function lengthOf({ from, end }: Stretch): number {
  return end.seq - from.seq - 1;
}
