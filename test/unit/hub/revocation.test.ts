/** Revocation: an identity ends at once, everywhere, and stays out until it is told otherwise. */

import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Agent } from '../../../src/agent/agent.ts';
import { MAX_REVOCATIONS } from '../../../src/control/limits.ts';
import { RevocationAssembler, splitRevocations } from '../../../src/control/revocation-parts.ts';
import { MemoryStore } from '../../../src/hub/store/memory.ts';
import { printFigures } from '../../support/figures.ts';
import { folder } from '../../support/folder.ts';
import { RecordingHandler, send } from '../../support/http.ts';
import { percentiles } from '../../support/load.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

const API = 'spiffe://skein.mesh/ns/default/sa/api';
const WEB = 'spiffe://skein.mesh/ns/default/sa/web';
const HOUR_MS = 3_600_000;

const answering = (text = 'ok') => new RecordingHandler((request) => request.answer(200, text));

const keyOf = async (mesh: VirtualMesh, agent: Agent): Promise<string> => {
  const { answer } = await mesh.admin('status');
  const sidecars = answer.sidecars as { instance: string; key: string }[];
  return sidecars.find(({ instance }) => instance === agent.instance)?.key ?? '';
};

/** What is revoked after that time, and after another change, which looks through what there is. */
async function idsAfter(mesh: VirtualMesh, ms: number): Promise<string[]> {
  mesh.clock.shiftEpoch(ms);
  await mesh.admin('revocations', { body: { id: API } });
  const { answer } = await mesh.admin('revocations');
  return (answer.revocations as { id: string }[]).map(({ id }) => id);
}

/** A service and a caller that has a session with it. */
async function createPair(t: TestContext, options: { readonly dataFolder?: string } = {}) {
  const mesh = new VirtualMesh(t);
  await mesh.startHub(options);
  const api = await mesh.join(['api']);
  await mesh.serve(api.agent, 'api.default', { protocol: 'http', handler: answering() });
  const web = await mesh.join(['web']);
  equal((await mesh.ask(web.agent)).text, 'ok');
  return { mesh, api, web };
}

test('Who is revoked is cut off within a second, refused from then on, and taken again when that is undone', async (t) => {
  const { mesh, api, web } = await createPair(t);
  const waiting = await mesh.token('web');
  const session = [...web.agent.peers.sessions()][0];
  ok(session?.isOpen);
  const fromMs = mesh.clock.monotonicMs();
  const { status, answer } = await mesh.admin('revocations', { body: { id: WEB, reason: 'its host was stolen' } });
  equal(status, 201);
  equal(answer.closed, 1);
  await mesh.until(() => !session.isOpen && api.agent.peers.size === 0 && web.log.of('hub-lost').length === 1, 1000);
  ok(mesh.clock.monotonicMs() - fromMs < 1000);
  match(String(web.log.of('hub-lost')[0]?.fields.error), /has been revoked/);
  equal(web.log.of('hub-lost')[0]?.fields.reason, 'revoked');
  deepEqual(
    mesh.log.of('identity-revoked').map(({ fields }) => [fields.id, fields.reason, fields.tokens]),
    [[WEB, 'its host was stolen', 1]],
  );

  // It dials for ever, and is never let in.
  await mesh.clock.advanceAsync(15_000);
  equal(web.log.of('hub-connected').length, 1);
  ok(web.log.of('hub-refused').length > 2);
  // A token that was made before is gone; one that is made now is not used up.
  const held = await mesh.createAgent({ token: waiting });
  await rejects(mesh.run(held.agent.start()), { code: 'SKEIN_TOKEN_INVALID' });
  const token = await mesh.token('web');
  const early = await mesh.createAgent({ token });
  await rejects(mesh.run(early.agent.start()), { code: 'SKEIN_REVOKED' });

  equal((await mesh.admin('revocations/undo', { body: { id: WEB } })).status, 200);
  equal((await mesh.admin('revocations/undo', { body: { id: WEB } })).status, 404);
  deepEqual(
    mesh.log.of('admin-change').map(({ fields }) => [fields.action, fields.id, fields.outcome]),
    [
      ['POST /v1/revocations', WEB, 'done'],
      ['POST /v1/revocations/undo', WEB, 'done'],
      ['POST /v1/revocations/undo', undefined, 'SKEIN_RESOURCE_INVALID'],
    ],
  );
  await mesh.until(() => web.log.of('hub-connected').length === 2);
  equal((await mesh.ask(web.agent)).text, 'ok');
  await mesh.join(['web'], { token });
});

