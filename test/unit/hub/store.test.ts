/** Both kinds of store keep the same contract; the file store keeps it through crashes, full disks and rot. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Conversation } from '../../../src/core/conversation.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import type { Logger } from '../../../src/core/log.ts';
import { SILENT_LOGGER } from '../../../src/core/log.ts';
import type { Files } from '../../../src/core/platform.ts';
import { FileStore } from '../../../src/hub/store/file.ts';
import { KeyValueStore, type KeyValues } from '../../../src/hub/store/key-values.ts';
import { encodeRecord, LOG_HEADER, readLog } from '../../../src/hub/store/log-format.ts';
import { MemoryStore } from '../../../src/hub/store/memory.ts';
import type { Store, StoreChange } from '../../../src/hub/store.ts';
import { StoreLine, storeAnswers } from '../../../src/hub/workers/store-line.ts';
import { nodeFiles } from '../../../src/runtime/node/files.ts';
import { folder } from '../../support/folder.ts';
import { openResources, split } from '../../support/resources.ts';
import { STORE_CASES } from '../../support/store-cases.ts';

function recorder(): Logger & { readonly events: string[] } {
  const events: string[] = [];
  return { events, log: (_level, event) => events.push(event) };
}

const open = (path: string, log: Logger = SILENT_LOGGER, compactBytes?: number): Promise<FileStore> =>
  FileStore.open(path, { files: nodeFiles, log, ...(compactBytes === undefined ? {} : { compactBytes }) });

/** The database of an object, which answers at once. */
class MapValues implements KeyValues {
  readonly #values = new Map<string, unknown>();

  put(key: string, value: unknown): void {
    this.#values.set(key, value);
  }

  delete(key: string): void {
    this.#values.delete(key);
  }

