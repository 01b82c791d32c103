/** A member of two hubs: it has links to both, follows one, and the loss of either costs it nothing that it knew or had begun. */

import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Agent } from '../../../src/agent/agent.ts';
import { RecordingHandler } from '../../support/http.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';
import { WrongClock } from '../../support/wrong-clock.ts';

const HOUR_MS = 3_600_000;
const A = 'ws://10.0.0.1:7000';
const B = 'ws://10.0.0.1:7001';
const C = 'ws://10.0.0.1:7002';
const BOTH = [A, B];

/** State of each hub, in the order of preference; the primary is marked. */
function statesOf(agent: Agent): string[] {
  return agent.hubs.map(({ state, isPrimary }) => (isPrimary ? `${state}*` : state));
}

const MORE = { kind: 'AuthorizationPolicy', metadata: { name: 'more', namespace: 'default' }, spec: { allow: [{}] } };
const TCP = { protocol: 'tcp', accept: () => undefined } as const;

function describeKnown({ mirror }: Agent): string {
  const endpoints = mirror.endpoints('api.default').length;
  const policies = mirror.snapshot.manifests('AuthorizationPolicy').length;
  return `${endpoints} ${endpoints === 1 ? 'endpoint' : 'endpoints'}, ${policies} ${policies === 1 ? 'policy' : 'policies'}`;
}

function isBoth(agent: Agent): boolean {
  return agent.hubs.filter(({ state }) => state === 'connected').length === 2;
}

async function startBoth(t: TestContext): Promise<VirtualMesh> {
  const mesh = new VirtualMesh(t);
  await mesh.startShared(7000);
  await mesh.startShared(7001);
  return mesh;
}

/** A server of `api` and a caller, each with links to both hubs. */
async function joinBoth(mesh: VirtualMesh) {
  const server = await mesh.join(['api'], { hub: BOTH });
  const caller = await mesh.join(['web'], { hub: BOTH });
  await mesh.until(() => isBoth(server.agent) && isBoth(caller.agent));
  return { server: server.agent, caller: caller.agent, log: caller.log };
}

test('Enrols at the first hub, and has a link to the second one by its SVID', async (t) => {
  const mesh = await startBoth(t);
  const { agent, log } = await mesh.join(['api'], { hub: BOTH });
  await mesh.until(() => isBoth(agent));
  deepEqual(statesOf(agent), ['connected*', 'connected']);
  equal(agent.hub, A);
  equal(mesh.log.of('sidecar-enrolled').length, 1);
  deepEqual(
    log.of('hub-connected').map(({ fields }) => [fields.hub, fields.role]),
    [
      [A, 'primary'],
      [B, 'standby'],
    ],
  );
});

test('Each hub is tried for ever, apart from the other', async (t) => {
  const mesh = await startBoth(t);
  const { agent, log } = await mesh.join(['api'], { hub: BOTH });
  await mesh.until(() => isBoth(agent));
  const events: string[] = [];
  agent.events.on('connected', ({ hub }) => events.push(`connected ${hub}`));
  agent.events.on('disconnected', () => events.push('disconnected'));
  mesh.kill(A);
  await mesh.until(() => agent.hub === B, 100);
  deepEqual(events, []);
  mesh.kill(B);
  await mesh.until(() => agent.hub === undefined, 100);
  deepEqual(events, ['disconnected']);
  const since = mesh.network.dials.length;
  await mesh.clock.advanceAsync(HOUR_MS);
  for (const url of BOTH) {
    const times = mesh.network.dials.slice(since).flatMap((dial) => (dial.url === url ? [dial.atMs] : []));
    ok(times.length > 250 && times.length < 500, `${times.length} dials of ${url} in an hour`);
    ok(times.every((atMs, i) => i === 0 || atMs - (times[i - 1] as number) <= 20_000));
  }
  await mesh.startShared(7001);
  await mesh.until(() => agent.hub === B, 20_000);
  await mesh.startShared(7000);
  await mesh.until(() => isBoth(agent), 20_000);
  // Who is there stays the primary.
  equal(agent.hub, B);
  deepEqual(events, ['disconnected', `connected ${B}`, `connected ${A}`]);
  deepEqual(
    log.of('hub-lost').map(({ fields }) => fields.hub),
    [A, B],
  );
});

const STARTS: readonly [what: string, prepare: (mesh: VirtualMesh) => Promise<unknown>, withinMs: number][] = [
  ['nobody listens', (mesh) => mesh.startShared(7001), 1_000],
  [
    'nobody answers',
    async (mesh) => {
      await mesh.startShared(7001);
      mesh.network.silence(A);
    },
    1_700,
  ],
];

