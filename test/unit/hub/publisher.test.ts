/** The publisher and what sidecars make of its pushes; registrations that come, go and come back. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import type { Sha256 } from '../../../src/catalog/digest.ts';
import type { Endpoint } from '../../../src/catalog/endpoint.ts';
import { type Resource, resourceKey } from '../../../src/catalog/resource.ts';
import { Channel } from '../../../src/control/channel.ts';
import type { CataloguePush } from '../../../src/control/messages.ts';
import { CatalogueWatch } from '../../../src/control/watch.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { SILENT_LOGGER } from '../../../src/core/log.ts';
import { Publisher } from '../../../src/hub/publisher.ts';
import { Registrations } from '../../../src/hub/registrations.ts';
import { MemoryStore } from '../../../src/hub/store/memory.ts';
import type { Store } from '../../../src/hub/store.ts';
import type { Subscriber } from '../../../src/hub/subscriber.ts';
import { createMemoryStreams } from '../../../src/testing/memory-stream.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';

const sha256: Sha256 = (...parts) => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

const ID = 'spiffe://mesh.test/ns/default/sa/api';

function endpoint(service: string, instance: string, healthy = true): Endpoint {
  return {
    kind: 'Endpoint',
    service,
    instance,
    id: ID,
    port: 80,
    protocol: 'http',
    labels: { version: 'v1' },
    region: 'eu-west',
    zone: 'a',
    healthy,
    weight: 1,
  };
}

class Fixture {
  readonly clock = new VirtualClock();
  readonly publisher = new Publisher({ clock: this.clock, sha256, epoch: 1 });

  put(...resources: Resource[]): void {
    for (const resource of resources) this.publisher.change(resourceKey(resource), resource);
  }

  async connect(served: readonly string[] = []): Promise<Sidecar> {
    const sidecar = new Sidecar(this, served);
    await this.run(sidecar.watch.attach(sidecar.channel));
    return sidecar;
  }

  async run(work: Promise<unknown>): Promise<void> {
    await this.clock.settle();
    await work;
  }
}

class Sidecar {
  readonly pushes: CataloguePush[] = [];
  readonly watch: CatalogueWatch;
  readonly channel: Channel;
  readonly hubEnd: Channel;
  readonly subscriber: Subscriber;
  snapshots = 0;
  /** Pushes that a faulty hub loses. */
  drop: (push: CataloguePush) => boolean = () => false;

  constructor({ clock, publisher }: Fixture, served: readonly string[]) {
    const [a, b] = createMemoryStreams(clock);
    this.watch = new CatalogueWatch({
      sha256,
      clock,
      random: new SeededRandom(1),
      log: SILENT_LOGGER,
      onSnapshot: () => this.snapshots++,
    });
    this.channel = new Channel(a, {
      clock,
      pushes: {
        catalogue: (push) => {
          if (this.drop(push)) return;
          this.pushes.push(push);
          this.watch.receive(push);
        },
      },
      onClose: () => this.watch.detach(this.channel),
    });
    this.hubEnd = new Channel(b, {
      clock,
      calls: {
        watch: ({ services }) => {
          this.subscriber.setInterest(services, served, 'default');
          return {};
        },
        resync: () => {
          this.subscriber.resync();
          return {};
        },
      },
      onClose: () => this.subscriber.close(),
      onWritable: () => this.subscriber.flushIfWritable(),
    });
    this.subscriber = publisher.subscribe(this.hubEnd);
  }
}

test('The answer to a watch comes behind the catalogue it asks for', async () => {
  const mesh = new Fixture();
  mesh.put(endpoint('api.default', 'a'), endpoint('db.default', 'b'));
  const sidecar = await mesh.connect();
  equal(sidecar.watch.isKnown('api.default'), false);
  const added = sidecar.watch.add('api.default').then(() => sidecar.watch.snapshot.endpoints('api.default').length);
  await mesh.run(added);
  equal(await added, 1);
  ok(sidecar.watch.isKnown('api.default'));
  equal(sidecar.watch.snapshot.size, 1);
  const nobody = sidecar.watch.add('nobody.default');
  await mesh.run(nobody);
  deepEqual(sidecar.watch.snapshot.endpoints('nobody.default'), []);
});

