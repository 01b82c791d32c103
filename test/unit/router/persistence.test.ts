/** What a client keeps of its session: cookies and fields, when they are told anew, and what of them is believed. */
import { deepEqual, equal, match, notEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { readCookie } from '../../../src/http/cookie.ts';
import { getField } from '../../../src/http/head.ts';
import { Persistence, type PersistencePolicy, toInstanceTag } from '../../../src/router/persistence.ts';

const NOW_MS = 1_700_000_000_000;
const COOKIE: PersistencePolicy = { kind: 'cookie', name: 'sid' };

/** What a client that got `setCookie` sends. */
const sent = (setCookie: string | undefined): string[] => ['cookie', `other=1; ${setCookie?.split(';')[0]}`];
const begin = (policy: PersistencePolicy, instance = 'a', atMs = NOW_MS): string | undefined =>
  getField(
    new Persistence(policy).fieldsFor(instance, undefined, atMs),
    policy.kind === 'cookie' ? 'set-cookie' : policy.name,
  );

test('a cookie leads back to its instance, and says nothing of where that is', () => {
  const instance = 'V1StGXR8_Z5jdHi6B-myT';
  const setCookie = begin(COOKIE, instance) ?? '';
  match(setCookie, /^sid=[0-9a-f]{16}\.[0-9a-z]+\.[0-9a-z]+; Path=\/; HttpOnly; SameSite=Lax$/);
  ok(!setCookie.includes(instance));
  const session = new Persistence(COOKIE).read(sent(setCookie), NOW_MS + 1_000);
  equal(session?.tag, toInstanceTag(instance));
  notEqual(toInstanceTag(instance), toInstanceTag(`${instance}.`));
});

test('a permanent cookie lives as long as its session may', () => {
  const policy: PersistencePolicy = {
    ...COOKIE,
    isPermanent: true,
    absoluteTimeoutMs: 3_600_000,
    idleTimeoutMs: 600_000,
  };
  const first = begin(policy) ?? '';
  match(first, /; Max-Age=3600$/);
  const persistence = new Persistence(policy);
  const laterMs = NOW_MS + 300_000;
  const session = persistence.read(sent(first), laterMs);
  match(getField(persistence.fieldsFor('a', session, laterMs), 'set-cookie') ?? '', /; Max-Age=3300$/);
});

test('a field instead of a cookie', () => {
  const policy: PersistencePolicy = { kind: 'header', name: 'mesh-session' };
  const token = begin(policy) ?? '';
  equal(new Persistence(policy).read(['mesh-session', token], NOW_MS)?.tag, toInstanceTag('a'));
  equal(new Persistence(policy).read(['cookie', `mesh-session=${token}`], NOW_MS), undefined);
});

test('a session ends by its absolute and by its idle timeout', () => {
  const policy: PersistencePolicy = { ...COOKIE, absoluteTimeoutMs: 100_000, idleTimeoutMs: 30_000 };
  const persistence = new Persistence(policy);
  let cookie = begin(policy);
  let atMs = NOW_MS;
  const read = (afterMs: number) => {
    atMs += afterMs;
    return persistence.read(sent(cookie), atMs);
  };
  for (let i = 0; i < 3; i++) {
    const session = read(29_000);
    notEqual(session, undefined, `used after ${atMs - NOW_MS} ms`);
    cookie = getField(persistence.fieldsFor('a', session, atMs), 'set-cookie') ?? cookie;
  }
  notEqual(read(12_900), undefined);
  equal(read(200), undefined, 'absolute');
  cookie = begin(policy, 'a', atMs);
  equal(read(30_000), undefined, 'idle');
});

test('use is written down now and then, another instance at once', () => {
  const policy: PersistencePolicy = { ...COOKIE, idleTimeoutMs: 60_000 };
  const persistence = new Persistence(policy);
  const session = persistence.read(sent(begin(policy)), NOW_MS);
  const tells = (instance: string, afterMs: number): boolean =>
    persistence.fieldsFor(instance, session, NOW_MS + afterMs).length > 0;
  deepEqual([tells('a', 1_000), tells('a', 7_000), tells('b', 0)], [false, true, true]);
  const forEver = new Persistence(COOKIE);
  equal(forEver.fieldsFor('a', session, NOW_MS + 1e9).length, 0);
});

const lies: readonly string[] = [
  '',
  'a',
  '0123456789abcdef',
  '0123456789ABCDEF.sxx.sxx',
  '0123456789abcdef.zzzzzzzz.zzzzzzzz',
  `0123456789abcdef.${(1_700_000_000).toString(36)}.${(1_600_000_000).toString(36)}`,
  '0123456789abcdef.-1.-1',
  `0123456789abcdef.1.1${'0'.repeat(5_000)}`,
];
for (const value of lies) {
  test(`"${value.slice(0, 40)}" is no session`, () =>
    equal(new Persistence(COOKIE).read(['cookie', `sid=${value}`], NOW_MS), undefined));
}

const cookies: readonly [fields: readonly string[], value: string | undefined][] = [
  [['cookie', 'sid=1'], '1'],
  [['cookie', 'a=b; sid=1; c=d'], '1'],
  [['cookie', 'a=b;sid = 1 ;c'], '1'],
  [['cookie', 'a=b', 'cookie', 'sid=1'], '1'],
  [['cookie', 'sid="1"'], '1'],
  [['cookie', 'sid=1=2'], '1=2'],
  [['cookie', 'sid=1; sid=2'], '1'],
  [['cookie', 'xsid=1; sid2=1; Sid=1'], undefined],
  [['cookie', 'sid'], undefined],
  [['x-cookie', 'sid=1'], undefined],
];
for (const [fields, value] of cookies) {
  test(`${JSON.stringify(fields)} has ${value}`, () => equal(readCookie(fields, 'sid'), value));
}
