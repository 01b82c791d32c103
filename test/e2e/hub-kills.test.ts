/** The hub that carries what two members say to each other goes without a word, again and again; the other one takes over. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { lacking } from '../runtime/capabilities.ts';
import { Cutter } from '../support/cutter.ts';
import { HubPair } from '../support/hub-pair.ts';
import type { Sidecar } from '../support/mesh.ts';
import { assertUnharmed, MixedLoad, printMixed } from '../support/mixed-load.ts';
import { readPaths, waitForPaths } from '../support/paths.ts';

const KILLS = 10;
const REQUESTS_PER_SECOND = 1_000;
const BLACK_HOLES = 4;
const REQUESTS_PER_SECOND_IN_SILENCE = 300;
/** Where other programs share two cores, and less than a hub is silent; what came of it is printed. */
const STALL_WITHIN_MS = 7_500;
const KILLED_MS = 1_000;
/** Until everything is compiled. */
const WARM_MS = 3_000;
/** Longer than anybody may wait for a link that says nothing. */
const SILENT_MS = 8_000;

describe('The hub in use, of two', { skip: lacking('nats-server') }, () => {
  let pair: HubPair;
  let origin: { http: string; tcp: string };

  before(async () => {
    pair = await HubPair.start();
    origin = await pair.a.startOrigin();
  });
  after(() => pair?.close());

  /** Two members with links to both hubs. */
  async function join(hub: string, service: string): Promise<{ caller: Sidecar; callee: Sidecar }> {
    const services = [service, `${service}-lines`];
    const expose = [`${service}=${origin.http}`, `${service}-lines=tcp://${origin.tcp}`];
    const callee = await pair.a.startSidecar({ name: `${service} callee`, hub, services, expose, http: false });
    const caller = await pair.a.startSidecar({
      name: `${service} caller`,
      hub,
      services: [`${service}-client`],
      tcp: [`${service}-lines`],
    });
    return { caller, callee };
  }

  /** Puts load on both, and `lose`s the hub by which the caller's requests go, so many times. */
  async function run(
    { caller, callee }: { caller: Sidecar; callee: Sidecar },
    service: string,
    perSecond: number,
    times: number,
    lose: (url: string, isElsewhere: () => Promise<unknown>) => Promise<number>,
  ) {
    const tcp = caller.tcp(`${service}-lines`);
    const load = await MixedLoad.start({ through: caller.http, host: `${service}.mesh`, tcp, perSecond });
    pair.a.programs.push(load.client.program);
    await wait(WARM_MS);
    const losses: { fromMs: number; awayMs: number }[] = [];
    for (let i = 0; i < times; i++) {
      await Promise.all([caller, callee].map((sidecar) => waitForPaths(sidecar, 2)));
      await wait(1_000);
      const { active = '' } = await readPaths(caller);
      const fromMs = performance.now();
      const awayMs = await lose(active, async () => {
        const paths = await waitForPaths(caller, 1);
        assert.notEqual(paths.active, active);
      });
      losses.push({ fromMs, awayMs });
    }
    await wait(2_000);
    const [requests = 0, answers = 0] = await Promise.all(
      [caller, callee].map(async (sidecar) => (await readPaths(sidecar)).switches),
    );
    const result = await load.finish(origin.http);
    const stallsMs = losses.map(({ fromMs, awayMs }) => result.longestBetween(fromMs, fromMs + awayMs));
    return { result, stallsMs, switches: { requests, answers } };
  }

  it(`Is killed with -9 ${KILLS} times: no request fails, none is done twice, no stream ends`, async () => {
    const members = await join(pair.urls, 'api');
    const { result, stallsMs, switches } = await run(members, 'api', REQUESTS_PER_SECOND, KILLS, async (url, moved) => {
      const hub = pair.at(url);
      await hub.hub.kill();
      await moved();
      await wait(KILLED_MS);
      await hub.startHub();
      return KILLED_MS;
    });
    printMixed('the hub in use killed', result, { kills: KILLS, switches, stallsMs, longestMs: result.longestMs });
    assertUnharmed(result);
    assert.ok(switches.requests >= KILLS, 'each kill hit the hub in use');
    assert.ok(result.longestLineMs <= STALL_WITHIN_MS, `${result.longestLineMs} ms`);
    assert.deepEqual(pair.accidents(), []);
  });

  it(`Falls silent ${BLACK_HOLES} times, nothing reset: no request fails, none is done twice, no stream ends`, async () => {
    const cutters = await Promise.all([pair.a, pair.b].map(({ hubAddress }) => Cutter.start(hubAddress)));
    pair.a.programs.push(...cutters.map(({ program }) => program));
    const members = await join(cutters.map(({ url }) => url).join(','), 'quiet');
    const { result, stallsMs, switches } = await run(
      members,
      'quiet',
      REQUESTS_PER_SECOND_IN_SILENCE,
      BLACK_HOLES,
      async (url) => {
        const cutter = cutters.find((each) => each.url === url);
        assert.ok(cutter !== undefined);
        await cutter.hold();
        await wait(SILENT_MS);
        assert.notEqual((await readPaths(members.caller)).active, url);
        await cutter.release();
        return SILENT_MS;
      },
    );
    printMixed('the hub in use silent', result, {
      times: BLACK_HOLES,
      switches,
      stallsMs,
      longestMs: result.longestMs,
    });
    assertUnharmed(result);
    assert.ok(result.longestLineMs <= STALL_WITHIN_MS, `${result.longestLineMs} ms`);
    assert.deepEqual(pair.accidents(), []);
  });
});
