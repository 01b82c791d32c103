/** HalfOpen: one address has its share of the links that wait for their handshake, and no more. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { HttpServerOptions, MessagePipe, Platform } from '../../../src/core/platform.ts';
import { HalfOpen } from '../../../src/hub/half-open.ts';
import { createHub } from '../../../src/hub/hub.ts';
import { nodePlatform } from '../../../src/runtime/node/platform.ts';
import { MemoryLink } from '../../../src/testing/memory-pipe.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';

const LIMITS = { maxHalfOpen: 10, maxHalfOpenPerAddress: 3 };

test('An address that has its share is refused until one of its links is done', () => {
  const halfOpen = new HalfOpen(LIMITS);
  const leave = halfOpen.enter('203.0.113.1:1');
  halfOpen.enter('203.0.113.1:2');
  halfOpen.enter('203.0.113.1:3');
  equal(halfOpen.enter('203.0.113.1:4'), undefined);
  ok(halfOpen.enter('203.0.113.2:4'));
  leave?.();
  ok(halfOpen.enter('203.0.113.1:4'));
  equal(halfOpen.size, 4);
});

test('All of an IPv6 subscriber count as one, and a proxy on this machine as many', () => {
  const halfOpen = new HalfOpen(LIMITS);
  const admitted = (addresses: readonly string[]): boolean[] =>
    addresses.map((address) => halfOpen.enter(address) !== undefined);
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
  equal(halfOpen.isFull, false);
  halfOpen.enter('127.0.0.1:2');
  equal(halfOpen.isFull, true);
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
  const open = async (remoteAddress: string): Promise<boolean> => {
    const { a, b } = new MemoryLink(clock);
    let isOpen = true;
    a.attach({
      onMessage: () => undefined,
      onProgress: () => undefined,
      onClose: () => {
        isOpen = false;
      },
    });
    accept?.(withAddress(b, remoteAddress));
    await clock.settle();
    return isOpen;
  };
  const kept: boolean[] = [];
  for (let port = 1; port <= 5; port++) kept.push(await open(`203.0.113.1:${port}`));
  deepEqual(kept, [true, true, true, false, false]);
  equal(await open('203.0.113.2:1'), true);
  await clock.advanceAsync(2_100);
  equal(await open('203.0.113.1:6'), true, 'the silent ones have had their time');
});

function withAddress(pipe: MessagePipe, remoteAddress: string): MessagePipe {
  return {
    remoteAddress,
    isProxied: false,
    get outstandingBytes() {
      return pipe.outstandingBytes;
    },
    attach: (events) => pipe.attach(events),
    send: (message) => pipe.send(message),
    close: (code, reason) => pipe.close(code, reason),
    terminate: () => pipe.terminate(),
  };
}
