/** Raw connections across the mesh on the running runtime: half-close, server-first, resets, policies. */

import { deepEqual, equal, rejects } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import type { IncomingSocket, MeshSocket } from '../../../src/agent/connect.ts';
import { deterministicChunks, deterministicDigest } from '../../support/deterministic-bytes.ts';
import { deferred, LocalMesh, type Member, policy } from '../../support/local-mesh.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const MIB = 1024 * 1024;

interface Pair {
  readonly mesh: LocalMesh;
  readonly server: Member;
  readonly caller: Member;
}

async function pair(t: TestContext, onConnection: (socket: IncomingSocket) => void): Promise<Pair> {
  const mesh = await LocalMesh.start(t);
  const server = await mesh.join(['db']);
  const caller = await mesh.join(['web']);
  await server.mesh.listen('db', onConnection, { port: 5432 });
  return { mesh, server, caller };
}

async function readAll(socket: MeshSocket): Promise<string> {
  let text = '';
  for (const reader = socket.readable.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) return text;
    text += decoder.decode(value, { stream: true });
  }
}

test('The server may speak first, and each direction ends on its own', async (t) => {
  const served = deferred<IncomingSocket>();
  const { caller } = await pair(t, (socket) => served.resolve(socket));
  const socket = await caller.mesh.connect('db', { port: 5432 });
  const remote = await served.promise;
  equal(remote.clientId, caller.mesh.id);
  const answer = remote.writable.getWriter();
  await answer.write(encoder.encode('hello'));
  const reader = socket.readable.getReader();
  equal(decoder.decode((await reader.read()).value), 'hello');
  // The caller says all it has; the server answers behind that.
  const question = socket.writable.getWriter();
  await question.write(encoder.encode('question'));
  await question.close();
  equal(await readAll(remote), 'question');
  await answer.write(encoder.encode('answer'));
  equal(decoder.decode((await reader.read()).value), 'answer');
  await answer.close();
  equal((await reader.read()).done, true);
  await Promise.all([socket.closed, remote.closed]);
});

test('The server may end its direction first', async (t) => {
  const asked = deferred<string>();
  const { caller } = await pair(t, (socket) => {
    socket.writable.close().then(async () => asked.resolve(await readAll(socket)), t.diagnostic);
  });
  const socket = await caller.mesh.connect('db.default', { port: 5432 });
  equal(await readAll(socket), '');
  const writer = socket.writable.getWriter();
  await writer.write(encoder.encode('still here'));
  await writer.close();
  equal(await asked.promise, 'still here');
  await socket.closed;
});

test('Carries 8 MiB both ways at once unchanged', async (t) => {
  const { caller } = await pair(t, (socket) => void socket.readable.pipeTo(socket.writable).catch(() => undefined));
  const socket = await caller.mesh.connect('db', { port: 5432 });
  const hash = createHash('sha256');
  const reading = socket.readable.pipeTo(new WritableStream({ write: (chunk) => void hash.update(chunk) }));
  const writer = socket.writable.getWriter();
  for (const chunk of deterministicChunks(8 * MIB)) await writer.write(new Uint8Array(chunk));
  await writer.close();
  await reading;
  equal(hash.digest('hex'), deterministicDigest(8 * MIB));
});

test('An abort of either end reaches the other', async (t) => {
  const sockets: IncomingSocket[] = [];
  const arrivals = [deferred(), deferred()];
  const { caller } = await pair(t, (socket) => arrivals[sockets.push(socket) - 1]?.resolve());
  const first = await caller.mesh.connect('db', { port: 5432 });
  await arrivals[0]?.promise;
  first.abort(new Error('enough'));
  await rejects(first.closed, { code: 'SKEIN_CANCELLED' });
  await rejects((sockets[0] as IncomingSocket).closed, { name: 'SkeinError' });
  const second = await caller.mesh.connect('db', { port: 5432 });
  await arrivals[1]?.promise;
  const reading = rejects(second.readable.getReader().read());
  (sockets[1] as IncomingSocket).abort();
  await rejects(second.closed, { name: 'SkeinError' });
  await reading;
});

test('What is not served, or not as bytes, is refused with its reason', async (t) => {
  const { mesh, server, caller } = await pair(t, (socket) => socket.abort());
  const { mesh: web } = await mesh.join(['page']);
  await web.serve('page', () => new Response('page'));
  await rejects(caller.mesh.connect('db', { port: 1 }), { code: 'SKEIN_NO_SUCH_SERVICE' });
  await rejects(caller.mesh.connect('nobody'), { code: 'SKEIN_NO_SUCH_SERVICE' });
  const toHttp = await caller.mesh.connect('page');
  await rejects(toHttp.closed, { code: 'SKEIN_BAD_REQUEST' });
  const asHttp = await caller.mesh.fetch('http://db.mesh:5432/');
  deepEqual([asHttp.status, asHttp.headers.get('x-skein-reason')], [400, 'bad-request']);
  await rejects(server.mesh.connect('db', { port: 5432 }), { code: 'SKEIN_PEER_UNREACHABLE' });
});

test('A policy ends the connections it forbids, and no others', async (t) => {
  const { mesh, server, caller } = await pair(
    t,
    (socket) => void socket.readable.pipeTo(socket.writable).catch(() => undefined),
  );
  const other = await mesh.join(['batch']);
  const [forbidden, allowed] = await Promise.all(
    [caller, other].map(async (member) => {
      const socket = await member.mesh.connect('db', { port: 5432 });
      const writer = socket.writable.getWriter();
      const reader = socket.readable.getReader();
      const echo = async (text: string): Promise<string> => {
        await writer.write(encoder.encode(text));
        return decoder.decode((await reader.read()).value);
      };
      equal(await echo('before'), 'before');
      return { socket, echo };
    }),
  );
  const [entry] = await mesh.hub.apply([policy({ allow: [{ from: [{ ids: [other.mesh.id] }] }] })]);
  equal(entry?.status, 'changed');
  await rejects(forbidden?.socket.closed as Promise<void>, { code: 'SKEIN_DENIED' });
  equal(await allowed?.echo('after'), 'after');
  equal(server.log.of('request-denied').length, 1);
  const again = await caller.mesh.connect('db', { port: 5432 });
  await rejects(again.closed, { code: 'SKEIN_DENIED' });
});
