/** Admission: what others begin here — circuits that wait for their first record, handshakes — and how much of it one of them may. */

import type { Grant } from '../auth/grant.ts';
import type { Push } from '../control/messages.ts';
import type { Bytes } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { Rates } from '../core/rates.ts';
import type { TokenBucket } from '../core/token-bucket.ts';
import type { Circuit } from '../tunnel/circuit.ts';
import { toWireCode } from '../tunnel/codes.ts';
import type { PeerIdentity } from '../tunnel/handshake.ts';
import { TUNNEL_DEFAULTS } from '../tunnel/options.ts';
import type { PathInfo } from '../tunnel/path.ts';
import type { Session } from '../tunnel/session.ts';
import type { HubConnection } from './hub-connection.ts';
import { IncomingCircuit } from './incoming-circuit.ts';
import type { AgentLimits } from './options.ts';

export interface AdmissionOptions {
  readonly clock: Clock;
  readonly limits: AgentLimits;
  /** Others decide how often they are refused: it takes only so many lines a second. */
  readonly refusals: Logger;
  /** Sessions that are open, with `instance` or with all. */
  readonly countSessions: (instance?: string) => number;
  /** All that are open. */
  readonly sessions: () => Iterable<Session>;
  readonly state: () => 'open' | 'draining' | 'closed';
  /** Answers the handshake that `first` begins. */
  readonly startSession: (circuit: Circuit, instance: string, path: PathInfo, first: Bytes) => Session;
  readonly acceptPath: (circuit: Circuit, path: PathInfo, sessionId: string, first: Bytes) => void;
}

/** Time for the other end to say what a circuit is for. */
const FIRST_RECORD_MS = 10_000;
/** Members of which it is remembered what they did. */
const MAX_KEYS = 10_000;

/** Who has begun something, as the hub says by which it came. */
interface Begun {
  readonly instance: string;
  readonly hub: string;
}

/** As metrics name them. */
export type AdmissionQuota = 'half-open' | 'faults' | 'sessions' | 'sessions-of-identity' | 'streams-of-identity';

export class Admission {
  /** How often each was crossed. */
  readonly crossed = new Map<AdmissionQuota, number>();
  readonly #options: AdmissionOptions;
  /** Streams that members take back before they are answered: by key, so that another session gives nobody more. */
  readonly #resets: Rates;
  /** Sessions that members have broken: by key; and by hub and name as they were announced, to refuse before a handshake. */
  readonly #faults: Rates;
  readonly #begun = new WeakMap<Session, Begun>();
  /** Sessions of others whose handshake is not done, and circuits of which it is not known whether they are one. */
  readonly #halfOpen = new Map<Session, Begun>();
  readonly #incoming = new Map<IncomingCircuit, Begun>();

  constructor(options: AdmissionOptions) {
    this.#options = options;
    const { peerResetsPerSecond: perSecond, peerResetsBurst: burst } = TUNNEL_DEFAULTS;
    this.#resets = new Rates({ perSecond, burst, maxKeys: MAX_KEYS });
    const { faultsPerMinute, faultsBurst } = options.limits;
    this.#faults = new Rates({ perSecond: faultsPerMinute / 60, burst: faultsBurst, maxKeys: 2 * MAX_KEYS });
  }

  /** A session is over. */
  noteEnd(session: Session): void {
    const begun = this.#begun.get(session);
    if (session.peersFault === undefined || begun === undefined) return;
    const nowMs = this.#options.clock.monotonicMs();
    for (const name of [announced(begun), keyOf(session)]) if (name !== undefined) this.#faults.take(name, nowMs);
  }

  resetsOf({ id, grant }: PeerIdentity): TokenBucket {
    return this.#resets.bucket((grant as Grant | undefined)?.thumbprint ?? id.uri, this.#options.clock.monotonicMs());
  }

