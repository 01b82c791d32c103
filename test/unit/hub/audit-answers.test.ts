/** What a mass join costs: what all members together are told of it grows with their number, and hardly faster. */

import { equal, ok } from 'node:assert/strict';
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

test('What is older than the memory of a hub is read once for an answer, however many stretches hold something about who asks', async (t) => {
  const store = new MemoryStore();
  const audit = await startLog(1, store);
  const [own, other] = [idOf(1), idOf(2)];
  const write = async (count: number, id: string): Promise<void> => {
    const entry = { kind: 'renew', id, key: 'k'.repeat(43), by: 'svid' } as const;
    await Promise.all(Array.from({ length: count }, () => audit.append(entry)));
    await audit.endStretch(0);
  };
  for (let i = 0; i < 30; i++) await write(1, own);
  await write(21_000, other);
  const list = t.mock.method(store, 'list');
  const answer = await answerAudit(audit, sha256, own, { after: 0 });
  equal(answer.own.length, 30);
  ok(list.mock.callCount() <= 2, `${list.mock.callCount()} times`);
});