for (const [what, prepare, withinMs] of STARTS) {
  test(`Joins at the second hub when at the first one ${what}`, async (t) => {
    const mesh = new VirtualMesh(t);
    await prepare(mesh);
    const { agent } = await mesh.createAgent({ token: await mesh.token('api'), hub: BOTH });
    const startedMs = mesh.clock.monotonicMs();
    await mesh.run(agent.start());
    equal(agent.hub, B);
    const tookMs = mesh.clock.monotonicMs() - startedMs;
    ok(tookMs <= withinMs, `${tookMs} ms`);
    mesh.network.unsilence(A);
    await mesh.startShared(7000);
    await mesh.until(() => isBoth(agent), 31_000);
    equal(agent.hub, B);
  });
}

test('A first hub that answers late takes a member whom the second one has enrolled meanwhile', async (t) => {
  const mesh = await startBoth(t);
  mesh.network.latencyMs = 10;
  const token = await mesh.token('api');
  mesh.network.freeze(A);
  const { agent, log } = await mesh.createAgent({ token, hub: BOTH });
  const joined = agent.start();
  // The second one is asked after 1.5 s; both are under way then.
  await mesh.clock.advanceAsync(1_530);
  mesh.network.thaw(A);
  await mesh.run(joined);
  await mesh.until(() => isBoth(agent), 1_000);
  deepEqual(log.of('hub-refused'), []);
  equal(mesh.log.of('sidecar-enrolled').length, 2);
});

test('Two names of one hub are one hub: a link by the first name is not ended by one by the second', async (t) => {
  const mesh = await startBoth(t);
  await mesh.startShared(7002);
  mesh.network.aliases.set('10.0.0.1:7009', '10.0.0.1:7000');
  const { agent, log } = await mesh.join(['api'], { hub: [A, 'ws://10.0.0.1:7009', C] });
  await mesh.until(() => isBoth(agent));
  await mesh.clock.advanceAsync(600_000);
  deepEqual(statesOf(agent), ['connected*', 'waiting', 'connected']);
  match(agent.hubs[1]?.error?.message ?? '', /it is the one at ws:\/\/10\.0\.0\.1:7000$/);
  deepEqual(log.of('hub-lost'), []);
  ok(log.of('hub-same').length <= 5, `${log.of('hub-same').length} dials by the second name`);
  // Behind a balancer the second name may lead elsewhere one day.
  mesh.network.aliases.set('10.0.0.1:7009', '10.0.0.1:7001');
  await mesh.until(() => agent.hubs[1]?.state === 'connected', 451_000);
});

test('A spare is taken while a better one is away, and left when that one has held for long', async (t) => {
  const mesh = await startBoth(t);
  await mesh.startShared(7002);
  const { agent } = await mesh.join(['api'], { hub: [A, B, C] });
  await mesh.until(() => isBoth(agent));
  await mesh.clock.advanceAsync(60_000);
  deepEqual(statesOf(agent), ['connected*', 'connected', 'spare']);
  equal(mesh.network.dials.filter(({ url }) => url === C).length, 0);
  mesh.kill(A);
  await mesh.until(() => agent.hubs[2]?.state === 'connected', 200);
  equal(agent.hub, B);
  mesh.kill(B);
  await mesh.until(() => agent.hub === C, 100);
  await mesh.startShared(7000);
  await mesh.startShared(7001);
  await mesh.until(() => agent.hubs.every(({ state }) => state === 'connected'), 20_000);
  await mesh.clock.advanceAsync(9_000);
  equal(agent.hub, C);
  await mesh.until(() => agent.hubs[2]?.state === 'spare', 31_000);
  deepEqual(statesOf(agent), ['connected*', 'connected', 'spare']);
});

test('A refusal by one hub does not end a member whom another one takes', async (t) => {
  const mesh = await startBoth(t);
  // A hub of another mesh: it knows neither the token nor who signed the SVID.
  await mesh.startHub({}, 7002);
  const { agent, log } = await mesh.createAgent({ token: await mesh.token('api'), hub: [C, B] });
  await mesh.run(agent.start());
  equal(agent.hub, B);
  await mesh.clock.advanceAsync(600_000);
  equal(agent.hub, B);
  ok(log.of('hub-refused').length > 40, 'it is asked again and again');
  // Nor does it when the other one is away for a while.
  mesh.kill(B);
  await mesh.clock.advanceAsync(600_000);
  await mesh.startShared(7001);
  await mesh.until(() => agent.hub === B, 20_000);
});

test('Nor does a verdict of either hub on its SVID, once it was taken', async (t) => {
  const mesh = new VirtualMesh(t);
  const clocks = [new WrongClock(mesh.clock), new WrongClock(mesh.clock)] as const;
  await mesh.startShared(7000, {}, clocks[0]);
  await mesh.startShared(7001, {}, clocks[1]);
  const { agent, log } = await mesh.join(['api'], { hub: BOTH });
  await mesh.until(() => isBoth(agent));
  // A hub whose clock has jumped takes the SVID for one that has expired.
  clocks[0].aheadMs = 48 * HOUR_MS;
  mesh.network.cut(A);
  await mesh.until(() => log.of('hub-refused').length > 3);
  equal(agent.hub, B);
  clocks[1].aheadMs = 48 * HOUR_MS;
  mesh.network.cut(B);
  await mesh.clock.advanceAsync(60_000);
  equal(agent.hub, undefined);
  equal(log.of('hub-refused').at(-1)?.fields.reason, 'identity');
  for (const clock of clocks) clock.aheadMs = 0;
  // Within 30 s the hubs have SVIDs of this time again.
  await mesh.until(() => isBoth(agent), 51_000);
});

