/** What a hub may make a member keep that nobody has shown to be in the audit log. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { OwnEntries } from '../../../src/agent/own-entries.ts';
import type { AuditEntry } from '../../../src/auth/audit-chain.ts';

const ID = 'spiffe://skein.mesh/ns/default/sa/api';
const entry = (seq: number, what?: string, id = ID): AuditEntry => {
  return { seq, atMs: 1, kind: 'admin', id, by: 'admin-token', what };
};

test('Own entries are taken in the order of the log, each once, and those of the next stretch wait', () => {
  const own = new OwnEntries(ID);
  ok(own.add([entry(3), entry(5)], 2));
  ok(own.add([entry(8)], 2));
  const seqs = (entries: readonly AuditEntry[]) => entries.map(({ seq }) => seq);
  deepEqual([seqs(own.take(5)), seqs(own.take(8)), own.last], [[3], [5], 8]);
  deepEqual(seqs(own.found), [3, 5]);
  own.forget();
  equal(own.last, undefined);
  deepEqual([seqs(own.take(100)), seqs(own.found)], [[], [3, 5]]);
});

for (const [what, wrong] of [
  ['of somebody else', [entry(9, '', `${ID}x`)]],
  ['twice', [entry(9), entry(9)]],
  ['in another order', [entry(10), entry(9)]],
  ['that are from before where it is', [entry(7)]],
  ['that are older than one of an answer before', [entry(8)]],
] as const) {
  test(`A member takes no entries ${what}`, () => {
    const own = new OwnEntries(ID);
    ok(own.add([entry(8)], 7));
    equal(own.add(wrong, 7), false);
  });
}

test('A member keeps 65,536 entries about itself and 16 MiB of their text, and no more', () => {
  const many = new OwnEntries(ID);
  const all = Array.from({ length: 65_536 }, (_, i) => entry(i + 1));
  ok(many.add(all, 0));
  equal(many.add([entry(65_537)], 0), false);
  many.take(65_537);
  equal(many.add([entry(65_538)], 65_537), false, 'those that are in a stretch count as well');
  const long = new OwnEntries(ID);
  const what = 'x'.repeat(2_048);
  for (let i = 1; i <= 8_192; i++) ok(long.add([entry(i, what)], i - 1));
  equal(long.add([entry(8_193, 'x')], 8_192), false);
});
