/** Who may be a member, whom it believes, and what happens when others, or the hub, go away: on the running runtime. */

import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createMeshOn as createMesh, type Mesh } from '../../../src/index.ts';
import { folder } from '../../support/folder.ts';
import { deferred, LocalMesh, policy } from '../../support/local-mesh.ts';

/** Status and reason of a GET. */
async function get(mesh: Mesh, url = 'http://api.mesh/', headers: HeadersInit = {}): Promise<[number, string | null]> {
  const reply = await mesh.fetch(url, { headers });
  await reply.text();
  return [reply.status, reply.headers.get('x-skein-reason')];
}

/** Asks again until the answer is `status`. What is answered here, and by no other end, leaves the others a turn. */
async function getUntil(mesh: Mesh, status: number): Promise<string> {
  const endMs = performance.now() + 60_000;
  for (;;) {
    const reply = await mesh.fetch('http://api.mesh/');
    const text = await reply.text();
    if (reply.status === status) return text;
    if (performance.now() > endMs) throw new Error(`still ${reply.status}: ${text}`);
    await turn();
  }
}

test('A policy replaced at the hub holds at once, and says no more than no', async (t) => {
  const mesh = await LocalMesh.start(t);
  const server = await mesh.join(['api']);
  const caller = await mesh.join(['web']);
  const body = deferred();
  await server.mesh.serve('api', async ({ url }) => {
    if (!url.endsWith('/slow')) return new Response('ok');
    return new Response(
      new ReadableStream({ pull: (stream) => body.promise.then(() => stream.close()), type: 'bytes' }),
    );
  });
  deepEqual(await get(caller.mesh), [200, null]);
  const slow = await caller.mesh.fetch('http://api.mesh/slow');
  const before = server.log.of('policies-changed').length;
  await mesh.hub.apply([policy({ allow: [{ to: [{ methods: ['GET'], paths: ['/slow'] }] }] })]);
  await server.log.waitFor('policies-changed', before + 1);
  const reply = await caller.mesh.fetch('http://api.mesh/');
  deepEqual([reply.status, reply.headers.get('x-skein-reason')], [403, 'authz']);
  const text = await reply.text();
  ok(!text.includes('allow-same-namespace'), text);
  // What is still allowed goes on.
  body.resolve();
  equal(await slow.text(), '');
  const [line] = server.log.of('request-denied');
  deepEqual(line?.fields, {
    caller: caller.mesh.id,
    service: 'api.default:80',
    method: 'GET',
    path: '/',
    rule: 'default-deny',
  });
});

test('Members of another namespace are denied from the start', async (t) => {
  const mesh = await LocalMesh.start(t);
  const server = await mesh.join(['api']);
  const stranger = await mesh.join(['web'], { namespace: 'other' });
  await server.mesh.serve('api', () => new Response('ok'));
  deepEqual(await get(stranger.mesh, 'http://api.default.mesh/'), [403, 'authz']);
  // Its own short names mean its own namespace.
  deepEqual(await get(stranger.mesh), [404, 'no-such-service']);
});

test('A name that nobody serves, and one that is none of the mesh, are told apart', async (t) => {
  const mesh = await LocalMesh.start(t);
  const { mesh: caller } = await mesh.join(['web']);
  deepEqual(await get(caller, 'http://nobody.mesh/'), [404, 'no-such-service']);
  deepEqual(await get(caller, 'http://example.com/'), [403, 'not-a-mesh-name']);
});

test('Only what a token names may be served, and a token works once', async (t) => {
  const mesh = await LocalMesh.start(t);
  const token = await mesh.token(['api']);
  const { mesh: member } = await mesh.join(['api'], { token });
  await rejects(
    member.serve('db', () => new Response()),
    { code: 'SKEIN_NAME_NOT_GRANTED' },
  );
  await member.serve('api', () => new Response('mine'));
  const { mesh: caller } = await mesh.join(['web']);
  deepEqual(await get(caller), [200, null]);
  deepEqual(await get(caller, 'http://db.mesh/'), [404, 'no-such-service']);
  await rejects(createMesh(mesh.platform, { hub: mesh.hub.url, token }), { code: 'SKEIN_TOKEN_USED' });
});

test('A token of another mesh is refused', async (t) => {
  const [mesh, other] = [await LocalMesh.start(t), await LocalMesh.start(t)];
  const token = await other.token(['api']);
  await rejects(createMesh(mesh.platform, { hub: mesh.hub.url, token }), {
    name: 'SkeinError',
    code: 'SKEIN_IDENTITY',
  });
});