test('Services asked for in one tick are told in one message', async () => {
  const mesh = new Fixture();
  mesh.put(endpoint('a.default', '1'), endpoint('b.default', '1'), endpoint('c.default', '1'));
  const sidecar = await mesh.connect();
  sidecar.pushes.length = 0;
  await mesh.run(Promise.all(['a.default', 'b.default', 'c.default'].map((each) => sidecar.watch.add(each))));
  equal(sidecar.pushes.length, 1);
  equal(sidecar.watch.snapshot.size, 3);
});

test('Only the interested are told, and of a flap among 10 000 endpoints at most 1 KiB', async () => {
  const mesh = new Fixture();
  for (let i = 0; i < 10_000; i++) mesh.put(endpoint(`s${i}.default`, `${i}`));
  const caller = await mesh.connect();
  const other = await mesh.connect();
  await mesh.run(caller.watch.add('s7.default'));
  await mesh.run(other.watch.add('s8.default'));
  caller.pushes.length = 0;
  other.pushes.length = 0;
  mesh.put(endpoint('s7.default', '7', false));
  await mesh.clock.advanceAsync(60);
  equal(caller.pushes.length, 1);
  equal(other.pushes.length, 0);
  equal(caller.watch.snapshot.endpoints('s7.default')[0]?.healthy, false);
  const bytes = JSON.stringify(caller.pushes[0]).length;
  ok(bytes <= 1024, `${bytes} bytes`);
});

test('A change reaches a watcher at the end of the tick when it is quiet, and within 50 ms when it is not', async () => {
  const mesh = new Fixture();
  const sidecar = await mesh.connect();
  await mesh.run(sidecar.watch.add('api.default'));
  await mesh.clock.advanceAsync(1000);
  mesh.put(endpoint('api.default', 'a'));
  await mesh.clock.settle();
  equal(sidecar.watch.snapshot.size, 1);
  sidecar.pushes.length = 0;
  for (let i = 0; i < 30; i++) {
    mesh.put(endpoint('api.default', `b${i}`));
    await mesh.clock.advanceAsync(1);
  }
  await mesh.clock.advanceAsync(20);
  equal(sidecar.watch.snapshot.size, 31);
  equal(sidecar.pushes.length, 1);
});

test('Policies go to those who serve in their namespace, and those of the mesh to all', async () => {
  const mesh = new Fixture();
  const policy = (namespace: string): Resource => ({ kind: 'AuthorizationPolicy', metadata: { namespace, name: 'p' } });
  mesh.put(policy('shop'), policy('default'), policy('mesh'));
  const server = await mesh.connect(['api.shop']);
  const caller = await mesh.connect();
  await mesh.run(caller.watch.add('api.shop'));
  const namespaces = (sidecar: Sidecar): string[] =>
    sidecar.watch.snapshot.manifests('AuthorizationPolicy').map(({ metadata }) => metadata.namespace);
  deepEqual(namespaces(server), ['mesh', 'shop']);
  deepEqual(namespaces(caller), ['mesh']);
});

test('A catalogue of 5 000 endpoints of one service arrives in parts and counts only when whole', async () => {
  const mesh = new Fixture();
  for (let i = 0; i < 5000; i++) mesh.put(endpoint('big.default', `i${i}`));
  const sidecar = await mesh.connect();
  const before = sidecar.snapshots;
  await mesh.run(sidecar.watch.add('big.default'));
  ok(sidecar.pushes.length > 10, `${sidecar.pushes.length} parts`);
  equal(sidecar.snapshots, before + 1);
  equal(sidecar.watch.snapshot.endpoints('big.default').length, 5000);
  equal(sidecar.watch.stats.diverged, 0);
});

test('A lost push is noticed by the next one, and when there is none by the anchor', async () => {
  for (const [name, changes, withinMs] of [
    ['next', 2, 200],
    ['anchor', 1, 5000],
  ] as const) {
    const mesh = new Fixture();
    const sidecar = await mesh.connect();
    await mesh.run(sidecar.watch.add('api.default'));
    await mesh.clock.advanceAsync(1000);
    let lost = 0;
    sidecar.drop = () => lost++ === 0;
    for (let i = 0; i < changes; i++) {
      mesh.put(endpoint('api.default', `${i}`));
      await mesh.clock.advanceAsync(60);
    }
    ok(await mesh.clock.advanceUntil(() => sidecar.watch.snapshot.size === changes, withinMs), name);
    equal(sidecar.watch.stats.diverged, 1, name);
    equal(sidecar.watch.stats.resyncs, 1, name);
  }
});

