/** `createTestMesh`: hubs and members, the real ones, on a virtual clock and a seeded network in memory. */

// For users whose own `lib` has no `Symbol.asyncDispose`; without `preserve` it would not reach the declarations.
/// <reference lib="esnext.disposable" preserve="true" />

import { type Clock, wait } from '../core/clock.ts';
import type { LogFields, Logger, LogLevel } from '../core/log.ts';
import type { Platform } from '../core/platform.ts';
import { MemoryFiles } from './memory-files.ts';
import { MemoryNetwork } from './memory-network.ts';
import { NetworkConditions, type TraceLine } from './network-conditions.ts';
import { Pace } from './pace.ts';
import { SeededRandom } from './seeded-random.ts';
import { SharedStore } from './shared-store.ts';
import { HubHost, type TestHub, type TestHubOptions } from './test-hub.ts';
import { MemberHost, type TestMember, type TestMemberOptions } from './test-member.ts';
import type { World } from './test-world.ts';
import { VirtualClock } from './virtual-clock.ts';
import { VirtualInternet } from './virtual-internet.ts';
import { trackWebCrypto } from './web-crypto.ts';

/** A line that a hub or a member has logged. */
export interface TestLogLine {
  /** Virtual milliseconds since the mesh was made. */
  readonly atMs: number;
  /** Name of the hub or member. */
  readonly from: string;
  /** How much it matters. */
  readonly level: LogLevel;
  /** Its name, in kebab-case. */
  readonly event: string;
  /** The rest. */
  readonly fields: LogFields;
}

/** How a test mesh begins. */
export interface TestMeshOptions {
  /** 32-bit integer: the same one gives the same run. @default 1 */
  readonly seed?: number;
  /** Virtual time that passes for one call before it fails, or for one read or write, in milliseconds. @default 600_000 */
  readonly patienceMs?: number;
  /** Options of the first hub. */
  readonly hub?: TestHubOptions;
  /** Is told of all dials, connections and messages of the network, in their order. */
  readonly onTrace?: (line: TraceLine) => void;
  /** Is told of all that hubs and members log. */
  readonly onLog?: (line: TestLogLine) => void;
}

/** A time in parts, which add up; each is a number from 0. */
export interface TestDuration {
  /** 3_600_000 ms each. */
  readonly hours?: number;
  /** 60_000 ms each. */
  readonly minutes?: number;
  /** 1_000 ms each. */
  readonly seconds?: number;
  /** Fractions of one count, too. */
  readonly milliseconds?: number;
}

/** A hub or a member. */
export type TestNode = TestHub | TestMember;

/**
 * A mesh in this process. Time is virtual: it passes while a call of the mesh or of a member is awaited, or a stream that one gave is read
 * or written, as fast as the machine can; otherwise it stands still.
 */
export interface TestMesh {
  /** All chance comes from it: print it with a failure. */
  readonly seed: number;
  /** For services under test that need to know the time, or to wait: they should be given a clock. */
  readonly clock: Clock;
  /** All there ever were, the first one first. */
  readonly hubs: readonly TestHub[];
  /** Those that live. */
  readonly members: readonly TestMember[];
  /** One more hub; all share their state. Members that are added from now on know it. @throws SkeinError SKEIN_CONFIG */
  addHub(options?: TestHubOptions): Promise<TestHub>;
  /** A new member, when a hub has taken it. @throws SkeinError as `createMesh` */
  addMember(options: TestMemberOptions): Promise<TestMember>;
  /** Routes, policies and other resources, as objects, as `skein apply` does. @throws SkeinError SKEIN_RESOURCE_INVALID */
  apply(...manifests: readonly object[]): Promise<void>;
  /** Lets so much time pass. */
  advance(duration: TestDuration): Promise<void>;
  /** Resolves when so much time has passed, for services under test: it lets none pass itself. */
  sleep(duration: TestDuration): Promise<void>;
  /** Lets time pass until `work`, anything that waits for the mesh, has ended. @throws Error after `patienceMs`, and what `work` throws */
  run<T>(work: Promise<T>): Promise<T>;
  /** Lets time pass until `isDone`, which is asked after each event. @throws Error after `patienceMs` */
  until(isDone: () => boolean): Promise<void>;
  /** Time stands still until `work`, which is real (files, sockets, other processes) and waits for nothing of the mesh, has ended. */
  hold<T>(work: Promise<T>): Promise<T>;
  /** Packets between any of `some` and any of `others` (default: all the rest) are lost from now on, and nobody is told. */
  partition(some: TestNode | readonly TestNode[], others?: TestNode | readonly TestNode[]): void;
  /** Ends all partitions. */
  heal(): void;
  /** From `node` to the middle of the network takes so long, one way. @throws RangeError on what is no number from 0 */
  setLatency(node: TestNode, latencyMs: number): void;
  /** So many of the packets from and to `node`, from 0 to 1, are lost; TCP sends them again. @throws RangeError */
  setLoss(node: TestNode, ratio: number): void;
  /** All connections of `node` are lost at once; it may make others. */
  cut(node: TestNode): void;
  /** Ends the process of `node` as SIGKILL does: it says nothing to anybody. */
  kill(node: TestNode): void;
  /** Starts a hub again, on the state it had; one that lives is killed first. */
  restart(hub: TestHub): Promise<void>;
  /** Ends all, and gives WebCrypto back. Idempotent. */
  close(): Promise<void>;
  /** `close()`, at the end of an `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

const PATIENCE_MS = 600_000;

/** @throws RangeError on a seed that is no 32-bit integer; SkeinError SKEIN_CONFIG */
export async function createTestMesh(platform: Platform, options: TestMeshOptions = {}): Promise<TestMesh> {
  const { seed = 1, patienceMs = PATIENCE_MS } = options;
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffff_ffff) {
    throw new RangeError(`Cannot use seed ${seed}: not an integer from 0 to 4294967295`);
  }
  const mesh = new RunningTestMesh(platform, { ...options, seed, patienceMs });
  try {
    await mesh.addHub(options.hub);
  } catch (thrown) {
    await mesh.close();
    throw thrown;
  }
  return mesh;
}

