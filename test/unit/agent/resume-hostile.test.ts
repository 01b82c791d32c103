/** Resume under hostile hands, as a member meets it: whoever reaches it by a hub says that he is a session that is there, or is not. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Identity } from '../../../src/agent/identity.ts';
import { IdentityStore } from '../../../src/agent/identity-store.ts';
import { openShelf } from '../../../src/agent/shelves.ts';
import { createMemberAuthenticator } from '../../../src/auth/authenticator.ts';
import { Authority } from '../../../src/auth/authority.ts';
import { createIdentityKey } from '../../../src/auth/key-pair.ts';
import { type Bytes, fromHex, toHex } from '../../../src/core/bytes.ts';
import { SILENT_LOGGER } from '../../../src/core/log.ts';
import type { Platform } from '../../../src/core/platform.ts';
import { type SpiffeId, toHubId, toWorkloadId } from '../../../src/core/spiffe-id.ts';
import { nodePlatform } from '../../../src/runtime/node/platform.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { fromWireCode } from '../../../src/tunnel/codes.ts';
import type { Session } from '../../../src/tunnel/session.ts';
import { RecordingHandler } from '../../support/http.ts';
import type { Probe } from '../../support/resumable.ts';
import { forgeAttach } from '../../support/resumable.ts';
import { joinRogue, openSilent } from '../../support/rogue-member.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

const A = 'ws://10.0.0.1:7000';
const B = 'ws://10.0.0.1:7001';
const UNKNOWN = '00112233445566778899aabbccddeeff';

/** A server of `api` and a caller that have a session, and that session at the server's end. */
async function startPair(t: TestContext, options: { readonly hub?: readonly string[] } = {}) {
  const mesh = new VirtualMesh(t);
  await mesh.startShared(7000);
  if (options.hub !== undefined) await mesh.startShared(7001);
  const { agent: server, log } = await mesh.join(['api'], options);
  await mesh.serve(server, 'api.default', {
    protocol: 'http',
    handler: new RecordingHandler((request) => request.answer(200, 'ok')),
  });
  const { agent: caller } = await mesh.join(['web'], options);
  equal((await mesh.ask(caller)).outcome, 'ok');
  const [session] = server.peers.sessions();
  return { mesh, server, caller, log, session: session as Session };
}

/** What REFUSED says, and for which session. */
function readRefusal(record: Bytes): { readonly sessionId: string; readonly code: string } {
  // Behind the link's header and that of the record: step, session id, code.
  return {
    sessionId: toHex(record.subarray(13, 29)),
    code: fromWireCode(((record[29] as number) << 8) | (record[30] as number)),
  };
}

test('An ATTACH for a session that is not here is answered once and leaves nothing, however often it comes', async (t) => {
  const { mesh, server, caller } = await startPair(t);
  const rogue = await joinRogue(t, mesh);
  const probes: Probe[] = [];
  for (let n = 0; n < 300; n++) {
    probes.push(await openSilent(mesh, rogue, server.instance, forgeAttach(UNKNOWN, n)));
    await mesh.clock.advanceAsync(25); // as many as the hub lets through
  }
  await mesh.clock.advanceAsync(1_000);
  for (const { records, error } of probes) {
    equal(records.length, 1);
    deepEqual(readRefusal(records[0] as Bytes), { sessionId: UNKNOWN, code: 'SKEIN_SESSION_LOST' });
    ok(error);
  }
  deepEqual([server.peers.size, rogue.link.circuitCount], [1, 0]);
  equal((await mesh.ask(caller)).outcome, 'ok');
});

test('A member that knows the id of a session of others cannot add to it, end it, or have it told that it is known', async (t) => {
  const { mesh, server, caller, session } = await startPair(t);
  const rogue = await joinRogue(t, mesh);
  const before = session.paths.map(({ via, state }) => [via, state]);
  for (let n = 0; n < 100; n++) {
    const probe = await openSilent(mesh, rogue, server.instance, forgeAttach(session.id, n));
    await mesh.clock.advanceAsync(25);
    deepEqual([probe.records.length, probe.error?.code], [0, 'SKEIN_HANDSHAKE']);
  }
  await mesh.clock.advanceAsync(1_000);
  deepEqual(
    session.paths.map(({ via, state }) => [via, state]),
    before,
  );
  equal((await mesh.ask(caller)).outcome, 'ok');
});

