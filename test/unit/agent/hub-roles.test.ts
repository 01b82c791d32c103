/** Hubs that do not issue: each does for members what its SVID says, and nothing else; no key of the issuer is near it. */

import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Agent } from '../../../src/agent/agent.ts';
import { type HubMembership, joinAsHub } from '../../../src/agent/hub-membership.ts';
import type { HubRole } from '../../../src/auth/hub-role.ts';
import type { Channel } from '../../../src/control/channel.ts';
import type { Clock } from '../../../src/core/clock.ts';
import type { Hub } from '../../../src/hub/hub.ts';
import type { HubOptions } from '../../../src/hub/options.ts';
import { Publisher, type PublisherOptions } from '../../../src/hub/publisher.ts';
import type { Subscriber } from '../../../src/hub/subscriber.ts';
import { EventLog } from '../../support/event-log.ts';
import { folder } from '../../support/folder.ts';
import { RecordingHandler } from '../../support/http.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';
import { WrongClock } from '../../support/wrong-clock.ts';

const HOUR_MS = 3_600_000;
const A = 'ws://10.0.0.1:7000';
const B = 'ws://10.0.0.1:7001';
const BOTH = [A, B];

interface Relay {
  readonly hub: Hub;
  readonly membership: HubMembership;
  readonly log: EventLog;
}

/** A hub beside that of `mesh`, which has let it in. */
async function startRelay(
  mesh: VirtualMesh,
  roles: readonly HubRole[],
  { dataFolder, ...options }: HubOptions = {},
  port = 7001,
  clock: Clock = mesh.clock,
): Promise<Relay> {
  const { text: token } = await mesh.run(mesh.hub.createJoinToken({ services: [], hubRoles: roles }));
  const log = new EventLog();
  const membership = await mesh.run(joinAsHub(mesh.platform, { hub: A, token, data: dataFolder, log }));
  const kept = dataFolder === undefined ? {} : { dataFolder };
  const hub = await mesh.startHub({ log, ...kept, ...options }, port, clock, { membership });
  return { hub, membership, log };
}

async function startBoth(t: TestContext, roles: readonly HubRole[], options: HubOptions = {}) {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const relay = await startRelay(mesh, roles, options);
  return { mesh, relay };
}

function isBoth(agent: Agent): boolean {
  return agent.hubs.filter(({ state }) => state === 'connected').length === 2;
}

/** A server of `api` and a caller, each with links to both hubs, whichever is named first. */
async function joinBoth(mesh: VirtualMesh, hub: readonly string[] = BOTH) {
  const server = await mesh.join(['api'], { hub });
  const handler = new RecordingHandler((request) => request.answer(200, 'hello'));
  await mesh.serve(server.agent, 'api.default', { protocol: 'http', handler });
  const caller = await mesh.join(['web'], { hub });
  await mesh.until(() => isBoth(server.agent) && isBoth(caller.agent));
  return { server, caller };
}

const MORE = { kind: 'AuthorizationPolicy', metadata: { name: 'more', namespace: 'default' }, spec: { allow: [{}] } };
const ASK = { authority: 'api.mesh' };

test('A hub that only relays carries what is called while the one that issues is away', async (t) => {
  const { mesh } = await startBoth(t, ['relay']);
  const { server, caller } = await joinBoth(mesh);
  deepEqual(
    caller.agent.hubs.map(({ isPrimary, roles }) => [isPrimary, roles?.join()]),
    [
      [true, 'issuer,catalogue,signal,relay'],
      [false, 'relay'],
    ],
  );
  deepEqual(caller.agent.missingRoles, []);
  // Nothing was called before: the session itself is made by the hub that relays.
  await mesh.run(caller.agent.endpointsOf('api.default'));
  mesh.network.kill(A);
  await mesh.until(() => !isBoth(caller.agent) && !isBoth(server.agent));
  for (let i = 0; i < 20; i++) {
    equal((await mesh.ask(caller.agent, ASK)).text, 'hello');
    await mesh.clock.advanceAsync(1_000);
  }
  deepEqual(caller.agent.missingRoles, ['issuer', 'catalogue', 'signal']);
  const [missing, ...more] = caller.log.of('hub-roles-missing');
  deepEqual([missing?.fields.missing, more.length], [['issuer', 'catalogue', 'signal'], 0]);
  deepEqual(
    [...caller.agent.peers.all()].map(({ session }) => session.activePath?.via),
    [B],
  );
});

