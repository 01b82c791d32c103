/** HalfOpen: one address has its share of the links that wait for their handshake, and no more. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { HttpServerOptions, Platform } from '../../../src/core/platform.ts';
import { HalfOpen } from '../../../src/hub/half-open.ts';
import { createHub } from '../../../src/hub/hub.ts';
import { nodePlatform } from '../../../src/runtime/node/platform.ts';
import { MemoryLink } from '../../../src/testing/memory-pipe.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { withRemoteAddress } from '../../../src/testing/virtual-internet.ts';

const LIMITS = {
  maxHalfOpen: 10,
  maxHalfOpenPerAddress: 3,
  linksPerAddress: { perSecond: 10, burst: 20, maxKeys: 100 },
};
const nobody = (): void => undefined;

test('An address that has its share is refused until one of its links is done', () => {
  const halfOpen = new HalfOpen(LIMITS);
  const leave = halfOpen.enter('203.0.113.1:1', 0, nobody);
  halfOpen.enter('203.0.113.1:2', 0, nobody);
  halfOpen.enter('203.0.113.1:3', 0, nobody);
  equal(halfOpen.hasRoom('203.0.113.1:4', 0, 0), false);
  equal(halfOpen.enter('203.0.113.1:4', 0, nobody), undefined);
  ok(halfOpen.enter('203.0.113.2:4', 0, nobody));
  leave?.();
  leave?.();
  ok(halfOpen.enter('203.0.113.1:4', 0, nobody));
  equal(halfOpen.size, 4);
});

test('All of an IPv6 subscriber count as one, and a proxy on this machine as many', () => {
  const halfOpen = new HalfOpen(LIMITS);
  const admitted = (addresses: readonly string[]): boolean[] =>
    addresses.map((address) => halfOpen.enter(address, 0, nobody) !== undefined);
  deepEqual(
    admitted(['[2001:db8:1:2::1]:5', '[2001:db8:1:2:ffff::]:5', '[2001:db8:1:2:3:4:5:6]:5', '[2001:db8:1:2::9]:5']),
    [true, true, true, false],
  );
  deepEqual(admitted(['[2001:db8:1:3::1]:5', '[::1]:1', '[::1]:2', '[::1]:3', '[::1]:4', '127.0.0.1:1']), [
    true,
    true,
    true,
    true,
    true,
    true,
  ]);
});

test('An address whose port a proxy does not tell has a share of its own', () => {
  const halfOpen = new HalfOpen(LIMITS);
  for (let i = 0; i < 3; i++) ok(halfOpen.enter('203.0.113.1:0', 0, nobody));
  equal(halfOpen.enter('203.0.113.1:0', 0, nobody), undefined);
  ok(halfOpen.enter('203.0.113.2:0', 0, nobody), 'another one behind the same proxy');
  ok(halfOpen.enter('[2001:db8:1:2::1]:0', 0, nobody));
  for (let i = 0; i < 20; i++) halfOpen.mayBegin('203.0.113.3:0', 0);
  equal(halfOpen.mayBegin('203.0.113.3:0', 0), false);
  ok(halfOpen.mayBegin('203.0.113.4:0', 0));
});

test('Who fills all places loses the oldest to addresses that have less, and to its own kind when they had their time', () => {
  const halfOpen = new HalfOpen({ ...LIMITS, maxHalfOpenPerAddress: 8 });
  const lost: string[] = [];
  const enter = (address: string, nowMs: number): boolean => {
    const leave = halfOpen.enter(address, nowMs, () => {
      lost.push(address);
      leave?.();
    });
    return leave !== undefined;
  };
  for (let port = 1; port <= 8; port++) ok(enter(`203.0.113.1:${port}`, 0));
  for (let port = 1; port <= 2; port++) ok(enter(`203.0.113.2:${port}`, 0));
  equal(halfOpen.hasRoom('203.0.113.3:1', 1, 0), true);
  ok(enter('203.0.113.3:1', 1), 'an address without a link gets its place at once');
  deepEqual(lost, ['203.0.113.1:1']);
  equal(enter('203.0.113.1:9', 2), false, 'not one more for the address that has most');
  equal(enter('203.0.113.1:9', 1_600), true);
  deepEqual(lost, ['203.0.113.1:1', '203.0.113.1:2']);
  equal(halfOpen.size, 10);
});

test('Many addresses that come together do not push each other out', () => {
  const halfOpen = new HalfOpen(LIMITS);
  for (let host = 1; host <= 10; host++) ok(halfOpen.enter(`203.0.113.${host}:1`, 0, nobody));
  equal(halfOpen.hasRoom('203.0.113.11:1', 100, 0), false);
  equal(halfOpen.enter('203.0.113.11:1', 100, nobody), undefined);
});

test('So many handshakes go on side by side as are done in time, and never fewer than 32 nor more than there are places', () => {
  const halfOpen = new HalfOpen({ ...LIMITS, maxHalfOpen: 128, maxHalfOpenPerAddress: 128 });
  /** How many there are when no more are let in. */
  const fill = (nowMs: number): number => {
    const leave: ((() => void) | undefined)[] = [];
    while (halfOpen.hasRoom('203.0.113.1:1', nowMs, 0)) leave.push(halfOpen.enter('203.0.113.1:1', nowMs, nobody));
    equal(halfOpen.hasRoom('203.0.113.1:1', nowMs, 0), false);
    const { size } = halfOpen;
    for (const one of leave) one?.();
    return size;
  };
  equal(fill(0), 32);
  for (let i = 0; i < 10; i++) halfOpen.noteDone(50, 0);
  equal(fill(0), 42);
  equal(halfOpen.hasRoom('203.0.113.1:1', 0, 41), true);
  equal(halfOpen.hasRoom('203.0.113.1:1', 0, 42), false, 'those who have just been let in');
  for (let i = 0; i < 1_000; i++) halfOpen.noteDone(50, 0);
  equal(fill(0), 128);
  // All that were begun together are slow together, and say so once.
  for (let i = 0; i < 100; i++) halfOpen.noteDone(1_000, 10);
  equal(fill(10), 103);
  for (let atMs = 1_010; atMs < 9_000; atMs += 1_000) halfOpen.noteDone(1_000, atMs);
  equal(fill(9_000), 32);
  // Who was let in has a place, as long as there is one.
  for (let i = 0; i < 128; i++) ok(halfOpen.enter('203.0.113.1:1', 9_000, nobody));
  equal(halfOpen.enter('203.0.113.1:1', 9_000, nobody), undefined);
});

