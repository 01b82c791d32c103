/** The test kit that users get: a whole mesh in this process, whose time and network are told what to do. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { createTestMesh, type TestMember, type TestMesh, type TestNat, type TraceLine } from '../../../src/testing.ts';
import { printFigures } from '../../support/figures.ts';

const hello = (): Response => new Response('hello');

async function startPair(mesh: TestMesh, nats: readonly [TestNat, TestNat] = ['cone', 'cone']) {
  const api = await mesh.addMember({ services: ['api'], nat: nats[0] });
  await api.serve('api', hello);
  const web = await mesh.addMember({ services: ['web'], nat: nats[1] });
  return { api, web };
}

async function ask(member: TestMember, url = 'http://api.mesh/'): Promise<string> {
  const reply = await member.fetch(url);
  return `${reply.status} ${await reply.text()}`;
}

test('createTestMesh() carries a request between two members, and time passes only for who waits', async () => {
  await using mesh = await createTestMesh({ seed: 7 });
  const { web } = await startPair(mesh);
  const before = mesh.clock.monotonicMs();
  equal(await ask(web), '200 hello');
  const after = mesh.clock.monotonicMs();
  ok(after > before, `${after - before} ms`);
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
  equal(mesh.clock.monotonicMs(), after);
  await mesh.advance({ minutes: 1, seconds: 5 });
  equal(mesh.clock.monotonicMs(), after + 65_000);
});

test('createTestMesh() gives WebCrypto back with the last mesh that is closed', async () => {
  const { digest } = crypto.subtle;
  const first = await createTestMesh();
  const second = await createTestMesh();
  ok(Object.hasOwn(crypto.subtle, 'digest'));
  await first.close();
  await startPair(second);
  await second.close();
  await second.close();
  equal(crypto.subtle.digest, digest);
  ok(!Object.hasOwn(crypto.subtle, 'digest'));
});

test('1,000 virtual seconds of ten members with requests under way', async () => {
  const startedMs = performance.now();
  await using mesh = await createTestMesh({ seed: 10 });
  const members: TestMember[] = [];
  for (let i = 0; i < 10; i++) {
    const member = await mesh.addMember({ services: [`s${i}`] });
    await member.serve(`s${i}`, hello);
    members.push(member);
  }
  const joinedMs = performance.now();
  let answers = 0;
  for (let second = 0; second < 1_000; second += 10) {
    const asked = members.map((member, i) => ask(member, `http://s${(i + 1) % 10}.mesh/`));
    for (const answer of await Promise.all(asked)) if (answer === '200 hello') answers++;
    await mesh.advance({ seconds: 10 });
  }
  equal(answers, 1_000);
  ok(mesh.clock.monotonicMs() >= 1_000_000);
  const nowMs = performance.now();
  printFigures('test mesh', {
    members: 10,
    virtualSeconds: 1_000,
    answers,
    joinedMs: Math.round(joinedMs - startedMs),
    realMs: Math.round(nowMs - joinedMs),
  });
});

test('The same seed gives the same trace, another one another', async () => {
  const run = async (seed: number): Promise<string[]> => {
    const trace: string[] = [];
    const onTrace = ({ atMs, what, from, to, bytes }: TraceLine): void => {
      trace.push(`${atMs} ${what} ${from} ${to} ${bytes}`);
    };
    await using mesh = await createTestMesh({ seed, onTrace });
    const { web } = await startPair(mesh);
    const other = await mesh.addMember({ services: ['api'] });
    await other.serve('api', hello);
    for (let i = 0; i < 20; i++) await ask(web);
    await mesh.advance({ seconds: 60 });
    return trace;
  };
  const [first, second, other] = [await run(3), await run(3), await run(4)];
  ok(first.length > 100);
  deepEqual(second, first);
  ok(other.join('\n') !== first.join('\n'));
});
