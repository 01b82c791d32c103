/** Each quota of an identity, crossed: refused or slowed by name, counted, and nobody else feels it. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { encodeMessage } from '../../../src/control/codec.ts';
import { frameMessage } from '../../../src/control/framing.ts';
import { encodeControlOffer } from '../../../src/control/version.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { createId } from '../../../src/core/id.ts';
import type { HubLimits } from '../../../src/hub/options.ts';
import { STREAM_KIND } from '../../../src/tunnel/stream.ts';
import { createIdentity, HubClient, type Identity } from '../../support/hub-client.ts';
import { Pump, RecordingSink } from '../../support/tunnel.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

const URL = 'ws://10.0.0.1:7000';
const KIB = 1024;

async function start(t: TestContext, limits: Partial<HubLimits>): Promise<VirtualMesh> {
  const mesh = new VirtualMesh(t);
  await mesh.startHub({ limits });
  return mesh;
}

async function join(t: TestContext, mesh: VirtualMesh, ...services: string[]): Promise<HubClient> {
  const token = (await mesh.run(mesh.hub.createJoinToken({ services }))).text;
  const client = await mesh.run(HubClient.connect(mesh.platform, URL, await mesh.run(createIdentity()), token));
  t.after(() => client.close());
  return client;
}

/** The same key under another instance, as a second process with a copy of the first one's folder. */
async function joinAgain(t: TestContext, mesh: VirtualMesh, { identity }: HubClient): Promise<HubClient> {
  const twin: Identity = { ...identity, instance: createId() };
  const client = await mesh.run(HubClient.connect(mesh.platform, URL, twin));
  t.after(() => client.close());
  return client;
}

