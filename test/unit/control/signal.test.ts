/** Path messages: whole, or not at all. */

import { deepEqual, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { encodeMessage } from '../../../src/control/codec.ts';
import { decodeSignal, encodeSignal, type Signal } from '../../../src/control/signal.ts';

const nonce = '0123456789abcdef0123456789abcdef';
const secret = nonce + nonce;
const offer = {
  kind: 'offer',
  nonce,
  secret,
  candidates: [{ kind: 'public', address: '203.0.113.7:7443' }],
  host: secret,
  canPunch: true,
} as const;

test('decodeSignal gives back what encodeSignal was given', () => {
  const signals: Signal[] = [
    { ...offer, candidates: [...offer.candidates] },
    { ...offer, kind: 'answer', to: nonce, candidates: [{ kind: 'network', address: '[fd00::1]:1' }] },
    { kind: 'decline', to: nonce, reason: 'off' },
    { kind: 'round', to: nonce, round: 2, isCrossed: true, address: '203.0.113.7:20000', nat: 'endpoint-independent' },
    { kind: 'ready', to: nonce, round: 0, address: '203.0.113.7:20000', nat: 'unknown', tookMs: 12.5 },
    { kind: 'go', to: nonce, round: 1, rttMs: 80 },
    { kind: 'fail', to: nonce, round: 1, reason: 'connection refused' },
  ];
  for (const signal of signals) {
    const bytes = encodeSignal(signal);
    ok(bytes.length < 4096, signal.kind);
    deepEqual(decodeSignal(bytes), signal);
  }
});

test('decodeSignal ignores members of a later version', () => {
  deepEqual(decodeSignal(encodeMessage({ ...offer, later: 1 })), offer);
});

test('decodeSignal refuses a message with one bad part', () => {
  const candidate = (address: string) => ({ ...offer, candidates: [{ kind: 'public', address }] });
  const bad: unknown[] = [
    null,
    [],
    {},
    { ...offer, kind: 'order' },
    { ...offer, nonce: nonce.slice(1) },
    { ...offer, nonce: nonce.toUpperCase() },
    { ...offer, secret: nonce },
    { ...offer, host: '' },
    { ...offer, canPunch: 1 },
    { ...offer, candidates: Array.from({ length: 9 }, () => offer.candidates[0]) },
    candidate('example.com:443'),
    candidate('203.0.113.7'),
    candidate('203.0.113.7:0'),
    candidate('203.0.113.7:99999'),
    candidate('203.0.113.7:443/path'),
    candidate('user@203.0.113.7:443'),
    { ...offer, candidates: [{ kind: 'unix', address: '203.0.113.7:443' }] },
    { kind: 'round', to: nonce, round: 3, isCrossed: false, address: '203.0.113.7:1', nat: 'unknown' },
    { kind: 'round', to: nonce, round: -1, isCrossed: false, address: '203.0.113.7:1', nat: 'unknown' },
    { kind: 'round', to: nonce, round: 0, isCrossed: false, address: '203.0.113.7:1', nat: 'open' },
    { kind: 'ready', to: nonce, round: 0, address: '203.0.113.7:1', nat: 'none', tookMs: -1 },
    { kind: 'go', to: nonce, round: 0, rttMs: 1e9 },
    { kind: 'go', to: nonce, round: 0, rttMs: Number.NaN },
    { kind: 'fail', to: nonce, round: 0, reason: 'x'.repeat(129) },
    { kind: 'decline', to: nonce, reason: 'because' },
  ];
  for (const message of bad)
    throws(() => decodeSignal(encodeMessage(message)), { code: 'SKEIN_PROTOCOL' }, JSON.stringify(message));
  throws(() => decodeSignal(encodeSignal(decodeSignal(encodeMessage(offer))).subarray(1)), { code: 'SKEIN_PROTOCOL' });
});
