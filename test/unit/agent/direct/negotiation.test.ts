/** Negotiation: the machine alone — who leads, who dials when, and that no peer, silent or talkative, keeps it from its end. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { Negotiation, type NegotiationHost, type PunchPlan } from '../../../../src/agent/direct/negotiation.ts';
import { DIRECT_LIMITS } from '../../../../src/agent/direct/options.ts';
import { type Introduction, MAX_ROUNDS, type NatKind, type Signal } from '../../../../src/control/signal.ts';
import { SeededRandom } from '../../../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../../../src/testing/virtual-clock.ts';

const ONE_WAY_MS = 35;
const PREPARE_MS = 5;
const PROBE_MS = 40;

/** One end that does as it is told, and writes down when. */
class End implements NegotiationHost {
  readonly machine: Negotiation;
  readonly sent: Signal[] = [];
  readonly punched: (PunchPlan & { readonly atMs: number })[] = [];
  readonly reasons: string[] = [];
  stops = 0;
  crossesFirst = false;
  noPunchBecause: string | undefined;
  nat: NatKind = 'endpoint-independent';
  hasCandidates = false;
  nonces: string[];
  /** What becomes of what is sent. */
  deliver: (signal: Signal) => void = () => undefined;
  readonly #clock: VirtualClock;
  #probe = 0;

  constructor(clock: VirtualClock, isInitiator: boolean, nonces: string[]) {
    this.#clock = clock;
    this.nonces = nonces;
    const random = new SeededRandom(1);
    this.machine = new Negotiation({
      ...{ host: this, clock, random, limits: DIRECT_LIMITS, isInitiator },
    });
  }

  get introduction(): Introduction {
    const nonce = (this.nonces.shift() ?? 'f').repeat(32);
    const candidates = this.hasCandidates ? [{ kind: 'public' as const, address: '203.0.113.7:7443' }] : [];
    return { nonce, secret: '0'.repeat(64), candidates, canPunch: true };
  }

  send(signal: Signal): void {
    this.sent.push(signal);
    this.deliver(signal);
  }

  prepare(): void {
    this.#clock.setTimer(PREPARE_MS, () => this.machine.onPrepared(this.introduction));
  }

  dial(peer: Introduction): number {
    return peer.candidates.length;
  }