test('A refusal is final when the other hub refuses as well, or is not there at the start', async (t) => {
  const mesh = await startBoth(t);
  const used = await mesh.token('api');
  await mesh.join(['api'], { token: used });
  const refused = await mesh.createAgent({ token: used, hub: BOTH });
  await rejects(mesh.run(refused.agent.start()), { code: 'SKEIN_TOKEN_USED' });
  equal(refused.log.of('hub-refused').length, 2);
  mesh.kill(B);
  const half = await mesh.createAgent({ token: used, hub: [B, A] });
  await rejects(mesh.run(half.agent.start()), { code: 'SKEIN_TOKEN_USED' });
  await rejects(half.agent.refused, { code: 'SKEIN_TOKEN_USED' });
  const { length } = mesh.network.dials;
  await mesh.clock.advanceAsync(HOUR_MS);
  equal(mesh.network.dials.length, length);
});

const LOSSES: readonly [how: string, lose: (mesh: VirtualMesh) => unknown, withinMs: number][] = [
  ['is killed', (mesh) => mesh.kill(A), 100],
  ['loses its links', (mesh) => mesh.network.cut(A), 100],
  ['drains', (mesh) => void mesh.hub.drain(), 100],
  ['falls silent', (mesh) => mesh.network.silence(A), 15_000],
];

for (const [how, lose, withinMs] of LOSSES) {
  test(`When the primary ${how}, nothing that is known is lost, and every change is told once`, async (t) => {
    const mesh = new VirtualMesh(t);
    await mesh.startShared(7000);
    const other = await mesh.startShared(7001);
    const { agent, log } = await mesh.join(['api'], { hub: BOTH });
    await mesh.until(() => isBoth(agent));
    const spare = await mesh.createAgent({ token: await mesh.token('api'), hub: B });
    await mesh.serve(agent, 'api.default', { protocol: 'http', handler: new RecordingHandler() });
    await mesh.run(agent.mirror.watch('api.default'));
    await mesh.clock.advanceAsync(200);
    const told = [describeKnown(agent)];
    const look = async (): Promise<boolean> => {
      await mesh.clock.advanceAsync(1);
      if (describeKnown(agent) !== told.at(-1)) told.push(describeKnown(agent));
      return told.length > 2;
    };
    lose(mesh);
    await look();
    await mesh.run(other.apply([MORE]));
    await mesh.run(spare.agent.start());
    spare.agent.serve({ service: 'api.default', port: 80, labels: {}, target: TCP });
    for (let ms = 0; ms < withinMs && !(await look()); ms++);
    equal(agent.hub, B);
    await mesh.clock.advanceAsync(1_000);
    await look();
    // Changes that come together are told together.
    const all = ['1 endpoint, 1 policy', '1 endpoint, 2 policies', '2 endpoints, 2 policies'];
    deepEqual([told[0], told.at(-1)], [all[0], all[2]]);
    deepEqual(
      told,
      all.filter((known) => told.includes(known)),
    );
    equal(log.of('policies-changed').length, 2);
    equal(agent.mirror.stats.diverged, 0);
  });
}

test('Renews at both hubs: each of them ends a link with the SVID that it knows', async (t) => {
  const mesh = await startBoth(t);
  const { agent, log } = await mesh.join(['api'], { hub: BOTH });
  await mesh.until(() => isBoth(agent));
  const issued = (): number => mesh.log.of('svid-issued').filter(({ fields }) => fields.id === agent.id.uri).length;
  equal(issued(), 1);
  mesh.clock.shiftEpoch(2 * HOUR_MS);
  await mesh.until(() => log.of('identity-renewed').length === 1);
  equal(issued(), 3);
  // One that does not answer keeps nobody from the other.
  mesh.network.silence(A);
  mesh.clock.shiftEpoch(2 * HOUR_MS);
  await mesh.until(() => log.of('identity-renewed').length === 2);
  deepEqual([agent.hub, log.of('identity-not-renewed').length], [B, 0]);
});

test('Requests go on when either hub is killed', async (t) => {
  for (const lost of BOTH) {
    const mesh = await startBoth(t);
    const { server, caller } = await joinBoth(mesh);
    await mesh.serve(server, 'api.default', {
      protocol: 'http',
      handler: new RecordingHandler((request) => request.answer(200, 'ok')),
    });
    equal((await mesh.ask(caller)).outcome, 'ok');
    mesh.kill(lost);
    const startedMs = mesh.clock.monotonicMs();
    equal((await mesh.ask(caller)).outcome, 'ok');
    ok(mesh.clock.monotonicMs() - startedMs < 300, `${mesh.clock.monotonicMs() - startedMs} ms`);
  }
});
