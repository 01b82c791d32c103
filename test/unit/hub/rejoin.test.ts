/** Members that come back to a hub by the tickets that it has sealed: behind a restart, behind hours, and where they may not. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Agent } from '../../../src/agent/agent.ts';
import { createMemberAuthenticator } from '../../../src/auth/authenticator.ts';
import { encodeCredential } from '../../../src/auth/credential-codec.ts';
import { createProof } from '../../../src/auth/proof.ts';
import { TicketBook } from '../../../src/auth/resume-tickets.ts';
import type { SessionProof } from '../../../src/auth/session-proof.ts';
import { parseWayIn } from '../../../src/auth/way-in.ts';
import { fromBase64Url, toBase64Url } from '../../../src/core/bytes.ts';
import type { Hub } from '../../../src/hub/hub.ts';
import type { HubOptions } from '../../../src/hub/options.ts';
import type { EventLog } from '../../support/event-log.ts';
import { folder } from '../../support/folder.ts';
import { createIdentity, HubClient, type Identity, memberAuthenticator } from '../../support/hub-client.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

const URL = 'ws://10.0.0.1:7000';
const HOUR_MS = 3_600_000;
const API = 'spiffe://skein.mesh/ns/default/sa/api';

async function readMetric(mesh: VirtualMesh, hub: Hub, name: string): Promise<number> {
  const text = await mesh.run(hub.metrics.render());
  const line = text.split('\n').find((each) => each.startsWith(`${name} `));
  ok(line !== undefined, name);
  return Number(line.slice(name.length + 1));
}

/** How others have proven to `hub` who they are. */
async function provenTo(mesh: VirtualMesh, hub: Hub) {
  const read = (by: string) => readMetric(mesh, hub, `skein_hub_handshakes_total{by="${by}"}`);
  return { signatures: await read('signatures'), ticket: await read('ticket') };
}

class Restarting {
  readonly mesh: VirtualMesh;
  hub: Hub;
  #options: HubOptions;

  private constructor(mesh: VirtualMesh, hub: Hub, options: HubOptions) {
    this.mesh = mesh;
    this.hub = hub;
    this.#options = options;
  }

  static async start(t: TestContext, options: HubOptions = {}): Promise<Restarting> {
    const mesh = new VirtualMesh(t);
    const given = { dataFolder: folder(t), ...options };
    return new Restarting(mesh, await mesh.startHub(given), given);
  }

  async join(count: number): Promise<{ agent: Agent; log: EventLog }[]> {
    const made = [];
    for (let i = 0; i < count; i++) made.push(await this.mesh.join(['api']));
    await this.mesh.clock.advanceAsync(100);
    return made;
  }

