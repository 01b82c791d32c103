/** A member with a good identity that wants to harm others through the hub, on real sockets. */

import { equal, ok, rejects } from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { LogFields, Logger } from '../../../src/core/log.ts';
import { createHub, type Hub } from '../../../src/hub/hub.ts';
import type { HubOptions } from '../../../src/hub/options.ts';
import { nodePlatform } from '../../../src/runtime/node/platform.ts';
import { createIdentity, HubClient, type Identity } from '../../support/hub-client.ts';

const platform = nodePlatform();

class Recorder implements Logger {
  readonly lines: { readonly event: string; readonly fields: LogFields }[] = [];

  log(_level: string, event: string, fields: LogFields = {}): void {
    this.lines.push({ event, fields });
  }

  of(event: string): readonly LogFields[] {
    return this.lines.filter((line) => line.event === event).map(({ fields }) => fields);
  }
}

async function startHub(t: TestContext, options: HubOptions = {}): Promise<Hub> {
  const hub = await createHub(platform, options);
  t.after(() => hub.close());
  return hub;
}

async function enrol(t: TestContext, hub: Hub, service: string, identity?: Identity): Promise<HubClient> {
  const { text } = await hub.createJoinToken({ services: [service] });
  const client = await HubClient.connect(platform, hub.url, identity ?? (await createIdentity()), text);
  t.after(() => client.close());
  return client;
}

test('An instance whose name others would not read is not let in: its circuits would cost them their control stream', async (t) => {
  const hub = await startHub(t);
  const victim = await enrol(t, hub, 'api');
  for (const instance of ['', 'two words', 'line\nbreak', '\u001b[2J', 'a'.repeat(65), '__proto__/..']) {
    const attempt = enrol(t, hub, 'web', { ...(await createIdentity()), instance }).then(async (rogue) => {
      const circuit = rogue.link.openCircuit();
      await rogue.channel.call('openCircuit', { instance: victim.identity.instance, circuit: circuit.id });
      await victim.closed;
    });
    await rejects(attempt, { code: 'SKEIN_PROTOCOL' }, JSON.stringify(instance));
  }
  ok(!victim.channel.isClosed);
});

test('Another identity cannot take the instance of a sidecar that is away for a moment', async (t) => {
  const hub = await startHub(t);
  const victim = await enrol(t, hub, 'api');
  await victim.register('api.default');
  victim.close();
  await victim.closed;
  const thief = { ...(await createIdentity()), instance: victim.identity.instance };
  await rejects(enrol(t, hub, 'web', thief), { code: 'SKEIN_CONFLICT' });
  const back = await HubClient.connect(platform, hub.url, victim.identity);
  t.after(() => back.close());
  await back.register('api.default');
});

test('A registration too large to tell others is refused, and costs no watcher its link', async (t) => {
  const hub = await startHub(t);
  const watcher = await enrol(t, hub, 'web');
  await watcher.watch.attach(watcher.channel);
  await watcher.watch.add('api.default');
  const rogue = await enrol(t, hub, 'api');
  const labels = Object.fromEntries(
    Array.from({ length: 56 }, (_, i) => [`${i}`.padEnd(128, '\u20ac'), '\u20ac'.repeat(i < 52 ? 256 : 190)]),
  );
  const { instance } = rogue.identity;
  const service = { service: 'api.default', port: 80, protocol: 'http' as const, healthy: true };
  await rejects(rogue.channel.call('register', { instance, services: [{ ...service, labels }] }), {
    code: 'SKEIN_LIMIT',
  });
  const fair = Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`key-${i}`.padEnd(63, 'k'), 'v'.repeat(63)]));
  await rogue.channel.call('register', { instance, services: [{ ...service, labels: fair }] });
  await watcher.channel.call('watch', { services: ['api.default'] });
  equal(watcher.watch.snapshot.endpoints('api.default').length, 1);
});

test('Calls that make work for others are counted', async (t) => {
  const hub = await startHub(t, { limits: { callsPerSecond: 1, callsBurst: 20 } });
  const rogue = await enrol(t, hub, 'api'); // the enrolment counts
  for (let i = 0; i < 3; i++) await rogue.register('api.default');
  for (const call of ['renew', 'resync', 'leave'] as const) {
    await rejects(rogue.channel.call(call, {}), { code: 'SKEIN_LIMIT' }, call);
  }
  await rejects(rogue.register('api.default'), { code: 'SKEIN_LIMIT' });
  await rejects(rogue.channel.call('watch', { services: [] }), { code: 'SKEIN_LIMIT' });
  const other = await enrol(t, hub, 'web');
  await other.register('web.default');
});

test('Who is refused again and again does not fill the log', async (t) => {
  const log = new Recorder();
  const hub = await startHub(t, { log, limits: { refusalsLogged: { perSecond: 1, burst: 5 } } });
  for (let i = 0; i < 12; i++) {
    const pipe = await platform.dialWebSocket(hub.url);
    await new Promise<void>((resolve) => {
      pipe.attach({ onMessage: () => undefined, onProgress: () => undefined, onClose: () => resolve() });
      pipe.send(new Uint8Array(3));
    });
  }
  const lines = log.of('link-refused').length;
  ok(lines >= 5 && lines <= 8, `${lines} lines`);
});
