/** Relay: joins a circuit of one sidecar to one of another. The records that pass are sealed; the hub holds no key to them. */

import { type Clock, setPeriodic, type Timer } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Circuit } from '../tunnel/circuit.ts';
import { toWireCode } from '../tunnel/codes.ts';
import { type RelayStats, relayCircuits } from '../tunnel/relay.ts';
import type { HubLimits } from './options.ts';
import type { Member } from './presence.ts';
import type { Allowance } from './quotas.ts';

export interface RelayOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits: HubLimits;
}

/** Sums over all pairings, read at scrape time. */
export interface RelayTotals {
  readonly circuits: number;
  readonly bytes: number;
  readonly records: number;
  readonly waitingBytes: number;
  /** Circuits asked for, by outcome: `joined`, or the reason why not. */
  readonly outcomes: ReadonlyMap<string, number>;
}

/** A member as the relay sees it: one with a link to this hub, or one that another worker of this hub holds. */
export interface RelayMember extends Pick<Member, 'instance' | 'id' | 'link' | 'channel' | 'observedIp'> {
  readonly allowance: Pick<Allowance, 'takeCircuit' | 'keepCircuit' | 'relayed'>;
  /** `target` has taken the circuit of that number, which this one has opened. */
  readonly onJoined?: ((circuit: number, target: RelayMember) => void) | undefined;
}

/** Two circuits that are joined. */
export interface Pairing {
  readonly caller: RelayMember;
  readonly target: RelayMember;
  /** The caller's leg, and the target's. */
  readonly from: Circuit;
  readonly to: Circuit;
}

/** A circuit announced to its target, which has not taken it yet. Records of the caller wait in `from`, within its credit. */
interface Announced {
  readonly caller: RelayMember;
  readonly from: Circuit;
  readonly to: Circuit;
  readonly timer: Timer;
  /** Gives back the caller's share. */
  readonly leave: () => void;
}

const SWEEP_MS = 1000;

export class Relay {
  readonly #options: RelayOptions;
  readonly #sweep: Timer;
  readonly #announced = new Map<RelayMember, Map<number, Announced>>();
  readonly #live = new Map<RelayStats, Pairing>();
  /** Circuits between two members, by the one that opened them. */
  readonly #pairs = new WeakMap<RelayMember, Map<RelayMember, number>>();
  readonly #outcomes = new Map<string, number>();
  #bytes = 0;
  #records = 0;

  constructor(options: RelayOptions) {
    this.#options = options;
    this.#sweep = setPeriodic(options.clock, SWEEP_MS, () => this.#makeRoom());
  }

  close(): void {
    this.#sweep.cancel();
  }

  get totals(): RelayTotals {
    let [bytes, records, waitingBytes] = [this.#bytes, this.#records, 0];
    for (const stats of this.#live.keys()) {
      bytes += stats.bytes;
      records += stats.messages;
      waitingBytes += stats.waitingBytes;
    }
    return { circuits: this.#live.size, bytes, records, waitingBytes, outcomes: this.#outcomes };
  }

  /**
   * Takes the circuit that `caller` has opened and announces one to `target`.
   * @throws SkeinError SKEIN_LIMIT, SKEIN_NO_ENDPOINT, SKEIN_PROTOCOL
   */
  open(caller: RelayMember, target: RelayMember | undefined, circuit: number): void {
    try {
      this.#announce(caller, target, circuit);
    } catch (thrown) {
      const error = toSkeinError(thrown);
      this.#count(error.reason);
      throw error;
    }
  }

  /** Is there a circuit between the two now? */
  joins(a: RelayMember, b: RelayMember): boolean {
    return this.#pairs.get(a)?.has(b) === true || this.#pairs.get(b)?.has(a) === true;
  }

  /** `target` listens on the circuit announced to it: from now on records pass. @throws SkeinError SKEIN_CANCELLED */
  accept(target: RelayMember, circuit: number): void {
    const announced = this.#take(target, circuit);
    if (announced === undefined) {
      throw new SkeinError('SKEIN_CANCELLED', 'Cannot accept circuit: the caller has gone');
    }
    const { caller, from, to, leave } = announced;
    if (!this.#join({ caller, target, from, to }, leave)) {
      throw new SkeinError('SKEIN_CANCELLED', 'Cannot accept circuit: the caller has gone');
    }
    this.#count('joined');
    caller.onJoined?.(from.id, target);
    this.#options.log.log('debug', 'circuit-opened', {
      from: caller.instance,
      caller: caller.id.uri,
      to: target.instance,
      callee: target.id.uri,
    });
  }