test('A whole catalogue that is lost is asked for again', async () => {
  const mesh = new Fixture();
  mesh.put(endpoint('api.default', 'a'));
  const sidecar = await mesh.connect();
  await mesh.run(sidecar.watch.add('api.default'));
  let losses = 4;
  sidecar.drop = (push) => (push.full || losses === 4) && losses-- > 0;
  mesh.put(endpoint('api.default', 'b'));
  ok(await mesh.clock.advanceUntil(() => sidecar.watch.snapshot.size === 2, 20_000));
});

test('Without a hub the last good catalogue stays, and another hub continues it', async () => {
  const first = new Fixture();
  first.put(endpoint('api.default', 'a'));
  const sidecar = await first.connect();
  await first.run(sidecar.watch.add('api.default'));
  const { snapshot } = sidecar.watch;
  sidecar.hubEnd.close(new SkeinError('SKEIN_HUB_UNREACHABLE', 'Cannot use hub: killed'));
  await first.clock.settle();
  equal(sidecar.watch.isAttached, false);
  equal(sidecar.watch.snapshot, snapshot);
  equal(first.publisher.subscribers, 0);
  // Asked for meanwhile: it is told once a hub is back.
  let told = false;
  const later = sidecar.watch.add('db.default').then(() => (told = true));
  const next = new Sidecar(first, []);
  const pushed: CataloguePush[] = [];
  const [a, b] = createMemoryStreams(first.clock);
  const second = new Publisher({ clock: first.clock, sha256, epoch: 2 });
  second.change('Endpoint/api.default/a/80', endpoint('api.default', 'a'));
  second.change('Endpoint/db.default/d/80', endpoint('db.default', 'd'));
  const channel = new Channel(a, {
    clock: first.clock,
    pushes: {
      catalogue: (push) => {
        pushed.push(push);
        sidecar.watch.receive(push);
      },
    },
    onClose: () => undefined,
  });
  const hubEnd = new Channel(b, {
    clock: first.clock,
    calls: {
      watch: ({ services }) => {
        subscriber.setInterest(services, [], 'default');
        return {};
      },
    },
    onClose: () => undefined,
  });
  const subscriber = second.subscribe(hubEnd);
  await first.run(sidecar.watch.attach(channel));
  await later;
  ok(told);
  equal(pushed[0]?.full, true);
  equal(sidecar.watch.snapshot.epoch, 2);
  equal(sidecar.watch.snapshot.endpoints('api.default'), snapshot.endpoints('api.default'));
  equal(sidecar.watch.snapshot.size, 2);
  equal(next.watch.snapshot.size, 0);
});

test('A sidecar that does not read costs the hub a set of keys, and is told the truth when it reads again', async () => {
  const mesh = new Fixture();
  const [a, b] = createMemoryStreams(mesh.clock, { windowBytes: 4096 });
  const hubEnd = new Channel(b, {
    clock: mesh.clock,
    calls: {},
    onClose: () => undefined,
    onWritable: () => subscriber.flushIfWritable(),
  });
  const subscriber = mesh.publisher.subscribe(hubEnd);
  subscriber.setInterest(['api.default'], [], 'default');
  for (let i = 0; i < 500; i++) {
    for (let j = 0; j < 20; j++) mesh.put({ ...endpoint('api.default', `${j}`), labels: { version: `v${i}` } });
    await mesh.clock.advanceAsync(51);
  }
  ok(b.queuedBytes < 16_384, `${b.queuedBytes} bytes wait`);
  const watch = new CatalogueWatch({
    sha256,
    clock: mesh.clock,
    random: new SeededRandom(1),
    log: SILENT_LOGGER,
    onSnapshot: () => undefined,
  });
  new Channel(a, { clock: mesh.clock, pushes: { catalogue: (push) => watch.receive(push) }, onClose: () => undefined });
  await mesh.clock.settle();
  equal(watch.snapshot.digest, mesh.publisher.snapshot.digest);
  equal(watch.stats.diverged, 0);
});

