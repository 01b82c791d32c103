/**
 * Audit pushes: with each beat in which something came a stretch of the audit log ends, and members are told of that, not of each entry.
 * Whom a new key concerns is told with the beat; of a large mesh the rest is told a part after the other, because each who is told asks.
 */

import type { Clock, Timer } from '../core/clock.ts';
import { toSkeinError } from '../core/errors.ts';
import { hashText } from '../core/hash.ts';
import type { Logger } from '../core/log.ts';
import type { AuditLog } from './audit-log.ts';
import type { Member } from './presence.ts';

export interface AuditPushesOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Time between two beats, in milliseconds. */
  readonly everyMs: number;
  /** Beats in which each member of a large mesh is told once. */
  readonly beats: number;
  readonly audit: AuditLog;
  readonly members: () => Iterable<Member>;
  readonly count: () => number;
}

/** So many at once cost nobody anything. */
const AT_ONCE = 64;
/** Turns of a beat: a tenth of a large mesh at once would ask within the same moment. */
const TURNS = 10;
const NOBODY: ReadonlyMap<string, ReadonlySet<string>> = new Map();

export class AuditPushes {
  readonly #options: AuditPushesOptions;
  /** Identities that have got a key since the last beat, with those. */
  #certified = new Map<string, Set<string>>();
  #timer: Timer | undefined;
  #isClosed = false;
  #turn = 0;
  /** What members are told of now. */
  #head: string;
  /** Turns until everybody has been told of the newest stretch. */
  #left = 0;
  readonly #turnsOfBeat: number;

  constructor(options: AuditPushesOptions) {
    this.#options = options;
    this.#head = options.audit.told;
    this.#turnsOfBeat = options.beats > 1 ? TURNS : 1;
    options.audit.onHead = (entries) => {
      for (const { kind, id, key } of entries) if (kind === 'join' && key !== undefined) this.#note(id, key);
      if (options.audit.untold > 0) this.#wait();
    };
    // The process before this one has not come to it.
    if (options.audit.untold > 0) this.#wait();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #note(id: string, key: string): void {
    const known = this.#certified.get(id);
    if (known === undefined) this.#certified.set(id, new Set([key]));
    else known.add(key);
  }

  /** Nothing was under way: the next turn begins a beat. */
  #wait(): void {
    if (this.#timer !== undefined || this.#isClosed) return;
    this.#turn += this.#turnsOfBeat - 1 - ((this.#turn + this.#turnsOfBeat - 1) % this.#turnsOfBeat);
    this.#schedule(this.#options.everyMs);
  }

  #schedule(ms: number): void {
    this.#timer = this.#options.clock.setTimer(ms, () => void this.#take());
  }

  async #take(): Promise<void> {
    const { audit, log, everyMs } = this.#options;
    const isBeat = this.#turn % this.#turnsOfBeat === 0;
    if (isBeat) {
      // Another hub may have ended one just now, and then this one does with its next beat.
      await audit.endStretch(everyMs / 2).catch((thrown) => {
        log.log('warn', 'audit-stretch-not-written', { error: toSkeinError(thrown).message });
      });
      if (this.#isClosed) return;
    }
    this.#tell(isBeat && audit.told !== this.#head);
    this.#timer = undefined;
    if (this.#left > 0) this.#schedule(everyMs / this.#turnsOfBeat);
    else if (audit.untold > 0) this.#wait();
  }

  #tell(isNew: boolean): void {
    const { audit, members, count, beats } = this.#options;
    const turns = beats * this.#turnsOfBeat;
    const turn = this.#turn++ % turns;
    if (isNew) this.#left = turns;
    if (this.#left === 0) return;
    const isSmall = count() <= AT_ONCE;
    this.#left = isSmall ? 0 : this.#left - 1;
    const certified = isNew ? this.#certified : NOBODY;
    // What has come behind the end of it is told of with the next one.
    if (isNew && audit.untold === 0) this.#certified = new Map();
    this.#head = audit.told;
    for (const { instance, id, key, channel } of members()) {
      const keys = certified.get(id.uri);
      // Its own does not concern it.
      const isConcerned = keys !== undefined && (keys.size > 1 || !keys.has(key));
      if (isSmall || isConcerned || hashText(instance) % turns === turn) channel.push('audit', { head: this.#head });
    }
  }
}
