/** Who of a service's endpoints is asked: failing ones are left alone and probed, near ones come first, the last one is never given up. */
import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';
import type { Endpoint } from '../../../src/catalog/endpoint.ts';
import { Emitter } from '../../../src/core/emitter.ts';
import { Backend } from '../../../src/router/backend.ts';
import type { Outcome } from '../../../src/router/classify.ts';
import { parseDestinationKey } from '../../../src/router/destination.ts';
import type { EndpointLoad } from '../../../src/router/endpoint-load.ts';
import type { RouterEvents } from '../../../src/router/events.ts';
import type { Locality } from '../../../src/router/locality.ts';
import { type RouterOptions, resolveRouterOptions } from '../../../src/router/options.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { endpoint } from './endpoints.ts';

interface Answer {
  readonly outcome: Outcome;
  readonly latencyMs: number;
}
const GOOD: Answer = { outcome: 'success', latencyMs: 1 };
const BROKEN: Answer = { outcome: 'broken', latencyMs: 1 };

/** One backend in virtual time: requests at a steady rate, each under way for as long as its endpoint takes. */
class Bench {
  readonly backend: Backend;
  readonly told: string[] = [];
  nowMs = 0;
  answer: (instance: string, nowMs: number) => Answer = () => GOOD;
  readonly #running: { load: EndpointLoad; startMs: number; endMs: number; outcome: Outcome }[] = [];

  constructor(limits: Partial<RouterOptions> = {}, here: Locality = { region: '', zone: '' }, seed = 1) {
    const events = new Emitter<RouterEvents>();
    const random = new SeededRandom(seed);
    this.backend = new Backend(parseDestinationKey('api.default:80'), {
      ...{ here, random, events },
      limits: resolveRouterOptions(limits),
    });
    events.on('ejected', (fact) => this.told.push(`ejected ${fact.endpoint.instance}: ${fact.cause}`));
    events.on('readmitted', (fact) => this.told.push(`readmitted ${fact.endpoint.instance}`));
    events.on('panic', ({ isOn }) => this.told.push(isOn ? 'panic' : 'panic over'));
    events.on('spillover', ({ isOn }) => this.told.push(isOn ? 'spillover' : 'spillover over'));
  }

  serve(...endpoints: readonly Endpoint[]): void {
    this.backend.update(endpoints, this.nowMs);
  }

  /** Sends `perSecond` for `seconds` and counts who got them. */
  run(seconds: number, perSecond = 1000): Map<string, number> {
    const counts = new Map<string, number>();
    const gapMs = 1000 / perSecond;
    const untilMs = this.nowMs + seconds * 1000;
    for (; this.nowMs < untilMs; this.nowMs += gapMs) {
      this.#finish();
      const load = this.backend.choose([], this.nowMs);
      const { instance } = load.endpoint;
      counts.set(instance, (counts.get(instance) ?? 0) + 1);
      const { outcome, latencyMs } = this.answer(instance, this.nowMs);
      load.pending++;
      this.#running.push({ load, startMs: this.nowMs, endMs: this.nowMs + latencyMs, outcome });
    }
    return counts;
  }

  /** Requests that one endpoint answers, one after the other. */
  ask(instance: string, outcome: Outcome, times: number, retryAfterMs?: number): void {
    for (let i = 0; i < times; i++) {
      const load = this.#loadOf(instance);
      this.backend.learn(load, outcome, 1, this.nowMs);
      if (retryAfterMs !== undefined) this.backend.rest(load, retryAfterMs, this.nowMs);
    }
  }

  #loadOf(instance: string): EndpointLoad {
    const others: EndpointLoad[] = [];
    for (;;) {
      const load = this.backend.choose(others, this.nowMs);
      if (load.endpoint.instance === instance) return load;
      others.push(load);
    }
  }

  #finish(): void {
    this.#running.sort((a, b) => a.endMs - b.endMs);
    while (this.#running[0] !== undefined && this.#running[0].endMs <= this.nowMs) {
      const { load, startMs, endMs, outcome } = this.#running.shift()!;
      load.pending--;
      this.backend.learn(load, outcome, endMs - startMs, this.nowMs);
    }
  }
}

