/** Clocks that differ: five minutes either way cost nothing; more is refused with the times and what to do. */

import { equal, match, ok, rejects } from 'node:assert/strict';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Agent } from '../../../src/agent/agent.ts';
import type { SkeinError } from '../../../src/core/errors.ts';
import type { EventLog } from '../../support/event-log.ts';
import { folder } from '../../support/folder.ts';
import { RecordingHandler } from '../../support/http.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';
import { WrongClock } from '../../support/wrong-clock.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const TOLERATED_MS = 5 * MINUTE_MS;
/** Often, so that little has to happen in between. */
const RENEW_AFTER_MS = 6 * MINUTE_MS;

interface Made {
  readonly agent: Agent;
  readonly log: EventLog;
  readonly clock: WrongClock;
}

/** A member that has not started, whose clock differs from the hub's by `byMs`. */
async function createSkewed(mesh: VirtualMesh, service: string, byMs: number, data?: string): Promise<Made> {
  const clock = new WrongClock(mesh.clock, byMs);
  const token = await mesh.token(service);
  const options = { token, limits: { renewAfterMs: RENEW_AFTER_MS }, ...(data === undefined ? {} : { data }) };
  return { ...(await mesh.createAgent(options, { ...mesh.platform, clock })), clock };
}

async function joinSkewed(mesh: VirtualMesh, service: string, byMs: number, data?: string): Promise<Made> {
  const made = await createSkewed(mesh, service, byMs, data);
  await mesh.run(made.agent.start());
  return made;
}

const answering = () => new RecordingHandler((request) => request.answer(200, 'ok'));

for (const [server, caller] of [
  [-TOLERATED_MS, TOLERATED_MS],
  [TOLERATED_MS, -TOLERATED_MS],
  [-TOLERATED_MS, -TOLERATED_MS],
  [TOLERATED_MS, TOLERATED_MS],
] as const) {
  const minutes = (ms: number) => `${ms > 0 ? '+' : ''}${ms / MINUTE_MS} min`;
  test(`Members at ${minutes(server)} and ${minutes(caller)} join, speak, renew and come back`, async (t) => {
    const mesh = new VirtualMesh(t);
    const hub = await mesh.startHub({ dataFolder: folder(t) }); // its own credential is as fresh as can be
    const data = folder(t);
    const a = await joinSkewed(mesh, 'api', server);
    await mesh.serve(a.agent, 'api.default', { protocol: 'http', handler: answering() });
    const b = await joinSkewed(mesh, 'web', caller, data);
    equal((await mesh.ask(b.agent)).outcome, 'ok');

    const renewals = (): number => Math.min(...[a, b].map(({ log }) => log.of('identity-renewed').length));
    await mesh.until(() => renewals() >= 2, 4 * RENEW_AFTER_MS);
    ok(mesh.clock.monotonicMs() >= 1.8 * RENEW_AFTER_MS, 'renewed more often than asked for');
    equal((await mesh.ask(b.agent)).outcome, 'ok');
    for (const { log } of [a, b]) equal(log.of('hub-connected').length, 1, 'the link stays');

    b.agent.close();
    const clock = new WrongClock(mesh.clock, caller);
    const again = await mesh.createAgent({ data }, { ...mesh.platform, clock });
    await mesh.run(again.agent.start());
    equal((await mesh.ask(again.agent)).outcome, 'ok');
    for (const { log } of [a, b, again]) equal(log.of('session-refused').length, 0);
    await mesh.run(hub.close());
  });
}

test('Two hubs of one mesh whose clocks differ by five minutes take who was enrolled by the other', async (t) => {
  const mesh = new VirtualMesh(t);
  const one = await mesh.startShared(7000);
  const two = await mesh.startShared(7001, {}, new WrongClock(mesh.clock, -TOLERATED_MS));
  const hub = [one.url, two.url];
  const { log } = await mesh.join(['api'], { hub });
  await mesh.until(() => log.of('hub-connected').length === 2);
});

