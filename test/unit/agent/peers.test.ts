/** Peers: who is believed to serve what, how many sessions one may hold, and when an identity ends one. */

import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict';
import { test } from 'node:test';
import type { Agent } from '../../../src/agent/agent.ts';
import type { Endpoint } from '../../../src/catalog/endpoint.ts';
import type { SkeinError } from '../../../src/core/errors.ts';
import { encodeRequestHead, MAX_BLOCK_BYTES } from '../../../src/http/head-codec.ts';
import type { Session } from '../../../src/tunnel/session.ts';
import { STREAM_KIND } from '../../../src/tunnel/stream.ts';
import { RecordingHandler, type ReplyRecorder, responseHead, send } from '../../support/http.ts';
import { HubClient } from '../../support/hub-client.ts';
import type { Probe } from '../../support/resumable.ts';
import { joinRogue, openSilent } from '../../support/rogue-member.ts';
import { RecordingSink } from '../../support/tunnel.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

const HOUR_MS = 3_600_000;
const ok200 = (): RecordingHandler => new RecordingHandler((request) => request.answer(200, 'ok'));

/** What the catalogue tells `agent` of the one instance of a service. */
function endpointOf(agent: Agent, service: string): Endpoint {
  const [endpoint] = agent.mirror.endpoints(service);
  ok(endpoint, `nobody serves ${service}`);
  return endpoint;
}

test('Requests to one instance share one session, and use the one that the other end made', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const [a, b] = [(await mesh.join(['api'])).agent, (await mesh.join(['web'])).agent];
  await mesh.serve(a, 'api.default', { protocol: 'http', handler: ok200() });
  await mesh.serve(b, 'web.default', { protocol: 'http', handler: ok200() });
  const replies = Array.from({ length: 20 }, () => send(b.outbound));
  await mesh.run(Promise.all(replies.map(({ done }) => done)));
  deepEqual([...new Set(replies.map(({ text }) => text))], ['ok']);
  equal((await mesh.ask(a, { authority: 'web.mesh' })).text, 'ok');
  deepEqual([a.peers.size, b.peers.size], [1, 1]);
});

test('A catalogue that was tampered with leads no request to a member not granted the name', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const caller = (await mesh.join(['web'])).agent;
  const thief = (await mesh.join(['other'])).agent;
  const handler = ok200();
  await mesh.serve(thief, 'other.default', { protocol: 'http', handler });
  await mesh.run(caller.mirror.watch('other.default'));
  const truth = endpointOf(caller, 'other.default');
  const lies: [string, Partial<Endpoint>][] = [
    ['a name it was not granted', { service: 'pay.default' }],
    ['an identity that is not its own', { id: 'spiffe://skein.mesh/ns/default/sa/pay' }],
    ['both', { service: 'pay.default', id: 'spiffe://skein.mesh/ns/default/sa/pay' }],
  ];
  // First while no session is there, then while there is one.
  for (const round of ['new', 'open']) {
    for (const [what, lie] of lies) {
      const connected = (async () => caller.peers.connect({ ...truth, ...lie }))();
      await rejects(mesh.run(connected), { code: 'SKEIN_IDENTITY' }, `${what}, ${round} session`);
    }
    await mesh.run((async () => caller.peers.connect(truth))());
  }
  throws(() => caller.peers.connect({ ...truth, service: 'pay.default' }), { code: 'SKEIN_IDENTITY' });
  equal(handler.seen.length, 0);
});

test('A session ends with the SVID of its peer; new requests get another before', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const server = (await mesh.join(['api'], { limits: { renewAfterMs: 48 * HOUR_MS } })).agent;
  const { agent: caller, log } = await mesh.join(['web'], { limits: { idleSessionMs: 48 * HOUR_MS } });
  const handler = new RecordingHandler((request) => {
    if (request.head.path === '/') request.answer(200, 'ok');
    else request.reply.onHead(responseHead(200), false); // an answer that has begun may take its time
  });
  await mesh.serve(server, 'api.default', { protocol: 'http', handler });
  mesh.clock.shiftEpoch(23.5 * HOUR_MS);
  const hanging = send(caller.outbound, { method: 'POST', path: '/hang' });
  await mesh.until(() => handler.seen.length === 1);
  equal((await mesh.ask(caller)).text, 'ok');
  equal(caller.peers.size, 1);
  // At four fifths of what is left: another session for what is new, the old one for what is open.
  await mesh.clock.advanceAsync(25 * 60_000);
  equal(hanging.isOver, false);
  equal((await mesh.ask(caller)).text, 'ok');
  equal(caller.peers.size, 2);
  await mesh.clock.advanceAsync(5 * 60_000 + 1000);
  equal(hanging.error?.code, 'SKEIN_SESSION_LOST');
  ok(log.of('session-closed').some(({ fields }) => fields.reason === 'identity'));
});