const many = (count: number, change: Partial<Endpoint> = {}, prefix = 'i'): Endpoint[] =>
  Array.from({ length: count }, (_, i) => endpoint(`${prefix}${i}`, change));
const sum = (counts: ReadonlyMap<string, number>, prefix = ''): number =>
  [...counts].reduce((total, [instance, count]) => (instance.startsWith(prefix) ? total + count : total), 0);
const share = (counts: ReadonlyMap<string, number>, prefix: string): number => sum(counts, prefix) / sum(counts);

test('Five gateway failures in a row, no fewer, and an endpoint is left alone', () => {
  const bench = new Bench();
  bench.serve(...many(3));
  bench.ask('i1', 'broken', 4);
  bench.ask('i1', 'success', 1);
  bench.ask('i1', 'broken', 4);
  deepEqual(bench.told, []);
  bench.ask('i1', 'broken', 1);
  deepEqual(bench.told, ['ejected i1: failures']);
  equal(bench.run(0.9).get('i1'), undefined);
});

test('An application that fails at single requests, or is busy, is not ejected for it', () => {
  const bench = new Bench();
  bench.serve(...many(3));
  bench.ask('i1', 'failure', 50);
  bench.ask('i2', 'busy', 50);
  bench.ask('i0', 'neutral', 50);
  deepEqual(bench.told, []);
});

test('The last endpoint that works is never given up, nor more than half of all', () => {
  const alone = new Bench();
  alone.serve(endpoint('only'));
  alone.ask('only', 'broken', 100);
  deepEqual(alone.told, []);
  const two = new Bench();
  two.serve(...many(2));
  for (let i = 0; i < 100; i++) two.backend.learn(two.backend.choose([], 0), 'broken', 1, 0);
  equal(two.told.length, 1);
  const ten = new Bench();
  ten.serve(...many(10));
  ten.answer = () => BROKEN;
  ten.run(0.9);
  equal(ten.told.length, 5);
});

test('One request probes; if it fails the next waits twice as long, if it succeeds the endpoint is back', () => {
  const bench = new Bench();
  bench.serve(...many(4));
  let repairedMs = Number.POSITIVE_INFINITY;
  const probes: number[] = [];
  bench.answer = (instance, nowMs) => {
    if (instance !== 'i3' || nowMs >= repairedMs) return GOOD;
    probes.push(nowMs);
    return BROKEN;
  };
  bench.ask('i3', 'broken', 5);
  bench.run(20);
  const waits = probes.map((atMs, i) => atMs - (probes[i - 1] ?? 0));
  for (const [i, waitMs] of waits.entries()) {
    const plannedMs = 1000 * 2 ** i;
    ok(Math.abs(waitMs - plannedMs) <= plannedMs * 0.1 + 5, `wait ${i}: ${waitMs} ms`);
  }
  equal(probes.length, 4);
  repairedMs = bench.nowMs;
  bench.run(20);
  deepEqual(bench.told, ['ejected i3: failures', 'readmitted i3']);
  ok(Math.abs(share(bench.run(10), 'i3') - 0.25) < 0.03);
});

test('A probe that told nothing is sent again; what was under way before the ejection ends none', () => {
  const bench = new Bench();
  bench.serve(...many(2));
  const early = bench.backend.choose([], 0);
  bench.ask(early.endpoint.instance, 'broken', 5);
  bench.backend.learn(early, 'success', 1, 1);
  deepEqual(bench.told.length, 1);
  const probe = bench.backend.choose([], 1200);
  equal(probe, early);
  equal(bench.backend.choose([], 1200) === probe, false, 'one at a time');
  bench.backend.learn(probe, 'neutral', 1, 1201); // the caller gave up
  equal(bench.backend.choose([], 1202), probe);
});

test('An endpoint that is back bears more and more, from a tenth of its share to all of it', () => {
  const bench = new Bench({ warmUpMs: 10_000 });
  const noise = new SeededRandom(5);
  bench.answer = () => ({ outcome: 'success', latencyMs: 2 + 6 * noise.ratio() });
  const old = many(4);
  bench.serve(...old);
  bench.run(60);
  bench.serve(...old, endpoint('new'));
  for (let second = 0; second < 10; second++) {
    const counts = bench.run(1, 2000);
    const planned = (0.1 + 0.9 * ((second + 0.5) / 10)) / 5;
    const measured = share(counts, 'new');
    ok(
      Math.abs(measured - planned) < 0.03,
      `second ${second}: ${measured.toFixed(3)} instead of ${planned.toFixed(3)}`,
    );
  }
});

