/** Runs one schedule: two sessions in two processes on one virtual clock, until all work is finished and everything is closed. */

import assert from 'node:assert/strict';
import { SkeinError } from '../../../src/core/errors.ts';
import { nodeCrypto } from '../../../src/runtime/node-compat/crypto.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { resolveTunnelOptions, type TunnelOptions } from '../../../src/tunnel/options.ts';
import { Session } from '../../../src/tunnel/session.ts';
import type { IncomingStream } from '../../../src/tunnel/stream.ts';
import { ID_A, ID_B, PlainAuthenticator } from '../tunnel.ts';
import { Intruder } from './intruder.ts';
import { NonceLedger } from './ledger.ts';
import { ModelProcess } from './process.ts';
import { Route, type RouteEnd, type RoutePlan } from './route.ts';
import { other, type Schedule, type Side, type Step } from './schedule.ts';
import { IDLE_BYTES, ModelSide } from './side.ts';
import { Workload } from './workload.ts';

/** Time for all work to be finished once everything works again, and between two looks. */
const CALM_MS = 120_000;
const LOOK_MS = 250;
/** The same of the handshake, and the longest chain of promises in it. */
const HANDSHAKE_MS = 10_000;
const HANDSHAKE_LOOK_MS = 10;
const HANDSHAKE_CHAIN = 12;
/** Whoever needs a way looks for one so often. */
const SEARCH_MS = 2_000;
/** What is left of the time when all is closed: the longest pause of an application. */
const REST_MS = 500;
const HEALTHY: RoutePlan = { kind: 'direct', latencyMs: 5, bytesPerSecond: 2_000_000 };
/** Times are sums of fractions. */
const ROUNDING_MS = 0.001;
const STATIC_KEYS = [nodeCrypto.createX25519(), nodeCrypto.createX25519()] as const;
const SIDES = [0, 1] as const;

/** What a schedule showed. */
export interface Outcome {
  readonly streams: number;
  readonly whole: number;
  readonly answered: number;
  readonly bytes: number;
  readonly switches: number;
  readonly policySwitches: number;
  readonly resent: number;
  readonly forged: number;
  /** Sessions that ended though nobody wanted it. */
  readonly lost: number;
  readonly worstResendBytes: number;
  readonly worstReorderBytes: number;
  readonly virtualMs: number;
}

export async function runSchedule(schedule: Schedule): Promise<Outcome> {
  const model = new SessionModel(schedule);
  await model.handshake();
  for (const step of schedule.steps) model.play(step);
  model.finish();
  return model.close();
}

function limitsOf({ windowBytes, resumeGraceMs }: Schedule): TunnelOptions {
  return resolveTunnelOptions({
    streamWindowBytes: windowBytes,
    maxStreamWindowBytes: 4 * windowBytes,
    sessionWindowBytes: 4 * windowBytes,
    maxSessionWindowBytes: 16 * windowBytes,
    streamHighWaterBytes: windowBytes,
    maxStreams: 6,
    maxHeadBytes: 2_048,
    rekeyAfterRecords: 7,
    resumeGraceMs,
    // As in life, a full record needs nearly all of the window that a circuit begins with, and few circuits get more.
    maxRecordBytes: 16_384,
    initialCircuitWindowBytes: 16_384 + 384,
    circuitWindowBytes: 32_768,
    maxCircuitWindowBytes: 65_536,
    linkWindowBudgetBytes: 16_384,
    reorderBytes: 65_536,
  });
}

class SessionModel {
  readonly #schedule: Schedule;
  readonly #clock = new VirtualClock();
  readonly #hub = new ModelProcess(this.#clock);
  readonly #limits: TunnelOptions;
  readonly #sides: [ModelSide, ModelSide];
  readonly #workload = new Workload();
  readonly #routes: { readonly route: Route; readonly near: Side }[] = [];
  readonly #intruder: Intruder;
  /** Times at which a message was altered on the way. */
  readonly #alteredMs: number[] = [];
  #startMs = 0;
  #failure: unknown;

  constructor(schedule: Schedule) {
    this.#schedule = schedule;
    this.#limits = limitsOf(schedule);
    this.#sides = [this.#createSide('A'), this.#createSide('B')];
    this.#intruder = new Intruder(this.#clock, this.#hub, this.#limits);
  }