test('Streams of the revoked end with that reason at both ends, and are not waited for', async (t) => {
  const { mesh, api, web } = await createPair(t);
  const never = new RecordingHandler();
  const other = await mesh.join(['slow']);
  await mesh.serve(other.agent, 'slow.default', { protocol: 'http', handler: never });
  const reply = send(web.agent.outbound, { authority: 'slow.mesh' });
  await mesh.until(() => never.seen.length === 1);
  await mesh.admin('revocations', { body: { id: WEB } });
  await mesh.until(() => reply.isOver && never.seen[0]?.aborted !== undefined, 1000);
  equal(never.seen[0]?.aborted?.code, 'SKEIN_REVOKED');
  equal(reply.outcome, 'SKEIN_REVOKED');
  equal(api.agent.peers.size, 0);
});

test('Nobody chooses the instances of a revoked service; callers are told at once', async (t) => {
  const { mesh, web } = await createPair(t);
  await mesh.admin('revocations', { body: { id: API } });
  await mesh.until(() => web.agent.peers.size === 0, 1000);
  const reply = await mesh.ask(web.agent);
  ok(['SKEIN_NO_SUCH_SERVICE', 'SKEIN_NO_ENDPOINT'].includes(reply.outcome), reply.outcome);
});

test('With rejoin it holds for what was issued until now: a new token lets in, an old SVID does not', async (t) => {
  const { mesh, api, web } = await createPair(t);
  await mesh.admin('revocations', { body: { id: WEB, rejoin: true } });
  await mesh.until(() => api.agent.peers.size === 0, 1000);
  await mesh.clock.advanceAsync(10_000);
  const again = await mesh.join(['web'], { limits: { renewAfterMs: 60_000 } });
  equal(web.log.of('hub-connected').length, 1);
  web.agent.close();
  equal((await mesh.ask(again.agent)).text, 'ok');
  // Renewals do not make an old member of the new one, nor the other way round.
  await mesh.until(() => again.log.of('identity-renewed').length === 2, HOUR_MS);
  equal((await mesh.ask(again.agent)).text, 'ok');
  // Its last SVID has expired by now: nothing is left to be refused.
  deepEqual(await idsAfter(mesh, 25 * HOUR_MS), [API]);
});

test('By its key one instance is revoked, and the others of that identity go on', async (t) => {
  const { mesh, api, web } = await createPair(t);
  const twin = await mesh.join(['web']);
  equal((await mesh.ask(twin.agent)).text, 'ok');
  const key = await keyOf(mesh, twin.agent);
  await mesh.admin('revocations', { body: { id: WEB, key } });
  await mesh.until(() => api.agent.peers.size === 1, 1000);
  equal((await mesh.ask(web.agent)).text, 'ok');
  await mesh.clock.advanceAsync(10_000);
  equal(twin.log.of('hub-connected').length, 1);
  equal(web.log.of('hub-connected').length, 1);
  // It is renewed no more, so that it has expired by then.
  deepEqual(await idsAfter(mesh, 25 * HOUR_MS), [API]);
});

test('An identity that is revoked as a whole stays so for weeks', async (t) => {
  const { mesh } = await createPair(t);
  await mesh.admin('revocations', { body: { id: WEB } });
  deepEqual(await idsAfter(mesh, 21 * 24 * HOUR_MS), [WEB, API]);
});

test('It survives a restart of the hub, and a member that restarts knows it before anybody reaches it', async (t) => {
  const mesh = new VirtualMesh(t);
  const dataFolder = folder(t);
  const first = await mesh.startHub({ dataFolder });
  const data = folder(t);
  const api = await mesh.join(['api'], { data });
  await mesh.serve(api.agent, 'api.default', { protocol: 'http', handler: answering() });
  const web = await mesh.join(['web']);
  equal((await mesh.ask(web.agent)).text, 'ok');
  await mesh.admin('revocations', { body: { id: WEB } });
  api.agent.close();
  await mesh.run(first.close());
  await mesh.startHub({ dataFolder });
  const again = await mesh.createAgent({ data });
  await mesh.run(again.agent.start());
  equal(again.agent.identity.revocations.list.entries.length, 1);
  const order = again.log.lines.map(({ event }) => event);
  ok(order.indexOf('revocations-changed') < order.indexOf('hub-connected'));
  await mesh.clock.advanceAsync(15_000);
  equal(web.log.of('hub-connected').length, 1);
});

test('Hubs that share a store refuse it together, and a hub that knows less unsays nothing', async (t) => {
  const mesh = new VirtualMesh(t);
  const one = await mesh.startShared(7000);
  const two = await mesh.startShared(7001);
  const api = await mesh.join(['api'], { hub: [two.url, one.url] });
  await mesh.serve(api.agent, 'api.default', { protocol: 'http', handler: answering() });
  const web = await mesh.join(['web'], { hub: two.url });
  equal((await mesh.ask(web.agent)).text, 'ok');
  await mesh.admin('revocations', { body: { id: WEB } }, one);
  await mesh.until(() => api.agent.peers.size === 0 && web.log.of('hub-lost').length === 1, 1000);

  const { list } = api.agent.identity.revocations;
  equal(await api.agent.identity.revoke({ number: list.number, entries: [] }), false);
  equal(await api.agent.identity.revoke({ number: list.number - 1, entries: [] }), false);
  equal(api.agent.identity.revocations.list, list);
});

