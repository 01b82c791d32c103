/**
 * Audit pushes: members are told that the audit log has come further, now and then and not for each entry. Whom a new key concerns is told
 * with the next beat; of a large mesh the rest is told a part with each, because each who is told asks for all that is new.
 */

import type { Clock, Timer } from '../core/clock.ts';
import { hashText } from '../core/hash.ts';
import type { AuditLog } from './audit-log.ts';
import type { Member } from './presence.ts';

export interface AuditPushesOptions {
  readonly clock: Clock;
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

export class AuditPushes {
  readonly #options: AuditPushesOptions;
  /** Identities that have got a key since the last beat, with those. */
  #certified = new Map<string, Set<string>>();
  #timer: Timer | undefined;
  #beat = 0;
  /** Beats until everybody has been told of the newest entry. */
  #left = 0;

  constructor(options: AuditPushesOptions) {
    this.#options = options;
    options.audit.onHead = (entries) => {
      for (const { kind, id, key } of entries) if (kind === 'join' && key !== undefined) this.#note(id, key);
      this.#left = options.beats;
      this.#wait();
    };
  }

  close(): void {
    this.#timer?.cancel();
  }

  #note(id: string, key: string): void {
    const known = this.#certified.get(id);
    if (known === undefined) this.#certified.set(id, new Set([key]));
    else known.add(key);
  }

  #wait(): void {
    const { clock, everyMs } = this.#options;
    this.#timer ??= clock.setTimer(everyMs, () => {
      this.#timer = undefined;
      this.#tell();
      if (this.#left > 0) this.#wait();
    });
  }

  #tell(): void {
    const { audit, members, count, beats } = this.#options;
    const isSmall = count() <= AT_ONCE;
    const turn = this.#beat++ % beats;
    this.#left = isSmall ? 0 : this.#left - 1;
    const certified = this.#certified;
    this.#certified = new Map();
    for (const { instance, id, key, channel } of members()) {
      const keys = certified.get(id.uri);
      // Its own does not concern it: a newcomer would read the log of all who came with it.
      const isConcerned = keys !== undefined && (keys.size > 1 || !keys.has(key));
      if (isSmall || isConcerned || hashText(instance) % beats === turn) channel.push('audit', { head: audit.signed });
    }
  }
}
