/** A hub on real sockets: enrolment, registration, watching, circuits, restarts, refusals. */

import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { joinAsHub } from '../../../src/agent/hub-membership.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { createId } from '../../../src/core/id.ts';
import type { LogFields, Logger } from '../../../src/core/log.ts';
import type { MessagePipe } from '../../../src/core/platform.ts';
import { createHub, type Hub } from '../../../src/hub/hub.ts';
import type { HubOptions, HubRole } from '../../../src/hub/options.ts';
import { nodePlatform } from '../../../src/runtime/node/platform.ts';
import { STREAM_KIND } from '../../../src/tunnel/stream.ts';
import { folder } from '../../support/folder.ts';
import { createIdentity, HubClient, type Identity } from '../../support/hub-client.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

const platform = nodePlatform();

class Recorder implements Logger {
  readonly lines: { readonly level: string; readonly event: string; readonly fields: LogFields }[] = [];

  log(level: string, event: string, fields: LogFields = {}): void {
    this.lines.push({ level, event, fields });
  }

  count(event: string): number {
    return this.lines.filter((line) => line.event === event).length;
  }
}

async function startHub(t: TestContext, options: HubOptions = {}): Promise<Hub> {
  const hub = await createHub(platform, options);
  t.after(() => hub.close());
  return hub;
}

async function enrol(t: TestContext, hub: Hub, ...services: string[]): Promise<HubClient> {
  const { text } = await hub.createJoinToken({ services });
  const client = await HubClient.connect(platform, hub.url, await createIdentity(), text);
  t.after(() => client.close());
  return client;
}

async function until(done: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (await done()) return;
    await new Promise<void>((resolve) => platform.clock.setTimer(10, resolve));
  }
  ok(false, 'it did not come about in 5 s');
}

test('A newcomer enrols with a join token, once', async (t) => {
  const log = new Recorder();
  const hub = await startHub(t, { log });
  const { text } = await hub.createJoinToken({ services: ['api', 'web'], namespace: 'shop' });
  const client = await HubClient.connect(platform, hub.url, await createIdentity(), text);
  t.after(() => client.close());
  equal(client.identity.id, 'spiffe://skein.mesh/ns/shop/sa/api');
  equal(log.count('sidecar-joined'), 1);
  const thief = await HubClient.connect(platform, hub.url, await createIdentity(), text).catch((error) => error);
  ok(thief instanceof SkeinError);
  equal(thief.code, 'SKEIN_TOKEN_USED');
  deepEqual(
    log.lines.filter(({ event }) => event === 'token-reused').map(({ level }) => level),
    ['warn'],
  );
});

test('An enrolled sidecar comes back with its SVID alone, and renews it', async (t) => {
  const hub = await startHub(t);
  const first = await enrol(t, hub, 'api');
  first.close();
  const again = await HubClient.connect(platform, hub.url, first.identity);
  t.after(() => again.close());
  await again.register('api.default');
  const { wit } = await again.channel.call('renew', {});
  ok(wit.length > 100);
  await rejects(again.channel.call('enrol', {}), { code: 'SKEIN_PROTOCOL' });
});

/** A hub that `issuer` has let in. */
async function startRelay(t: TestContext, issuer: Hub, roles: readonly HubRole[]): Promise<Hub> {
  const { text: token } = await issuer.createJoinToken({ services: [], hubRoles: roles });
  const membership = await joinAsHub(platform, { hub: issuer.url, token });
  const hub = await createHub(platform, {}, { membership });
  t.after(() => hub.close());
  return hub;
}

test('A hub that is no issuer enrols nobody, leaves the token unused, and renews nothing', async (t) => {
  const dataFolder = join(folder(t), 'hub');
  const issuer = await startHub(t, { dataFolder });
  const { identity } = await enrol(t, issuer, 'api');
  const { text } = await issuer.createJoinToken({ services: ['web'] });
  const hub = await startRelay(t, issuer, ['relay']);
  await rejects(HubClient.connect(platform, hub.url, await createIdentity(), text), { code: 'SKEIN_REFUSED' });
  const member = await HubClient.connect(platform, hub.url, identity);
  await rejects(member.channel.call('renew', {}), { code: 'SKEIN_REFUSED' });
  (await HubClient.connect(platform, issuer.url, await createIdentity(), text)).close();
});

