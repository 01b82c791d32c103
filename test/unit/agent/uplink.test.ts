/** Uplink: it never gives up but on a refusal, waits with jitter up to its cap, and goes from hub to hub. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { SkeinError } from '../../../src/core/errors.ts';
import { createHub } from '../../../src/hub/hub.ts';
import { folder } from '../../support/folder.ts';
import { RecordingHandler, send } from '../../support/http.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

const HOUR_MS = 3_600_000;

test('Dials for as long as it takes, at once the first time, never more than 20 s apart, never all at one moment', async (t) => {
  const mesh = new VirtualMesh(t);
  const hub = await mesh.startHub();
  const token = await mesh.token('api');
  await mesh.run(hub.close());
  const { agent } = await mesh.createAgent({ token });
  const startedMs = mesh.clock.monotonicMs();
  const joined = agent.start();
  await mesh.clock.advanceAsync(5 * HOUR_MS);
  const { dials } = mesh.network;
  equal(dials[0]?.atMs, startedMs);
  const waits = dials.slice(1).map(({ atMs }, i) => atMs - (dials[i]?.atMs ?? 0));
  ok(Math.max(...waits) <= 20_000, `${Math.max(...waits)} ms`);
  // Full jitter: half the cap on average, so about 360 dials an hour.
  ok(waits.length > 5 * 250 && waits.length < 5 * 500, `${waits.length} dials in 5 hours`);
  ok(new Set(waits.map(Math.round)).size > waits.length / 4);
  joined.catch(() => undefined);
  equal(agent.hub, undefined);
});

test('Joins when the hub is there at last, and again after each loss', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const { agent } = await mesh.join(['api']);
  const seen: string[] = [];
  agent.events.on('connected', ({ hub }) => seen.push(`up ${hub}`));
  agent.events.on('disconnected', ({ error }) => seen.push(`down ${error.code}`));
  for (let round = 1; round <= 3; round++) {
    const lostMs = mesh.clock.monotonicMs();
    mesh.network.links.at(-1)?.cut();
    await mesh.until(() => seen.length === 2 * round);
    ok(mesh.clock.monotonicMs() - lostMs <= 20_000);
  }
  equal(seen.filter((line) => line === 'up ws://10.0.0.1:7000').length, 3);
  // A link that held for long was good: the next dial is at once.
  await mesh.clock.advanceAsync(60_000);
  const lostMs = mesh.clock.monotonicMs();
  mesh.network.links.at(-1)?.cut();
  await mesh.until(() => seen.length === 8);
  ok(mesh.clock.monotonicMs() - lostMs < 5, `${mesh.clock.monotonicMs() - lostMs} ms`);
});

test('A link that is cut every second is back at once each time; one that is cut as soon as it stands is not hammered', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const { agent } = await mesh.join(['api']);
  let connections = 1;
  agent.events.on('connected', () => connections++);
  const cutAfter = async (standingMs: number): Promise<number> => {
    await mesh.clock.advanceAsync(standingMs);
    const cutMs = mesh.clock.monotonicMs();
    const before = connections;
    mesh.network.links.at(-1)?.cut();
    await mesh.until(() => connections > before);
    return mesh.clock.monotonicMs() - cutMs;
  };
  for (let i = 0; i < 60; i++) {
    const awayMs = await cutAfter(1_000);
    ok(awayMs < 5, `${awayMs} ms at cut ${i}`);
  }
  const { length } = mesh.network.dials;
  const startedMs = mesh.clock.monotonicMs();
  while (mesh.clock.monotonicMs() - startedMs < 60_000) await cutAfter(0);
  const perMinute = mesh.network.dials.length - length;
  ok(perMinute < 150, `${perMinute} dials in a minute`);
});

test('Replaces an idle link that died in silence, within 20 s, without a moment in which there is none', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const { agent, log } = await mesh.join(['api']);
  mesh.network.links.at(-1)?.blackhole();
  const diedMs = mesh.clock.monotonicMs();
  await mesh.until(() => log.of('hub-replaced').length === 1 || agent.hub === undefined);
  ok(mesh.clock.monotonicMs() - diedMs <= 20_000, `${mesh.clock.monotonicMs() - diedMs} ms`);
  ok(agent.hub !== undefined);
  equal(mesh.network.dials.length, 2);
});

test('Loses an idle link that died in silence where the hub answers no dial either, within 30 s', async (t) => {
  const mesh = new VirtualMesh(t);
  const { url } = await mesh.startHub();
  const { agent } = await mesh.join(['api']);
  mesh.network.silence(url);
  const diedMs = mesh.clock.monotonicMs();
  await mesh.until(() => agent.hub === undefined);
  ok(mesh.clock.monotonicMs() - diedMs <= 30_000, `${mesh.clock.monotonicMs() - diedMs} ms`);
  mesh.network.unsilence(url);
  await mesh.until(() => agent.hub !== undefined, 20_000);
});

test('A hub that is back soon is found soon: while nobody listens no wait is longer than half a second, or a tenth of the time it was away', async (t) => {
  const dataFolder = mkdtempSync(join(tmpdir(), 'skein-uplink-'));
  t.after(() => rmSync(dataFolder, { recursive: true, force: true }));
  const mesh = new VirtualMesh(t);
  let hub = await mesh.startHub({ dataFolder });
  const { agent } = await mesh.join(['api']);
  for (let round = 0; round < 10; round++) {
    for (const awayMs of [5_000, 40_000]) {
      await mesh.clock.advanceAsync(2_000);
      await mesh.run(hub.close());
      await mesh.clock.advanceAsync(awayMs);
      hub = await mesh.startHub({ dataFolder });
      const backMs = mesh.clock.monotonicMs();
      await mesh.until(() => agent.hub !== undefined);
      const waitedMs = mesh.clock.monotonicMs() - backMs;
      // The last wait began when it was away for at most so long.
      ok(waitedMs <= 100 + Math.max(500, awayMs / 10), `${waitedMs} ms after ${awayMs} ms`);
    }
  }
});

test('While streams wait, a hub that is not there is looked for more often', async (t) => {
  const mesh = new VirtualMesh(t);
  const hub = await mesh.startHub();
  const [server, caller] = [(await mesh.join(['api'])).agent, (await mesh.join(['web'])).agent];
  await mesh.join(['idle']);
  const handler = new RecordingHandler((request) => request.answer(200, 'begun'));
  await mesh.serve(server, 'api.default', { protocol: 'http', handler });
  const reply = send(caller.outbound, { method: 'POST' }, false);
  await mesh.run(reply.done); // answered, and still being asked
  await mesh.run(hub.close());
  await mesh.clock.advanceAsync(2_000);
  const dials = { awaited: 0, idle: 0 };
  const { length } = mesh.network.dials;
  await mesh.clock.advanceAsync(3_000);
  dials.awaited = mesh.network.dials.length - length;
  reply.body?.abort(new SkeinError('SKEIN_CANCELLED', 'Cannot go on: test'));
  await mesh.clock.advanceAsync(1_000);
  dials.idle = mesh.network.dials.length;
  await mesh.clock.advanceAsync(3_000);
  dials.idle = mesh.network.dials.length - dials.idle;
  // Two of the three have a stream: mean waits of 75 ms and 250 ms.
  ok(dials.awaited > 60 && dials.awaited < 130, `${dials.awaited} dials in 3 s`);
  ok(dials.idle > 20 && dials.idle < 60, `${dials.idle} dials in 3 s`);
});

test('A hub that takes nobody for a while is asked again when it said, and not by all at one moment', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub({ limits: { maxLinks: 1 } });
  await mesh.join(['api']);
  const { agent } = await mesh.createAgent({ token: await mesh.token('web') });
  const { length } = mesh.network.dials;
  agent.start().catch(() => undefined); // the hub stays full
  await mesh.clock.advanceAsync(60_000);
  const dials = mesh.network.dials.slice(length);
  const waits = dials.slice(1).map(({ atMs }, i) => atMs - (dials[i]?.atMs ?? 0));
  ok(waits.length >= 4, `${waits.length} dials in a minute`);
  ok(Math.min(...waits) >= 1_000, `${Math.min(...waits)} ms`);
  ok(new Set(waits.map((ms) => Math.round(ms / 100))).size > waits.length / 3, `${waits}`);
});

test('A refusal is final: the reason is told, and nothing is dialled any more', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const token = await mesh.token('api');
  await mesh.join(['api'], { token });
  const { agent } = await mesh.createAgent({ token });
  await rejects(mesh.run(agent.start()), { code: 'SKEIN_TOKEN_USED' });
  await rejects(agent.refused, { code: 'SKEIN_TOKEN_USED' });
  const { length } = mesh.network.dials;
  await mesh.clock.advanceAsync(HOUR_MS);
  equal(mesh.network.dials.length, length);
});

test('What may not be served is refused at the start', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const { agent } = await mesh.createAgent({ token: await mesh.token('api') });
  const target = { protocol: 'tcp', accept: () => undefined } as const;
  agent.serve({ service: 'db.default', port: 80, labels: {}, target });
  await rejects(mesh.run(agent.start()), { code: 'SKEIN_NAME_NOT_GRANTED' });
});

test('Of several hubs each is asked once without a wait', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const hub = ['ws://10.0.0.1:7001', 'ws://10.0.0.1:7002', 'ws://10.0.0.1:7000'];
  const { agent } = await mesh.join(['api'], { hub });
  equal(agent.hub, hub[2]);
  deepEqual(
    mesh.network.dials.map(({ url }) => url),
    hub,
  );
  equal(mesh.clock.monotonicMs() - (mesh.network.dials[0]?.atMs ?? 0) < 100, true);
});

test('A hub that drains is left when nothing is under way, and asked again when it said', async (t) => {
  const dataFolder = mkdtempSync(join(tmpdir(), 'skein-uplink-'));
  t.after(() => rmSync(dataFolder, { recursive: true, force: true }));
  const mesh = new VirtualMesh(t);
  const hub = await mesh.startHub({ dataFolder });
  const { agent, log } = await mesh.join(['api']);
  const startedMs = mesh.clock.monotonicMs();
  await mesh.run(hub.drain());
  const drainedMs = mesh.clock.monotonicMs() - startedMs;
  ok(drainedMs < 500, `${drainedMs} ms`);
  equal(agent.hub, undefined);
  deepEqual([log.of('hub-leaving').length, log.of('hub-lost').length], [1, 1]);
  const { length } = mesh.network.dials;
  await mesh.startHub({ dataFolder });
  await mesh.until(() => agent.hub !== undefined);
  const [again] = mesh.network.dials.slice(length);
  const waitMs = (again?.atMs ?? 0) - startedMs - drainedMs;
  ok(waitMs > 200 && waitMs < 2500, `${waitMs} ms`);
});

test('A hub that leaves and says to come back in years is asked again within half a minute', async (t) => {
  const dataFolder = folder(t);
  const mesh = new VirtualMesh(t);
  const { random } = mesh.platform;
  let isHostile = false;
  const bent = { bytes: (length: number) => random.bytes(length), ratio: () => (isHostile ? 1e9 : random.ratio()) };
  const listen = { host: '10.0.0.1', port: 7000 };
  const hub = await mesh.run(createHub({ ...mesh.platform, random: bent }, { listen, dataFolder }));
  const token = await mesh.run(hub.createJoinToken({ services: ['api'] }));
  const { agent, log } = await mesh.createAgent({ token: token.text });
  await mesh.run(agent.start());
  isHostile = true;
  await mesh.run(hub.drain());
  isHostile = false;
  ok(Number(log.of('hub-leaving')[0]?.fields.reconnectInMs) > 1e9);
  await mesh.startHub({ dataFolder });
  await mesh.until(() => agent.hub !== undefined, 30_000);
});

test('A hub that drains is held while a request is under way; another hub is asked at once', async (t) => {
  const mesh = new VirtualMesh(t);
  const hub = await mesh.startHub();
  const hubs = ['ws://10.0.0.1:7000', 'ws://10.0.0.1:7001'];
  const { agent } = await mesh.join(['api'], { hub: hubs });
  const caller = (await mesh.join(['web'], { hub: hubs })).agent;
  const handler = new RecordingHandler();
  await mesh.serve(agent, 'api.default', { protocol: 'http', handler });
  const reply = send(caller.outbound);
  await mesh.until(() => handler.seen.length === 1);
  const draining = hub.drain();
  await mesh.clock.advanceAsync(5000);
  deepEqual([agent.hub, caller.hub], [hubs[0], hubs[0]]);
  handler.seen[0]?.answer(200, 'to the end');
  await mesh.run(Promise.all([draining, reply.done]));
  equal(reply.text, 'to the end');
  await mesh.until(() => mesh.network.dials.filter(({ url }) => url === hubs[1]).length >= 2, 1000);
});
