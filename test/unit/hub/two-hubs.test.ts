/** Two whole hubs on one store: one mesh, with one issuer, one set of tokens and policies, and one catalogue. */

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { SkeinError } from '../../../src/core/errors.ts';
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts';
import { createHub, type Hub } from '../../../src/hub/hub.ts';
import { SharedStore, type StoreLine } from '../../../src/testing/shared-store.ts';
import { RecordingHandler } from '../../support/http.ts';
import { createIdentity, HubClient, type Identity } from '../../support/hub-client.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

const DENY = { kind: 'AuthorizationPolicy', metadata: { name: 'closed' }, spec: { deny: [{}] } };

const REQUEST = {
  caller: parseSpiffeId('spiffe://skein.mesh/ns/default/sa/web'),
  service: 'api.default',
  port: 80,
  http: { method: 'GET', path: '/', host: 'api.mesh', fields: [] },
};

class Cluster {
  readonly mesh: VirtualMesh;
  readonly store = new SharedStore();
  readonly folder: string;
  readonly #t: TestContext;

  constructor(t: TestContext) {
    this.#t = t;
    this.folder = mkdtempSync(join(tmpdir(), 'skein-cluster-'));
    t.after(() => rmSync(this.folder, { recursive: true, force: true }));
    this.mesh = new VirtualMesh(t);
  }

  /** @param issuerOf the hub whose issuer this one takes over, as its operator would */
  async hub(name: string, issuerOf?: string): Promise<{ hub: Hub; line: StoreLine }> {
    const dataFolder = join(this.folder, name);
    if (issuerOf !== undefined) {
      mkdirSync(dataFolder, { recursive: true });
      copyFileSync(join(this.folder, issuerOf, 'issuer.json'), join(dataFolder, 'issuer.json'));
    }
    const line = this.store.connect();
    const hub = await this.mesh.startHub({ store: line, dataFolder }, 7000 + name.charCodeAt(0));
    return { hub, line };
  }

  async both() {
    return { a: await this.hub('a'), b: await this.hub('b', 'a') };
  }

  async connect(hub: Hub, identity: Identity, token?: string): Promise<HubClient> {
    const client = await this.mesh.run(HubClient.connect(this.mesh.platform, hub.url, identity, token));
    this.#t.after(() => client.close());
    return client;
  }

  async enrol(at: Hub, service: string): Promise<HubClient> {
    const { text } = await this.mesh.run(at.createJoinToken({ services: [service] }));
    return this.connect(at, await this.mesh.run(createIdentity()), text);
  }
}

test('A token that one hub made works at the other, once, whoever is faster', async (t) => {
  const cluster = new Cluster(t);
  const { mesh } = cluster;
  const { a, b } = await cluster.both();
  for (let round = 0; round < 10; round++) {
    const { text } = await mesh.run(a.hub.createJoinToken({ services: ['api'] }));
    const rivals = await Promise.all([0, 1, 2, 3].map(() => mesh.run(createIdentity())));
    const results = await mesh.run(
      Promise.allSettled(
        rivals.map((identity, i) => HubClient.connect(mesh.platform, (i % 2 === 0 ? a : b).hub.url, identity, text)),
      ),
    );
    const codes = results.map((each) =>
      each.status === 'fulfilled' ? 'in' : each.reason instanceof SkeinError ? each.reason.code : each.reason,
    );
    deepEqual(codes.sort(), ['SKEIN_TOKEN_USED', 'SKEIN_TOKEN_USED', 'SKEIN_TOKEN_USED', 'in']);
    for (const each of results) if (each.status === 'fulfilled') each.value.close();
  }
});

test('A member of one hub is a member of the other, and each tells of what the other has registered', async (t) => {
  const cluster = new Cluster(t);
  const { mesh } = cluster;
  const { a, b } = await cluster.both();
  const server = await cluster.enrol(a.hub, 'api');
  await mesh.run(server.register('api.default'));
  const caller = await cluster.enrol(b.hub, 'web');
  await mesh.run(caller.watch.attach(caller.channel));
  await mesh.run(caller.watch.add('api.default'));
  equal(caller.watch.snapshot.endpoints('api.default')[0]?.instance, server.identity.instance);
  // The same process has a link to each.
  const also = await cluster.connect(b.hub, server.identity);
  await mesh.run(also.register('api.default'));
  const text = await mesh.run(b.hub.metrics.render());
  match(text, /^skein_hub_peers 1$/m);
  match(text, /^skein_hub_endpoints\{healthy="true"\} 1$/m);
  // Another identity gets it from neither hub.
  const { text: token } = await mesh.run(a.hub.createJoinToken({ services: ['web'] }));
  const thief = { ...(await mesh.run(createIdentity())), instance: server.identity.instance };
  const refused = await mesh.run(HubClient.connect(mesh.platform, b.hub.url, thief, token).catch((error) => error));
  equal(refused.code, 'SKEIN_CONFLICT');
});