test('The order of hubs does not matter: a token goes to the one that issues, and the catalogue comes from there', async (t) => {
  const { mesh, relay } = await startBoth(t, ['relay', 'signal']);
  const { caller } = await joinBoth(mesh, [B, A]);
  equal(caller.agent.hub, A);
  equal(caller.log.of('hub-lacks-role').length, 1, 'it is said once, and nothing of the token is shown');
  equal(relay.log.of('token-refused').length, 0);
  equal((await mesh.ask(caller.agent, ASK)).text, 'hello');
});

test('A newcomer that knows only a hub without an issuer says so, and waits for another', async (t) => {
  const { mesh } = await startBoth(t, ['relay']);
  const { agent, log } = await mesh.createAgent({ token: await mesh.token('api'), hub: B });
  agent.start().catch(() => undefined);
  await mesh.until(() => log.of('hub-lacks-role').length > 0);
  match(String(log.of('hub-lacks-role')[0]?.fields.error), /does not play "issuer"/);
  equal(agent.identity.isMember, false);
});

test('Two hubs that only relay are not enough: the third of the list is linked too', async (t) => {
  const { mesh } = await startBoth(t, ['relay']);
  await startRelay(mesh, ['relay'], {}, 7002);
  const { agent } = await mesh.join(['web'], { hub: [B, 'ws://10.0.0.1:7002', A] });
  await mesh.until(() => agent.hubs.every(({ state }) => state === 'connected'));
  await mesh.clock.advanceAsync(120_000);
  ok(agent.hubs.every(({ state }) => state === 'connected'));
  equal(agent.hub, A);
});

test('A member shows the SVID that it has got meanwhile where none are issued: its link there outlives the one before', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  // To this hub an SVID of 24 hours is over in a few minutes.
  const clock = new WrongClock(mesh.clock, 24 * HOUR_MS - 5 * 60_000);
  const relay = await startRelay(mesh, ['relay'], {}, 7001, clock);
  const renewed = await mesh.join(['web'], { hub: BOTH, limits: { renewAfterMs: 60_000 } });
  const other = await mesh.join(['ads'], { hub: BOTH });
  await mesh.until(() => isBoth(renewed.agent) && isBoth(other.agent));
  await mesh.clock.advanceAsync(7 * 60_000);
  ok(renewed.log.of('identity-renewed').length >= 4);
  deepEqual([renewed.log.of('identity-not-presented').length, renewed.log.of('hub-lost').length], [0, 0]);
  ok(other.log.of('hub-lost').length > 0, 'who does not is let go');
  equal(relay.log.of('identity-not-renewed').length, 0);
});

test('With every hub that issues away for two days a hub that relays is of use, says what it shows, and nothing ends', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub({ limits: { svidLifetimeMs: 10 * 24 * HOUR_MS } });
  const relay = await startRelay(mesh, ['relay'], {}, 7001);
  const { agent, log } = await mesh.join(['web'], { hub: BOTH });
  await mesh.until(() => isBoth(agent));
  const endsAtMs = (): number => agent.identity.bundleEndsAtMs - mesh.clock.epochMs();
  await mesh.clock.advanceAsync(2 * HOUR_MS);
  ok(endsAtMs() > 22 * HOUR_MS, 'it was signed anew, and told');
  equal(log.of('keys-changed').length, 0, 'by the same keys');
  mesh.network.kill(A);
  mesh.clock.shiftEpoch(48 * HOUR_MS);
  await mesh.clock.advanceAsync(60_000);
  ok(endsAtMs() < 0);
  const before = log.of('hub-connected').length;
  mesh.network.cut(B);
  await mesh.until(() => log.of('hub-connected').length > before, 60_000);
  const [line] = log.of('bundle-ended');
  ok(String(line?.fields.until) < new Date(mesh.clock.epochMs()).toISOString());
  equal(relay.log.of('identity-not-renewed').length, 0);
});

test('A hub that does not issue renews its own SVID', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const { text: token } = await mesh.run(mesh.hub.createJoinToken({ services: [], hubRoles: ['relay'] }));
  const membership = await mesh.run(joinAsHub(mesh.platform, { hub: A, token, limits: { renewAfterMs: 60_000 } }));
  t.after(() => membership.close());
  const { wit, key } = membership.credential();
  await mesh.clock.advanceAsync(100_000);
  const after = membership.credential();
  ok(after.wit !== wit);
  equal(after.key, key, 'for the key that it has made and never sent');
});