test('A name that the token did not grant is refused', async (t) => {
  const hub = await startHub(t);
  const client = await enrol(t, hub, 'api');
  await rejects(client.register('api.default', 'db.default'), { code: 'SKEIN_NAME_NOT_GRANTED' });
  await rejects(client.channel.call('register', { instance: 'somebody-else', services: [] }), {
    code: 'SKEIN_PROTOCOL',
  });
  await client.register('api.default');
});

test('What one registers another is told, and of its leave and its end', async (t) => {
  const log = new Recorder();
  const hub = await startHub(t, {
    log,
    limits: { absence: { unhealthyAfterMs: 20, unhealthyAfterStartMs: 20, removedAfterMs: 60 } },
  });
  const server = await enrol(t, hub, 'api');
  const caller = await enrol(t, hub, 'web');
  await caller.watch.attach(caller.channel);
  await caller.watch.add('api.default');
  deepEqual(caller.watch.snapshot.endpoints('api.default'), []);
  await server.watch.attach(server.channel);
  const started = performance.now();
  await server.register('api.default');
  await until(() => caller.watch.snapshot.endpoints('api.default').length === 1);
  t.diagnostic(`register → known to a watcher: ${(performance.now() - started).toFixed(1)} ms`);
  const [endpoint] = caller.watch.snapshot.endpoints('api.default');
  deepEqual(
    [endpoint?.instance, endpoint?.id, endpoint?.healthy],
    [server.identity.instance, server.identity.id, true],
  );
  // The starter policy concerns who serves in `default`.
  equal(server.watch.snapshot.manifests('AuthorizationPolicy').length, 1);
  equal(caller.watch.snapshot.manifests('AuthorizationPolicy').length, 0);
  await server.channel.call('leave', {});
  await until(() => caller.watch.snapshot.endpoints('api.default')[0]?.healthy === false);
  server.close();
  await until(() => caller.watch.snapshot.endpoints('api.default').length === 0);
  deepEqual(
    log.lines.filter(({ event }) => event === 'sidecar-left').map(({ fields }) => fields.reason),
    ['closed'],
  );
});

test('Two sessions meet through the relay, which learns nothing but sizes', async (t) => {
  const hub = await startHub(t);
  const server = await enrol(t, hub, 'api');
  const caller = await enrol(t, hub, 'web');
  server.onStream = (stream) => {
    stream.attach({
      onHead: () => undefined,
      onData: (chunk) => {
        stream.write(new Uint8Array(chunk));
        stream.consumed(chunk.length);
      },
      onEnd: () => stream.end(),
      onDrain: () => undefined,
      onReset: () => undefined,
    });
  };
  const session = await caller.dial(server.identity.instance);
  equal(session.peer?.id.uri, server.identity.id);
  equal((await server.incoming[0]?.ready)?.id.uri, caller.identity.id);
  const stream = session.openStream(STREAM_KIND.raw, new Uint8Array(0), 0, false);
  const sent = platform.random.bytes(1_000_000);
  const received: Uint8Array[] = [];
  const echoed = new Promise<void>((resolve, reject) => {
    stream.attach({
      onHead: () => undefined,
      onData: (chunk) => {
        received.push(new Uint8Array(chunk));
        stream.consumed(chunk.length);
      },
      onEnd: resolve,
      onDrain: () => undefined,
      onReset: reject,
    });
  });
  for (let at = 0; at < sent.length; at += 10_000) stream.write(sent.slice(at, at + 10_000));
  stream.end();
  await echoed;
  deepEqual(Buffer.concat(received), Buffer.from(sent));
  const text = await hub.metrics.render();
  match(text, /^skein_hub_circuits 1$/m);
  const bytes = Number(/^skein_hub_relayed_bytes_total (\d+)$/m.exec(text)?.[1]);
  ok(bytes > 2_000_000 && bytes < 2_100_000, `${bytes} bytes relayed for 2 000 000`);
  match(text, /^skein_hub_relay_waiting_bytes 0$/m);
});

test('A circuit to nobody is refused at once, and the limit of circuits a second holds', async (t) => {
  const hub = await startHub(t, { limits: { circuitsPerSecond: 1, circuitsBurst: 3 } });
  const caller = await enrol(t, hub, 'web');
  for (let i = 0; i < 3; i++) await rejects(caller.dial('nobody'), { code: 'SKEIN_NO_ENDPOINT' });
  await rejects(caller.dial('nobody'), { code: 'SKEIN_LIMIT' });
});

