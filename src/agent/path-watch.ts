/** What is told of the paths of sessions: which instances are out of reach, and where records were altered on the way. */

import type { Clock, Timer } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import type { Session } from '../tunnel/session.ts';
import type { Peer } from './peer.ts';

/**
 * An instance that no hub has a link to is asked for again after this, unless there is no other. A hub that was restarted tells of all whom
 * it knew, also of those who do not come back; who does is asked for within this time.
 */
const ABSENT_MS = 2_000;

export class PathWatch {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #limited: Logger;
  readonly #onSuspect: (instance: string) => void;
  /** Instances of which every session was not heard for a while, or lost its way for longer than it takes to find another. */
  readonly #suspects = new Set<string>();
  /** These, and those to which there is no way just now. */
  readonly #avoided = new Set<string>();
  /** Instances that no hub had a link to a moment ago. */
  readonly #absent = new Map<string, Timer>();

  /** @param limited for what others cause, as often as they like */
  constructor(clock: Clock, log: Logger, limited: Logger, onSuspect: (instance: string) => void) {
    this.#clock = clock;
    this.#log = log;
    this.#limited = limited;
    this.#onSuspect = onSuspect;
  }

  get hasAvoided(): boolean {
    return this.#avoided.size + this.#absent.size > 0;
  }

  /** Has no session with it been heard on for a while? */
  isSuspect(instance: string): boolean {
    return this.#suspects.has(instance);
  }

  /** Another instance is the better choice. */
  isAvoided(instance: string): boolean {
    return this.#avoided.has(instance) || this.#absent.has(instance);
  }

  /** The paths of `session` have changed, one of those that `peers`, all of one instance, have. */
  note(session: Session, peers: Iterable<Peer>): void {
    let count = 0;
    let isSuspect = true;
    let isAvoided = true;
    for (const peer of peers) {
      count++;
      isSuspect &&= peer.session.isSuspect;
      isAvoided &&= peer.session.isSuspect || peer.session.isDetached;
      if (peer.session !== session) continue;
      peer.noteReturn();
      this.tellDistrusted(peer);
    }
    const { remoteInstance: instance, id } = session;
    if (count === 0) return this.forget(instance);
    if (isAvoided) this.#avoided.add(instance);
    else this.#avoided.delete(instance);
    if (isSuspect === this.#suspects.has(instance)) return;
    if (isSuspect) this.#suspects.add(instance);
    else this.#suspects.delete(instance);
    if (isSuspect) this.#onSuspect(instance);
    this.#log.log('info', isSuspect ? 'peer-suspect' : 'peer-back', { instance, session: id });
  }

  /** It was dialled, and no hub has a link to it. */
  noteAbsent(instance: string): void {
    this.notePresent(instance);
    this.#absent.set(
      instance,
      this.#clock.setTimer(ABSENT_MS, () => this.#absent.delete(instance)),
    );
  }

  /** There is a session with it. */
  notePresent(instance: string): void {
    this.#absent.get(instance)?.cancel();
    this.#absent.delete(instance);
  }

  /** Nobody asks any more. */
  close(): void {
    for (const instance of [...this.#absent.keys()]) this.notePresent(instance);
  }

  /** Whoever relays can bring this about at will. */
  tellDistrusted(peer: Peer): void {
    const paths = peer.takeDistrusted();
    if (paths === 0) return;
    const { instance, id, session } = peer;
    const { recordsForged: altered } = session.stats;
    this.#limited.log('warn', 'path-distrusted', { instance, id: id.uri, session: session.id, paths, altered });
  }

  /** The last session with the instance is over. */
  forget(instance: string): void {
    this.#suspects.delete(instance);
    this.#avoided.delete(instance);
  }
}
