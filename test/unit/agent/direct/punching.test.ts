/** Hole punching on virtual time: every kind of NAT the machine knows of, and what it costs where none of it works. */

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { SkeinError } from '../../../../src/core/errors.ts';
import { type End, IPS, VirtualPair } from '../../../support/virtual-pair.ts';

const MINUTE_MS = 60_000;
const ENDS: readonly End[] = ['a', 'b'];

for (const [a, b, rounds] of [
  ['dropped', 'dropped', 1],
  ['reset', 'reset', 2],
  ['dropped', 'reset', 2],
  ['reset', 'dropped', 1],
] as const) {
  for (const late of [undefined, ...ENDS]) {
    for (const lateMs of late === undefined ? [0] : [10, 100, 500, 2_000]) {
      const who = late === undefined ? 'nobody is late' : `${late} is ${lateMs} ms late`;
      test(`A way is open within 3 s: strangers at a are ${a}, at b ${b}; ${who}`, async (t) => {
        const pair = await VirtualPair.start(t, { a: { strangers: a }, b: { strangers: b, oneWayMs: 15 } });
        if (late !== undefined) pair.internet.lateMs.set(IPS[late], lateMs);
        equal(await pair.ask(), 'hello');
        ok((await pair.untilDirect()) <= 3_000);
        for (const end of ENDS) {
          const { kind, attempts, nat, reason } = pair.status(end) ?? {};
          deepEqual(
            { kind, attempts, nat, reason },
            { kind: 'punched', attempts: 1, nat: 'endpoint-independent', reason: undefined },
          );
        }
        if (late === undefined) equal(pair.logs.a.of('direct-path')[0]?.fields.rounds, rounds);
        equal(await pair.ask(), 'hello');
      });
    }
  }
}

for (const symmetric of [['a'], ['b'], ['a', 'b']] as End[][]) {
  test(`Where ${symmetric.join(' and ')} has a symmetric NAT nobody is dialled, and the session stays relayed`, async (t) => {
    const nat = (end: End) => (symmetric.includes(end) ? ({ mapping: 'symmetric' } as const) : {});
    const pair = await VirtualPair.start(t, { a: nat('a'), b: nat('b') });
    equal(await pair.ask(), 'hello');
    await pair.mesh.until(() => pair.logs.a.of('no-direct-path').length > 0);
    await pair.mesh.clock.advanceAsync(10_000);
    match(pair.status('a')?.reason ?? '', /symmetric/);
    deepEqual(pair.internet.synsToPeers, []);
    equal(await pair.ask(), 'hello');
  });
}

test('With one reflector the kind of NAT is unknown, and it is tried', async (t) => {
  const pair = await VirtualPair.start(t, { hasPublicMember: false });
  equal(await pair.ask(), 'hello');
  await pair.untilDirect();
  equal(pair.status('a')?.nat, 'unknown');
});

test('Where nothing passes, three rounds are tried, then in a minute, and ever less often; the relay carries all the while', async (t) => {
  const pair = await VirtualPair.start(t);
  pair.internet.isBlocked = true;
  equal(await pair.ask(), 'hello');
  const endsMs: number[] = [];
  const startedMs = pair.mesh.clock.monotonicMs();
  for (let attempts = 1; attempts <= 7; attempts++) {
    await pair.mesh.until(() => pair.logs.a.of('no-direct-path').length >= attempts, 15 * MINUTE_MS);
    endsMs.push(pair.mesh.clock.monotonicMs() - startedMs);
    equal(await pair.ask(), 'hello');
  }
  const waits = endsMs.slice(1).map((atMs, index) => (atMs - (endsMs[index] as number)) / MINUTE_MS);
  for (const [index, minutes] of [1, 2, 4, 8, 10, 10].entries()) {
    const waited = waits[index] as number;
    ok(waited >= minutes && waited <= minutes * 1.1 + 0.5, `${waits}`);
  }
  equal(pair.internet.synsToPeers.length, 7 * 3 * 2, 'three rounds of both ends for each attempt');
  match(pair.status('a')?.reason ?? '', /nothing came through/);
});

test('When the block is lifted the next attempt finds a way', async (t) => {
  const pair = await VirtualPair.start(t);
  pair.internet.isBlocked = true;
  equal(await pair.ask(), 'hello');
  await pair.mesh.until(() => pair.logs.a.of('no-direct-path').length > 0);
  pair.internet.isBlocked = false;
  const { retryInMs = 0 } = pair.status('a') ?? {};
  ok(retryInMs >= MINUTE_MS && retryInMs <= 1.05 * 1.05 * MINUTE_MS, `in ${retryInMs} ms`);
  ok((await pair.untilDirect(2 * MINUTE_MS)) <= retryInMs + 3_000);
  equal(pair.status('a')?.attempts, 2);
});

