/** What the search for direct paths may cost a member at most: searches at once, rounds with one peer, pairs of NATs that are remembered. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Agent } from '../../../../src/agent/agent.ts';
import { NatPairs } from '../../../../src/agent/direct/nat-pairs.ts';
import { DIRECT_LIMITS } from '../../../../src/agent/direct/options.ts';
import { IPS, VirtualPair } from '../../../support/virtual-pair.ts';

const MINUTE_MS = 60_000;
const MAX_SEARCHES = 3;
const PEERS = 8;

/** How far the searches of a member with each of its peers are. */
function statusesOf(agent: Agent) {
  return [...agent.peers.all()].flatMap(({ session }) => agent.direct.status(session) ?? []);
}

/** The most searches at once that a member has, while time passes until `done`. */
async function watchSearches(pair: VirtualPair, agent: Agent, done: () => boolean): Promise<number> {
  let most = 0;
  await pair.mesh.until(() => {
    most = Math.max(most, statusesOf(agent).filter(({ state }) => state === 'searching').length);
    return done();
  }, 5 * MINUTE_MS);
  return most;
}

describe('A member searches with a few peers at once,', () => {
  it('and with the others when it is their turn, also the second time', async (t) => {
    const pair = await VirtualPair.start(t, { limits: { maxSearches: MAX_SEARCHES } });
    const { a } = pair.agents;
    pair.internet.isBlocked = true;
    const names = Array.from({ length: PEERS }, (_, n) => `peer-${n}`);
    for (const [n, name] of names.entries()) await pair.add(name, `198.51.100.${10 + n}`);
    for (const name of names) assert.equal(await pair.ask(name), 'hello');
    const attempts = (): number[] => statusesOf(a).map((status) => status.attempts);
    for (const times of [1, 2]) {
      const most = await watchSearches(pair, a, () => attempts().every((count) => count >= times));
      assert.equal(most, MAX_SEARCHES, `attempt ${times}`);
    }
    assert.equal(attempts().length, PEERS);
    pair.internet.isBlocked = false;
    await pair.mesh.until(() => statusesOf(a).every(({ state }) => state === 'direct'), 10 * MINUTE_MS);
  });

  it('whoever of them has asked: the others are told that it is busy, and ask again', async (t) => {
    const pair = await VirtualPair.start(t, { limits: { maxSearches: MAX_SEARCHES } });
    const { b } = pair.agents;
    pair.internet.isBlocked = true;
    const callers: Agent[] = [];
    for (let n = 0; n < PEERS; n++) callers.push(await pair.add(`caller-${n}`, `198.51.100.${10 + n}`));
    for (const caller of callers) assert.equal(await pair.ask('b', caller), 'hello');
    const reasons = (): string[] => callers.flatMap((caller) => statusesOf(caller).map(({ reason }) => reason ?? ''));
    const most = await watchSearches(pair, b, () => reasons().every((reason) => reason !== ''));
    assert.equal(most, MAX_SEARCHES);
    const busy = reasons().filter((reason) => /busy with other sessions/.test(reason)).length;
    assert.ok(busy > 0 && busy <= PEERS - MAX_SEARCHES, `${busy}: ${reasons()}`);
    pair.internet.isBlocked = false;
    await pair.mesh.until(
      () => callers.every((one) => statusesOf(one).every(({ state }) => state === 'direct')),
      10 * MINUTE_MS,
    );
  });
});

describe('A peer', () => {
  it('makes a member dial in three rounds a minute, however often it finds a reason for more', async (t) => {
    let address = 0;
    const localAddresses = () => [{ name: 'wlan0', ip: `10.9.9.${address}` }];
    const pair = await VirtualPair.start(t, {
      changes: { b: () => ({ localAddresses }) },
      limitsOf: { b: { roundsPerMinute: 1_000 } },
    });
    pair.internet.isBlocked = true;
    assert.equal(await pair.ask(), 'hello');
    const startedMs = pair.mesh.clock.monotonicMs();
    const dialledMs: number[] = [];
    let refusals = 0;
    while (pair.mesh.clock.monotonicMs() - startedMs < 5 * MINUTE_MS) {
      address = (address + 1) % 200;
      await pair.mesh.clock.advanceAsync(1_000);
      const dialled = pair.internet.synsToPeers.filter((syn) => syn.startsWith(IPS.a)).length;
      while (dialledMs.length < dialled) dialledMs.push(pair.mesh.clock.monotonicMs());
      if (/too many rounds/.test(pair.status('a')?.reason ?? '')) refusals++;
    }
    const { roundsPerMinute } = DIRECT_LIMITS;
    for (const fromMs of dialledMs) {
      const within = dialledMs.filter((atMs) => atMs >= fromMs && atMs < fromMs + MINUTE_MS - 1_000).length;
      assert.ok(within <= roundsPerMinute, `${within} dials in the minute from ${fromMs - startedMs} ms`);
    }
    assert.ok(dialledMs.length >= 4 * roundsPerMinute, `${dialledMs.length} dials in five minutes`);
    assert.ok(refusals > 0, 'it has never asked for more');
    assert.equal(await pair.ask(), 'hello');
  });
});

describe('NatPairs', () => {
  it('remembers what worked between as many pairs as it may, and forgets the oldest', () => {
    const pairs = new NatPairs(DIRECT_LIMITS.maxNatPairs);
    const vantage = (n: number) => ({ own: IPS.a, peer: `203.0.${n >> 8}.${n & 255}`, isSameNetwork: false });
    for (let n = 0; n < DIRECT_LIMITS.maxNatPairs; n++) pairs.note(vantage(n), true);
    pairs.note(vantage(0), true);
    pairs.note(vantage(1_000), true);
    assert.equal(pairs.size, DIRECT_LIMITS.maxNatPairs);
    assert.deepEqual(
      [0, 1, 2, 1_000].map((n) => pairs.crosses(vantage(n))),
      [true, false, true, true],
    );
  });
});
