/** What runs between two members of two hubs goes on when either hub goes, comes, or flaps: nothing is lost, nothing is done twice. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Agent } from '../../../src/agent/agent.ts';
import { Conversation } from '../../support/conversation.ts';
import { RecordingHandler, type ReplyRecorder, send } from '../../support/http.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

const A = 'ws://10.0.0.1:7000';
const B = 'ws://10.0.0.1:7001';
const BOTH = [A, B];
const LATENCY_MS = 10;
/** From a member through a hub to the other member and back. */
const ROUND_TRIP_MS = 4 * LATENCY_MS;

interface Talkers {
  readonly mesh: VirtualMesh;
  readonly server: Agent;
  readonly caller: Agent;
  readonly log: VirtualMesh['log'];
  readonly handler: RecordingHandler;
  readonly hubs: Map<string, Awaited<ReturnType<VirtualMesh['startHub']>>>;
}

/** A server of `api` and a caller, each with links to both hubs. */
async function start(t: TestContext, serverHubs: readonly string[] = BOTH): Promise<Talkers> {
  const mesh = new VirtualMesh(t);
  mesh.network.latencyMs = LATENCY_MS;
  const hubs: Talkers['hubs'] = new Map();
  for (const port of [7000, 7001]) {
    const hub = await mesh.startShared(port);
    hubs.set(hub.url, hub);
  }
  const server = (await mesh.join(['api'], { hub: serverHubs })).agent;
  const { agent: caller, log } = await mesh.join(['web'], { hub: BOTH });
  await mesh.until(() => isJoined(server) && isJoined(caller));
  const handler = new RecordingHandler((request) => {
    if (request.head.path === '/') return;
    request.answer(200, request.head.path);
  });
  await mesh.serve(server, 'api.default', { protocol: 'http', handler });
  return { mesh, server, caller, log, handler, hubs };
}

function isJoined(agent: Agent): boolean {
  return agent.hubs.every(({ state }) => state === 'connected');
}

/** The ways of the one session of `agent`. */
function pathsOf(agent: Agent): string[] {
  const [peer] = agent.peers.all();
  return (peer?.session.paths ?? []).map(({ state, via }) => `${state} ${via}`).sort();
}

test('A session that is used has a second way by the other hub, within 3 s', async (t) => {
  const { mesh, server, caller, handler } = await start(t);
  const talk = await Conversation.begin(mesh, caller, handler);
  await talk.goOn(3_000);
  deepEqual(pathsOf(caller), [`active ${A}`, `standby ${B}`]);
  deepEqual(pathsOf(server), [`active ${A}`, `standby ${B}`]);
  await talk.goOn(60_000, 5_000);
  equal(pathsOf(caller).length, 2);
  await talk.finish();
});

for (const [unusedMs, ways] of [
  [20_000, 2],
  [90_000, 1],
] as const) {
  test(`A session that was not used for ${unusedMs / 1000} s has ${ways} when the other hub comes`, async (t) => {
    const { mesh, server, caller, handler } = await start(t);
    mesh.kill(B);
    const talk = await Conversation.begin(mesh, caller, handler);
    await talk.goOn(100);
    await talk.finish();
    await mesh.clock.advanceAsync(unusedMs);
    await mesh.startShared(7001);
    await mesh.until(() => isJoined(server) && isJoined(caller), 20_000);
    await mesh.clock.advanceAsync(20_000);
    equal(pathsOf(caller).length, ways);
  });
}

test('Second ways are opened a few at a time', async (t) => {
  const { mesh, caller } = await start(t);
  const servers: Agent[] = [];
  for (let i = 0; i < 17; i++) servers.push((await mesh.join(['api'], { hub: BOTH })).agent);
  await mesh.until(() => servers.every(isJoined));
  mesh.kill(B);
  await mesh.run(caller.mirror.watch('api.default'));
  for (const server of servers) {
    await mesh.serve(server, 'api.default', { protocol: 'http', handler: new RecordingHandler() });
  }
  await mesh.until(() => caller.mirror.endpoints('api.default').length >= 17);
  await mesh.run(
    Promise.all(caller.mirror.endpoints('api.default').map(async (endpoint) => caller.peers.connect(endpoint))),
  );
  await mesh.startShared(7001);
  await mesh.until(() => isJoined(caller) && servers.every(isJoined), 20_000);
  const count = (): number => {
    let open = 0;
    for (const { session } of caller.peers.all()) open += session.paths.filter(({ via }) => via === B).length;
    return open;
  };
  const opened: number[] = [];
  while (count() < 17 && opened.length < 200) {
    const before = count();
    await mesh.clock.advanceAsync(500);
    opened.push(count() - before);
  }
  ok(Math.max(...opened) <= 5, `${opened}`);
  ok(opened.length >= 4 && opened.length < 40, `${opened}`);
});