  async handshake(): Promise<void> {
    const route = this.#addRoute(0, this.#schedule.first);
    const crypto = new NonceLedger().watch(nodeCrypto);
    const random = new SeededRandom(this.#schedule.seed);
    for (const at of SIDES) {
      const side = this.#sides[at];
      const isInitiator = at === 0;
      side.session = new Session({
        role: isInitiator ? 'initiator' : 'responder',
        circuit: route.circuits[isInitiator ? 'near' : 'far'],
        path: { kind: route.kind, via: route.name },
        authenticator: new PlainAuthenticator(isInitiator ? ID_A : ID_B),
        crypto,
        clock: side.process,
        random,
        staticKey: STATIC_KEYS[at],
        trustDomain: 'test.mesh',
        localInstance: `instance-${at}`,
        remoteInstance: isInitiator ? 'instance-1' : '',
        isResumable: true,
        replayBudget: side.budget,
        limits: this.#limits,
        onStream: (stream) => this.#accept(stream, side),
        onPaths: () => side.onPaths(),
        onPathMessage: (message) => assert.ok(message.length <= 4_096),
        onClose: (error) => side.onClose(error),
      });
    }
    while (!this.#sides.every(({ isAlive }) => isAlive)) {
      this.#clock.advance(HANDSHAKE_LOOK_MS);
      for (let link = 0; link < HANDSHAKE_CHAIN; link++) await undefined;
      assert.ok(this.#clock.monotonicMs() < HANDSHAKE_MS, 'the handshake does not end');
    }
    this.#startMs = this.#clock.monotonicMs();
  }

  play(step: Step): void {
    this.#clock.advance(Math.max(0, this.#startMs + step.atMs - this.#clock.monotonicMs()));
    this.#do(step);
    this.#check();
  }

  /** Nothing is broken any more: all work comes to its end, and whoever has lost its peer notices. */
  finish(): void {
    for (const { route } of this.#routes) route.heal();
    for (const { process } of this.#sides) process.thaw();
    const untilMs = this.#clock.monotonicMs() + CALM_MS;
    for (let searchMs = 0; !this.#isFinished; ) {
      const nowMs = this.#clock.monotonicMs();
      assert.ok(nowMs < untilMs, `no end after ${CALM_MS} ms of calm: ${this.#describe()}`);
      if (nowMs >= searchMs) {
        searchMs = nowMs + SEARCH_MS;
        for (const at of SIDES) if (this.#sides[at].needsPath) this.#offer(at, HEALTHY);
        this.#askWhoIsLeft();
      }
      this.#clock.advance(LOOK_MS);
      this.#check();
    }
  }

  /** Who has nothing to say never notices that a corrupt relay has swallowed the end of its peer. */
  #askWhoIsLeft(): void {
    const [session, another] = this.#sides.filter(({ isAlive }) => isAlive).map((side) => side.session);
    if (session !== undefined && another === undefined) sendMessage(session, 1);
  }

  /** Ends what is left, and looks whether anything stays behind. */
  close(): Outcome {
    const outcome = this.#outcome();
    this.#workload.check();
    for (const at of SIDES) this.#judge(this.#sides[at], this.#sides[other(at)]);
    for (const { process, session } of this.#sides) {
      if (!process.isDead) session?.close(new SkeinError('SKEIN_CANCELLED', 'Cannot go on: the model is done'));
    }
    for (const { route } of this.#routes) route.close();
    this.#intruder.close();
    this.#clock.advance(REST_MS);
    for (const { process, name, budget, pressureBytes } of this.#sides) {
      if (process.isDead) continue;
      assert.equal(process.liveTimers, 0, `${name} has timers left behind`);
      assert.equal(budget.bytes, pressureBytes, `${name} counts bytes that nobody keeps`);
    }
    return outcome;
  }

  #createSide(name: string): ModelSide {
    return new ModelSide(name, new ModelProcess(this.#clock), this.#limits);
  }

  #accept(stream: IncomingStream, side: ModelSide): void {
    try {
      this.#workload.accept(stream, side.process);
    } catch (thrown) {
      this.#failure ??= thrown; // the session would take it for the failure of one stream
      throw thrown;
    }
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
    for (const side of this.#sides) side.check();
  }

  get #isFinished(): boolean {
    const living = this.#sides.filter(({ isAlive }) => isAlive);
    if (living.length === 1) return false;
    const ends = this.#workload.ends.filter(({ process }) => !process.isDead);
    if (living.length === 0) return ends.every(({ isOver }) => isOver);
    return (
      this.#workload.retries === 0 &&
      ends.every(({ isOver }) => isOver) &&
      living.every(({ session, isIdle, needsPath }) => session?.openStreams === 0 && isIdle && !needsPath)
    );
  }

  #do(step: Step): void {
    if (step.does === 'cut') return this.#pick(step.route)?.route.cut();
    if (step.does === 'silence') return this.#silence(step);
    if (step.does === 'fault') {
      const picked = this.#pick(step.route);
      if (step.fault.what === 'flip' || step.fault.what === 'truncate') this.#alteredMs.push(this.#clock.monotonicMs());
      return picked?.route.sockets[endOf(picked.near, step.to)].plan(step.fault);
    }
    const side = this.#sides[step.side];
    // What an application or its process does waits while that stands still.
    side.process.onSocket(() => this.#doBy(step, side));
  }

  #doBy(step: Exclude<Step, { does: 'cut' | 'silence' | 'fault' }>, side: ModelSide): void {
    const { session } = side;
    if (session === undefined || !side.isAlive) return;
    switch (step.does) {
      case 'stream':
        return this.#workload.start(step.plan, session, side.process);
      case 'offer':
        return this.#offer(step.side, step.plan);
      case 'close': {
        const picked = this.#pick(step.route);
        return picked?.route.circuits[endOf(picked.near, step.side)].close(0);
      }
      case 'prefer': {
        side.noteAsked();
        session.preferPath(({ via }) => via === this.#pick(step.route)?.route.name);
        return;
      }
      case 'leave': {
        const name = this.#pick(step.route)?.route.name ?? '';
        side.left.add(name);
        return session.leavePath(({ via }) => via === name);
      }
      case 'freeze':
        side.process.freeze();
        this.#clock.setTimer(step.forMs, () => side.process.thaw());
        return;
      case 'crash':
        return this.#crash(step.side, step.isSilent);
      case 'end':
        side.hasLeft = true;
        return session.close(new SkeinError('SKEIN_CANCELLED', 'Cannot go on: the model says so'));
      case 'drain':
        return session.goAway('the model says so');
      case 'stranger':
        return this.#intruder.open(side, step.says, step.pick);
      case 'replay': {
        const picked = this.#pick(step.route);
        if (picked === undefined) return;
        const end = endOf(picked.near, step.side);
        return this.#intruder.inject(side, picked.route.sockets[end], picked.route.circuits[end], step.pick);
      }
      case 'message':
        return sendMessage(session, step.bytes);
      case 'pressure': {
        const { bytes } = step;
        const member = { keptBytes: bytes, detachedMs: undefined, dropForBudget: () => undefined };
        side.budget.join(member);
        side.budget.add(bytes);
        side.pressureBytes += bytes;
        this.#clock.setTimer(step.forMs, () => {
          side.budget.leave(member);
          side.budget.add(-bytes);
          side.pressureBytes -= bytes;
        });
      }
    }
  }

  #addRoute(near: Side, plan: RoutePlan): Route {
    const name = `${plan.kind}-${this.#routes.length}`;
    const [nearSide, farSide] = [this.#sides[near], this.#sides[other(near)]];
    const ends = { near: nearSide.process, far: farSide.process, hub: this.#hub };
    const route = new Route({ ...plan, ...ends, name, clock: this.#clock, limits: this.#limits });
    nearSide.listen(route.sockets.near, route.circuits.near);
    farSide.listen(route.sockets.far, route.circuits.far);
    this.#routes.push({ route, near });
    return route;
  }

  #offer(near: Side, plan: RoutePlan): void {
    const route = this.#addRoute(near, plan);
    const info = { kind: plan.kind, via: route.name };
    this.#sides[other(near)].accept(route.circuits.far, info, false);
    this.#sides[near].session?.offerPath(route.circuits.near, info);
  }

  #pick(index: number): { readonly route: Route; readonly near: Side } | undefined {
    const living = this.#routes.filter(({ route }) => !route.isClosed);
    return living[index % living.length];
  }

  #silence({ route: index, from, isSwallowed, forMs }: Extract<Step, { does: 'silence' }>): void {
    const picked = this.#pick(index);
    if (picked === undefined) return;
    const { route, near } = picked;
    for (const side of from) route.silence(endOf(near, side), isSwallowed);
    if (forMs !== undefined) this.#clock.setTimer(forMs, () => route.heal());
  }

  /** Not silent: its system closes the sockets, and it is started again, without the session. */
  #crash(at: Side, isSilent: boolean): void {
    this.#sides[at].process.crash();
    this.#sides[at].hasLeft = true;
    if (isSilent) return;
    for (const { route } of this.#routes) route.cut();
    const again = this.#createSide(this.#sides[at].name);
    again.hasLeft = true;
    this.#sides[at] = again;
  }

  /** A session ends only for a reason that the schedule holds, and one without any path when its time is over. */
  #judge(side: ModelSide, peer: ModelSide): void {
    if (side.isAlive) {
      const { resend, unread, reorder } = (side.session as Session).pinnedBytes;
      assert.equal(unread, 0, `${side.name} has bytes that came, and no stream`);
      // An ACK alone asks for no answer: one that a route has swallowed is missed when more follows, and what came behind it waits.
      assert.ok(reorder <= IDLE_BYTES, `${side.name} has ${reorder} bytes that wait for others, and no stream`);
      assert.ok(resend <= IDLE_BYTES, `${side.name} keeps ${resend} bytes, and no stream`);
      assert.equal(side.budget.bytes - side.pressureBytes, resend, `${side.name} counts what it keeps`);
    }
    const { ending, process, budget } = side;
    if (ending === undefined || process.isDead || side.hasLeft) return;
    const { error, atMs, detachedMs } = ending;
    const isGrace = detachedMs !== undefined && error.details.reason === undefined && budget.dropped === 0;
    if (isGrace) {
      const waitedMs = atMs - detachedMs;
      const isLate = atMs === process.thawedMs && waitedMs > this.#limits.resumeGraceMs;
      const isExact = Math.abs(waitedMs - this.#limits.resumeGraceMs) < ROUNDING_MS;
      assert.ok(isLate || isExact, `${side.name} waits ${waitedMs} ms`);
    }
    const isFollowing = peer.hasLeft || (peer.ending !== undefined && peer.ending.atMs <= atMs);
    const alteredMs = this.#alteredMs.at(-this.#limits.maxForgedRecords) ?? Number.NEGATIVE_INFINITY;
    const isAltered = error.code === 'SKEIN_PROTOCOL' && atMs - alteredMs <= 60_000;
    assert.ok(isGrace || isFollowing || isAltered || budget.dropped > 0, `${side.name} ends: ${error.message}`);
  }

  #describe(): string {
    const sides = this.#sides.map(({ name, session, ending }) => {
      const { isOpen, openStreams, paths, pinnedBytes, isDetached } = session ?? {};
      return JSON.stringify({
        name,
        isOpen,
        openStreams,
        isDetached,
        pinnedBytes,
        paths,
        ending: ending?.error.message,
      });
    });
    const open = this.#workload.ends.filter(({ isOver }) => !isOver);
    const streams = open.map(({ plan, way, written, received }) =>
      JSON.stringify({ key: plan.key, way, written, received, of: plan.bytes }),
    );
    return ['', ...sides, ...streams].join('\n  ');
  }