test('A circuit whose target does not take it is closed in time', async (t) => {
  const hub = await startHub(t, { limits: { acceptTimeoutMs: 50 } });
  const server = await enrol(t, hub, 'api');
  const caller = await enrol(t, hub, 'web');
  const deaf = server.channel.call.bind(server.channel);
  server.channel.call = ((name: never, request: never) =>
    name === 'acceptCircuit' ? new Promise(() => undefined) : deaf(name, request)) as typeof server.channel.call;
  await rejects(caller.dial(server.identity.instance), { code: 'SKEIN_PEER_UNREACHABLE' });
});

test('A flipped bit in a relayed record ends that session and no other', async (t) => {
  const hub = await startHub(t);
  const server = await enrol(t, hub, 'api');
  const { text } = await hub.createJoinToken({ services: ['web'] });
  let flip = false;
  const caller = await HubClient.connect(platform, hub.url, await createIdentity(), text, async (url) => {
    const pipe = await platform.dialWebSocket(url);
    return new Proxy(pipe, {
      get(target, name) {
        if (name === 'send')
          return (message: Uint8Array) => {
            // kind 2 is DATA; circuit 1 is the first this end has opened
            if (flip && (message[0] as number) % 16 === 2 && message[4] === 1) message[message.length - 1]! ^= 1;
            target.send(message);
          };
        const value = target[name as keyof MessagePipe] as unknown;
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  });
  t.after(() => caller.close());
  const doomed = await caller.dial(server.identity.instance);
  const other = await caller.dial(server.identity.instance);
  flip = true;
  const lost = new Promise<SkeinError>((resolve) => {
    doomed.openStream(STREAM_KIND.raw, new Uint8Array(0), 0, false).attach({
      onHead: () => undefined,
      onData: () => undefined,
      onEnd: () => undefined,
      onDrain: () => undefined,
      onReset: resolve,
    });
  });
  equal((await lost).code, 'SKEIN_SESSION_LOST');
  ok(other.isOpen);
  const answered = new Promise<void>((resolve) => {
    other.openStream(STREAM_KIND.raw, new Uint8Array(0), 0, true).attach({
      onHead: () => undefined,
      onData: () => undefined,
      onEnd: resolve,
      onDrain: () => undefined,
      onReset: () => undefined,
    });
  });
  await answered;
  ok(!caller.channel.isClosed && !server.channel.isClosed);
});

test('One instance twice: the last link wins', async (t) => {
  const log = new Recorder();
  const hub = await startHub(t, { log });
  const first = await enrol(t, hub, 'api');
  await first.register('api.default');
  const second = await HubClient.connect(platform, hub.url, first.identity);
  t.after(() => second.close());
  equal((await first.closed).code, 'SKEIN_SESSION_LOST');
  await until(() => first.link.isClosed);
  await second.register('api.default');
  const caller = await enrol(t, hub, 'web');
  const session = await caller.dial(second.identity.instance);
  equal(session.peer?.id.uri, second.identity.id);
});

test('One key has no more links than its share, however many instances it claims to be', async (t) => {
  const hub = await startHub(t, { limits: { maxLinksPerKey: 2 } });
  const first = await enrol(t, hub, 'api');
  const again = () => HubClient.connect(platform, hub.url, { ...first.identity, instance: createId() });
  const second = await again();
  t.after(() => second.close());
  await rejects(
    again().then((client) => client.register('api.default')),
    (error: SkeinError) => /limit/.test(`${error.code} ${(error.cause as SkeinError | undefined)?.code}`.toLowerCase()),
  );
  ok(!first.channel.isClosed && !second.channel.isClosed);
  // A replica has the same name and another key.
  const replica = await enrol(t, hub, 'api');
  equal(replica.identity.id, first.identity.id);
  second.close();
  await until(async () => {
    const client = await again().catch(() => undefined);
    t.after(() => client?.close());
    return (
      (await client?.register('api.default').then(
        () => true,
        () => false,
      )) ?? false
    );
  });
});

test('Another identity cannot take the instance of a connected sidecar', async (t) => {
  const hub = await startHub(t);
  const victim = await enrol(t, hub, 'api');
  const { text } = await hub.createJoinToken({ services: ['web'] });
  const thief: Identity = { ...(await createIdentity()), instance: victim.identity.instance };
  await rejects(HubClient.connect(platform, hub.url, thief, text), { code: 'SKEIN_CONFLICT' });
  ok(!victim.channel.isClosed);
});

test('A hub that ends and starts again on its folder knows its issuer, tokens, policies and who was there', async (t) => {
  const dataFolder = join(folder(t), 'hub');
  const before = await createHub(platform, { dataFolder });
  const server = await enrol(t, before, 'api');
  await server.register('api.default');
  const spare = await before.createJoinToken({ services: ['web'] });
  const used = await before.createJoinToken({ services: ['db'] });
  (await HubClient.connect(platform, before.url, await createIdentity(), used.text)).close();
  await before.apply([
    {
      kind: 'AuthorizationPolicy',
      metadata: { name: 'mine' },
      spec: { allow: [{ from: [{ namespaces: ['shop'] }] }] },
    },
  ]);
  const token = before.adminToken.reveal();
  await before.close();
  const { cause } = await server.closed;
  equal(cause instanceof SkeinError ? cause.code : cause, 'SKEIN_DRAINING');
  equal(statSync(join(dataFolder, 'issuer.json')).mode & 0o777, 0o600);
  equal(statSync(join(dataFolder, 'admin.token')).mode & 0o777, 0o600);
  equal(readFileSync(join(dataFolder, 'admin.token'), 'utf8').trim(), token);

  const after = await startHub(t, { dataFolder });
  equal(after.adminToken.reveal(), token);
  const caller = await HubClient.connect(platform, after.url, await createIdentity(), spare.text);
  t.after(() => caller.close());
  await caller.watch.attach(caller.channel);
  await caller.watch.add('api.default');
  equal(caller.watch.snapshot.epoch, 2);
  equal(caller.watch.snapshot.endpoints('api.default').length, 1);
  await rejects(HubClient.connect(platform, after.url, await createIdentity(), used.text), {
    code: 'SKEIN_TOKEN_USED',
  });
  const back = await HubClient.connect(platform, after.url, server.identity);
  t.after(() => back.close());
  await back.register('api.default');
  // Who follows the catalogue of another hub is told nothing.
  equal(back.watch.stats.applied, 0);
  await back.watch.attach(back.channel);
  await until(() => back.watch.snapshot.manifests('AuthorizationPolicy').length === 2);
});

test('A hub that drains tells its sidecars, and ends when they have gone', async (t) => {
  const hub = await startHub(t);
  const client = await enrol(t, hub, 'api');
  const drained = hub.drain();
  await until(() => client.goaways.length === 1);
  await rejects(HubClient.connect(platform, hub.url, client.identity), { code: 'SKEIN_HUB_UNREACHABLE' });
  client.close();
  await drained;
});

test('A hub that has drained leaves no timer behind', async (t) => {
  const mesh = new VirtualMesh(t);
  const before = mesh.clock.pendingTimers;
  const hub = await mesh.startHub();
  await mesh.run(hub.drain());
  equal(mesh.clock.pendingTimers, before);
});

test('Who says nothing is dropped after the deadline; one more waits until then, and too many of them are refused', async (t) => {
  const log = new Recorder();
  const hub = await startHub(t, { log, limits: { authTimeoutMs: 200, maxHalfOpen: 3, maxWaiting: 1 } });
  const silent = await Promise.all(Array.from({ length: 3 }, () => platform.dialWebSocket(hub.url)));
  const ends = silent.map(
    (pipe) =>
      new Promise<number>((resolve) =>
        pipe.attach({ onMessage: () => undefined, onProgress: () => undefined, onClose: (code) => resolve(code) }),
      ),
  );
  const more = await Promise.allSettled([platform.dialWebSocket(hub.url), platform.dialWebSocket(hub.url)]);
  const refused = more.flatMap((one) => (one.status === 'rejected' ? [one.reason.code] : []));
  deepEqual(refused, ['SKEIN_HUB_UNREACHABLE']);
  for (const one of more) if (one.status === 'fulfilled') one.value.terminate();
  equal((await Promise.all(ends)).length, 3);
  ok(log.count('link-refused') >= 3);
  const client = await enrol(t, hub, 'api');
  ok(!client.channel.isClosed);
});

test('Garbage on one link harms no other', async (t) => {
  const hub = await startHub(t);
  const client = await enrol(t, hub, 'api');
  for (const garbage of [
    new Uint8Array(0),
    new Uint8Array(5),
    platform.random.bytes(1000),
    new Uint8Array([0x10, 0, 0, 0, 0]),
  ]) {
    const pipe = await platform.dialWebSocket(hub.url);
    await new Promise<void>((resolve) => {
      pipe.attach({ onMessage: () => undefined, onProgress: () => undefined, onClose: () => resolve() });
      pipe.send(garbage);
    });
  }
  await client.register('api.default');
});