  probe(round: number): void {
    const probe = ++this.#probe;
    this.#clock.setTimer(PROBE_MS, () => {
      if (probe === this.#probe) this.machine.onProbed(round, { address: '198.51.100.2:20000', nat: this.nat });
    });
  }

  punch(plan: PunchPlan): string | undefined {
    this.punched.push({ ...plan, atMs: this.#clock.monotonicMs() + plan.delayMs });
    return undefined;
  }

  stopPunching(): void {}

  stop(): void {
    this.stops++;
  }

  gaveUp(reason: string): void {
    this.reasons.push(reason);
  }

  takeRound(): boolean {
    return true;
  }

  takeOffer(): boolean {
    return true;
  }

  retry(): void {
    this.machine.start();
  }
}

function createPair(nonces: { a: string[]; b: string[] } = { a: ['a'], b: ['b'] }) {
  const clock = new VirtualClock();
  const a = new End(clock, true, nonces.a);
  const b = new End(clock, false, nonces.b);
  a.deliver = (signal) => void clock.setTimer(ONE_WAY_MS, () => b.machine.onSignal(signal));
  b.deliver = (signal) => void clock.setTimer(ONE_WAY_MS, () => a.machine.onSignal(signal));
  return { clock, a, b };
}

test('In the first round the end that began dials first, and the other one and a half one-way times later', () => {
  const { clock, a, b } = createPair();
  a.machine.start();
  clock.advance(1_000);
  deepEqual([a.punched.length, b.punched.length], [1, 1]);
  const [first, second] = [a.punched[0], b.punched[0]];
  ok(first && second && !first.isCrossed && !second.isCrossed);
  equal(second.atMs - first.atMs, 1.5 * ONE_WAY_MS);
});

test('In the rounds after it both dial at the same moment', () => {
  const { clock, a, b } = createPair();
  a.machine.start();
  clock.advance(1_000);
  for (let round = 1; round < MAX_ROUNDS; round++) {
    b.machine.onPunchFailed(round - 1, 'connection refused');
    clock.advance(1_000);
    const [one, other] = [a.punched[round], b.punched[round]];
    ok(one?.isCrossed && other?.isCrossed);
    ok(Math.abs(one.atMs - other.atMs) < 1, `${one.atMs} and ${other.atMs}`);
  }
  a.machine.onPunchFailed(MAX_ROUNDS - 1, 'connection refused');
  clock.advance(1_000);
  deepEqual([a.machine.state, b.machine.state], ['relayed', 'relayed']);
  deepEqual(a.reasons, ['connection refused']);
});

test('Where crossing has worked before it comes first', () => {
  const { clock, a, b } = createPair();
  a.crossesFirst = true;
  a.machine.start();
  clock.advance(1_000);
  ok(a.punched[0]?.isCrossed && b.punched[0]?.isCrossed);
});

for (const smaller of ['a', 'b'] as const) {
  test(`Of two offers that cross the one with the smaller nonce counts: ${smaller}`, () => {
    const { clock, a, b } = createPair(smaller === 'a' ? { a: ['1'], b: ['2', '3'] } : { a: ['2', '3'], b: ['1'] });
    a.machine.start();
    b.machine.start();
    clock.advance(1_000);
    const [leader, other] = smaller === 'a' ? [a, b] : [b, a];
    deepEqual(
      leader.sent.map(({ kind }) => kind),
      ['offer', 'round', 'go'],
    );
    deepEqual(
      other.sent.map(({ kind }) => kind),
      ['offer', 'answer', 'ready'],
    );
    equal(leader.punched[0] && other.punched[0] && other.punched[0].atMs - leader.punched[0].atMs, 1.5 * ONE_WAY_MS);
  });
}

test('Candidates have a head start, and punching begins beside them', () => {
  const { clock, a, b } = createPair();
  b.hasCandidates = true;
  a.machine.start();
  clock.advance(DIRECT_LIMITS.dialHeadStartMs);
  equal(a.punched.length, 0);
  clock.advance(DIRECT_LIMITS.dialHeadStartMs);
  equal(a.punched.length, 1);
  equal(b.punched.length, 1);
});

test('A path that comes about ends the attempt on both sides, whatever was under way', () => {
  for (const afterMs of [10, 60, 100, 200, 400]) {
    const { clock, a, b } = createPair();
    a.machine.start();
    clock.advance(afterMs);
    for (const { machine } of [a, b]) machine.onPaths(1);
    clock.advance(60_000);
    deepEqual([a.machine.state, b.machine.state], ['direct', 'direct']);
    deepEqual([a.reasons, b.reasons], [[], []]);
    equal(a.machine.reason, undefined);
  }
});

test('A path that is lost while the peer looks for another one already is waited for', () => {
  const { clock, a, b } = createPair();
  for (const { machine } of [a, b]) machine.onPaths(1);
  // b has noticed that its path is dead; a has not.
  b.machine.onPaths(0);
  b.machine.start();
  clock.advance(60);
  equal(a.machine.state, 'direct');
  a.machine.onPaths(0);
  equal(a.machine.state, 'searching');
  clock.advance(1_000);
  ok(a.punched.length === 1 && b.punched.length === 1);
  for (const { machine } of [a, b]) machine.onPaths(1);
  deepEqual([a.machine.state, b.machine.state], ['direct', 'direct']);
});

test('A peer that falls silent at any moment is given up, and asked again a minute later', () => {
  for (let words = 0; words <= 3; words++) {
    const { clock, a, b } = createPair();
    let left = words;
    b.deliver = (signal) => {
      if (left-- > 0) clock.setTimer(ONE_WAY_MS, () => a.machine.onSignal(signal));
    };
    a.machine.start();
    clock.advance(50_000);
    deepEqual([a.machine.state, b.machine.state], ['relayed', 'relayed'], `after ${words} words`);
    ok(a.reasons.length === 1 && b.reasons.length === 1, JSON.stringify([a.reasons, b.reasons]));
    clock.advance(30_000);
    equal(a.machine.attempts, 2);
  }
});

test('Any order of any messages leaves it able to come to its end, and makes it say no more than it is asked', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = new SeededRandom(seed);
    const { clock, a } = createPair();
    const pick = <T>(of: readonly T[]): T => of[Math.floor(random.ratio() * of.length)] as T;
    a.machine.start();
    clock.advance(PREPARE_MS + 1);
    const ids = ['a', '1', 'f'].map((digit) => digit.repeat(32));
    const base = { secret: '0'.repeat(64), candidates: [], canPunch: true };
    for (let i = 0; i < 60; i++) {
      const to = pick(ids);
      const round = Math.floor(random.ratio() * MAX_ROUNDS);
      const address = '192.0.2.2:30000';
      const nat = pick(['unknown', 'endpoint-independent', 'endpoint-dependent'] as const);
      a.machine.onSignal(
        pick<Signal>([
          { kind: 'offer', nonce: pick(ids), ...base },
          { kind: 'answer', to, nonce: pick(ids), ...base },
          { kind: 'decline', to, reason: pick(['off', 'limit', 'busy']) },
          { kind: 'round', to, round, isCrossed: random.ratio() < 0.5, address, nat },
          { kind: 'ready', to, round, address, nat, tookMs: random.ratio() * 1_000 },
          { kind: 'go', to, round, rttMs: random.ratio() * 1_000 },
          { kind: 'fail', to, round, reason: 'no' },
        ]),
      );
      if (random.ratio() < 0.3) a.machine.onPunchFailed(round, 'refused');
      if (random.ratio() < 0.1) a.machine.onPaths(Math.floor(random.ratio() * 3));
      clock.advance(random.ratio() * 200);
    }
    a.machine.onPaths(0);
    ok(a.sent.length <= 4 * 60, `seed ${seed}: ${a.sent.length} messages`);
    clock.advance(40_000);
    ok(['relayed', 'searching'].includes(a.machine.state), `seed ${seed}: ${a.machine.state}`);
    a.machine.close();
    const before = a.sent.length;
    clock.advance(3_600_000);
    equal(a.sent.length, before, `seed ${seed}: it speaks after its end`);
    equal(clock.pendingTimers, 0, `seed ${seed}`);
  }
});
