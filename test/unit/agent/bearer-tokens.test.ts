/** Bearer tokens of members: got of a hub, verified by others, kept while fresh, and worth nothing inside the mesh. */

import { deepEqual, equal, match, notEqual, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { createHub } from '../../../src/hub/hub.ts';
import { createMesh, createSidecar } from '../../../src/node.ts';
import { nodePlatform } from '../../../src/runtime/node/platform.ts';
import { runCommand, startOwnHub } from '../../support/command.ts';
import { EventLog } from '../../support/event-log.ts';
import { RecordingHandler } from '../../support/http.ts';
import { createIdentity, HubClient } from '../../support/hub-client.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

const AUDIENCE = 'https://shop.example.com';
const platform = nodePlatform();

test('A member gets a token for an audience, which any other member verifies for that audience alone', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const { agent: api } = await mesh.join(['api']);
  const { agent: web } = await mesh.join(['web']);
  const { token, expiresAtMs } = await mesh.run(api.token(AUDIENCE));
  const { id } = await mesh.run(web.verifyToken(token, AUDIENCE));
  equal(id.uri, 'spiffe://skein.mesh/ns/default/sa/api');
  equal(expiresAtMs - mesh.clock.epochMs() <= 300_000, true);
  for (const audience of ['https://other.example.com', '', `${AUDIENCE}/`]) {
    await rejects(mesh.run(web.verifyToken(token, audience)), { code: 'SKEIN_IDENTITY' });
  }
  await mesh.clock.advance(300_000 + 31_000);
  await rejects(mesh.run(web.verifyToken(token, AUDIENCE)), { code: 'SKEIN_IDENTITY' });
});

test('A token is handed out again for half of its life, and each audience has its own', async (t) => {
  const mesh = new VirtualMesh(t);
  const hub = await mesh.startHub();
  const { agent } = await mesh.join(['api']);
  const ask = async (audience: string): Promise<string> => (await mesh.run(agent.token(audience))).token;
  const first = await ask(AUDIENCE);
  await mesh.clock.advance(140_000);
  equal(await ask(AUDIENCE), first);
  notEqual(await ask('https://other.example.com'), first);
  await mesh.clock.advance(20_000);
  const second = await ask(AUDIENCE);
  notEqual(second, first);
  match(await hub.metrics.render(), /^skein_hub_jwt_svids_issued_total 3$/m);
  // What was refused is asked for again.
  await rejects(mesh.run(agent.token('a b')), { code: 'SKEIN_BAD_REQUEST' });
  await rejects(mesh.run(agent.token('a b')), { code: 'SKEIN_BAD_REQUEST' });
});

test('Who is revoked is believed by its token no more, as a caller and as an end user, and by no older one when it has joined anew', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const { agent: api } = await mesh.join(['api']);
  const { agent: web } = await mesh.join(['web']);
  const handler = new RecordingHandler((request) => request.answer(200, 'ok'));
  await mesh.serve(api, 'api.default', { protocol: 'http', handler });
  const users = {
    apiVersion: 'skein.dev/v1',
    ...{ kind: 'RequestAuthentication', metadata: { name: 'members', namespace: 'default' } },
    spec: { jwtRules: [{ trustDomain: 'skein.mesh', audiences: [AUDIENCE] }] },
  };
  equal((await mesh.admin('resources', { body: [users] })).status, 200);
  await mesh.clock.advanceAsync(1_000);
  const ends = [
    { revocation: { id: 'spiffe://skein.mesh/ns/default/sa/shop' }, isLasting: true },
    { revocation: { id: 'spiffe://skein.mesh/ns/default/sa/shop', rejoin: true }, isLasting: false },
    { revocation: undefined, isLasting: false },
  ];
  for (const { revocation, isLasting } of ends) {
    const { agent: shop } = await mesh.join(['shop']);
    const { token } = await mesh.run(shop.token(AUDIENCE));
    const asUser = async (text: string): Promise<number | undefined> =>
      (await mesh.ask(web, { fields: ['authorization', `Bearer ${text}`] })).head?.status;
    const asHolder = (text: string): Promise<string> =>
      mesh.run(web.verifyToken(text, AUDIENCE)).then(
        () => 'believed',
        ({ code }) => String(code),
      );
    deepEqual([await asHolder(token), await asUser(token)], ['believed', 200]);
    // By its key where nothing else is named.
    const body = revocation ?? { id: shop.id.uri, key: shop.identity.thumbprint };
    equal((await mesh.admin('revocations', { body })).status, 201);
    await mesh.clock.advanceAsync(1_000);
    deepEqual([await asHolder(token), await asUser(token)], ['SKEIN_REVOKED', 401], JSON.stringify(body));
    shop.close();
    if (isLasting) equal((await mesh.admin('revocations/undo', { body })).status, 200);
    await mesh.clock.advanceAsync(1_000);
    const { agent: anew } = await mesh.join(['shop']);
    const later = await mesh.run(anew.token(AUDIENCE));
    deepEqual([await asHolder(later.token), await asUser(later.token)], ['believed', 200], JSON.stringify(body));
    equal(await asHolder(token), isLasting ? 'believed' : 'SKEIN_REVOKED');
    anew.close();
  }
});

