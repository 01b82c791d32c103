/** Who has sent a request: the connection says it, and a proxy only where it is trusted. */

import { deepEqual } from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { test } from 'node:test';
import { readClientAddress } from '../../../src/runtime/node/client-address.ts';

const request = (headers: Record<string, string>): IncomingMessage =>
  ({ headers, socket: { remoteAddress: '10.0.0.9', remotePort: 5000 } }) as unknown as IncomingMessage;

test('readClientAddress believes a proxy where it is told to, and the last element only', () => {
  const proxy = '10.0.0.9:5000';
  const cases: [Record<string, string>, string, boolean, string, boolean][] = [
    [{}, proxy, false, proxy, false],
    [{ 'x-forwarded-for': '203.0.113.7' }, proxy, true, '203.0.113.7:0', false],
    [{ 'x-forwarded-for': '127.0.0.1, 203.0.113.7' }, proxy, true, '203.0.113.7:0', false],
    [{ 'x-forwarded-for': '203.0.113.7:4711' }, proxy, true, '203.0.113.7:4711', false],
    [{ 'x-forwarded-for': '2001:db8::7' }, proxy, true, '[2001:db8::7]:0', false],
    [{ 'x-forwarded-for': 'unknown' }, proxy, true, proxy, true],
    [{ 'x-forwarded-for': '' }, proxy, true, proxy, true],
    [{ forwarded: 'for=203.0.113.7' }, proxy, true, '203.0.113.7:0', false],
    [{ forwarded: 'for=192.0.2.1, for="203.0.113.7:4711";proto=https' }, proxy, true, '203.0.113.7:4711', false],
    [{ forwarded: 'proto=https;for="[2001:db8::7]:4711"' }, proxy, true, '[2001:db8::7]:4711', false],
    [{ forwarded: 'for=_hidden', 'x-forwarded-for': '203.0.113.7' }, proxy, true, proxy, true],
    [{ via: '1.1 nginx' }, proxy, true, proxy, true],
    [{ 'x-real-ip': '203.0.113.7' }, proxy, true, proxy, true],
  ];
  for (const [headers, plain, plainProxied, trusted, trustedProxied] of cases) {
    const what = JSON.stringify(headers);
    deepEqual(readClientAddress(request(headers), false), { remoteAddress: plain, isProxied: plainProxied }, what);
    deepEqual(readClientAddress(request(headers), true), { remoteAddress: trusted, isProxied: trustedProxied }, what);
  }
});
