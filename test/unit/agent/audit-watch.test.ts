/** Members follow an audit log that is longer than one answer, one stretch, or the memory of a hub. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { startTwoFaced } from '../../support/two-logs.ts';

const API = 'spiffe://skein.mesh/ns/default/sa/api';
const OTHER = 'spiffe://skein.mesh/ns/default/sa/other';

test('What is about a member in one stretch and more than an answer holds is shown in parts', async (t) => {
  const { mesh, write, log } = await startTwoFaced(t, () => true);
  const { agent } = await mesh.join(['api']);
  await mesh.until(() => agent.audit.head !== undefined);
  const before = log.head.seq;
  await write(5, OTHER);
  // Some 180 bytes each: more than 64 KiB.
  await write(1_000, API);
  await write(5, OTHER);
  const mine = await mesh.run(agent.audit.mine());
  deepEqual(
    mine.map(({ seq }) => seq),
    Array.from({ length: 1_000 }, (_, i) => before + 7 + i),
  );
  // And the next that it is told of it follows from where it was.
  await mesh.join(['web']);
  await mesh.clock.advanceAsync(2_000);
  deepEqual([agent.audit.head, agent.audit.alarm], [log.head, undefined]);
});

test('A log of more stretches than a hub remembers is followed whole, and from where a member was', async (t) => {
  const { mesh, write, log } = await startTwoFaced(t, () => true);
  const { agent } = await mesh.join(['api']);
  await mesh.until(() => agent.audit.head !== undefined);
  for (let i = 0; i < 10; i++) {
    await write(1_900, OTHER);
    await write(1, API);
  }
  equal((await mesh.run(agent.audit.mine())).length, 10);
  await mesh.join(['web']);
  await mesh.clock.advanceAsync(2_000);
  deepEqual([agent.audit.head, agent.audit.alarm], [log.head, undefined]);
});

test('A stretch ends where it holds 2,048 entries, whoever waits for it', async (t) => {
  const { mesh, write, log } = await startTwoFaced(t, () => true);
  await write(5_000, OTHER);
  const { stretches } = await log.follow(0);
  const lengths = stretches.map(({ from, end }) => end.seq - from.seq - 1);
  deepEqual(lengths.length, 4, `${lengths}`);
  ok(
    lengths.every((each) => each < 2_048 + 256),
    `${lengths}`,
  );
  const { agent } = await mesh.join(['api']);
  equal((await mesh.run(agent.audit.mine())).length, 0);
});
