/** What every kind of store must do: the same cases for each. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { toCanonicalJson } from '../../src/catalog/digest.ts';
import type { Store, StoreChange } from '../../src/hub/store.ts';
import { openResources, split } from './resources.ts';

export interface StoreCase {
  readonly name: string;
  readonly run: (store: Store) => Promise<void>;
}

const told = ({ key, revision, entry }: StoreChange): unknown => [key, revision, entry?.value];

export const STORE_CASES: readonly StoreCase[] = [
  {
    name: 'compare-and-set, list and delete',
    async run(store) {
      equal(await store.get('a/1'), undefined);
      const first = await store.compareAndSet('a/1', 0, 'one');
      ok(first !== undefined);
      deepEqual(await store.get('a/1'), first);
      equal(await store.compareAndSet('a/1', 0, 'again'), undefined);
      equal(await store.compareAndSet('a/1', first.revision + 1, 'again'), undefined);
      const second = await store.compareAndSet('a/1', first.revision, 'two');
      ok(second !== undefined && second.revision > first.revision);
      await store.compareAndSet('a/0', 0, 'zero');
      await store.compareAndSet('b/0', 0, 'other');
      deepEqual(
        (await store.list('a/')).map(({ key, value }) => [key, value]),
        [
          ['a/0', 'zero'],
          ['a/1', 'two'],
        ],
      );
      equal(await store.delete('a/1', first.revision), false);
      equal(await store.delete('a/1', second.revision), true);
      equal(await store.delete('a/1', second.revision), false);
      equal(await store.delete('a/never', 1), false);
      equal(await store.get('a/1'), undefined);
    },
  },
  {
    name: 'a deleted key is made anew like one that never was, with a higher revision',
    async run(store) {
      let last = 0;
      for (let round = 0; round < 5; round++) {
        // By the revision of what is gone.
        if (last > 0) equal(await store.compareAndSet('key', last, 'too late'), undefined);
        const made = await store.compareAndSet('key', 0, `${round}`);
        ok(made !== undefined && made.revision > last);
        last = made.revision;
        equal(await store.compareAndSet('key', 0, 'twice'), undefined);
        equal(await store.delete('key', last), true);
      }
    },
  },
  {
    name: 'of two hundred that race for one key, one wins',
    async run(store) {
      const results = await Promise.all(Array.from({ length: 200 }, (_, i) => store.compareAndSet('key', 0, `${i}`)));
      const winners = results.filter((entry) => entry !== undefined);
      equal(winners.length, 1);
      deepEqual(await store.get('key'), winners[0]);
    },
  },
  {
    name: 'watchers hear of what there is, then of safe changes below their prefix, in order',
    async run(store) {
      const z = await store.compareAndSet('a/z', 0, 'first');
      const y = await store.compareAndSet('a/y', 0, 'second');
      await store.compareAndSet('b/1', 0, 'other');
      const heard: StoreChange[] = [];
      const stop = store.watch('a/', (change) => heard.push(change));
      deepEqual(heard.map(told), [
        ['a/z', z?.revision, 'first'],
        ['a/y', y?.revision, 'second'],
      ]);
      const one = await store.compareAndSet('a/1', 0, 'one');
      await store.compareAndSet('b/2', 0, 'one');
      await store.delete('a/1', one?.revision ?? 0);
      // What was answered has been told.
      deepEqual(heard.slice(2).map(told), [
        ['a/1', one?.revision, 'one'],
        ['a/1', heard[3]?.revision, undefined],
      ]);
      const last = store.revision;
      ok((heard[3]?.revision ?? 0) > (one?.revision ?? 0) && (heard[3]?.revision ?? 0) <= last);
      stop();
      await store.compareAndSet('a/2', 0, 'two');
      equal(heard.length, 4);
      ok(store.revision > last);
    },
  },
  {
    name: 'any key and any text is kept as it is',
    async run(store) {
      const keys = ['a.b', '.', 'a..b', 'ü/ö', '=2E', 'a b', '>', '*', '$x', 'x'.repeat(250), '🙂', 'a/', '/a'];
      for (const [i, key] of keys.entries())
        ok((await store.compareAndSet(key, 0, `${key} ${i}\n\0🙂`)) !== undefined, key);
      for (const [i, key] of keys.entries()) equal((await store.get(key))?.value, `${key} ${i}\n\0🙂`, key);
      deepEqual(
        (await store.list('')).map(({ key }) => key),
        [...keys].sort(),
      );
      const empty = await store.compareAndSet('empty', 0, '');
      equal((await store.get('empty'))?.value, '');
      equal(await store.delete('empty', empty?.revision ?? 0), true);
    },
  },
  {
    name: 'a value of half a mebibyte is kept, and one of two is refused',
    async run(store) {
      const large = 'ü'.repeat(256 * 1024);
      ok((await store.compareAndSet('large', 0, large)) !== undefined);
      equal((await store.get('large'))?.value, large);
      await rejects(async () => store.compareAndSet('huge', 0, 'x'.repeat(2 * 1024 * 1024)), { code: 'SKEIN_LIMIT' });
      equal(await store.get('huge'), undefined);
    },
  },
  {
    name: 'holds resources with their revisions, which can be gone back to',
    async run(store) {
      const { resources, publisher } = await openResources(store, { maxRevisions: 3 });
      for (let weight = 1; weight <= 5; weight++) await resources.apply([split('a', weight), split('b', weight)]);
      await resources.delete(['HTTPRoute/default/b']);
      await resources.rollback(4);
      deepEqual(
        (await resources.revisions()).map(({ revision, changes }) => [revision, changes.length]),
        [
          [5, 2],
          [6, 1],
          [7, 2],
        ],
      );
      publisher.flush();
      const told = publisher.snapshot.manifests('HTTPRoute').map(({ spec }) => toCanonicalJson(spec));
      deepEqual(told, Array(2).fill(toCanonicalJson(split('', 4).spec)));
      resources.close();
    },
  },
];
