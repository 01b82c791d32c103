/** Hubs that share a store share their catalogue: who holds whom, what is lost with a hub, and what never flickers. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import type { Sha256 } from '../../../src/catalog/digest.ts';
import { Leases } from '../../../src/hub/leases.ts';
import { HUB_LIMITS } from '../../../src/hub/options.ts';
import { Publisher } from '../../../src/hub/publisher.ts';
import { Registrations } from '../../../src/hub/registrations.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { SharedStore } from '../../../src/testing/shared-store.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { EventLog } from '../../support/event-log.ts';

const ID = 'spiffe://mesh.test/ns/default/sa/api';
const OTHER_ID = 'spiffe://mesh.test/ns/default/sa/other';
const sha256: Sha256 = (...parts) => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

const serving = (instance: string, version = 'v1') => ({
  instance,
  services: [{ service: 'api.default', port: 80, protocol: 'http' as const, healthy: true, labels: { version } }],
});

/** The part of a hub that is shared, several times over one store. */
class Fixture {
  readonly clock = new VirtualClock();
  readonly store = new SharedStore();

  async hub(own: string) {
    const { clock } = this;
    const store = this.store.connect();
    const log = new EventLog();
    const publisher = new Publisher({ clock, sha256, epoch: Number(own) });
    const leases: Leases = new Leases({
      store,
      clock,
      log,
      limits: HUB_LIMITS.lease,
      own,
      onChange: (hub, isLive) => all.onHub(hub, isLive),
    });
    const all: Registrations = new Registrations({
      publisher,
      store,
      clock,
      random: new SeededRandom(Number(own)),
      log,
      absence: HUB_LIMITS.absence,
      own,
      isLive: (hub) => leases.isLive(hub),
    });
    leases.load();
    all.load();
    leases.start({ url: '', region: '' });
    await clock.settle();
    /** Every state of the catalogue that anybody could have been told, once each. */
    const history: string[] = [];
    const look = (): void => {
      publisher.flush();
      const state = [...publisher.snapshot.services()]
        .flatMap(({ endpoints }) => endpoints)
        .map(({ instance, healthy, labels }) => `${instance} ${labels.version} ${healthy ? 'healthy' : 'unhealthy'}`)
        .sort()
        .join(', ');
      if (history.at(-1) !== state) history.push(state);
    };
    const change = publisher.change.bind(publisher);
    publisher.change = (key, resource) => {
      change(key, resource);
      clock.endOfTick(look);
    };
    look();
    const state = (): string => {
      look();
      return history.at(-1) ?? '';
    };
    return { store, log, publisher, leases, all, history, state };
  }
}

test('What one hub registers stands in the catalogue of the other, changes there, and goes', async () => {
  const mesh = new Fixture();
  const a = await mesh.hub('1');
  const b = await mesh.hub('2');
  a.all.register('i1', ID, serving('i1'));
  b.all.register('i2', ID, serving('i2'));
  await mesh.clock.settle();
  for (const hub of [a, b]) equal(hub.state(), 'i1 v1 healthy, i2 v1 healthy');
  deepEqual([b.all.idOf('i1'), b.all.isHere('i1')], [ID, true]);
  a.all.register('i1', ID, serving('i1', 'v2'));
  await mesh.clock.settle();
  equal(b.state(), 'i1 v2 healthy, i2 v1 healthy');
  // Its link to its only hub is lost: the other hub hears of it when the first thinks so.
  a.all.lose('i1');
  await mesh.clock.advanceAsync(999);
  equal(b.state(), 'i1 v2 healthy, i2 v1 healthy');
  await mesh.clock.advanceAsync(2);
  for (const hub of [a, b]) equal(hub.state(), 'i1 v2 unhealthy, i2 v1 healthy');
  await mesh.clock.advanceAsync(30_000);
  for (const hub of [a, b]) equal(hub.state(), 'i2 v1 healthy');
  deepEqual(
    (await mesh.store.list('instance/')).map(({ key }) => key),
    ['instance/2/i2'],
  );
  b.all.leave('i2');
  await mesh.clock.settle();
  for (const hub of [a, b]) equal(hub.state(), 'i2 v1 unhealthy');
  b.all.lose('i2');
  await mesh.clock.settle();
  for (const hub of [a, b]) equal(hub.state(), '');
  equal((await mesh.store.list('instance/')).length, 0);
});

test('An instance that two hubs hold never flickers when it loses one of them, or when that hub is killed', async () => {
  const mesh = new Fixture();
  const a = await mesh.hub('1');
  const b = await mesh.hub('2');
  const c = await mesh.hub('3');
  for (const hub of [a, b]) hub.all.register('i1', ID, serving('i1'));
  a.all.register('i2', ID, serving('i2'));
  await mesh.clock.settle();
  for (const { history } of [a, b, c]) history.splice(0);
  a.all.lose('i1');
  await mesh.clock.advanceAsync(60_000);
  for (const hub of [a, b, c]) deepEqual([hub.state(), hub.history.length], ['i1 v1 healthy, i2 v1 healthy', 1]);
  a.all.register('i1', ID, serving('i1'));
  await mesh.clock.advanceAsync(1000);
  const atMs = mesh.clock.monotonicMs();
  a.store.cut(); // killed
  await mesh.clock.advanceUntil(() => b.history.length > 1, 60_000);
  ok(mesh.clock.monotonicMs() - atMs >= 5000 && mesh.clock.monotonicMs() - atMs <= 8000);
  equal(b.state(), 'i1 v1 healthy, i2 v1 unhealthy');
  await mesh.clock.advanceAsync(60_000);
  for (const hub of [b, c]) {
    deepEqual(hub.history, ['i1 v1 healthy, i2 v1 healthy', 'i1 v1 healthy, i2 v1 unhealthy', 'i1 v1 healthy']);
  }
  deepEqual(
    (await mesh.store.list('')).map(({ key }) => key),
    ['instance/2/i1', 'lease/2', 'lease/3'],
  );
});

