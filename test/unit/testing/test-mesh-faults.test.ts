/** What a test can do to a mesh of the test kit, and what its streams make of it: NATs, partitions, loss, and the end of hubs. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { createTestMesh, type TestMember, type TestMesh, type TestNat } from '../../../src/testing.ts';
import { printFigures } from '../../support/figures.ts';

async function startPair(mesh: TestMesh, nats: readonly [TestNat, TestNat]) {
  const api = await mesh.addMember({ services: ['api'], nat: nats[0] });
  await api.serve('api', () => new Response('hello'));
  const web = await mesh.addMember({ services: ['web'], nat: nats[1] });
  return { api, web };
}

async function ask(member: TestMember): Promise<string> {
  const reply = await member.fetch('http://api.mesh/');
  return `${reply.status} ${await reply.text()}`;
}

/** An answer of so many lines, one each second. */
function countTo(mesh: TestMesh, last: number): Response {
  let line = 0;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      await mesh.sleep({ seconds: 1 });
      controller.enqueue(new TextEncoder().encode(`${++line}\n`));
      if (line === last) controller.close();
    },
  });
  return new Response(body);
}

const numbers = (last: number): string => Array.from({ length: last }, (_, i) => `${i + 1}\n`).join('');

const NATS: readonly [TestNat, TestNat, 'direct' | 'relayed'][] = [
  ['cone', 'cone', 'direct'],
  ['resetting', 'resetting', 'direct'],
  ['cone', 'resetting', 'direct'],
  ['resetting', 'cone', 'direct'],
  ['cone', 'symmetric', 'relayed'],
  ['symmetric', 'cone', 'relayed'],
  ['symmetric', 'symmetric', 'relayed'],
  ['public', 'symmetric', 'direct'],
  ['symmetric', 'public', 'direct'],
  ['public', 'public', 'direct'],
  ['blocked', 'public', 'relayed'],
  ['cone', 'blocked', 'relayed'],
];

test('Two NATs let a direct path through, or not, as docs/nat.md says', async () => {
  const found: Record<string, string> = {};
  for (const [callee, caller, expected] of NATS) {
    await using mesh = await createTestMesh({ seed: 5 });
    const { api, web } = await startPair(mesh, [callee, caller]);
    equal(await ask(web), '200 hello');
    equal(web.pathTo(api), 'relayed');
    if (expected === 'direct') await mesh.until(() => web.pathTo(api) === 'direct' && api.pathTo(web) === 'direct');
    else await mesh.advance({ minutes: 2 });
    equal(web.pathTo(api), expected, `${callee}, ${caller}`);
    equal(await ask(web), '200 hello');
    found[`${caller} to ${callee}`] = expected;
  }
  printFigures('test mesh, NATs', found);
});

test('A partition of two members leaves them the relay, and heals', async () => {
  await using mesh = await createTestMesh({ seed: 6 });
  const { api, web } = await startPair(mesh, ['cone', 'cone']);
  equal(await ask(web), '200 hello');
  await mesh.until(() => web.pathTo(api) === 'direct');
  mesh.partition(api, web);
  equal(await ask(web), '200 hello');
  equal(web.pathTo(api), 'relayed');
  await mesh.advance({ minutes: 3 });
  equal(web.pathTo(api), 'relayed');
  mesh.heal();
  equal(await ask(web), '200 hello');
  await mesh.advance({ minutes: 20 });
  equal(await ask(web), '200 hello');
  await mesh.until(() => web.pathTo(api) === 'direct');
});

test('A member that is cut off from all is missed, and its stream goes on when it is back', async () => {
  await using mesh = await createTestMesh({ seed: 8 });
  const { api, web } = await startPair(mesh, ['cone', 'cone']);
  await api.serve('count', () => countTo(mesh, 30)).catch(() => undefined);
  await (await mesh.addMember({ services: ['count'] })).serve('count', () => countTo(mesh, 30));
  const reply = await web.fetch('http://count.mesh/');
  await mesh.advance({ seconds: 5 });
  mesh.partition(web);
  await mesh.advance({ seconds: 15 });
  mesh.heal();
  equal(await reply.text(), numbers(30));
});

test('20 % loss loses no request', async () => {
  await using mesh = await createTestMesh({ seed: 9 });
  const { api, web } = await startPair(mesh, ['cone', 'cone']);
  mesh.setLoss(api, 0.2);
  const startedMs = mesh.clock.monotonicMs();
  const answers = new Map<string, number>();
  for (let i = 0; i < 300; i++) {
    const answer = await ask(web);
    answers.set(answer, (answers.get(answer) ?? 0) + 1);
  }
  deepEqual([...answers], [['200 hello', 300]]);
  const meanMs = (mesh.clock.monotonicMs() - startedMs) / 300;
  printFigures('test mesh, loss', { loss: 0.2, requests: 300, failed: 0, meanMs: Math.round(meanMs) });
  ok(meanMs > 100, `${meanMs} ms`);
});

for (const kind of ['killed and started again', 'killed for good, with another one there', 'drained'] as const) {
  test(`Streams go on when their hub is ${kind}`, async () => {
    await using mesh = await createTestMesh({ seed: 11 });
    const [first] = mesh.hubs;
    if (first === undefined) throw new Error('no hub');
    if (kind !== 'killed and started again') await mesh.addHub();
    const { api, web } = await startPair(mesh, ['blocked', 'blocked']);
    const counter = await mesh.addMember({ services: ['count'], nat: 'blocked' });
    await counter.serve('count', () => countTo(mesh, 40));
    const reply = await web.fetch('http://count.mesh/');
    const text = reply.text();
    await mesh.advance({ seconds: 5 });
    if (kind === 'drained') await first.drain();
    else mesh.kill(first);
    equal(first.isRunning, false);
    await mesh.advance({ seconds: 10 });
    if (kind === 'killed and started again') await mesh.restart(first);
    equal(await text, numbers(40));
    equal(await ask(web), '200 hello');
    equal(web.pathTo(api), 'relayed');
  });
}

test('Whoever is cut dials again, and whoever is killed is gone', async () => {
  await using mesh = await createTestMesh({ seed: 12 });
  const { api, web } = await startPair(mesh, ['cone', 'cone']);
  equal(await ask(web), '200 hello');
  mesh.cut(api);
  equal(await ask(web), '200 hello');
  mesh.kill(api);
  deepEqual(mesh.members, [web]);
  equal((await web.fetch('http://api.mesh/')).headers.get('x-skein-reason'), 'session-lost');
  await mesh.advance({ minutes: 1 });
  equal((await web.fetch('http://api.mesh/')).headers.get('x-skein-reason'), 'no-such-service');
});
