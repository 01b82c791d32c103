/**
 * Peer heads: how far other members have seen the audit log come, as the issuer has signed it for them, beside what this one has followed. Of two
 * members one has been where the other is, or will be: then a stretch ends there for both, with the same hash, or the issuer has two histories.
 */

import type { AuditHead, SignedHead } from '../auth/audit-chain.ts';
import { tryParseCompactJws } from '../auth/compact-jws.ts';

/** Two words of the issuer that contradict each other. */
export interface Split {
  readonly seq: number;
  /** Empty: no stretch ends there. */
  readonly own: string;
  readonly theirs: string;
  /** SPIFFE id of who was shown the other one. */
  readonly peer: string;
}

export interface PeerHeadsOptions {
  /** undefined: the issuer has not signed it. */
  readonly verify: (token: string) => Promise<SignedHead | undefined>;
  readonly onSplit: (split: Split) => void;
}

/** Of 43 characters each: a busy mesh adds as many in a day and a half, and who is further behind compares when it gets here. */
const MAX_TRAIL = 4_096;
const MAX_AHEAD = 64;
const MAX_TOKEN_CHARS = 2_048;

export class PeerHeads {
  readonly #options: PeerHeadsOptions;
  /** Hash by number, the newest last: every end of a stretch from the first of them on. */
  readonly #trail = new Map<number, string>();
  /** Where others are and this one is not yet. */
  readonly #ahead = new Map<number, { readonly hash: string; readonly peer: string }>();
  #shown: string | undefined;
  #last = 0;

  constructor(options: PeerHeadsOptions) {
    this.#options = options;
  }

  /** What others are shown: the newest head that was followed, as the issuer has signed it. */
  get shown(): string | undefined {
    return this.#shown;
  }

  /** Of the heads on a way through the log, those that `follow` needs at its end: a log may have no end. */
  thin(heads: AuditHead[]): void {
    if (heads.length < 2 * MAX_TRAIL) return;
    const older = heads.splice(0, heads.length - MAX_TRAIL);
    heads.unshift(...older.filter(({ seq }) => this.#ahead.has(seq)));
  }

  /** The log was followed from the first of these over the others, to what `token` says. */
  follow(heads: readonly AuditHead[], token: string | undefined): void {
    if (token !== undefined) this.#shown = token;
    const [first] = heads;
    if (first !== undefined && !this.#trail.has(first.seq)) this.#trail.clear();
    for (const { seq, hash } of heads) {
      this.#trail.set(seq, hash);
      this.#last = Math.max(this.#last, seq);
    }
    for (const [seq, { hash, peer }] of this.#ahead) {
      if (seq > this.#last) continue;
      this.#ahead.delete(seq);
      this.#compare(seq, hash, peer);
    }
    trim(this.#trail, MAX_TRAIL);
  }

  /** `peer` shows how far it is. Costs a signature only where it is elsewhere than this member was. */
  async hear(token: string, peer: string): Promise<void> {
    if (token.length > MAX_TOKEN_CHARS) return;
    const { seq: claimed, hash: said } = tryParseCompactJws(token)?.claims ?? {};
    if (typeof claimed !== 'number' || this.#trail.get(claimed) === said) return;
    const head = await this.#options.verify(token);
    if (head?.endsStretch !== true) return; // anybody can make one up
    const { seq, hash } = head;
    const other = this.#ahead.get(seq);
    if (other !== undefined && other.hash !== hash) this.#options.onSplit({ seq, own: other.hash, theirs: hash, peer });
    if (seq <= this.#last) return this.#compare(seq, hash, peer);
    this.#ahead.set(seq, { hash, peer });
    trim(this.#ahead, MAX_AHEAD);
  }

  #compare(seq: number, theirs: string, peer: string): void {
    const [first = Number.POSITIVE_INFINITY] = this.#trail.keys();
    const own = this.#trail.get(seq) ?? '';
    // What was before the first is not known here.
    if (own !== theirs && seq >= first) this.#options.onSplit({ seq, own, theirs, peer });
  }
}

/** The oldest go. */
function trim(map: Map<number, unknown>, max: number): void {
  for (const [oldest] of map) {
    if (map.size <= max) return;
    map.delete(oldest);
  }
}
