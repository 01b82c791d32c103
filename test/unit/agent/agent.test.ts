/** Agent: what is live is counted until it is over, what is new is told to those who call, and nothing is left at the end. */

import { deepEqual, equal, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { resolveAgentOptions } from '../../../src/agent/options.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { NO_FIELDS } from '../../../src/http/head.ts';
import { toDestination } from '../../../src/router/destination.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { RecordingHandler, type ReplyRecorder, send } from '../../support/http.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

test('A request that goes on behind its answer is live until it ends, is given up, or its session is lost', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const [server, caller] = [(await mesh.join(['api'])).agent, (await mesh.join(['web'])).agent];
  const handler = new RecordingHandler((request) => request.answer(200, 'early'));
  await mesh.serve(server, 'api.default', { protocol: 'http', handler });
  const replies: ReplyRecorder[] = [];
  for (let n = 0; n < 3; n++) {
    const reply = send(caller.outbound, { method: 'POST' }, false);
    await mesh.run(reply.done);
    equal(reply.text, 'early');
    replies.push(reply);
  }
  equal(server.liveStreams, 3);
  replies[0]?.body?.end(NO_FIELDS);
  await mesh.until(() => server.liveStreams === 2);
  replies[1]?.body?.abort(new SkeinError('SKEIN_CANCELLED', 'Cannot go on: test'));
  await mesh.until(() => server.liveStreams === 1);
  caller.close();
  await mesh.until(() => server.liveStreams === 0);
});

test('A service that becomes unhealthy, or is served no more, is told to its callers at once', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const [server, caller] = [(await mesh.join(['api'])).agent, (await mesh.join(['web'])).agent];
  const handler = new RecordingHandler((request) => request.answer(200, 'ok'));
  const ask = async (): Promise<unknown> => {
    const reply = await mesh.ask(caller);
    return reply.error?.code ?? reply.head?.status;
  };
  const served = server.serve({ service: 'api.default', port: 80, labels: {}, target: { protocol: 'http', handler } });
  await mesh.run(served.registered);
  equal(await ask(), 200);
  served.setHealthy(false);
  await mesh.clock.advanceAsync(200);
  equal(await ask(), 'SKEIN_NO_ENDPOINT');
  served.setHealthy(true);
  await mesh.clock.advanceAsync(200);
  equal(await ask(), 200);
  served.close();
  await mesh.clock.advanceAsync(200);
  equal(await ask(), 'SKEIN_NO_SUCH_SERVICE');
});

test('Members that have left leave no session, no link and no timer', async (t) => {
  const mesh = new VirtualMesh(t, new SeededRandom(7));
  const hub = await mesh.startHub();
  const idle = mesh.clock.pendingTimers;
  const agents = [(await mesh.join(['api'])).agent, (await mesh.join(['web'])).agent] as const;
  const handler = new RecordingHandler((request) => request.answer(200, 'ok'));
  await mesh.serve(agents[0], 'api.default', { protocol: 'http', handler });
  await mesh.ask(agents[1]);
  for (const agent of agents) agent.close();
  await mesh.clock.advanceAsync(60_000);
  deepEqual([agents[0].peers.size, agents[1].peers.size, agents[0].hub, agents[1].hub], [0, 0, undefined, undefined]);
  equal(mesh.clock.pendingTimers, idle);
  await mesh.run(hub.close());
  await mesh.clock.advanceAsync(60_000);
  equal(mesh.clock.pendingTimers, 0);
});

test('An agent that is closed while it joins gives up, wherever it was', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const moments = ['link', 'sidecar-enrolled', 'svid-issued', 'sidecar-joined', 'identity', 'connected'];
  for (const moment of moments) {
    const { agent, log } = await mesh.createAgent({ token: await mesh.token('api') });
    const count = mesh.log.of(moment).length;
    if (moment === 'connected') agent.events.on('connected', () => agent.close());
    else if (moment !== 'link') mesh.log.waitFor(moment, count + 1).then(() => agent.close(), t.diagnostic);
    agent.start().catch(() => undefined);
    if (moment === 'link') agent.close();
    if (moment === 'identity') {
      await mesh.until(() => agent.identity.isMember);
      agent.close();
    }
    await mesh.clock.advanceAsync(60_000);
    equal(agent.hub, undefined, moment);
    equal(log.of('hub-connected').length, moment === 'identity' ? 1 : 0, moment);
    // Signatures are made in real time: the hub may hear of the end a little later.
    await mesh.until(() => mesh.log.of('sidecar-joined').length === mesh.log.of('sidecar-left').length);
  }
});

test('An agent that goes while the hub signs for it leaves nothing there', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const idle = mesh.clock.pendingTimers;
  const { agent } = await mesh.createAgent({ token: await mesh.token('api') });
  const { subtle } = crypto;
  const { sign } = subtle;
  const setSign = (value: typeof sign) =>
    Object.defineProperty(subtle, 'sign', { value, configurable: true, writable: true });
  let signNow: () => void = () => undefined;
  const mayDo = new Promise<void>((resolve) => {
    signNow = resolve;
  });
  // What the hub has to sign for a newcomer that it has admitted is its SVID.
  mesh.log.waitFor('sidecar-enrolled').then(() => {
    setSign((...args) => mayDo.then(() => sign.apply(subtle, args)));
  }, t.diagnostic);
  agent.start().catch(() => undefined);
  await mesh.until(() => mesh.log.of('sidecar-enrolled').length > 0);
  await mesh.clock.advanceAsync(100);
  agent.close();
  await mesh.clock.advanceAsync(1_000);
  signNow();
  setSign(sign);
  await mesh.until(() => mesh.log.of('svid-issued').length === 2); // the first is the hub's own
  // Members are told within half a minute that the audit log has come further.
  await mesh.clock.advanceAsync(40_000);
  equal(mesh.log.of('sidecar-joined').length, mesh.log.of('sidecar-left').length);
  equal(mesh.clock.pendingTimers, idle);
});

test('A closed agent refuses what comes after', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const { agent } = await mesh.join(['web']);
  await mesh.run(agent.mirror.watch('api.default'));
  agent.close();
  agent.close();
  const reply = await mesh.ask(agent);
  equal(reply.error?.code, 'SKEIN_NO_SUCH_SERVICE');
  await rejects(mesh.run(agent.connect(toDestination('api.default', 80))), SkeinError);
});

test('Options that mean nothing are refused, with what is wrong', () => {
  const bad: [object, new (...args: never[]) => Error][] = [
    [{ hub: '' }, SkeinError],
    [{ hub: [] }, SkeinError],
    [{ hub: 'http://hub' }, SkeinError],
    [{ hub: 'ws://user:secret@hub' }, SkeinError],
    [{ hub: 'ws://hub?token=1' }, SkeinError],
    [{ hub: 'ws://hub', namespace: 'No!' }, SkeinError],
    [{ hub: 'ws://hub', limits: { maxSessions: 0 } }, RangeError],
    [{ hub: 'ws://hub', limits: { maxSession: 1 } }, RangeError],
    [{ hub: 'ws://hub', router: { maxAttempts: 1.5 } }, RangeError],
  ];
  for (const [options, expected] of bad) {
    let thrown: unknown;
    try {
      resolveAgentOptions(options as never);
    } catch (error) {
      thrown = error;
    }
    equal(thrown instanceof expected, true, JSON.stringify(options));
    equal(String(thrown).includes('secret'), false);
  }
  deepEqual(resolveAgentOptions({ hub: 'wss://a, ws://b:1/path' }).hubs, ['wss://a', 'ws://b:1/path']);
});
