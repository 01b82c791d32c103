/** What the shared store is made of, without a server: its address, its keys, and the copy that a feed keeps. */

import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SkeinError } from '../../../src/core/errors.ts';
import { parseNatsAddress } from '../../../src/hub/store/nats-address.ts';
import { decodeKey, encodeKey } from '../../../src/hub/store/nats-keys.ts';
import { Replica } from '../../../src/hub/store/replica.ts';

test('A store address names servers, login, bucket and replicas', () => {
  for (const [text, servers, isTls, bucket, replicas] of [
    ['nats://10.0.0.5', ['10.0.0.5:4222'], false, 'skein', 1],
    ['nats://a:1,b.example:2,[::1]:3/mesh-1?replicas=3', ['a:1', 'b.example:2', '[::1]:3'], false, 'mesh-1', 3],
    ['tls://nats.example.com/', ['nats.example.com:4222'], true, 'skein', 1],
  ] as const) {
    const address = parseNatsAddress(text);
    deepEqual(
      [address.servers, address.isTls, address.bucket, address.replicas, address.login],
      [servers, isTls, bucket, replicas, undefined],
    );
  }
  const login = (text: string): unknown => parseNatsAddress(text).login?.reveal();
  deepEqual(login('nats://user:p%40ss%3A@a,b'), { user: 'user', password: 'p@ss:' });
  deepEqual(login('nats://t0ken@a'), { token: 't0ken' });
  ok(!JSON.stringify(parseNatsAddress('nats://user:hunter2@a')).includes('hunter2'));
});

test('An address that is none is refused, and what may be secret in it is not said', () => {
  for (const text of [
    'nats://',
    'nats:///bucket',
    'http://a',
    'nats://a:99999',
    'nats://a b',
    'nats://a,,b',
    'nats://hunter2@',
    'nats://a/b/c',
    'nats://a/b.c',
    'nats://a?replicas=2',
    'nats://a?replica=3',
    'nats://user:hunter2%@a',
    'nats://user:hunter2@a#x',
  ]) {
    throws(
      () => parseNatsAddress(text),
      (error: unknown) =>
        error instanceof SkeinError && error.code === 'SKEIN_CONFIG' && !/hunter2/.test(error.message),
      text,
    );
  }
});

test('Any key becomes one that NATS takes, and back', () => {
  equal(encodeKey('resource/AuthorizationPolicy/default/a.b'), 'resource/AuthorizationPolicy/default/a=2Eb');
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (key) => {
      const encoded = encodeKey(key);
      ok(/^[-/_=A-Za-z0-9]+$/.test(encoded), encoded);
      equal(decodeKey(encoded), key);
    }),
  );
  for (const strange of ['a.b', '=', '=2', '=zz', '=41', '=2e', 'ü', '=FF', '=sync'])
    equal(decodeKey(strange), undefined, strange);
});

const put = (key: string, revision: number, value = `${revision}`) => ({ key, revision, value });
const gone = (key: string, revision: number) => ({ key, revision, value: undefined });

function watched(replica: Replica): string[] {
  const heard: string[] = [];
  replica.table.watch('', ({ key, revision, entry }) => heard.push(`${revision} ${key} ${entry?.value ?? 'gone'}`));
  return heard;
}

test('Replica tells nothing of a listing before it is complete, and then only what differs', () => {
  const replica = new Replica();
  const heard = watched(replica);
  const first = replica.list();
  for (const change of [put('a', 1), put('b', 3), gone('old', 4), put('c', 5)]) first.take(change);
  deepEqual(heard, []);
  first.complete([]);
  deepEqual(heard.splice(0), ['1 a 1', '3 b 3', '5 c 5']);
  replica.take(gone('a', 6));
  replica.take(put('d', 7));
  replica.take({ key: undefined, revision: 8, value: '' });
  deepEqual([heard.splice(0), replica.table.revision], [['6 a gone', '7 d 7'], 8]);
  // The connection is made anew; meanwhile "b" has changed, "c" is gone without a mark, "d" with one.
  const second = replica.list();
  for (const change of [put('b', 9), gone('d', 10), put('e', 11)]) second.take(change);
  deepEqual(second.unnamed(), ['c']);
  deepEqual(heard, []);
  second.complete(['c']);
  deepEqual(heard, ['9 b 9', '10 d gone', '11 e 11', '11 c gone']);
  deepEqual(
    replica.table.list('').map(({ key }) => key),
    ['b', 'e'],
  );
});

