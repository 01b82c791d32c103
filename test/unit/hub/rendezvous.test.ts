/** Rendezvous: who may hear where another member is, and whom a hub names as reflectors. */

import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict';
import { test } from 'node:test';
import type { Member } from '../../../src/hub/presence.ts';
import { Rendezvous } from '../../../src/hub/rendezvous.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { RecordingHandler } from '../../support/http.ts';
import { createIdentity, HubClient } from '../../support/hub-client.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

const member = (instance: string, observedIp?: string): Member => ({ instance, observedIp }) as Member;

test('introduce tells two with a circuit where the hub sees each, and nobody else anything', () => {
  const rendezvous = new Rendezvous(new SeededRandom(1));
  const [a, b] = [member('a', '198.51.100.2'), member('b', '192.0.2.2')];
  const told = { own: '198.51.100.2', peer: '192.0.2.2', isSameNetwork: false, reflectors: [] };
  deepEqual(rendezvous.introduce(a, b, true), told);
  throws(() => rendezvous.introduce(a, b, false), { code: 'SKEIN_REFUSED' });
  throws(() => rendezvous.introduce(a, undefined, true), { code: 'SKEIN_REFUSED' });
  deepEqual(rendezvous.introduce(member('c'), b, true), { peer: '192.0.2.2', isSameNetwork: false, reflectors: [] });
});

test('Members are in one network if both say the same label, and neither hears it', () => {
  const rendezvous = new Rendezvous(new SeededRandom(1));
  const [a, b, c] = [member('a'), member('b'), member('c')];
  rendezvous.note(a, { network: 'office' });
  rendezvous.note(b, { network: 'office' });
  rendezvous.note(c, { network: 'home' });
  const same = (one: Member, other: Member): boolean => rendezvous.introduce(one, other, true).isSameNetwork;
  deepEqual(
    [same(a, b), same(b, a), same(a, c), same(c, member('d')), same(member('d'), member('e'))],
    [true, true, false, false, false],
  );
  rendezvous.note(b, {});
  equal(same(a, b), false);
});

test('Reflectors are other members with an open listener, where the hub sees them and nowhere else, four at most', () => {
  const rendezvous = new Rendezvous(new SeededRandom(7));
  const [a, b] = [member('a', '198.51.100.2'), member('b', '192.0.2.2')];
  rendezvous.note(a, { port: 7443 });
  rendezvous.note(b, { port: 7443 });
  rendezvous.note(member('hidden'), { port: 7443 });
  rendezvous.note(member('inside', '10.0.0.9'), { port: 7443 });
  rendezvous.note(member('beside', '198.51.100.2'), { port: 7444 });
  deepEqual(rendezvous.introduce(a, b, true).reflectors, []);
  const open = Array.from({ length: 9 }, (_, i) => member(`r${i}`, `203.0.113.${i}`));
  for (const each of open) rendezvous.note(each, { port: 9000 });
  const { reflectors } = rendezvous.introduce(a, b, true);
  equal(new Set(reflectors).size, 4);
  for (const address of reflectors) ok(/^203\.0\.113\.\d:9000$/.test(address), address);
  for (const each of open) rendezvous.forget(each);
  deepEqual(rendezvous.introduce(a, b, true).reflectors, []);
});

test('A hub introduces those who share a circuit, as long as they do', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const { agent } = await mesh.join(['api']);
  const handler = new RecordingHandler((request) => request.answer(200, 'ok'));
  await mesh.serve(agent, 'api.default', { protocol: 'http', handler });
  const client = await mesh.run(
    HubClient.connect(mesh.platform, 'ws://10.0.0.1:7000', await mesh.run(createIdentity()), await mesh.token('web')),
  );
  t.after(() => client.close());
  const introduce = () => mesh.run(client.channel.call('introduce', { instance: agent.instance }));
  await rejects(introduce(), { code: 'SKEIN_REFUSED' });
  const circuit = client.link.openCircuit();
  await mesh.run(client.channel.call('openCircuit', { instance: agent.instance, circuit: circuit.id }));
  await mesh.clock.settle();
  equal((await introduce()).isSameNetwork, false);
  circuit.close(0);
  await mesh.clock.settle();
  await rejects(introduce(), { code: 'SKEIN_REFUSED' });
  // A member finds out where it stands without any help of a test.
  const { agent: caller } = await mesh.join(['other']);
  equal((await mesh.ask(caller)).head?.status, 200);
});
