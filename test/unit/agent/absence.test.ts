/** A member that is gone, as far as anybody can know: what becomes of what it was asked, and when; and who only lost its link. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Agent } from '../../../src/agent/agent.ts';
import type { AgentOptions } from '../../../src/agent/options.ts';
import { wait } from '../../../src/core/clock.ts';
import { NO_FIELDS } from '../../../src/http/head.ts';
import { Conversation } from '../../support/conversation.ts';
import { RecordingHandler, ReplyRecorder, requestHead } from '../../support/http.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

const A = 'ws://10.0.0.1:7000';
const B = 'ws://10.0.0.1:7001';
/** Links that have held for so long can be relied on. */
const STEADY_MS = 35_000;
const GRACE_MS = 30_000;

class Lab {
  readonly mesh: VirtualMesh;
  readonly server: Agent;
  readonly caller: Agent;
  readonly handler: RecordingHandler;
  /** Its links are cut, and it gets no other one until that resolves. */
  readonly loseServer: (forMs: number) => void;

  private constructor(mesh: VirtualMesh, parts: Pick<Lab, 'server' | 'caller' | 'handler' | 'loseServer'>) {
    this.mesh = mesh;
    this.server = parts.server;
    this.caller = parts.caller;
    this.handler = parts.handler;
    this.loseServer = parts.loseServer;
  }

  /** The one instance of `api`, which answers at once to `/ok`, and who calls it. */
  static async start(t: TestContext, hubs: readonly string[] = [A]): Promise<Lab> {
    const mesh = new VirtualMesh(t);
    mesh.network.latencyMs = 5;
    for (const url of hubs) await mesh.startShared(Number(new URL(url).port));
    const options: Partial<AgentOptions> = { hub: hubs };
    let backMs = 0;
    const before = mesh.network.links.length;
    const { agent: server } = await mesh.createAgent(
      { ...options, token: await mesh.token('api') },
      {
        ...mesh.platform,
        dialWebSocket: async (url, dial) => {
          if (mesh.clock.monotonicMs() < backMs)
            await wait(mesh.clock, backMs - mesh.clock.monotonicMs(), dial?.signal);
          return mesh.network.dial(url, dial);
        },
      },
    );
    await mesh.run(server.start());
    await mesh.until(() => server.hubs.every(({ state }) => state === 'connected'));
    const links = mesh.network.links.slice(before);
    const { agent: caller } = await mesh.join(['web'], options);
    const handler = new RecordingHandler((request) => {
      if (request.head.path.startsWith('/ok')) request.answer(200, 'ok');
    });
    await mesh.serve(server, 'api.default', { protocol: 'http', handler });
    const loseServer = (forMs: number): void => {
      backMs = mesh.clock.monotonicMs() + forMs;
      for (const link of links) link.cut();
    };
    const lab = new Lab(mesh, { server, caller, handler, loseServer });
    await lab.answered('GET');
    return lab;
  }

  ask(method: string, path: string, complete = true): Asked {
    const { mesh, caller } = this;
    const reply = new ReplyRecorder();
    const asked: Asked = { reply, askedMs: mesh.clock.monotonicMs(), tookMs: undefined };
    reply.body = caller.outbound.request(requestHead({ method, path }), complete, reply);
    void reply.done.then(() => {
      asked.tookMs = mesh.clock.monotonicMs() - asked.askedMs;
    });
    return asked;
  }

  async answered(method: string): Promise<void> {
    const { reply } = this.ask(method, '/ok');
    await this.mesh.run(reply.done);
    equal(reply.text, 'ok');
  }

  /** Asks, and lets the request arrive. */
  async begin(method: string, path: string, complete = true): Promise<Asked> {
    const { length } = this.handler.seen;
    const asked = this.ask(method, path, complete);
    await this.mesh.until(() => this.handler.seen.length > length);
    return asked;
  }

  timesSeen(path: string): number {
    return this.handler.seen.filter(({ head }) => head.path === path).length;
  }
}

interface Asked {
  readonly reply: ReplyRecorder;
  readonly askedMs: number;
  tookMs: number | undefined;
}

const verdict = ({ reply: { error } }: Asked) => [error?.code, error?.notProcessed];

