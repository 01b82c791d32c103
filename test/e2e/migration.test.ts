import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { SeededRandom } from '../../src/testing/seeded-random.ts';
import { Download } from '../support/downloads.ts';
import { printFigures } from '../support/figures.ts';
import { assertAllUnbroken, isDuring, LastingKinds, printKinds, type Window } from '../support/lasting-kinds.ts';
import type { LineTime } from '../support/lasting-streams.ts';
import { percentiles } from '../support/load.ts';
import { TestMesh } from '../support/mesh.ts';
import { type MovableSidecar, startTwoWays } from '../support/movable-sidecar.ts';
import type { MoveResult } from '../support/programs/movable-sidecar.ts';
import { countIds, judgePosts, SteadyClient } from '../support/steady-client.ts';

/** There and back, 50 times each. */
const MIGRATIONS = 100;
const EVERY_MS = 1_000;
/** The second end moves so much later than the first, at most: one that moves alone has its own direction only. */
const APART_MS = 200;
const SETTLE_MS = 100;
/** One way, so that the two paths differ and the relay is the longer one. */
const DELAYS_MS = { relay: 4, direct: 2 };
const STREAMS = 15;
const LINE_EVERY_MS = 50;
const REQUESTS_PER_SECOND = 50;
const DOWNLOADS = 2;
const DOWNLOAD_BYTES_PER_SECOND = 1024 ** 2;
/** Wanted of each migration; how many took longer is printed, with what the machine does where nothing moves. */
const WANTED_MS = 50;
/** Half of the migrations: twice what the fence waits for at most. */
const BOUND_MS = 600;

interface Migration extends Window {
  readonly to: 'relay' | 'direct';
  readonly a: MoveResult;
  readonly b: MoveResult;
}

describe('Streams that migrate between relay and direct path', () => {
  let mesh: TestMesh;
  let origin: { http: string; tcp: string };
  let a: MovableSidecar;
  let b: MovableSidecar;

  before(async () => {
    mesh = await TestMesh.start();
    origin = await mesh.startOrigin();
    const expose = [
      { service: 'files', target: origin.http },
      { service: 'lines', target: `tcp://${origin.tcp}` },
    ];
    const { relay, direct } = DELAYS_MS;
    ({ a, b } = await startTwoWays(mesh, expose, { relay: { delayMs: relay }, direct: { delayMs: direct } }));
  });
  after(() => mesh?.close());

  /** Both ends move, `b` by a part of `APART_MS` later than `a`, or earlier. */
  async function migrate(to: 'relay' | 'direct', apart: number): Promise<Migration> {
    const fromMs = performance.now();
    const first = apart < 0 ? b : a;
    const moved = first.prefer(to);
    await wait(Math.abs(apart) * 2 * APART_MS);
    const [one, other] = await Promise.all([moved, (first === a ? b : a).prefer(to)]);
    const ends = first === a ? { a: one, b: other } : { a: other, b: one };
    return { fromMs, toMs: performance.now(), to, ...ends };
  }

  it(`lose, double and reorder nothing in ${MIGRATIONS} of them, and hardly wait`, async () => {
    const target = { through: a.http, host: 'files.mesh' };
    const kinds = { ...target, tcp: a.tcp('lines'), count: STREAMS, periodMs: LINE_EVERY_MS };
    const streams = await LastingKinds.start(kinds);
    const client = await SteadyClient.start({ ...target, perSecond: REQUESTS_PER_SECOND });
    mesh.programs.push(client.program);
    const seconds = Math.round((MIGRATIONS * EVERY_MS) / 1_000);
    const bytes = seconds * DOWNLOAD_BYTES_PER_SECOND;
    const downloads = Array.from({ length: DOWNLOADS }, () => new Download({ ...target, bytes, seconds }));
    const before = await migrate('relay', 0);
    const random = new SeededRandom();
    const migrations: Migration[] = [];
    /** Behind each of them, as long as it, and nothing moves. */
    const pauses: Migration[] = [];
    const startedMs = performance.now();
    while (migrations.length < MIGRATIONS) {
      const migration = await migrate(migrations.length % 2 === 0 ? 'direct' : 'relay', random.ratio() - 0.5);
      const tookMs = migration.toMs - migration.fromMs;
      migrations.push(migration);
      await wait(Math.max(tookMs + SETTLE_MS, startedMs + migrations.length * EVERY_MS - performance.now()));
      const toMs = performance.now();
      pauses.push({ ...migration, fromMs: toMs - tookMs, toMs });
    }
    const done = await Promise.all(downloads.map((download) => download.done));
    const { answered, failed, slow: _, ...requests } = await client.finish();
    const posts = judgePosts({ answered, failed }, await countIds(origin.http));
    const finished = await streams.finish();

    const { lines } = streams;
    const usual = percentiles(pauses.filter(({ to }) => to === 'relay').flatMap((pause) => timesIn(lines, pause)));
    const added = (windows: readonly Window[]): number[] =>
      windows.map((window) => Math.max(0, ...timesIn(lines, window).map((tookMs) => tookMs - usual.p50Ms)));
    const addedMs = added(migrations);
    const last = migrations.at(-1) ?? before;
    const switches = { a: last.a.switches - before.a.switches, b: last.b.switches - before.b.switches };
    printKinds('migration', finished);
    printFigures('migration: requests', { ...requests, ...posts });
    printFigures('migration', {
      ...{ seed: random.seed, migrations: migrations.length, switches, delaysMs: DELAYS_MS },
      recordsSent: { a: last.a.recordsSent, b: last.b.recordsSent },
      recordsResent: { a: last.a.recordsResent, b: last.b.recordsResent },
      downloads: done.map(({ isIntact, seconds: tookS }) => ({ isIntact, tookS })),
      moveMs: percentiles(migrations.flatMap(({ a, b }) => [a.tookMs, b.tookMs])),
      usualMs: usual,
      addedMs: percentiles(addedMs),
      aboveWanted: addedMs.filter((ms) => ms > WANTED_MS).length,
      addedInPausesMs: percentiles(added(pauses)),
      aboveWantedInPauses: added(pauses).filter((ms) => ms > WANTED_MS).length,
    });

    assertAllUnbroken(finished);
    assert.ok(
      done.every(({ isIntact }) => isIntact),
      JSON.stringify(done),
    );
    assert.deepEqual([requests.failedGets, requests.failedPosts, posts.twice, posts.answeredButUnseen], [0, 0, 0, 0]);
    for (const count of Object.values(switches)) assert.ok(count >= MIGRATIONS, `${count} switches`);
    assert.ok(percentiles(addedMs).p50Ms <= BOUND_MS, `${percentiles(addedMs).p50Ms} ms`);
    assert.deepEqual(mesh.accidents(), []);
  });
});

/** What the lines took that were under way at any moment of the window. */
function timesIn(lines: readonly LineTime[], window: Window): number[] {
  return lines.filter((line) => isDuring(line, window)).map(({ tookMs }) => tookMs);
}
