/** Mirror and registrar: what this member knows of the mesh, and what the mesh knows of it. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { Registrar } from '../../../src/agent/registrar.ts';
import type { ServedService } from '../../../src/control/messages.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { Catalogue, REFUSED } from '../../support/catalogue.ts';

const web = parseSpiffeId('spiffe://skein.mesh/ns/default/sa/web');
const ask = (path: string) => ({
  caller: web,
  service: 'api.default',
  port: 80,
  http: { method: 'GET', path, host: 'api.mesh', fields: [] },
});

test('Mirror denies everything until a hub has told of the policies', async () => {
  const catalogue = new Catalogue();
  const { mirror, clock } = catalogue;
  equal(mirror.authorizer.decide(ask('/')).allow, false);
  await catalogue.apply({ allow: [{}] });
  const attached = mirror.attach(catalogue.connect().channel);
  await clock.settle();
  await attached;
  equal(mirror.authorizer.decide(ask('/')).allow, true);
  equal(catalogue.policyChanges, 1);
});

test('Mirror tells of a change of policies, and of nothing else', async () => {
  const catalogue = new Catalogue();
  const { mirror, clock } = catalogue;
  mirror.attach(catalogue.connect().channel).catch(() => undefined);
  await catalogue.apply({ allow: [{}] });
  equal(catalogue.policyChanges, 1);
  const { authorizer } = mirror;
  mirror.watch('db.default').catch(() => undefined);
  await clock.settle();
  catalogue.put({
    ...{ kind: 'Endpoint', service: 'db.default', instance: 'i1', id: web.uri, port: 80, protocol: 'tcp' },
    ...{ labels: {}, region: '', zone: '', healthy: true, weight: 1 },
  });
  await clock.advanceAsync(100);
  equal(mirror.endpoints('db.default').length, 1);
  deepEqual([catalogue.policyChanges, mirror.authorizer === authorizer], [1, true]);
  await catalogue.apply({ deny: [{}] });
  deepEqual([catalogue.policyChanges, mirror.authorizer.decide(ask('/')).allow], [2, false]);
});

test('Mirror keeps what it knew while no hub is there, and takes over what the next one says', async () => {
  const catalogue = new Catalogue();
  const { mirror, clock } = catalogue;
  const first = catalogue.connect();
  mirror.attach(first.channel).catch(() => undefined);
  await catalogue.apply({ allow: [{}] });
  first.hub.close(REFUSED);
  await clock.advanceAsync(1000);
  equal(mirror.authorizer.decide(ask('/')).allow, true);
  catalogue.restart();
  const second = catalogue.connect();
  mirror.attach(second.channel).catch(() => undefined);
  await clock.advanceAsync(100);
  // The same policies from another hub are no change.
  deepEqual([catalogue.policyChanges, mirror.authorizer.decide(ask('/')).allow], [1, true]);
  await catalogue.apply({ allow: [{ to: [{ paths: ['/a'] }] }] });
  deepEqual(
    ['/a', '/b'].map((path) => mirror.authorizer.decide(ask(path)).allow),
    [true, false],
  );
});

test('Mirror ignores what a hub it has left still says', async () => {
  const catalogue = new Catalogue();
  const { mirror, clock } = catalogue;
  const old = catalogue.connect();
  mirror.attach(old.channel).catch(() => undefined);
  await clock.settle();
  const next = catalogue.connect();
  mirror.attach(next.channel).catch(() => undefined);
  await clock.settle();
  const before = mirror.stats.applied;
  await catalogue.apply({ allow: [{}] });
  equal(mirror.stats.applied, before + 1);
  mirror.detach(old.channel);
  await catalogue.apply({ deny: [{}] });
  equal(mirror.stats.applied, before + 2);
});

test('A policy that this version cannot read closes its namespace, and is named', async () => {
  const catalogue = new Catalogue();
  const { mirror } = catalogue;
  mirror.attach(catalogue.connect().channel).catch(() => undefined);
  await catalogue.apply({ allow: [{}] }, 'plain');
  await catalogue.apply({ allow: [{ whenTheMoonIs: 'full' }] }, 'newer');
  equal(mirror.authorizer.decide(ask('/')).allow, false);
  equal(catalogue.log.of('policy-unreadable')[0]?.fields.policy, 'default/newer');
});

function createRegistrar(): { catalogue: Catalogue; registrar: Registrar; services: ServedService[] } {
  const catalogue = new Catalogue();
  const services: ServedService[] = [];
  const registrar = new Registrar({
    clock: catalogue.clock,
    random: new SeededRandom(1),
    log: catalogue.log,
    instance: 'i1',
    region: 'eu',
    zone: undefined,
    services: () => [...services],
  });
  return { catalogue, registrar, services };
}

const served = (service: string): ServedService => ({ service, port: 80, protocol: 'http', labels: {}, healthy: true });

test('Registrar tells the whole, once for all that changes in a tick, and each new hub anew', async () => {
  const { catalogue, registrar, services } = createRegistrar();
  const { clock, registrations } = catalogue;
  // Without a hub there is nobody to wait for.
  services.push(served('a.default'));
  await registrar.changed();
  registrar.attach(catalogue.connect()).catch(() => undefined);
  await clock.settle();
  deepEqual(registrations, [{ instance: 'i1', region: 'eu', services: [served('a.default')] }]);
  services.push(served('b.default'));
  const one = registrar.changed();
  services.push(served('c.default'));
  const other = registrar.changed();
  await clock.settle();
  await Promise.all([one, other]);
  equal(registrations.length, 2);
  equal(registrations[1]?.services.length, 3);
  registrar.attach(catalogue.connect()).catch(() => undefined);
  await clock.settle();
  equal(registrations[2]?.services.length, 3);
});

test('Registrar tells who asked of a refusal, and goes on', async () => {
  const { catalogue, registrar, services } = createRegistrar();
  const { clock, registrations } = catalogue;
  const attached = registrar.attach(catalogue.connect());
  await clock.settle();
  await attached;
  catalogue.refusal = REFUSED;
  services.push(served('pay.default'));
  const refused = rejects(registrar.changed(), { code: 'SKEIN_NAME_NOT_GRANTED' });
  await clock.settle();
  await refused;
  equal(catalogue.log.of('services-not-registered').length, 1);
  catalogue.refusal = undefined;
  services.pop();
  const again = registrar.changed();
  await clock.settle();
  await again;
  deepEqual(registrations.at(-1)?.services, []);
});

test('Registrar tells every hub, waits for the first that knows, and leaves out one that is gone', async () => {
  const { catalogue, registrar, services } = createRegistrar();
  const { clock, registrations } = catalogue;
  const hubs = [catalogue.connect(), catalogue.connect(), catalogue.connect()] as const;
  for (const hub of hubs) registrar.attach(hub).catch(() => undefined);
  await clock.settle();
  equal(registrations.length, 3);
  hubs[0].channel.close(REFUSED);
  services.push(served('a.default'));
  const changed = registrar.changed();
  await clock.settle();
  await changed;
  equal(registrations.length, 5);
  // One that says nothing keeps nobody waiting.
  hubs[1].mute();
  services.push(served('b.default'));
  const again = registrar.changed();
  await clock.settle();
  await again;
  equal(registrations.at(-1)?.services.length, 2);
  const left = registrar.leave();
  await clock.settle();
  await left;
  equal(catalogue.leaves, 1);
});

test('Registrar tells again what a hub had no time for, until it knows or is told something newer', async () => {
  const { catalogue, registrar, services } = createRegistrar();
  const { clock, registrations } = catalogue;
  registrar.attach(catalogue.connect()).catch(() => undefined);
  await clock.settle();
  catalogue.refusal = new SkeinError('SKEIN_LIMIT', 'Cannot answer call: test');
  services.push(served('a.default'));
  const failed = rejects(registrar.changed(), { code: 'SKEIN_LIMIT' });
  await clock.settle();
  await failed;
  await clock.advanceAsync(20_000);
  const tries = catalogue.log.of('services-not-registered').length;
  ok(tries >= 3 && tries < 20, `${tries} tries in 20 s`);
  catalogue.refusal = undefined;
  await clock.advanceAsync(31_000);
  deepEqual(registrations.at(-1)?.services, [served('a.default')]);
  equal(registrations.length, 2);
  await clock.advanceAsync(60_000);
  equal(registrations.length, 2);
});

test('Registrar waits for no hub that goes meanwhile: the next one is told', async () => {
  const { catalogue, registrar, services } = createRegistrar();
  const hub = catalogue.connect();
  registrar.attach(hub).catch(() => undefined);
  await catalogue.clock.settle();
  hub.mute();
  services.push(served('a.default'));
  const changed = registrar.changed();
  await catalogue.clock.settle();
  hub.channel.close(new SkeinError('SKEIN_HUB_UNREACHABLE', 'Cannot go on: test'));
  await changed;
  deepEqual(catalogue.log.of('services-not-registered'), []);
});

test('Registrar that leaves says so, and registers nothing after it', async () => {
  const { catalogue, registrar, services } = createRegistrar();
  const { clock, registrations } = catalogue;
  registrar.attach(catalogue.connect()).catch(() => undefined);
  await clock.settle();
  const left = registrar.leave();
  await clock.settle();
  await left;
  services.push(served('a.default'));
  const changed = registrar.changed();
  registrar.attach(catalogue.connect()).catch(() => undefined);
  await clock.settle();
  await changed;
  deepEqual([catalogue.leaves, registrations.length], [1, 1]);
});
