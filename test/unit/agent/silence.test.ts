/** Members whose link to the hub falls silent: they make another one beside it, and take it only if the first is silent still. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Agent } from '../../../src/agent/agent.ts';
import type { RequestBody } from '../../../src/http/handler.ts';
import type { MemoryLink } from '../../../src/testing/memory-pipe.ts';
import { latin1, RecordingHandler, type ReplyRecorder, type SeenRequest, send } from '../../support/http.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

const A = 'ws://10.0.0.1:7000';
const B = 'ws://10.0.0.1:7001';
const EVERY_MS = 50;

interface Talk {
  readonly mesh: VirtualMesh;
  readonly server: Member;
  readonly caller: Member;
  readonly upload: Upload;
}

interface Member {
  readonly agent: Agent;
  readonly log: VirtualMesh['log'];
  /** Its first link to each hub. */
  readonly links: readonly MemoryLink[];
}

/** A server, a caller, and an upload between them that goes on. */
async function talk(t: TestContext, hubs: readonly string[] = [A]): Promise<Talk> {
  const mesh = new VirtualMesh(t);
  for (const url of hubs) await mesh.startShared(Number(new URL(url).port));
  const join = async (service: string): Promise<Member> => {
    const before = mesh.network.links.length;
    const { agent, log } = await mesh.join([service], { hub: hubs });
    await mesh.until(() => agent.hubs.every(({ state }) => state === 'connected'));
    return { agent, log, links: mesh.network.links.slice(before) };
  };
  const server = await join('api');
  const caller = await join('web');
  const handler = new RecordingHandler();
  await mesh.serve(server.agent, 'api.default', { protocol: 'http', handler });
  const reply = send(caller.agent.outbound, { method: 'POST' }, false);
  await mesh.until(() => handler.seen.length === 1);
  const upload = new Upload(mesh, reply.body, handler.seen[0] as SeenRequest, reply);
  await upload.goOn(3_000);
  upload.longestStallMs = 0;
  return { mesh, server, caller, upload };
}

/** Says a number every 50 ms. */
class Upload {
  longestStallMs = 0;
  readonly #mesh: VirtualMesh;
  readonly #body: RequestBody;
  readonly #request: SeenRequest;
  readonly #reply: ReplyRecorder;
  #said = '';

  constructor(mesh: VirtualMesh, body: RequestBody, request: SeenRequest, reply: ReplyRecorder) {
    this.#mesh = mesh;
    this.#body = body;
    this.#request = request;
    this.#reply = reply;
  }

  async goOn(forMs: number): Promise<void> {
    const { clock } = this.#mesh;
    let heardMs = clock.monotonicMs();
    for (const untilMs = heardMs + forMs; clock.monotonicMs() < untilMs; ) {
      const text = `${this.#said.length} `;
      this.#said += text;
      this.#body.write(latin1(text));
      const before = this.#request.chunks.length;
      await clock.advanceAsync(EVERY_MS);
      if (this.#request.chunks.length > before) heardMs = clock.monotonicMs();
      this.longestStallMs = Math.max(this.longestStallMs, clock.monotonicMs() - heardMs);
    }
  }

  /** Everything has arrived, once and in order. */
  check(): void {
    equal(this.#reply.error ?? this.#request.aborted, undefined);
    equal(this.#request.text, this.#said);
  }
}

function isUnbroken({ log }: Member): void {
  deepEqual(log.of('hub-lost'), []);
}

test('A link that dies in silence under talk is replaced before it is dead: the stream stands still for 3 s', async (t) => {
  const { mesh, server, caller, upload } = await talk(t);
  caller.links[0]?.blackhole();
  await upload.goOn(6_000);
  upload.check();
  ok(upload.longestStallMs <= 3_000, `${upload.longestStallMs} ms`);
  t.diagnostic(`one hub, link of the caller: longest stall ${upload.longestStallMs} ms`);
  isUnbroken(caller);
  isUnbroken(server);
  equal(caller.log.of('hub-replaced').length, 1);
  // The hub does not wait for its own verdict.
  const again = mesh.log.of('sidecar-joined').filter(({ fields }) => fields.instance === caller.agent.instance);
  deepEqual(
    again.map(({ fields }) => fields.replaced),
    [false, true],
  );
});

test('The link of the one that is called, too, which has nothing to say', async (t) => {
  const { server, upload } = await talk(t);
  server.links[0]?.blackhole();
  await upload.goOn(12_000);
  upload.check();
  t.diagnostic(`one hub, link of the callee: longest stall ${upload.longestStallMs} ms`);
  ok(upload.longestStallMs <= 8_000, `${upload.longestStallMs} ms`);
  isUnbroken(server);
  equal(server.log.of('hub-replaced').length, 1);
});

test('Where there is another hub the stream stands still for 2 s, whoever loses the link', async (t) => {
  for (const who of ['server', 'caller'] as const) {
    const made = await talk(t, [A, B]);
    made[who].links[0]?.blackhole();
    await made.upload.goOn(6_000);
    made.upload.check();
    t.diagnostic(`two hubs, link of the ${who}: longest stall ${made.upload.longestStallMs} ms`);
    ok(made.upload.longestStallMs <= 2_000, `${made.upload.longestStallMs} ms`);
  }
});

test('A hub that is frozen for 7 s keeps all its links, although they are silent and dials are under way', async (t) => {
  const { mesh, server, caller, upload } = await talk(t);
  mesh.network.freeze(A);
  await upload.goOn(7_000);
  mesh.network.thaw(A);
  await upload.goOn(3_000);
  upload.check();
  ok(mesh.network.dials.length > 2, 'another link was tried');
  for (const member of [server, caller]) {
    isUnbroken(member);
    deepEqual(member.log.of('hub-replaced'), []);
  }
  equal(mesh.log.of('sidecar-joined').length, 2);
});

test('A hub that is frozen for 15 s may lose links, and no stream', async (t) => {
  const { mesh, upload } = await talk(t);
  mesh.network.freeze(A);
  await upload.goOn(15_000);
  mesh.network.thaw(A);
  await upload.goOn(6_000);
  upload.check();
});

test('A hub frees what a dead sidecar holds within 15 s, and what one holds that returns at once', async (t) => {
  const { mesh, server } = await talk(t);
  const leftOf = ({ agent }: Member) =>
    mesh.log.of('sidecar-left').filter(({ fields }) => fields.instance === agent.instance);
  const fromMs = mesh.clock.monotonicMs();
  mesh.network.silence(A);
  await mesh.until(() => leftOf(server).length === 1);
  const tookMs = mesh.clock.monotonicMs() - fromMs;
  ok(tookMs <= 15_000, `${tookMs} ms`);
  mesh.network.unsilence(A);
  await mesh.until(() => server.agent.hub === A);
});