test('A caller is who its session proves it to be, whatever it says', async (t) => {
  const mesh = await LocalMesh.start(t);
  const server = await mesh.join(['api']);
  const caller = await mesh.join(['web']);
  let seen = new Headers();
  await server.mesh.serve('api', ({ headers }) => {
    seen = headers;
    return new Response('ok', { headers: { 'x-skein-reason': 'authz', 'x-skein-client-id': 'spiffe://a/b' } });
  });
  const spoofed = {
    'x-skein-client-id': 'spiffe://skein.mesh/ns/default/sa/admin',
    'x-skein-anything': '1',
    'x-forwarded-for': '10.0.0.1',
    'x-real-ip': '10.0.0.1',
    forwarded: 'for=10.0.0.1',
  };
  const reply = await caller.mesh.fetch('http://api.mesh/', { headers: { ...spoofed, 'x-mine': 'kept' } });
  equal(seen.get('x-skein-client-id'), 'spiffe://skein.mesh/ns/default/sa/web');
  equal(seen.get('x-skein-client-id'), caller.mesh.id);
  equal(seen.get('x-mine'), 'kept');
  match(seen.get('traceparent') ?? '', /^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/);
  for (const name of Object.keys(spoofed).slice(1)) equal(seen.has(name), false, name);
  // Nor can an application say what only the mesh may.
  deepEqual([reply.headers.has('x-skein-reason'), reply.headers.has('x-skein-client-id')], [false, false]);
});

test('Requests of a member that was killed end, new ones get a clear answer, another instance serves again', async (t) => {
  const mesh = await LocalMesh.start(t);
  const victim = await mesh.join(['api']);
  const caller = await mesh.join(['web']);
  const never = new Promise<Response>(() => undefined);
  await victim.mesh.serve('api', ({ url }) => (url.endsWith('/hang') ? never : new Response('first')));
  equal(await getUntil(caller.mesh, 200), 'first');
  const hanging = caller.mesh.fetch('http://api.mesh/hang');
  victim.line.cut();
  const startedMs = performance.now();
  const broken = await hanging;
  ok(broken.status === 502 || broken.status === 503, `status ${broken.status}`);
  ok(broken.headers.has('x-skein-reason'));
  const [status, reason] = await get(caller.mesh);
  // After 30 s both are over, what was under way and what the hub remembers of it: either may be told first.
  ok(status === 503 || status === 404, `status ${status}`);
  match(reason ?? '', /^(?:no-endpoint|no-such-service|peer-unreachable|session-lost)$/);
  t.diagnostic(`told after ${(performance.now() - startedMs).toFixed(0)} ms`);
  const second = await mesh.join(['api']);
  await second.mesh.serve('api', () => new Response('second'));
  equal(await getUntil(caller.mesh, 200), 'second');
  victim.line.restore();
  await victim.log.waitFor('hub-connected', 2);
});

test('Members outlive a hub that restarts with its data, and call each other again', async (t) => {
  const dataFolder = folder(t);
  const mesh = await LocalMesh.start(t, { dataFolder });
  const server = await mesh.join(['api']);
  const caller = await mesh.join(['web']);
  await server.mesh.serve('api', () => new Response('served'));
  equal(await getUntil(caller.mesh, 200), 'served');
  const { trustDomain } = mesh.hub;
  const startedMs = performance.now();
  await mesh.replaceHub({ dataFolder });
  equal(mesh.hub.trustDomain, trustDomain);
  await Promise.all([server.log.waitFor('hub-connected', 2), caller.log.waitFor('hub-connected', 2)]);
  equal(await getUntil(caller.mesh, 200), 'served');
  t.diagnostic(`back after ${(performance.now() - startedMs).toFixed(0)} ms`);
  // A newcomer meets the same mesh.
  const late = await mesh.join(['late']);
  equal(await getUntil(late.mesh, 200), 'served');
});

test('A member with a data folder comes back without a token; its key is for its owner alone', async (t) => {
  const data = join(folder(t), 'member');
  const mesh = await LocalMesh.start(t);
  const first = await mesh.join(['api'], { data });
  await first.mesh.close();
  const file = join(data, 'identity.json');
  equal(statSync(file).mode & 0o777, 0o600);
  ok(JSON.parse(readFileSync(file, 'utf8')).key);
  const again = await createMesh(mesh.platform, { hub: mesh.hub.url, data });
  t.after(() => again.close());
  equal(again.id, first.mesh.id);
  await again.serve('api', () => new Response('ok'));
});

test('A program that has closed everything ends by itself', async () => {
  const self = fileURLToPath(import.meta.url);
  const program = join(self, `../../../support/programs/whole-mesh${self.slice(self.lastIndexOf('.'))}`);
  const before = 'Deno' in globalThis ? ['run', '-A', '--no-check'] : [];
  const child = spawn(process.execPath, [...before, program], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
  const code = await new Promise((resolve) => child.on('close', resolve));
  deepEqual([code, output], [0, 'hello\nclosed\n']);
});