test('The folder of a hub that does not issue holds its own key, and none of the issuer', async (t) => {
  const dataFolder = join(folder(t), 'relay');
  const issuerFolder = join(folder(t), 'issuer');
  const mesh = new VirtualMesh(t);
  await mesh.startHub({ dataFolder: issuerFolder });
  const { hub } = await startRelay(mesh, ['relay'], { dataFolder });
  await mesh.run(hub.close());
  const issuer = JSON.parse(readFileSync(join(issuerFolder, 'issuer.json'), 'utf8'));
  const secrets = [issuer.wit.d, issuer.jwt.d];
  ok(secrets.every((secret) => typeof secret === 'string' && secret.length === 43));
  const files = readdirSync(dataFolder).map((name) => readFileSync(join(dataFolder, name), 'utf8'));
  ok(files.length >= 2);
  for (const content of files) for (const secret of secrets) equal(content.includes(secret), false);
  equal(readdirSync(dataFolder).includes('issuer.json'), false);
  // What it holds is its own key, and says what it may do.
  const own = await mesh.run(joinAsHub(mesh.platform, { hub: A, data: dataFolder }));
  deepEqual(own.roles, ['relay']);
  own.close();
});

test('A store that hubs share holds no key of the issuer that can be read without it', async (t) => {
  const mesh = new VirtualMesh(t);
  const dataFolder = join(folder(t), 'issuer');
  await mesh.startShared(7000, { dataFolder });
  const { text: token } = await mesh.run(mesh.hub.createJoinToken({ services: [], hubRoles: ['catalogue', 'relay'] }));
  const membership = await mesh.run(joinAsHub(mesh.platform, { hub: A, token }));
  const store = mesh.store.connect();
  const hub = await mesh.startHub({ store }, 7001, mesh.clock, { membership });
  // It follows what the other one has sealed, and hands it on.
  const { agent } = await mesh.join(['api'], { hub: BOTH });
  const handler = new RecordingHandler((request) => request.answer(200, 'hello'));
  await mesh.serve(agent, 'api.default', { protocol: 'http', handler });
  await mesh.admin('resources', { body: MORE });
  await mesh.until(() => isBoth(agent));
  mesh.network.kill(A);
  await mesh.until(() => agent.hub === hub.url);
  await mesh.clock.advanceAsync(10_000);
  deepEqual(
    agent.mirror.snapshot
      .manifests('AuthorizationPolicy')
      .map(({ metadata }) => metadata.name)
      .sort(),
    ['allow-same-namespace', 'more'],
  );
  equal(agent.mirror.seals?.stats.refused.unsealed, 0);
  const issuer = JSON.parse(readFileSync(join(dataFolder, 'issuer.json'), 'utf8'));
  const entries = await mesh.run(store.list(''));
  ok(entries.some(({ key }) => key === 'hub/keys'));
  for (const { key, value } of entries) {
    for (const secret of [issuer.wit.d, issuer.jwt.d]) equal(value.includes(secret), false, key);
    equal(/"d":/.test(value), false, key);
  }
});

test('A hub comes back by the identity that it keeps, also while no hub that issues is there', async (t) => {
  const dataFolder = join(folder(t), 'relay');
  const { mesh, relay } = await startBoth(t, ['relay'], { dataFolder });
  const { server, caller } = await joinBoth(mesh);
  await mesh.run(caller.agent.endpointsOf('api.default'));
  mesh.network.kill(A);
  await mesh.run(relay.hub.close());
  await mesh.until(() => [server, caller].every(({ agent }) => agent.hubs[1]?.state !== 'connected'));
  const membership = await mesh.run(joinAsHub(mesh.platform, { hub: A, data: dataFolder, roles: ['relay'] }));
  await mesh.startHub({ dataFolder }, 7001, mesh.clock, { membership });
  await mesh.until(() => [server, caller].every(({ agent }) => agent.hubs[1]?.state === 'connected'));
  equal((await mesh.ask(caller.agent, ASK)).text, 'hello');
});

test('A hub without issuer is refused what it must not be', async (t) => {
  const mesh = new VirtualMesh(t);
  const dataFolder = join(folder(t), 'issuer');
  await mesh.startHub({ dataFolder });
  const token = (roles: readonly HubRole[]) => mesh.run(mesh.hub.createJoinToken({ services: [], hubRoles: roles }));
  const config = { code: 'SKEIN_CONFIG' } as const;
  await rejects(token(['issuer']), { code: 'SKEIN_RESOURCE_INVALID' });
  await rejects(token([]), { code: 'SKEIN_RESOURCE_INVALID' });
  await rejects(mesh.startHub({ roles: ['relay'] }, 7001), { ...config, message: /no hub is named that has it/ });
  const joined = async (roles: readonly HubRole[]) =>
    mesh.run(joinAsHub(mesh.platform, { hub: A, token: (await token(roles)).text }));
  const start = async (membership: HubMembership, options: HubOptions) => {
    try {
      await mesh.startHub(options, 7001, mesh.clock, { membership });
    } finally {
      membership.close();
    }
  };
  await rejects(start(await joined(['relay']), { roles: ['relay', 'signal'] }), {
    ...config,
    message: /its SVID says relay/,
  });
  await rejects(start(await joined(['catalogue']), {}), { ...config, message: /without the store/ });
  await rejects(start(await joined(['relay']), { dataFolder, store: 'memory' }), {
    ...config,
    message: /is the issuer's key/,
  });
  // The token of a member makes no hub.
  await rejects(mesh.run(joinAsHub(mesh.platform, { hub: A, token: await mesh.token('api') })), {
    code: 'SKEIN_IDENTITY',
  });
});

