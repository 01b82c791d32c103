/**
 * `Anteroom`: where those wait who ask for a link while others are let in, before anything was answered to them. After a restart of the hub
 * all its members come at once: let in together, each would have to wait for the handshakes of all the others, until it is too late for any.
 */

import type { Clock } from '../core/clock.ts';
import type { UpgradeRefusal } from '../core/platform.ts';
import { toPlace } from './half-open.ts';
import type { HubLimits } from './options.ts';

export interface AnteroomOptions {
  readonly clock: Clock;
  readonly limits: Pick<HubLimits, 'maxWaiting' | 'maxWaitingPerAddress' | 'waitingMs'>;
  /** Is anybody let in at all? */
  readonly isOpen: () => boolean;
  /** Is there room for a link of that address now, beside `coming` others that have just been let in? */
  readonly hasRoom: (remoteAddress: string | undefined, coming: number) => boolean;
  /** Somebody who has waited is turned away. */
  readonly onRefused: () => void;
}

interface Waiting {
  readonly remoteAddress: string | undefined;
  readonly sinceMs: number;
  readonly answer: (refusal: UpgradeRefusal | undefined) => void;
}

/**
 * Let in within one turn of the event loop: so many handshakes go on side by side as it takes turns to end one. A hub that has nothing else to
 * do takes hundreds at once that are far away; one that has its hands full finishes what it has begun.
 */
const AT_ONCE = 8;
/** A timer of Node and its like runs once in a turn, however short. */
const NEXT_TURN_MS = 1;
/** How often it is looked who waits in vain, and how many were let in. */
const LOOK_MS = 250;
/** Assumed until it is known how many are let in each second. */
const LEAST_PER_SECOND = 100;
/** The longest that anybody is sent away for. */
const MAX_RETURN_SECONDS = 10;

export class Anteroom {
  readonly #options: AnteroomOptions;
  /** By the address they come from; whose turn is next is first. */
  readonly #byOrigin = new Map<string, Waiting[]>();
  #size = 0;
  /** Let in within this turn. */
  #entered = 0;
  #lookedMs = Number.NEGATIVE_INFINITY;
  /** Let in since it was looked last. */
  #letIn = 0;
  #perSecond = LEAST_PER_SECOND;
  /** When the last of those who were sent away is about to be let in. */
  #lastBackMs = 0;

  constructor(options: AnteroomOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#size;
  }

  /** undefined: in at once. Otherwise why not, or later how it has ended. */
  enter(remoteAddress: string | undefined): Promise<UpgradeRefusal | undefined> | UpgradeRefusal | undefined {
    const { clock, limits, hasRoom } = this.#options;
    if (this.#size === 0 && this.#entered < AT_ONCE && hasRoom(remoteAddress, 0)) {
      if (this.#entered++ === 0) clock.endOfTick(() => (this.#entered = 0));
      return undefined;
    }
    const { origin, isLocal } = toPlace(remoteAddress);
    const own = this.#byOrigin.get(origin)?.length ?? 0;
    const isOver = own >= limits.maxWaitingPerAddress && !isLocal;
    if (isOver || (this.#size >= limits.maxWaiting && !this.#makeRoom(own))) return this.#sendAway();
    return new Promise((answer) => {
      const waiting = { remoteAddress, sinceMs: clock.monotonicMs(), answer };
      const others = this.#byOrigin.get(origin);
      if (others === undefined) this.#byOrigin.set(origin, [waiting]);
      else others.push(waiting);
      if (this.#size++ === 0) clock.setTimer(NEXT_TURN_MS, () => this.#next());
    });
  }

  #next(): void {
    const { clock, hasRoom, isOpen } = this.#options;
    if (!isOpen()) return this.#refuseAll();
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#lookedMs >= LOOK_MS) this.#look(nowMs);
    let coming = 0;
    for (let tries = Math.min(AT_ONCE, this.#size); tries > 0; tries--) {
      const [[origin, all]] = this.#byOrigin as unknown as [[string, Waiting[]]];
      const [first] = all as [Waiting];
      this.#byOrigin.delete(origin);
      if (hasRoom(first.remoteAddress, coming)) {
        coming++;
        all.shift();
        this.#size--;
        this.#letIn++;
        first.answer(undefined);
      }
      if (all.length > 0) this.#byOrigin.set(origin, all);
    }
    if (this.#size > 0) clock.setTimer(NEXT_TURN_MS, () => this.#next());
  }

  #look(nowMs: number): void {
    const { waitingMs } = this.#options.limits;
    const seconds = (nowMs - this.#lookedMs) / 1000;
    this.#perSecond = Math.max(LEAST_PER_SECOND, this.#letIn / seconds);
    this.#letIn = 0;
    this.#lookedMs = nowMs;
    for (const [origin, all] of this.#byOrigin) {
      while (all[0] !== undefined && nowMs - all[0].sinceMs >= waitingMs) {
        this.#refuse(all.shift() as Waiting);
        this.#size--;
      }
      if (all.length === 0) this.#byOrigin.delete(origin);
    }
  }

  /** The last one of the address that has most goes for one of an address that has less. */
  #makeRoom(own: number): boolean {
    let most: Waiting[] = [];
    for (const all of this.#byOrigin.values()) if (all.length > most.length) most = all;
    if (own + 1 >= most.length) return false;
    this.#refuse(most.pop() as Waiting);
    this.#size--;
    return true;
  }

  #refuseAll(): void {
    for (const waiting of [...this.#byOrigin.values()].flat()) this.#refuse(waiting);
    this.#byOrigin.clear();
    this.#size = 0;
  }

  #refuse({ answer }: Waiting): void {
    this.#options.onRefused();
    answer(this.#sendAway());
  }

  /** Those who are sent away come back one after the other, when those before them are in. */
  #sendAway(): UpgradeRefusal {
    const nowMs = this.#options.clock.monotonicMs();
    const eachMs = 1000 / this.#perSecond;
    const aheadMs = Math.max(this.#size * eachMs, this.#lastBackMs - nowMs);
    this.#lastBackMs = nowMs + Math.min(aheadMs + eachMs, MAX_RETURN_SECONDS * 1000);
    return { status: 503, retryAfterSeconds: Math.min(MAX_RETURN_SECONDS, 1 + Math.floor(aheadMs / 1000)) };
  }
}