test('A policy applied at one hub holds at the other within a second, and stays when a member changes hubs', async (t) => {
  const cluster = new Cluster(t);
  const { mesh } = cluster;
  const { a, b } = await cluster.both();
  const names = (client: HubClient): string[] =>
    client.watch.snapshot.manifests('AuthorizationPolicy').map(({ metadata }) => metadata.name);
  const server = await cluster.enrol(b.hub, 'api');
  await mesh.run(server.watch.attach(server.channel));
  await mesh.run(server.register('api.default'));
  deepEqual(names(server), ['allow-same-namespace'], 'the starter policy, once');
  equal(server.watch.snapshot.epoch, 2);
  const atMs = mesh.clock.monotonicMs();
  await mesh.run(a.hub.apply([DENY]));
  await mesh.until(() => names(server).includes('closed'));
  ok(mesh.clock.monotonicMs() - atMs <= 1000);
  // From the hub of epoch 2 to that of epoch 1, whose revisions are others.
  const moved = await cluster.connect(a.hub, server.identity);
  Object.assign(moved, { watch: server.watch });
  server.close();
  await mesh.run(server.watch.attach(moved.channel));
  await mesh.run(moved.register('api.default'));
  deepEqual([names(server), server.watch.snapshot.epoch], [['allow-same-namespace', 'closed'], 1]);
  deepEqual([server.watch.stats.diverged, moved.pushes[0]?.full], [0, true]);
});

test('A member that comes to a hub cut off from the store keeps the policy that denies', async (t) => {
  const cluster = new Cluster(t);
  const { mesh } = cluster;
  const { a, b } = await cluster.both();
  const { agent, log } = await mesh.join(['api'], { hub: [a.hub.url, b.hub.url] });
  await mesh.serve(agent, 'api.default', { protocol: 'http', handler: new RecordingHandler(() => undefined) });
  const isAllowed = (): boolean => agent.mirror.authorizer.decide(REQUEST).allow;
  await mesh.until(isAllowed);
  b.line.cut();
  await mesh.run(a.hub.apply([DENY]));
  await mesh.until(() => !isAllowed());
  await mesh.run(a.hub.close());
  const seen = new Set<boolean>();
  const look = (): boolean => {
    seen.add(isAllowed());
    return false;
  };
  await mesh.clock.advanceUntil(look, 120_000);
  equal(agent.hub, b.hub.url);
  equal(agent.mirror.snapshot.epoch, 2, 'it follows the catalogue of the other hub');
  equal(log.of('policies-older').length, 1);
  b.line.heal();
  await mesh.clock.advanceUntil(look, 10_000);
  deepEqual([...seen], [false]);
  // And what is applied there now holds at once.
  await mesh.run(b.hub.apply([{ ...DENY, spec: { allow: [{}] } }]));
  await mesh.until(isAllowed, 1000);
});

test('A hub with another issuer does not start, and says which file to copy from where', async (t) => {
  const cluster = new Cluster(t);
  const { mesh } = cluster;
  const a = await cluster.hub('a');
  const first = await cluster.hub('b').catch((error: unknown) => error);
  ok(first instanceof SkeinError);
  equal(first.code, 'SKEIN_CONFIG');
  const remedy = String(first.details.remedy);
  ok(remedy.includes(join(cluster.folder, 'a', 'issuer.json')), remedy);
  ok(remedy.includes(join(cluster.folder, 'b', 'issuer.json')), remedy);
  ok(remedy.includes(a.hub.url), remedy);
  equal(existsSync(join(cluster.folder, 'b', 'issuer.json')), false, 'no new issuer is in the way');
  // One that has been an issuer of its own before.
  await mesh.run((await mesh.startHub({ dataFolder: join(cluster.folder, 'c') }, 7001)).close());
  const second = await cluster.hub('c').catch((error: unknown) => error);
  ok(second instanceof SkeinError);
  match(second.message, /has the issuer ".{43}", and this hub's is ".{43}"$/);
  await cluster.hub('b', 'a');
});

test('Of two hubs that start at once on an empty store, with an issuer each, one does not start', async (t) => {
  const { mesh, store, folder } = new Cluster(t);
  const start = (name: string, port: number): Promise<Hub> =>
    createHub(mesh.platform, {
      store: store.connect(),
      dataFolder: join(folder, name),
      listen: { host: '10.0.0.1', port },
    });
  const started = await mesh.run(Promise.allSettled([start('a', 7001), start('b', 7002)]));
  for (const each of started) if (each.status === 'fulfilled') t.after(() => each.value.close());
  const [refused, ...others] = started.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []));
  deepEqual([refused?.code, others.length], ['SKEIN_CONFIG', 0]);
});

test('A hub that drains hands its members over: who has another hub never vanishes', async (t) => {
  const cluster = new Cluster(t);
  const { mesh } = cluster;
  const { a, b } = await cluster.both();
  const server = await cluster.enrol(a.hub, 'api');
  await mesh.run(server.register('api.default'));
  const caller = await cluster.enrol(b.hub, 'web');
  const seen: boolean[] = [];
  await mesh.run(caller.watch.attach(caller.channel));
  await mesh.run(caller.watch.add('api.default'));
  const receive = caller.watch.receive.bind(caller.watch);
  caller.watch.receive = (push) => {
    receive(push);
    seen.push(caller.watch.snapshot.endpoints('api.default')[0]?.healthy ?? false);
  };
  const drained = a.hub.drain();
  await mesh.until(() => server.goaways.length === 1);
  // It goes to the other hub before it leaves this one.
  const moved = await cluster.connect(b.hub, server.identity);
  await mesh.run(moved.register('api.default'));
  server.close();
  await mesh.run(drained);
  await mesh.clock.advanceAsync(60_000);
  equal(caller.watch.snapshot.endpoints('api.default')[0]?.healthy, true);
  deepEqual(
    seen.filter((healthy) => !healthy),
    [],
  );
  deepEqual(
    (await cluster.store.list('lease/')).map(({ key }) => key),
    ['lease/2'],
  );
});
