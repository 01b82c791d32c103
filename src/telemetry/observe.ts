/** Counters of the tunnel → metrics: sums over the links and sessions there are and over those that were. */

import type { SkeinError } from '../core/errors.ts';
import type { Link, LinkStats } from '../tunnel/link.ts';
import { LINK_ENDS, type LinkEnd } from '../tunnel/link-end.ts';
import type { Session } from '../tunnel/session.ts';
import type { SessionStats } from '../tunnel/session-stats.ts';
import type { EventCounter, Metrics } from './prometheus.ts';
import type { HistogramSeries } from './series.ts';

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

  /** Keeps what `thing` has counted. False when it was not there. */
  remove(thing: T): boolean {
    if (!this.live.delete(thing)) return false;
    const stats = this.#statsOf(thing);
    for (const name of Object.keys(stats) as (keyof S)[]) {
      this.#gone.set(name, (this.#gone.get(name) ?? 0) + stats[name]);
    }
    return true;
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
  readonly #ended = new Map<LinkEnd, number>(LINK_ENDS.map((end) => [end, 0]));
  readonly #closed: EventCounter<'skein_sessions_closed_total'>;
  readonly #failed: EventCounter<'skein_handshakes_failed_total'>;
  readonly #resumed: HistogramSeries;
  #endpointsRefused = 0;

  constructor(metrics: Metrics) {
    const links = this.#links;
    const sessions = this.#sessions;
    metrics.readAll('skein_links', () => {
      let silent = 0;
      for (const { isSilent } of links.live) if (isSilent) silent++;
      return [
        [{ state: 'open' }, links.live.size - silent],
        [{ state: 'silent' }, silent],
      ];
    });
    metrics.readAll('skein_links_ended_total', () => [...this.#ended].map(([cause, count]) => [{ cause }, count]));
    metrics.read('skein_link_sent_bytes_total', () => links.sum('bytesSent'));
    metrics.read('skein_link_received_bytes_total', () => links.sum('bytesReceived'));
    metrics.read('skein_link_sent_messages_total', () => links.sum('messagesSent'));
    metrics.read('skein_link_received_messages_total', () => links.sum('messagesReceived'));
    metrics.read('skein_sessions', () => sessions.live.size);
    metrics.readAll('skein_session_paths', () => {
      const counts = { relay: 0, direct: 0, none: 0, hub: 0 };
      for (const session of sessions.live) if (session.isOpen) counts[kindOf(session)]++;
      return Object.entries(counts).map(([kind, count]) => [{ kind }, count]);
    });
    this.#closed = metrics.counter('skein_sessions_closed_total');
    this.#failed = metrics.counter('skein_handshakes_failed_total');
    this.#resumed = metrics.histogram('skein_session_resume_seconds').of({});
    metrics.read('skein_endpoints_refused_total', () => this.#endpointsRefused);
    metrics.read('skein_session_streams', () => {
      let streams = 0;
      for (const session of sessions.live) streams += session.openStreams;
      return streams;
    });
    metrics.read('skein_session_records_sent_total', () => sessions.sum('recordsSent'));
    metrics.read('skein_session_records_received_total', () => sessions.sum('recordsReceived'));
    metrics.read('skein_session_records_duplicate_total', () => sessions.sum('recordsDuplicate'));
    metrics.read('skein_session_records_forged_total', () => sessions.sum('recordsForged'));
    metrics.read('skein_session_records_reordered_total', () => sessions.sum('recordsReordered'));
    metrics.read('skein_session_records_resent_total', () => sessions.sum('recordsResent'));
    metrics.read('skein_session_resent_bytes_total', () => sessions.sum('bytesResent'));
    metrics.read('skein_session_path_switches_total', () => sessions.sum('pathSwitches'));
    metrics.read('skein_session_paths_distrusted_total', () => sessions.sum('pathsDistrusted'));
  }

  /** From its creation until `forgetLink`. */
  watchLink(link: Link): void {
    this.#links.add(link);
  }

  forgetLink(link: Link): void {
    if (this.#links.remove(link) && link.end !== undefined)
      this.#ended.set(link.end, (this.#ended.get(link.end) ?? 0) + 1);
  }

  watchSession(session: Session): void {
    this.#sessions.add(session);
  }

  forgetSession(session: Session, { reason }: SkeinError): void {
    if (!this.#sessions.remove(session)) return;
    if (session.peer === undefined) this.#failed.of({ reason }).add();
    else this.#closed.of({ reason }).add();
  }

  /** The catalogue says of somebody that he serves what his SVID does not. */
  noteEndpointRefused(): void {
    this.#endpointsRefused++;
  }

  /** A session had no path for `afterMs`, and has one again. */
  noteResumed(afterMs: number): void {
    this.#resumed.observe(afterMs / 1_000);
  }
}

/** Sessions with a hub travel on the circuit of their link, which has no name. */
function kindOf({ activePath }: Session): 'relay' | 'direct' | 'none' | 'hub' {
  if (activePath === undefined) return 'none';
  return activePath.via === '' ? 'hub' : activePath.kind;
}
