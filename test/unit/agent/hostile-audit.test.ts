/** The audit log as a hostile hub tells it: members follow none that does not go on from what they have seen, and say so once. */

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Agent } from '../../../src/agent/agent.ts';
import type { AuditAlarm } from '../../../src/agent/audit-watch.ts';
import { ownerOf, signHead, verifyHead } from '../../../src/auth/audit-chain.ts';
import { OwnerTree } from '../../../src/auth/owner-tree.ts';
import type { CallAnswer } from '../../../src/control/messages.ts';
import { encodeUtf8, toBase64Url } from '../../../src/core/bytes.ts';
import { wait } from '../../../src/core/clock.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { answerAudit } from '../../../src/hub/audit-answers.ts';
import { MemoryStore } from '../../../src/hub/store/memory.ts';
import { nodePlatform } from '../../../src/runtime/node/platform.ts';
import { printFigures } from '../../support/figures.ts';
import { folder } from '../../support/folder.ts';
import { RecordingHandler } from '../../support/http.ts';
import { startTwoFaced, stealIssuer } from '../../support/two-logs.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

type Answer = CallAnswer<'audit'>;
type Bend = (answer: Answer, first: Answer) => Answer;

type Stretch = Answer['stretches'][number];

const { sha256 } = nodePlatform().crypto;
const OWNER = ownerOf(sha256, 'spiffe://skein.mesh/ns/default/sa/api');
const OTHER = ownerOf(sha256, 'spiffe://skein.mesh/ns/default/sa/other');

const bendEach = (how: (stretch: Stretch) => Partial<Stretch>): Bend => {
  return (answer) => ({ ...answer, stretches: answer.stretches.map((stretch) => ({ ...stretch, ...how(stretch) })) });
};
const withoutOwn = (answer: Answer): Answer => ({ ...answer, own: [] });
/** A proof that there is nothing about it, which is right, of a tree that is not the issuer's. */
const ofAnotherTree = ({ root }: Stretch): Partial<Stretch> => {
  const tree = new OwnerTree(sha256, [{ owner: OTHER, digest: root }]);
  return { root: tree.root, ...tree.prove(OWNER) };
};

const BENDS: Readonly<Record<string, { readonly alarm: AuditAlarm; readonly bend: Bend }>> = {
  'signs the head with nothing': { alarm: 'forged', bend: (answer) => ({ ...answer, head: 'x.y.z' }) },
  'shows an old head': {
    alarm: 'rollback',
    bend: (answer, first) => ({ ...answer, head: first.head, stretches: [], own: [] }),
  },
  'keeps an own entry back': { alarm: 'hidden', bend: withoutOwn },
  'says that a stretch holds nothing about a member of which it does': {
    alarm: 'hidden',
    bend: (...args) => withoutOwn(bendEach(({ root }) => ({ leaf: OTHER + root }))(...args)),
  },
  'proves that of another stretch': {
    alarm: 'fork',
    bend: (...args) => withoutOwn(bendEach(ofAnotherTree)(...args)),
  },
  'alters an own entry': {
    alarm: 'hidden',
    bend: (answer) => ({ ...answer, own: answer.own.map((entry) => ({ ...entry, key: 'another' })) }),
  },
  'shows an entry of somebody else as an own one': {
    alarm: 'hidden',
    bend: (answer) => ({ ...answer, own: answer.own.map((entry) => ({ ...entry, id: `${entry.id}x` })) }),
  },
  'adds an own entry': {
    alarm: 'hidden',
    bend: (answer) => ({ ...answer, own: answer.own.flatMap((entry) => [entry, entry]) }),
  },
  'says that a stretch has ended at another time': {
    alarm: 'fork',
    bend: bendEach(({ atMs }) => ({ atMs: atMs + 1 })),
  },
  'says that a stretch has ended elsewhere': { alarm: 'fork', bend: bendEach(({ seq }) => ({ seq: seq + 1 })) },
  'drops a stretch': { alarm: 'fork', bend: (answer) => ({ ...answer, stretches: answer.stretches.slice(0, -1) }) },
  'begins elsewhere': { alarm: 'fork', bend: (answer) => ({ ...answer, base: { ...answer.base, hash: 'another' } }) },
  'begins later than it must': {
    alarm: 'forged',
    bend: (answer) => ({ ...answer, base: { ...answer.base, seq: answer.base.seq + 1 } }),
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
    deepEqual(agent.audit.alarms, { forged: 0, rollback: 0, fork: 0, hidden: 0, split: 0 });
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

test('An issuer that signs of no end of a stretch that it is one, so that members that meet could not compare it, is told of', async (t) => {
  const dataFolder = folder(t);
  const mesh = new VirtualMesh(t);
  let bend = async (head: string): Promise<string> => head;
  await mesh.startHub({ dataFolder, limits: { auditPushMs: 1_000 } }, 7000, mesh.clock, {
    answerAudit: async (...asked) => {
      const answer = await answerAudit(...asked);
      return { ...answer, head: await bend(answer.head) };
    },
  });
  const issuer = await stealIssuer(mesh, dataFolder);
  const { agent } = await mesh.join(['api']);
  await mesh.until(() => agent.audit.head !== undefined);
  const { head } = agent.audit;
  const { shown } = agent.audit.heads;
  bend = async (token) => {
    const said = await verifyHead(token, issuer.bundle());
    ok(said !== undefined);
    return signHead(said, said.atMs, false, (type, claims) => issuer.sign(type, claims));
  };
  await mesh.join(['web']);
  await mesh.until(() => agent.audit.alarm !== undefined);
  deepEqual([agent.audit.alarm?.why, agent.audit.head, agent.audit.heads.shown], ['forged', head, shown]);
});

test('A hub that tells its log a stretch at a time, and slowly, is left for the others that wait for their turn', async (t) => {
  const mesh = new VirtualMesh(t);
  let asked = 0;
  let isSlow = false;
  await mesh.startHub({ limits: { auditPushMs: 1_000 } }, 7000, mesh.clock, {
    answerAudit: async (...asking) => {
      if (isSlow) {
        asked++;
        await wait(mesh.clock, 9_000);
      }
      const answer = await answerAudit(...asking);
      if (!isSlow) return answer;
      return { ...answer, stretches: answer.stretches.slice(0, 1), own: [] };
    },
  });
  const { agent, log } = await mesh.join(['api']);
  await mesh.clock.advanceAsync(2_000);
  const { head } = agent.audit;
  isSlow = true;
  for (let i = 0; i < 30; i++) {
    await mesh.admin('revocations', { body: { id: `spiffe://skein.mesh/ns/default/sa/x${i}` } });
    await mesh.clock.advanceAsync(1_000);
  }
  ok(asked > 0);
  await mesh.clock.advanceAsync(70_000);
  equal(log.of('audit-not-followed').length, 1);
  deepEqual(agent.audit.head, head);
  equal(agent.audit.alarm, undefined);
  isSlow = false;
  await mesh.admin('revocations', { body: { id: 'spiffe://skein.mesh/ns/default/sa/y' } });
  await mesh.until(() => (agent.audit.head?.seq ?? 0) > (head?.seq ?? 0) + 30);
});

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
    // Until the stretch has ended.
    await mesh.clock.advanceAsync(2_000);
    const again = await mesh.createAgent({ data });
    await mesh.run(again.agent.start());
    await mesh.until(() => again.agent.audit.alarm !== undefined);
    equal(again.agent.audit.alarm?.why, alarm);
    deepEqual(again.agent.audit.head, seen, 'what was seen stays');
    again.agent.close();
    await mesh.run(hub.close());
  }
});