test('A hub that does not issue makes no token, revokes nobody and takes no resource', async (t) => {
  const { mesh, relay } = await startBoth(t, ['relay']);
  const posts: [string, object][] = [
    ['tokens', { services: ['api'] }],
    ['revocations', { id: 'spiffe://skein.mesh/ns/default/sa/api' }],
    [
      'resources',
      { kind: 'AuthorizationPolicy', metadata: { name: 'more', namespace: 'default' }, spec: { allow: [{}] } },
    ],
  ];
  for (const [path, body] of posts) {
    const { status, answer } = await mesh.admin(path, { body }, relay.hub);
    deepEqual([path, status, answer.code], [path, 503, 'SKEIN_REFUSED']);
  }
  const { answer } = await mesh.admin('status', {}, relay.hub);
  deepEqual((answer.hub as { roles: unknown }).roles, ['relay']);
});

test('A hub is taken back by its key: members leave it, and it is let in nowhere', async (t) => {
  const { mesh, relay } = await startBoth(t, ['relay']);
  const { caller } = await joinBoth(mesh);
  const key = relay.membership.credential().key.thumbprint;
  const id = 'spiffe://skein.mesh/ns/skein/sa/hub';
  equal((await mesh.admin('revocations', { body: { id } })).status, 422, 'not all hubs at once');
  equal((await mesh.admin('revocations', { body: { id, key } })).status, 201);
  await mesh.until(() => caller.agent.hubs[1]?.state !== 'connected');
  await mesh.until(() => relay.log.of('hub-revoked').length > 0);
  await mesh.clock.advanceAsync(60_000);
  ok(caller.agent.hubs[1]?.state !== 'connected');
  match(String(caller.agent.hubs[1]?.error?.message), /has been revoked/);
  equal((await mesh.ask(caller.agent, ASK)).text, 'hello');
});

/** What a hub says on each new control stream before it is asked anything. */
function saying(say: (channel: Channel) => void) {
  return class extends Publisher {
    override subscribe(channel: Channel): Subscriber {
      say(channel);
      return super.subscribe(channel);
    }
  };
}

const LIES: Readonly<Record<string, (channel: Channel) => void>> = {
  catalogue: (channel) =>
    channel.push('catalogue', {
      ...{ epoch: 9, revision: 9, base: 0, digest: '0'.repeat(32), full: true, more: false },
      ...{ upserts: [], removals: [] },
    }),
  seal: (channel) => channel.push('seal', { head: 'x', full: true, more: false, entries: [] }),
  circuit: (channel) =>
    channel.push('circuit', { circuit: 2, instance: 'x', id: 'spiffe://skein.mesh/ns/default/sa/x' }),
};

for (const [lie, say] of Object.entries(LIES)) {
  const plays = lie === 'circuit' ? 'signal' : 'relay';
  test(`A hub that may only ${plays}, and pretends more (${lie}), is left, and nothing of it is believed`, async (t) => {
    const mesh = new VirtualMesh(t);
    await mesh.startHub();
    const { text: token } = await mesh.run(mesh.hub.createJoinToken({ services: [], hubRoles: [plays] }));
    const membership = await mesh.run(joinAsHub(mesh.platform, { hub: A, token }));
    const Liar = saying(say);
    const createPublisher = (options: PublisherOptions): Publisher => new Liar(options);
    await mesh.startHub({}, 7001, mesh.clock, { membership, createPublisher });
    const { agent, log } = await mesh.join(['web'], { hub: BOTH });
    const { bundle } = agent.identity;
    await mesh.until(() => agent.hubsBeyondRoles > 0);
    deepEqual(log.of('hub-beyond-roles')[0]?.fields, {
      hub: B,
      role: lie === 'circuit' ? 'relay' : 'catalogue',
      roles: [plays],
    });
    await mesh.clock.advanceAsync(1_000);
    equal(agent.hub, A);
    equal(agent.identity.bundle, bundle);
    deepEqual(agent.mirror.seals?.stats.refused, { forged: 0, index: 0, rollback: 0, fork: 0, unsealed: 0 });
  });
}
