/** Peak EWMA with two choices: the slow endpoint gets little, the failing one is left alone for a while, weights count. */
import { equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { chooseP2cEwma } from '../../../src/router/balancer/p2c-ewma.ts';
import { EndpointLoad } from '../../../src/router/endpoint-load.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { endpoint } from './endpoints.ts';

/** Serves `count` requests, `concurrency` at once, and counts who got them; `latencyMs` is by index. */
function simulate(loads: EndpointLoad[], latencyMs: readonly number[], count: number, concurrency: number): number[] {
  const random = new SeededRandom(7);
  const served = loads.map(() => 0);
  const running: { load: EndpointLoad; endMs: number; startMs: number }[] = [];
  let nowMs = 0;
  for (let sent = 0; sent < count; sent++) {
    while (running.length >= concurrency) {
      running.sort((a, b) => a.endMs - b.endMs);
      const first = running.shift()!;
      nowMs = Math.max(nowMs, first.endMs);
      first.load.pending--;
      first.load.succeed(first.endMs - first.startMs, nowMs);
    }
    const load = chooseP2cEwma(loads, random, nowMs)!;
    const index = loads.indexOf(load);
    served[index]!++;
    load.pending++;
    running.push({ load, startMs: nowMs, endMs: nowMs + latencyMs[index]! });
  }
  return served;
}

test('nothing to choose from', () => equal(chooseP2cEwma([], new SeededRandom(1), 0), undefined));

test('one slow endpoint of ten (50 ms against 1 ms) gets at most 2 % of the requests', () => {
  const loads = Array.from({ length: 10 }, (_, i) => new EndpointLoad(endpoint(`i${i}`), 0));
  const latency = loads.map((_, i) => (i === 3 ? 50 : 1));
  const served = simulate(loads, latency, 20_000, 8);
  ok(served[3]! / 20_000 <= 0.02, `slow endpoint served ${served[3]} of 20000`);
});

test('equal endpoints share equally, within a tenth', () => {
  const loads = Array.from({ length: 5 }, (_, i) => new EndpointLoad(endpoint(`i${i}`), 0));
  const served = simulate(
    loads,
    loads.map(() => 5),
    20_000,
    32,
  );
  for (const count of served) ok(Math.abs(count - 4000) < 400, `shares ${served}`);
});

test('twice the weight bears more', () => {
  const loads = [1, 2].map((weight, i) => new EndpointLoad(endpoint(`i${i}`, { weight }), 0));
  const served = simulate(loads, [5, 5], 20_000, 30);
  const ratio = served[1]! / served[0]!;
  ok(ratio > 1.7 && ratio < 2.3, `shares ${served}`);
});

test('an endpoint that fails at once is not the fastest, and is tried again when time has passed', () => {
  const [good, bad] = [new EndpointLoad(endpoint('good'), 0), new EndpointLoad(endpoint('bad'), 0)];
  good.succeed(20, 1);
  bad.fail(0, 1);
  const random = new SeededRandom(3);
  for (let i = 0; i < 100; i++) equal(chooseP2cEwma([good, bad], random, 2), good);
  let chosen: EndpointLoad | undefined;
  let nowMs = 2;
  for (; nowMs < 120_000 && chosen !== bad; nowMs += 100) {
    chosen = chooseP2cEwma([good, bad], random, nowMs);
    if (chosen === good) good.succeed(20, nowMs);
  }
  equal(chosen, bad);
  ok(nowMs > 5_000, `after ${nowMs} ms`);
});