test('Without a hub there is no token, and a hub that is no issuer makes none', async (t) => {
  const mesh = new VirtualMesh(t);
  const hub = await mesh.startHub({ roles: ['issuer', 'catalogue', 'signal', 'relay'] });
  const { agent } = await mesh.join(['api']);
  mesh.network.kill(hub.url);
  await mesh.until(() => agent.hub === undefined);
  await rejects(mesh.run(agent.token(AUDIENCE)), { code: 'SKEIN_HUB_UNREACHABLE' });
});

test('A newcomer gets none before it is enrolled, and a member not as many as it likes', async (t) => {
  const hub = await createHub(platform, { limits: { callsPerSecond: 1, callsBurst: 50 } });
  t.after(() => hub.close());
  const { text } = await hub.createJoinToken({ services: ['api'] });
  const client = await HubClient.connect(platform, hub.url, await createIdentity(), text);
  t.after(() => client.close());
  const { token } = await client.channel.call('token', { audience: AUDIENCE });
  match(token, /^[\w-]+\.[\w-]+\.[\w-]+$/);
  const answers = await Promise.all(
    Array.from({ length: 30 }, () =>
      client.channel.call('token', { audience: AUDIENCE }).then(
        () => 'issued',
        ({ code }) => String(code),
      ),
    ),
  );
  deepEqual([...new Set(answers)].sort(), ['SKEIN_LIMIT', 'issued']);
  equal(answers.filter((answer) => answer === 'issued').length <= 10, true);
});

test('A bearer token opens no link to a hub and no session, also for who holds the key of its subject', async (t) => {
  const log = new EventLog();
  const hub = await createHub(platform, { log });
  t.after(() => hub.close());
  const [api, web] = await Promise.all(
    ['api', 'web'].map(async (service) => {
      const { text } = await hub.createJoinToken({ services: [service] });
      return HubClient.connect(platform, hub.url, await createIdentity(), text);
    }),
  );
  if (api === undefined || web === undefined) throw new TypeError('no members');
  t.after(() => api.close());
  t.after(() => web.close());
  const audiences = [AUDIENCE, 'spiffe://skein.mesh/ns/skein/sa/hub', 'spiffe://skein.mesh/ns/default/sa/web'];
  await web.register('web.default');
  for (const audience of audiences) {
    const { token } = await api.channel.call('token', { audience });
    const shown = await HubClient.connect(platform, hub.url, { ...api.identity, wit: token });
    await rejects(shown.channel.call('renew', {}));
    const { wit } = api.identity;
    api.identity.wit = token;
    // Who dials has said its last word when it is refused.
    const refused = new Promise((resolve) => {
      web.onIncoming = (session) =>
        session.ready.then(
          () => resolve('taken'),
          ({ code }) => resolve(code),
        );
    });
    await api.dial(web.identity.instance).catch(() => undefined);
    equal(await refused, 'SKEIN_IDENTITY');
    api.identity.wit = wit;
  }
  deepEqual([log.of('link-refused').length, log.of('sidecar-joined').length], [audiences.length, 2]);
  await api.dial(web.identity.instance);
});

test('skein token svid prints a token of a sidecar, and the library and its admin port verify it', async (t) => {
  const own = await startOwnHub(t);
  const sidecar = await createSidecar({
    ...{ hub: own.hub.url, token: await own.token('api'), direct: false },
    admin: '127.0.0.1:0',
  });
  t.after(() => sidecar.close());
  const mesh = await createMesh({ hub: own.hub.url, token: await own.token('web'), direct: false });
  t.after(() => mesh.close());
  const { admin = '' } = sidecar.addresses;
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${sidecar.adminToken.reveal()}` };
  const env = { SKEIN_SIDECAR_ADMIN_TOKEN: sidecar.adminToken.reveal() };
  const argv = ['token', 'svid', '--audience', AUDIENCE, '--sidecar', admin];
  const { code, out, err } = await runCommand(argv, { folder: own.folder, env });
  equal(code, 0, err);
  const token = out.trim();
  const { id } = await mesh.verifyToken(token, { audience: AUDIENCE });
  equal(id, sidecar.id);
  const post = async (
    path: string,
    body: object,
  ): Promise<{ status: number; answer: { code?: string; id?: string } }> => {
    const answer = await fetch(`${admin}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    return { status: answer.status, answer: (await answer.json()) as { code?: string; id?: string } };
  };
  const other = (await mesh.token({ audience: AUDIENCE })).token;
  equal((await post('/v1/token/verify', { token: other, audience: AUDIENCE })).answer.id, mesh.id);
  const mutant = { token: `${other}A`, audience: AUDIENCE };
  deepEqual(await post('/v1/token/verify', mutant).then(({ status, answer }) => [status, answer.code]), [
    403,
    'SKEIN_IDENTITY',
  ]);
  for (const [path, body] of [
    ['/v1/token', {}],
    ['/v1/token', { audience: 7 }],
    ['/v1/token', { audience: AUDIENCE, other: 1 }],
    ['/v1/token/verify', { token: other }],
  ] as const) {
    equal((await post(path, body)).status, 400, `${path} ${JSON.stringify(body)}`);
  }
  for (const wrong of [argv.slice(0, 4), ['token', 'svid', '--sidecar', admin]]) {
    const said = await runCommand(wrong, { folder: own.folder });
    equal(said.code, 2, said.err);
  }
});