test('One member holds no more sessions than its share, however fast it asks', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const { agent, log } = await mesh.join(['api']);
  const rogue = await joinRogue(t, mesh);
  const dials = Array.from({ length: 10 }, () => rogue.dial(agent.instance));
  for (const dial of dials) dial.catch(() => undefined);
  const results = await mesh.run(Promise.allSettled(dials));
  equal(results.filter(({ status }) => status === 'fulfilled').length, 4);
  await mesh.until(() => agent.peers.size === 4);
  equal(log.of('circuit-refused').length, 6);
  // One that ends makes room for another.
  const [first] = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  first?.close(new Error('done') as SkeinError);
  await mesh.until(() => agent.peers.size === 3);
  await mesh.run(rogue.dial(agent.instance));
});

test('Handshakes that nobody goes on with are few, per member and in all, and not for ever', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const { agent } = await mesh.join(['api'], { limits: { maxHalfOpen: 6 } });
  await mesh.serve(agent, 'api.default', { protocol: 'http', handler: ok200() });
  const rogues = [await joinRogue(t, mesh), await joinRogue(t, mesh)] as const;
  const probes: Probe[] = [];
  for (const rogue of [rogues[0], rogues[0], rogues[0], rogues[0], rogues[0], rogues[1], rogues[1], rogues[1]]) {
    probes.push(await openSilent(mesh, rogue, agent.instance));
  }
  await mesh.clock.settle();
  deepEqual(
    probes.map(({ error }) => error?.code),
    [undefined, undefined, undefined, undefined, 'SKEIN_LIMIT', undefined, undefined, 'SKEIN_LIMIT'],
  );
  // Somebody honest has to wait no longer than a handshake may take.
  await mesh.clock.advanceAsync(11_000);
  const caller = (await mesh.join(['web'])).agent;
  equal((await mesh.ask(caller)).text, 'ok');
  equal(probes.filter(({ error }) => error === undefined).length, 0);
});

test('A session without a stream is closed after a while, and made again when it is needed', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const [server, caller] = [(await mesh.join(['api'])).agent, (await mesh.join(['web'])).agent];
  await mesh.serve(server, 'api.default', { protocol: 'http', handler: ok200() });
  await mesh.ask(caller);
  await mesh.clock.advanceAsync(4 * 60_000);
  equal(caller.peers.size, 1);
  await mesh.clock.advanceAsync(3 * 60_000);
  deepEqual([caller.peers.size, server.peers.size], [0, 0]);
  equal((await mesh.ask(caller)).text, 'ok');
});

test('A member that is gone is avoided at once; what it owes is asked of another one if that may be done twice', async (t) => {
  const mesh = new VirtualMesh(t);
  const hub = await mesh.startHub();
  const silent = () => new RecordingHandler();
  const [atX, atY] = [silent(), silent()];
  const x = (await mesh.join(['api'])).agent;
  const linkOfX = mesh.network.links.at(-1);
  const y = (await mesh.join(['api'])).agent;
  const caller = (await mesh.join(['web'])).agent;
  await mesh.serve(x, 'api.default', { protocol: 'http', handler: atX });
  await mesh.serve(y, 'api.default', { protocol: 'http', handler: atY });
  const request = (method: string, path: string): ReplyRecorder => send(caller.outbound, { method, path });
  const pathsAt = ({ seen }: RecordingHandler): string[] => seen.map(({ head }) => head.path);
  const replies = new Map<string, ReplyRecorder>();
  for (let i = 0; i < 20; i++) replies.set(`/get/${i}`, request('GET', `/get/${i}`));
  for (let i = 0; i < 20; i++) replies.set(`/post/${i}`, request('POST', `/post/${i}`));
  await mesh.until(() => atX.seen.length + atY.seen.length === 40);
  const owed = pathsAt(atX);
  const [gets, posts] = [owed.filter((path) => /get/.test(path)), owed.filter((path) => /post/.test(path))];
  ok(gets.length > 0 && posts.length > 0, 'both kinds are there');

  mesh.network.refuse(hub.url);
  linkOfX?.cut();
  await mesh.clock.advanceAsync(50);
  for (let i = 0; i < 10; i++) request('GET', `/later/${i}`);
  await mesh.clock.advanceAsync(50);
  equal(pathsAt(atY).filter((path) => /later/.test(path)).length, 10);

  await mesh.clock.advanceAsync(1_000);
  deepEqual(
    gets.filter((path) => !pathsAt(atY).includes(path)),
    [],
  );
  for (const seen of atY.seen) seen.answer(200, 'from y');
  await mesh.until(() => gets.every((path) => replies.get(path)?.isOver));
  deepEqual([...new Set(gets.map((path) => replies.get(path)?.text))], ['from y']);

  // Whoever asked for these is told what nobody knows.
  await mesh.clock.advanceAsync(31_000);
  for (const path of posts) {
    const error = replies.get(path)?.error;
    deepEqual([error?.code, error?.notProcessed, pathsAt(atY).includes(path)], ['SKEIN_SESSION_LOST', false, false]);
  }
});

