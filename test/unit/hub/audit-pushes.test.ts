/** Who is told when that the audit log has come further: of a small mesh all at once, of a large one some with each beat. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Authority } from '../../../src/auth/authority.ts';
import { SILENT_LOGGER } from '../../../src/core/log.ts';
import { toWorkloadId } from '../../../src/core/spiffe-id.ts';
import { AuditLog } from '../../../src/hub/audit-log.ts';
import { AuditPushes } from '../../../src/hub/audit-pushes.ts';
import type { Member } from '../../../src/hub/presence.ts';
import { MemoryStore } from '../../../src/hub/store/memory.ts';
import { nodePlatform } from '../../../src/runtime/node/platform.ts';
import { nodeCrypto } from '../../../src/runtime/node-compat/crypto.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { trackWebCrypto } from '../../../src/testing/web-crypto.ts';

const EVERY_MS = 1_000;
const BEATS = 10;

async function startPushes(t: TestContext, size: number) {
  const clock = new VirtualClock({ host: nodePlatform().clock });
  t.after(trackWebCrypto(clock));
  const authority = await Authority.create({ trustDomain: 'skein.mesh', clock });
  const store = new MemoryStore();
  const openLog = async (): Promise<AuditLog> => {
    const log = new AuditLog({
      ...{ store, clock, log: SILENT_LOGGER, sha256: nodeCrypto.sha256, maxBytes: 1e9 },
      bundle: () => authority.bundle(),
      sign: (type, claims) => authority.sign(type, claims),
    });
    await log.open();
    return log;
  };
  const audit = await openLog();
  const told: string[] = [];
  const members = Array.from({ length: size }, (_, i) => {
    const id = toWorkloadId('skein.mesh', 'default', `s-${i}`);
    return { instance: `i-${i}`, id, key: `k-${i}`, channel: { push: () => told.push(id.uri) } } as unknown as Member;
  });
  const startPushing = (audit: AuditLog): AuditPushes =>
    new AuditPushes({
      ...{ clock, log: SILENT_LOGGER, audit, everyMs: EVERY_MS, beats: BEATS },
      members: () => members,
      count: () => members.length,
    });
  const pushes = startPushing(audit);
  const join = (name: string, key = 'k') =>
    audit.append({ kind: 'join', id: `spiffe://skein.mesh/ns/default/sa/${name}`, key, by: 'join-token' });
  /** Who is told until then. */
  const pass = async (ms: number): Promise<readonly string[]> => {
    told.length = 0;
    await clock.advanceAsync(ms);
    return [...told];
  };
  const beat = (count = 1) => pass(EVERY_MS * count);
  return { audit, openLog, startPushing, pass, clock, pushes, join, beat, members };
}

test('In a small mesh all are told with the next beat, once, and then nothing runs any more', async (t) => {
  const { clock, join, beat, members } = await startPushes(t, 64);
  await join('new');
  await join('newer');
  equal((await beat()).length, members.length);
  equal((await beat(20)).length, 0);
  equal(clock.pendingTimers, 0);
});

test('In a large mesh each is told once in so many beats, however many entries come; whom a new key concerns with the next', async (t) => {
  const { clock, join, beat, pass } = await startPushes(t, 1_000);
  await join('s-7');
  const first = await beat();
  ok(first.includes('spiffe://skein.mesh/ns/default/sa/s-7'), 'at once');
  ok(first.length < 200, `${first.length} of 1,000 with one beat`);
  await join('s-8');
  await pass(EVERY_MS - 50);
  const second = await pass(50);
  ok(second.includes('spiffe://skein.mesh/ns/default/sa/s-8'));
  const since = [...second, ...(await beat(BEATS))];
  equal(new Set(since).size, 1_000, 'of the newest entry everybody is told');
  ok(since.length <= 1_001, 'once, but for whom it concerns');
  deepEqual([(await beat(20)).length, clock.pendingTimers], [0, 0]);
});

test('Who has just joined is not told at once of itself, nor of all who came with it', async (t) => {
  const { join, beat } = await startPushes(t, 1_000);
  await Promise.all(Array.from({ length: 1_000 }, (_, i) => join(`s-${i}`, `k-${i}`)));
  const count = (await beat()).length;
  ok(count < 200, `${count} of 1,000 with one beat`);
  await join('s-7', 'k-7');
  await join('s-7', 'stolen');
  ok(
    (await beat()).includes('spiffe://skein.mesh/ns/default/sa/s-7'),
    'another key under its name it is told of, its own beside that or not',
  );
});

test('Pushes that are closed tell nobody of what was under way', async (t) => {
  const { pushes, join, beat } = await startPushes(t, 10);
  await join('new');
  pushes.close();
  equal((await beat(5)).length, 0);
});

test('What had come when a hub was killed is told of by the one that is started on its store', async (t) => {
  const { clock, openLog, startPushing, pushes, join, beat, members } = await startPushes(t, 10);
  await join('new');
  pushes.close();
  const again = await openLog();
  equal(again.untold, 1);
  startPushing(again);
  equal((await beat()).length, members.length);
  deepEqual([again.untold, (await beat(5)).length, clock.pendingTimers], [0, 0, 0]);
});

test('What a hub has written that is no more is told of by another one of its store, whose members ask', async (t) => {
  const { clock, openLog, startPushing, pushes, join, beat, members } = await startPushes(t, 10);
  const other = await openLog();
  startPushing(other);
  await join('new');
  pushes.close();
  equal((await beat(5)).length, 0);
  await other.follow(0);
  equal((await beat()).length, members.length);
  deepEqual([other.untold, (await beat(5)).length, clock.pendingTimers], [0, 0, 0]);
});