class RunningTestMesh implements TestMesh {
  readonly seed: number;
  readonly #world: World;
  readonly #pace: Pace;
  readonly #clock: VirtualClock;
  readonly #hubs: HubHost[] = [];
  readonly #members = new Set<MemberHost>();
  #joined = 0;
  #closing: Promise<void> | undefined;

  constructor(base: Platform, options: TestMeshOptions & Required<Pick<TestMeshOptions, 'seed' | 'patienceMs'>>) {
    this.seed = options.seed;
    const clock = new VirtualClock({ host: base.clock });
    const random = new SeededRandom(options.seed);
    const conditions = new NetworkConditions(clock, random.fork());
    conditions.onTrace = options.onTrace;
    this.#clock = clock;
    this.#pace = new Pace(clock, options.patienceMs);
    this.#world = {
      ...{ base, clock, random, conditions, pace: this.#pace },
      network: new MemoryNetwork(clock, conditions),
      internet: new VirtualInternet(clock, random.fork(), conditions),
      files: new MemoryFiles(),
      store: new SharedStore(),
      logOf: (from) => toLogger(from, clock, options.onLog),
      giveBackWebCrypto: trackWebCrypto(clock),
    };
  }

  get clock(): Clock {
    return this.#clock;
  }

  get hubs(): readonly TestHub[] {
    return this.#hubs;
  }

  get members(): readonly TestMember[] {
    return [...this.#members].map(({ member }) => member);
  }

  async addHub(options: TestHubOptions = {}): Promise<TestHub> {
    const hub = new HubHost(this.#world, this.#hubs.length + 1, options);
    await this.#pace.run(hub.start());
    this.#hubs.push(hub);
    return hub;
  }

  async addMember(options: TestMemberOptions): Promise<TestMember> {
    const host = new MemberHost(this.#world, ++this.#joined, options);
    const hubs = this.#hubs.map(({ url }) => url);
    const { services, namespace } = options;
    const token = this.#living().createToken(services, namespace);
    await this.#pace.run(token.then((text) => host.start(hubs, text)));
    this.#members.add(host);
    host.onClosed = () => this.#members.delete(host);
    return host.member;
  }

  async apply(...manifests: readonly object[]): Promise<void> {
    await this.#pace.run(this.#living().hub.apply(manifests));
  }

  advance(duration: TestDuration): Promise<void> {
    return this.#pace.advance(toMs(duration));
  }

  sleep(duration: TestDuration): Promise<void> {
    return wait(this.#clock, toMs(duration));
  }

  run<T>(work: Promise<T>): Promise<T> {
    return this.#pace.run(work);
  }

  until(isDone: () => boolean): Promise<void> {
    return this.#pace.until(isDone);
  }

  hold<T>(work: Promise<T>): Promise<T> {
    return this.#clock.track(work);
  }

  partition(some: TestNode | readonly TestNode[], others?: TestNode | readonly TestNode[]): void {
    const these = [some].flat();
    const rest = [...this.hubs, ...this.members].filter((node) => !these.includes(node));
    const those = others === undefined ? rest : [others].flat();
    this.#world.conditions.part(
      these.map(({ ip }) => ip),
      those.map(({ ip }) => ip),
    );
  }

  heal(): void {
    this.#world.conditions.heal();
  }

  setLatency({ ip }: TestNode, latencyMs: number): void {
    this.#world.conditions.setLatency(ip, latencyMs);
  }

  setLoss({ ip }: TestNode, ratio: number): void {
    this.#world.conditions.setLoss(ip, ratio);
  }

  cut({ ip }: TestNode): void {
    this.#world.conditions.cut(ip);
  }

  kill(node: TestNode): void {
    this.#hubs.find((hub) => hub === node)?.kill();
    [...this.#members].find(({ member }) => member === node)?.kill();
  }

  async restart(node: TestHub): Promise<void> {
    const hub = this.#hubs.find((each) => each === node);
    if (hub === undefined) throw new TypeError('Cannot restart hub: it is of another mesh');
    hub.kill();
    await this.#pace.run(hub.start());
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    try {
      for (const { member } of this.#members) await member.close();
      for (const hub of this.#hubs) await this.#pace.run(hub.close());
      await this.#clock.settle();
    } finally {
      this.#world.giveBackWebCrypto();
    }
  }

  /** @throws TypeError when all hubs were killed */
  #living(): HubHost {
    const hub = this.#hubs.find(({ isRunning }) => isRunning);
    if (hub === undefined) throw new TypeError('Cannot ask hub: none is running');
    return hub;
  }
}

function toMs({ hours = 0, minutes = 0, seconds = 0, milliseconds = 0 }: TestDuration): number {
  const ms = ((hours * 60 + minutes) * 60 + seconds) * 1000 + milliseconds;
  if (!(ms >= 0 && Number.isFinite(ms))) throw new RangeError(`Cannot use duration of ${ms} ms: not a number from 0`);
  return ms;
}

function toLogger(from: string, clock: Clock, onLog: TestMeshOptions['onLog']): Logger {
  return {
    log: (level, event, fields = {}) => onLog?.({ atMs: clock.monotonicMs(), from, level, event, fields }),
  };
}
