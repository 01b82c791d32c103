/** Reflections: a short answer to who asks from where it is seen, and none to who asks too often. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { parseReflection, REFLECTION_LIMITS, REFLECTION_PATH, Reflections } from '../../../src/control/reflection.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';

test('The answer is the address, or that there is a proxy, and shorter than the question', () => {
  const reflections = new Reflections(new VirtualClock());
  const question = `GET ${REFLECTION_PATH} HTTP/1.1\r\nhost: 203.0.113.1:7000\r\nuser-agent: skein\r\n\r\n`;
  for (const address of ['203.0.113.7:65535', `[${'ffff:'.repeat(7)}ffff]:65535`]) {
    const answer = reflections.answer(address) ?? '';
    equal(answer, address);
    ok(answer.length < question.length);
  }
  deepEqual(parseReflection(reflections.answer('203.0.113.7:80') ?? ''), { ip: '203.0.113.7', port: 80 });
  equal(parseReflection(reflections.answer('203.0.113.7:80', true) ?? ''), undefined);
  equal(parseReflection(reflections.answer('memory') ?? ''), undefined);
});

test('An address has its rate, those of one IPv6 subscriber have one together, and the table is bounded', () => {
  const clock = new VirtualClock();
  const limits = { perSecond: 2, burst: 3, maxKeys: 4 };
  const reflections = new Reflections(clock, limits);
  const asks = (address: string, times: number) =>
    Array.from({ length: times }, () => reflections.answer(address) !== undefined).filter(Boolean).length;
  equal(asks('203.0.113.7:1', 10), 3);
  equal(asks('203.0.113.8:1', 10), 3);
  equal(asks('[2001:db8:1:2::1]:1', 2) + asks('[2001:db8:1:2:3::1]:1', 10), 3);
  equal(asks('203.0.113.9:0', 10), 3, 'whose port a proxy does not tell');
  clock.advance(1_000);
  equal(asks('203.0.113.7:1', 10), 2);
  // Four others push it out; an attacker with as many addresses has as many shares anyway.
  for (let i = 0; i < limits.maxKeys; i++) reflections.answer(`192.0.2.${i}:1`);
  equal(asks('203.0.113.7:1', 10), 3);
  ok(REFLECTION_LIMITS.burst > 0);
});
