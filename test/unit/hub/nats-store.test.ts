/** The shared store at a real nats-server: the cases of every store, two hubs on one bucket, and servers that come and go. */

import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { createId } from '../../../src/core/id.ts';
import { Redacted } from '../../../src/core/redacted.ts';
import { NatsStore, type NatsStoreOptions } from '../../../src/hub/store/nats.ts';
import type { Store, StoreChange } from '../../../src/hub/store.ts';
import { nodePlatform } from '../../../src/runtime/node/platform.ts';
import { lacking } from '../../runtime/capabilities.ts';
import { EventLog } from '../../support/event-log.ts';
import { NatsServer, TcpLine } from '../../support/nats.ts';
import { type OpenResources, openResources, split } from '../../support/resources.ts';
import { STORE_CASES } from '../../support/store-cases.ts';

const skip = lacking('nats-server');
const { clock, random } = nodePlatform();
let shared: NatsServer;
before(async () => {
  if (skip === false) shared = await NatsServer.start();
});
after(() => shared?.remove());

async function own(t: TestContext, config?: string): Promise<NatsServer> {
  const server = await NatsServer.start(config);
  t.after(() => server.remove());
  return server;
}

async function open(
  t: TestContext,
  address: string,
  options: Partial<NatsStoreOptions> = {},
): Promise<NatsStore & { readonly events: EventLog }> {
  const events = new EventLog();
  const store = await NatsStore.open({
    address: new Redacted(`nats://${address}`),
    clock,
    random,
    log: events,
    ...options,
  });
  t.after(() => store.close());
  return Object.assign(store, { events });
}

/** Resolves when `isDone`, asked after each change of the store. */
function until(store: Store, isDone: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const stop = store.watch('', () => {
      if (!isDone()) return;
      resolve();
      queueMicrotask(() => stop());
    });
  });
}

/** What a watcher was told, and whether it adds up to what there is. */
class History {
  readonly changes: StoreChange[] = [];

  constructor(store: Store, prefix = '') {
    store.watch(prefix, (change) => this.changes.push(change));
  }

  get texts(): string[] {
    return this.changes.map(({ key, entry }) => `${key} ${entry?.value ?? 'gone'}`);
  }

  get isInOrder(): boolean {
    return this.changes.every(({ revision }, i) => i === 0 || revision >= (this.changes[i - 1]?.revision ?? 0));
  }
}

for (const { name, run } of STORE_CASES) {
  test(`Store (nats): ${name}`, { skip }, async (t) => {
    await run(await open(t, `${shared.address}/${createId()}`));
  });
}

test('Store (nats): two hubs hear of each other in the same order, each change once', { skip }, async (t) => {
  const address = `${shared.address}/${createId()}`;
  const [a, b] = [await open(t, address), await open(t, address)];
  const histories = [new History(a, 'k/'), new History(b, 'k/')] as const;
  await Promise.all(
    Array.from({ length: 100 }, async (_, i) => {
      const store = i % 2 === 0 ? a : b;
      const made = await store.compareAndSet(`k/${i}`, 0, 'made');
      const changed = await store.compareAndSet(`k/${i}`, made?.revision ?? 0, 'changed');
      if (i % 3 === 0) await store.delete(`k/${i}`, changed?.revision ?? 0);
    }),
  );
  const last = await a.compareAndSet('k/last', 0, '');
  await until(b, () => b.revision >= (last?.revision ?? 0));
  equal(histories[0].changes.length, 100 * 2 + 34 + 1);
  deepEqual(histories[0].changes, histories[1].changes);
  ok(histories[0].isInOrder);
  deepEqual(await a.list(''), await b.list(''));
});

test('Store (nats): of two hubs that race for one key again and again, one wins each time', { skip }, async (t) => {
  const address = `${shared.address}/${createId()}`;
  const [a, b] = [await open(t, address), await open(t, address)];
  for (let round = 0; round < 50; round++) {
    const token = await a.compareAndSet(`token/${round}`, 0, 'fresh');
    ok(token !== undefined);
    // The other hub has it at once, whatever its feed has brought.
    equal((await b.get(`token/${round}`))?.revision, token.revision);
    const used = await Promise.all(
      [a, b, a, b].map((store, i) => store.compareAndSet(`token/${round}`, token.revision, `used by ${i}`)),
    );
    equal(used.filter((entry) => entry !== undefined).length, 1);
  }
});