test('One that fails far more often than its peers is ejected, though never five times in a row', () => {
  const bench = new Bench();
  bench.serve(...many(10));
  let turn = 0;
  bench.answer = (instance) => (instance === 'i4' && ++turn % 2 === 0 ? { outcome: 'failure', latencyMs: 1 } : GOOD);
  bench.run(11);
  equal(bench.told[0], 'ejected i4: success-rate');
});

for (const outcome of ['broken', 'busy'] as const) {
  test(`A backend that answers "${outcome}" within 1 ms gets at most 5 % within 2 s`, () => {
    const bench = new Bench();
    bench.serve(...many(4));
    bench.answer = (instance) => (instance === 'i2' ? { outcome, latencyMs: 1 } : { outcome: 'success', latencyMs: 5 });
    const part = share(bench.run(2), 'i2');
    ok(part <= 0.05, `${(part * 100).toFixed(1)} %`);
  });
}

test('Who asks for rest gets it, at most five minutes, unless he is alone', () => {
  const bench = new Bench();
  bench.serve(...many(2));
  bench.ask('i0', 'busy', 1, 2_000);
  equal(bench.run(1.9).get('i0'), undefined);
  bench.run(30);
  ok((bench.run(1).get('i0') ?? 0) > 100);
  bench.ask('i1', 'busy', 1, 86_400_000);
  equal(bench.run(290, 10).get('i1'), undefined);
  bench.run(15, 10);
  ok((bench.run(20, 100).get('i1') ?? 0) > 0);
  const alone = new Bench();
  alone.serve(endpoint('only'));
  alone.ask('only', 'busy', 1, 60_000);
  equal(alone.run(1, 100).get('only'), 100);
});

const EU_A = { region: 'eu', zone: 'a' };
const local = (count: number, change: Partial<Endpoint> = {}): Endpoint[] =>
  many(count, { ...EU_A, ...change }, 'local');
const near = many(4, { region: 'eu', zone: 'b' }, 'near');
const far = many(4, { region: 'us', zone: 'a' }, 'far');

test('All requests stay in the zone while it works, then in the region, then anywhere', () => {
  const bench = new Bench({}, EU_A);
  bench.serve(...far, ...near, ...local(4));
  deepEqual(share(bench.run(1), 'local'), 1);
  bench.serve(...far, ...near, ...local(4, { healthy: false }));
  equal(share(bench.run(1), 'near'), 1);
  bench.serve(...far, ...local(4, { healthy: false }));
  equal(share(bench.run(1), 'far'), 1);
});

test('A zone that works in part keeps what it can bear, and weights hold beside that', () => {
  const bench = new Bench({}, EU_A);
  bench.serve(...local(4).map((each, i) => ({ ...each, healthy: i < 2 })), ...near);
  const part = share(bench.run(5), 'local');
  ok(Math.abs(part - 0.7) < 0.03, `${part}`); // 1.4 × 2 of 4
  const weighted = new Bench({}, EU_A);
  weighted.answer = () => ({ outcome: 'success', latencyMs: 20 });
  weighted.serve(endpoint('local-light', EU_A), endpoint('local-heavy', { ...EU_A, weight: 3 }), ...far);
  const counts = weighted.run(10);
  equal(sum(counts, 'far'), 0);
  const ratio = (counts.get('local-heavy') ?? 0) / (counts.get('local-light') ?? 1);
  ok(ratio > 2.2 && ratio < 3.8, `${ratio}`);
});

test('A zone that comes back is not flooded at once', () => {
  const bench = new Bench({}, EU_A);
  bench.serve(...local(4), ...far);
  bench.run(1);
  bench.serve(...local(4, { healthy: false }), ...far);
  equal(share(bench.run(1), 'far'), 1);
  bench.serve(...local(4), ...far);
  const shares = Array.from({ length: 10 }, () => share(bench.run(1), 'local'));
  ok(shares[0]! < 0.3, `${shares}`);
  ok(
    shares.every((part, i) => i === 0 || part >= shares[i - 1]! - 0.05),
    `${shares}`,
  );
  equal(share(bench.run(1), 'local'), 1);
});