test('Behind a store that was put back the next change has a later number than all before', async (t) => {
  const mesh = new VirtualMesh(t);
  const stores = [new MemoryStore(), new MemoryStore()] as const;
  const before = await mesh.startHub({ store: stores[0] });
  const numbers: number[] = [];
  for (const id of [WEB, API])
    numbers.push(Number((await mesh.admin('revocations', { body: { id } }, before)).answer.number));
  await mesh.clock.advanceAsync(1000);
  const restored = await mesh.startHub({ store: stores[1] }, 7001);
  numbers.push(Number((await mesh.admin('revocations', { body: { id: API } }, restored)).answer.number));
  deepEqual(
    numbers,
    [...new Set(numbers)].sort((a, b) => a - b),
  );
});

const REFUSED: readonly (readonly [name: string, body: object])[] = [
  ['no id', {}],
  ['no SPIFFE id', { id: 'api' }],
  ['another member', { id: WEB, until: 'tomorrow' }],
  ['the identity of the hubs', { id: 'spiffe://skein.mesh/ns/skein/sa/hub' }],
  ['a key that is none', { id: WEB, key: 'abc' }],
  ['a long reason', { id: WEB, reason: 'x'.repeat(201) }],
];

test('What cannot be revoked is refused, and changes nothing', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  for (const [name, body] of REFUSED) equal((await mesh.admin('revocations', { body })).status, 422, name);
  deepEqual((await mesh.admin('revocations')).answer, { number: 0, revocations: [] });
});

test('The longest list reaches members in parts, and one more is refused', async (t) => {
  const mesh = new VirtualMesh(t);
  const long = (i: number) => `spiffe://${'d'.repeat(255)}/ns/${'n'.repeat(63)}/sa/${'s'.repeat(63)}${i}`;
  const stored = Array.from({ length: MAX_REVOCATIONS - 1 }, (_, i) => ({
    id: long(i),
    atMs: 1,
    reason: 'r'.repeat(200),
  }));
  const store = new MemoryStore();
  await store.compareAndSet('hub/revocations', 0, JSON.stringify({ number: 1, entries: stored }));
  await mesh.startHub({ store });
  equal((await mesh.admin('revocations', { body: { id: long(MAX_REVOCATIONS - 1) } })).status, 201);
  equal((await mesh.admin('revocations', { body: { id: WEB } })).status, 503);
  const { agent } = await mesh.join(['api']);
  const { entries } = agent.identity.revocations.list;
  equal(entries.length, MAX_REVOCATIONS);
  equal(entries.at(-1)?.id, long(MAX_REVOCATIONS - 1));
});

test('Parts of two lists are not mixed, and a list without end is refused', () => {
  const entries = Array.from({ length: 900 }, (_, i) => ({ id: `spiffe://a/${'x'.repeat(100)}${i}` }));
  const [first, ...rest] = splitRevocations({ number: 7, entries });
  ok(first !== undefined && rest.length > 0);
  const assembler = new RevocationAssembler();
  equal(assembler.push(first), undefined);
  deepEqual(assembler.push({ number: 8, more: false, entries: [] }), { number: 8, entries: [] });
  const parts = [first, ...rest].map((part) => assembler.push(part));
  deepEqual(parts.at(-1), { number: 7, entries });
  assembler.push(first);
  for (const part of rest.slice(0, -1)) assembler.push(part);
  let error: unknown;
  for (let i = 0; i < 20 && error === undefined; i++) {
    try {
      assembler.push({ ...first, more: true });
    } catch (thrown) {
      error = thrown;
    }
  }
  equal((error as { code?: string } | undefined)?.code, 'SKEIN_LIMIT');
});

test('Of 20 callers each is cut off within a second of being revoked', async (t) => {
  const mesh = new VirtualMesh(t);
  mesh.network.latencyMs = 40;
  await mesh.startHub();
  const api = await mesh.join(['api']);
  await mesh.serve(api.agent, 'api.default', { protocol: 'http', handler: answering() });
  const times: number[] = [];
  for (let i = 0; i < 20; i++) {
    const { agent } = await mesh.join([`web-${i}`]);
    equal((await mesh.ask(agent)).text, 'ok');
    const fromMs = mesh.clock.monotonicMs();
    await mesh.admin('revocations', { body: { id: `spiffe://skein.mesh/ns/default/sa/web-${i}` } });
    await mesh.until(() => api.agent.peers.size === 0);
    times.push(mesh.clock.monotonicMs() - fromMs);
    agent.close();
  }
  const { p50Ms, p99Ms } = percentiles(times);
  printFigures('revocation, one way of 40 ms', { sessions: times.length, p50Ms, p99Ms });
  ok(p99Ms <= 1000);
});
