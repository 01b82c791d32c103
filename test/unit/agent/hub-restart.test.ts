/** Behind a restart of its hub, which believes for a while in everybody it knew: who does not come back costs no request anything. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Agent } from '../../../src/agent/agent.ts';
import { wait } from '../../../src/core/clock.ts';
import type { Platform } from '../../../src/core/platform.ts';
import type { Hub } from '../../../src/hub/hub.ts';
import { folder } from '../../support/folder.ts';
import { RecordingHandler } from '../../support/http.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

const LATENCY_MS = 5;
const AWAY = 5;
const EVERY_MS = 20;
/** A hub that was started believes for so long in those it knew. */
const BELIEVED_MS = 10_000;

interface Restarted {
  readonly mesh: VirtualMesh;
  readonly hub: Hub;
  /** Was no caller before. */
  readonly caller: Agent;
  /** How often who has answered since, or why nobody has. */
  readonly answers: Map<string, number>;
}

/** All serve `api`; one of them comes back with the hub, and the others after `awayMs`. */
async function restart(t: TestContext, awayMs: number): Promise<Restarted> {
  const mesh = new VirtualMesh(t);
  mesh.network.latencyMs = LATENCY_MS;
  const dataFolder = folder(t);
  const before = await mesh.startHub({ dataFolder });
  let backMs = 0;
  const dialWebSocket: Platform['dialWebSocket'] = async (url, dial) => {
    while (mesh.clock.monotonicMs() < backMs) await wait(mesh.clock, EVERY_MS, dial?.signal);
    return mesh.network.dial(url, dial);
  };
  const joinLate = async (): Promise<Agent> => {
    const made = await mesh.createAgent({ token: await mesh.token('api') }, { ...mesh.platform, dialWebSocket });
    await mesh.run(made.agent.start());
    return made.agent;
  };
  const servers = [(await mesh.join(['api'])).agent];
  while (servers.length <= AWAY) servers.push(await joinLate());
  for (const [i, server] of servers.entries()) {
    const handler = new RecordingHandler((request) => request.answer(200, String(i)));
    await mesh.serve(server, 'api.default', { protocol: 'http', handler });
  }
  const { agent: caller } = await mesh.join(['web']);
  await mesh.run(caller.endpointsOf('api.default'));
  backMs = Number.POSITIVE_INFINITY;
  await mesh.run(before.close());
  await mesh.until(() => [caller, ...servers].every(({ hub }) => hub === undefined));
  backMs = mesh.clock.monotonicMs() + awayMs;
  const hub = await mesh.startHub({ dataFolder });
  await mesh.until(() => caller.hub !== undefined && servers[0]?.hub !== undefined);
  return { mesh, hub, caller, answers: new Map() };
}

async function askFor({ mesh, caller, answers }: Restarted, forMs: number): Promise<void> {
  for (const endMs = mesh.clock.monotonicMs() + forMs; mesh.clock.monotonicMs() < endMs; ) {
    const reply = await mesh.ask(caller);
    const answer = reply.error?.reason ?? reply.text;
    answers.set(answer, (answers.get(answer) ?? 0) + 1);
    await mesh.clock.advanceAsync(EVERY_MS);
  }
}

async function countRefused({ mesh, hub }: Restarted): Promise<number> {
  const text = await mesh.run(hub.metrics.render());
  return Number(/^skein_hub_circuits_total\{outcome="no-endpoint"\} (\d+)$/m.exec(text)?.[1] ?? 0);
}

test('No request fails because of instances that did not come back with their hub, and they are seldom asked for', async (t) => {
  const restarted = await restart(t, 10 * BELIEVED_MS);
  await askFor(restarted, BELIEVED_MS - 1_000);
  deepEqual([...restarted.answers.keys()], ['0']);
  const refused = await countRefused(restarted);
  ok(refused > 0 && refused <= AWAY * 5, `${refused} circuits`);
});

test('Those who come back later are asked within 2 s, though the hub has never told that they were away', async (t) => {
  const restarted = await restart(t, 4_000);
  await askFor(restarted, 4_000);
  deepEqual([...restarted.answers.keys()], ['0']);
  await restarted.mesh.clock.advanceAsync(2_000);
  await askFor(restarted, 2_000);
  equal(restarted.answers.size, 1 + AWAY, [...restarted.answers.keys()].join());
});
