/** The audit log as a hostile hub tells it: members follow none that does not go on from what they have seen, and say so once. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { AuditAlarm } from '../../../src/agent/audit-watch.ts';
import type { CallAnswer } from '../../../src/control/messages.ts';
import { answerAudit } from '../../../src/hub/audit-answers.ts';
import { MemoryStore } from '../../../src/hub/store/memory.ts';
import { printFigures } from '../../support/figures.ts';
import { folder } from '../../support/folder.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

type Answer = CallAnswer<'audit'>;
type Bend = (answer: Answer, first: Answer) => Answer;

const BENDS: Readonly<Record<string, { readonly alarm: AuditAlarm; readonly bend: Bend }>> = {
  'signs the head with nothing': { alarm: 'forged', bend: (answer) => ({ ...answer, head: 'x.y.z' }) },
  'shows an old head': {
    alarm: 'rollback',
    bend: (answer, first) => ({ ...answer, head: first.head, links: [], own: [] }),
  },
  'keeps an own entry back': { alarm: 'hidden', bend: (answer) => ({ ...answer, own: [] }) },
  'alters an own entry': {
    alarm: 'hidden',
    bend: (answer) => ({ ...answer, own: answer.own.map((entry) => ({ ...entry, key: 'another' })) }),
  },
  'shows an own entry as one of somebody else': {
    alarm: 'fork',
    bend: (answer) => ({ ...answer, links: answer.links.map(([, digest]) => ['A'.repeat(22), digest]), own: [] }),
  },
  'drops an entry': { alarm: 'fork', bend: (answer) => ({ ...answer, links: answer.links.slice(0, -1) }) },
  'begins elsewhere': { alarm: 'fork', bend: (answer) => ({ ...answer, base: { ...answer.base, hash: 'another' } }) },
  'begins later than it must': {
    alarm: 'forged',
    bend: (answer) => ({ ...answer, base: { ...answer.base, seq: answer.base.seq + 1 }, links: answer.links.slice(1) }),
  },
};

async function startLab(t: TestContext) {
  const mesh = new VirtualMesh(t);
  let bend: Bend = (answer) => answer;
  let first: Answer | undefined;
  await mesh.startHub({ limits: { auditPushMs: 1_000 } }, 7000, mesh.clock, {
    answerAudit: async (...asked) => {
      const answer = await answerAudit(...asked);
      first ??= answer;
      return bend(answer, first);
    },
  });
  const made = await mesh.join(['api'], { limits: { renewAfterMs: 60_000 } });
  await mesh.join(['web']);
  await mesh.clock.advanceAsync(2_000);
  return {
    ...{ mesh, ...made },
    attack: (with_: Bend) => {
      bend = with_;
    },
  };
}

for (const [how, { alarm, bend }] of Object.entries(BENDS)) {
  test(`A hub that ${how} in the audit log is told of (${alarm}), and its log is not followed`, async (t) => {
    const { mesh, agent, log, attack } = await startLab(t);
    const { head } = agent.audit;
    deepEqual(agent.audit.alarms, { forged: 0, rollback: 0, fork: 0, hidden: 0 });
    attack(bend);
    // It renews, so that there is an entry about itself.
    await mesh.clock.advanceAsync(200_000);
    ok(agent.audit.alarms[alarm] > 0, JSON.stringify(agent.audit.alarms));
    deepEqual(agent.audit.alarm?.why, alarm);
    deepEqual(agent.audit.head, head);
    equal(log.of('audit-refused').length, 1, 'once');
    printFigures('hostile-audit', { switch: how, alarms: agent.audit.alarms });
    // And when the hub tells the truth again, the member follows.
    attack((answer) => answer);
    await mesh.clock.advanceAsync(100_000);
    equal(agent.audit.alarm, undefined);
    ok((agent.audit.head?.seq ?? 0) > (head?.seq ?? 0));
  });
}

test('A store that was put back, or went on otherwise, is noticed by members, also by one that was restarted', async (t) => {
  const dataFolder = folder(t);
  const data = join(folder(t), 'member');
  const mesh = new VirtualMesh(t);
  const store = new MemoryStore();
  const first = await mesh.startHub({ dataFolder, store, limits: { auditPushMs: 1_000 } });
  const { agent } = await mesh.join(['api'], { data });
  const backup = await store.list('');
  for (const name of ['web', 'ads', 'ops']) await mesh.join([name]);
  await mesh.clock.advanceAsync(3_000);
  const seen = agent.audit.head;
  await mesh.run(first.close());
  agent.close();
  for (const [alarm, more] of [
    ['rollback', 0],
    ['fork', 12],
  ] as const) {
    const old = new MemoryStore();
    for (const { key, value } of backup) await old.compareAndSet(key, 0, value);
    const copy = join(folder(t), alarm);
    mkdirSync(copy);
    copyFileSync(join(dataFolder, 'issuer.json'), join(copy, 'issuer.json'));
    const hub = await mesh.startHub({ dataFolder: copy, store: old, limits: { auditPushMs: 1_000 } });
    for (let i = 0; i < more; i++)
      await mesh.admin('revocations', { body: { id: `spiffe://skein.mesh/ns/default/sa/x${i}` } }, hub);
    const again = await mesh.createAgent({ data });
    await mesh.run(again.agent.start());
    await mesh.until(() => again.agent.audit.alarm !== undefined);
    equal(again.agent.audit.alarm?.why, alarm);
    deepEqual(again.agent.audit.head, seen, 'what was seen stays');
    again.agent.close();
    await mesh.run(hub.close());
  }
});