test('A member more than five minutes behind is told so before its token is used', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const { agent } = await createSkewed(mesh, 'api', -TOLERATED_MS - 31_000);
  await rejects(mesh.run(agent.start()), (error: SkeinError) => {
    equal(error.code, 'SKEIN_IDENTITY');
    match(
      error.message,
      /good only from 2023-11-14T22:08:20.000Z on, and it is 2023-11-14T22:07:49.\d{3}Z here; check the clock/,
    );
    return true;
  });
  equal(mesh.log.of('sidecar-enrolled').length, 0, 'the hub is verified before it is shown the token');
});

test('A member days ahead is told so', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const { agent } = await createSkewed(mesh, 'api', 25 * HOUR_MS);
  await rejects(mesh.run(agent.start()), {
    code: 'SKEIN_IDENTITY',
    message: /has expired at 2023-11-15T22:13:20.000Z, and it is 2023-11-15T23:13:20.\d{3}Z here; check the clock/,
  });
});

test('A stored identity whose time has not come, or is over, is not taken; the clock is named', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const data = folder(t);
  const { agent } = await mesh.join(['api'], { data });
  agent.close();
  for (const [byMs, state] of [
    [-6 * MINUTE_MS, /is good only from/],
    [25 * HOUR_MS, /has expired at/],
  ] as const) {
    const platform = { ...mesh.platform, clock: new WrongClock(mesh.clock, byMs) };
    await rejects(mesh.createAgent({ data }, platform), (error: SkeinError) => {
      equal(error.code, 'SKEIN_IDENTITY');
      match(error.message, state);
      match(error.message, /check the clock/);
      match(String(error.details.remedy), /skein token create/);
      return true;
    });
  }
  equal(readdirSync(data).join(), 'identity.json');
});

for (const [byMs, said] of [
  [-2 * HOUR_MS, /check the clock, which is 2h(1s)? behind that of the hub/],
  [30 * HOUR_MS, /check the clock, which is (30h|29h59m59s) ahead of that of the hub/],
] as const) {
  test(`A clock that is set wrong by ${byMs / HOUR_MS} h after the member has joined is told by how much`, async (t) => {
    const mesh = new VirtualMesh(t);
    const dataFolder = folder(t);
    const hub = await mesh.startHub({ dataFolder });
    const clock = new WrongClock(mesh.clock);
    const options = { token: await mesh.token('api') };
    const { agent, log } = await mesh.createAgent(options, { ...mesh.platform, clock });
    await mesh.run(agent.start());
    await mesh.clock.advanceAsync(5 * MINUTE_MS);
    clock.aheadMs = byMs;
    await mesh.run(hub.close());
    // Another key: the member's ticket is none of this hub's any more, and SVIDs are looked at.
    rmSync(join(dataFolder, 'self.json'));
    await mesh.startHub({ dataFolder });
    await mesh.until(() => log.of('hub-refused').length > 0);
    match(String(log.of('hub-refused')[0]?.fields.error), said);
  });
}

test('A clock hours ahead makes nobody renew every half minute', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const { log } = await joinSkewed(mesh, 'api', 3 * HOUR_MS);
  await mesh.clock.advanceAsync(2.6 * RENEW_AFTER_MS);
  equal(log.of('identity-renewed').length, 2);
});

test('A clock that is set during the run ends no session and no link', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const a = await joinSkewed(mesh, 'api', 0);
  await mesh.serve(a.agent, 'api.default', { protocol: 'http', handler: answering() });
  const b = await joinSkewed(mesh, 'web', 0);
  equal((await mesh.ask(b.agent)).outcome, 'ok');
  for (const byMs of [TOLERATED_MS, -TOLERATED_MS, HOUR_MS, -HOUR_MS, 0]) {
    a.clock.aheadMs = byMs;
    b.clock.aheadMs = -byMs;
    await mesh.clock.advanceAsync(MINUTE_MS);
    equal((await mesh.ask(b.agent)).outcome, 'ok');
  }
  for (const { log } of [a, b]) {
    equal(log.of('hub-connected').length, 1);
    equal(log.of('session-closed').length, 0);
  }
});
