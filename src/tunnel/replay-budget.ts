/**
 * What all sessions of a process may keep for sending again, together: above it only those below their fair share may
 * send more, and detached ones above it are given up, oldest first.
 */

/** A session, as the budget sees it. */
export interface BudgetMember {
  readonly keptBytes: number;
  /** Monotonic time since which it has no path, or undefined. */
  readonly detachedMs: number | undefined;
  /** Too much is kept for sessions without a path, and this one has the oldest claim. */
  dropForBudget(): void;
}

const FLOOR_BYTES = 64 * 1024;

export class ReplayBudget {
  readonly limitBytes: number;
  readonly #members = new Set<BudgetMember>();
  #bytes = 0;
  #dropped = 0;
  /** Some session has detached since it was last looked whether one should be given up. */
  #mayDrop = false;

  /** @param limitBytes of all sessions of the process */
  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Sessions that were given up for it. */
  get dropped(): number {
    return this.#dropped;
  }

  get isExceeded(): boolean {
    return this.#bytes > this.limitBytes;
  }

  join(member: BudgetMember): void {
    this.#members.add(member);
  }

  leave(member: BudgetMember): void {
    this.#members.delete(member);
  }

  /** Bytes that are kept from now on, or less than none. */
  add(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Whether a session that keeps `keptBytes` may send more. Those that wait in vain make room for it first. */
  mayGrow(keptBytes: number): boolean {
    if (this.isExceeded && this.#mayDrop) this.#makeRoom();
    return !this.isExceeded || keptBytes < this.#fairBytes;
  }

  /** Brings the sum below the limit as far as detached sessions hold it. Called when one detaches. */
  enforce(): void {
    this.#mayDrop = true;
    if (this.isExceeded) this.#makeRoom();
  }

  #makeRoom(): void {
    this.#mayDrop = false;
    const fairBytes = this.#fairBytes;
    const detached = [...this.#members].filter((member) => member.detachedMs !== undefined);
    detached.sort((a, b) => (a.detachedMs ?? 0) - (b.detachedMs ?? 0));
    for (const member of detached) {
      if (!this.isExceeded) {
        this.#mayDrop = true;
        return;
      }
      if (member.keptBytes <= fairBytes) continue;
      this.#dropped++;
      member.dropForBudget();
    }
  }

  get #fairBytes(): number {
    return Math.max(FLOOR_BYTES, this.limitBytes / Math.max(1, this.#members.size));
  }
}
