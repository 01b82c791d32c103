/** Own entries: what a hub has said of the audit log about this member, until it is shown that it is in it. Anybody could have made it up. */

import type { AuditEntry } from '../auth/audit-chain.ts';

/** More than a log of 16 MiB holds, in number and in text. */
const MAX_ENTRIES = 65_536;
const MAX_CHARS = 16 * 1024 * 1024;

export class OwnEntries {
  readonly #id: string;
  /** In the order of the log. */
  readonly #waiting: AuditEntry[] = [];
  readonly #found: AuditEntry[] = [];
  #chars = 0;

  /** @param id SPIFFE id that they are about */
  constructor(id: string) {
    this.#id = id;
  }

  /** Number of the last that is not in a stretch yet. */
  get last(): number | undefined {
    return this.#waiting.at(-1)?.seq;
  }

  /** What was shown to be in the log. */
  get found(): readonly AuditEntry[] {
    return this.#found;
  }

  /** False: one is not about this member, or not behind the one before it, which is entry `after` or later; or they are too many. */
  add(entries: readonly AuditEntry[], after: number): boolean {
    let last = this.last ?? after;
    for (const entry of entries) {
      const { seq, id, what = '' } = entry;
      this.#chars += what.length;
      if (id !== this.#id || seq <= last || this.#chars > MAX_CHARS) return false;
      if (this.#found.length + this.#waiting.length >= MAX_ENTRIES) return false;
      this.#waiting.push(entry);
      last = seq;
    }
    return true;
  }

  /** Those before entry `seq` that wait. */
  take(seq: number): readonly AuditEntry[] {
    const end = this.#waiting.findIndex((entry) => entry.seq >= seq);
    const taken = this.#waiting.splice(0, end < 0 ? this.#waiting.length : end);
    for (const entry of taken) this.#found.push(entry);
    return taken;
  }

  /** The stretch that they were in is gone. */
  forget(): void {
    this.#waiting.length = 0;
  }
}