/** Each answers one request after the other, `serviceMs` apiece, and is `awayMs` away. */
function queues(serviceMs: number, awayMs: (instance: string) => number): Bench['answer'] {
  const freeMs = new Map<string, number>();
  return (instance, nowMs) => {
    const endMs = Math.max(nowMs, freeMs.get(instance) ?? 0) + serviceMs;
    freeMs.set(instance, endMs);
    return { outcome: 'success', latencyMs: endMs - nowMs + awayMs(instance) };
  };
}

test('What those who are near cannot bear goes further away, in proportion, and comes back when they can', (t) => {
  const bench = new Bench({}, EU_A);
  bench.answer = queues(10, (instance) => (instance.startsWith('far') ? 60 : 0));
  bench.serve(...local(2), ...far);
  equal(share(bench.run(20, 150), 'local'), 1, 'three quarters of what they can');
  deepEqual(bench.told, []);
  bench.run(20, 400); // twice as much as they can
  const overloaded = share(bench.run(20, 400), 'local');
  t.diagnostic(`of twice what the near ones can bear ${Math.round(overloaded * 100)} % stay`);
  ok(overloaded > 0.35 && overloaded < 0.6, `${overloaded} stay, half of it can`);
  equal(bench.told[0], 'spillover');
  bench.run(30, 100);
  equal(share(bench.run(10, 100), 'local'), 1);
  equal(bench.told.at(-1), 'spillover over');
});

test('A service that takes its time, here as there, stays near, but for the few that find out', () => {
  const bench = new Bench({}, EU_A);
  bench.answer = (instance) => ({ outcome: 'success', latencyMs: instance.startsWith('far') ? 660 : 600 });
  bench.serve(...local(2), ...far);
  const stay = share(bench.run(60, 100), 'local');
  ok(stay > 0.98, `${stay}`);
});

test('Who does not know where he is calls everybody alike', () => {
  const bench = new Bench();
  bench.serve(...near, ...far);
  ok(Math.abs(share(bench.run(2), 'far') - 0.5) < 0.05);
});

test('When too few are left, ejections are not looked at, and that is told', () => {
  const bench = new Bench({ maxEjectedPercent: 90 });
  bench.serve(...many(4), endpoint('down', { healthy: false }));
  for (const instance of ['i0', 'i1']) bench.ask(instance, 'broken', 5);
  bench.ask('i2', 'broken', 5);
  const counts = bench.run(0.5);
  ok(bench.told.includes('panic') && !bench.told.includes('panic over'), `${bench.told}`);
  equal(counts.size, 4);
  equal(counts.get('down'), undefined, 'who says of himself that he is down is not asked');
});

test('A retry goes to another endpoint, and never as a probe', () => {
  const bench = new Bench();
  bench.serve(...many(3));
  bench.ask('i0', 'broken', 5);
  bench.nowMs = 5_000;
  const first = bench.backend.choose([], 4_000);
  equal(first.endpoint.instance, 'i0');
  bench.backend.learn(first, 'broken', 1, 4_000);
  const second = bench.backend.choose([first], 9_000);
  ok(second !== first);
  const third = bench.backend.choose([first, second], 9_000);
  deepEqual(new Set([first, second, third].map((load) => load.endpoint.instance)), new Set(['i0', 'i1', 'i2']));
  throws(() => bench.backend.choose([first, second, third], 9_000), { code: 'SKEIN_NO_ENDPOINT' });
});

test('As many requests and connections as allowed are under way at once; more are refused at once', () => {
  const { breaker } = new Bench({ maxPendingRequests: 3, maxConnections: 2 }).backend;
  for (let i = 0; i < 3; i++) breaker.enterRequest();
  throws(() => breaker.enterRequest(), { code: 'SKEIN_OVERFLOW', status: 503 });
  for (let i = 0; i < 2; i++) breaker.enterConnection();
  throws(() => breaker.checkConnection(), { code: 'SKEIN_OVERFLOW' });
  deepEqual([breaker.pending, breaker.overflows], [5, 2]);
  breaker.leaveRequest();
  breaker.enterRequest();
});