  /** The hub announces a circuit that another member has opened to here. */
  accept({ circuit: id, instance }: Push<'circuit'>, hub: HubConnection): void {
    const { clock, refusals, state, acceptPath } = this.#options;
    let circuit: Circuit;
    try {
      circuit = hub.adoptCircuit(id);
    } catch (thrown) {
      refusals.log('warn', 'circuit-refused', { instance, error: toSkeinError(thrown).message });
      return;
    }
    const begun: Begun = { instance, hub: hub.url };
    if (this.#hasBroken(announced(begun))) return this.#refuse(circuit, instance, 'faults');
    if (state() === 'closed' || this.#isFlooded(begun)) {
      this.#refuse(circuit, instance, 'half-open');
      return;
    }
    const path: PathInfo = { kind: 'relay', via: hub.url };
    const incoming: IncomingCircuit = new IncomingCircuit(circuit, clock, FIRST_RECORD_MS, {
      onHandshake: (first) => {
        this.#incoming.delete(incoming);
        this.#acceptSession(circuit, begun, path, first);
      },
      onAttach: (sessionId, first) => {
        this.#incoming.delete(incoming);
        acceptPath(circuit, path, sessionId, first);
      },
      onEnd: () => this.#incoming.delete(incoming),
    });
    this.#incoming.set(incoming, begun);
    hub.channel.call('acceptCircuit', { circuit: id }).catch(() => incoming.close('SKEIN_CANCELLED'));
  }

  /** A stream that the other end of `session` has opened, counted already: why it is refused, or undefined. */
  judgeStream(session: Session): SkeinError | undefined {
    const { maxStreamsPerKey, maxSessionsPerKey } = this.#options.limits;
    // Only where its sessions hold more than their part on average can they hold too much together.
    if (countAccepted(session) * maxSessionsPerKey <= maxStreamsPerKey) return undefined;
    const key = keyOf(session);
    let count = 0;
    for (const other of this.#options.sessions()) if (keyOf(other) === key) count += countAccepted(other);
    if (count <= maxStreamsPerKey) return undefined;
    this.#count('streams-of-identity');
    return new SkeinError('SKEIN_LIMIT', `Cannot take stream: this identity has ${maxStreamsPerKey} here`);
  }

  close(error: SkeinError): void {
    for (const incoming of [...this.#incoming.keys()]) incoming.close('SKEIN_CANCELLED');
    for (const session of [...this.#halfOpen.keys()]) session.close(error);
  }

  #acceptSession(circuit: Circuit, begun: Begun, path: PathInfo, first: Bytes): void {
    const { refusals, state, startSession } = this.#options;
    const { instance } = begun;
    if (state() !== 'open' || this.#isFullFor(begun)) {
      this.#refuse(circuit, instance, 'sessions');
      return;
    }
    const session = startSession(circuit, instance, path, first);
    this.#halfOpen.set(session, begun);
    this.#begun.set(session, begun);
    session.ready.then(
      () => {
        this.#halfOpen.delete(session);
        this.#checkIdentity(session);
      },
      (error: SkeinError) => {
        this.#halfOpen.delete(session);
        refusals.log('warn', 'session-refused', { instance, reason: error.reason, error: error.message });
      },
    );
  }

  /** Names of instances are for the asking; the key was proven. */
  #checkIdentity(session: Session): void {
    const { limits, refusals, sessions } = this.#options;
    const key = keyOf(session);
    let count = 0;
    for (const other of sessions()) if (keyOf(other) === key) count++;
    const hasBroken = this.#hasBroken(key);
    if (count <= limits.maxSessionsPerKey && !hasBroken) return;
    this.#count(hasBroken ? 'faults' : 'sessions-of-identity');
    const state = hasBroken ? 'this identity has broken too many of late' : `this identity has ${count - 1} here`;
    const error = new SkeinError('SKEIN_LIMIT', `Cannot keep session: ${state}`);
    const { reason, message } = error;
    refusals.log('warn', 'session-refused', { instance: session.remoteInstance, reason, error: message });
    session.close(error);
  }

  #hasBroken(name: string | undefined): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    return name !== undefined && !this.#faults.bucket(name, nowMs).hasOne(nowMs);
  }

  #count(quota: AdmissionQuota): void {
    this.crossed.set(quota, (this.crossed.get(quota) ?? 0) + 1);
  }

  #refuse(circuit: Circuit, instance: string, quota: AdmissionQuota): void {
    const { refusals, state } = this.#options;
    if (state() === 'open') this.#count(quota);
    refusals.log('warn', 'circuit-refused', { instance, error: 'too many sessions, or leaving' });
    circuit.close(toWireCode(state() === 'draining' ? 'SKEIN_DRAINING' : 'SKEIN_LIMIT'));
  }

  /**
   * Has `instance` begun as much as it may, or have all together? What was begun may be a way back for a session that is
   * here. Counted for each hub: one that floods, under whatever names, must not keep out what comes by another.
   */
  #isFlooded(by: Begun): boolean {
    const { maxSessionsPerPeer, maxHalfOpen } = this.#options.limits;
    return this.#countBegun(by) >= maxSessionsPerPeer || this.#countBegun({ hub: by.hub }) >= maxHalfOpen;
  }

  /** Handshakes on their way count as well: else who begins many at once would pass by every limit. */
  #isFullFor(by: Begun): boolean {
    const { limits, countSessions } = this.#options;
    const count = countSessions(by.instance) + this.#countBegun(by);
    return count >= limits.maxSessionsPerPeer || countSessions() + this.#halfOpen.size >= limits.maxSessions;
  }

  #countBegun({ hub, instance }: Partial<Begun>): number {
    let count = 0;
    for (const all of [this.#halfOpen, this.#incoming]) {
      for (const begun of all.values()) {
        if (begun.hub === hub && (instance === undefined || begun.instance === instance)) count++;
      }
    }
    return count;
  }
}

/** What one hub says must keep nobody out who comes by another. */
function announced({ hub, instance }: Begun): string {
  return `${hub} ${instance}`;
}

function keyOf({ peer }: Session): string | undefined {
  return (peer?.grant as Grant | undefined)?.thumbprint;
}

function countAccepted({ muxStats }: Session): number {
  return muxStats === undefined ? 0 : muxStats.streamsAccepted - muxStats.streamsFinished;
}