test('A member that leaves finishes what it began, and takes nothing more', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const [server, caller] = [(await mesh.join(['api'])).agent, (await mesh.join(['web'])).agent];
  const handler = new RecordingHandler();
  await mesh.serve(server, 'api.default', { protocol: 'http', handler });
  const begun = send(caller.outbound);
  await mesh.until(() => handler.seen.length === 1);
  await mesh.run(server.leave());
  const finished = server.finish(10_000);
  const late = await mesh.ask(caller);
  deepEqual([late.head?.status ?? late.error?.status, handler.seen.length], [503, 1]);
  handler.seen[0]?.answer(200, 'to the end');
  equal(await mesh.run(finished), true);
  await mesh.run(begun.done);
  equal(begun.text, 'to the end');
});

test('Refused circuits are logged so many a second, however often somebody opens one', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const limits = { maxHalfOpen: 1, denialsPerSecond: 1, denialsBurst: 2 };
  const { agent, log } = await mesh.join(['api'], { limits });
  const rogue = await joinRogue(t, mesh);
  for (let n = 0; n < 8; n++) await openSilent(mesh, rogue, agent.instance).catch(() => undefined);
  equal(log.of('circuit-refused').length, 2);
  await mesh.clock.advanceAsync(1000);
  await openSilent(mesh, rogue, agent.instance).catch(() => undefined);
  equal(log.of('circuit-refused').at(-1)?.fields.notLogged, 5);
});

test('A key holds so many sessions here under whatever names, and takes none from others', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const { agent, log } = await mesh.join(['api'], { limits: { maxSessionsPerKey: 3 } });
  await mesh.serve(agent, 'api.default', { protocol: 'http', handler: ok200() });
  const first = await joinRogue(t, mesh);
  const open: boolean[] = [];
  for (let i = 0; i < 3; i++) {
    // The same key in another process, as a copy of its folder would make it.
    const twin = await mesh.run(
      HubClient.connect(mesh.platform, 'ws://10.0.0.1:7000', { ...first.identity, instance: `twin-${i}` }),
    );
    t.after(() => twin.close());
    const sessions = [await mesh.run(twin.dial(agent.instance)), await mesh.run(twin.dial(agent.instance))];
    await mesh.clock.advanceAsync(100);
    open.push(...sessions.map(({ isOpen }) => isOpen));
  }
  deepEqual(open, [true, true, true, false, false, false]);
  equal(agent.peers.size, 3);
  equal(agent.peers.quotasCrossed.get('sessions-of-identity'), 3);
  equal(log.of('session-refused').length, 3);
  const caller = (await mesh.join(['web'])).agent;
  equal((await mesh.ask(caller)).text, 'ok');
});

test('An identity has so many streams here over all its sessions; what is above is refused, and nobody else feels it', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const { agent } = await mesh.join(['api'], { limits: { maxStreamsPerKey: 20 } });
  const handler = new RecordingHandler(() => undefined);
  await mesh.serve(agent, 'api.default', { protocol: 'http', handler });
  const rogue = await joinRogue(t, mesh);
  const block = new Uint8Array(MAX_BLOCK_BYTES);
  const length = encodeRequestHead(block, {
    ...{ method: 'GET', scheme: 'http', authority: 'api.mesh', path: '/', upgrade: undefined, fields: [] },
    service: 'api.default:80',
  });
  const sessions = [await mesh.run(rogue.dial(agent.instance)), await mesh.run(rogue.dial(agent.instance))];
  await mesh.until(() => agent.peers.size === 2);
  const sinks = Array.from({ length: 30 }, (_, i) => {
    const session = sessions[i % 2] as Session;
    return new RecordingSink(session.openStream(STREAM_KIND.http, block, length, true));
  });
  await mesh.clock.advanceAsync(100);
  const refused = sinks.filter(({ error }) => error !== undefined);
  deepEqual([...new Set(refused.map(({ error }) => [error?.code, error?.notProcessed].join()))], ['SKEIN_LIMIT,true']);
  deepEqual([refused.length, handler.seen.length], [10, 20]);
  equal(agent.peers.quotasCrossed.get('streams-of-identity'), 10);
  ok(sessions.every(({ isOpen }) => isOpen));
  const caller = (await mesh.join(['web'])).agent;
  const honest = send(caller.outbound);
  await mesh.clock.advanceAsync(100);
  equal(handler.seen.length, 21);
  handler.seen.at(-1)?.answer(200, 'ok');
  await mesh.run(honest.done);
  equal(honest.text, 'ok');
});