test('An instance that goes to another hub within a second is never unhealthy', async () => {
  const mesh = new Fixture();
  const a = await mesh.hub('1');
  const b = await mesh.hub('2');
  a.all.register('i1', ID, serving('i1'));
  await mesh.clock.settle();
  for (const { history } of [a, b]) history.splice(0);
  a.all.lose('i1');
  await a.all.flush();
  await a.leases.close(); // the hub drains and ends
  a.all.close();
  await mesh.clock.advanceAsync(900);
  b.all.register('i1', ID, serving('i1'));
  await mesh.clock.advanceAsync(60_000);
  deepEqual(b.history, ['i1 v1 healthy']);
  deepEqual(
    (await mesh.store.list('instance/')).map(({ key }) => key),
    ['instance/2/i1'],
  );
});

test('Who leaves tells one of its hubs and means all', async () => {
  const mesh = new Fixture();
  const a = await mesh.hub('1');
  const b = await mesh.hub('2');
  for (const hub of [a, b]) hub.all.register('i1', ID, serving('i1'));
  await mesh.clock.settle();
  a.all.leave('i1');
  await mesh.clock.settle();
  for (const hub of [a, b]) equal(hub.state(), 'i1 v1 unhealthy');
});

test('An instance belongs to the identity that was known first, at every hub', async () => {
  const mesh = new Fixture();
  const a = await mesh.hub('1');
  const b = await mesh.hub('2');
  const c = await mesh.hub('3');
  a.all.register('i1', ID, serving('i1'));
  await mesh.clock.settle();
  equal(b.all.idOf('i1'), ID);
  // The calls of a hub refuse this; a hub that did not know yet may not have.
  b.all.register('i1', OTHER_ID, serving('i1', 'evil'));
  await mesh.clock.settle();
  for (const hub of [a, b, c]) deepEqual([hub.state(), hub.all.idOf('i1')], ['i1 v1 healthy', ID]);
  equal(c.log.of('instance-conflict').length, 1);
});

test('While the store is away each hub serves what it knew, registrations wait, and are told within 5 s of its return', async () => {
  const mesh = new Fixture();
  const a = await mesh.hub('1');
  const b = await mesh.hub('2');
  for (let i = 0; i < 100; i++) a.all.register(`i${i}`, ID, serving(`i${i}`));
  b.all.register('b1', ID, serving('b1'));
  await mesh.clock.advanceAsync(10_000);
  const before = b.state();
  for (const { history } of [a, b]) history.splice(1);
  a.store.cut();
  b.store.cut();
  a.all.register('new', ID, serving('new'));
  for (let i = 0; i < 1000; i++) a.all.register('i0', ID, serving('i0', `v${i + 2}`));
  a.all.lose('i1');
  await mesh.clock.advanceAsync(600_000);
  equal(b.state(), before, 'nobody was judged');
  equal(a.all.queuedWrites, 3, 'states wait, and no history');
  equal(a.log.of('registrations-not-stored').length, 1);
  a.store.heal();
  b.store.heal();
  ok(await mesh.clock.advanceUntil(() => a.all.queuedWrites === 0, 5000));
  const seen = b.state().split(', ');
  deepEqual(
    [
      seen.length,
      seen.includes('new v1 healthy'),
      seen.includes('i0 v1001 healthy'),
      seen.some((each) => each.startsWith('i1 ')),
    ],
    [101, true, true, false],
  );
  await mesh.clock.advanceAsync(60_000);
  deepEqual([a.state(), a.state().includes('b1')], [b.state(), true]);
});

test('A hub that was cut off so long that it was swept is back with all it holds', async () => {
  const mesh = new Fixture();
  const a = await mesh.hub('1');
  const b = await mesh.hub('2');
  for (let i = 0; i < 200; i++) a.all.register(`i${i}`, ID, serving(`i${i}`));
  await mesh.clock.advanceAsync(1000);
  a.store.cut();
  await mesh.clock.advanceAsync(60_000);
  equal(b.state(), '');
  equal((await mesh.store.list('instance/')).length, 0);
  a.store.heal();
  ok(await mesh.clock.advanceUntil(() => b.state() === a.state(), 5000));
  equal(b.state().split(', ').length, 200);
});

test('What a hub left behind when all were down is swept by the next that starts', async () => {
  const mesh = new Fixture();
  const a = await mesh.hub('1');
  a.all.register('i1', ID, serving('i1'));
  a.all.register('i2', ID, serving('i2'));
  await mesh.clock.settle();
  a.store.cut();
  await mesh.clock.advanceAsync(3_600_000);
  const again = await mesh.hub('2');
  equal(again.state(), 'i1 v1 healthy, i2 v1 healthy');
  again.all.register('i1', ID, serving('i1'));
  // The lease is over after 5 s, as far as the new hub can know.
  await mesh.clock.advanceAsync(7000);
  equal(again.state(), 'i1 v1 healthy, i2 v1 unhealthy');
  await mesh.clock.advanceAsync(60_000);
  equal(again.state(), 'i1 v1 healthy');
  deepEqual(
    (await mesh.store.list('')).map(({ key }) => key),
    ['instance/2/i1', 'lease/2'],
  );
});