  /** Ends the hub, and starts it again, with `options` from then on; resolves when all are back. */
  async restart(agents: readonly { agent: Agent }[], options = this.#options): Promise<void> {
    this.#options = options;
    await this.mesh.run(this.hub.close());
    await this.mesh.until(() => agents.every(({ agent }) => agent.hub === undefined));
    this.hub = await this.mesh.startHub(this.#options);
    await this.mesh.until(() => agents.every(({ agent }) => agent.hub !== undefined));
  }
}

test('All members of a hub that was started again come back without a signature, each time', async (t) => {
  const world = await Restarting.start(t);
  const { mesh } = world;
  const members = await world.join(5);
  deepEqual(await provenTo(mesh, world.hub), { signatures: 5, ticket: 0 });
  equal(await readMetric(mesh, world.hub, 'skein_hub_tickets_given_total'), 5);
  for (let i = 0; i < 2; i++) {
    await world.restart(members);
    deepEqual(await provenTo(mesh, world.hub), { signatures: 0, ticket: 5 });
    equal(
      await readMetric(mesh, world.hub, 'skein_hub_tickets_given_total'),
      0,
      'who has shown no signature gets none',
    );
    equal(await readMetric(mesh, world.hub, 'skein_hub_svids_issued_total'), 0, 'the hub is who it was');
  }
});

test('Who stays for hours proves its key with each SVID, and comes back by the ticket of the last time', async (t) => {
  const world = await Restarting.start(t);
  const { mesh } = world;
  const members = await world.join(2);
  await world.restart(members);
  for (let hour = 0; hour < 5; hour++) {
    mesh.clock.shiftEpoch(HOUR_MS * 1.1);
    await mesh.clock.advanceAsync(61_000);
  }
  const given = await readMetric(mesh, world.hub, 'skein_hub_tickets_given_total');
  ok(given >= 8, `${given} tickets`);
  deepEqual(await provenTo(mesh, world.hub), { signatures: 0, ticket: 2 }, 'on the link that there was');
  await world.restart(members);
  deepEqual(await provenTo(mesh, world.hub), { signatures: 0, ticket: 2 });
  for (const { log } of members) equal(log.of('hub-lost').length, 2);
});

test('Who is away for longer than two hours shows signatures, and has a ticket again', async (t) => {
  const world = await Restarting.start(t);
  const { mesh } = world;
  const members = await world.join(2);
  await mesh.run(world.hub.close());
  await mesh.until(() => members.every(({ agent }) => agent.hub === undefined));
  mesh.clock.shiftEpoch(2 * HOUR_MS + 1);
  await world.restart(members);
  deepEqual(await provenTo(mesh, world.hub), { signatures: 2, ticket: 0 });
  await world.restart(members);
  deepEqual(await provenTo(mesh, world.hub), { signatures: 0, ticket: 2 });
});

test('Who was revoked gets nowhere by its ticket, before a restart of the hub and behind it', async (t) => {
  const world = await Restarting.start(t);
  const { mesh } = world;
  const [api] = await world.join(1);
  ok(api !== undefined);
  await mesh.admin('revocations', { body: { id: API } });
  await mesh.until(() => api.log.of('hub-refused').length > 0);
  await mesh.run(world.hub.close());
  await world.restart([]);
  const before = api.log.of('hub-refused').length;
  await mesh.until(() => api.log.of('hub-refused').length > before);
  deepEqual(await provenTo(mesh, world.hub), { signatures: 0, ticket: 0 });
  equal(api.agent.hub, undefined);
});

test('Other keys of the issuer end all tickets: everybody shows signatures once, and no attempt fails', async (t) => {
  const world = await Restarting.start(t);
  const { mesh } = world;
  const members = await world.join(3);
  equal((await mesh.admin('keys/rotate', { body: { now: false } }, world.hub)).status, 200);
  await world.restart(members);
  deepEqual(await provenTo(mesh, world.hub), { signatures: 3, ticket: 0 });
  for (const { log } of members) {
    equal(log.of('hub-refused').length, 0);
    equal(log.of('hub-connected').length, 2);
  }
  await world.restart(members);
  deepEqual(await provenTo(mesh, world.hub), { signatures: 0, ticket: 3 });
});

test('A hub whose own key is gone is another one, and its members show signatures', async (t) => {
  const dataFolder = folder(t);
  const world = await Restarting.start(t, { dataFolder });
  const { mesh } = world;
  const members = await world.join(1);
  await mesh.run(world.hub.close());
  rmSync(join(dataFolder, 'self.json'));
  await world.restart(members);
  deepEqual(await provenTo(mesh, world.hub), { signatures: 1, ticket: 0 });
  deepEqual(members[0]?.log.of('hub-refused'), []);
});

test('A hub that was started again with other roles is believed none of before', async (t) => {
  const dataFolder = folder(t);
  const world = await Restarting.start(t, { dataFolder });
  const { mesh } = world;
  const members = await world.join(1);
  await world.restart(members, { dataFolder, roles: ['issuer', 'signal', 'relay'] });
  deepEqual(await provenTo(mesh, world.hub), { signatures: 1, ticket: 0 });
  for (const { agent, log } of members) {
    deepEqual(agent.hubs[0]?.roles, ['issuer', 'signal', 'relay']);
    deepEqual(log.of('hub-refused'), []);
  }
});

/** A member that says to the hub what it likes. */
async function joinClient(t: TestContext, mesh: VirtualMesh, service: string): Promise<[HubClient, Identity]> {
  const identity = await mesh.run(createIdentity());
  const token = await mesh.token(service);
  const client = await mesh.run(HubClient.connect(mesh.platform, URL, identity, token));
  t.after(() => client.close());
  return [client, identity];
}

test('A ticket is given for a proof, and for no other proof than one of now and of the caller', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub({ dataFolder: folder(t) });
  const [client, identity] = await joinClient(t, mesh, 'api');
  const [, other] = await joinClient(t, mesh, 'web');
  const session = client.authenticator.session as SessionProof;
  const ask = (credential?: string) =>
    mesh.run(client.channel.call('ticket', credential === undefined ? {} : { credential }));
  const proofOf = (who: Identity, hash = session.hash): Promise<string> =>
    mesh.run(memberAuthenticator(mesh.platform, who, 'skein.mesh').prove('initiator', hash).then(toBase64Url));

  const early = await proofOf(identity);
  const first = await ask();
  ok(first.ticket !== undefined && first.seconds > HOUR_MS / 1000);
  session.note(fromBase64Url(first.ticket));
  await rejects(ask(), { code: 'SKEIN_IDENTITY' }, 'one for the handshake');
  await rejects(ask(early), { code: 'SKEIN_IDENTITY' }, 'of before the last ticket');
  await rejects(ask(await proofOf(other)), { code: 'SKEIN_IDENTITY' }, 'of another member');
  await rejects(ask(await proofOf({ ...identity, key: other.key })), { code: 'SKEIN_IDENTITY' }, 'by another key');
  await rejects(ask('AA'), { code: 'SKEIN_IDENTITY' });
  const responder = memberAuthenticator(mesh.platform, identity, 'skein.mesh').prove('responder', session.hash);
  await rejects(ask(await mesh.run(responder.then(toBase64Url))), { code: 'SKEIN_IDENTITY' }, 'of the other role');

  // A join token is no proof of who is here, and stays good.
  const token = await mesh.token('late');
  const { shown } = parseWayIn(token, { thumbprints: [], trustDomain: '' }, mesh.platform.crypto.sha256);
  const publicKey = JSON.stringify(identity.key.publicJwk);
  const proof = await mesh.run(createProof(identity.key, 'initiator', session.hash));
  await rejects(ask(toBase64Url(encodeCredential({ proof, publicKey, ...shown.reveal() }))), {
    code: 'SKEIN_IDENTITY',
  });
  await mesh.join(['late'], { token });

  const hash = session.hash;
  const [one, two] = await Promise.allSettled([ask(await proofOf(identity)), ask(await proofOf(identity))]);
  deepEqual([one.status, two.status].sort(), ['fulfilled', 'rejected'], 'one proof, one ticket');
  const { credential = '' } = one.status === 'fulfilled' ? one.value : two.status === 'fulfilled' ? two.value : {};
  const hub = createMemberAuthenticator({
    ...{ credential: () => ({ wit: identity.wit, key: identity.key }), bundle: () => identity.bundle as never },
    ...{ trustDomain: 'skein.mesh', clock: mesh.clock },
  });
  const peer = await mesh.run(hub.verify('responder', hash, fromBase64Url(credential)));
  equal(peer.id.uri, client.session.peer?.id.uri, 'the hub proves itself as well');
});