  #outcome(): Outcome {
    const { ends, answered } = this.#workload;
    const callers = ends.filter(({ way }) => way === 0);
    const sum = (of: (side: ModelSide) => number): number => of(this.#sides[0]) + of(this.#sides[1]);
    return {
      streams: callers.length,
      whole: callers.filter(({ isWhole }) => isWhole).length,
      answered,
      bytes: ends.reduce((bytes, { received }) => bytes + received, 0),
      switches: sum(({ session }) => session?.stats.pathSwitches ?? 0),
      policySwitches: sum(({ policySwitches }) => policySwitches),
      resent: sum(({ session }) => session?.stats.recordsResent ?? 0),
      forged: sum(({ session }) => session?.stats.recordsForged ?? 0),
      lost: sum(({ ending, hasLeft }) => (ending === undefined || hasLeft ? 0 : 1)),
      worstResendBytes: Math.max(...this.#sides.map(({ worstResendBytes }) => worstResendBytes)),
      worstReorderBytes: Math.max(...this.#sides.map(({ worstReorderBytes }) => worstReorderBytes)),
      virtualMs: this.#clock.monotonicMs() - this.#startMs,
    };
  }
}

function endOf(near: Side, side: Side): RouteEnd {
  return near === side ? 'near' : 'far';
}

function sendMessage(session: Session, bytes: number): void {
  try {
    session.sendPathMessage(new Uint8Array(bytes));
  } catch (thrown) {
    assert.equal((thrown as SkeinError).code, 'SKEIN_LIMIT'); // as many wait as may
  }
}