// Registrations.

const ABSENCE = { unhealthyAfterMs: 1000, unhealthyAfterStartMs: 10_000, removedAfterMs: 30_000 };

function registrations(mesh: Fixture, store: Store = new MemoryStore(), own = '1'): Registrations {
  return new Registrations({
    publisher: mesh.publisher,
    store,
    clock: mesh.clock,
    random: new SeededRandom(1),
    log: SILENT_LOGGER,
    absence: ABSENCE,
    own,
    isLive: () => false,
  });
}

const serving = (instance: string, ...services: string[]) => ({
  instance,
  services: services.map((service) => ({ service, port: 80, protocol: 'http' as const, healthy: true })),
});

function state(mesh: Fixture): string[] {
  mesh.publisher.flush();
  return [...mesh.publisher.snapshot.services()]
    .flatMap(({ endpoints }) => endpoints)
    .map(({ service, instance, healthy }) => `${service} ${instance} ${healthy ? 'healthy' : 'unhealthy'}`)
    .sort();
}

test('A registration replaces the one before', () => {
  const mesh = new Fixture();
  const all = registrations(mesh);
  all.register('i1', ID, serving('i1', 'api.default', 'web.default'));
  deepEqual(state(mesh), ['api.default i1 healthy', 'web.default i1 healthy']);
  all.register('i1', ID, serving('i1', 'web.default'));
  deepEqual(state(mesh), ['web.default i1 healthy']);
  deepEqual(all.served('i1'), ['web.default']);
});

test('An instance that lost its link is kept for a second, unhealthy for thirty, and then forgotten', () => {
  const mesh = new Fixture();
  const all = registrations(mesh);
  all.register('i1', ID, serving('i1', 'api.default'));
  all.lose('i1');
  mesh.clock.advance(999);
  deepEqual(state(mesh), ['api.default i1 healthy']);
  all.register('i1', ID, serving('i1', 'api.default'));
  all.lose('i1');
  mesh.clock.advance(1000);
  deepEqual(state(mesh), ['api.default i1 unhealthy']);
  all.register('i1', ID, serving('i1', 'api.default'));
  deepEqual(state(mesh), ['api.default i1 healthy']);
  all.lose('i1');
  mesh.clock.advance(30_000);
  deepEqual(state(mesh), []);
  equal(mesh.clock.pendingTimers, 1, 'only the sweep of the publisher');
});

test('An instance that leaves is unhealthy at once and gone with its link', () => {
  const mesh = new Fixture();
  const all = registrations(mesh);
  all.register('i1', ID, serving('i1', 'api.default'));
  all.leave('i1');
  deepEqual(state(mesh), ['api.default i1 unhealthy']);
  all.lose('i1');
  deepEqual(state(mesh), []);
});

test('A hub that starts again knows who was there, for a while', async () => {
  const store = new MemoryStore();
  const before = new Fixture();
  const all = registrations(before, store);
  all.register('i1', ID, serving('i1', 'api.default'));
  all.register('i2', ID, serving('i2', 'api.default'));
  all.register('i3', ID, serving('i3', 'api.default'));
  await before.clock.settle();
  all.leave('i3');
  all.lose('i3');
  await before.clock.settle();
  await store.compareAndSet('instance/broken', 0, '{');
  // As it was stored before hubs shared a store.
  await store.compareAndSet('instance/i4', 0, JSON.stringify({ id: ID, registration: serving('i4', 'db.default') }));
  const after = new Fixture();
  const again = registrations(after, store, '2');
  again.load();
  deepEqual(state(after), ['api.default i1 healthy', 'api.default i2 healthy', 'db.default i4 healthy']);
  again.register('i1', ID, serving('i1', 'api.default'));
  after.clock.advance(10_000);
  deepEqual(state(after), ['api.default i1 healthy', 'api.default i2 unhealthy', 'db.default i4 unhealthy']);
  after.clock.advance(20_000);
  deepEqual(state(after), ['api.default i1 healthy']);
  await after.clock.settle();
  deepEqual(
    (await store.list('instance/')).map(({ key }) => key),
    ['instance/2/i1', 'instance/broken'],
  );
});