  *list({ prefix }: { readonly prefix: string }): IterableIterator<[string, unknown]> {
    for (const [key, value] of [...this.#values].sort()) if (key.startsWith(prefix)) yield [key, value];
  }
}

const KINDS: readonly [name: string, create: (t: TestContext) => Promise<Store>][] = [
  ['memory', async () => new MemoryStore()],
  ['key-values', async () => new KeyValueStore(new MapValues())],
  ['file', (t) => open(join(folder(t), 'store.log'))],
  ['of a worker', () => openLine(new MemoryStore())],
];

/** A worker's line to the store of its supervisor: what passes between them is JSON, and comes a little later. */
function openLine(store: Store): Promise<Store> {
  const pass = (to: () => Conversation) => (message: unknown) => {
    const text = JSON.stringify(message);
    setImmediate(() => to().receive(JSON.parse(text)));
  };
  const tell = (change: StoreChange): void => void supervisor.ask('change', change);
  const { 'store-end': _, ...answers } = storeAnswers(store, tell);
  const supervisor: Conversation = new Conversation(
    pass(() => worker),
    answers,
  );
  const worker: Conversation = new Conversation(
    pass(() => supervisor),
    {},
  );
  return StoreLine.open(worker);
}

test('Workers on one store hear of the same changes in one order, also one that comes later', async () => {
  const store = new MemoryStore();
  const lines = [await openLine(store), await openLine(store)];
  await Promise.all(
    Array.from({ length: 50 }, (_, i) => (lines[i % 2] as Store).compareAndSet(`key/${i % 7}`, i < 7 ? 0 : i, `${i}`)),
  );
  lines.push(await openLine(store));
  const told = lines.map((line) => {
    const changes: StoreChange[] = [];
    line.watch('', (change) => changes.push(change));
    return changes;
  });
  await lines[0]?.compareAndSet('last', 0, 'x');
  await lines[2]?.get('last');
  await lines[1]?.get('last');
  for (const changes of told) deepEqual(changes, told[0]);
  equal(told[0]?.at(-1)?.key, 'last');
  deepEqual(
    lines.map(({ revision }) => revision),
    lines.map(() => store.revision),
  );
});

for (const [kind, create] of KINDS) {
  for (const { name, run } of STORE_CASES) {
    test(`Store (${kind}): ${name}`, async (t) => {
      const store = await create(t);
      await run(store);
      await store.close();
    });
  }
}

test('Key-value store holds what was answered when it is opened again, and uses no number twice', async () => {
  const values = new MapValues();
  const before = new KeyValueStore(values);
  await Promise.all(Array.from({ length: 100 }, (_, i) => before.compareAndSet(`key/${i}`, 0, `value ${i} ü`)));
  const last = await before.get('key/99');
  await before.delete('key/99', last?.revision ?? 0);
  const after = new KeyValueStore(values);
  equal((await after.list('key/')).length, 99);
  equal((await after.get('key/42'))?.value, 'value 42 ü');
  equal(after.revision, 101);
  equal((await after.compareAndSet('key/99', 0, 'anew'))?.revision, 102);
});

test('File store holds what was answered when it is opened again', async (t) => {
  const path = join(folder(t), 'deep', 'store.log');
  const before = await open(path);
  equal(before.recovery, 'new');
  await Promise.all(Array.from({ length: 100 }, (_, i) => before.compareAndSet(`key/${i}`, 0, `value ${i} ü`)));
  const gone = await before.get('key/7');
  await before.delete('key/7', gone?.revision ?? 0);
  await before.close();
  const after = await open(path);
  equal(after.recovery, 'whole');
  equal((await after.list('key/')).length, 99);
  equal((await after.get('key/42'))?.value, 'value 42 ü');
  const next = await after.compareAndSet('key/7', 0, 'anew');
  ok((next?.revision ?? 0) > 101, 'revisions go on growing');
  await after.close();
});

/** Files of this machine that count what is forced to the disk. */
function countedFiles(): { readonly files: Files; readonly appends: () => number } {
  let appends = 0;
  const files: Files = {
    ...nodeFiles,
    openAppend: async (path) => {
      const file = await nodeFiles.openAppend(path);
      return {
        get sizeBytes() {
          return file.sizeBytes;
        },
        append: (bytes) => {
          appends++;
          return file.append(bytes);
        },
        truncate: (size) => file.truncate(size),
        close: () => file.close(),
      };
    },
  };
  return { files, appends: () => appends };
}

test('File store shares one fsync among changes that come together', async (t) => {
  const { files, appends } = countedFiles();
  const store = await FileStore.open(join(folder(t), 'store.log'), { files, log: SILENT_LOGGER });
  await Promise.all(Array.from({ length: 500 }, (_, i) => store.compareAndSet(`key/${i}`, 0, 'x')));
  ok(appends() <= 2, `${appends()} appends for 500 changes`);
  await store.close();
});

test('A revision of five hundred resources costs the disk no fsync for each of them', async (t) => {
  const { files, appends } = countedFiles();
  const store = await FileStore.open(join(folder(t), 'store.log'), { files, log: SILENT_LOGGER });
  const { resources } = await openResources(store);
  await resources.apply(Array.from({ length: 500 }, (_, i) => split(`r${i}`, 1)));
  equal((await resources.list()).length, 500);
  ok(appends() <= 20, `${appends()} appends for 500 resources`);
  resources.close();
  await store.close();
});

test('File store killed at every byte of the last write opens with all that was answered before', async (t) => {
  const path = join(folder(t), 'store.log');
  const store = await open(path);
  await store.compareAndSet('a', 0, 'first');
  const a = await store.compareAndSet('b', 0, 'second');
  const goodBytes = store.sizeBytes;
  await store.compareAndSet('b', a?.revision ?? 0, 'third, and a little longer');
  await store.close();
  const whole = readFileSync(path);
  for (let size = 0; size < whole.length; size++) {
    writeFileSync(path, whole);
    truncateSync(path, size);
    const log = recorder();
    const again = await open(path, log);
    const kept = [(await again.get('a'))?.value, (await again.get('b'))?.value];
    if (size >= goodBytes) deepEqual(kept, ['first', 'second'], `${size} bytes`);
    deepEqual(log.events, again.recovery === 'torn' ? ['store-tail-truncated'] : [], `${size} bytes`);
    // It must be a good store from here on.
    const added = await again.compareAndSet('c', 0, 'new');
    ok(added !== undefined);
    await again.close();
    equal(readLog(readFileSync(path)).state, 'whole', `${size} bytes`);
  }
});

test('File store takes a tail of zeros or rubbish for a crash', async (t) => {
  const path = join(folder(t), 'store.log');
  for (const tail of [Buffer.alloc(5000), Buffer.alloc(100, 0xff), Buffer.from('rubbish')]) {
    const store = await open(path);
    const before = await store.get('a');
    await store.compareAndSet('a', before?.revision ?? 0, 'kept');
    await store.close();
    writeFileSync(path, Buffer.concat([readFileSync(path), tail]));
    const again = await open(path);
    equal(again.recovery, 'torn');
    equal((await again.get('a'))?.value, 'kept');
    await again.close();
  }
});

test('File store with any byte flipped in the middle is not opened: the copy is named, the file stays as it is', async (t) => {
  const path = join(folder(t), 'store.log');
  const store = await open(path);
  await store.compareAndSet('a', 0, 'first');
  const from = store.sizeBytes;
  await store.compareAndSet('b', 0, 'second');
  const to = store.sizeBytes;
  await store.compareAndSet('c', 0, 'third');
  await store.close();
  const whole = readFileSync(path);
  for (let at = from; at < to; at++) {
    const rotten = Buffer.from(whole);
    rotten[at] = (rotten[at] ?? 0) ^ 0x10;
    writeFileSync(path, rotten);
    const copy = `${path}.corrupt-${at - from + 1}`;
    // However often somebody tries, there is one copy.
    for (let tries = 0; tries < 2; tries++) {
      const error = await open(path).catch((thrown: unknown) => thrown);
      ok(error instanceof SkeinError, `byte ${at}`);
      equal(error.code, 'SKEIN_STORE');
      deepEqual([error.details.path, error.details.copy, error.details.goodBytes], [path, copy, from]);
      ok(String(error.details.remedy).includes(copy));
    }
    deepEqual(readFileSync(copy), rotten);
    deepEqual(readFileSync(path), rotten);
  }
  // Both ways to go on.
  writeFileSync(path, whole);
  const restored = await open(path);
  deepEqual([restored.recovery, (await restored.list('')).length], ['whole', 3]);
  await restored.close();
  rmSync(path);
  const empty = await open(path);
  equal(empty.recovery, 'new');
  await empty.close();
});

test('File store of another kind is not opened, and stays as it is', async (t) => {
  const path = join(folder(t), 'store.log');
  writeFileSync(path, 'this is no store of ours');
  await rejects(open(path), { code: 'SKEIN_STORE', message: /damaged from byte 0 on$/ });
  equal(readFileSync(path, 'utf8'), 'this is no store of ours');
  equal(readFileSync(`${path}.corrupt-1`, 'utf8'), 'this is no store of ours');
  deepEqual(readdirSync(join(path, '..')).sort(), ['store.log', 'store.log.corrupt-1']);
});

test('File store compacts itself when most of it is history', async (t) => {
  const path = join(folder(t), 'store.log');
  const store = await open(path, SILENT_LOGGER, 4096);
  let entry = await store.compareAndSet('hot', 0, 'x'.repeat(100));
  await store.compareAndSet('cold', 0, 'stays');
  for (let i = 0; i < 500; i++)
    entry = await store.compareAndSet('hot', entry?.revision ?? 0, `${i} ${'x'.repeat(100)}`);
  const temporary = await store.compareAndSet('late', 0, 'x'.repeat(5000));
  await store.delete('late', temporary?.revision ?? 0);
  ok(store.sizeBytes < 12_000, `${store.sizeBytes} bytes`);
  const { revision } = (await store.get('hot')) ?? { revision: 0 };
  await store.close();
  const again = await open(path);
  equal((await again.get('cold'))?.value, 'stays');
  equal((await again.get('hot'))?.revision, revision);
  const next = await again.compareAndSet('new', 0, 'x');
  ok((next?.revision ?? 0) > (temporary?.revision ?? 0) + 1, 'revisions are never used twice');
  await again.close();
  deepEqual(readdirSync(join(path, '..')), ['store.log']);
});

test('File store on a full disk refuses, forgets what it could not keep, and goes on when there is room', async (t) => {
  let full = false;
  const files: Files = {
    ...nodeFiles,
    openAppend: async (path) => {
      const file = await nodeFiles.openAppend(path);
      return {
        get sizeBytes() {
          return file.sizeBytes;
        },
        append: (bytes) => (full ? Promise.reject(new Error('ENOSPC')) : file.append(bytes)),
        truncate: (size) => file.truncate(size),
        close: () => file.close(),
      };
    },
  };
  const log = recorder();
  const store = await FileStore.open(join(folder(t), 'store.log'), { files, log });
  const a = await store.compareAndSet('a', 0, 'one');
  full = true;
  await rejects(store.compareAndSet('a', a?.revision ?? 0, 'two'), { code: 'SKEIN_STORE' });
  await rejects(store.delete('a', a?.revision ?? 0), { code: 'SKEIN_STORE' });
  equal((await store.get('a'))?.value, 'one');
  full = false;
  ok((await store.compareAndSet('a', a?.revision ?? 0, 'three')) !== undefined);
  deepEqual(log.events, ['store-write-failed', 'store-write-failed']);
  await store.close();
  await rejects(store.compareAndSet('z', 0, ''), { code: 'SKEIN_STORE' });
});

test('File store lets nobody else write to its file, and forgives a lock that a dead process left', async (t) => {
  const path = join(folder(t), 'store.log');
  const store = await open(path);
  await rejects(open(path), { code: 'SKEIN_STORE' });
  await store.close();
  for (const left of ['', '999999999 1', `${process.pid}`, `${process.pid} 1`, '1 1']) {
    writeFileSync(`${path}.lock`, left);
    const again = await open(path);
    await again.close();
  }
  const both = await Promise.allSettled([open(path), open(path)]);
  equal(both.filter(({ status }) => status === 'fulfilled').length, 1);
  for (const result of both) if (result.status === 'fulfilled') await result.value.close();
  deepEqual(readdirSync(join(path, '..')), ['store.log']);
});

test('A record says what was written', () => {
  const records = [
    { kind: 'put', revision: 1, key: 'ä', value: 'ö' },
    { kind: 'delete', revision: 300, key: 'ä' },
    { kind: 'floor', revision: 70_000 },
  ] as const;
  const bytes = Buffer.concat([LOG_HEADER, ...records.map(encodeRecord)]);
  deepEqual(readLog(bytes), { records, goodBytes: bytes.length, state: 'whole' });
});
