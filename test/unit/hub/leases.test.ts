/** Leases: hubs that share a store know who lives, and judge nobody by what they cannot see. */

import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { Leases } from '../../../src/hub/leases.ts';
import { SharedStore } from '../../../src/testing/shared-store.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { EventLog } from '../../support/event-log.ts';

const LIMITS = { renewMs: 1000, renewals: 5, sweepAfterMs: 30_000 };

class Fixture {
  readonly clock = new VirtualClock();
  readonly store = new SharedStore();

  hub(own: string) {
    const line = this.store.connect();
    const log = new EventLog();
    const changes: string[] = [];
    const leases = new Leases({
      store: line,
      clock: this.clock,
      log,
      limits: LIMITS,
      own,
      onChange: (hub, isLive) => changes.push(`${this.clock.monotonicMs()} ${hub} ${isLive ? 'lives' : 'gone'}`),
    });
    const start = (): void => {
      leases.load();
      leases.start({ url: `ws://hub-${own}`, region: 'eu' });
    };
    return { leases, line, log, changes, start };
  }
}

test('Hubs of one store find each other, and one that gives its lease back is gone at once', async () => {
  const mesh = new Fixture();
  const a = mesh.hub('1');
  const b = mesh.hub('2');
  a.start();
  await mesh.clock.advanceAsync(300);
  b.start();
  await mesh.clock.settle();
  deepEqual(a.leases.others(), [{ hub: '2', url: 'ws://hub-2', region: 'eu' }]);
  deepEqual(b.leases.others(), [{ hub: '1', url: 'ws://hub-1', region: 'eu' }]);
  await mesh.clock.advanceAsync(600_000);
  await b.leases.close();
  deepEqual(a.changes, ['300 2 lives', '600300 2 gone']);
  deepEqual(b.changes, ['300 1 lives']);
  equal((await mesh.store.list('lease/2')).length, 0);
});

test('A lease that is not renewed is over after five renewals of the others, and swept later', async () => {
  const mesh = new Fixture();
  const a = mesh.hub('1');
  const b = mesh.hub('2');
  a.start();
  b.start();
  await mesh.clock.advanceAsync(10_500);
  b.line.cut(); // as killed: nobody gives its lease back
  await mesh.clock.advanceAsync(40_000);
  deepEqual(a.changes, ['0 2 lives', '15000 2 gone']);
  deepEqual(
    a.log.of('hub-gone').map(({ fields }) => fields),
    [{ hub: '2', url: 'ws://hub-2', drained: false }],
  );
  equal((await mesh.store.list('lease/2')).length, 0);
  // It was only cut off: swept or not, it is back with its next renewal.
  b.line.heal();
  await mesh.clock.advanceAsync(2000);
  equal(a.leases.isLive('2'), true);
  equal(b.leases.isLive('1'), true);
});

test('While the store is away nobody is judged, and afterwards everybody has a whole lease to come back', async () => {
  const mesh = new Fixture();
  const a = mesh.hub('1');
  const b = mesh.hub('2');
  a.start();
  b.start();
  await mesh.clock.advanceAsync(3_500);
  b.line.cut();
  await mesh.clock.advanceAsync(4_000); // four fifths of the lease
  a.line.cut();
  await mesh.clock.advanceAsync(600_000);
  equal(a.leases.isCurrent, false);
  equal(a.log.of('lease-not-renewed').length, 1, 'said once');
  a.line.heal();
  await mesh.clock.advanceAsync(4_000);
  b.line.heal();
  await mesh.clock.advanceAsync(60_000);
  deepEqual([a.changes, b.changes], [['0 2 lives'], ['0 1 lives']]);
  deepEqual([a.leases.isCurrent, b.leases.isCurrent], [true, true]);
});

test('A hub whose watch brings nothing judges nobody, though its writes are taken', async () => {
  const mesh = new Fixture();
  const a = mesh.hub('1');
  const b = mesh.hub('2');
  b.start();
  await mesh.clock.settle();
  // Its watch is cut, its writes are not.
  const deaf = mesh.store.connect();
  const changes: string[] = [];
  const leases = new Leases({
    store: Object.assign(mesh.store.connect(), { watch: deaf.watch.bind(deaf) }),
    clock: mesh.clock,
    log: a.log,
    limits: LIMITS,
    own: '3',
    onChange: (hub, isLive) => changes.push(`${hub} ${isLive}`),
  });
  leases.load();
  leases.start({ url: '', region: '' });
  await mesh.clock.advanceAsync(2000);
  deaf.cut();
  await mesh.clock.advanceAsync(60_000);
  deepEqual([changes, leases.isLive('2'), leases.isCurrent], [['2 true'], true, false]);
});

test('A hub that stood still judges nobody by the time it has slept', async () => {
  const mesh = new Fixture();
  const a = mesh.hub('1');
  const b = mesh.hub('2');
  a.start();
  b.start();
  await mesh.clock.advanceAsync(2500);
  // Neither ran for 15 s: timers fire late, one of each.
  mesh.clock.advance(15_000);
  await mesh.clock.advanceAsync(10_000);
  deepEqual([a.changes, b.changes], [['0 2 lives'], ['0 1 lives']]);
});
