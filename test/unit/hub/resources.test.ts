/** Resources in a hub: all or nothing, revisions, going back, and hubs that die or meet in the middle of a change. */

import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import type { Manifest } from '../../../src/catalog/resource.ts';
import { isErrorCode, SkeinError } from '../../../src/core/errors.ts';
import type { Resources } from '../../../src/hub/resources.ts';
import { MemoryStore } from '../../../src/hub/store/memory.ts';
import type { StoreEntry } from '../../../src/hub/store.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { openResources, split } from '../../support/resources.ts';

const failsWith =
  (code: string) =>
  (error: unknown): boolean =>
    isErrorCode(code) && error instanceof SkeinError && error.code === code;

async function weightsOf(resources: Resources): Promise<Record<string, number[]>> {
  const manifests = await resources.list();
  return Object.fromEntries(
    manifests.map(({ metadata, spec }) => {
      const { rules } = spec as { rules: { backendRefs: { weight: number }[] }[] };
      return [metadata.name, rules.flatMap(({ backendRefs }) => backendRefs.map(({ weight }) => weight))];
    }),
  );
}

async function read(resources: Resources, name: string): Promise<Manifest['metadata']> {
  const manifest = await resources.get('HTTPRoute', 'default', name);
  ok(manifest !== undefined);
  return manifest.metadata;
}

test('One change is one revision of all that it touches, and a resource says which has touched it last', async () => {
  const { resources, clock } = await openResources(new MemoryStore());
  const first = await resources.apply([split('a', 1), split('b', 1)]);
  equal(first.revision, 1);
  deepEqual(
    first.results.map(({ key, status, resourceVersion }) => [key, status, resourceVersion]),
    [
      ['HTTPRoute/default/a', 'created', '1'],
      ['HTTPRoute/default/b', 'created', '1'],
    ],
  );
  const madeAt = new Date(clock.epochMs()).toISOString();
  clock.advance(60_000);
  const second = await resources.apply([split('a', 2), split('b', 1)]);
  deepEqual(
    second.results.map(({ status, resourceVersion }) => [status, resourceVersion]),
    [
      ['changed', '2'],
      ['unchanged', '1'],
    ],
  );
  const { creationTimestamp, generation, resourceVersion } = await read(resources, 'a');
  deepEqual(
    { creationTimestamp, generation, resourceVersion },
    { creationTimestamp: madeAt, generation: 2, resourceVersion: '2' },
  );
  const labelled = { ...split('a', 2), metadata: { name: 'a', labels: { team: 'shop' } } };
  await resources.apply([labelled]);
  equal((await read(resources, 'a')).generation, 2, 'a label is no specification');
});

test('What means the same is no change, however it is written', async () => {
  const { resources } = await openResources(new MemoryStore());
  await resources.apply([split('a', 1)]);
  const spec = { rules: [{ timeouts: { request: '60s' }, backendRefs: [{ name: 'api-v1', port: 80 }] }] };
  const parentRefs = [{ name: 'api', kind: 'Service', group: '' }];
  const metadata = {
    name: 'a',
    namespace: 'default',
    creationTimestamp: '2001-01-01T00:00:00Z',
    generation: 7,
    uid: 'x',
  };
  await resources.apply([{ kind: 'HTTPRoute', metadata, spec: { parentRefs, ...spec }, status: { parents: [] } }]);
  const other = {
    rules: [{ ...spec.rules[0], timeouts: { request: '1m' }, matches: [{ path: { type: 'PathPrefix', value: '/' } }] }],
  };
  const { results, revision } = await resources.apply([
    { kind: 'HTTPRoute', metadata, spec: { parentRefs, ...other } },
  ]);
  deepEqual([results[0]?.status, revision], ['unchanged', 2]);
});

test('Two who change one resource: the later of them is refused, with all else that it wanted', async () => {
  const { resources } = await openResources(new MemoryStore());
  await resources.apply([split('a', 1)]);
  const seen = { name: 'a', resourceVersion: '1' };
  await resources.apply([{ ...split('a', 2), metadata: seen }]);
  await rejects(resources.apply([split('b', 1), { ...split('a', 3), metadata: seen }]), failsWith('SKEIN_CONFLICT'));
  await rejects(resources.apply([split('b', 1)], { ifRevision: 1 }), failsWith('SKEIN_CONFLICT'));
  await rejects(
    resources.apply([{ ...split('new', 1), metadata: { name: 'new', resourceVersion: '9' } }]),
    failsWith('SKEIN_CONFLICT'),
  );
  deepEqual(await weightsOf(resources), { a: [2] });
  await resources.apply([{ ...split('new', 1), metadata: { name: 'new', resourceVersion: '0' } }], { ifRevision: 2 });
  deepEqual(await weightsOf(resources), { a: [2], new: [1] });
});

