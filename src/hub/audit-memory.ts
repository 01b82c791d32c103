/** The newest entries of the audit log in memory: what members ask for, and how often a key was certified of late. */

import type { AuditEntry, ChainedEntry } from '../auth/audit-chain.ts';

/** As many come in the time in which every member is told, where ten thousand join one after the other. */
const MAX_KEPT = 16_384;
/** How many more, so that they are copied now and then only. */
const MORE = MAX_KEPT / 4;
const ISSUED_TO_MEMBERS: ReadonlySet<AuditEntry['kind']> = new Set(['join', 'renew']);

export class AuditMemory {
  /** Without gaps. */
  #entries: ChainedEntry[] = [];
  /** By key, when it was certified. */
  #issued = new Map<string, number[]>();

  add(entries: readonly ChainedEntry[]): void {
    for (const entry of entries) {
      const last = this.#entries.at(-1);
      // Behind a part that is broken.
      if (last !== undefined && entry.seq !== last.seq + 1) this.#forget(this.#entries.length);
      this.#entries.push(entry);
      this.#note(entry);
    }
    if (this.#entries.length > MAX_KEPT + MORE) this.#forget(this.#entries.length - MAX_KEPT);
  }

  /** At most `limit` behind entry `after`, and that entry; undefined: it does not reach back so far. */
  behind(
    after: number,
    limit: number,
  ): { readonly base: ChainedEntry; readonly entries: readonly ChainedEntry[] } | undefined {
    const first = this.#entries[0];
    const at = first === undefined ? -1 : after - first.seq;
    const base = this.#entries[at];
    return base === undefined ? undefined : { base, entries: this.#entries.slice(at + 1, at + 1 + limit) };
  }

  /** SVIDs of a member's key since then, wall time. */
  countIssued(key: string, sinceMs: number): number {
    return this.#issued.get(key)?.filter((atMs) => atMs >= sinceMs).length ?? 0;
  }

  #note({ kind, key, atMs }: ChainedEntry): void {
    if (key === undefined || !ISSUED_TO_MEMBERS.has(kind)) return;
    const known = this.#issued.get(key);
    if (known === undefined) this.#issued.set(key, [atMs]);
    else known.push(atMs);
  }

  #forget(count: number): void {
    this.#entries = this.#entries.slice(count);
    this.#issued = new Map();
    for (const entry of this.#entries) this.#note(entry);
  }
}
