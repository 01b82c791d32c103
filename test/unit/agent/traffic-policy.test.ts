/** A BackendTrafficPolicy from the hub to both ends of a call: the caller keeps to an instance, and the callee to its limits. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Agent } from '../../../src/agent/agent.ts';
import { type Fields, getField } from '../../../src/http/head.ts';
import { Replica } from '../../support/replica.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

async function start(t: TestContext, count: number) {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const replicas: Replica[] = [];
  for (let i = 0; i < count; i++) replicas.push(await Replica.start(mesh));
  const callers = [(await mesh.join(['web'])).agent, (await mesh.join(['batch'])).agent];
  for (const caller of callers) {
    await mesh.run(caller.mirror.watch('api.default'));
    await mesh.until(() => caller.mirror.endpoints('api.default').length === count);
  }
  const apply = async (spec: object): Promise<void> => {
    const metadata = { name: 'p', namespace: 'default' };
    const whole = { targetRefs: [{ name: 'api' }], ...spec };
    await mesh.run(mesh.hub.apply([{ kind: 'BackendTrafficPolicy', metadata, spec: whole }]));
    await mesh.clock.advanceAsync(500);
  };
  const [web, batch] = callers as [Agent, Agent];
  return { mesh, replicas, web, batch, apply };
}

/** Asks, and tells which replica has got it. */
async function ask(mesh: VirtualMesh, agent: Agent, replicas: readonly Replica[], fields: Fields = []) {
  const before = replicas.map(({ seen }) => seen.length);
  const reply = await mesh.ask(agent, { fields });
  return { reply, index: replicas.findIndex(({ seen }, i) => seen.length > (before[i] as number)) };
}

test('A session that began at one sidecar goes on at another one, with the same instance', async (t) => {
  const { mesh, replicas, web, batch, apply } = await start(t, 4);
  await apply({ sessionPersistence: { sessionName: 'sid', absoluteTimeout: '1h' } });
  for (let round = 0; round < 5; round++) {
    const first = await ask(mesh, web, replicas);
    const cookie = getField(first.reply.head?.fields ?? [], 'set-cookie')?.split(';')[0] ?? '';
    for (const agent of [web, batch, web, batch]) {
      equal((await ask(mesh, agent, replicas, ['cookie', cookie])).index, first.index);
    }
  }
  await mesh.clock.advanceAsync(3_600_000);
  const late = await ask(mesh, web, replicas, ['cookie', 'sid=0123456789abcdef.1.1']);
  ok(getField(late.reply.head?.fields ?? [], 'set-cookie') !== undefined, 'an old one begins anew');
});

test('The same value leads to the same instance from every sidecar', async (t) => {
  const { mesh, replicas, web, batch, apply } = await start(t, 4);
  await apply({
    loadBalancer: { type: 'ConsistentHash', consistentHash: { type: 'Header', header: { name: 'x-user' } } },
  });
  const assigned = async (agent: Agent): Promise<number[]> => {
    const indexes: number[] = [];
    for (let i = 0; i < 30; i++) indexes.push((await ask(mesh, agent, replicas, ['x-user', `user-${i}`])).index);
    return indexes;
  };
  const [first, second] = [await assigned(web), await assigned(batch)];
  deepEqual(first, second);
  ok(new Set(first).size >= 3, String(first));
});

test('An instance that only serves is told what its callers may, and holds them to it, each to his own', async (t) => {
  const { mesh, replicas, web, batch, apply } = await start(t, 1);
  const id = 'spiffe://skein.mesh/ns/default/sa/batch';
  const statuses = async (agent: Agent): Promise<(number | undefined)[]> => {
    const seen: (number | undefined)[] = [];
    for (let i = 0; i < 4; i++) seen.push((await ask(mesh, agent, replicas)).reply.head?.status);
    return seen;
  };
  deepEqual(await statuses(web), [200, 200, 200, 200]);
  await apply({
    rateLimit: { perCaller: { requests: 3, interval: '1m' }, overrides: [{ ids: [id], requests: 1, interval: '1m' }] },
  });
  deepEqual(await statuses(web), [200, 200, 200, 429]);
  deepEqual(await statuses(batch), [200, 429, 429, 429]);
  await apply({});
  deepEqual(await statuses(batch), [200, 200, 200, 200]);
});