  /** All pairings, for a hub that goes to sleep; undefined while a record or an answer is waited for. */
  rest(): readonly Pairing[] | undefined {
    if (this.#announced.size > 0) return undefined;
    for (const { waitingBytes } of this.#live.keys()) if (waitingBytes > 0) return undefined;
    return [...this.#live.values()];
  }

  /** Goes on with a pairing of before the sleep. */
  resume(caller: RelayMember, target: RelayMember, from: Circuit, to: Circuit): void {
    this.#join({ caller, target, from, to }, caller.allowance.keepCircuit());
  }

  /** The other leg is gone since. */
  drop(leg: Circuit): void {
    leg.close(toWireCode('SKEIN_PEER_UNREACHABLE'));
  }

  /** False: a leg has closed meanwhile. */
  #join(pairing: Pairing, leave: () => void): boolean {
    const { caller, target, from, to } = pairing;
    // A leg that has closed meanwhile is told of at once, before there is anything to count.
    let stats: RelayStats | undefined;
    // The target's leg first: it must be listening when the records that wait in the caller's are passed on.
    stats = relayCircuits(
      to,
      from,
      () => {
        leave();
        if (stats !== undefined && this.#ended(stats)) this.#countPair(caller, target, -1);
      },
      (leg, bytes) => (leg === from ? caller : target).allowance.relayed(leg, bytes),
    );
    if (to.isClosed || from.isClosed) return false;
    this.#live.set(stats, pairing);
    this.#countPair(caller, target, 1);
    return true;
  }

  #announce(caller: RelayMember, target: RelayMember | undefined, circuit: number): void {
    const leave = caller.allowance.takeCircuit();
    try {
      this.#announceTo(caller, target, circuit, leave);
    } catch (thrown) {
      leave();
      throw thrown;
    }
  }

  #announceTo(caller: RelayMember, target: RelayMember | undefined, circuit: number, leave: () => void): void {
    const { clock, limits } = this.#options;
    if (target === undefined || target.link.isClosed) {
      throw new SkeinError('SKEIN_NO_ENDPOINT', 'Cannot open circuit: that instance is not connected here');
    }
    const from = caller.link.adoptCircuit(circuit);
    let to: Circuit;
    try {
      to = target.link.openCircuit();
    } catch (thrown) {
      const error = toSkeinError(thrown);
      from.close(toWireCode(error.code));
      throw error;
    }
    const fail = (error: SkeinError): void => this.#refuse(target, to.id, error);
    to.attach({
      onRecord: () =>
        fail(new SkeinError('SKEIN_PROTOCOL', 'Cannot join circuit: its target spoke before it listened')),
      onWritable: () => undefined,
      onClose: fail,
    });
    const timer = clock.setTimer(limits.acceptTimeoutMs, () => {
      fail(new SkeinError('SKEIN_PEER_UNREACHABLE', 'Cannot join circuit: its target did not take it in time'));
    });
    const waiting = this.#announced.get(target);
    const announced = { caller, from, to, timer, leave };
    if (waiting === undefined) this.#announced.set(target, new Map([[to.id, announced]]));
    else waiting.set(to.id, announced);
    target.channel.push('circuit', { circuit: to.id, instance: caller.instance, id: caller.id.uri });
  }

  #refuse(target: RelayMember, circuit: number, error: SkeinError): void {
    const announced = this.#take(target, circuit);
    if (announced === undefined) return;
    announced.leave();
    this.#count(error.reason);
    const code = toWireCode(error.code);
    announced.from.close(code);
    announced.to.close(code);
  }

  #take(target: RelayMember, circuit: number): Announced | undefined {
    const waiting = this.#announced.get(target);
    const announced = waiting?.get(circuit);
    if (waiting === undefined || announced === undefined) return undefined;
    announced.timer.cancel();
    waiting.delete(circuit);
    if (waiting.size === 0) this.#announced.delete(target);
    return announced;
  }

  /** Each link has its budget; this one is for all links, of which one member may have many. */
  #makeRoom(): void {
    let excess = this.totals.waitingBytes - this.#options.limits.maxRelayWaitingBytes;
    if (excess <= 0) return;
    const largest = [...this.#live].sort(([a], [b]) => b.waitingBytes - a.waitingBytes);
    for (const [stats, { from }] of largest) {
      if (excess <= 0) return;
      excess -= stats.waitingBytes;
      this.#count('limit');
      from.close(toWireCode('SKEIN_LIMIT'));
    }
  }

  #ended(stats: RelayStats): boolean {
    if (!this.#live.delete(stats)) return false;
    this.#bytes += stats.bytes;
    this.#records += stats.messages;
    return true;
  }

  #countPair(caller: RelayMember, target: RelayMember, change: 1 | -1): void {
    const counts = this.#pairs.get(caller) ?? new Map<RelayMember, number>();
    const count = (counts.get(target) ?? 0) + change;
    if (count > 0) counts.set(target, count);
    else counts.delete(target);
    this.#pairs.set(caller, counts);
  }

  #count(outcome: string): void {
    this.#outcomes.set(outcome, (this.#outcomes.get(outcome) ?? 0) + 1);
  }
}