test('Who has come by a ticket is given none without a proof', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub({ dataFolder: folder(t) });
  const identity = await mesh.run(createIdentity());
  identity.tickets = new TicketBook(mesh.clock);
  const token = await mesh.token('api');
  (await mesh.run(HubClient.connect(mesh.platform, URL, identity, token))).close();
  const client = await mesh.run(HubClient.connect(mesh.platform, URL, identity));
  t.after(() => client.close());
  await rejects(mesh.run(client.channel.call('ticket', {})), { code: 'SKEIN_IDENTITY' });
  deepEqual(await provenTo(mesh, mesh.hub), { signatures: 1, ticket: 1 });
});

test('A member that has come back by a ticket proves its key once before its first bearer tokens, and gets them', async (t) => {
  const world = await Restarting.start(t);
  const { mesh } = world;
  const members = await world.join(1);
  await world.restart(members);
  const audiences = ['https://one.example', 'https://two.example'];
  const tokens = members.flatMap(({ agent }) => audiences.map((audience) => agent.token(audience)));
  equal((await mesh.run(Promise.all(tokens))).length, 2);
  deepEqual(await provenTo(mesh, world.hub), { signatures: 0, ticket: 1 });
  equal(await readMetric(mesh, world.hub, 'skein_hub_tickets_given_total'), 1);
});
