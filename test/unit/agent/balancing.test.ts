/** Balancing as a caller sees it: a hub, replicas and a caller in virtual time, requests at a steady rate, and one fault at a time. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Agent } from '../../../src/agent/agent.ts';
import type { AgentOptions } from '../../../src/agent/options.ts';
import { setPeriodic } from '../../../src/core/clock.ts';
import { type ReplyRecorder, send } from '../../support/http.ts';
import { Replica } from '../../support/replica.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

/** A caller and the replicas of one service. */
class Fleet {
  readonly mesh: VirtualMesh;
  readonly replicas: readonly Replica[];
  readonly #caller: Agent;
  #sent = 0;

  private constructor(mesh: VirtualMesh, caller: Agent, replicas: readonly Replica[]) {
    this.mesh = mesh;
    this.#caller = caller;
    this.replicas = replicas;
  }

  static async start(t: TestContext, places: readonly Partial<AgentOptions>[], here: Partial<AgentOptions> = {}) {
    const mesh = new VirtualMesh(t);
    await mesh.startHub();
    const replicas: Replica[] = [];
    for (const place of places) replicas.push(await Replica.start(mesh, place));
    const { agent: caller } = await mesh.join(['web'], here);
    await mesh.run(caller.mirror.watch('api.default'));
    await mesh.until(() => caller.mirror.endpoints('api.default').length === places.length);
    return new Fleet(mesh, caller, replicas);
  }

  /** Asks at a steady rate; three of four requests are GETs, the fourth a POST. All are awaited. */
  async load(t: TestContext, forMs: number, perSecond = 100): Promise<Outcome> {
    const { clock } = this.mesh;
    const replies: { readonly id: string; readonly isPost: boolean; readonly reply: ReplyRecorder }[] = [];
    const before = this.replicas.map(({ seen }) => seen.length);
    const sendOne = (): void => {
      const id = `r${this.#sent++}`;
      const isPost = this.#sent % 4 === 0;
      const reply = send(this.#caller.outbound, { method: isPost ? 'POST' : 'GET', path: `/${id}` });
      replies.push({ id, isPost, reply });
    };
    const timer = setPeriodic(clock, 1000 / perSecond, sendOne);
    await clock.advanceAsync(forMs);
    timer.cancel();
    await this.mesh.until(() => replies.every(({ reply }) => reply.isOver));
    const failed = replies.filter(({ reply }) => reply.error !== undefined || reply.head?.status !== 200);
    const executed = new Map<string, number>();
    for (const { seen } of this.replicas) for (const { id } of seen) executed.set(id, (executed.get(id) ?? 0) + 1);
    const counts = this.replicas.map(({ seen }, index) => seen.length - (before[index] ?? 0));
    const outcome = {
      asked: replies.length,
      offered: counts.reduce((sum, count) => sum + count, 0),
      counts,
      failedGets: failed.filter(({ isPost }) => !isPost).length,
      failedPosts: failed.filter(({ isPost }) => isPost).length,
      postsTwice: replies.filter(({ id, isPost }) => isPost && (executed.get(id) ?? 0) > 1).length,
    };
    t.diagnostic(JSON.stringify(outcome));
    return outcome;
  }
}

interface Outcome {
  readonly asked: number;
  /** Requests that came to the replicas. */
  readonly offered: number;
  /** The same for each of them. */
  readonly counts: readonly number[];
  readonly failedGets: number;
  readonly failedPosts: number;
  readonly postsTwice: number;
}

const TEN = Array.from({ length: 10 }, () => ({}));

test('One of ten that takes 50 ms against 1 ms gets at most 2 % of the requests', async (t) => {
  const fleet = await Fleet.start(t, TEN);
  fleet.replicas[3]!.delayMs = 50;
  await fleet.load(t, 1_000);
  const { asked, counts, failedGets, failedPosts } = await fleet.load(t, 5_000);
  ok(counts[3]! / asked <= 0.02, `${counts[3]} of ${asked}`);
  deepEqual([failedGets, failedPosts], [0, 0]);
});

test('One of ten that answers 503 in 1 ms gets at most 5 % within 2 s', async (t) => {
  const fleet = await Fleet.start(t, TEN);
  await fleet.load(t, 1_000);
  fleet.replicas[3]!.answer = () => 503;
  const { asked, counts, postsTwice } = await fleet.load(t, 2_000);
  ok(counts[3]! / asked <= 0.05, `${counts[3]} of ${asked}`);
  equal(postsTwice, 0);
});

for (const how of ['kill', 'vanish'] as const) {
  const what = how === 'kill' ? 'whose process is killed' : 'whose machine is gone';
  test(`A replica ${what} costs no GET, and no POST is executed twice`, async (t) => {
    const fleet = await Fleet.start(t, [{}, {}, {}]);
    await fleet.load(t, 1_000);
    const { clock } = fleet.mesh;
    clock.setTimer(500, () => fleet.replicas[1]![how]());
    const { failedGets, postsTwice } = await fleet.load(t, 4_000, 150);
    deepEqual({ failedGets, postsTwice }, { failedGets: 0, postsTwice: 0 });
  });
}

test('All endpoints of the own region go: another region takes over within 2 s, and no GET fails', async (t) => {
  const near = { region: 'eu', zone: 'a' };
  const fleet = await Fleet.start(t, [near, near, { region: 'us', zone: 'b' }, { region: 'us', zone: 'c' }], near);
  const before = await fleet.load(t, 1_000);
  equal(before.counts[2]! + before.counts[3]!, 0, 'all stays near while it works');
  const { clock } = fleet.mesh;
  const goneMs = clock.monotonicMs();
  for (const replica of fleet.replicas.slice(0, 2)) replica.vanish();
  const { failedGets, postsTwice, asked, counts } = await fleet.load(t, 5_000);
  const far = fleet.replicas.slice(2).flatMap(({ seen }) => seen.map(({ atMs }) => atMs));
  const tookMs = Math.min(...far) - goneMs;
  t.diagnostic(`the other region is asked after ${tookMs} ms`);
  ok(tookMs <= 2_000, `after ${tookMs} ms`);
  ok(counts[2]! + counts[3]! > asked * 0.6);
  deepEqual({ failedGets, postsTwice }, { failedGets: 0, postsTwice: 0 });
});

test('When every replica fails half of what it is asked, retries add at most 21 %, and no POST is executed twice', async (t) => {
  const fleet = await Fleet.start(t, [{}, {}, {}, {}]);
  fleet.replicas.forEach((replica, index) => {
    replica.answer = (count) => ((count + index) % 2 === 0 ? 'reset' : 200);
  });
  const { asked, offered, postsTwice } = await fleet.load(t, 10_000);
  ok(offered <= asked * 1.21, `${offered} for ${asked}`);
  equal(postsTwice, 0);
});