test('Store (nats): a hub that was cut off is told what it missed, each change once, also of marks that are gone', {
  skip,
}, async (t) => {
  const bucket = createId();
  const line = await TcpLine.to(shared.address);
  t.after(() => line.close());
  const a = await open(t, `${line.address}/${bucket}`);
  const b = await open(t, `${shared.address}/${bucket}`, { markMs: 50 });
  const keep = await b.compareAndSet('keep', 0, '1');
  const change = await b.compareAndSet('change', 0, '1');
  const drop = await b.compareAndSet('drop', 0, '1');
  const again = await b.compareAndSet('again', 0, '1');
  await until(a, () => a.revision >= (again?.revision ?? 0));
  const history = new History(a);
  history.changes.length = 0;
  line.cut();
  await a.events.waitFor('store-lost');
  equal(a.isUp, false);
  await rejects(a.get('keep'), { code: 'SKEIN_STORE' });
  await rejects(a.compareAndSet('mine', 0, ''), { code: 'SKEIN_STORE' });
  deepEqual(
    (await a.list('')).map(({ key }) => key),
    ['again', 'change', 'drop', 'keep'],
    'what it knew, it knows',
  );
  await b.compareAndSet('change', change?.revision ?? 0, '2');
  await b.delete('drop', drop?.revision ?? 0);
  await b.delete('again', again?.revision ?? 0);
  await b.compareAndSet('new', 0, '1');
  await b.compareAndSet('again', 0, '2');
  // The mark that "drop" was deleted is swept meanwhile.
  await sweptTo(shared, bucket, 5);
  line.heal();
  const started = performance.now();
  await a.events.waitFor('store-back');
  const backMs = performance.now() - started;
  t.diagnostic(`back ${backMs.toFixed(0)} ms after the line`);
  deepEqual([...history.texts].sort(), ['again 2', 'change 2', 'drop gone', 'new 1']);
  ok(history.isInOrder);
  deepEqual(await a.list(''), await b.list(''));
  equal((await a.get('keep'))?.revision, keep?.revision);
  const mine = await a.compareAndSet('mine', 0, 'mine');
  equal((await b.get('mine'))?.revision, mine?.revision);
});

test('Store (nats): cut and healed again and again while another hub writes, it tells each change once', {
  skip,
}, async (t) => {
  const bucket = createId();
  const line = await TcpLine.to(shared.address);
  t.after(() => line.close());
  const a = await open(t, `${line.address}/${bucket}`);
  const b = await open(t, `${shared.address}/${bucket}`);
  const history = new History(a);
  let isOver = false;
  let writes = 0;
  const writing = (async () => {
    for (let i = 0; !isOver; i++) {
      const key = `k${i % 7}`;
      const before = await b.get(key);
      if (before !== undefined && i % 3 === 0) await b.delete(key, before.revision);
      else await b.compareAndSet(key, before?.revision ?? 0, `${i}`);
      writes++;
    }
  })();
  for (let cut = 1; cut <= 5; cut++) {
    line.cut();
    await a.events.waitFor('store-lost', cut);
    line.heal();
    await a.events.waitFor('store-back', cut);
  }
  isOver = true;
  await writing;
  const last = await b.compareAndSet('last', 0, '');
  await until(a, () => a.revision >= (last?.revision ?? 0));
  t.diagnostic(`${history.changes.length} changes told of ${writes} writes`);
  ok(history.isInOrder);
  const seen = new Set(history.changes.filter(({ entry }) => entry !== undefined).map(({ revision }) => revision));
  equal(seen.size, history.changes.filter(({ entry }) => entry !== undefined).length, 'nothing twice');
  // Told one after the other they make what there is.
  const made = new Map<string, string>();
  for (const { key, entry } of history.changes) {
    if (entry !== undefined) made.set(key, entry.value);
    else ok(made.delete(key), `${key} was told to be gone without having been there`);
  }
  deepEqual(
    [...made].sort(),
    (await b.list('')).map(({ key, value }) => [key, value]),
  );
});

test('Store (nats): a server killed and started again has all that was answered, and is written to again', {
  skip,
}, async (t) => {
  const server = await own(t);
  const store = await open(t, server.address);
  const before = await store.compareAndSet('a', 0, 'before');
  await server.kill();
  await store.events.waitFor('store-lost');
  await rejects(store.compareAndSet('b', 0, ''), { code: 'SKEIN_STORE', message: /no server answers/ });
  await server.start();
  const started = performance.now();
  await store.events.waitFor('store-back');
  ok((await store.compareAndSet('b', 0, 'after')) !== undefined);
  const backMs = performance.now() - started;
  t.diagnostic(`written ${backMs.toFixed(0)} ms after the server`);
  // Within 5 s, if the machine is not busy; a request waits for 2.
  ok(backMs < 20_000, `${backMs} ms`);
  deepEqual(await store.get('a'), before);
});

