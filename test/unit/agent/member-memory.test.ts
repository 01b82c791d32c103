/** Members that live for one request each, as in a Worker: what one leaves to the next, and what ends that. */

import { deepEqual, equal, rejects } from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Agent } from '../../../src/agent/agent.ts';
import { MemberMemory } from '../../../src/agent/member-memory.ts';
import { TICKET_LIFE_MS } from '../../../src/auth/resume-tickets.ts';
import { wait } from '../../../src/core/clock.ts';
import { folder } from '../../support/folder.ts';
import { RecordingHandler } from '../../support/http.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

const EDGE = 'spiffe://skein.mesh/ns/default/sa/edge';
const API = 'spiffe://skein.mesh/ns/default/sa/api';
const ROOM = { instancesPerSecond: 1_000, instancesBurst: 1_000 };

/** A hub, `api`, and members that come and go with one identity and one memory. */
async function startWorker(t: TestContext) {
  const mesh = new VirtualMesh(t);
  await mesh.startHub({ limits: ROOM });
  const { agent: api } = await mesh.join(['api']);
  await mesh.serve(api, 'api.default', {
    protocol: 'http',
    handler: new RecordingHandler((asked) => asked.answer(200)),
  });
  const memory = new MemberMemory(mesh.clock);
  // A ticket is kept where signatures were verified, and only there.
  const kept = t.mock.method(memory.tickets, 'keep').mock;
  const data = folder(t);
  const token = await mesh.token('edge');
  let messages = 0;
  const platform = {
    ...mesh.platform,
    dialWebSocket: async (...dialled: Parameters<typeof mesh.platform.dialWebSocket>) => {
      const pipe = await mesh.platform.dialWebSocket(...dialled);
      const send = pipe.send.bind(pipe);
      pipe.send = (message) => {
        messages++;
        send(message);
      };
      return pipe;
    },
  };
  const join = async (): Promise<Agent> => {
    const { agent } = await mesh.createAgent({ data, token }, platform, { memory });
    await mesh.run(agent.start());
    return agent;
  };
  /** What one request makes of it: its status, how many handshakes had signatures, how many messages went to the hub. */
  const request = async () => {
    const before = { handshakes: kept.callCount(), messages };
    const agent = await join();
    const { head, error } = await mesh.ask(agent, { authority: 'api.mesh' });
    agent.close();
    return {
      outcome: error?.code ?? head?.status,
      signed: kept.callCount() - before.handshakes,
      messages: messages - before.messages,
    };
  };
  return { mesh, memory, join, request };
}

test('The first request of a member shows signatures to hub and peer, and those behind it tickets', async (t) => {
  const { mesh, memory, request } = await startWorker(t);
  equal((await request()).signed, 2, 'a newcomer has an SVID by then');
  const second = await request();
  deepEqual([second.outcome, second.signed], [200, 0]);
  deepEqual([...memory.services], ['api.default'], 'what was called is asked for at once');
  await mesh.run(wait(mesh.clock, TICKET_LIFE_MS), 2 * TICKET_LIFE_MS);
  equal((await request()).signed, 1, 'by then the peer wants to see them, and the hub does not');
});

test('What was called before is asked for with the first message, and needs no answer of its own', async (t) => {
  const { memory, request } = await startWorker(t);
  await request();
  await request();
  const informed = await request();
  memory.services.clear();
  const asking = await request();
  equal(asking.messages - informed.messages > 0, true, `${informed.messages} messages and ${asking.messages}`);
});

test('Who is revoked gets nowhere by its tickets, and gives none', async (t) => {
  const { mesh, memory, join, request } = await startWorker(t);
  await request();
  equal((await request()).outcome, 200);
  await mesh.admin('revocations', { body: { id: API } });
  equal((await request()).outcome, 'SKEIN_NO_SUCH_SERVICE');
  equal(memory.tickets.size > 0, true);
  await mesh.admin('revocations', { body: { id: EDGE } });
  await rejects(join(), { code: 'SKEIN_REVOKED' });
});

test('Other keys of the issuer end all tickets of a hub', async (t) => {
  const { mesh, request } = await startWorker(t);
  await request();
  await request();
  equal((await request()).signed, 0);
  equal((await mesh.admin('keys/rotate', { body: { now: false } })).status, 200);
  const next = await request();
  deepEqual([next.outcome, next.signed], [200, 1], 'of the hub, which shows them; the peer is who it was');
});