test('An identity that breaks one session after the other is let in no more for a while, and nobody else is kept out', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const { agent } = await mesh.join(['api'], { limits: { faultsBurst: 3 } });
  await mesh.serve(agent, 'api.default', { protocol: 'http', handler: ok200() });
  const member = await joinRogue(t, mesh);
  const breakOne = async (as: HubClient): Promise<string> => {
    const rogue = await mesh.run(as.intrude(agent.instance));
    if (!rogue.isReady) return `refused ${rogue.closedBy?.code}`;
    await mesh.clock.advanceAsync(100);
    if (rogue.closedBy === undefined) rogue.send((writer) => writer.resetStream(1_001, 0, 0, false));
    await mesh.clock.advanceAsync(100);
    return String(rogue.closedBy?.code);
  };
  for (let i = 0; i < 3; i++) equal(await breakOne(member), 'SKEIN_PROTOCOL');
  equal(await breakOne(member), 'refused SKEIN_LIMIT');
  // Under another name it is known by its key.
  const twin = await mesh.run(
    HubClient.connect(mesh.platform, 'ws://10.0.0.1:7000', { ...member.identity, instance: 'twin' }),
  );
  t.after(() => twin.close());
  equal(await breakOne(twin), 'SKEIN_LIMIT');
  equal(agent.peers.quotasCrossed.get('faults'), 2);
  equal((await mesh.ask((await mesh.join(['web'])).agent)).text, 'ok');
  await mesh.clock.advanceAsync(11_000);
  equal(await breakOne(member), 'SKEIN_PROTOCOL');
});

test('A flood of streams that are refused is answered at the pace of its identity; others are answered at once', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const { agent } = await mesh.join(['api'], { limits: { refusalsPerSecond: 100, refusalsBurst: 50 } });
  await mesh.serve(agent, 'api.default', { protocol: 'http', handler: ok200() });
  const rogue = await joinRogue(t, mesh);
  const block = new Uint8Array(MAX_BLOCK_BYTES);
  const length = encodeRequestHead(block, {
    ...{ method: 'GET', scheme: 'http', authority: 'nobody.mesh', path: '/', upgrade: undefined, fields: [] },
    service: 'nobody.default:80',
  });
  const session = await mesh.run(rogue.dial(agent.instance));
  await mesh.until(() => agent.peers.size === 1);
  const open = (): RecordingSink => new RecordingSink(session.openStream(STREAM_KIND.http, block, length, true));
  const sinks = Array.from({ length: 200 }, open);
  const over = (): number => sinks.filter(({ ended, error }) => ended || error !== undefined).length;
  await mesh.clock.advanceAsync(10);
  equal(over(), 50);
  await mesh.clock.advanceAsync(500);
  ok(over() >= 90 && over() <= 110, `${over()} are answered`);
  equal((await mesh.ask((await mesh.join(['web'])).agent)).text, 'ok');
  // Nobody waits for longer than a second, however many there are.
  await mesh.clock.advanceAsync(1_000);
  equal(over(), 200);
  equal(session.isOpen, true);
});

test('Streams of who is being refused wait for their turn, and are not looked at when their session is over by then', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const { agent } = await mesh.join(['api']);
  const handler = new RecordingHandler(({ reply }) => reply.onHead(responseHead(204), true));
  await mesh.serve(agent, 'api.default', { protocol: 'http', handler });
  const member = await joinRogue(t, mesh);
  const head = (service: string): Uint8Array => {
    const block = new Uint8Array(MAX_BLOCK_BYTES);
    const parts = { method: 'GET', scheme: 'http', authority: 'x.mesh', path: '/', upgrade: undefined } as const;
    return block.subarray(0, encodeRequestHead(block, { ...parts, fields: [], service }));
  };
  for (const breaks of [true, false]) {
    const rogue = await mesh.run(member.intrude(agent.instance));
    await mesh.clock.advanceAsync(100);
    rogue.send((writer) => {
      writer.credit(0, 2 ** 30);
      const open = (i: number, service: string): void =>
        writer.open(1 + 2 * i, true, STREAM_KIND.http, 65_536, head(service));
      for (let i = 0; i < 60; i++) open(i, 'nobody.default:80');
      for (let i = 60; i < 260; i++) open(i, 'api.default:80');
      if (breaks) writer.resetStream(10_001, 0, 0, false);
    });
    await mesh.clock.advanceAsync(100);
    equal(handler.seen.length, breaks ? 0 : 200);
    rogue.leave();
  }
});