async function readCrossed(mesh: VirtualMesh, quota: string): Promise<number> {
  const text = await mesh.hub.metrics.render();
  return Number(new RegExp(`^skein_hub_quota_crossed_total\\{quota="${quota}"\\} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
}

const limited = (quota: string) => (error: unknown) => {
  const { code, details } = error as { code?: string; details?: { quota?: string } };
  return code === 'SKEIN_LIMIT' && details?.quota === quota;
};

test('A key gets so many SVIDs in the life of one, so that nobody rolls the audit log over the entries of others', async (t) => {
  const mesh = await start(t, { svidsPerLifetime: 20, svidLifetimeMs: 3_600_000 });
  const rogue = await join(t, mesh, 'rogue');
  for (let i = 1; i < 20; i++) await mesh.run(rogue.channel.call('renew', {}));
  for (let i = 0; i < 5; i++) {
    await mesh.run(
      rejects(rogue.channel.call('renew', {}), (error: SkeinError) => {
        const { remedy = '' } = error.details as { remedy?: string };
        return limited('svids')(error) && /Renew less often/.test(remedy) && /stays good/.test(error.message);
      }),
    );
  }
  // Nor by another link, nor by asking to be enrolled once more.
  const twin = await joinAgain(t, mesh, rogue);
  await mesh.run(rejects(twin.channel.call('renew', {}), limited('svids')));
  await mesh.run(rejects(rogue.channel.call('enrol', {}), limited('svids')));
  equal(await readCrossed(mesh, 'svids'), 7);
  const { answer } = await mesh.admin('audit');
  equal((answer.entries as { id: string }[]).filter(({ id }) => id.endsWith('/rogue')).length, 20);
  const other = await join(t, mesh, 'web');
  await mesh.run(other.channel.call('renew', {}));
  await mesh.clock.advanceAsync(3_600_000 / 20 + 1_000);
  await mesh.run(twin.channel.call('renew', {}));
  await mesh.run(rejects(twin.channel.call('renew', {}), limited('svids')));
});

test('An instance registers so many services and not one more', async (t) => {
  const mesh = await start(t, {});
  const names = Array.from({ length: 65 }, (_, i) => `s${i}`);
  const rogue = await join(t, mesh, ...names);
  const keys = names.map((name) => `${name}.default`);
  await mesh.run(rogue.register(...keys.slice(0, 64)));
  await mesh.run(rejects(rogue.register(...keys), limited('services')));
  equal(await readCrossed(mesh, 'services'), 1);
  await mesh.run(rogue.register(...keys.slice(0, 3)));
  const other = await join(t, mesh, 'web');
  await mesh.run(other.register('web.default'));
});

test('Calls of an identity are counted over all its links, and a new link brings no new ones', async (t) => {
  const mesh = await start(t, { callsPerSecond: 1, callsBurst: 20 });
  const rogue = await join(t, mesh, 'api'); // the enrolment counts five
  const twin = await joinAgain(t, mesh, rogue);
  await mesh.run(rogue.channel.call('resync', {}));
  await mesh.run(twin.channel.call('resync', {}));
  await mesh.run(rogue.channel.call('resync', {}));
  await mesh.run(rejects(twin.channel.call('resync', {}), limited('calls')));
  twin.close();
  const back = await joinAgain(t, mesh, rogue);
  await mesh.run(rejects(back.channel.call('resync', {}), limited('calls')));
  equal(await readCrossed(mesh, 'calls'), 2);
  const other = await join(t, mesh, 'web');
  await mesh.run(other.channel.call('resync', {}));
  await mesh.clock.advanceAsync(6_000);
  await mesh.run(back.channel.call('resync', {}));
});

test('An identity that comes under ever new instances does not fill the catalogue', async (t) => {
  const mesh = await start(t, { instancesPerSecond: 1, instancesBurst: 3 });
  const first = await join(t, mesh, 'api');
  await mesh.run(first.register('api.default'));
  for (let i = 0; i < 2; i++) {
    const twin = await joinAgain(t, mesh, first);
    await mesh.run(twin.register('api.default'));
    await mesh.run(twin.register('api.default'));
    twin.close();
  }
  const third = await joinAgain(t, mesh, first);
  await mesh.run(rejects(third.register('api.default'), limited('instances')));
  const other = await join(t, mesh, 'web');
  await mesh.run(other.register('web.default'));
  equal(await readCrossed(mesh, 'instances'), 1);
});

test('Circuits of an identity are counted over all its links: those it asks for, and those it has open', async (t) => {
  const mesh = await start(t, { maxCircuitsPerKey: 3, circuitsPerSecond: 5, circuitsBurst: 5 });
  const [rogue, victim, other] = [
    await join(t, mesh, 'a'),
    await join(t, mesh, 'victim'),
    await join(t, mesh, 'other'),
  ];
  const twin = await joinAgain(t, mesh, rogue);
  const { instance } = victim.identity;
  const sessions = [await mesh.run(rogue.dial(instance)), await mesh.run(twin.dial(instance))];
  sessions.push(await mesh.run(rogue.dial(instance)));
  await mesh.run(rejects(twin.dial(instance), limited('circuits')));
  ok((await mesh.run(other.dial(instance))).isOpen, 'others open theirs');
  sessions[0]?.close(new SkeinError('SKEIN_CANCELLED', 'enough'));
  await mesh.clock.advanceAsync(2_000);
  sessions.push(await mesh.run(twin.dial(instance)));
  equal(await readCrossed(mesh, 'circuits'), 1);
  // The rate, beside the number.
  for (let i = 0; i < 8; i++) {
    const call = rogue.channel.call('openCircuit', { instance: 'nobody', circuit: 101 + 2 * i });
    await mesh.run(call.catch(() => undefined));
  }
  ok((await readCrossed(mesh, 'circuits')) > 1);
});

test('Links of an identity above its number are closed, those that stand are left alone', async (t) => {
  const mesh = await start(t, { maxLinksPerKey: 2 });
  const rogue = await join(t, mesh, 'a');
  const twin = await joinAgain(t, mesh, rogue);
  const third = await joinAgain(t, mesh, rogue);
  await mesh.run(third.closed);
  deepEqual([third.channel.isClosed, rogue.channel.isClosed, twin.channel.isClosed], [true, false, false]);
  equal(await readCrossed(mesh, 'links'), 1);
  await mesh.run(rogue.register('a.default'));
  await mesh.run(twin.channel.call('resync', {}));
});

test('Control messages above the rate are read later, and none is lost', async (t) => {
  const mesh = await start(t, { messagesPerSecond: 100, messagesBurst: 100, callsPerSecond: 1e6, callsBurst: 1e6 });
  const rogue = await join(t, mesh, 'a');
  const other = await join(t, mesh, 'b');
  const offer = encodeControlOffer();
  const name = 'x'.repeat(64);
  const bytes = frameMessage(encodeMessage([0, 1, name, {}]));
  const one = bytes.length;
  const identity: Identity = { ...rogue.identity, instance: createId() };
  const [link, raw] = await mesh.run(HubClient.intrudeHub(mesh.platform, URL, identity));
  t.after(() => link.close(1000, 'done'));
  let sent = 0;
  raw.send((w) => w.open(1, false, STREAM_KIND.internal, 1024 * KIB, offer));
  // A stranger has one window; the rest is given when the hub knows who speaks.
  await mesh.clock.advanceAsync(100);
  const perRecord = 200;
  const many = new Uint8Array(perRecord * one);
  for (let i = 0; i < perRecord; i++) many.set(bytes, i * one);
  // As much as the window takes at once.
  while (sent + perRecord <= (256 * KIB) / one) {
    raw.send((w) => w.data(1, false, many, 0, many.length));
    sent += perRecord;
  }
  await mesh.clock.settle();
  await mesh.clock.advanceAsync(1_000);
  equal(raw.closedBy, undefined);
  equal(await readCrossed(mesh, 'messages'), 1);
  // Others are answered meanwhile.
  await mesh.run(other.register('b.default'));
  equal(other.channel.isClosed, false);
});

test('Relayed bytes above the rate get their credit later: the sender is slowed, its session lives, others are as fast as ever', async (t) => {
  const rate = 256 * KIB;
  const mesh = await start(t, { relayedBytesPerSecond: rate, relayedBytesBurst: rate });
  const [greedy, callee, fair] = [await join(t, mesh, 'a'), await join(t, mesh, 'b'), await join(t, mesh, 'c')];
  const sinks: RecordingSink[] = [];
  callee.onStream = (stream) => void sinks.push(new RecordingSink(stream));
  const open = async (from: HubClient) => {
    const session = await mesh.run(from.dial(callee.identity.instance));
    return { session, stream: session.openStream(STREAM_KIND.raw, new Uint8Array(0), 0, false) };
  };
  const [a, c] = [await open(greedy), await open(fair)];
  const total = 3 * 1024 * KIB;
  const pump = new Pump(a.stream, total);
  const little = new Pump(c.stream, 100 * KIB);
  const startedMs = mesh.clock.monotonicMs();
  ok(
    await mesh.clock.advanceUntil(
      () => little.leftBytes === 0 && sinks.some(({ length }) => length === 100 * KIB),
      2_000,
    ),
  );
  ok(await mesh.clock.advanceUntil(() => sinks.some(({ length }) => length === total), 60_000));
  const seconds = (mesh.clock.monotonicMs() - startedMs) / 1000;
  const perSecond = total / seconds;
  ok(perSecond < 1.6 * rate && perSecond > 0.4 * rate, `${Math.round(perSecond / KIB)} KiB/s over ${seconds} s`);
  deepEqual([pump.error, little.error, a.session.isOpen], [undefined, undefined, true]);
  ok((await readCrossed(mesh, 'relayed-bytes')) > 0);
});