test('A peer that is not at the other hub is asked for less and less often', async (t) => {
  const { mesh, caller, handler, hubs } = await start(t, [A]);
  const talk = await Conversation.begin(mesh, caller, handler);
  const refused = async (): Promise<number> => {
    const text = (await hubs.get(B)?.metrics.render()) ?? '';
    return Number(/outcome="no-endpoint"\} (\d+)/.exec(text)?.[1] ?? 0);
  };
  await talk.goOn(60_000, 1_000);
  const first = await refused();
  ok(first >= 3 && first <= 20, `asked ${first} times in the first minute`);
  await talk.goOn(240_000, 5_000);
  const then = (await refused()) - first;
  ok(then >= 4 && then <= 20, `asked ${then} times in the next four`);
  await talk.finish();
});

const LOSSES: readonly {
  readonly what: string;
  readonly lose: (talkers: Talkers, url: string) => unknown;
  /** Longest time without a word. */
  readonly stallMs: number;
}[] = [
  { what: 'is killed', lose: ({ mesh }, url) => mesh.kill(url), stallMs: ROUND_TRIP_MS + 50 },
  { what: 'loses all its links', lose: ({ mesh }, url) => mesh.network.cut(url), stallMs: ROUND_TRIP_MS + 50 },
  { what: 'drains', lose: ({ hubs }, url) => void hubs.get(url)?.drain(), stallMs: ROUND_TRIP_MS + 50 },
  { what: 'falls silent', lose: ({ mesh }, url) => mesh.network.silence(url), stallMs: 3_000 },
];

for (const { what, lose, stallMs } of LOSSES) {
  for (const [which, url] of [
    ['the hub in use', A],
    ['the other hub', B],
  ] as const) {
    test(`Streams go on when ${which} ${what}`, async (t) => {
      const talkers = await start(t);
      const { mesh, caller, handler } = talkers;
      const talks = [
        await Conversation.begin(mesh, caller, handler),
        await Conversation.begin(mesh, caller, handler),
      ] as const;
      await talks[0].goOn(3_000, 100);
      await talks[1].goOn(200);
      for (const talk of talks) talk.forgetStalls();
      lose(talkers, url);
      await talks[0].goOn(4_000);
      const { longestStallMs } = talks[0];
      t.diagnostic(`longest stall ${longestStallMs} ms`);
      ok(longestStallMs <= stallMs, `${longestStallMs} ms`);
      // Counted, whether there was time for the fence or not.
      const [peer] = caller.peers.all();
      equal(peer?.session.stats.pathSwitches, url === A ? 1 : 0);
      for (const talk of talks) await talk.finish();
      equal(handler.seen.length, 2);
    });
  }
}

test('Streams go on when the hub in use flaps for half a minute; the other one becomes the primary, and stays it', async (t) => {
  const { mesh, caller, handler, log } = await start(t);
  const talk = await Conversation.begin(mesh, caller, handler);
  await talk.goOn(3_000, 100);
  talk.forgetStalls();
  for (let second = 0; second < 30; second++) {
    mesh.network.cut(A);
    await talk.goOn(1_000, 25);
  }
  t.diagnostic(`longest stall ${talk.longestStallMs} ms`);
  ok(talk.longestStallMs <= ROUND_TRIP_MS + 50, `${talk.longestStallMs} ms`);
  deepEqual(
    log.of('hub-primary').map(({ fields }) => fields.hub),
    [B],
  );
  await talk.finish();
  equal(handler.seen.length, 1);
});

test('A hub that drains is not left while a stream has no other way', async (t) => {
  const { mesh, caller, handler, hubs } = await start(t, [A]);
  const talk = await Conversation.begin(mesh, caller, handler);
  await talk.goOn(1_000, 100);
  const drained = hubs.get(A)?.drain();
  await talk.goOn(5_000, 100);
  equal(caller.hubs[0]?.state, 'leaving');
  // What is not under way needs it no more.
  equal(caller.hub, B);
  await talk.finish();
  equal(caller.hubs[0]?.state, 'waiting');
  await drained;
});

test('Every request is done once, whichever hub goes while it is under way', async (t) => {
  const talkers = await start(t);
  const { mesh, server, caller, handler, hubs } = talkers;
  const replies: ReplyRecorder[] = [];
  const ask = (): void => {
    const reply = send(caller.outbound, { method: 'POST', path: `/${replies.length}` });
    replies.push(reply);
  };
  const goOn = async (ms: number): Promise<void> => {
    for (let at = 0; at < ms; at += 15) {
      ask();
      await mesh.clock.advanceAsync(15);
    }
  };
  await goOn(1_000);
  for (const url of [A, B, A, B]) {
    mesh.kill(url);
    await goOn(1_500);
    hubs.set(url, await mesh.startShared(Number(new URL(url).port)));
    await goOn(500);
    await mesh.until(() => isJoined(caller) && isJoined(server));
    await goOn(2_000);
  }
  await mesh.clock.advanceAsync(10_000);
  deepEqual(
    replies.filter(({ error }) => error !== undefined).map(({ error }) => error?.message),
    [],
  );
  deepEqual(
    replies.map(({ text }) => text),
    replies.map((_, i) => `/${i}`),
  );
  const times = new Map<string, number>();
  for (const { head } of handler.seen) times.set(head.path, (times.get(head.path) ?? 0) + 1);
  deepEqual(
    [...times].filter(([, count]) => count !== 1),
    [],
  );
  equal(times.size, replies.length);
});
