/**
 * Rounds: what thousands of owners each do now and then, by one timer of their clock. Each of them costs a place in a set instead of a timer with its
 * closures, and the turns of a round are spread, so that thousands do not take theirs at once.
 */

import { type Clock, setPeriodic, type Timer } from './clock.ts';

/** Turns of a round. */
const PARTS = 16;

export class Rounds<Member> {
  readonly #periodMs: number;
  readonly #visit: (member: Member) => void;
  readonly #byClock = new WeakMap<Clock, Circle<Member>>();

  /** @param visit called for each member once in `periodMs` milliseconds, the first time within that */
  constructor(periodMs: number, visit: (member: Member) => void) {
    this.#periodMs = periodMs;
    this.#visit = visit;
  }

  /** Who is a member already stays one. */
  join(clock: Clock, member: Member): void {
    let circle = this.#byClock.get(clock);
    if (circle === undefined) {
      circle = new Circle(clock, this.#periodMs / PARTS, this.#visit);
      this.#byClock.set(clock, circle);
    }
    circle.join(member);
  }

  /** It is visited no more, not even in the turn that goes on. */
  leave(clock: Clock, member: Member): void {
    this.#byClock.get(clock)?.leave(member);
  }
}

class Circle<Member> {
  readonly #clock: Clock;
  readonly #turnMs: number;
  readonly #visit: (member: Member) => void;
  readonly #parts: readonly Set<Member>[] = Array.from({ length: PARTS }, () => new Set());
  /** Whose turn is next. */
  #next = 0;
  /** Where the last one has joined. */
  #joining = 0;
  #size = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock, turnMs: number, visit: (member: Member) => void) {
    this.#clock = clock;
    this.#turnMs = turnMs;
    this.#visit = visit;
  }

  join(member: Member): void {
    if (this.#parts.some((part) => part.has(member))) return;
    this.#joining = (this.#joining + 1) % PARTS;
    this.#parts[this.#joining]?.add(member);
    if (this.#size++ === 0) this.#timer = setPeriodic(this.#clock, this.#turnMs, () => this.#turn());
  }

  leave(member: Member): void {
    if (!this.#parts.some((part) => part.delete(member)) || --this.#size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #turn(): void {
    const part = this.#parts[this.#next];
    this.#next = (this.#next + 1) % PARTS;
    for (const member of part ?? []) this.#visit(member);
  }
}
