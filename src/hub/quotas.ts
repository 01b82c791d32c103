/** Quotas: what one identity may ask of a hub, by the key it has proven; its links share them, and a new link gives it nothing more. */

import type { Clock, Timer } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import { TokenBucket } from '../core/token-bucket.ts';
import type { Circuit } from '../tunnel/circuit.ts';
import type { HubLimits } from './options.ts';
import { Shares } from './shares.ts';

/** As metrics name them. */
export type Quota = 'links' | 'calls' | 'svids' | 'messages' | 'services' | 'instances' | 'circuits' | 'relayed-bytes';

/** A circuit whose sender may send on when it has its credit back. */
type Creditor = Pick<Circuit, 'consumed' | 'isClosed'>;

/** What one identity has left. */
export class Allowance {
  /** Shared by all links of the identity; above its rate the control stream is read more slowly. */
  readonly messages: TokenBucket;
  readonly #quotas: Quotas;
  readonly #key: string;
  readonly #calls: TokenBucket;
  readonly #svids: TokenBucket;
  readonly #instances: TokenBucket;
  /** These are made when they are needed: most members call nobody through this hub. */
  #circuits: TokenBucket | undefined;
  #bytes: TokenBucket | undefined;
  /** Credit that is held back until the identity may send again. */
  #held: { readonly circuit: Creditor; readonly bytes: number }[] = [];
  #timer: Timer | undefined;

  constructor(quotas: Quotas, key: string, limits: HubLimits, nowMs: number, svidsIssued: number) {
    this.#quotas = quotas;
    this.#key = key;
    this.messages = new TokenBucket(limits.messagesPerSecond, limits.messagesBurst, nowMs);
    this.#calls = new TokenBucket(limits.callsPerSecond, limits.callsBurst, nowMs);
    const { svidsPerLifetime, svidLifetimeMs } = limits;
    this.#svids = new TokenBucket(svidsPerLifetime / (svidLifetimeMs / 1000), svidsPerLifetime, nowMs);
    this.#svids.take(nowMs, Math.min(svidsIssued, svidsPerLifetime));
    this.#instances = new TokenBucket(limits.instancesPerSecond, limits.instancesBurst, nowMs);
  }

  /** @throws SkeinError SKEIN_LIMIT */
  takeCalls(count: number): void {
    const { limits } = this.#quotas;
    this.#take('calls', this.#calls, count, `Cannot answer call: more than ${limits.callsPerSecond} a second`);
  }

  /** Each is an entry of the audit log, which holds so many: nobody may fill it. @throws SkeinError SKEIN_LIMIT */
  takeSvid(): void {
    const { svidsPerLifetime } = this.#quotas.limits;
    const state = `this key has got ${svidsPerLifetime} within the life of one; what it has stays good`;
    this.#take('svids', this.#svids, 1, `Cannot issue SVID: ${state}`, SVIDS_REMEDY);
  }

  /** An instance that this hub does not know yet. @throws SkeinError SKEIN_LIMIT */
  takeInstance(): void {
    this.#take('instances', this.#instances, 1, 'Cannot register: this identity has had too many instances of late');
  }

  /** Call what it returns once, when the circuit is over. @throws SkeinError SKEIN_LIMIT */
  takeCircuit(): () => void {
    const { limits, circuits, clock } = this.#quotas;
    this.#circuits ??= new TokenBucket(limits.circuitsPerSecond, limits.circuitsBurst, clock.monotonicMs());
    this.#take('circuits', this.#circuits, 1, `Cannot open circuit: more than ${limits.circuitsPerSecond} a second`);
    if (!circuits.has(this.#key)) {
      throw this.#quotas.refuse('circuits', `Cannot open circuit: ${limits.maxCircuitsPerKey} are open already`);
    }
    return circuits.take(this.#key);
  }

  /** The same for a circuit that was there already. */
  keepCircuit(): () => void {
    return this.#quotas.circuits.take(this.#key);
  }

  /** Returns the credit for `bytes` of `circuit` that were relayed: at once, or when the identity may send again. */
  relayed(circuit: Creditor, bytes: number): void {
    const { clock, limits } = this.#quotas;
    this.#bytes ??= new TokenBucket(limits.relayedBytesPerSecond, limits.relayedBytesBurst, clock.monotonicMs());
    const waitMs = this.#bytes.spend(clock.monotonicMs(), bytes);
    if (waitMs === 0 && this.#timer === undefined) {
      circuit.consumed(bytes);
      return;
    }
    this.#held.push({ circuit, bytes });
    if (this.#timer !== undefined) return;
    this.#quotas.count('relayed-bytes');
    this.#timer = clock.setTimer(waitMs, () => {
      this.#timer = undefined;
      const held = this.#held;
      this.#held = [];
      for (const each of held) if (!each.circuit.isClosed) each.circuit.consumed(each.bytes);
    });
  }

  #take(quota: Quota, bucket: TokenBucket, count: number, text: string, remedy?: string): void {
    if (bucket.take(this.#quotas.clock.monotonicMs(), count)) return;
    throw this.#quotas.refuse(quota, text, remedy === undefined ? {} : { remedy });
  }
}

const SVIDS_REMEDY =
  'Renew less often; if several processes share one data folder, give each its own. The hub may allow more: "svidsPerLifetime" among its quotas.';

export class Quotas {
  readonly clock: Clock;
  readonly limits: HubLimits;
  readonly links: Shares;
  readonly circuits: Shares;
  /** Refusals and brakes so far. */
  readonly crossed = new Map<Quota, number>();
  readonly #svidsIssued: (key: string) => number;
  /** By key; the one whose link came last stands last. */
  readonly #allowances = new Map<string, Allowance>();

  /** @param svidsIssued how many SVIDs that key has got of late: this hub may have slept, or started, since */
  constructor(clock: Clock, limits: HubLimits, svidsIssued: (key: string) => number = () => 0) {
    this.clock = clock;
    this.limits = limits;
    this.#svidsIssued = svidsIssued;
    this.links = new Shares(limits.maxLinksPerKey);
    this.circuits = new Shares(limits.maxCircuitsPerKey);
  }

  /** Of the identity that has proven the key with this thumbprint; remembered behind its links, so that leaving and coming back wins nothing. */
  of(key: string): Allowance {
    const allowance = this.#allowances.get(key) ?? this.#create(key);
    this.#allowances.delete(key);
    this.#allowances.set(key, allowance);
    if (this.#allowances.size > 2 * this.limits.maxLinks) {
      const [oldest] = this.#allowances.keys();
      if (oldest !== undefined) this.#allowances.delete(oldest);
    }
    return allowance;
  }

  #create(key: string): Allowance {
    return new Allowance(this, key, this.limits, this.clock.monotonicMs(), this.#svidsIssued(key));
  }

  refuse(quota: Quota, text: string, details: Readonly<Record<string, unknown>> = {}): SkeinError {
    this.count(quota);
    return new SkeinError('SKEIN_LIMIT', text, { details: { quota, ...details } });
  }

  count(quota: Quota): void {
    this.crossed.set(quota, (this.crossed.get(quota) ?? 0) + 1);
  }
}
