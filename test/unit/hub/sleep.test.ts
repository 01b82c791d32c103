/** A hub that sleeps, in this process: what its members notice, and who is not one of them. */
import { deepEqual, equal, notEqual, ok } from 'node:assert/strict';
import { createServer } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { expectHub } from '../../../src/auth/authenticator.ts';
import { createIdentityKey } from '../../../src/auth/key-pair.ts';
import { encodeControlOffer } from '../../../src/control/version.ts';
import { concatBytes, decodeUtf8, encodeUtf8 } from '../../../src/core/bytes.ts';
import { wait } from '../../../src/core/clock.ts';
import type { SkeinError } from '../../../src/core/errors.ts';
import type { HttpServerOptions, MessagePipe, Platform } from '../../../src/core/platform.ts';
import { createHub, type Hub } from '../../../src/hub/hub.ts';
import type { RestingPipe } from '../../../src/hub/resting-link.ts';
import { MemoryStore } from '../../../src/hub/store/memory.ts';
import { createMeshOn as createMesh } from '../../../src/index.ts';
import { nodePlatform } from '../../../src/runtime/node/platform.ts';
import { RestingClock } from '../../../src/runtime/workerd/resting-clock.ts';
import { MemoryFiles } from '../../../src/testing/memory-files.ts';
import { MemoryLink } from '../../../src/testing/memory-pipe.ts';
import { Link } from '../../../src/tunnel/link.ts';
import { Session } from '../../../src/tunnel/session.ts';
import { STREAM_KIND } from '../../../src/tunnel/stream.ts';
import { createIdentity, HubClient, type Identity, memberAuthenticator } from '../../support/hub-client.ts';
import { EventLog } from '../../support/local-mesh.ts';
import { RecordingSink } from '../../support/tunnel.ts';

const base = nodePlatform();
/** For these hubs 16 KiB less what frames them, as in an object. */
const MAX_STATE_BYTES = 16_128;

/** What outlives the memory of a hub, and the memory that it has now. */
class SleepyHub {
  readonly log = new EventLog();
  readonly #store = new MemoryStore();
  readonly files = new MemoryFiles();
  #clock = new RestingClock(base.clock);
  #server: HttpServerOptions | undefined;
  #rest: () => readonly RestingPipe[] | undefined = () => undefined;
  #hub: Hub | undefined;

  static async start(t: Pick<TestContext, 'after'>): Promise<SleepyHub> {
    const hub = new SleepyHub();
    // Timers of the platform hold no process open, and there is no socket here that would.
    const holder = createServer().listen(0, '127.0.0.1');
    await hub.#wake([]);
    t.after(() => hub.hub.close());
    t.after(() => holder.close());
    return hub;
  }

  get hub(): Hub {
    return this.#hub as Hub;
  }

  /** The platform of a member: wherever it dials, it comes here. */
  get platform(): Platform {
    return { ...base, dialWebSocket: async () => this.dial() };
  }

  dial(): MessagePipe {
    const wire = new MemoryLink(base.clock);
    this.#server?.onWebSocket?.(Object.assign(wire.b, { canSleep: true }));
    return wire.a;
  }

  async token(service: string): Promise<string> {
    return (await this.hub.createJoinToken({ services: [service] })).text;
  }

