/**
 * The issuer's keys change while everybody works, on real sockets: two hubs on one store, members with links to both. Times of keys and
 * SVIDs are a few seconds instead of days, in the same relation.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { mintJwtSvid } from '../../src/auth/jwt-svid.ts';
import type { KeyLife } from '../../src/auth/key-life.ts';
import { toWorkloadId } from '../../src/core/spiffe-id.ts';
import { createHub, type Hub } from '../../src/hub/hub.ts';
import { createMeshOn as createMesh, type Mesh } from '../../src/index.ts';
import { nodePlatform } from '../../src/runtime/node/platform.ts';
import { SharedStore } from '../../src/testing/shared-store.ts';
import { printFigures } from '../support/figures.ts';
import { folder } from '../support/folder.ts';
import { percentiles } from '../support/load.ts';
import { EventLog } from '../support/local-mesh.ts';
import { stealKey } from '../support/stolen-key.ts';

const SVID_MS = 10_000;
/** SVIDs are taken for 30 s after their end, and a machine that is short of time renews late. */
const LEEWAY_MS = 40_000;
const ROTATING: KeyLife = { lifeMs: SVID_MS + 2_000, announceMs: SVID_MS + 1_000, retireMs: SVID_MS + LEEWAY_MS };
const ROTATIONS = 10;
const PER_SECOND = 1_000;
/** Requests that may wait: a machine that is too slow for the rate is asked for less, never for more at once. */
const MAX_PENDING = 128;
const MEMBERS = 8;
/** What is promised is 5 s; a machine that is short of time may be late, but never by this much. */
const ALLOWANCE_MS = 30_000;
const NEVER: KeyLife = { lifeMs: 3_600_000_000, announceMs: 1, retireMs: 3_600_000 };

interface Pair {
  readonly hubs: readonly [Hub, Hub];
  readonly folders: readonly string[];
  readonly log: EventLog;
  join(service: string): Promise<{ mesh: Mesh; log: EventLog }>;
}

async function startPair(t: TestContext, keys: KeyLife, svidLifetimeMs: number): Promise<Pair> {
  const store = new SharedStore();
  const folders = [folder(t), folder(t)] as const;
  const log = new EventLog();
  const start = async (dataFolder: string): Promise<Hub> => {
    const hub = await createHub(nodePlatform(), {
      ...{ store: store.connect(), dataFolder, log, limits: { keys, svidLifetimeMs } },
    });
    t.after(() => hub.close());
    return hub;
  };
  const a = await start(folders[0]);
  copyFileSync(join(folders[0], 'issuer.json'), join(folders[1], 'issuer.json'));
  const b = await start(folders[1]);
  let joined = 0;
  return {
    hubs: [a, b],
    folders,
    log,
    join: async (service) => {
      const own = new EventLog();
      const { text: token } = await a.createJoinToken({ services: [service] });
      const hub = joined++ % 2 === 0 ? [a.url, b.url] : [b.url, a.url];
      const limits = { renewAfterMs: Math.round(svidLifetimeMs / 24) };
      const mesh = await createMesh(nodePlatform(), { hub, token, log: own, direct: false, limits });
      t.after(() => mesh.close());
      // To the one that all have in common, and to the other.
      await own.waitFor('hub-connected', 2);
      return { mesh, log: own };
    },
  };
}