test('A dry run says what would come of it, and nothing comes of it', async () => {
  const { resources } = await openResources(new MemoryStore());
  await resources.apply([split('a', 1)]);
  const { results, revision } = await resources.apply([split('a', 2), split('b', 1)], { dryRun: true });
  deepEqual([results.map(({ status }) => status), revision], [['changed', 'created'], 1]);
  deepEqual(await weightsOf(resources), { a: [1] });
  await rejects(resources.apply([{ kind: 'HTTPRoute' }], { dryRun: true }), failsWith('SKEIN_RESOURCE_INVALID'));
});

test('One name twice in one change is refused', async () => {
  const { resources } = await openResources(new MemoryStore());
  await rejects(resources.apply([split('a', 1), split('a', 2)]), failsWith('SKEIN_RESOURCE_INVALID'));
  deepEqual(await resources.list(), []);
});

test('What is deleted together goes in one revision, and stays where one of it is not there', async () => {
  const { resources } = await openResources(new MemoryStore());
  await resources.apply(['a', 'b', 'c'].map((name) => split(name, 1)));
  const missing = resources.delete(['HTTPRoute/default/a', 'HTTPRoute/default/x', 'HTTPRoute/default/y']);
  await rejects(missing, (error) => {
    ok(error instanceof SkeinError);
    deepEqual([error.code, error.status], ['SKEIN_RESOURCE_INVALID', 404]);
    match(error.message, /HTTPRoute\/x in namespace "default", HTTPRoute\/y in namespace "default"/);
    return true;
  });
  deepEqual(await weightsOf(resources), { a: [1], b: [1], c: [1] });
  const both = ['HTTPRoute/default/a', 'HTTPRoute/default/b', 'HTTPRoute/default/a'];
  equal((await resources.delete(both, { dryRun: true })).revision, 1);
  await rejects(resources.delete(both, { ifRevision: 7 }), failsWith('SKEIN_CONFLICT'));
  const { results, revision } = await resources.delete(both);
  deepEqual(
    [results.map(({ key, status }) => `${key} ${status}`), revision],
    [['HTTPRoute/default/a deleted', 'HTTPRoute/default/b deleted'], 2],
  );
  deepEqual(await weightsOf(resources), { c: [1] });
  await resources.rollback(1);
  deepEqual(await weightsOf(resources), { a: [1], b: [1], c: [1] });
});

test('Going back makes all as it was, as a revision of its own; twice goes forward again', async () => {
  const { resources } = await openResources(new MemoryStore());
  await resources.apply([split('a', 1), split('b', 1)]);
  await resources.apply([split('a', 2), split('c', 1)]);
  await resources.delete(['HTTPRoute/default/b']);
  const made = (await read(resources, 'a')).creationTimestamp;
  const { results, revision } = await resources.rollback(1);
  equal(revision, 4);
  deepEqual(results.map(({ key, status }) => `${key} ${status}`).sort(), [
    'HTTPRoute/default/a changed',
    'HTTPRoute/default/b created',
    'HTTPRoute/default/c deleted',
  ]);
  deepEqual(await weightsOf(resources), { a: [1], b: [1] });
  const { creationTimestamp, generation } = await read(resources, 'a');
  deepEqual([creationTimestamp, generation], [made, 3]);
  await resources.rollback(3);
  deepEqual(await weightsOf(resources), { a: [2], c: [1] });
  await resources.rollback(0);
  deepEqual(await weightsOf(resources), {});
  deepEqual(
    (await resources.revisions()).map(({ revision, action, to }) => [revision, action, to]),
    [
      [1, 'apply', undefined],
      [2, 'apply', undefined],
      [3, 'delete', undefined],
      [4, 'rollback', 1],
      [5, 'rollback', 3],
      [6, 'rollback', 0],
    ],
  );
  equal((await resources.rollback(6)).results.length, 0, 'where the mesh is already');
  for (const to of [7, -1]) await rejects(resources.rollback(to), failsWith('SKEIN_RESOURCE_INVALID'));
});

test('Revisions are kept up to a number and a size, and one that is gone cannot be gone back to', async () => {
  const { resources } = await openResources(new MemoryStore(), { maxRevisions: 5 });
  for (let i = 1; i <= 20; i++) await resources.apply([split('a', i)]);
  deepEqual(
    (await resources.revisions()).map(({ revision }) => revision),
    [16, 17, 18, 19, 20],
  );
  await rejects(resources.rollback(14), failsWith('SKEIN_RESOURCE_INVALID'));
  await resources.rollback(15);
  deepEqual(await weightsOf(resources), { a: [15] });

  const small = await openResources(new MemoryStore(), { maxRevisionBytes: 4000 });
  for (let i = 1; i <= 50; i++) await small.resources.apply([split('a', i)]);
  const kept = await small.resources.revisions();
  ok(kept.length >= 2 && JSON.stringify(kept).length <= 4000, `${kept.length}`);
});

