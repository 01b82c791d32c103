/** What a mass join costs: what all members together are told of it grows with their number, and hardly faster. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { endStretch, ownerOf, toLink } from '../../../src/auth/audit-chain.ts';
import { Authority } from '../../../src/auth/authority.ts';
import { rootOfProof } from '../../../src/auth/owner-tree.ts';
import { measureMessage } from '../../../src/control/codec.ts';
import { SILENT_LOGGER } from '../../../src/core/log.ts';
import { answerAudit } from '../../../src/hub/audit-answers.ts';
import { AuditLog } from '../../../src/hub/audit-log.ts';
import { MemoryStore } from '../../../src/hub/store/memory.ts';
import { nodePlatform } from '../../../src/runtime/node/platform.ts';
import { printFigures } from '../../support/figures.ts';

const { clock, crypto } = nodePlatform();
const { sha256 } = crypto;
const ASKING = 100;
const MIB = 1024 * 1024;

const idOf = (member: number): string => `spiffe://skein.mesh/ns/default/sa/s-${member}`;

async function startLog(members: number, store = new MemoryStore()): Promise<AuditLog> {
  const authority = await Authority.create({ trustDomain: 'skein.mesh', clock });
  const audit = new AuditLog({
    ...{ store, clock, log: SILENT_LOGGER, sha256, maxBytes: 1e9 },
    ...{ bundle: () => authority.bundle(), sign: (type, claims) => authority.sign(type, claims) },
  });
  await audit.open();
  await audit.append({ kind: 'hub', id: 'spiffe://skein.mesh/ns/skein/sa/hub', key: 'k'.repeat(43), by: 'issuer' });
  await audit.endStretch(0);
  const joins = Array.from({ length: members }, (_, i) =>
    audit.append({ kind: 'join', id: idOf(i), key: 'k'.repeat(43), by: 'join-token' }),
  );
  await Promise.all(joins);
  await audit.endStretch(0);
  return audit;
}

for (const members of [1_000, 10_000]) {
  test(`When ${members} have joined, all of them are told what is about each in 100 MiB at most`, async () => {
    const audit = await startLog(members);
    let bytes = 0;
    for (let i = 0; i < members; i += members / ASKING) {
      const id = idOf(i);
      const answer = await answerAudit(audit, sha256, id, { after: 2 });
      bytes += measureMessage(answer);
      equal(answer.own.length, 1);
      let at = answer.base;
      for (const stretch of answer.stretches) {
        const own = answer.own.filter(({ seq }) => seq > at.seq && seq < stretch.seq);
        const digests = own.map((entry) => toLink(sha256, entry).digest);
        equal(rootOfProof(sha256, ownerOf(sha256, id), digests, stretch), stretch.root);
        at = endStretch(sha256, at, stretch);
      }
      equal(at.hash, audit.head.hash);
    }
    const allBytes = (bytes / ASKING) * members;
    printFigures('mass join', { members, bytesEach: Math.round(bytes / ASKING), mibOfAll: allBytes / MIB });
    ok(allBytes <= 100 * MIB, `${allBytes / MIB} MiB`);
  });
}

/** More than a hub has stretches of in memory, behind `old` ones that are about one member. */
async function outgrow(audit: AuditLog, old: number, own: string): Promise<void> {
  const write = async (count: number, id: string): Promise<void> => {
    const entry = { kind: 'renew', id, key: 'k'.repeat(43), by: 'svid' } as const;
    await Promise.all(Array.from({ length: count }, () => audit.append(entry)));
    await audit.endStretch(0);
  };
  for (let i = 0; i < old; i++) await write(1, own);
  await write(34_000, idOf(2));
}

test('What is older than the memory of a hub is read once: for an answer, however many stretches hold something about who asks, and for all who ask for the same', async (t) => {
  const store = new MemoryStore();
  const audit = await startLog(1, store);
  const own = idOf(1);
  await outgrow(audit, 30, own);
  const list = t.mock.method(store, 'list');
  const answer = await answerAudit(audit, sha256, own, { after: 0 });
  equal(answer.own.length, 30);
  ok(list.mock.callCount() <= 2, `${list.mock.callCount()} times`);
  const others = Array.from({ length: 100 }, (_, i) => answerAudit(audit, sha256, idOf(100 + i), { after: 0 }));
  for (const { stretches, own } of await Promise.all(others)) {
    equal(stretches.length, answer.stretches.length);
    equal(own.length, 0);
  }
  const reads = list.mock.callCount();
  ok(reads <= 2, `${reads} times for all`);
  await audit.append({ kind: 'renew', id: own, key: 'k'.repeat(43), by: 'svid' });
  await audit.endStretch(0);
  equal((await answerAudit(audit, sha256, own, { after: 0 })).own.length, 30);
  ok(list.mock.callCount() > reads, 'a stretch later it is read again');
});

test('What could not be read is read again', async (t) => {
  const store = new MemoryStore();
  const audit = await startLog(1, store);
  await outgrow(audit, 1, idOf(1));
  const list = t.mock.method(store, 'list', () => Promise.reject(new Error('the disk is gone')));
  await rejects(answerAudit(audit, sha256, idOf(1), { after: 0 }), /the disk is gone/);
  list.mock.restore();
  equal((await answerAudit(audit, sha256, idOf(1), { after: 0 })).own.length, 1);
});

test('When ten thousand have joined by tokens of their own, nothing of five minutes has to be read', async (t) => {
  const store = new MemoryStore();
  const audit = await startLog(10_000, store);
  const tokens = Array.from({ length: 10_000 }, (_, i) =>
    audit.append({ kind: 'admin', id: idOf(i), by: 'admin', what: 'POST /v1/tokens' }),
  );
  await Promise.all(tokens);
  await audit.endStretch(0);
  const list = t.mock.method(store, 'list');
  const { stretches, base } = await answerAudit(audit, sha256, idOf(1), { after: 0 });
  deepEqual([base.seq, stretches.at(-1)?.seq], [0, audit.head.seq]);
  equal(list.mock.callCount(), 0);
});