test('Who waits for the answer of an instance that is gone is told within 7 s that it may have been done', async (t) => {
  const lab = await Lab.start(t);
  await lab.mesh.clock.advanceAsync(STEADY_MS);
  await lab.answered('POST');
  const post = await lab.begin('POST', '/slow');
  const get = await lab.begin('GET', '/slow');
  lab.loseServer(10 * GRACE_MS);
  await lab.mesh.clock.advanceAsync(7_000);
  deepEqual(verdict(post), ['SKEIN_SESSION_LOST', false]);
  // There was nobody to try it again at.
  deepEqual(verdict(get), ['SKEIN_SESSION_LOST', false]);
  ok((post.tookMs ?? 0) > 4_000, `${post.tookMs} ms`);
});

test('Streams, and requests that are not all sent, wait for half a minute', async (t) => {
  const lab = await Lab.start(t);
  await lab.mesh.clock.advanceAsync(STEADY_MS);
  const upload = await lab.begin('POST', '/upload', false);
  const talk = await Conversation.begin(lab.mesh, lab.caller, lab.handler);
  await talk.goOn(200);
  lab.loseServer(GRACE_MS - 5_000);
  await talk.goOn(GRACE_MS - 7_000, 100);
  equal(upload.reply.isOver, false);
  await talk.goOn(10_000, 100);
  await talk.finish();
  upload.reply.body?.end(NO_FIELDS);
  lab.handler.seen.find(({ head }) => head.path === '/upload')?.answer(200, 'whole');
  await lab.mesh.run(upload.reply.done);
  equal(upload.reply.text, 'whole');
});

test('What has not reached an instance that is gone fails within 7 s, as certainly not done', async (t) => {
  const lab = await Lab.start(t);
  await lab.mesh.clock.advanceAsync(STEADY_MS);
  await lab.answered('POST');
  lab.loseServer(10 * GRACE_MS);
  const asked: Asked[] = [];
  for (let atMs = 0; atMs < 3_000; atMs += 100) {
    await lab.mesh.clock.advanceAsync(100);
    asked.push(lab.ask('POST', `/late/${atMs}`));
  }
  await lab.mesh.clock.advanceAsync(7_000);
  for (const one of asked) deepEqual(verdict(one), ['SKEIN_NO_ENDPOINT', true]);
  const longestMs = Math.max(...asked.map(({ tookMs }) => tookMs ?? Number.POSITIVE_INFINITY));
  ok(longestMs <= 7_000, `${longestMs} ms`);
});

test('An instance that is back after 3 s answers what it was asked, once, also what was asked meanwhile', async (t) => {
  const lab = await Lab.start(t);
  await lab.mesh.clock.advanceAsync(STEADY_MS);
  const before = await lab.begin('POST', '/before');
  lab.loseServer(3_000);
  await lab.mesh.clock.advanceAsync(100);
  const meanwhile = lab.ask('POST', '/ok');
  await lab.mesh.clock.advanceAsync(6_000);
  lab.handler.seen.find(({ head }) => head.path === '/before')?.answer(200, 'at last');
  await lab.mesh.clock.advanceAsync(1_000);
  deepEqual([before.reply.text, lab.timesSeen('/before')], ['at last', 1]);
  deepEqual([meanwhile.reply.text || verdict(meanwhile)], ['ok']);
});

for (const [what, hubs, lose] of [
  ['a hub that is here only now', [A], () => undefined],
  ['a hub while another one is away', [A, B], ({ mesh }) => mesh.kill(A)],
] as const satisfies readonly (readonly [string, readonly string[], (lab: Lab) => void])[]) {
  test(`The word of ${what} proves nothing: an answer is waited for`, async (t) => {
    const lab = await Lab.start(t, hubs);
    await lab.mesh.until(() => lab.caller.hubs.every(({ state }) => state === 'connected'));
    if (hubs.length > 1) await lab.mesh.clock.advanceAsync(STEADY_MS);
    const post = await lab.begin('POST', '/slow');
    lose(lab);
    lab.loseServer(20_000);
    await lab.mesh.clock.advanceAsync(19_000);
    equal(post.reply.isOver, false);
    await lab.mesh.clock.advanceAsync(6_000);
    lab.handler.seen.find(({ head }) => head.path === '/slow')?.answer(200, 'at last');
    await lab.mesh.run(post.reply.done);
    equal(post.reply.text, 'at last');
  });
}