test('A session that takes the id of another one is refused, and the other one still finds its way back', async (t) => {
  const { mesh, server, caller, log, session } = await startPair(t);
  const { random } = mesh.platform;
  const wanted = fromHex(session.id);
  const platform: Platform = {
    ...mesh.platform,
    random: {
      ratio: () => random.ratio(),
      bytes: (length) => (length === wanted.length ? wanted.slice() : random.bytes(length)),
    },
  };
  const rogue = await joinRogue(t, mesh, { platform });
  const thief = await mesh.run(rogue.dial(server.instance));
  equal(thief.id, session.id, 'the thief has chosen that id');
  await mesh.until(() => !thief.isOpen, 1_000);
  deepEqual([server.peers.size, server.peers.session(session.id) === session], [1, true]);
  equal(log.of('session-refused').length, 1);

  mesh.network.cut(A);
  await mesh.until(() => session.stats.resumes === 1 && !session.isDetached, 10_000);
  equal((await mesh.ask(caller)).outcome, 'ok');
  equal(server.peers.session(session.id), session);
});

test('What is begun by one hub keeps nobody out who comes by the other', async (t) => {
  const { mesh, server } = await startPair(t, { hub: [A, B] });
  await mesh.until(() => server.hubs.every(({ state }) => state === 'connected'));
  const rogues = [];
  for (let n = 0; n < 64; n++) rogues.push(await joinRogue(t, mesh));
  let open = 0;
  for (const rogue of rogues) {
    for (let n = 0; n < 4; n++) if ((await openSilent(mesh, rogue, server.instance)).error === undefined) open++;
  }
  equal(open, 256, 'as many as may be half open');
  const late = await mesh.join(['web'], { hub: [B] });
  equal((await mesh.ask(late.agent)).outcome, 'ok');
  const kept = await mesh.join(['web'], { hub: [A] });
  equal((await mesh.ask(kept.agent)).outcome, 'SKEIN_LIMIT');
  await mesh.clock.advanceAsync(11_000);
  equal((await mesh.ask(kept.agent)).outcome, 'ok', 'what says nothing is over after ten seconds');
});

test('A hub, which has an identity of its own, opens no session with a member', async (t) => {
  const clock = new VirtualClock();
  const platform: Platform = { ...nodePlatform(), clock };
  const authority = await Authority.create({ trustDomain: 'skein.mesh', clock });
  const hash = new Uint8Array(32).fill(1);
  const credentialOf = async (id: SpiffeId) => {
    const key = await createIdentityKey();
    return { key, wit: await authority.issueWit({ id, publicJwk: key.publicJwk, services: [] }) };
  };
  const prove = async (id: SpiffeId): Promise<Bytes> => {
    const credential = await credentialOf(id);
    const options = { bundle: () => authority.bundle(), trustDomain: 'skein.mesh', clock };
    return createMemberAuthenticator({ ...options, credential: () => credential }).prove('initiator', hash);
  };
  const data = mkdtempSync(join(tmpdir(), 'skein-hub-'));
  t.after(() => rmSync(data, { recursive: true, force: true }));
  const own = await credentialOf(toWorkloadId('skein.mesh', 'default', 'api'));
  await new IdentityStore(await openShelf(platform, data)).writeIdentity({ ...own, bundle: authority.bundle() });
  const identity = await Identity.open({
    ...{ platform, token: undefined, knownHub: { thumbprints: [], trustDomain: 'skein.mesh' }, data, services: [] },
    ...{ renewAfterMs: 3_600_000, log: SILENT_LOGGER },
  });
  const peer = identity.peerAuthenticator();
  const member = toWorkloadId('skein.mesh', 'default', 'web');
  equal((await peer.verify('initiator', hash, await prove(member))).id.uri, member.uri);
  await rejects(peer.verify('initiator', hash, await prove(toHubId('skein.mesh'))), {
    code: 'SKEIN_IDENTITY',
    message: /hub/,
  });
});
