/** Counters of the tunnel → metrics: sums over the links and sessions there are and over those that were. */

import type { Link, LinkStats } from '../tunnel/link.ts';
import type { Session } from '../tunnel/session.ts';
import type { SessionStats } from '../tunnel/session-stats.ts';
import type { Metrics } from './prometheus.ts';

/** Adds up numeric fields of things that come and go, so that a total never falls. */
class Totals<T extends object, S extends { [K in keyof S]: number }> {
  readonly live = new Set<T>();
  readonly #statsOf: (thing: T) => S;
  readonly #gone = new Map<keyof S, number>();

  constructor(statsOf: (thing: T) => S) {
    this.#statsOf = statsOf;
  }

  add(thing: T): void {
    this.live.add(thing);
  }

  /** Keeps what `thing` has counted. Idempotent. */
  remove(thing: T): void {
    if (!this.live.delete(thing)) return;
    const stats = this.#statsOf(thing);
    for (const name of Object.keys(stats) as (keyof S)[]) {
      this.#gone.set(name, (this.#gone.get(name) ?? 0) + stats[name]);
    }
  }

  sum(name: keyof S): number {
    let sum = this.#gone.get(name) ?? 0;
    for (const thing of this.live) sum += this.#statsOf(thing)[name];
    return sum;
  }
}

export class TunnelObserver {
  readonly #links = new Totals<Link, LinkStats>((link) => link.stats);
  readonly #sessions = new Totals<Session, SessionStats>((session) => session.stats);

  constructor(metrics: Metrics) {
    const links = this.#links;
    const sessions = this.#sessions;
    metrics.read('skein_link_sent_bytes_total', () => links.sum('bytesSent'));
    metrics.read('skein_link_received_bytes_total', () => links.sum('bytesReceived'));
    metrics.read('skein_link_sent_messages_total', () => links.sum('messagesSent'));
    metrics.read('skein_link_received_messages_total', () => links.sum('messagesReceived'));
    metrics.read('skein_sessions', () => sessions.live.size);
    metrics.read('skein_session_streams', () => {
      let streams = 0;
      for (const session of sessions.live) streams += session.openStreams;
      return streams;
    });
    metrics.read('skein_session_records_sent_total', () => sessions.sum('recordsSent'));
    metrics.read('skein_session_records_received_total', () => sessions.sum('recordsReceived'));
    metrics.read('skein_session_records_duplicate_total', () => sessions.sum('recordsDuplicate'));
    metrics.read('skein_session_records_forged_total', () => sessions.sum('recordsForged'));
    metrics.read('skein_session_records_resent_total', () => sessions.sum('recordsResent'));
    metrics.read('skein_session_path_switches_total', () => sessions.sum('pathSwitches'));
    metrics.read('skein_session_paths_distrusted_total', () => sessions.sum('pathsDistrusted'));
  }

  /** From its creation until `forgetLink`. */
  watchLink(link: Link): void {
    this.#links.add(link);
  }

  forgetLink(link: Link): void {
    this.#links.remove(link);
  }

  watchSession(session: Session): void {
    this.#sessions.add(session);
  }

  forgetSession(session: Session): void {
    this.#sessions.remove(session);
  }
}