test('Members that are far away are not taken for slow ones, and those that are about to be too late are', () => {
  const halfOpen = new HalfOpen({ ...LIMITS, maxHalfOpen: 128, maxHalfOpenPerAddress: 128 });
  const isRoomFor = (count: number, nowMs: number) => halfOpen.hasRoom('203.0.113.1:1', nowMs, count - 1);
  let nowMs = 0;
  for (; nowMs < 60_000; nowMs += 500) halfOpen.noteDone(600 + (nowMs % 300), nowMs);
  deepEqual([isRoomFor(128, nowMs), isRoomFor(129, nowMs)], [true, false]);
  for (const endMs = nowMs + 60_000; nowMs < endMs; nowMs += 500) halfOpen.noteDone(1_100, nowMs);
  deepEqual([isRoomFor(32, nowMs), isRoomFor(33, nowMs)], [true, false]);
});

test('An address begins no more links than its rate, and costs others nothing', () => {
  const halfOpen = new HalfOpen(LIMITS);
  const tries = (address: string, nowMs: number): number =>
    Array.from({ length: 50 }, () => halfOpen.mayBegin(address, nowMs)).filter(Boolean).length;
  equal(tries('203.0.113.1:1', 0), 20);
  equal(tries('203.0.113.1:2', 1_000), 10);
  equal(tries('203.0.113.2:1', 1_000), 20);
  equal(tries('127.0.0.1:1', 1_000), 50, 'a proxy on this machine');
});

test('A stranger who opens links and says nothing does not keep others from the hub', async (t) => {
  const clock = new VirtualClock();
  let accept: HttpServerOptions['onWebSocket'];
  const platform: Platform = {
    ...nodePlatform(),
    clock,
    listenHttp: async ({ onWebSocket }) => {
      accept = onWebSocket;
      return { address: '10.0.0.1:7000', port: 7000, close: async () => undefined };
    },
  };
  const hub = await createHub(platform, { limits: LIMITS });
  t.after(() => hub.close());
  /** Whether the hub keeps the link of that address. */
  const open = async (remoteAddress: string, waitedMs = 0): Promise<() => boolean> => {
    const { a, b } = new MemoryLink(clock);
    let isOpen = true;
    a.attach({
      onMessage: () => undefined,
      onProgress: () => undefined,
      onClose: () => {
        isOpen = false;
      },
    });
    accept?.(Object.assign(withRemoteAddress(b, remoteAddress), { waitedMs }));
    await clock.settle();
    return () => isOpen;
  };
  const kept: boolean[] = [];
  for (let port = 1; port <= 5; port++) kept.push((await open(`203.0.113.1:${port}`))());
  deepEqual(kept, [true, true, true, false, false]);
  equal((await open('203.0.113.2:1'))(), true);
  await clock.advanceAsync(2_100);
  equal((await open('203.0.113.1:6'))(), true, 'the silent ones have had their time');
  // Two seconds in all, however they are spent.
  const late = await open('203.0.113.3:1', 1_900);
  await clock.advanceAsync(90);
  equal(late(), true);
  await clock.advanceAsync(20);
  equal(late(), false);
});