test('Store (nats): a hub waits for a server that is not there yet, says so, and stops waiting when told', {
  skip,
}, async (t) => {
  const server = await NatsServer.reserve();
  t.after(() => server.remove());
  const log = new EventLog();
  const address = new Redacted(`nats://${server.address}`);
  const opened = NatsStore.open({ address, clock, random, log });
  await log.waitFor('store-unreachable', 2);
  deepEqual(
    log.lines.slice(0, 2).map(({ level }) => level),
    ['warn', 'debug'],
  );
  await server.start();
  const store = await opened;
  equal(log.of('store-connected').length, 1);
  await store.close();
  await server.kill();
  const stop = new AbortController();
  const waiting = NatsStore.open({ address, clock, random, log, signal: stop.signal });
  await log.waitFor('store-unreachable', log.of('store-unreachable').length + 1);
  stop.abort();
  await rejects(waiting, { code: 'SKEIN_CANCELLED' });
});

test('Store (nats): a wrong login is refused, a right one works, and neither is ever printed', { skip }, async (t) => {
  const server = await own(t, 'authorization { user: skein, password: "s3cret/@:%" }');
  const log = new EventLog();
  const wrong = new Redacted(`nats://skein:wr0ng-s3cret@${server.address}`);
  const error = await NatsStore.open({ address: wrong, clock, random, log }).catch((thrown: Error) => thrown);
  ok(error instanceof Error);
  match(error.message, /refuses the login/);
  const right = `skein:${encodeURIComponent('s3cret/@:%')}@${server.address}`;
  const store = await open(t, right, { log });
  ok((await store.compareAndSet('a', 0, '')) !== undefined);
  const printed = JSON.stringify([log.lines, error, error.message, error.stack, String(error.cause)]);
  ok(!/s3cret/.test(printed), printed);
});

test('Store (nats): a bucket that was made anew is not followed: the hub keeps what it knew and says what to do', {
  skip,
}, async (t) => {
  const server = await own(t);
  const store = await open(t, server.address);
  for (let i = 0; i < 10; i++) await store.compareAndSet(`policy/${i}`, 0, 'deny');
  const history = new History(store);
  history.changes.length = 0;
  await server.forget();
  await store.events.waitFor('store-lost');
  await server.start();
  await store.events.waitFor('store-replaced');
  equal(history.changes.length, 0);
  equal((await store.list('policy/')).length, 10);
  equal(store.isUp, false);
  await rejects(store.compareAndSet('policy/0', 1, ''), { code: 'SKEIN_STORE', message: /restart the hub/ });
  match(String(store.events.of('store-replaced')[0]?.fields.remedy), /restart all hubs/);
  // The next start takes what there is.
  const next = await open(t, server.address);
  deepEqual(await next.list(''), []);
});

test('Store (nats): marks of deletions do not pile up at the server, and what is made anew meanwhile stays', {
  skip,
}, async (t) => {
  const bucket = createId();
  const store = await open(t, `${shared.address}/${bucket}`, { markMs: 50 });
  for (let i = 0; i < 20; i++) {
    const made = await store.compareAndSet(`k${i}`, 0, '');
    await store.delete(`k${i}`, made?.revision ?? 0);
    if (i % 2 === 0) await store.compareAndSet(`k${i}`, 0, 'anew');
  }
  // Ten keys, and the one by which feeds are read.
  await sweptTo(shared, bucket, 11);
  equal((await store.list('')).length, 10);
});

/** Resolves when the stream of `bucket` holds no more than `messages`. */
async function sweptTo(server: NatsServer, bucket: string, messages: number): Promise<void> {
  for (;;) {
    if ((await server.messages(bucket)) <= messages) return;
    await new Promise<void>((resolve) => clock.setTimer(20, resolve));
  }
}

test('Store (nats): two hubs that change the same resources at once make one revision after the other', {
  skip,
}, async (t) => {
  const server = await own(t);
  const hubs: OpenResources[] = [];
  for (let i = 0; i < 2; i++) hubs.push(await openResources(await open(t, server.address)));
  let refused = 0;
  for (let round = 1; round <= 15; round++) {
    const ifRevision = round % 3 === 0 ? { ifRevision: round } : {};
    await Promise.all(
      hubs.map(async ({ resources }, i) => {
        const weight = round * 2 + i;
        const all = [split('a', weight), split('b', weight), split('c', weight)];
        const change = round % 5 === 0 ? resources.rollback(1) : resources.apply(all, ifRevision);
        await change.catch((thrown) => {
          equal(thrown.code, 'SKEIN_CONFLICT');
          refused++;
        });
      }),
    );
    for (const { resources } of hubs) {
      const specs = await Promise.all(['a', 'b', 'c'].map((name) => resources.get('HTTPRoute', 'default', name)));
      const forms = new Set(specs.map((manifest) => JSON.stringify(manifest?.spec)));
      equal(forms.size, 1, 'all of a change, or nothing of it');
    }
  }
  for (const { resources } of hubs) {
    const numbers = (await resources.revisions()).map(({ revision }) => revision);
    deepEqual(
      numbers,
      numbers.map((_, i) => i + 1),
    );
    resources.close();
  }
  t.diagnostic(`${refused} changes refused`);
});
