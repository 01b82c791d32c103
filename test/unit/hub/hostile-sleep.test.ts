/** A hub whose memory ends again and again: what a member must not win by that. */

import { deepEqual, match, ok, rejects } from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { HttpServerOptions, Listener, MessagePipe, MessagePipeEvents } from '../../../src/core/platform.ts';
import { createHub, type Hub } from '../../../src/hub/hub.ts';
import type { HubLimits } from '../../../src/hub/options.ts';
import type { RestingPipe } from '../../../src/hub/resting-link.ts';
import type { Sleeper } from '../../../src/hub/sleeper.ts';
import { MemoryStore } from '../../../src/hub/store/memory.ts';
import { RestingClock } from '../../../src/runtime/workerd/resting-clock.ts';
import { folder } from '../../support/folder.ts';
import { createIdentity, HubClient } from '../../support/hub-client.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

const URL = 'ws://10.0.0.1:7000';
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const STATE_BYTES = 16 * 1024;

/** Its port, its WebSockets, its folder and its store outlive its memory. */
class SleepingHub {
  readonly #mesh: VirtualMesh;
  readonly #limits: Partial<HubLimits>;
  readonly #store = new MemoryStore();
  readonly #folder: string;
  #clock: RestingClock;
  #sleeper: Pick<Sleeper, 'rest'> | undefined;
  #hub: Hub | undefined;

  private constructor(t: TestContext, mesh: VirtualMesh, limits: Partial<HubLimits>) {
    this.#mesh = mesh;
    this.#limits = limits;
    this.#folder = folder(t);
    this.#clock = new RestingClock(mesh.clock);
    t.after(() => mesh.run(this.hub.close()));
  }

  static async start(t: TestContext, mesh: VirtualMesh, limits: Partial<HubLimits>): Promise<SleepingHub> {
    const sleeping = new SleepingHub(t, mesh, limits);
    await sleeping.#start([]);
    return sleeping;
  }

  get hub(): Hub {
    return this.#hub as Hub;
  }

  /** Its memory ends, and after `ms` it is made anew. */
  async sleep(ms: number): Promise<void> {
    const resting = this.#sleeper?.rest();
    ok(resting !== undefined, 'nothing is under way');
    this.#clock.rest();
    await this.#mesh.clock.advanceAsync(ms);
    this.#clock = new RestingClock(this.#mesh.clock);
    await this.#start(resting);
  }

  async #start(resting: readonly RestingPipe[]): Promise<void> {
    const platform = { ...this.#mesh.platform, clock: this.#clock, listenHttp: this.#listen };
    const onSleeper = (sleeper: Pick<Sleeper, 'rest'>): void => {
      this.#sleeper = sleeper;
    };
    const options = {
      ...{ listen: { host: '10.0.0.1', port: 7000 }, log: this.#mesh.log, limits: this.#limits },
      ...{ store: this.#store, dataFolder: this.#folder },
    };
    const parts = { sleep: { resting, maxStateBytes: STATE_BYTES, onSleeper } };
    this.#hub = await this.#mesh.run(createHub(platform, options, parts));
  }

  readonly #listen = ({ onWebSocket, ...options }: HttpServerOptions): Promise<Listener> =>
    this.#mesh.network.listen({
      ...options,
      onWebSocket: (pipe) => onWebSocket?.(Object.assign(pipe, { canSleep: true })),
    });
}

/** Whose host is asked for a sign of life is there. */
async function dial(mesh: VirtualMesh): Promise<MessagePipe> {
  const pipe = await mesh.network.dial(URL);
  const attach = pipe.attach.bind(pipe);
  return Object.assign(pipe, {
    attach: (events: MessagePipeEvents) => {
      Object.assign(pipe, { sendIdlePing: () => void mesh.clock.setTimer(1, () => events.onIdlePong?.()) });
      attach(events);
    },
  });
}

async function join(t: TestContext, mesh: VirtualMesh, { hub }: SleepingHub, service: string): Promise<HubClient> {
  const token = (await mesh.run(hub.createJoinToken({ services: [service] }))).text;
  const identity = await mesh.run(createIdentity());
  const client = await mesh.run(HubClient.connect(mesh.platform, URL, identity, token, () => dial(mesh)));
  t.after(() => client.close());
  return client;
}

test('A link ends with its SVID, and not half a minute after each time that its hub wakes', async (t) => {
  const mesh = new VirtualMesh(t);
  const sleeping = await SleepingHub.start(t, mesh, { svidLifetimeMs: 2 * MINUTE_MS });
  const client = await join(t, mesh, sleeping, 'web');
  const reasons: string[] = [];
  void client.closed.then(({ message }) => reasons.push(message));
  await mesh.clock.advanceAsync(5_000);
  await sleeping.sleep(MINUTE_MS);
  await mesh.clock.advanceAsync(5_000);
  await sleeping.sleep(MINUTE_MS);
  await mesh.clock.advanceAsync(5_000);
  deepEqual(reasons, [], 'within the leeway');
  await sleeping.sleep(MINUTE_MS);
  await mesh.clock.advanceAsync(5_000);
  match(reasons.join(), /1008 identity/);
});

test('A key has got as many SVIDs after a sleep as before', async (t) => {
  const mesh = new VirtualMesh(t);
  const sleeping = await SleepingHub.start(t, mesh, { svidsPerLifetime: 20, svidLifetimeMs: 24 * HOUR_MS });
  const rogue = await join(t, mesh, sleeping, 'rogue');
  for (let i = 1; i < 15; i++) await mesh.run(rogue.channel.call('renew', {}));
  rogue.close();
  await mesh.clock.advanceAsync(5_000);
  await sleeping.sleep(MINUTE_MS);
  const again = await mesh.run(HubClient.connect(mesh.platform, URL, rogue.identity));
  t.after(() => again.close());
  for (let i = 15; i < 20; i++) await mesh.run(again.channel.call('renew', {}));
  await mesh.run(rejects(again.channel.call('renew', {}), { code: 'SKEIN_LIMIT' }));
});

test('A hub that asks for one session after the other is left: each costs its member a handshake', async (t) => {
  const mesh = new VirtualMesh(t);
  const sleeping = await SleepingHub.start(t, mesh, {});
  const token = (await mesh.run(sleeping.hub.createJoinToken({ services: ['web'] }))).text;
  const { agent, log } = await mesh.join(['web'], { token });
  let renewals = 0;
  for (; renewals < 40 && log.of('hub-lost').length === 0; renewals++) {
    await mesh.clock.advanceAsync(200);
    await sleeping.sleep(20);
    await mesh.run(agent.token(`audience-${renewals}`).catch(() => undefined));
  }
  ok(renewals >= 10, `${renewals} at once are taken`);
  match(String(log.of('hub-lost')[0]?.fields.error), /sleeps/);
  ok(log.of('hub-renewed').length <= renewals);
});