const meet = async (mesh: VirtualMesh, from: Agent): Promise<void> => {
  const head = { authority: 'api.mesh' };
  for (const session of [...from.peers.sessions()]) {
    session.close(new SkeinError('SKEIN_CANCELLED', 'Cannot keep session: it is over'));
  }
  equal((await mesh.ask(from, head)).head?.status, 200);
};

for (const ahead of ['who was shown the false one', 'who was shown the true one']) {
  test(`An issuer with two histories is found out when members meet to whom it shows one each; further is ${ahead}`, async (t) => {
    const { mesh, write } = await startTwoFaced(t, (id) => id.endsWith('/web'));
    const api = await mesh.join(['api']);
    const handler = new RecordingHandler((request) => request.answer(200, 'ok'));
    await mesh.serve(api.agent, 'api.default', { protocol: 'http', handler });
    const web = await mesh.join(['web']);
    const ads = await mesh.join(['ads']);
    if (ahead === 'who was shown the false one') await write(20);
    await mesh.clock.advanceAsync(3_000);
    await meet(mesh, ads.agent);
    equal(api.log.of('audit-split').length, 0, 'who was shown the same has nothing to tell');
    await meet(mesh, web.agent);
    // The one that is behind gets to where the other was.
    await write(20);
    for (let i = 0; i < 20; i++) await mesh.join([`more${i}`]);
    await mesh.clock.advanceAsync(3_000);
    const told = [api, web].flatMap(({ log }) => log.of('audit-split'));
    ok(told.length > 0);
    match(String(told[0]?.fields.remedy), /two histories/);
    ok(told.every(({ fields }) => /\/(api|web)$/.test(String(fields.peer))));
    ok(api.agent.audit.alarms.split + web.agent.audit.alarms.split > 0);
    equal(ads.agent.audit.alarms.split, 0);
    printFigures('two histories', { ahead, toldBy: [api, web].map(({ agent }) => agent.audit.alarms.split) });
  });
}

test('Members of an honest issuer never tell of two histories, and what a member makes up is told of by nobody', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub({ limits: { auditPushMs: 1_000 } });
  const api = await mesh.join(['api']);
  const handler = new RecordingHandler((request) => request.answer(200, 'ok'));
  await mesh.serve(api.agent, 'api.default', { protocol: 'http', handler });
  const others = [];
  for (let i = 0; i < 12; i++) {
    const other = await mesh.join([`web${i}`]);
    others.push(other);
    await meet(mesh, other.agent);
    if (i % 3 === 0) await mesh.clock.advanceAsync(2_000);
  }
  for (const { agent } of others) await meet(mesh, agent);
  const [liar] = others;
  const shown = liar?.agent.audit.heads.shown ?? '';
  const [header, , signature] = shown.split('.');
  const lie = toBase64Url(encodeUtf8(JSON.stringify({ seq: 2, hash: 'x', atMs: 1 })));
  for (const head of [`${header}.${lie}.${signature}`, 'x.y.z', '', 'x'.repeat(10_000)]) {
    if (liar !== undefined) liar.agent.identity.auditHeads = { shown: head, hear: () => undefined };
    if (liar !== undefined) await meet(mesh, liar.agent);
  }
  for (const { agent, log } of [api, ...others]) {
    deepEqual(agent.audit.alarms, { forged: 0, rollback: 0, fork: 0, hidden: 0, split: 0 });
    equal(log.of('audit-split').length, 0);
  }
});
