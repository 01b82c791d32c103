/** What the network does to hosts: how far apart they are, what gets lost, who cannot reach whom. Links that stand follow each change. */

import type { Clock } from '../core/clock.ts';
import { MemoryLink } from './memory-pipe.ts';
import type { SeededRandom } from './seeded-random.ts';

/** Something that happened on the network. */
export interface TraceLine {
  /** Virtual milliseconds since the mesh was made. */
  readonly atMs: number;
  /** A `dial` is an attempt, a `connect` one that was taken, a `cut` the end of a connection by `cut` or `kill`. */
  readonly what: 'dial' | 'connect' | 'message' | 'cut';
  /** IP address of who did it. */
  readonly from: string;
  /** IP address of the other end. */
  readonly to: string;
  /** Of a message. */
  readonly bytes: number;
}

/** Payload of a packet. */
const PACKET_BYTES = 1_400;
/** As Linux: the least time until a packet is sent again, which doubles, and how often it may. */
const RESEND_MS = 200;
const MOST_RESENDS = 6;

interface Wire {
  readonly link: MemoryLink;
  readonly hosts: readonly [string, string];
  /** Of the way itself, whatever its ends are told. */
  readonly baseMs: number;
  isSevered: boolean;
}

type Partition = readonly [ReadonlySet<string>, ReadonlySet<string>];

export class NetworkConditions {
  /** Told of all that happens. */
  onTrace: ((line: TraceLine) => void) | undefined;
  readonly #clock: Clock;
  readonly #random: SeededRandom;
  readonly #latencyMs = new Map<string, number>();
  readonly #loss = new Map<string, number>();
  readonly #wires = new Set<Wire>();
  #partitions: Partition[] = [];

  constructor(clock: Clock, random: SeededRandom) {
    this.#clock = clock;
    this.#random = random;
  }

  /** From the host to the middle of the network, one way. @throws RangeError */
  setLatency(host: string, latencyMs: number): void {
    checkLatency(latencyMs);
    this.#latencyMs.set(host, latencyMs);
    for (const { link, hosts, baseMs } of this.#wires) {
      if (hosts.includes(host)) link.reshape({ latencyMs: baseMs + this.latencyMs(...hosts) });
    }
  }

  /** The part of the packets from and to the host that gets lost, from 0 to 1. @throws RangeError */
  setLoss(host: string, ratio: number): void {
    checkLoss(ratio);
    this.#loss.set(host, ratio);
  }

  /** Nothing passes between a host of `some` and one of `others`, and nobody is told. */
  part(some: readonly string[], others: readonly string[]): void {
    this.#partitions.push([new Set(some), new Set(others)]);
    this.#follow();
  }

  /** All can reach all again; what waited to be sent again arrives, where a connection still stands. */
  heal(): void {
    this.#partitions = [];
    this.#follow();
  }

  /** One way between two hosts. */
  latencyMs(a: string, b: string): number {
    return (this.#latencyMs.get(a) ?? 0) + (this.#latencyMs.get(b) ?? 0);
  }

  /** Does one packet arrive? */
  passes(a: string, b: string): boolean {
    return !this.#areParted(a, b) && !this.#isLost(this.#lossBetween(a, b));
  }

  /** A connection between two hosts. @param baseMs added to the latency of both */
  connect(a: string, b: string, baseMs: number): MemoryLink {
    const trace = (from: string, to: string) => (bytes: number) => this.trace('message', from, to, bytes);
    const link = new MemoryLink(this.#clock, {
      latencyMs: baseMs + this.latencyMs(a, b),
      resentMs: (bytes) => this.#resentMs(this.#lossBetween(a, b), bytes),
      onSent: { a: trace(a, b), b: trace(b, a) },
    });
    this.#forgetClosed();
    this.#wires.add({ link, hosts: [a, b], baseMs, isSevered: false });
    this.trace('connect', a, b);
    this.#follow();
    return link;
  }

  /** All connections of the host are lost at once. */
  cut(host: string): void {
    for (const { link, hosts } of this.#wires) {
      if (!hosts.includes(host) || link.isClosed) continue;
      this.trace('cut', ...hosts);
      link.cut();
    }
    this.#forgetClosed();
  }

  trace(what: TraceLine['what'], from: string, to: string, bytes = 0): void {
    this.onTrace?.({ atMs: this.#clock.monotonicMs(), what, from, to, bytes });
  }

  #follow(): void {
    for (const wire of this.#wires) {
      const isSevered = this.#areParted(...wire.hosts);
      if (isSevered === wire.isSevered) continue;
      wire.isSevered = isSevered;
      if (isSevered) wire.link.blackhole();
      else wire.link.heal();
    }
  }

  #forgetClosed(): void {
    for (const wire of this.#wires) if (wire.link.isClosed) this.#wires.delete(wire);
  }

  #areParted(a: string, b: string): boolean {
    return this.#partitions.some(([some, others]) => (some.has(a) && others.has(b)) || (some.has(b) && others.has(a)));
  }

  #lossBetween(a: string, b: string): number {
    return 1 - (1 - (this.#loss.get(a) ?? 0)) * (1 - (this.#loss.get(b) ?? 0));
  }

  #isLost(loss: number): boolean {
    return loss > 0 && this.#random.ratio() < loss;
  }

  /** TCP sends again what is lost, so that loss is time: that of the packet of a message which is lost most often. */
  #resentMs(loss: number, bytes: number): number {
    if (loss === 0) return 0;
    let most = 0;
    for (let left = bytes; left > 0; left -= PACKET_BYTES) {
      let times = 0;
      while (times < MOST_RESENDS && this.#isLost(loss)) times++;
      most = Math.max(most, times);
    }
    return RESEND_MS * (2 ** most - 1);
  }
}

function checkLatency(latencyMs: number): void {
  if (latencyMs >= 0 && Number.isFinite(latencyMs)) return;
  throw new RangeError(`Cannot use latency of ${latencyMs} ms: not a number from 0`);
}

function checkLoss(ratio: number): void {
  if (ratio >= 0 && ratio <= 1) return;
  throw new RangeError(`Cannot use loss of ${ratio}: not a number from 0 to 1`);
}

/** IP address of `ip:port`. */
export function hostOf(endpoint: string): string {
  return endpoint.replace(/:\d+$/, '');
}