/** A store that fails at the n-th write from now on, as for a hub that dies there. */
class MortalStore extends MemoryStore {
  writesLeft = Number.POSITIVE_INFINITY;

  override async compareAndSet(key: string, revision: number, value: string): Promise<StoreEntry | undefined> {
    this.#count();
    return super.compareAndSet(key, revision, value);
  }

  override async delete(key: string, revision: number): Promise<boolean> {
    this.#count();
    return super.delete(key, revision);
  }

  #count(): void {
    if (this.writesLeft-- <= 0) throw new SkeinError('SKEIN_STORE', 'Cannot write: test');
  }
}

test('A hub that dies at any write of a change leaves all of it or nothing', async () => {
  for (let writes = 0; writes <= 5; writes++) {
    const store = new MortalStore();
    const { resources } = await openResources(store);
    await resources.apply([split('a', 1), split('b', 1)]);
    store.writesLeft = writes;
    const change = resources.apply([split('a', 2), split('b', 2), split('c', 2)]);
    if (writes < 4) await rejects(change, failsWith('SKEIN_STORE'));
    else await change;
    resources.close();
    store.writesLeft = Number.POSITIVE_INFINITY;
    const { resources: after } = await openResources(store);
    const wanted = writes === 0 ? { a: [1], b: [1] } : { a: [2], b: [2], c: [2] };
    deepEqual(await weightsOf(after), wanted, `${writes} writes`);
  }
});

test('A hub that dies at any write of a deletion leaves all or nothing of it', async () => {
  for (let writes = 0; writes <= 3; writes++) {
    const store = new MortalStore();
    const { resources } = await openResources(store);
    await resources.apply([split('a', 1), split('b', 1), split('c', 1)]);
    store.writesLeft = writes;
    const change = resources.delete(['HTTPRoute/default/a', 'HTTPRoute/default/b']);
    if (writes < 3) await rejects(change, failsWith('SKEIN_STORE'));
    else await change;
    resources.close();
    store.writesLeft = Number.POSITIVE_INFINITY;
    const { resources: after } = await openResources(store);
    deepEqual(await weightsOf(after), writes === 0 ? { a: [1], b: [1], c: [1] } : { c: [1] }, `${writes} writes`);
  }
});

test('A change that was made while the store broke off is carried out when it is back, without another change', async () => {
  const store = new MortalStore();
  const { resources, publisher, clock } = await openResources(store);
  store.writesLeft = 2;
  await rejects(resources.apply([split('a', 1), split('b', 1)]), failsWith('SKEIN_STORE'));
  await clock.advanceAsync(10_000);
  deepEqual(await weightsOf(resources), { a: [1] });
  store.writesLeft = Number.POSITIVE_INFINITY;
  await clock.advanceAsync(2_000);
  deepEqual(await weightsOf(resources), { a: [1], b: [1] });
  publisher.flush();
  equal(publisher.snapshot.manifests('HTTPRoute').length, 2);
  resources.close();
});

test('Hubs on one store that change the same at once make one revision after the other, none of them half', async () => {
  const store = new MemoryStore();
  const random = new SeededRandom(7);
  const { resources: any } = await openResources(store);
  const hubs = await Promise.all(Array.from({ length: 3 }, () => openResources(store)));
  let refused = 0;
  for (let round = 0; round < 40; round++) {
    const seen = Number((await store.list('revision/')).length);
    await Promise.all(
      hubs.map(async ({ resources }, i) => {
        const weight = round * 3 + i + 1;
        const isCareful = random.ratio() < 0.5;
        const change =
          random.ratio() < 0.3 && seen > 0
            ? resources.rollback(seen - 1, isCareful ? { ifRevision: seen } : {})
            : resources.apply([split('a', weight), split('b', weight)], isCareful ? { ifRevision: seen } : {});
        await change.catch((thrown) => {
          ok(failsWith('SKEIN_CONFLICT')(thrown), String(thrown));
          refused++;
        });
      }),
    );
    const { a, b } = await weightsOf(any);
    deepEqual(a, b);
  }
  const revisions = await any.revisions();
  deepEqual(
    revisions.map(({ revision }) => revision),
    revisions.map((_, i) => (revisions[0]?.revision ?? 0) + i),
  );
  ok(refused > 0);
});