test('Replica keeps what a listing has not named unless it is known to be gone', () => {
  const replica = new Replica();
  replica.take(put('a', 1));
  const listing = replica.list();
  listing.take(put('b', 2));
  deepEqual(listing.unnamed(), ['a']);
  // It was changed while it was listed: its new value comes behind.
  listing.complete([]);
  replica.take(put('a', 3));
  equal(replica.table.get('a')?.value, '3');
});

test('Replica that is told of changes while they are listed tells each of them once, and brings none back', () => {
  const replica = new Replica();
  replica.take(put('a', 1));
  const heard = watched(replica);
  heard.length = 0;
  const listing = replica.list();
  listing.take(put('a', 1));
  listing.take(put('b', 2));
  listing.take(put('c', 3));
  // Asked for meanwhile.
  for (const change of [put('b', 2), put('c', 3), gone('b', 4), put('d', 5)]) replica.take(change);
  deepEqual(listing.unnamed(), ['d']);
  listing.complete([]);
  for (const change of [gone('b', 4), put('d', 5), put('e', 6)]) replica.take(change);
  deepEqual(heard, ['2 b 2', '3 c 3', '4 b gone', '5 d 5', '6 e 6']);
});

test('Replica follows any history through any number of listings, and tells what adds up to it', () => {
  const step = fc.record({
    key: fc.constantFrom('a', 'b', 'c'),
    isDelete: fc.boolean(),
    /** Is it told of the change, or cut off by then? */
    isTold: fc.boolean(),
    /** A listing begins before the change, and is complete before the next. */
    isListed: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, areMarksKept) => {
      const replica = new Replica();
      const told = new Map<string, string>();
      replica.table.watch('', ({ key, entry }) => {
        if (entry === undefined) ok(told.delete(key), 'told to be gone, and was not there');
        else told.set(key, entry.value);
      });
      const server = new Map<string, { revision: number; value: string | undefined }>();
      let revision = 0;
      let isCut = true;
      const begin = () => {
        const listing = replica.list();
        const all = [...server].sort(([, x], [, y]) => x.revision - y.revision);
        for (const [key, { revision: at, value }] of all) {
          if (value !== undefined || areMarksKept) listing.take({ key, revision: at, value });
        }
        listing.take({ key: undefined, revision: ++revision, value: '' }); // who lists marks the beginning
        return listing;
      };
      const complete = (listing: ReturnType<typeof begin>): void =>
        listing.complete(listing.unnamed().filter((key) => server.get(key)?.value === undefined));
      for (const { key, isDelete, isTold, isListed } of steps) {
        const listing = isListed ? begin() : undefined;
        if (!isDelete || server.get(key)?.value !== undefined) {
          const value = isDelete ? undefined : `${revision}`;
          server.set(key, { revision: ++revision, value });
          if (isListed) {
            complete(listing as ReturnType<typeof begin>);
            isCut = false;
          }
          if (!isTold) isCut = true;
          if (!isCut) replica.take({ key, revision, value });
        }
      }
      complete(begin());
      const there = [...server].flatMap(([key, { value }]) => (value === undefined ? [] : [[key, value]])).sort();
      deepEqual([...told].sort(), there);
      deepEqual(
        replica.table.list('').map(({ key, value }) => [key, value]),
        there,
      );
    }),
  );
});