for (const end of ENDS) {
  test(`Other addresses of the host of ${end} are a reason to try at once`, async (t) => {
    let ip = '10.9.9.9';
    const localAddresses = () => [{ name: 'wlan0', ip }];
    const pair = await VirtualPair.start(t, { changes: { [end]: () => ({ localAddresses }) } });
    pair.internet.isBlocked = true;
    equal(await pair.ask(), 'hello');
    await pair.mesh.until(() => pair.logs.a.of('no-direct-path').length > 0);
    // The rounds of a minute are used up: the peer would refuse more.
    await pair.mesh.clock.advanceAsync(MINUTE_MS - 5_000);
    pair.internet.isBlocked = false;
    ip = '10.8.8.8';
    ok((await pair.untilDirect()) <= 5_000 + 2_000 + 3_000);
  });
}

test('What has worked between two NATs is tried first the next time', async (t) => {
  const limits = { healthyMs: 0 };
  const pair = await VirtualPair.start(t, { a: { strangers: 'reset' }, b: { strangers: 'reset' }, limits });
  equal(await pair.ask(), 'hello');
  await pair.untilDirect();
  await pair.mesh.clock.advanceAsync(MINUTE_MS);
  pair.internet.cut();
  await pair.mesh.until(() => !pair.isDirect);
  await pair.untilDirect();
  deepEqual(
    pair.logs.a.of('direct-path').map(({ fields }) => fields.rounds),
    [2, 1],
  );
});

test('A path that was good is looked for again at once; one that was not, a minute later', async (t) => {
  const pair = await VirtualPair.start(t);
  equal(await pair.ask(), 'hello');
  await pair.untilDirect();
  await pair.mesh.clock.advanceAsync(10_000);
  pair.internet.cut();
  await pair.mesh.until(() => !pair.isDirect);
  match(pair.status('a')?.reason ?? '', /was lost/);
  ok((await pair.untilDirect(2 * MINUTE_MS)) >= MINUTE_MS);
  await pair.mesh.clock.advanceAsync(2 * MINUTE_MS);
  pair.internet.cut();
  await pair.mesh.until(() => !pair.isDirect);
  ok((await pair.untilDirect()) <= 3_000);
  equal(await pair.ask(), 'hello');
});

test('A hub that sees no addresses makes nobody dial', async (t) => {
  const pair = await VirtualPair.start(t, { isSeenByHub: false });
  equal(await pair.ask(), 'hello');
  await pair.mesh.until(() => pair.logs.a.of('no-direct-path').length > 0);
  match(pair.status('a')?.reason ?? '', /the hub does not see from where its members come/);
  deepEqual(pair.internet.synsToPeers, []);
});

test('An address that a peer claims for a round is dialled only if the hub sees the peer there', async (t) => {
  // The reflectors of b lie, as if b did: it claims to be somebody else.
  const victim = '203.0.113.99:25000';
  const pair = await VirtualPair.start(t, {
    changes: {
      b: (sockets) => ({
        connect: async (to) => ({ ...(await sockets.connect(to)), get: async () => victim }),
      }),
    },
  });
  equal(await pair.ask(), 'hello');
  await pair.mesh.until(() => pair.logs.a.of('no-direct-path').length > 0);
  match(pair.status('a')?.reason ?? '', /must not be dialled/);
  ok(!pair.internet.synsToPeers.some((syn) => syn.includes(victim)));
});

test('A runtime that has no say in the local port says so', async (t) => {
  const pair = await VirtualPair.start(t, {
    changes: { a: (sockets) => ({ connect: ({ localPort: _, ...to }) => sockets.connect(to) }) },
  });
  equal(await pair.ask(), 'hello');
  await pair.mesh.until(() => pair.logs.a.of('no-direct-path').length > 0);
  match(pair.status('a')?.reason ?? '', /no say in the local port/);
});

test('A port that is taken is no reason to give up, nor is a system that gives a port to one connection only', async (t) => {
  const taken = new SkeinError('SKEIN_PEER_UNREACHABLE', 'address in use', { details: { systemCode: 'EADDRINUSE' } });
  let refusals = 0;
  const pair = await VirtualPair.start(t, {
    changes: {
      a: (sockets) => ({
        connect: (to) => {
          // The first port for reflectors, and then the first dial to the peer while those are open.
          const isPeer = to.host === IPS.b;
          if (refusals < 2 || (isPeer && refusals < 3)) {
            refusals++;
            return Promise.reject(taken);
          }
          return sockets.connect(to);
        },
      }),
    },
  });
  equal(await pair.ask(), 'hello');
  await pair.untilDirect();
  equal(refusals, 3);
});