async function post(hub: Hub, path: string, body: object): Promise<Record<string, unknown>> {
  const answer = await fetch(`http://${hub.address}/v1/${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${hub.adminToken.reveal()}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  equal(answer.ok, true, `${path}: ${answer.status}`);
  return (await answer.json()) as Record<string, unknown>;
}

/** Asks at a steady rate, as far as the machine keeps up, until told to stop. */
class Load {
  readonly errors: Record<string, number> = {};
  readonly times: number[] = [];
  /** When a request failed last, and when one was answered last. */
  failedAtMs = 0;
  answeredAtMs = 0;
  #pending = new Set<Promise<void>>();
  readonly #startMs = performance.now();
  readonly #timer: ReturnType<typeof setInterval>;
  #sent = 0;

  constructor(mesh: Mesh, url: string) {
    this.#timer = setInterval(() => {
      const due = ((performance.now() - this.#startMs) / 1000) * PER_SECOND;
      for (let i = 0; i < PER_SECOND / 100 && this.#sent < due && this.#pending.size < MAX_PENDING; i++) {
        this.#sent++;
        const asked = this.#ask(mesh, url).finally(() => this.#pending.delete(asked));
        this.#pending.add(asked);
      }
      // What the machine had no time for is not made up for.
      this.#sent = Math.max(this.#sent, Math.floor(due - PER_SECOND / 100));
    }, 2);
  }

  get failures(): number {
    return Object.values(this.errors).reduce((sum, count) => sum + count, 0);
  }

  async stop(): Promise<{ readonly perSecond: number; readonly requests: number; readonly failures: number }> {
    clearInterval(this.#timer);
    await Promise.all(this.#pending);
    const requests = this.times.length;
    const perSecond = Math.round(requests / ((performance.now() - this.#startMs) / 1000));
    return { perSecond, requests, failures: this.failures };
  }

  async #ask(mesh: Mesh, url: string): Promise<void> {
    const startMs = performance.now();
    let failure: string | undefined;
    try {
      const answer = await mesh.fetch(url);
      const text = await answer.text();
      if (answer.status !== 200 || text !== 'hello')
        failure = `${answer.status} ${answer.headers.get('x-skein-reason') ?? text}`;
    } catch (error) {
      failure = String(error);
    }
    this.times.push(performance.now() - startMs);
    if (failure === undefined) this.answeredAtMs = performance.now();
    else {
      this.errors[failure] = (this.errors[failure] ?? 0) + 1;
      this.failedAtMs = performance.now();
    }
  }
}

test(`Ten rotations of both keys, under load: every request is answered`, async (t) => {
  const pair = await startPair(t, ROTATING, SVID_MS);
  const [api, web] = [await pair.join('api'), await pair.join('web')];
  await api.mesh.serve('api', () => new Response('hello'));
  await web.mesh.fetch('http://api.mesh/');
  const load = new Load(web.mesh, 'http://api.mesh/');
  const startMs = performance.now();
  const kids = (): Set<unknown> =>
    new Set(
      pair.log
        .of('keys-changed')
        .flatMap(({ fields }) => (fields.keys as string[]).filter((key) => key.startsWith('wit-svid current'))),
    );
  for (let changes = 1; kids().size <= ROTATIONS; changes++) await pair.log.waitFor('keys-changed', changes);
  const seconds = Math.round((performance.now() - startMs) / 1000);
  const result = await load.stop();
  const { p50Ms, p99Ms, maxMs } = percentiles(load.times);
  // With what they say of it, so that a failure tells which.
  const refused = [api, web].map(({ log }) =>
    [...log.of('bundle-refused'), ...log.of('session-refused')].map(({ event, fields }) => ({ event, ...fields })),
  );
  printFigures('ten rotations under load', {
    ...{ rotations: kids().size - 1, seconds, ...result, p50Ms, p99Ms, maxMs, errors: load.errors },
    renewals: web.log.of('identity-renewed').length,
  });
  equal(result.failures, 0, JSON.stringify(load.errors));
  deepEqual(refused, [[], []]);
  ok(seconds <= 300, `${seconds} s`);
  ok(result.requests > 1_000);
});

test('A stolen key is removed: refused everywhere at once, and traffic flows again by itself', async (t) => {
  const pair = await startPair(t, NEVER, 24 * 3_600_000);
  const [hub] = pair.hubs;
  await post(hub, 'keys/rotate', { now: true });
  const [api, ...callers] = await Promise.all(
    Array.from({ length: MEMBERS }, (_, i) => pair.join(i === 0 ? 'api' : `web-${i}`)),
  );
  ok(api);
  await api.mesh.serve('api', () => new Response('hello'));
  for (const { mesh } of callers) equal(await (await mesh.fetch('http://api.mesh/')).text(), 'hello');

  // Bearer tokens show at each member to the millisecond from when on it refuses.
  const stolen = await stealKey(pair.folders[0] ?? '', 'jwt-svid');
  const audience = 'https://shop.example.com';
  const id = toWorkloadId('skein.mesh', 'default', 'api');
  const forged = await mintJwtSvid(stolen, stolen.thumbprint, {
    id,
    audience,
    tokenId: 't',
    issuedAtMs: Date.now(),
    holder: { joinedAtMs: 0 },
  });
  for (const { mesh } of callers) equal((await mesh.verifyToken(forged, { audience })).id, id.uri);
  const bearerMs = performance.now();
  const refusedAfter = Promise.all(callers.map(({ mesh }) => untilRefused(mesh, forged, audience, bearerMs)));
  await post(hub, 'keys/remove', { kid: stolen.thumbprint });
  const bearers = percentiles(await refusedAfter);

  const key = await stealKey(pair.folders[0] ?? '');
  const load = new Load((callers[0] ?? api).mesh, 'http://api.mesh/');
  const others = callers.map(({ log }) => log.of('keys-changed').length);
  const removedMs = performance.now();
  await post(hub, 'keys/remove', { kid: key.thumbprint });
  const known: number[] = [];
  await Promise.all(
    callers.map(async ({ log }, i) => {
      await log.waitFor('keys-changed', (others[i] ?? 0) + 1);
      known.push(performance.now() - removedMs);
      await log.waitFor('identity-renewed');
      await log.waitFor('session-closed');
    }),
  );
  const flows = await Promise.all(callers.map(({ mesh }) => untilAnswered(mesh, removedMs)));
  // What fails late fails among these.
  const enough = load.times.length + PER_SECOND / 2;
  while (load.times.length < enough) await untilAnswered((callers[0] ?? api).mesh, removedMs);
  const result = await load.stop();
  const lastFailureMs = load.failedAtMs === 0 ? 0 : Math.round(load.failedAtMs - removedMs);
  printFigures('a stolen key is removed', {
    members: callers.length,
    bearerRefused: { p50Ms: bearers.p50Ms, maxMs: bearers.maxMs },
    keyGone: { maxMs: Math.round(Math.max(...known)) },
    trafficAgain: { maxMs: Math.round(Math.max(...flows)) },
    ...{ ...result, errors: load.errors, lastFailureMs },
  });
  ok(Math.max(bearers.maxMs, ...known, ...flows, lastFailureMs) < ALLOWANCE_MS);
  for (const { log } of callers) equal(log.of('identity-renewed').length >= 1, true);
});

async function untilRefused(mesh: Mesh, token: string, audience: string, fromMs: number): Promise<number> {
  for (;;) {
    try {
      await mesh.verifyToken(token, { audience });
    } catch {
      return performance.now() - fromMs;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function untilAnswered(mesh: Mesh, fromMs: number): Promise<number> {
  for (;;) {
    const answer = await mesh.fetch('http://api.mesh/').catch(() => undefined);
    if (answer?.status === 200) return performance.now() - fromMs;
    // A request may fail without a turn of the loop, in which others could do something.
    await new Promise((resolve) => setImmediate(resolve));
  }
}