  /** How many entries its audit log has. */
  async audited(): Promise<number> {
    let count = 0;
    for (const { key } of await this.#store.list('audit/')) if (/\d$/.test(key)) count++;
    return count;
  }

  /** The key that it shows, as it keeps it. */
  async ownKey(): Promise<string> {
    const kept = JSON.parse(decodeUtf8((await this.files.read('hub/self.json')) as Uint8Array)) as {
      key: { x: string };
    };
    return kept.key.x;
  }

  /** Its memory ends as soon as nothing is under way, and begins anew. */
  async sleep(): Promise<void> {
    let resting = this.#rest();
    for (; resting === undefined; resting = this.#rest()) await wait(base.clock, 5);
    this.#clock.rest();
    await this.#wake(resting);
  }

  async #wake(resting: readonly RestingPipe[]): Promise<void> {
    this.#clock = new RestingClock(base.clock);
    const platform: Platform = {
      ...base,
      clock: this.#clock,
      files: this.files,
      listenHttp: async (options) => {
        this.#server = options;
        return { address: 'memory', port: 0, close: async () => undefined };
      },
    };
    const onSleeper = (sleeper: { rest(): readonly RestingPipe[] | undefined }): void => {
      this.#rest = () => sleeper.rest();
    };
    const options = { log: this.log, store: this.#store, dataFolder: 'hub', adminToken: 'x'.repeat(40) };
    const sleep = { resting, maxStateBytes: MAX_STATE_BYTES, onSleeper };
    this.#hub = await createHub(platform, options, { sleep });
  }
}

describe('A hub that sleeps', () => {
  it('passes records on as before; members hear of its sleep when there is something to say', async (t) => {
    const hub = await SleepyHub.start(t);
    const join = async (service: string) => {
      const log = new EventLog();
      const options = { hub: 'ws://hub', token: await hub.token(service), log, direct: false } as const;
      const mesh = await createMesh(hub.platform, options);
      t.after(() => mesh.close());
      return { mesh, log };
    };
    const api = await join('api');
    const web = await join('web');
    await api.mesh.serve('api', () => new Response('here'));
    const call = async (from = web): Promise<string> => (await from.mesh.fetch('http://api.mesh/')).text();
    equal(await call(), 'here');

    await hub.sleep();
    for (let i = 0; i < 20; i++) equal(await call(), 'here');
    await hub.sleep();
    equal(await call(), 'here');

    // News for both, which each is told in another session on the same link.
    const late = await join('late');
    equal(await call(late), 'here');
    await api.log.waitFor('hub-renewed');
    await late.mesh.serve('late', () => new Response('late'));
    equal(await (await web.mesh.fetch('http://late.mesh/')).text(), 'late');
    await hub.sleep();
    // And something that a member asks for.
    await web.mesh.serve('web', () => new Response('web'));
    equal(await (await api.mesh.fetch('http://web.mesh/')).text(), 'web');
    for (const { log } of [api, web, late]) {
      equal(log.of('hub-lost').length, 0);
      equal(log.of('session-closed').length, 0);
    }
  });

  it('is who it was: no wake adds to the audit log, of which members would have to be told', async (t) => {
    const hub = await SleepyHub.start(t);
    const mesh = await createMesh(hub.platform, { hub: 'ws://hub', token: await hub.token('api'), direct: false });
    t.after(() => mesh.close());
    await mesh.serve('api', () => new Response('here'));
    await hub.log.waitFor('sidecar-joined');
    const before = await hub.audited();
    ok(before > 0);
    const thumbprint = await hub.ownKey();
    for (let i = 0; i < 3; i++) {
      await hub.sleep();
      deepEqual([await hub.audited(), await hub.ownKey()], [before, thumbprint]);
    }
    // What cannot be read, or is of another key, is made anew.
    for (const damage of ['{', JSON.stringify({ key: (await createIdentityKey()).publicJwk, wit: 'x' })]) {
      await hub.files.replace('hub/self.json', encodeUtf8(damage));
      await hub.sleep();
      notEqual(await hub.ownKey(), thumbprint);
    }
  });

  it('makes a bearer token for who asks while it sleeps, and is known again by a ticket that proves no key', async (t) => {
    const hub = await SleepyHub.start(t);
    const mesh = await createMesh(hub.platform, { hub: 'ws://hub', token: await hub.token('api'), direct: false });
    t.after(() => mesh.close());
    await mesh.token({ audience: 'https://first.example' });
    for (let i = 0; i < 2; i++) {
      await hub.sleep();
      const { token } = await mesh.token({ audience: `https://${i}.example` });
      equal(token.split('.').length, 3);
    }
  });

  it('ends a link on which somebody else goes on than who began it', async (t) => {
    const hub = await SleepyHub.start(t);
    const enrol = async (service: string): Promise<Identity> => {
      const identity = await createIdentity();
      const client = await HubClient.connect(hub.platform, 'ws://hub', identity, await hub.token(service));
      client.close();
      return identity;
    };
    const [first, second] = [await enrol('api'), await enrol('web')];
    let lost: (error: SkeinError) => void = () => undefined;
    const ended = new Promise<SkeinError>((resolve) => {
      lost = resolve;
    });
    const { clock, random, crypto } = base;
    const open = (as: Identity): Session => {
      const trustDomain = 'skein.mesh';
      return new Session({
        ...{ role: 'initiator', circuit: link.control, crypto, clock, random, trustDomain },
        authenticator: memberAuthenticator(base, as, trustDomain, expectHub(trustDomain)),
        localInstance: first.instance,
        remoteInstance: '',
        binding: concatBytes(...link.transcript),
        onStream: (stream) => stream.end(),
        onClose: () => undefined,
      });
    };
    const control = async (session: Session): Promise<void> => {
      await session.ready;
      const offer = encodeControlOffer();
      new RecordingSink(session.openStream(STREAM_KIND.internal, offer, offer.length, false));
    };
    const link: Link = new Link(hub.dial(), {
      ...{ role: 'dialler', clock, random },
      onRenewed: () => void control(open(second)).catch(() => undefined),
      onClose: lost,
    });
    await link.ready;
    const session = open(first);
    await control(session);
    await hub.log.waitFor('sidecar-joined', 3);
    await hub.sleep();
    // Whatever it says, the hub has forgotten what it was about.
    session.goAway('leaving');
    const { details } = await ended;
    equal(details.reason, 'identity');
    ok(link.isClosed);
  });
});
