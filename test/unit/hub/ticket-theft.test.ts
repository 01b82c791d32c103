/** Tickets in wrong hands: what somebody has of a member's, and of a hub that has lost its own key. */

import { equal, rejects } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Grant } from '../../../src/auth/grant.ts';
import { HUB_ROLES } from '../../../src/auth/hub-role.ts';
import { importIdentityKey, toThumbprint } from '../../../src/auth/key-pair.ts';
import { TicketBook } from '../../../src/auth/resume-tickets.ts';
import { SealedTickets } from '../../../src/auth/sealed-tickets.ts';
import type { SessionProof } from '../../../src/auth/session-proof.ts';
import { fromBase64Url, toBase64Url } from '../../../src/core/bytes.ts';
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts';
import { toTicketRoot } from '../../../src/hub/authentication.ts';
import type { PeerIdentity } from '../../../src/tunnel/handshake.ts';
import { folder } from '../../support/folder.ts';
import { createIdentity, HubClient, type Identity, memberAuthenticator } from '../../support/hub-client.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

const URL = 'ws://10.0.0.1:7000';
const DAY_MS = 24 * 3_600_000;

async function start(t: TestContext) {
  const mesh = new VirtualMesh(t);
  const dataFolder = folder(t);
  await mesh.startHub({ dataFolder });
  const victim = await mesh.run(createIdentity());
  victim.tickets = new TicketBook(mesh.clock);
  const connect = async (identity: Identity, token?: string): Promise<HubClient> => {
    const client = await mesh.run(HubClient.connect(mesh.platform, URL, identity, token));
    t.after(() => client.close());
    return client;
  };
  (await connect(victim, await mesh.token('api'))).close();
  /** In the session of `client`, by the key of `identity`. */
  const prove = (client: HubClient, identity: Identity): Promise<{ ticket?: string | undefined }> => {
    const { hash } = client.authenticator.session as SessionProof;
    const proof = memberAuthenticator(mesh.platform, identity, 'skein.mesh').prove('initiator', hash);
    return mesh.run(proof.then((credential) => client.channel.call('ticket', { credential: toBase64Url(credential) })));
  };
  return { mesh, dataFolder, victim, connect, prove };
}

/** Nothing is made for the other end of `client` that would outlive its link, nor the link itself. */
async function rejectsAll(mesh: VirtualMesh, client: HubClient, wit: string): Promise<void> {
  const { channel } = client;
  await rejects(mesh.run(channel.call('renew', {})), { code: 'SKEIN_IDENTITY' });
  await rejects(mesh.run(channel.call('token', { audience: 'https://db.example' })), { code: 'SKEIN_IDENTITY' });
  await rejects(mesh.run(channel.call('present', { wit })), { code: 'SKEIN_IDENTITY' });
}

test('Who has a ticket with its secret, and not the key, gets no SVID and no bearer token, nor may its link go on', async (t) => {
  const { mesh, victim, connect, prove } = await start(t);
  const { key } = await mesh.run(createIdentity());
  const thief = { ...victim, key };
  const client = await connect(thief);
  equal(client.authenticator.session?.isFresh, false, 'it is let in by the ticket');
  await rejectsAll(mesh, client, victim.wit);
  await rejects(prove(client, thief), { code: 'SKEIN_IDENTITY' });
  await rejectsAll(mesh, client, victim.wit);
});

test('Who comes by a ticket and proves its key in the session gets them from then on', async (t) => {
  const { mesh, victim, connect, prove } = await start(t);
  const client = await connect(victim);
  await rejectsAll(mesh, client, victim.wit);
  const { ticket = '' } = await prove(client, victim);
  client.authenticator.session?.note(fromBase64Url(ticket));
  const { wit } = await mesh.run(client.channel.call('renew', {}));
  await mesh.run(client.channel.call('present', { wit }));
  await mesh.run(client.channel.call('token', { audience: 'https://db.example' }));
});

test('Who has the own key of a hub and seals a ticket is on its link whom it likes, and has no SVID for it', async (t) => {
  const { mesh, dataFolder, victim, connect, prove } = await start(t);
  const { crypto, random } = mesh.platform;
  const self = JSON.parse(readFileSync(join(dataFolder, 'self.json'), 'utf8')) as { key: unknown };
  const root = await mesh.run(importIdentityKey(self.key).then((key) => toTicketRoot(key, crypto, random)));
  const bundle = victim.bundle as NonNullable<Identity['bundle']>;
  const forge = new SealedTickets({ crypto, random, clock: mesh.clock, root, bundle: () => bundle, roles: HUB_ROLES });
  const forger = { ...(await mesh.run(createIdentity())), id: victim.id, bundle, wit: victim.wit };
  const { publicJwk } = forger.key;
  const nowMs = mesh.clock.epochMs();
  const grant: Grant = {
    ...{ kind: 'member', services: ['api.default'], publicJwk, keyId: '', hubRoles: undefined },
    ...{ thumbprint: await mesh.run(toThumbprint(publicJwk)), joinedAtMs: nowMs, expiresAtMs: nowMs + DAY_MS },
  };
  const secret = random.bytes(32);
  const { ticket: id } = forge.give({ id: parseSpiffeId(victim.id), grant }, secret) as { ticket: Uint8Array };
  const { peer } = (victim.tickets as TicketBook).find(URL) as { peer: PeerIdentity };
  const tickets = new TicketBook(mesh.clock);
  tickets.keep(URL, { id, secret, peer }, DAY_MS);
  const client = await connect({ ...forger, tickets });
  equal(client.authenticator.session?.isFresh, false, 'it is let in');
  await rejectsAll(mesh, client, victim.wit);
  await rejects(prove(client, forger), { code: 'SKEIN_IDENTITY' });
  await rejectsAll(mesh, client, victim.wit);
});
